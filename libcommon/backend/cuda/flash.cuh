/* flash.cuh: shared by the tensor-core attention kernels: tiles in shared memory, their products, and dropout's mask in
 * the register layout of a product's result (tensor_core.cuh).
 *
 * A tile is some rows of a head, DP columns wide: D columns, and zeros up to 16, 32, 64, 96 or 128. A block has four
 * warps; each owns 16 MT rows of the block's tile and iterates over tiles of the other operand, which cp.async loads
 * into a double buffer. The accumulator layout of 16 x 8 scores is the A-operand layout of the next product, so that
 * probabilities never leave registers. */
#ifndef GP_CUDA_FLASH_CUH
#define GP_CUDA_FLASH_CUH

#include "backend/cuda/attention.cuh"
#include "backend/cuda/tensor_core.cuh"

constexpr int FLASH_WARPS = 4, FLASH_THREADS = FLASH_WARPS * WARP;

/* Offset in a tile of the 16 bytes of row `row` whose columns start at 8 chunk. Rows are padded by 16 bytes, to an odd
 * multiple of 16 bytes: so the 8 rows of a chunk that ldmatrix reads at once cover all 32 banks without conflicts. (A
 * swizzle of the chunks would do without the padding, but then a tile could not be addressed by one register and
 * constant offsets.) */
template <int DP> constexpr int TILE_STRIDE = DP + 8;

template <int DP> __device__ __forceinline__ int tile_at(int row, int chunk)
{
    return row * TILE_STRIDE<DP> + chunk * 8;
}

/* Issues cp.async loads, by the whole block, of rows first .. first + ROWS - 1 of a head; zeros from row `end` and from
 * column D on. */
template <int DP, int ROWS>
__device__ __forceinline__ void load_tile(bf16 *tile, const bf16 *head, int64_t stride, int first, int end, int D)
{
    constexpr int chunks = DP / 8, threads = FLASH_THREADS / chunks * chunks, step = threads / chunks;
    int row = static_cast<int>(threadIdx.x) / chunks, chunk = static_cast<int>(threadIdx.x) % chunks;
    const bf16 *from = head + (first + row) * stride + chunk * 8;
    if (threads == FLASH_THREADS || threadIdx.x < threads)
#pragma unroll
        for (int i = 0; i < ROWS; i += step) {
            if (i + step <= ROWS || i + row < ROWS)
                cp_async_16(tile + tile_at<DP>(i + row, chunk), from, first + i + row < end && chunk * 8 < D);
            from += step * stride;
        }
}

/* A warp's 16 MT rows of a tile as A operands of mma, 16 columns k at a time: as fragments in registers, or loaded by
 * ldmatrix each time where they would take too many registers. */
template <int DP, int MT, bool IN_REGISTERS> struct Rows {
    uint32_t fragments[IN_REGISTERS ? MT : 1][IN_REGISTERS ? DP / 16 : 1][4];
    const bf16 *tile;

    __device__ __forceinline__ void read(uint32_t (&a)[4], int m, int k) const
    {
        int lane = threadIdx.x % WARP, row = (threadIdx.x / WARP * MT + m) * 16 + lane % 16;
        ldmatrix_x4(a, tile + tile_at<DP>(row, 2 * k + lane / 16));
    }
    /* call after the tile has arrived */
    __device__ __forceinline__ void open(const bf16 *from)
    {
        tile = from;
        if constexpr (IN_REGISTERS)
#pragma unroll
            for (int m = 0; m < MT; m++)
#pragma unroll
                for (int k = 0; k < DP / 16; k++)
                    read(fragments[m][k], m, k);
    }
    __device__ __forceinline__ void get(uint32_t (&a)[4], int m, int k) const
    {
        if constexpr (IN_REGISTERS) {
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[i] = fragments[m][k][i];
        } else {
            read(a, m, k);
        }
    }
};

/* s = rows columns^T: s[m][n] is the 16 x 8 accumulator of the warp's rows 16 m .. with rows first + 8 n .. of a
 * tile. */
template <int DP, int MT, int NT, bool IN_REGISTERS>
__device__ __forceinline__ void multiply(float (&s)[MT][NT][4], const Rows<DP, MT, IN_REGISTERS> &rows,
                                         const bf16 *tile, int first)
{
    int lane = threadIdx.x % WARP, row = first + lane / 16 * 8 + lane % 8;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[m][n][e] = 0;
#pragma unroll
    for (int k = 0; k < DP / 16; k++) {
        uint32_t a[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
            rows.get(a[m], m, k);
#pragma unroll
        for (int n = 0; n < NT; n += 2) {
            uint32_t b[4];
            ldmatrix_x4(b, tile + tile_at<DP>(row + 8 * n, 2 * k + lane / 8 % 2));
            uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma_m16n8k16(s[m][n], a[m], left);
                mma_m16n8k16(s[m][n + 1], a[m], right);
            }
        }
    }
}

static __device__ __forceinline__ uint32_t pair_of(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    return word;
}

/* sum += p tile: p[m][n] are accumulators of `multiply`, rounded to bf16; their 8 NT columns are rows `first` .. of the
 * tile. sum[m][j]: columns 8 j .. of the head. */
template <int DP, int MT, int NT>
__device__ __forceinline__ void weigh(float (&sum)[MT][DP / 8][4], const float (&p)[MT][NT][4], const bf16 *tile,
                                      int first)
{
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int n = 0; n < NT; n += 2) {
        uint32_t a[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][i] = pair_of(p[m][n + i / 2][i % 2 * 2], p[m][n + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int j = 0; j < DP / 8; j += 2) {
            uint32_t b[4];
            ldmatrix_x4_trans(b, tile + tile_at<DP>(first + 8 * n + lane % 16, j + lane / 16));
            uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma_m16n8k16(sum[m][j], a[m], left);
                mma_m16n8k16(sum[m][j + 1], a[m], right);
            }
        }
    }
}

/* out[first + r] = sum[r] * times[r] for a warp's 16 MT rows, transposed through the warp's own rows of a tile that is
 * no longer read, so that rows are stored 16 bytes per lane, coalesced. times[m][i]: of row 16 m + 8 i + lane / 4. */
template <int DP, int MT>
__device__ __forceinline__ void store_rows(bf16 *head, int64_t stride, int first, int end, int D, bf16 *tile,
                                           const float (&sum)[MT][DP / 8][4], const float (&times)[MT][2])
{
    constexpr int chunks = DP / 8;
    int lane = threadIdx.x % WARP, warp_row = threadIdx.x / WARP * 16 * MT;
    __syncwarp();
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < chunks; j++) {
                uint32_t pair = pair_of(sum[m][j][2 * i] * times[m][i], sum[m][j][2 * i + 1] * times[m][i]);
                bf16 *to = tile + tile_at<DP>(warp_row + 16 * m + 8 * i + lane / 4, j) + lane % 4 * 2;
                *reinterpret_cast<uint32_t *>(to) = pair;
            }
    __syncwarp();
#pragma unroll
    for (int i = lane; i < 16 * MT * chunks; i += WARP) {
        int row = i / chunks, chunk = i % chunks;
        if (first + row < end && chunk * 8 < D)
            store_pack(head + (first + row) * stride + chunk * 8, load_pack(tile + tile_at<DP>(warp_row + row, chunk)));
    }
}

/* 2^x to 2 ulp; subnormal results are flushed to 0. */
static __device__ __forceinline__ float power_of_2(float x)
{
#ifdef GP_CUSIM
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

/* Philox draws of dropout for a head. T must be a multiple of 4, so that one draw is four keys of one query. Opened
 * anew for each tile: live over the whole kernel it would take some thirty registers, with the keys of Philox's ten
 * rounds. */
struct Draws {
    uint64_t seed;
    uint32_t sample, site, step;
    float p;
    int64_t row0; /* index of query 0's first draw */
    int row;      /* draws per query */

    template <class E> __device__ __forceinline__ void open(const Attention<E> &a, WorkTile w)
    {
        seed = a.mask.step->seed;
        sample = a.mask.step->sample0 + static_cast<uint32_t>(w.b);
        site = a.mask.site;
        step = a.mask.step->step;
        p = a.mask.p;
        row = a.T / 4;
        row0 = static_cast<int64_t>(w.h) * a.T * row;
    }
    /* Keys k .. k + 3 of query q, k a multiple of 4: bit i is set if key k + i is kept. */
    __device__ __forceinline__ unsigned kept(int q, int k) const
    {
        int64_t group = row0 + static_cast<int64_t>(q) * row + k / 4;
        gp_philox r = gp_philox4x32(seed, static_cast<uint32_t>(group), sample, site, step);
        unsigned bits = 0;
#pragma unroll
        for (int i = 0; i < 4; i++)
            bits |= static_cast<unsigned>(gp_uniform(r.v[i]) >= p) << i;
        return bits;
    }
};

/* For accumulators of 16 MT queries q .. by 8 NT keys k ..: bit 4 n + e of kept[m] is set if this lane's element e of
 * accumulator (m, n) is kept. A draw covers elements of two lanes: each of the two computes one draw, for query lane /
 * 4 or that + 8, and they exchange them by shuffle. Computed before the scores, which leave no registers for it. */
template <int MT, int NT>
__device__ __forceinline__ void kept_by_query(unsigned (&kept)[MT], const Draws &draws, int q, int k)
{
    static_assert(4 * NT <= 32, "the bits of a lane are one word");
    int lane = threadIdx.x % WARP, odd = lane & 1;
#pragma unroll
    for (int m = 0; m < MT; m++) {
        kept[m] = 0;
#pragma unroll 1
        for (int n = 0; n < NT; n++) {
            unsigned mine = draws.kept(q + 16 * m + lane / 4 + 8 * odd, k + 8 * n + lane % 4 / 2 * 4);
            unsigned other = __shfl_xor_sync(ALL_LANES, mine, 1);
            unsigned upper = odd ? other : mine, lower = odd ? mine : other;
            kept[m] |= ((upper >> 2 * odd & 3) | (lower >> 2 * odd & 3) << 2) << 4 * n;
        }
    }
}

/* The same for accumulators of 16 keys k .. by 8 NT queries q ... A draw covers elements of four lanes, and each lane
 * needs four draws (two queries; keys lane / 4 and that + 8): each lane computes one of them. */
template <int NT> __device__ __forceinline__ unsigned kept_by_key(const Draws &draws, int q, int k)
{
    int lane = threadIdx.x % WARP, i = lane / 4 % 4;
    unsigned kept = 0;
#pragma unroll 1
    for (int n = 0; n < NT; n++) {
        unsigned mine = draws.kept(q + 8 * n + lane % 4 * 2 + i % 2, k + lane / 16 * 4 + i / 2 * 8);
        unsigned other = __shfl_xor_sync(ALL_LANES, mine, 4);
        unsigned two = i % 2 ? other | mine << 4 : mine | other << 4;
        other = __shfl_xor_sync(ALL_LANES, two, 8);
        unsigned four = (i / 2 ? other | two << 8 : two | other << 8) >> i; /* bit 4 e: element e */
        kept |= ((four & 1) | (four >> 3 & 2) | (four >> 6 & 4) | (four >> 9 & 8)) << 4 * n;
    }
    return kept;
}

/* p *= dropout's factors */
template <int MT, int NT>
__device__ __forceinline__ void drop(float (&p)[MT][NT][4], const unsigned (&kept)[MT], float scale)
{
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                p[m][n][e] = kept[m] >> (4 * n + e) & 1 ? p[m][n][e] * scale : 0;
}

#endif
