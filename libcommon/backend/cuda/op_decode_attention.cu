/* op_decode_attention.cu: one query a row against its cache ("flash decoding", Dao et al. 2023).
 *
 *     out[b,h] = softmax(q . k / sqrt(D)) v over k, v at 0..positions[b]      q, k, v: qkv (B,3C) joined to the cache
 *
 * The cache is cut into SPANs of positions. A block owns one span of one head of one row, so that a single row fills
 * a GPU when there is much to read; a block whose span lies behind the row's position ends at once, and a row of one
 * span is done by its block alone. Of several, each leaves its share in the workspace, and the last to come adds all
 * of them, in their order: the bits depend on the row alone. */
#include "backend/cuda/early.cuh"
#include "backend/cuda/kernel.cuh"

namespace
{

constexpr int SPAN = 256, WARPS = 8, THREADS = WARPS * 32;

template <class T> struct AttentionDecode {
    const int32_t *positions;
    const T *qkv; /* (B,3C) */
    T *k, *v;     /* (B,H,P,D) */
    T *out;       /* (B,C) */
    int H, D, P;
    float scale;       /* log2(e) / divisor: probabilities are powers of two */
    float *shares;     /* (B*H, spans, D + 2): sum of 2^(s - max) v, then max, then sum of 2^(s - max) */
    unsigned *tickets; /* (B*H), 0 before and after */
};

/* 2^(x - max), and 0 where there is nothing yet: max is -inf. */
__device__ __forceinline__ float power(float x, float max)
{
    return exp2f(x - (max == -INFINITY ? 0 : max));
}

/* A block's span. */
struct Span {
    int64_t head; /* b * H + h */
    int b, h, begin, end, position;
};

template <class T> __device__ __forceinline__ Span span_of(const AttentionDecode<T> &a)
{
    Span s;
    s.head = blockIdx.x;
    s.b = static_cast<int>(blockIdx.x) / a.H;
    s.h = static_cast<int>(blockIdx.x) % a.H;
    s.begin = static_cast<int>(blockIdx.y) * SPAN;
    s.position = a.positions[s.b];
    s.end = s.position + 1 < s.begin + SPAN ? s.position + 1 : s.begin + SPAN;
    return s;
}

/* ---- how spans meet -------------------------------------------------------------------------------------- */

/* The sum of all shares of a head, by the block that came last. */
template <class T>
__device__ void add_shares(const AttentionDecode<T> &a, const Span &s, const float *shares, int spans)
{
    int pitch = a.D + 2;
    float max = -INFINITY, sum = 0;
    for (int i = 0; i < spans; i++)
        max = fmaxf(max, __ldcg(shares + i * pitch + a.D));
    for (int i = 0; i < spans; i++)
        sum += __ldcg(shares + i * pitch + a.D + 1) * power(__ldcg(shares + i * pitch + a.D), max);
    for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS) {
        float total = 0;
        for (int i = 0; i < spans; i++)
            total += __ldcg(shares + i * pitch + d) * power(__ldcg(shares + i * pitch + a.D), max);
        a.out[s.head * a.D + d] = from_float<T>(total / sum);
    }
}

/* What a block has found in its span: values (D) in shared memory, weighed by 2^(s - max), whose sum is sum. All of its
 * threads come. */
template <class T>
__device__ void finish_span(const AttentionDecode<T> &a, const Span &s, const float *values, float max, float sum)
{
    SHARED(bool, last, [1]);
    int spans = s.position / SPAN + 1, pitch = a.D + 2;
    if (spans == 1) {
        for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS)
            a.out[s.head * a.D + d] = from_float<T>(values[d] / sum);
        return;
    }
    float *shares = a.shares + s.head * gridDim.y * pitch, *mine = shares + s.begin / SPAN * pitch;
    for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS)
        mine[d] = values[d];
    if (threadIdx.x == 0) {
        mine[a.D] = max;
        mine[a.D + 1] = sum;
    }
    __threadfence(); /* the share is there before the ticket is drawn */
    __syncthreads();
    if (threadIdx.x == 0) {
        last[0] = atomicAdd(&a.tickets[s.head], 1u) == static_cast<unsigned>(spans) - 1;
        if (last[0])
            a.tickets[s.head] = 0; /* for the next launch */
    }
    __syncthreads();
    if (!last[0])
        return;
    __threadfence();
    add_shares(a, s, shares, spans);
}

/* ---- sixteen bytes at a time ----------------------------------------------------------------------------- */

/* As they are loaded, until each number is used: with eight bf16 ptxas keeps a register for each on sm_100, and
 * spills. */
using Words = Pack<uint32_t>;

template <class T> __device__ __forceinline__ Words load_words(const T *p)
{
    return load_pack(reinterpret_cast<const uint32_t *>(p));
}
template <class T> __device__ __forceinline__ void store_words(T *p, const Words &w)
{
    store_pack(reinterpret_cast<uint32_t *>(p), w);
}

/* Number i of the words' T; a bf16 is the upper half of a float. */
template <class T> __device__ __forceinline__ float number_of(const Words &w, int i)
{
    if (sizeof(T) == sizeof(float))
        return __uint_as_float(w.v[i]);
    return __uint_as_float(i % 2 ? w.v[i / 2] & 0xffff0000u : w.v[i / 2] << 16);
}

/* The state of LANES lanes that share their positions: a running maximum, and sums relative to it; of the values each
 * lane has PACK columns. */
template <class T> struct Running {
    static constexpr int PACK = Pack<T>::size;
    float max, sum, values[PACK];

    /* Makes max the larger of it and m. */
    __device__ __forceinline__ void raise(float m)
    {
        float larger = fmaxf(max, m), factor = power(max, larger);
        max = larger;
        sum *= factor;
#pragma unroll
        for (int i = 0; i < PACK; i++)
            values[i] *= factor;
    }

    /* A score that is not above max. */
    __device__ __forceinline__ void add(float score, const Words &value)
    {
        float weight = power(score, max);
        sum += weight;
#pragma unroll
        for (int i = 0; i < PACK; i++)
            values[i] = fmaf(weight, number_of<T>(value, i), values[i]);
    }
};

/* q . k, in each of LANES lanes that hold a pack of either. */
template <class T, int LANES> __device__ __forceinline__ float dot_of(const Words &q, const Words &k)
{
    float dot = 0;
#pragma unroll
    for (int i = 0; i < Pack<T>::size; i++)
        dot = fmaf(number_of<T>(q, i), number_of<T>(k, i), dot);
#pragma unroll
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        dot += __shfl_xor_sync(ALL_LANES, dot, offset);
    return dot;
}

/* D <= LANES * PACK. LANES lanes of a warp read a key or a value, a pack each; 32 / LANES positions are a warp's at
 * once. AHEAD keys and as many values of a lane are under way: at D = 64 in bf16 that is the block's whole span, 64
 * KB, and 128 KB on each processor (an H200 wants 25). The newest key and value are not in the cache yet: lanes 0 ..
 * LANES - 1 of the last span put them there, and count them from qkv. The others, and the positions, were there before
 * this pass began, so that they come while the ops before are still at work. */
template <class T, int LANES> __global__ void __launch_bounds__(THREADS, 2) attend_packs(AttentionDecode<T> a)
{
    constexpr int PACK = Pack<T>::size, GROUPS = 32 / LANES, AHEAD = LANES == 8 || LANES == 16 ? 8 : 4;
    DYNAMIC_SHARED(float, shared); /* (WARPS, D + 2) */
    let_next_begin();
    Span s = span_of(a);
    if (s.begin > s.position)
        return;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    int column = lane % LANES * PACK, pitch = a.D + 2, cached = s.end <= s.position ? s.end : s.position;
    bool there = column < a.D, brings = threadIdx.x < LANES && s.end > s.position;
    const T *row = a.qkv + (static_cast<int64_t>(s.b) * 3 * a.H + s.h) * a.D + column;
    T *keys = a.k + s.head * a.P * a.D + column, *values = a.v + s.head * a.P * a.D + column;
    Words key[AHEAD], value[AHEAD], q = {}, new_key = {}, new_value = {};
    auto load = [&](int p) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            key[i] = value[i] = {};
            if (there && p + i * WARPS * GROUPS < cached) {
                int64_t at = static_cast<int64_t>(p + i * WARPS * GROUPS) * a.D;
                key[i] = load_words(keys + at);
                value[i] = load_words(values + at);
            }
        }
    };
    int p = s.begin + warp * GROUPS + lane / LANES;
    load(p);
    await_ops_before();
    if (there)
        q = load_words(row);
    if (there && brings) {
        new_key = load_words(row + a.H * a.D);
        new_value = load_words(row + 2 * a.H * a.D);
    }
    Running<T> r = {-INFINITY, 0, {}};
    for (int first = s.begin; first < cached; first += AHEAD * WARPS * GROUPS, p += AHEAD * WARPS * GROUPS) {
        float score[AHEAD], max = -INFINITY;
        if (first > s.begin)
            load(p);
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            float dot = dot_of<T, LANES>(q, key[i]);
            score[i] = p + i * WARPS * GROUPS < cached ? dot * a.scale : -INFINITY;
            max = fmaxf(max, score[i]);
        }
        r.raise(max);
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            r.add(score[i], value[i]);
    }
    float newest = dot_of<T, LANES>(q, new_key) * a.scale;
    if (brings) {
        r.raise(newest);
        r.add(newest, new_value);
        if (there) {
            store_words(keys + static_cast<int64_t>(s.position) * a.D, new_key);
            store_words(values + static_cast<int64_t>(s.position) * a.D, new_value);
        }
    }
#pragma unroll
    for (int offset = LANES; offset < 32; offset *= 2) {
        r.raise(__shfl_xor_sync(ALL_LANES, r.max, offset));
        r.sum += __shfl_xor_sync(ALL_LANES, r.sum, offset);
#pragma unroll
        for (int e = 0; e < PACK; e++)
            r.values[e] += __shfl_xor_sync(ALL_LANES, r.values[e], offset);
    }
    if (lane < LANES && there)
#pragma unroll
        for (int e = 0; e < PACK; e++)
            shared[warp * pitch + column + e] = r.values[e];
    if (lane == 0) {
        shared[warp * pitch + a.D] = r.max;
        shared[warp * pitch + a.D + 1] = r.sum;
    }
    __syncthreads();
    float max = -INFINITY, sum = 0, total = 0;
    int d = static_cast<int>(threadIdx.x);
    for (int w = 0; w < WARPS; w++)
        max = fmaxf(max, shared[w * pitch + a.D]);
    for (int w = 0; w < WARPS; w++) {
        float factor = power(shared[w * pitch + a.D], max);
        sum += factor * shared[w * pitch + a.D + 1];
        if (d < a.D)
            total += factor * shared[w * pitch + d];
    }
    __syncthreads();
    if (d < a.D)
        shared[d] = total; /* D <= 256: a thread each */
    __syncthreads();
    finish_span(a, s, shared, max, sum);
}

/* ---- any D ----------------------------------------------------------------------------------------------- */

/* A warp owns every WARPS-th position of the span, its lanes the columns; then a thread a position; then a column.
 * Four blocks a multiprocessor, 64 registers a thread: with fewer CUDA 12.4's ptxas, left to choose, spills. */
template <class T> __global__ void __launch_bounds__(THREADS, 4) attend_any(AttentionDecode<T> a)
{
    SHARED(float, score, [SPAN]);
    SHARED(float, scratch, [WARPS]);
    DYNAMIC_SHARED(float, total); /* (D) */
    static_assert(SPAN == THREADS, "a thread has one score");
    let_next_begin();
    await_ops_before();
    Span s = span_of(a);
    if (s.begin > s.position)
        return;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const T *row = a.qkv + (static_cast<int64_t>(s.b) * 3 * a.H + s.h) * a.D;
    T *keys = a.k + s.head * a.P * a.D, *values = a.v + s.head * a.P * a.D;
    for (int p = s.begin + warp; p < s.end; p += WARPS) {
        bool fresh = p == s.position; /* it joins the cache here */
        float dot = 0;
        for (int d = lane; d < a.D; d += 32) {
            int64_t at = static_cast<int64_t>(p) * a.D + d;
            if (fresh) {
                keys[at] = row[a.H * a.D + d];
                values[at] = row[2 * a.H * a.D + d];
            }
            dot = fmaf(to_float(row[d]), to_float(keys[at]), dot);
        }
        dot = warp_sum(dot);
        if (lane == 0)
            score[p - s.begin] = dot * a.scale;
    }
    __syncthreads();
    int mine = static_cast<int>(threadIdx.x);
    float x = s.begin + mine < s.end ? score[mine] : -INFINITY, max = warp_max(x);
    if (lane == 0)
        scratch[warp] = max;
    __syncthreads();
    for (int w = 0; w < WARPS; w++)
        max = fmaxf(max, scratch[w]);
    float weight = power(x, max);
    score[mine] = weight;
    __syncthreads();
    float sum = block_sum(weight, scratch);
    for (int d = mine; d < a.D; d += THREADS) {
        float column = 0;
        for (int p = s.begin; p < s.end; p++)
            column = fmaf(score[p - s.begin], to_float(values[static_cast<int64_t>(p) * a.D + d]), column);
        total[d] = column;
    }
    __syncthreads();
    finish_span(a, s, total, max, sum);
}

/* ---- the host's side ------------------------------------------------------------------------------------- */

size_t shares_bytes(int64_t heads, int64_t P, int64_t D)
{
    return static_cast<size_t>(heads * ((P + SPAN - 1) / SPAN) * (D + 2)) * sizeof(float);
}

template <class T> void launch(gp_backend *be, const AttentionDecode<T> &a, int64_t B)
{
    dim3 grid(static_cast<unsigned>(B * a.H), blocks_for(a.P, SPAN));
    size_t each = static_cast<size_t>(a.D + 2) * sizeof(float);
    int packs = packable<T>(a.D, a.qkv, a.k, a.v) ? a.D / Pack<T>::size : INT32_MAX;
    if (packs <= 4)
        RUN_EARLY(be, (attend_packs<T, 4>), grid, THREADS, WARPS * each, a);
    else if (packs <= 8)
        RUN_EARLY(be, (attend_packs<T, 8>), grid, THREADS, WARPS * each, a);
    else if (packs <= 16)
        RUN_EARLY(be, (attend_packs<T, 16>), grid, THREADS, WARPS * each, a);
    else if (packs <= 32)
        RUN_EARLY(be, (attend_packs<T, 32>), grid, THREADS, WARPS * each, a);
    else
        RUN_EARLY(be, attend_any<T>, grid, THREADS, each, a);
}

/* As many rows a launch as there are tickets. */
template <class T> void attend(gp_backend *be, const gp_attention_decode_op *op)
{
    int64_t B = op->qkv->dim[0], C = columns_of(op->qkv) / 3, H = op->heads, D = C / H, P = op->kv->k.dim[2];
    BUG_ON(H * D != C || op->kv->k.dim[1] != H || op->kv->k.dim[3] != D || op->kv->k.dim[0] < B || H > TICKETS);
    int64_t rows = gp_min(B, TICKETS / H);
    float *shares = static_cast<float *>(cuda_workspace(be, shares_bytes(rows * H, P, D)));
    for (int64_t b = 0; b < B; b += rows) {
        AttentionDecode<T> a = {};
        a.positions = op->positions + b;
        a.qkv = data_of<T>(op->qkv) + b * 3 * C;
        a.k = data_of<T>(&op->kv->k) + b * P * C;
        a.v = data_of<T>(&op->kv->v) + b * P * C;
        a.out = data_of<T>(op->out) + b * C;
        a.H = static_cast<int>(H);
        a.D = static_cast<int>(D);
        a.P = static_cast<int>(P);
        a.scale = static_cast<float>(1.4426950408889634 / gp_scores_divisor(op->divisor, D));
        a.shares = shares;
        a.tickets = state_of(be)->tickets;
        launch<T>(be, a, gp_min(rows, B - b));
    }
}

} // namespace

size_t gp_cuda_decode_workspace(const gp_backend *be, const gp_shape *shape)
{
    (void)be;
    int64_t heads = gp_min(static_cast<int64_t>(shape->B) * shape->H, TICKETS);
    return shares_bytes(heads, shape->cache, shape->C / shape->H);
}

void gp_cuda_attention_decode(gp_backend *be, const gp_attention_decode_op *op)
{
    with_type(be, [&](auto type) { attend<typename decltype(type)::type>(be, op); });
}
