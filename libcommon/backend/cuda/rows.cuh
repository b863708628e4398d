/* rows.cuh: for row-wise ops: vector access to W neighbouring columns, in fp32; and a row in the registers of a thread
 * team. W is the size of a pack where the rows are packable, else 1. */
#ifndef GP_CUDA_ROWS_CUH
#define GP_CUDA_ROWS_CUH

#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"

template <class T, int W> __device__ __forceinline__ void load_columns(const T *p, float (&v)[W])
{
    if constexpr (W == 1) {
        v[0] = to_float(*p);
    } else {
#pragma unroll
        for (int k = 0; k < W / Pack<T>::size; k++) {
            Pack<T> x = load_pack(p + k * Pack<T>::size);
#pragma unroll
            for (int i = 0; i < Pack<T>::size; i++)
                v[k * Pack<T>::size + i] = to_float(x.v[i]);
        }
    }
}

template <class T, int W> __device__ __forceinline__ void store_columns(T *p, const float (&v)[W])
{
    if constexpr (W == 1) {
        *p = from_float<T>(v[0]);
    } else {
#pragma unroll
        for (int k = 0; k < W / Pack<T>::size; k++) {
            Pack<T> x;
#pragma unroll
            for (int i = 0; i < Pack<T>::size; i++)
                x.v[i] = from_float<T>(v[k * Pack<T>::size + i]);
            store_pack(p + k * Pack<T>::size, x);
        }
    }
}

/* Dropout's factors of W consecutive elements of a sample, all 1 without dropout. The first element is a multiple of 4
 * unless W is 1. */
template <int W>
__device__ __forceinline__ void mask_columns(const Mask &m, int64_t sample, int64_t element, float (&factor)[W])
{
    if constexpr (W == 1) {
        factor[0] = mask_factor(m, sample, element);
    } else {
#pragma unroll
        for (int g = 0; g < W / 4; g++) {
            float four[4] = {1, 1, 1, 1};
            if (m.step)
                mask_factors(m, sample, element / 4 + g, four);
#pragma unroll
            for (int i = 0; i < 4; i++)
                factor[4 * g + i] = four[i];
        }
    }
}

/* Row n is row n % T of sample n / T. */
struct RowPlace {
    int64_t sample, first; /* first: index in the sample of the row's first element */
};
static __device__ __forceinline__ RowPlace place_of(int64_t n, int64_t T, int64_t C)
{
    unsigned row = static_cast<unsigned>(n), rows = static_cast<unsigned>(T);
    return {row / rows, static_cast<int64_t>(row % rows) * C};
}

/* A team of WARPS warps that keeps one row in registers, PACKS packs in each thread: thread i has packs i, i + 32
 * WARPS, ... */
template <int PACKS, int WARPS> struct Team {
    static constexpr int packs = PACKS, warps = WARPS, threads = WARPS * WARP;
};

constexpr int ROW_WARPS = 4; /* warps per block: as many rows, or one row */
constexpr int ROW_THREADS = ROW_WARPS * WARP;

/* Calls body with the smallest team whose registers fit a row of C columns; false where none does, beyond 2048
 * columns. */
template <class T, class Body> bool with_team(int64_t C, Body body)
{
    int64_t packs = (C + Pack<T>::size - 1) / Pack<T>::size;
    if (packs <= 32)
        body(Team<1, 1>());
    else if (packs <= 64)
        body(Team<2, 1>());
    else if (packs <= 96)
        body(Team<3, 1>());
    else if (packs <= 128)
        body(Team<1, ROW_WARPS>());
    else if (packs <= 256)
        body(Team<2, ROW_WARPS>());
    else if (C <= 2048) {
        if constexpr (Pack<T>::size == 4)
            body(Team<4, ROW_WARPS>());
    } else
        return false;
    return true;
}

/* COUNT sums over a team, in all of its threads. scratch: COUNT numbers per warp of the block. Where a team is several
 * warps, all threads of the block must call it. */
template <class Team, int COUNT> __device__ __forceinline__ void team_sums(float (&x)[COUNT], float *scratch)
{
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        x[i] = warp_sum(x[i]);
    if constexpr (Team::warps > 1) {
        unsigned warp = threadIdx.x / WARP;
        if (threadIdx.x % WARP == 0)
            for (int i = 0; i < COUNT; i++)
                scratch[warp * COUNT + i] = x[i];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            x[i] = 0;
            for (unsigned w = 0; w < Team::warps; w++)
                x[i] += scratch[(warp / Team::warps * Team::warps + w) * COUNT + i];
        }
        __syncthreads();
    }
}

/* Mean and rstd of a row of C columns that a team has in x; `first` is the thread's first column. All norm kernels use
 * this one order of summation, so a row has the same bits in each. */
template <class T, class Team>
__device__ __forceinline__ void row_statistics(const Pack<T> (&x)[Team::packs], int first, int C, float eps,
                                               float *scratch, float *mean, float *rstd)
{
    constexpr int W = Pack<T>::size;
    float sum[1] = {0}, square[1] = {0};
#pragma unroll
    for (int k = 0; k < Team::packs; k++)
        if (first + k * Team::threads * W < C)
            for (int i = 0; i < W; i++)
                sum[0] += to_float(x[k].v[i]);
    team_sums<Team>(sum, scratch);
    float m = sum[0] / static_cast<float>(C);
#pragma unroll
    for (int k = 0; k < Team::packs; k++)
        if (first + k * Team::threads * W < C)
            for (int i = 0; i < W; i++)
                square[0] += (to_float(x[k].v[i]) - m) * (to_float(x[k].v[i]) - m);
    team_sums<Team>(square, scratch);
    *mean = m;
    *rstd = rsqrtf(square[0] / static_cast<float>(C) + eps);
}

static __device__ __forceinline__ float normed(float x, float mean, float rstd, float gamma, float beta)
{
    return (x - mean) * rstd * gamma + beta;
}

#endif
