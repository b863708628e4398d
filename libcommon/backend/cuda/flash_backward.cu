/* flash_backward.cu: attention's backward pass on the tensor cores: bf16, head size <= 128.
 *
 * With s = q . k / sqrt(D), p = exp(s - lse), m dropout's factor, out = sum m p v:
 *   delta = dout . out,  ds = p (m (dout . v) - delta)
 *   dq = sum over k of ds k / sqrt(D),  dk = sum over q of ds q / sqrt(D),  dv = sum over q of m p dout
 *
 * Three kernels: delta and lse, one row at a time; dk and dv, one tile of keys per block, over the queries that see
 * them; dq, one tile of queries per block, over the keys. Each sum is accumulated by one warp, in order, without
 * atomics. The price is that s and dout . v are computed twice: 7 products of T x T x D instead of 5 in one kernel. The
 * alternatives that are deterministic cost more. Take a layer of GPT-2 small with 16 x 1024 tokens: the 2 extra
 * products are 26 GFLOP, 0.06 ms at 400 TFLOP/s. With 5 products each tile of keys would write its partial dq to
 * memory, to be added later: dq has 12.6 million elements, each with 8.5 fp32 partial sums for tiles of 64, written and
 * read: 0.86 GB, 0.26 ms at an H100's 3.35 TB/s. And blocks that add in turn would wait for each other. */
#include "backend/cuda/flash.cuh"

namespace
{

/* rows[q] = {lse[q] log2(e), dout[q] . out[q]}          dout, out (B,T,C); lse, rows (B,H,T)
 * `lanes` neighbouring lanes (a power of 2) own one row of one head, 16 bytes per lane. */
__global__ void flash_rows(Attention<bf16> a, int lanes)
{
    int64_t i = (static_cast<int64_t>(blockIdx.x) * FLASH_THREADS + threadIdx.x) / lanes; /* (b, t, h) */
    int64_t rows = static_cast<int64_t>(a.B) * a.T * a.H;
    int d = static_cast<int>(threadIdx.x) % lanes * 8;
    float sum = 0;
    if (i < rows && d < a.D) {
        Pack<bf16> x = load_pack(a.dout + i * a.D + d), y = load_pack(a.out + i * a.D + d);
#pragma unroll
        for (int k = 0; k < 8; k++)
            sum += to_float(x.v[k]) * to_float(y.v[k]);
    }
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(ALL_LANES, sum, offset);
    int64_t n = i / a.H, h = i % a.H, row = (n / a.T * a.H + h) * a.T + n % a.T;
    if (i < rows && d == 0)
        a.rows[row] = make_float2(a.lse[row] * LOG2_E, sum);
}

/* p from a score, clamped to 1: for scores of a million the rounding error of lse in fp32 would make p larger. unit:
 * scale log2(e); lse2: lse log2(e). Past the last query lse2, dout and delta are zeros, so the value of p there has no
 * effect. */
__device__ __forceinline__ float probability(float s, float unit, float lse2)
{
    return power_of_2(fminf(0, fmaf(s, unit, -lse2)));
}

/* ---- dq -------------------------------------------------------------------------------------------------- */

/* rows: queries per block; keys: keys per tile, of which a warp takes `step` at a time. Registers per thread: DP MT / 2
 * for dq, step MT for the scores and their gradients and, if IN_REGISTERS, DP MT / 2 for the queries and dout. MT = 2
 * halves the shared-memory reads of the products, which for MT = 1 take as long as the tensor cores do. Shared memory
 * at DP = 64: 72 KiB; at 128: 68. */
template <int DP> struct QueryShape {
    static constexpr int MT = DP <= 64 ? 2 : 1, rows = 16 * MT * FLASH_WARPS, keys = DP <= 64 ? 64 : 32, step = 16;
    static constexpr bool IN_REGISTERS = DP <= 64;
    static constexpr int row_tile = rows * TILE_STRIDE<DP>, tile = keys * TILE_STRIDE<DP>;
    static constexpr size_t bytes = (2 * row_tile + 4 * tile) * sizeof(bf16);
};

/* s = p, and dp = dout . v becomes ds, for a warp's queries q .. and keys k ..; lse2, delta: of this lane's rows. */
template <int MT, int NT>
__device__ __forceinline__ void differentiate(float (&s)[MT][NT][4], float (&dp)[MT][NT][4], const Attention<bf16> &a,
                                              int q, int k, int count, const float (&lse2)[MT][2],
                                              const float (&delta)[MT][2])
{
    int lane = threadIdx.x % WARP;
    bool edge = k + 8 * NT > a.visible(q, count);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int seen = a.visible(q + 16 * m + 8 * i + lane / 4, count) - k - lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < NT; n++)
#pragma unroll
                for (int e = 2 * i; e < 2 * i + 2; e++) {
                    float p = probability(s[m][n][e], a.scale * LOG2_E, lse2[m][i]);
                    s[m][n][e] = edge && 8 * n + e % 2 >= seen ? 0 : p;
                    dp[m][n][e] = s[m][n][e] * (dp[m][n][e] - delta[m][i]);
                }
        }
}

/* dq in dqkv (B,T,3C), from qkv (B,T,3C), dout (B,T,C), lse and delta (B,H,T): equations above
 * Block: QueryShape<DP>::rows queries of one head (work_tile_of); a warp owns 16 MT of them and iterates over the
 * keys. */
template <int DP, bool drops>
__global__ void __launch_bounds__(FLASH_THREADS, 2) flash_backward_queries(Attention<bf16> a)
{
    using S = QueryShape<DP>;
    constexpr int MT = S::MT, NT = S::step / 8;
    DYNAMIC_SHARED(bf16, queries);
    bf16 *douts = queries + S::row_tile, *stages = douts + S::row_tile;
    WorkTile w = work_tile_of(a, (a.T + S::rows - 1) / S::rows, true);
    int lane = threadIdx.x % WARP, tile0 = w.tile * S::rows, row0 = tile0 + threadIdx.x / WARP * 16 * MT;
    int count = a.keys_of(w.b), end = a.visible(min(tile0 + S::rows, a.T) - 1, count);
    const bf16 *keys = a.qkv + a.qkv_at(w.b, w.h, 1), *values = a.qkv + a.qkv_at(w.b, w.h, 2);
    load_tile<DP, S::rows>(queries, a.qkv + a.qkv_at(w.b, w.h, 0), a.qkv_stride(), tile0, a.T, a.D);
    load_tile<DP, S::rows>(douts, a.dout + a.out_at(w.b, w.h), a.out_stride(), tile0, a.T, a.D);
    cp_async_commit();
    load_tile<DP, S::keys>(stages, keys, a.qkv_stride(), 0, count, a.D);
    load_tile<DP, S::keys>(stages + S::tile, values, a.qkv_stride(), 0, count, a.D);
    cp_async_commit();
    float lse2[MT][2], delta[MT][2], times[MT][2], sum[MT][DP / 8][4] = {};
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int q = row0 + 16 * m + 8 * i + lane / 4;
            float2 row = q < a.T ? a.rows[a.row_at(w.b, w.h) + q] : make_float2(0, 0);
            lse2[m][i] = row.x;
            delta[m][i] = row.y;
            times[m][i] = a.scale;
        }
    cp_async_wait(1);
    __syncthreads();
    Rows<DP, MT, S::IN_REGISTERS> q, dout;
    q.open(queries);
    dout.open(douts);
    for (int k0 = 0, stage = 0; k0 < end; k0 += S::keys, stage ^= 1) {
        bf16 *tile = stages + stage * 2 * S::tile, *next = stages + (stage ^ 1) * 2 * S::tile;
        cp_async_wait(0);
        __syncthreads();
        if (k0 + S::keys < end) {
            load_tile<DP, S::keys>(next, keys, a.qkv_stride(), k0 + S::keys, count, a.D);
            load_tile<DP, S::keys>(next + S::tile, values, a.qkv_stride(), k0 + S::keys, count, a.D);
            cp_async_commit();
        }
        int seen = a.visible(row0 + 16 * MT - 1, count); /* keys that the warp's last query sees */
#pragma unroll 1
        for (int k = 0; k < S::keys && k0 + k < seen; k += S::step) {
            unsigned kept[MT];
            if (drops) {
                Draws draws;
                draws.open(a, w);
                kept_by_query<MT, NT>(kept, draws, row0, k0 + k);
            }
            float s[MT][NT][4], dp[MT][NT][4];
            multiply(s, q, tile, k);
            multiply(dp, dout, tile + S::tile, k);
            if (drops)
                drop(dp, kept, a.mask.scale);
            differentiate(s, dp, a, row0, k0 + k, count, lse2, delta);
            weigh<DP>(sum, dp, tile, k);
        }
    }
    cp_async_wait(0);
    store_rows<DP, MT>(a.dqkv + a.qkv_at(w.b, w.h, 0), a.qkv_stride(), row0, a.T, a.D, queries, sum, times);
}

/* ---- dk and dv ------------------------------------------------------------------------------------------- */

/* rows: keys per block; queries: queries per tile, of which a warp takes `step` at a time. Registers per thread: DP for
 * dk and dv, step for the scores and their gradients and, if IN_REGISTERS, DP / 2 for the keys and values: too many for
 * MT = 2, few enough for a third block per multiprocessor. Shared memory at DP = 64: 55 KiB; at 128: 68. */
template <int DP> struct KeyShape {
    static constexpr int rows = 16 * FLASH_WARPS, queries = DP <= 64 ? 64 : 32, step = 16;
    static constexpr bool IN_REGISTERS = DP <= 64;
    static constexpr int row_tile = rows * TILE_STRIDE<DP>, tile = queries * TILE_STRIDE<DP>;
    static constexpr size_t bytes = (2 * row_tile + 4 * tile) * sizeof(bf16) + 2 * queries * sizeof(float2);
};

/* Issues cp.async loads of `rows` (lse, delta) for QUERIES queries; zeros past the end. */
template <int QUERIES>
__device__ __forceinline__ void load_rows(float2 *to, const Attention<bf16> &a, const float2 *rows, int first)
{
    int t = threadIdx.x;
    if (t < QUERIES)
        cp_async_8(to + t, rows + first + t, first + t < a.T);
}

/* As differentiate, transposed: keys k .. are the rows, queries q .. the columns, whose lse and delta are in shared
 * memory. */
template <int NT>
__device__ __forceinline__ void differentiate_by_key(float (&s)[1][NT][4], float (&dp)[1][NT][4],
                                                     const Attention<bf16> &a, int q, int k, int count,
                                                     const float2 *rows)
{
    int lane = threadIdx.x % WARP;
    bool edge = k + 16 > a.visible(q, count);
#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int column = 8 * n + lane % 4 * 2 + e % 2;
            float2 row = rows[column];
            float p = probability(s[0][n][e], a.scale * LOG2_E, row.x);
            s[0][n][e] = edge && k + lane / 4 + e / 2 * 8 >= a.visible(q + column, count) ? 0 : p;
            dp[0][n][e] = s[0][n][e] * (dp[0][n][e] - row.y);
        }
}

/* dk and dv in dqkv (B,T,3C), from qkv (B,T,3C), dout (B,T,C), lse and delta (B,H,T): equations above
 * Block: 64 keys of one head (work_tile_of), a warp owns 16 of them and iterates over the queries that see them. Scores
 * and their gradients are computed transposed, keys in rows, so that the weights of dout and of the queries are already
 * A operands. */
template <int DP, bool drops>
__global__ void __launch_bounds__(FLASH_THREADS, DP <= (drops ? 32 : 64) ? 3 : 2) flash_backward_keys(Attention<bf16> a)
{
    using S = KeyShape<DP>;
    constexpr int NT = S::step / 8;
    DYNAMIC_SHARED(bf16, keys);
    bf16 *values = keys + S::row_tile, *stages = values + S::row_tile;
    float2 *row_stages = reinterpret_cast<float2 *>(stages + 4 * S::tile);
    WorkTile w = work_tile_of(a, (a.T + S::rows - 1) / S::rows, false);
    int tile0 = w.tile * S::rows, row0 = tile0 + threadIdx.x / WARP * 16, count = a.keys_of(w.b);
    int begin = a.causal ? tile0 : 0, end = tile0 < count ? a.T : 0;
    int first = row0 < count ? (a.causal ? row0 : 0) : a.T; /* first query that sees a key of this warp */
    const float2 *rows = a.rows + a.row_at(w.b, w.h);
    const bf16 *queries = a.qkv + a.qkv_at(w.b, w.h, 0), *douts = a.dout + a.out_at(w.b, w.h);
    load_tile<DP, S::rows>(keys, a.qkv + a.qkv_at(w.b, w.h, 1), a.qkv_stride(), tile0, count, a.D);
    load_tile<DP, S::rows>(values, a.qkv + a.qkv_at(w.b, w.h, 2), a.qkv_stride(), tile0, count, a.D);
    cp_async_commit();
    load_tile<DP, S::queries>(stages, queries, a.qkv_stride(), begin, a.T, a.D);
    load_tile<DP, S::queries>(stages + S::tile, douts, a.out_stride(), begin, a.T, a.D);
    load_rows<S::queries>(row_stages, a, rows, begin);
    cp_async_commit();
    cp_async_wait(1);
    __syncthreads();
    Rows<DP, 1, S::IN_REGISTERS> k, v;
    k.open(keys);
    v.open(values);
    float dk[1][DP / 8][4] = {}, dv[1][DP / 8][4] = {};
    for (int q0 = begin, stage = 0; q0 < end; q0 += S::queries, stage ^= 1) {
        bf16 *tile = stages + stage * 2 * S::tile, *next = stages + (stage ^ 1) * 2 * S::tile;
        cp_async_wait(0);
        __syncthreads();
        if (q0 + S::queries < end) {
            load_tile<DP, S::queries>(next, queries, a.qkv_stride(), q0 + S::queries, a.T, a.D);
            load_tile<DP, S::queries>(next + S::tile, douts, a.out_stride(), q0 + S::queries, a.T, a.D);
            load_rows<S::queries>(row_stages + (stage ^ 1) * S::queries, a, rows, q0 + S::queries);
            cp_async_commit();
        }
#pragma unroll 1
        for (int q = 0; q < S::queries; q += S::step) {
            if (q0 + q + S::step <= first)
                continue;
            unsigned kept[1];
            if (drops) {
                Draws draws;
                draws.open(a, w);
                kept[0] = kept_by_key<NT>(draws, q0 + q, row0);
            }
            float s[1][NT][4], dp[1][NT][4];
            multiply(s, k, tile, q);
            multiply(dp, v, tile + S::tile, q);
            if (drops)
                drop(dp, kept, a.mask.scale);
            differentiate_by_key(s, dp, a, q0 + q, row0, count, row_stages + stage * S::queries + q);
            if (drops)
                drop(s, kept, a.mask.scale);
            weigh<DP>(dv, s, tile + S::tile, q);
            weigh<DP>(dk, dp, tile, q);
        }
    }
    cp_async_wait(0);
    float scale[1][2] = {{a.scale, a.scale}}, one[1][2] = {{1, 1}};
    store_rows<DP, 1>(a.dqkv + a.qkv_at(w.b, w.h, 1), a.qkv_stride(), row0, a.T, a.D, keys, dk, scale);
    store_rows<DP, 1>(a.dqkv + a.qkv_at(w.b, w.h, 2), a.qkv_stride(), row0, a.T, a.D, values, dv, one);
}

template <int DP, bool drops> void run_with(gp_backend *be, const Attention<bf16> &a)
{
    auto by_keys = flash_backward_keys<DP, drops>;
    auto by_queries = flash_backward_queries<DP, drops>;
    allow_shared(be, by_keys, KeyShape<DP>::bytes);
    allow_shared(be, by_queries, QueryShape<DP>::bytes);
    RUN(be, by_keys, attention_blocks(a, KeyShape<DP>::rows), FLASH_THREADS, KeyShape<DP>::bytes, a);
    RUN(be, by_queries, attention_blocks(a, QueryShape<DP>::rows), FLASH_THREADS, QueryShape<DP>::bytes, a);
}

template <int DP> void run(gp_backend *be, const Attention<bf16> &a)
{
    constexpr int lanes = DP <= 16 ? 2 : DP <= 32 ? 4 : DP <= 64 ? 8 : 16;
    int64_t threads = int64_t{a.B} * a.T * a.H * lanes;
    RUN(be, flash_rows, blocks_for(threads, FLASH_THREADS), FLASH_THREADS, 0, a, lanes);
    if (a.mask.step)
        run_with<DP, true>(be, a);
    else
        run_with<DP, false>(be, a);
}

} // namespace

void attention_backward_flash(gp_backend *be, const Attention<bf16> &a)
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
