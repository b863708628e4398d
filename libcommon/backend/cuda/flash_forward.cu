/* flash_forward.cu: attention's forward pass on the tensor cores (Dao et al. 2022; Dao 2023): bf16, head size <= 128.
 *
 * Its share of the work: with a causal mask and T = 1024, GPT-2 small spends 19 MFLOP per token here and 66 in backward
 * (flash_backward.cu), and 744 in its linear layers: a tenth of the arithmetic, and more of the time, since
 * exponentials and shuffles stand between the products.
 *
 * One pass over the keys with a running maximum and sum for each row (online softmax); out is scaled once, at the end.
 * Each score costs 2 D multiply-adds, of which a multiprocessor does 1024 per cycle (A100), and one exponential, of
 * which it does 16 per cycle: at D = 64 half as long again, so two blocks per multiprocessor keep both units busy. Each
 * fragment of keys and values is used for MT = 2 groups of 16 rows: 1 cycle of shared memory per 2 cycles of the tensor
 * cores. */
#include "backend/cuda/flash.cuh"

namespace
{

/* rows: queries per block; keys: keys per tile. Registers per thread: DP MT / 2 for the output, keys MT / 2 for the
 * scores and, if IN_REGISTERS, DP MT / 4 for the queries, of 255: two blocks per multiprocessor. Where that would not
 * fit (large heads, dropout's draws) a tile has half as many keys. Shared memory at DP = 64: 54 KiB, with dropout 36;
 * at 128: 68. */
template <int DP, bool drops> struct Shape {
    static constexpr int MT = 2, rows = 16 * MT * FLASH_WARPS, keys = DP <= (drops ? 32 : 64) ? 64 : 32;
    static constexpr bool IN_REGISTERS = DP <= 64;
    static constexpr int NT = keys / 8, tile = keys * TILE_STRIDE<DP>;
    static constexpr size_t bytes = (rows * TILE_STRIDE<DP> + 4 * tile) * sizeof(bf16);
};

/* Online softmax of a warp's rows: this lane has rows 16 m + lane / 4 and that + 8. */
template <int MT> struct Softmax {
    float row_max[MT][2]; /* running maximum of the scores */
    float total[MT][2];   /* running sum of exponentials; each of 4 lanes has a partial sum */

    /* s = exp(scale (s - row_max)); sum and total are rescaled by the change of row_max. unit: scale log2(e) */
    template <int NT, int J>
    __device__ __forceinline__ void step(float (&s)[MT][NT][4], float (&sum)[MT][J][4], float unit)
    {
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float new_max = row_max[m][i], add = 0;
#pragma unroll
                for (int n = 0; n < NT; n++)
                    new_max = fmaxf(new_max, fmaxf(s[m][n][2 * i], s[m][n][2 * i + 1]));
                new_max = fmaxf(new_max, __shfl_xor_sync(ALL_LANES, new_max, 1));
                new_max = fmaxf(new_max, __shfl_xor_sync(ALL_LANES, new_max, 2));
                float rescale = power_of_2((row_max[m][i] - new_max) * unit), zero = new_max * unit;
                row_max[m][i] = new_max;
#pragma unroll
                for (int n = 0; n < NT; n++)
#pragma unroll
                    for (int e = 2 * i; e < 2 * i + 2; e++) {
                        s[m][n][e] = power_of_2(fmaf(s[m][n][e], unit, -zero));
                        add += s[m][n][e];
                    }
                total[m][i] = total[m][i] * rescale + add;
#pragma unroll
                for (int j = 0; j < J; j++) {
                    sum[m][j][2 * i] *= rescale;
                    sum[m][j][2 * i + 1] *= rescale;
                }
            }
    }
};

/* Masks the scores of keys that a query does not see with -inf. q, k: the warp's first query, the tile's first key. */
template <int MT, int NT>
__device__ __forceinline__ void hide(float (&s)[MT][NT][4], const Attention<bf16> &a, int q, int k, int count)
{
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int seen = a.visible(q + 16 * m + 8 * i + lane / 4, count) - k - lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < NT; n++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (8 * n + e >= seen)
                        s[m][n][2 * i + e] = -INFINITY;
        }
}

/* out[q] = sum over visible k of m p[k] v[k],  p = softmax(q . k / sqrt(D));  lse[q] = log sum exp
 * qkv (B,T,3C) of rows [q | k | v], out (B,T,C), lse (B,H,T) or null; m: dropout's factors. Block: S::rows queries of
 * one head (work_tile_of); a warp owns 32 of them. One barrier per tile of keys: after it the tile is visible to all
 * warps and the other buffer is free. */
template <int DP, bool drops> __global__ void __launch_bounds__(FLASH_THREADS, 2) flash_forward(Attention<bf16> a)
{
    using S = Shape<DP, drops>;
    constexpr int MT = S::MT;
    DYNAMIC_SHARED(bf16, queries);
    bf16 *stages = queries + S::rows * TILE_STRIDE<DP>;
    WorkTile w = work_tile_of(a, (a.T + S::rows - 1) / S::rows, true);
    int lane = threadIdx.x % WARP, tile0 = w.tile * S::rows, row0 = tile0 + threadIdx.x / WARP * 16 * MT;
    int count = a.keys_of(w.b), end = a.visible(min(tile0 + S::rows, a.T) - 1, count);
    const bf16 *keys = a.qkv + a.qkv_at(w.b, w.h, 1), *values = a.qkv + a.qkv_at(w.b, w.h, 2);
    load_tile<DP, S::rows>(queries, a.qkv + a.qkv_at(w.b, w.h, 0), a.qkv_stride(), tile0, a.T, a.D);
    cp_async_commit();
    load_tile<DP, S::keys>(stages, keys, a.qkv_stride(), 0, count, a.D);
    load_tile<DP, S::keys>(stages + S::tile, values, a.qkv_stride(), 0, count, a.D);
    cp_async_commit();
    cp_async_wait(1);
    __syncthreads();
    Rows<DP, MT, S::IN_REGISTERS> q;
    q.open(queries);
    float sum[MT][DP / 8][4] = {}, times[MT][2];
    Softmax<MT> softmax = {};
#pragma unroll
    for (int m = 0; m < MT; m++)
        softmax.row_max[m][0] = softmax.row_max[m][1] = -INFINITY;
    for (int k0 = 0, stage = 0; k0 < end; k0 += S::keys, stage ^= 1) {
        bf16 *tile = stages + stage * 2 * S::tile, *next = stages + (stage ^ 1) * 2 * S::tile;
        cp_async_wait(0);
        __syncthreads();
        if (k0 + S::keys < end) {
            load_tile<DP, S::keys>(next, keys, a.qkv_stride(), k0 + S::keys, count, a.D);
            load_tile<DP, S::keys>(next + S::tile, values, a.qkv_stride(), k0 + S::keys, count, a.D);
            cp_async_commit();
        }
        if (k0 >= a.visible(row0 + 16 * MT - 1, count))
            continue; /* above the diagonal for this warp; the first tile never is, so row_max is finite after it */
        unsigned kept[MT];
        if (drops) {
            Draws draws;
            draws.open(a, w);
            kept_by_query<MT, S::NT>(kept, draws, row0, k0);
        }
        float s[MT][S::NT][4];
        multiply(s, q, tile, 0);
        if (k0 + S::keys > a.visible(row0, count))
            hide(s, a, row0, k0, count);
        softmax.step(s, sum, a.scale * LOG2_E);
        if (drops)
            drop(s, kept, a.mask.scale);
        weigh<DP>(sum, s, tile + S::tile, 0);
    }
    cp_async_wait(0);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float total = softmax.total[m][i];
            total += __shfl_xor_sync(ALL_LANES, total, 1);
            total += __shfl_xor_sync(ALL_LANES, total, 2);
            times[m][i] = end > 0 ? 1 / total : 0;
            int row = row0 + 16 * m + 8 * i + lane / 4;
            if (a.lse && lane % 4 == 0 && row < a.T)
                a.lse[a.row_at(w.b, w.h) + row] = softmax.row_max[m][i] * a.scale + logf(total);
        }
    store_rows<DP, MT>(a.out + a.out_at(w.b, w.h), a.out_stride(), row0, a.T, a.D, queries, sum, times);
}

template <int DP, bool drops> void run_with(gp_backend *be, const Attention<bf16> &a)
{
    using S = Shape<DP, drops>;
    auto kernel = flash_forward<DP, drops>;
    allow_shared(be, kernel, S::bytes);
    RUN(be, kernel, attention_blocks(a, S::rows), FLASH_THREADS, S::bytes, a);
}

template <int DP> void run(gp_backend *be, const Attention<bf16> &a)
{
    if (a.mask.step)
        run_with<DP, true>(be, a);
    else
        run_with<DP, false>(be, a);
}

} // namespace

void attention_forward_flash(gp_backend *be, const Attention<bf16> &a)
{
    if (a.D <= 16)
        run<16>(be, a);
    else if (a.D <= 32)
        run<32>(be, a);
    else if (a.D <= 64)
        run<64>(be, a);
    else if (a.D <= 96)
        run<96>(be, a);
    else
        run<128>(be, a);
}
