/* op_attention_cached.cu: new tokens' queries against a cache ("flash decoding", Dao et al. 2023); a prompt's too,
 * whose attention is that of a whole sequence (op_attention.cu).
 *
 *     out[b,t,h] = softmax(q . k / sqrt(D)) v over k, v at 0..positions[b,t]  q, k, v: qkv (B,T,3C) joined to the cache
 *
 * The cache is cut into SPANs of positions. A block owns one span of one head of one query, so that a single query
 * fills a GPU when there is much to read; a block whose span lies after the query's position ends at once, and a query
 * of one span is done by its block alone. Of several, each leaves its share in the workspace, and the last to come adds
 * all of them, in their order: the bits depend on the query and its position alone. */
#include "backend/cuda/pdl.cuh"
#include "backend/cuda/kernel.cuh"

namespace
{

constexpr int SPAN = 256, WARPS = 8, THREADS = WARPS * 32;

/* Queries that one launch takes of more: as many as decoding takes rows where T is 1, else as many as this. */
constexpr int64_t QUERIES = 64;

template <class E> struct AttentionCached {
    const int32_t *positions; /* (B,T) */
    const E *qkv;             /* (B,T,3C) */
    E *k, *v;                 /* (B,H,P,D) */
    E *out;                   /* (B,T,C) */
    int T, H, D, P;
    float scale;       /* log2(e) / divisor: probabilities are powers of two */
    float *shares;     /* (B*T*H, spans, D + 2): sum of 2^(s - max) v, then max, then sum of 2^(s - max) */
    unsigned *tickets; /* (B*T*H), 0 before and after */
};

/* 2^(x - max), and 0 where there is nothing yet: max is -inf. */
__device__ __forceinline__ float power(float x, float max)
{
    return exp2f(x - (max == -INFINITY ? 0 : max));
}

/* A block's span: blocks are (B*H, spans, T). one: T is 1, as in decoding, whose kernels have no register to spare. */
struct Span {
    int64_t head;                   /* of the cache: b * H + h */
    int n, h, begin, end, position; /* query b * T + t */
};

/* The place of the block's head of a query in out, and in the shares and tickets of this launch. */
template <bool one> __device__ __forceinline__ int64_t out_number(const Span &s, int H)
{
    return one ? s.head : static_cast<int64_t>(s.n) * H + s.h;
}
template <bool one> __device__ __forceinline__ int64_t share_number(const Span &s)
{
    return one ? s.head : static_cast<int64_t>(blockIdx.z) * gridDim.x + s.head;
}

template <bool one, class E> __device__ __forceinline__ Span span_of(const AttentionCached<E> &a)
{
    Span s;
    s.head = blockIdx.x;
    s.h = static_cast<int>(blockIdx.x) % a.H;
    s.n = static_cast<int>(blockIdx.x) / a.H;
    if (!one)
        s.n = s.n * a.T + static_cast<int>(blockIdx.z);
    s.begin = static_cast<int>(blockIdx.y) * SPAN;
    s.position = a.positions[s.n];
    s.end = s.position + 1 < s.begin + SPAN ? s.position + 1 : s.begin + SPAN;
    return s;
}

/* ---- how spans meet -------------------------------------------------------------------------------------- */

/* The sum of all shares of a head, by the block that came last. */
template <bool one, class T>
__device__ void add_shares(const AttentionCached<T> &a, const Span &s, const float *shares, int spans)
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
        a.out[out_number<one>(s, a.H) * a.D + d] = from_float<T>(total / sum);
    }
}

/* What a block has found in its span: values (D) in shared memory, weighed by 2^(s - max), whose sum is sum. All of its
 * threads come. */
template <bool one, class T>
__device__ void finish_span(const AttentionCached<T> &a, const Span &s, const float *values, float max, float sum)
{
    SHARED(bool, last, [1]);
    int spans = s.position / SPAN + 1, pitch = a.D + 2;
    if (spans == 1) {
        for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS)
            a.out[out_number<one>(s, a.H) * a.D + d] = from_float<T>(values[d] / sum);
        return;
    }
    float *shares = a.shares + share_number<one>(s) * gridDim.y * pitch, *mine = shares + s.begin / SPAN * pitch;
    for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS)
        mine[d] = values[d];
    if (threadIdx.x == 0) {
        mine[a.D] = max;
        mine[a.D + 1] = sum;
    }
    __threadfence(); /* the share is there before the ticket is drawn */
    __syncthreads();
    if (threadIdx.x == 0) {
        last[0] = atomicAdd(&a.tickets[share_number<one>(s)], 1u) == static_cast<unsigned>(spans) - 1;
        if (last[0])
            a.tickets[share_number<one>(s)] = 0; /* for the next launch */
    }
    __syncthreads();
    if (!last[0])
        return;
    __threadfence();
    add_shares<one>(a, s, shares, spans);
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
 * KB, and 128 KB on each processor (an H200 wants 25). Lanes 0 .. LANES - 1 of the last span count the query's own key
 * and value from qkv, as the last ones; where T is 1 (`one`) they also put them into the cache. The others, and the
 * positions, were there before this pass began, so that they come while the ops before are still at work; or, where T
 * is more, before this kernel did. */
template <class T, int LANES, bool one> __global__ void __launch_bounds__(THREADS, 2) attend_packs(AttentionCached<T> a)
{
    constexpr int PACK = Pack<T>::size, GROUPS = 32 / LANES, AHEAD = LANES == 8 || LANES == 16 ? 8 : 4;
    DYNAMIC_SHARED(float, shared); /* (WARPS, D + 2) */
    let_next_begin();
    Span s = span_of<one>(a);
    if (s.begin > s.position)
        return;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    int column = lane % LANES * PACK, pitch = a.D + 2, cached = s.end <= s.position ? s.end : s.position;
    bool there = column < a.D, brings = threadIdx.x < LANES && s.end > s.position;
    const T *row = a.qkv + (static_cast<int64_t>(s.n) * 3 * a.H + s.h) * a.D + column;
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
        if (there && one) {
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
    finish_span<one>(a, s, shared, max, sum);
}

/* ---- any D ----------------------------------------------------------------------------------------------- */

/* A warp owns every WARPS-th position of the span, its lanes the columns; then a thread a position; then a column.
 * Four blocks a multiprocessor, 64 registers a thread: with fewer CUDA 12.4's ptxas, left to choose, spills. */
template <class T, bool one> __global__ void __launch_bounds__(THREADS, 4) attend_any(AttentionCached<T> a)
{
    SHARED(float, score, [SPAN]);
    SHARED(float, scratch, [WARPS]);
    DYNAMIC_SHARED(float, total); /* (D) */
    static_assert(SPAN == THREADS, "a thread has one score");
    let_next_begin();
    await_ops_before();
    Span s = span_of<one>(a);
    if (s.begin > s.position)
        return;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const T *row = a.qkv + (static_cast<int64_t>(s.n) * 3 * a.H + s.h) * a.D;
    T *keys = a.k + s.head * a.P * a.D, *values = a.v + s.head * a.P * a.D;
    for (int p = s.begin + warp; p < s.end; p += WARPS) {
        bool fresh = one && p == s.position; /* it joins the cache here */
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
    finish_span<one>(a, s, total, max, sum);
}

/* ---- the host's side ------------------------------------------------------------------------------------- */

/* cache[b,h,p] = keys and values of head h of qkv[b,t], p = positions[b,t], or t without: k, v (B,H,P,D). A thread per
 * number, or per 16 bytes of them. */
template <class V>
__global__ void fill_cache(const V *qkv, V *k, V *v, const int32_t *positions, int64_t count, int T, int H, int P,
                           int D)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, C = static_cast<int64_t>(H) * D;
    if (i >= count)
        return;
    int64_t n = i / C, h = i % C / D, d = i % D, p = positions ? positions[n] : n % T;
    int64_t to = ((n / T * H + h) * P + p) * D + d;
    k[to] = qkv[n * 3 * C + C + i % C];
    v[to] = qkv[n * 3 * C + 2 * C + i % C];
}

template <class V> void fill(gp_backend *be, const gp_attention_cached_op *op, int64_t D)
{
    constexpr int threads = 256;
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], count = B * T * op->heads * D;
    const gp_tensor *k = &op->kv->k, *v = &op->kv->v;
    RUN(be, fill_cache<V>, blocks_for(count, threads), threads, 0, static_cast<const V *>(op->qkv->data),
        static_cast<V *>(k->data), static_cast<V *>(v->data), op->positions, count, static_cast<int>(T), op->heads,
        static_cast<int>(k->dim[2]), static_cast<int>(D));
}

size_t shares_bytes(int64_t heads, int64_t P, int64_t D)
{
    return static_cast<size_t>(heads * ((P + SPAN - 1) / SPAN) * (D + 2)) * sizeof(float);
}

/* What T tokens of a row read, others of them have just put into the cache: then nothing may be loaded early. */
#define RUN_QUERIES(be, kernel, many, grid, shared, a)                                                                 \
    do {                                                                                                               \
        if ((a).T == 1)                                                                                                \
            RUN_PDL(be, kernel, grid, THREADS, shared, a);                                                             \
        else                                                                                                           \
            RUN(be, many, grid, THREADS, shared, a);                                                                   \
    } while (0)

template <class T, int LANES> void run_packs(gp_backend *be, const AttentionCached<T> &a, dim3 grid, size_t shared)
{
    RUN_QUERIES(be, (attend_packs<T, LANES, true>), (attend_packs<T, LANES, false>), grid, shared, a);
}

template <class T> void launch(gp_backend *be, const AttentionCached<T> &a, int64_t rows, int64_t tokens)
{
    dim3 grid(static_cast<unsigned>(rows * a.H), blocks_for(a.P, SPAN), static_cast<unsigned>(tokens));
    size_t each = static_cast<size_t>(a.D + 2) * sizeof(float);
    int packs = packable<T>(a.D, a.qkv, a.k, a.v) ? a.D / Pack<T>::size : INT32_MAX;
    if (packs <= 4)
        run_packs<T, 4>(be, a, grid, WARPS * each);
    else if (packs <= 8)
        run_packs<T, 8>(be, a, grid, WARPS * each);
    else if (packs <= 16)
        run_packs<T, 16>(be, a, grid, WARPS * each);
    else if (packs <= 32)
        run_packs<T, 32>(be, a, grid, WARPS * each);
    else
        RUN_QUERIES(be, (attend_any<T, true>), (attend_any<T, false>), grid, each, a);
}

/* Queries of a launch, of B rows or of T tokens of one: there are so many tickets, and workspace for so many. */
int64_t queries_of(int64_t B, int64_t H)
{
    return gp_min(gp_max(B, QUERIES), TICKETS / H);
}

template <class T> void attend(gp_backend *be, const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], new_tokens = op->qkv->dim[1], C = columns_of(op->qkv) / 3, H = op->heads, D = C / H;
    int64_t P = op->kv->k.dim[2], most = queries_of(B, H), tokens = gp_min(new_tokens, most),
            rows = gp_min(B, most / tokens);
    float *shares = static_cast<float *>(cuda_workspace(be, shares_bytes(rows * tokens * H, P, D)));
    for (int64_t b = 0; b < B; b += rows)
        for (int64_t t = 0; t < new_tokens; t += tokens) {
            int64_t n = b * new_tokens + t;
            AttentionCached<T> a = {};
            a.positions = op->positions + n;
            a.qkv = data_of<T>(op->qkv) + n * 3 * C;
            a.k = data_of<T>(&op->kv->k) + b * P * C;
            a.v = data_of<T>(&op->kv->v) + b * P * C;
            a.out = data_of<T>(op->out) + n * C;
            a.T = static_cast<int>(new_tokens);
            a.H = static_cast<int>(H);
            a.D = static_cast<int>(D);
            a.P = static_cast<int>(P);
            a.scale = static_cast<float>(1.4426950408889634 / gp_scores_divisor(op->divisor, D));
            a.shares = shares;
            a.tickets = state_of(be)->tickets;
            launch<T>(be, a, gp_min(rows, B - b), gp_min(tokens, new_tokens - t));
        }
}

template <class T> void cached(gp_backend *be, const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], new_tokens = op->qkv->dim[1], C = columns_of(op->qkv) / 3, H = op->heads, D = C / H;
    const gp_tensor *k = &op->kv->k;
    BUG_ON(H * D != C || k->dim[1] != H || k->dim[3] != D || k->dim[0] < B || k->dim[2] < new_tokens || H > TICKETS);
    if (new_tokens == 1 && op->positions)
        return attend<T>(be, op);
    if (packable<T>(D, data_of<T>(op->qkv), data_of<T>(k), data_of<T>(&op->kv->v)))
        fill<Pack<T>>(be, op, D / Pack<T>::size);
    else
        fill<T>(be, op, D);
    if (op->positions)
        return attend<T>(be, op);
    gp_attention_op whole = {};
    whole.heads = op->heads;
    whole.causal = true;
    whole.qkv = op->qkv;
    whole.out = op->out;
    whole.divisor = op->divisor;
    gp_cuda_attention_forward(be, &whole);
}

} // namespace

size_t gp_cuda_decode_workspace(const gp_backend *be, const gp_shape *shape)
{
    (void)be;
    int64_t B = shape->B, queries = gp_min(B * shape->T, queries_of(B, shape->H));
    return shares_bytes(queries * shape->H, shape->cache, shape->C / shape->H);
}

void gp_cuda_attention_cached(gp_backend *be, const gp_attention_cached_op *op)
{
    with_type(be, [&](auto type) { cached<typename decltype(type)::type>(be, op); });
}
