/* op_attention_cached.cu: attention of new tokens over a KV cache ("flash decoding", Dao et al. 2023); also of a
 * prompt, whose attention is that of a whole sequence (op_attention.cu).
 *
 *     out[b,t,h] = softmax(q . k / sqrt(D)) v over k, v at 0..positions[b,t]  q, k, v: qkv (B,T,3C) joined to the cache
 *
 * The cache is split into SPANs of positions. A block owns one span of one head of one query, so that a single query
 * fills a GPU when the cache is long; a block whose span starts after the query's position exits at once, and a query
 * with one span is finished by its block alone. With several spans, each block writes its partial result to the
 * workspace, and the last block to arrive combines them, in the order of the spans: the bits depend on the query and
 * its position alone. */
#include "backend/cuda/attention_cached.cuh"
#include "backend/cuda/pdl.cuh"

namespace
{

/* Queries per launch: max of this and of B (queries_of). */
constexpr int64_t QUERIES = 64;

/* ---- 16-byte vectors ------------------------------------------------------------------------------------ */

/* Packs as loaded, converted element by element on use: converted to eight bf16 at once, ptxas keeps a register for
 * each on sm_100, and spills. */
using Words = Pack<uint32_t>;

template <class T> __device__ __forceinline__ Words load_words(const T *p)
{
    return load_pack(reinterpret_cast<const uint32_t *>(p));
}
template <class T> __device__ __forceinline__ void store_words(T *p, const Words &w)
{
    store_pack(reinterpret_cast<uint32_t *>(p), w);
}

/* Element i, of type T, of the words; a bf16 is the upper half of a float. */
template <class T> __device__ __forceinline__ float number_of(const Words &w, int i)
{
    if (sizeof(T) == sizeof(float))
        return __uint_as_float(w.v[i]);
    return __uint_as_float(i % 2 ? w.v[i / 2] & 0xffff0000u : w.v[i / 2] << 16);
}

/* Online softmax of LANES lanes that share their positions: running maximum, and sums relative to it; each lane has
 * PACK columns of the values. */
template <class T> struct Running {
    static constexpr int PACK = Pack<T>::size;
    float max, sum, values[PACK];

    /* max = max(max, m), and rescales the sums. */
    __device__ __forceinline__ void raise(float m)
    {
        float larger = fmaxf(max, m), factor = power(max, larger);
        max = larger;
        sum *= factor;
#pragma unroll
        for (int i = 0; i < PACK; i++)
            values[i] *= factor;
    }

    /* Adds a score that is not above max, and its value. */
    __device__ __forceinline__ void add(float score, const Words &value)
    {
        float weight = power(score, max);
        sum += weight;
#pragma unroll
        for (int i = 0; i < PACK; i++)
            values[i] = fmaf(weight, number_of<T>(value, i), values[i]);
    }
};

/* q . k, in each of LANES lanes that have one pack of either. */
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

/* Attention of one query, one head, over one span: equation above. D <= LANES * PACK. Grid: (B*H, spans, T).
 * LANES lanes of a warp read one key or value, one pack per lane; a warp reads 32 / LANES positions at a time. Each
 * lane has AHEAD keys and as many values in flight: at D = 64 in bf16 that is the whole span of the block, 64 KB, and
 * 128 KB per multiprocessor (an H200 needs 25). In the last span lanes 0 .. LANES - 1 add the query's own key and value
 * from qkv, last; where T is 1 (one_token) they also store them into the cache. The other keys and values, and the
 * positions, were written before this pass began, so that they are loaded before pdl_wait, while preceding ops are
 * still running; or, where T > 1, before this kernel began. */
template <class T, int LANES, bool one_token>
__global__ void __launch_bounds__(THREADS, 2) attend_packs(AttentionCached<T> a)
{
    constexpr int PACK = Pack<T>::size, GROUPS = 32 / LANES, AHEAD = LANES == 8 || LANES == 16 ? 8 : 4;
    DYNAMIC_SHARED(float, shared); /* (WARPS, D + 2) */
    pdl_launch_dependents();
    Span s = span_of<one_token>(a);
    if (s.begin > s.position)
        return;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    int column = lane % LANES * PACK, pitch = a.D + 2, cached = s.end <= s.position ? s.end : s.position;
    bool there = column < a.D, adds_new = threadIdx.x < LANES && s.end > s.position;
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
    pdl_wait();
    if (there)
        q = load_words(row);
    if (there && adds_new) {
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
    if (adds_new) {
        r.raise(newest);
        r.add(newest, new_value);
        if (there && one_token) {
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
        shared[d] = total; /* D <= 256: one thread per column */
    __syncthreads();
    finish_span<one_token>(a, s, shared, max, sum);
}

/* ---- any D ----------------------------------------------------------------------------------------------- */

/* The same for any D. A warp owns every WARPS-th position of the span, its lanes the columns; then a thread owns one
 * position; then one column. Four blocks per multiprocessor, 64 registers per thread: with fewer, CUDA 12.4's ptxas
 * spills when left to choose. */
template <class T, bool one_token> __global__ void __launch_bounds__(THREADS, 4) attend_any(AttentionCached<T> a)
{
    SHARED(float, score, [SPAN]);
    SHARED(float, scratch, [WARPS]);
    DYNAMIC_SHARED(float, total); /* (D) */
    static_assert(SPAN == THREADS, "a thread has one score");
    pdl_launch_dependents();
    pdl_wait();
    Span s = span_of<one_token>(a);
    if (s.begin > s.position)
        return;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const T *row = a.qkv + (static_cast<int64_t>(s.n) * 3 * a.H + s.h) * a.D;
    T *keys = a.k + s.head * a.P * a.D, *values = a.v + s.head * a.P * a.D;
    for (int p = s.begin + warp; p < s.end; p += WARPS) {
        bool fresh = one_token && p == s.position; /* it is stored into the cache here */
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
    finish_span<one_token>(a, s, total, max, sum);
}

/* ---- the host's side ------------------------------------------------------------------------------------- */

/* cache[b,h,p] = keys and values of head h of qkv[b,t], p = positions[b,t], or t if positions is null
 * qkv (B,T,3C); k, v (B,H,P,D). One thread per element V: a number, or a pack of 16 bytes. */
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

size_t partials_bytes(int64_t heads, int64_t P, int64_t D)
{
    return static_cast<size_t>(heads * ((P + SPAN - 1) / SPAN) * (D + 2)) * sizeof(float);
}

/* With T > 1, a token reads what fill_cache has just stored for the others: no load may precede the end of the
 * preceding kernel, so no PDL. */
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

/* Max queries per launch, of B rows or of T tokens of one: limited by the tickets, and the workspace is planned for as
 * many. */
int64_t queries_of(int64_t B, int64_t H)
{
    return gp_min(gp_max(B, QUERIES), TICKETS / H);
}

template <class T> void attend(gp_backend *be, const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], new_tokens = op->qkv->dim[1], C = columns_of(op->qkv) / 3, H = op->heads, D = C / H;
    int64_t P = op->kv->k.dim[2], max_queries = queries_of(B, H), tokens = gp_min(new_tokens, max_queries),
            rows = gp_min(B, max_queries / tokens);
    float *partials = static_cast<float *>(cuda_workspace(be, partials_bytes(rows * tokens * H, P, D)));
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
            a.partials = partials;
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
    return partials_bytes(queries * shape->H, shape->cache, shape->C / shape->H);
}

void gp_cuda_attention_cached(gp_backend *be, const gp_attention_cached_op *op)
{
    with_type(be, [&](auto type) { cached<typename decltype(type)::type>(be, op); });
}
