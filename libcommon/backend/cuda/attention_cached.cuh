/* attention_cached.cuh: the arguments of attention over a KV cache, the span of a block, and how the partial results of
 * the spans are combined; for the kernels of op_attention_cached.cu. */
#ifndef GP_CUDA_ATTENTION_CACHED_CUH
#define GP_CUDA_ATTENTION_CACHED_CUH

#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"

constexpr int SPAN = 256, WARPS = 8, THREADS = WARPS * 32;

template <class E> struct AttentionCached {
    const int32_t *positions; /* (B,T) */
    const E *qkv;             /* (B,T,3C) */
    E *k, *v;                 /* (B,H,P,D) */
    E *out;                   /* (B,T,C) */
    int T, H, D, P;
    float scale;       /* log2(e) / divisor: softmax in base 2 */
    float *partials;   /* (B*T*H, spans, D + 2): sum of 2^(s - max) v, then max, then sum of 2^(s - max) */
    unsigned *tickets; /* (B*T*H) arrival counters, 0 before and after */
};

/* 2^(x - max); 0 while max is -inf (nothing accumulated yet). */
static __device__ __forceinline__ float power(float x, float max)
{
    return exp2f(x - (max == -INFINITY ? 0 : max));
}

/* The span of a block. Grid: (B*H, spans, T). one_token: T is 1, as in decoding, whose kernels have no register to
 * spare. */
struct Span {
    int64_t head;                   /* index in the cache: b * H + h */
    int n, h, begin, end, position; /* n: query b * T + t */
};

/* Index of the block's (query, head) in out; below, in the partials and tickets of this launch. */
template <bool one_token> __device__ __forceinline__ int64_t out_index(const Span &s, int H)
{
    return one_token ? s.head : static_cast<int64_t>(s.n) * H + s.h;
}
template <bool one_token> __device__ __forceinline__ int64_t partial_index(const Span &s)
{
    return one_token ? s.head : static_cast<int64_t>(blockIdx.z) * gridDim.x + s.head;
}

template <bool one_token, class E> __device__ __forceinline__ Span span_of(const AttentionCached<E> &a)
{
    Span s;
    s.head = blockIdx.x;
    s.h = static_cast<int>(blockIdx.x) % a.H;
    s.n = static_cast<int>(blockIdx.x) / a.H;
    if (!one_token)
        s.n = s.n * a.T + static_cast<int>(blockIdx.z);
    s.begin = static_cast<int>(blockIdx.y) * SPAN;
    s.position = a.positions[s.n];
    s.end = s.position + 1 < s.begin + SPAN ? s.position + 1 : s.begin + SPAN;
    return s;
}

/* ---- combining spans ------------------------------------------------------------------------------------- */

/* Combines the partial results of a (query, head); called by the last block to arrive. */
template <bool one_token, class T>
__device__ void combine_partials(const AttentionCached<T> &a, const Span &s, const float *partials, int spans)
{
    int pitch = a.D + 2;
    float max = -INFINITY, sum = 0;
    for (int i = 0; i < spans; i++)
        max = fmaxf(max, __ldcg(partials + i * pitch + a.D));
    for (int i = 0; i < spans; i++)
        sum += __ldcg(partials + i * pitch + a.D + 1) * power(__ldcg(partials + i * pitch + a.D), max);
    for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS) {
        float total = 0;
        for (int i = 0; i < spans; i++)
            total += __ldcg(partials + i * pitch + d) * power(__ldcg(partials + i * pitch + a.D), max);
        a.out[out_index<one_token>(s, a.H) * a.D + d] = from_float<T>(total / sum);
    }
}

/* Writes a block's result: values (D) in shared memory, weighted by 2^(s - max), and the sum of these weights. All
 * threads of the block must call it. */
template <bool one_token, class T>
__device__ void finish_span(const AttentionCached<T> &a, const Span &s, const float *values, float max, float sum)
{
    SHARED(bool, last, [1]);
    int spans = s.position / SPAN + 1, pitch = a.D + 2;
    if (spans == 1) {
        for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS)
            a.out[out_index<one_token>(s, a.H) * a.D + d] = from_float<T>(values[d] / sum);
        return;
    }
    float *partials = a.partials + partial_index<one_token>(s) * gridDim.y * pitch,
          *mine = partials + s.begin / SPAN * pitch;
    for (int d = static_cast<int>(threadIdx.x); d < a.D; d += THREADS)
        mine[d] = values[d];
    if (threadIdx.x == 0) {
        mine[a.D] = max;
        mine[a.D + 1] = sum;
    }
    __threadfence(); /* release: the partial result is visible before the counter is incremented */
    __syncthreads();
    if (threadIdx.x == 0) {
        last[0] = atomicAdd(&a.tickets[partial_index<one_token>(s)], 1u) == static_cast<unsigned>(spans) - 1;
        if (last[0])
            a.tickets[partial_index<one_token>(s)] = 0; /* for the next launch */
    }
    __syncthreads();
    if (!last[0])
        return;
    __threadfence();
    combine_partials<one_token>(a, s, partials, spans);
}

#endif
