/* sample.cuh: rows of logits as op_sample.cu's kernels see them: ids ranked by keys, slices, and how the blocks of a
 * row meet.
 *
 * Ids have ranks by a key, the most probable has the least, and no two are alike:
 *     key = (code(largest logit) - code(logit)) << ID_BITS | id       code: a logit's bits, made to ascend with it
 * top_k and top_p keep the ids up to some key, the limit, which is found digit by digit (a radix select): the ids whose
 * key begins with the digits found so far are counted, or weighed, by their next digit. The first digit takes all
 * blocks; the keys with it are listed, and one block finds the others. */
#ifndef GP_CUDA_SAMPLE_CUH
#define GP_CUDA_SAMPLE_CUH

#include "backend/cuda/device.cuh"
#include "backend/cuda/pdl.cuh"
#include "backend/cuda/kernel.cuh"

#include <cmath>

using u64 = unsigned long long; /* CUDA's atomics know no other name of it */

constexpr int SAMPLE_THREADS = 256, ITEMS = 8, SLICE = SAMPLE_THREADS * ITEMS;
#ifdef GP_CUSIM
constexpr int64_t SAMPLE_ROWS = 8; /* with CUSIM_WEAK each block costs a copy of them; and tests see several launches */
#else
constexpr int64_t SAMPLE_ROWS = 128;
#endif
constexpr int ID_BITS = 22, DIGIT_BITS = 11, DIGITS = 5; /* 32 + 22 bits; the first three digits are the logit's */
constexpr int LOGIT_DIGITS = 3, BINS = 1 << DIGIT_BITS;
constexpr int FIRST_SHIFT = (DIGITS - 1) * DIGIT_BITS;
static_assert((DIGITS - LOGIT_DIGITS) * DIGIT_BITS == ID_BITS && BINS == SLICE && BINS * SLICE >= 1 << ID_BITS,
              "a digit is the logit's or the id's, and there is a bin for each slice");

/* All zeros between ops, but for limit and wanted. */
struct Row {
    u64 best;   /* code(largest logit) << 32 | ~id, the largest of all; of NaN and inf the code is ~0 */
    u64 most;   /* code << 32 of all V logits as the model gave them */
    u64 sum;    /* of their exp(logit - largest), in fixed point */
    u64 limit;  /* the greatest key that is kept */
    u64 prefix; /* while a limit is sought: its first digit, */
    u64 wanted; /* and the count or the weight that it takes among the keys that begin with it */
    u64 bins[BINS];
    unsigned arrived; /* blocks */
    unsigned found;   /* ids among the likeliest */
    unsigned listed;  /* keys */
};

struct Sample {
    const float *logits; /* (B,V), of which ids below vocab count */
    int64_t V;
    int vocab;
    bool greedy;       /* temperature 0 */
    double cold;       /* 1 / temperature */
    double one, least; /* the weight 1 in fixed point, and min_p */
    uint64_t seed;
    const int32_t *samples;
    int32_t *positions, *ids;
    Row *rows;  /* (B) */
    u64 *lists; /* (B,vocab) */
    uint8_t *seen;
    double penalty;
    gp_draw *draws; /* in the host's memory; what follows is as in gp_sample_op */
    int ring;
    int32_t *places;
    int last_place;
    bool likely;  /* log-probabilities are wanted */
    double whole; /* of their sum: 1 in fixed point */
    gp_candidate *top;
    int tops;
};

/* One limit: of the first `count` ids, or, by weight, of the fewest that have a share of all. */
struct Search {
    bool by_weight, limited; /* limited: among those that an earlier limit keeps */
    bool raw;                /* the model's logits, before the penalty */
    u64 count;
    double share;
    int digits; /* by count all ids with the last logit are kept, so that only its digits matter */
};

/* What a block has of its row. */
struct View {
    const float *logits;
    const uint8_t *seen; /* or null */
    u64 best, limit;
    float max;
};

constexpr uint32_t NOT_FINITE = ~0u, MINUS_INF = 0x007fffffu; /* the code of some NaN, and of -inf */

static __device__ __forceinline__ int id_of(u64 best)
{
    return static_cast<int>(~static_cast<uint32_t>(best));
}

static __device__ __forceinline__ bool is_finite(u64 best)
{
    return static_cast<uint32_t>(best >> 32) > MINUS_INF && static_cast<uint32_t>(best >> 32) < NOT_FINITE;
}

/* -0 is 0. */
static __device__ __forceinline__ uint32_t code(float logit)
{
    uint32_t bits = __float_as_uint(logit + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ float logit_of(u64 best)
{
    uint32_t c = static_cast<uint32_t>(best >> 32);
    return __uint_as_float(c >> 31 ? c & 0x7fffffffu : ~c);
}

static __device__ __forceinline__ u64 code_or_not_finite(float logit)
{
    return static_cast<u64>(logit < INFINITY ? code(logit) : NOT_FINITE) << 32;
}

static __device__ __forceinline__ const float *logits_of(const Sample &a)
{
    return a.logits + blockIdx.x * a.V;
}
static __device__ __forceinline__ const uint8_t *seen_of(const Sample &a)
{
    return a.seen ? a.seen + blockIdx.x * a.V : nullptr;
}

static __device__ __forceinline__ View view_of(const Sample &a, const Row *row, bool limited)
{
    u64 best = row->best;
    return {logits_of(a), seen_of(a), best, limited ? row->limit : ~0ull, logit_of(best)};
}

/* The same of all V logits as the model gave them. */
static __device__ __forceinline__ View raw_view_of(const Sample &a, const Row *row)
{
    u64 most = row->most;
    return {logits_of(a), nullptr, most, ~0ull, logit_of(most)};
}

/* Idle rows have nothing drawn. */
static __device__ __forceinline__ bool is_idle(const Sample &a)
{
    return a.draws && a.samples[blockIdx.x] < 0;
}

static __device__ __forceinline__ u64 key_of(const View &v, float logit, int id)
{
    uint32_t down = static_cast<uint32_t>(v.best >> 32) - code(logit);
    return static_cast<u64>(down) << ID_BITS | static_cast<u64>(id);
}

/* exp((logit - max) / temperature), in fixed point; made in double, so that it is exact but for a last bit or two */
static __device__ __forceinline__ u64 weight_of(const Sample &a, const View &v, float logit)
{
    double w = exp((static_cast<double>(logit) - v.max) * a.cold);
    return w > 0 ? static_cast<u64>(w * a.one + 0.5) : 0; /* not a number: 0 */
}

/* That of an id if it is kept, or 0. */
static __device__ __forceinline__ u64 kept_weight(const Sample &a, const View &v, float logit, int id)
{
    if (id >= a.vocab || key_of(v, logit, id) > v.limit)
        return 0;
    u64 w = weight_of(a, v, logit);
    return static_cast<double>(w) < a.least && id != id_of(v.best) ? 0 : w;
}

/* A thread's ids are first, first + step, ...; those behind vocab have no logit. */
struct Items {
    int first, step;
    __device__ int id(int k) const
    {
        return first + k * step;
    }
};

/* Of the block's slice: a warp's are neighbours. */
static __device__ __forceinline__ Items items_of_block()
{
    return {static_cast<int>(blockIdx.y) * SLICE + static_cast<int>(threadIdx.x), SAMPLE_THREADS};
}

/* Of ids below `count`. All at once, so that the loads do not wait for each other. */
static __device__ __forceinline__ void load_raw(const float *logits, int count, Items items, float (&x)[ITEMS])
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        x[k] = items.id(k) < count ? logits[items.id(k)] : -INFINITY;
}

/* Behind the penalty. */
static __device__ __forceinline__ void penalize(const Sample &a, const uint8_t *seen, Items items, float (&x)[ITEMS])
{
    if (!seen)
        return;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (items.id(k) < a.vocab && seen[items.id(k)]) {
            double logit = x[k];
            x[k] = static_cast<float>(logit < 0 ? logit * a.penalty : logit / a.penalty);
        }
}

static __device__ __forceinline__ void load_logits(const Sample &a, const View &v, Items items, float (&x)[ITEMS])
{
    load_raw(v.logits, a.vocab, items, x);
    penalize(a, v.seen, items, x);
}

/* ---- a block, and the blocks of a row -------------------------------------------------------------------- */

/* The sum of x over the threads before this one; *total: over all. Every thread has to come. */
static __device__ u64 sum_before(u64 x, u64 *total)
{
    SHARED(u64, sums, [SAMPLE_THREADS / WARP]);
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u64 sum = x, before = 0, all = 0;
#pragma unroll
    for (unsigned offset = 1; offset < WARP; offset *= 2) {
        u64 y = __shfl_up_sync(ALL_LANES, sum, offset);
        sum += lane >= offset ? y : 0;
    }
    if (lane == WARP - 1)
        sums[warp] = sum;
    __syncthreads();
    for (unsigned w = 0; w < SAMPLE_THREADS / WARP; w++) {
        before += w < warp ? sums[w] : 0;
        all += sums[w];
    }
    __syncthreads();
    *total = all;
    return before + sum - x;
}

/* Thread t has x(8t) .. x(8t+7), and `before` is the sum of those before them. Calls found(i, rest) for the i with
 * which the sum from 0 on reaches `wanted`: for no i if it never does. rest: what was wanted still before x(i). */
template <class Found>
static __device__ __forceinline__ void find(const u64 (&x)[ITEMS], u64 before, u64 wanted, Found found)
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        if (wanted > before && wanted - before <= x[k])
            found(static_cast<int>(threadIdx.x) * ITEMS + k, wanted - before);
        before += x[k];
    }
}

/* Whether this block is the last of its row; what the others wrote can be read then. Every thread has to come. */
static __device__ bool last_of_row(Row *row)
{
    SHARED(bool, last, [1]);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last[0] = atomicAdd(&row->arrived, 1u) == gridDim.y - 1;
        if (last[0])
            row->arrived = 0;
        __threadfence();
    }
    __syncthreads();
    return last[0];
}

/* Adds to 64 bits in two halves: shared memory adds 32. */
static __device__ __forceinline__ void add_halves(unsigned *low, unsigned *high, u64 x)
{
    unsigned part = static_cast<unsigned>(x), was = atomicAdd(low, part);
    unsigned above = static_cast<unsigned>(x >> 32) + (was + part < was);
    if (above)
        atomicAdd(high, above);
}

/* Sums of a block by digit, in shared memory. */
struct Bins {
    unsigned low[BINS], high[BINS];
    __device__ void empty()
    {
        for (unsigned i = threadIdx.x; i < BINS; i += SAMPLE_THREADS)
            low[i] = high[i] = 0;
        __syncthreads();
    }
    __device__ void add(u64 digits, u64 x)
    {
        add_halves(&low[digits % BINS], &high[digits % BINS], x);
    }
    __device__ u64 of(unsigned i) const
    {
        return static_cast<u64>(high[i]) << 32 | low[i];
    }
};

/* A thread's eight of the row's bins, emptied; and their sum. */
static __device__ __forceinline__ u64 take_bins(Row *row, u64 (&x)[ITEMS])
{
    u64 sum = 0;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        sum += x[k] = atomicExch(&row->bins[threadIdx.x * ITEMS + k], 0ull);
    return sum;
}

/* What the largest of a block's threads is, in the first warp. */
static __device__ __forceinline__ u64 block_largest(u64 x, u64 (&largest)[SAMPLE_THREADS / WARP])
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2)
        x = max(x, __shfl_xor_sync(ALL_LANES, x, offset));
    if (threadIdx.x % WARP == 0)
        largest[threadIdx.x / WARP] = x;
    __syncthreads();
    for (unsigned w = 0; w < SAMPLE_THREADS / WARP; w++)
        x = max(x, largest[w]);
    return x;
}

#endif
