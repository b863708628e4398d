/* sample.cuh: shared by op_sample.cu's kernels: rows of logits, ids ordered by keys, slices, and synchronization of the
 * blocks of a row.
 *
 * Ids are ordered by a key, the most probable first; no two keys are equal:
 *     key = (code(largest logit) - code(logit)) << ID_BITS | id       code: the logit's bits, mapped to ascending order
 * top_k and top_p keep the ids with keys up to some limit, which is found digit by digit (radix select): the ids whose
 * key begins with the digits found so far are counted, or their weights added, by their next digit. The first digit is
 * computed by all blocks; the keys with that digit are then listed, and one block finds the other digits. */
#ifndef GP_CUDA_SAMPLE_CUH
#define GP_CUDA_SAMPLE_CUH

#include "backend/cuda/device.cuh"
#include "backend/cuda/pdl.cuh"
#include "backend/cuda/kernel.cuh"

#include <cmath>

using u64 = unsigned long long; /* the 64-bit type of CUDA's atomics */

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

/* State of a row of logits. All zeros between ops, except limit and wanted. */
struct Row {
    u64 best;     /* code(largest logit) << 32 | ~id, the maximum over ids below vocab; NaN and inf have code ~0 */
    u64 raw_best; /* code << 32, the maximum over all V logits as the model gave them */
    u64 sum;      /* sum of exp(logit - largest) over these, in fixed point */
    u64 limit;    /* the greatest key that is kept */
    u64 prefix;   /* during a search for a limit: its first digit, */
    u64 wanted;   /* and the rest of the count or weight, among the keys that begin with it */
    u64 bins[BINS];
    unsigned arrived; /* blocks that have arrived */
    unsigned found;   /* ids listed in top */
    unsigned listed;  /* keys in the list */
};

struct Sample {
    const float *logits; /* (B,V), of which ids below vocab count */
    int64_t V;
    int vocab;
    bool greedy; /* temperature 0 */
    double inverse_temperature;
    double weight_one, min_weight; /* a weight of 1, and min_p, in fixed point */
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
    bool log_probabilities; /* log-probabilities are requested */
    double sum_one;         /* 1 in the fixed point of their sum */
    gp_candidate *top;
    int tops;
};

/* A search for one limit: of the first `count` ids, or, by weight, of the fewest ids whose weights add up to `share` of
 * all. */
struct Search {
    bool by_weight, limited; /* limited: among the ids that a preceding limit keeps */
    bool raw;                /* the model's logits, before the penalty */
    u64 count;
    double share;
    /* number of digits to find: by count all ids with the last logit are kept, so only the logit's digits matter */
    int digits;
};

/* A block's view of its row. */
struct View {
    const float *logits;
    const uint8_t *seen; /* or null */
    u64 best, limit;
    float max;
};

constexpr uint32_t NOT_FINITE = ~0u, MINUS_INF = 0x007fffffu; /* the code of a NaN, and of -inf */

static __device__ __forceinline__ int id_of(u64 best)
{
    return static_cast<int>(~static_cast<uint32_t>(best));
}

static __device__ __forceinline__ bool is_finite(u64 best)
{
    return static_cast<uint32_t>(best >> 32) > MINUS_INF && static_cast<uint32_t>(best >> 32) < NOT_FINITE;
}

/* Maps floats to integers in ascending order; -0 as 0. */
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

/* The same, over all V logits as the model gave them. */
static __device__ __forceinline__ View raw_view_of(const Sample &a, const Row *row)
{
    u64 raw_best = row->raw_best;
    return {logits_of(a), nullptr, raw_best, ~0ull, logit_of(raw_best)};
}

/* A row whose sample is negative is idle: nothing is drawn. */
static __device__ __forceinline__ bool is_idle(const Sample &a)
{
    return a.draws && a.samples[blockIdx.x] < 0;
}

static __device__ __forceinline__ u64 key_of(const View &v, float logit, int id)
{
    uint32_t down = static_cast<uint32_t>(v.best >> 32) - code(logit);
    return static_cast<u64>(down) << ID_BITS | static_cast<u64>(id);
}

/* exp((logit - max) / temperature) in fixed point; computed in double, accurate to the last bit or two */
static __device__ __forceinline__ u64 weight_of(const Sample &a, const View &v, float logit)
{
    double w = exp((static_cast<double>(logit) - v.max) * a.inverse_temperature);
    return w > 0 ? static_cast<u64>(w * a.weight_one + 0.5) : 0; /* not a number: 0 */
}

/* The weight of an id if it is kept, else 0. */
static __device__ __forceinline__ u64 kept_weight(const Sample &a, const View &v, float logit, int id)
{
    if (id >= a.vocab || key_of(v, logit, id) > v.limit)
        return 0;
    u64 w = weight_of(a, v, logit);
    return static_cast<double>(w) < a.min_weight && id != id_of(v.best) ? 0 : w;
}

/* A thread's ids: first, first + step, ...; ids from vocab on have no logit. */
struct Items {
    int first, step;
    __device__ int id(int k) const
    {
        return first + k * step;
    }
};

/* The thread's ids of the block's slice: coalesced. */
static __device__ __forceinline__ Items items_of_block()
{
    return {static_cast<int>(blockIdx.y) * SLICE + static_cast<int>(threadIdx.x), SAMPLE_THREADS};
}

/* Loads the logits of ids below `count`, all at once, so that the loads overlap. */
static __device__ __forceinline__ void load_raw(const float *logits, int count, Items items, float (&x)[ITEMS])
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        x[k] = items.id(k) < count ? logits[items.id(k)] : -INFINITY;
}

/* Applies the repetition penalty. */
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

/* Block-wide exclusive prefix sum of x; *total: the sum over all threads. All threads must call it. */
static __device__ u64 exclusive_sum(u64 x, u64 *total)
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

/* Thread t has x(8t) .. x(8t+7), and `before` is the sum of those before them. Calls found(i, rest) for the i at which
 * the prefix sum reaches `wanted`: never if it does not. rest: `wanted` less the sum before x(i). */
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

/* Whether this block is the last of its row to arrive (threadfence reduction); then what the others wrote is visible.
 * All threads must call it. */
static __device__ bool is_last_block(Row *row)
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

/* Adds to a 64-bit number in two halves: shared memory has fast atomics on 32 bits only. */
static __device__ __forceinline__ void add_halves(unsigned *low, unsigned *high, u64 x)
{
    unsigned part = static_cast<unsigned>(x), was = atomicAdd(low, part);
    unsigned above = static_cast<unsigned>(x >> 32) + (was + part < was);
    if (above)
        atomicAdd(high, above);
}

/* A block's sums by digit, in shared memory. */
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

/* Reads and clears a thread's eight of the row's bins; returns their sum. */
static __device__ __forceinline__ u64 take_bins(Row *row, u64 (&x)[ITEMS])
{
    u64 sum = 0;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        sum += x[k] = atomicExch(&row->bins[threadIdx.x * ITEMS + k], 0ull);
    return sum;
}

/* Block-wide maximum. */
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
