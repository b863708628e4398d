/* kernel.cuh: shared by all kernels: conversion of stored elements, 16-byte vector access, warp and block reductions,
 * dropout masks. */
#ifndef GP_CUDA_KERNEL_CUH
#define GP_CUDA_KERNEL_CUH

#include "backend/backend.h"
#include "backend/cuda/cuda.cuh"
#include "base/rng.h"

constexpr unsigned WARP = 32, ALL_LANES = 0xffffffffu;

using bf16 = __nv_bfloat16;

static __device__ __forceinline__ float to_float(float x)
{
    return x;
}
static __device__ __forceinline__ float to_float(bf16 x)
{
    return __bfloat162float(x);
}

/* Round to nearest, ties to even. */
template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* W elements of T as one vector load or store, at an address that is a multiple of their size. */
template <class T, int W> struct alignas(W * sizeof(T)) Vec {
    static constexpr int size = W;
    T v[W];
};

template <int W, class T> __device__ __forceinline__ Vec<T, W> load_vec(const T *p)
{
    return *reinterpret_cast<const Vec<T, W> *>(p);
}
template <int W, class T> __device__ __forceinline__ void store_vec(T *p, const Vec<T, W> &v)
{
    *reinterpret_cast<Vec<T, W> *>(p) = v;
}

/* 16 bytes of them, the widest load or store. */
template <class T> using Pack = Vec<T, static_cast<int>(16 / sizeof(T))>;

template <class T> __device__ __forceinline__ Pack<T> load_pack(const T *p)
{
    return load_vec<Pack<T>::size>(p);
}
template <class T> __device__ __forceinline__ void store_pack(T *p, const Pack<T> &v)
{
    store_vec(p, v);
}

/* Host: whether rows of `columns` elements at these addresses can be accessed in packs. */
template <class T>
static inline bool packable(int64_t columns, const void *a, const void *b = nullptr, const void *c = nullptr,
                            const void *d = nullptr)
{
    uintptr_t bits = reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) | reinterpret_cast<uintptr_t>(c) |
                     reinterpret_cast<uintptr_t>(d);
    return columns % Pack<T>::size == 0 && bits % 16 == 0;
}

/* Warp sum by butterfly shuffle: the result in every lane, always added in the same order. */
static __device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, offset);
    return x;
}
static __device__ __forceinline__ double warp_sum(double x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, offset);
    return x;
}
static __device__ __forceinline__ float warp_max(float x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, offset));
    return x;
}

/* Block sum, in every thread; blockDim.x is a multiple of WARP. scratch: shared, one T per warp; may be reused at once.
 * All threads of the block must call it. */
template <class T> __device__ __forceinline__ T block_sum(T x, T *scratch)
{
    unsigned warps = blockDim.x / WARP;
    x = warp_sum(x);
    if (threadIdx.x % WARP == 0)
        scratch[threadIdx.x / WARP] = x;
    __syncthreads();
    T sum = 0;
    for (unsigned w = 0; w < warps; w++)
        sum += scratch[w];
    __syncthreads();
    return sum;
}

/* Dropout's mask (gp_dropout in backend.h): one Philox draw for four elements. step is null without dropout. */
struct Mask {
    const gp_step *step;
    float p, scale;
    uint32_t site;
};

/* Host: the argument for a launch. */
static inline Mask mask_of(const gp_dropout &d)
{
    if (!d.step || d.p == 0)
        return {nullptr, 0, 1, 0};
    BUG_ON(!(d.p > 0 && d.p < 1));
    return {d.step, d.p, 1 / (1 - d.p), d.site};
}

/* Dropout's factors, 0 or scale, of elements 4 group .. 4 group + 3 of a sample of this batch. */
static __device__ __forceinline__ void mask_factors(const Mask &m, int64_t sample, int64_t group, float (&factor)[4])
{
    gp_philox r = gp_philox4x32(m.step->seed, static_cast<uint32_t>(group),
                                m.step->sample0 + static_cast<uint32_t>(sample), m.site, m.step->step);
#pragma unroll
    for (int i = 0; i < 4; i++)
        factor[i] = gp_uniform(r.v[i]) >= m.p ? m.scale : 0;
}

/* The factor of one element, for rows that do not start at a multiple of four. */
static __device__ __forceinline__ float mask_factor(const Mask &m, int64_t sample, int64_t element)
{
    float f[4];
    if (!m.step)
        return 1;
    mask_factors(m, sample, element >> 2, f);
    return (element & 2) ? (element & 1 ? f[3] : f[2]) : (element & 1 ? f[1] : f[0]);
}

#endif
