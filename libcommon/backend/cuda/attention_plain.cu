/* attention_plain.cu: attention without tensor cores: head size <= 256, fp32 and bf16, all arithmetic in fp32.
 *
 * Both passes iterate over tiles of scores that stay on the chip (Dao et al. 2022). A warp owns R rows of the tile, and
 * lane i its column i; so a score is the product of a row that all lanes read (a broadcast of 16 bytes) and of the
 * lane's own column (rows of shared memory are padded by 4 floats, so that the 16-byte reads of 8 lanes cover all 32
 * banks). In the second product the lanes own columns i, i+32, ... of the result. R shrinks as the head size grows, so
 * that the accumulators stay in 16 registers. */
#include "backend/cuda/attention.cuh"

namespace
{

constexpr int WARPS = 4, THREADS = WARPS * WARP, COLUMNS = WARP; /* keys per tile, one per lane */

/* NV: columns of a head per lane. */
template <int NV> struct Plain {
    static constexpr int R = NV <= 2 ? 8 : 16 / NV, rows = WARPS * R; /* per warp, per block */
    static constexpr int width = NV * WARP, stride = width + 4;       /* of a row of a head in shared memory */
    static constexpr int weights = rows * COLUMNS;                    /* elements of a tile of probabilities */
};

/* Loads rows first .. of a head into shared memory as fp32; zeros past the end of the sequence and of the head. */
template <class E, int NV>
__device__ __forceinline__ void load_tile_fp32(float *to, const Attention<E> &a, const E *from, int64_t stride,
                                               int first, int rows)
{
    constexpr int size = Pack<E>::size, width = Plain<NV>::width;
    if (a.aligned) {
#pragma unroll 2
        for (int i = threadIdx.x; i < rows * width / size; i += THREADS) {
            int row = i / (width / size), d = i % (width / size) * size;
            Pack<E> p = {};
            if (first + row < a.T && d < a.D)
                p = load_pack(from + (first + row) * stride + d);
#pragma unroll
            for (int k = 0; k < size; k++)
                to[row * Plain<NV>::stride + d + k] = to_float(p.v[k]);
        }
        return;
    }
#pragma unroll 2
    for (int i = threadIdx.x; i < rows * width; i += THREADS) {
        int row = i / width, d = i % width;
        bool there = first + row < a.T && d < a.D;
        to[row * Plain<NV>::stride + d] = there ? to_float(from[(first + row) * stride + d]) : 0;
    }
}

/* Rounds to E: in bf16 the weights of values, keys and queries are rounded as for a tensor core. */
template <class E> __device__ __forceinline__ float rounded(float x)
{
    return to_float(from_float<E>(x));
}

/* s[r] = rows[r] . column, over the head size */
template <int NV>
__device__ __forceinline__ void scores(float (&s)[Plain<NV>::R], const float *rows, const float *column)
{
#pragma unroll
    for (int r = 0; r < Plain<NV>::R; r++)
        s[r] = 0;
#pragma unroll 1
    for (int d = 0; d < Plain<NV>::width; d += 4) {
        Pack<float> c = load_pack(column + d);
#pragma unroll
        for (int r = 0; r < Plain<NV>::R; r++) {
            Pack<float> x = load_pack(rows + r * Plain<NV>::stride + d);
#pragma unroll
            for (int k = 0; k < 4; k++)
                s[r] += x.v[k] * c.v[k];
        }
    }
}

/* sum[r][j] += sum over the tile's columns c of weights[r][c] tile[c][lane + 32 j] */
template <int NV>
__device__ __forceinline__ void weigh(float (&sum)[Plain<NV>::R][NV], const float *weights, const float *tile)
{
#pragma unroll 1
    for (int c = 0; c < COLUMNS; c += 4) {
        float x[4][NV];
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int j = 0; j < NV; j++)
                x[k][j] = tile[(c + k) * Plain<NV>::stride + j * WARP + threadIdx.x % WARP];
#pragma unroll
        for (int r = 0; r < Plain<NV>::R; r++) {
            Pack<float> w = load_pack(weights + r * COLUMNS + c);
#pragma unroll
            for (int k = 0; k < 4; k++)
#pragma unroll
                for (int j = 0; j < NV; j++)
                    sum[r][j] += w.v[k] * x[k][j];
        }
    }
}

/* out[row][lane + 32 j] = sum[r][j] * times[r], for a warp's rows first .. of a head */
template <class E, int NV>
__device__ __forceinline__ void store_rows(const Attention<E> &a, E *out, int64_t stride, int first,
                                           const float (&sum)[Plain<NV>::R][NV], const float (&times)[Plain<NV>::R])
{
#pragma unroll
    for (int r = 0; r < Plain<NV>::R; r++)
#pragma unroll
        for (int j = 0; j < NV; j++) {
            int d = j * WARP + threadIdx.x % WARP;
            if (first + r < a.T && d < a.D)
                out[(first + r) * stride + d] = from_float<E>(sum[r][j] * times[r]);
        }
}

/* Writes dropout's factors of a warp's tile to `weights`: rows are queries and columns keys or, with by_keys, the other
 * way round. One Philox draw covers four neighbouring keys; where rows of T keys do not start at a draw, each element
 * computes its own. */
template <class E, int NV, bool by_keys>
__device__ __forceinline__ void drop_factors(const Attention<E> &a, WorkTile w, int row0, int column0, float *weights)
{
    constexpr int R = Plain<NV>::R;
    int lane = threadIdx.x % WARP;
    int64_t query0 = static_cast<int64_t>(w.h) * a.T; /* the elements of query q start at (query0 + q) * T */
    float f[4];
    if (a.T % 4 || R % 4) {
        for (int r = 0; r < R; r++) {
            int q = by_keys ? column0 + lane : row0 + r, k = by_keys ? row0 + r : column0 + lane;
            weights[r * COLUMNS + lane] = mask_factor(a.mask, w.b, (query0 + q) * a.T + k);
        }
    } else if (by_keys) {
        for (int r = 0; r < R; r += 4) {
            mask_factors(a.mask, w.b, ((query0 + column0 + lane) * a.T + row0 + r) / 4, f);
#pragma unroll
            for (int k = 0; k < 4; k++)
                weights[(r + k) * COLUMNS + lane] = f[k];
        }
    } else {
        for (int i = lane; i < R * COLUMNS / 4; i += WARP) {
            int r = i / (COLUMNS / 4), k = i % (COLUMNS / 4) * 4;
            mask_factors(a.mask, w.b, ((query0 + row0 + r) * a.T + column0 + k) / 4, f);
#pragma unroll
            for (int e = 0; e < 4; e++)
                weights[r * COLUMNS + k + e] = f[e];
        }
    }
    __syncwarp();
}

/* out[q] = sum over visible k of m p[k] v[k],  p = softmax(q . k / sqrt(D));  lse[q] = log sum exp
 * qkv (B,T,3C) of rows [q | k | v], out (B,T,C), lse (B,H,T); m: dropout's factors. Block: Plain<NV>::rows queries of
 * one head (work_tile_of), a warp owns R of them. Online softmax: it iterates over the keys, 32 at a time, with a
 * running maximum and sum of each row, in base 2. */
template <class E, int NV> __global__ void __launch_bounds__(THREADS, 3) forward_plain(Attention<E> a)
{
    using P = Plain<NV>;
    DYNAMIC_SHARED(float, queries);
    float *keys = queries + P::rows * P::stride, *values = keys + COLUMNS * P::stride;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float *weights = values + COLUMNS * P::stride + warp * P::R * COLUMNS;
    WorkTile w = work_tile_of(a, (a.T + P::rows - 1) / P::rows, true);
    int tile0 = w.tile * P::rows, row0 = tile0 + warp * P::R, count = a.keys_of(w.b);
    int end = a.visible(min(tile0 + P::rows, a.T) - 1, count);
    const E *qkv = a.qkv + a.qkv_at(w.b, w.h, 0);
    float sum[P::R][NV] = {}, row_max[P::R], total[P::R] = {}, s[P::R], times[P::R];
#pragma unroll
    for (int r = 0; r < P::R; r++)
        row_max[r] = -INFINITY;
    load_tile_fp32<E, NV>(queries, a, qkv, a.qkv_stride(), tile0, P::rows);
    /* the first key is visible to all rows, so row_max is finite after it */
    for (int k0 = 0; k0 < end; k0 += COLUMNS) {
        __syncthreads();
        load_tile_fp32<E, NV>(keys, a, a.qkv + a.qkv_at(w.b, w.h, 1), a.qkv_stride(), k0, COLUMNS);
        load_tile_fp32<E, NV>(values, a, a.qkv + a.qkv_at(w.b, w.h, 2), a.qkv_stride(), k0, COLUMNS);
        __syncthreads();
        scores<NV>(s, queries + warp * P::R * P::stride, keys + lane * P::stride);
        if (a.mask.step)
            drop_factors<E, NV, false>(a, w, row0, k0, weights);
#pragma unroll
        for (int r = 0; r < P::R; r++) {
            float score = k0 + lane < a.visible(row0 + r, count) ? s[r] * (a.scale * LOG2_E) : -INFINITY;
            float new_max = fmaxf(row_max[r], warp_max(score)), rescale = exp2f(row_max[r] - new_max),
                  p = exp2f(score - new_max);
            row_max[r] = new_max;
            total[r] = total[r] * rescale + p;
#pragma unroll
            for (int j = 0; j < NV; j++)
                sum[r][j] *= rescale;
            weights[r * COLUMNS + lane] = rounded<E>(a.mask.step ? p * weights[r * COLUMNS + lane] : p);
        }
        __syncwarp();
        weigh<NV>(sum, weights, values);
    }
#pragma unroll
    for (int r = 0; r < P::R; r++) {
        total[r] = warp_sum(total[r]);
        times[r] = end > 0 ? 1 / total[r] : 0;
        if (a.lse && lane == 0 && row0 + r < a.T)
            a.lse[a.row_at(w.b, w.h) + row0 + r] = row_max[r] * LN_2 + logf(total[r]);
    }
    store_rows<E, NV>(a, a.out + a.out_at(w.b, w.h), a.out_stride(), row0, sum, times);
}

/* rows[q] = {lse[q] log2(e), dout[q] . out[q]}          dout, out (B,T,C); lse, rows (B,H,T)
 * One warp per row of a head. */
template <class E> __global__ void rows_plain(Attention<E> a)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * WARPS + threadIdx.x / WARP; /* (b, t, h) */
    if (i >= static_cast<int64_t>(a.B) * a.T * a.H)
        return;
    float sum = 0;
    for (int d = threadIdx.x % WARP; d < a.D; d += WARP)
        sum += to_float(a.dout[i * a.D + d]) * to_float(a.out[i * a.D + d]);
    sum = warp_sum(sum);
    int64_t n = i / a.H, h = i % a.H, row = (n / a.T * a.H + h) * a.T + n % a.T;
    if (threadIdx.x % WARP == 0)
        a.rows[row] = make_float2(a.lse[row] * LOG2_E, sum);
}

/* With s = q . k / sqrt(D), p = exp(s - lse), m dropout's factor, out = sum m p v:
 *   ds = p (m (dout . v) - delta),  dq = sum over k of ds k / sqrt(D)
 *   dk = sum over q of ds q / sqrt(D),  dv = sum over q of m p dout
 * qkv, dqkv (B,T,3C), dout (B,T,C), lse and delta (B,H,T). Block: Plain<NV>::rows queries of one head; it iterates over
 * the keys and writes dq. With by_keys: as many keys; it iterates over the queries and writes dk and dv. So every sum
 * is accumulated by one warp, in order, and scores are computed twice. */
template <class E, int NV, bool by_keys> __global__ void __launch_bounds__(THREADS, 3) backward_plain(Attention<E> a)
{
    using P = Plain<NV>;
    DYNAMIC_SHARED(float, rows);                                                                 /* queries or keys, */
    float *row_others = rows + P::rows * P::stride, *columns = row_others + P::rows * P::stride; /* dout or values */
    float *column_others = columns + COLUMNS * P::stride, *weights = column_others + COLUMNS * P::stride;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warp_row = warp * P::R;
    float *ds = weights + warp_row * COLUMNS, *mp = ds + P::weights; /* the warp's own tiles */
    WorkTile w = work_tile_of(a, (a.T + P::rows - 1) / P::rows, !by_keys);
    int tile0 = w.tile * P::rows, row0 = tile0 + warp_row, count = a.keys_of(w.b);
    int begin = by_keys && a.causal ? tile0 / COLUMNS * COLUMNS : 0;
    int end = by_keys ? (tile0 < count ? a.T : 0) : a.visible(min(tile0 + P::rows, a.T) - 1, count);
    const E *q_rows = a.qkv + a.qkv_at(w.b, w.h, 0), *k_rows = a.qkv + a.qkv_at(w.b, w.h, 1);
    const E *v_rows = a.qkv + a.qkv_at(w.b, w.h, 2), *dout = a.dout + a.out_at(w.b, w.h);
    const float2 *statistics = a.rows + a.row_at(w.b, w.h);
    float sum[P::R][NV] = {}, dv[P::R][NV] = {}, s[P::R], dp[P::R], times[P::R], one[P::R];
    load_tile_fp32<E, NV>(rows, a, by_keys ? k_rows : q_rows, a.qkv_stride(), tile0, P::rows);
    load_tile_fp32<E, NV>(row_others, a, by_keys ? v_rows : dout, by_keys ? a.qkv_stride() : a.out_stride(), tile0,
                          P::rows);
    for (int c0 = begin; c0 < end; c0 += COLUMNS) {
        __syncthreads();
        load_tile_fp32<E, NV>(columns, a, by_keys ? q_rows : k_rows, a.qkv_stride(), c0, COLUMNS);
        load_tile_fp32<E, NV>(column_others, a, by_keys ? dout : v_rows, by_keys ? a.out_stride() : a.qkv_stride(), c0,
                              COLUMNS);
        __syncthreads();
        scores<NV>(s, rows + warp_row * P::stride, columns + lane * P::stride);
        scores<NV>(dp, row_others + warp_row * P::stride, column_others + lane * P::stride);
        if (a.mask.step)
            drop_factors<E, NV, by_keys>(a, w, row0, c0, mp);
#pragma unroll
        for (int r = 0; r < P::R; r++) {
            int q = by_keys ? c0 + lane : row0 + r, k = by_keys ? row0 + r : c0 + lane;
            float p = 0, m = a.mask.step ? mp[r * COLUMNS + lane] : 1, delta = 0;
            if (q < a.T && k < a.visible(q, count)) {
                float2 row = statistics[q];
                /* clamped to 1: for scores of a million the rounding error of lse in fp32 would make p larger */
                p = exp2f(fminf(0, s[r] * (a.scale * LOG2_E) - row.x));
                delta = row.y;
            }
            ds[r * COLUMNS + lane] = rounded<E>(p * (m * dp[r] - delta));
            mp[r * COLUMNS + lane] = rounded<E>(m * p);
        }
        __syncwarp();
        weigh<NV>(sum, ds, columns);
        if (by_keys)
            weigh<NV>(dv, mp, column_others);
    }
#pragma unroll
    for (int r = 0; r < P::R; r++) {
        times[r] = a.scale;
        one[r] = 1;
    }
    store_rows<E, NV>(a, a.dqkv + a.qkv_at(w.b, w.h, by_keys ? 1 : 0), a.qkv_stride(), row0, sum, times);
    if (by_keys)
        store_rows<E, NV>(a, a.dqkv + a.qkv_at(w.b, w.h, 2), a.qkv_stride(), row0, dv, one);
}

template <class E, int NV> void run_forward(gp_backend *be, const Attention<E> &a)
{
    using P = Plain<NV>;
    size_t bytes = ((P::rows + 2 * COLUMNS) * P::stride + P::weights) * sizeof(float);
    auto kernel = forward_plain<E, NV>;
    allow_shared(be, kernel, bytes);
    RUN(be, kernel, attention_blocks(a, P::rows), THREADS, bytes, a);
}

template <class E, int NV, bool by_keys> void run_backward(gp_backend *be, const Attention<E> &a)
{
    using P = Plain<NV>;
    size_t bytes = (2 * (P::rows + COLUMNS) * P::stride + 2 * P::weights) * sizeof(float);
    auto kernel = backward_plain<E, NV, by_keys>;
    allow_shared(be, kernel, bytes);
    RUN(be, kernel, attention_blocks(a, P::rows), THREADS, bytes, a);
}

template <class E, int NV> void run_both(gp_backend *be, const Attention<E> &a)
{
    run_backward<E, NV, true>(be, a);
    run_backward<E, NV, false>(be, a);
}

} // namespace

template <class E> void attention_forward_plain(gp_backend *be, const Attention<E> &a)
{
    if (a.D <= 32)
        run_forward<E, 1>(be, a);
    else if (a.D <= 64)
        run_forward<E, 2>(be, a);
    else if (a.D <= 128)
        run_forward<E, 4>(be, a);
    else
        run_forward<E, 8>(be, a);
}

template <class E> void attention_backward_plain(gp_backend *be, const Attention<E> &a)
{
    RUN(be, rows_plain<E>, blocks_for(int64_t{a.B} * a.T * a.H, WARPS), THREADS, 0, a);
    if (a.D <= 32)
        run_both<E, 1>(be, a);
    else if (a.D <= 64)
        run_both<E, 2>(be, a);
    else if (a.D <= 128)
        run_both<E, 4>(be, a);
    else
        run_both<E, 8>(be, a);
}

template void attention_forward_plain<float>(gp_backend *, const Attention<float> &);
template void attention_forward_plain<bf16>(gp_backend *, const Attention<bf16> &);
template void attention_backward_plain<float>(gp_backend *, const Attention<float> &);
template void attention_backward_plain<bf16>(gp_backend *, const Attention<bf16> &);
