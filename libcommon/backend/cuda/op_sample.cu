/* op_sample.cu: a token drawn from each row of logits.
 *
 * A row is cut into slices, a block each: one block alone would read for as long as some layers take. What the blocks of a
 * row find they gather in its Row, and the last of them to come concludes from it. All sums are of integers, weights in
 * fixed point, so no order of blocks or threads can show. Greedy is one kernel, plain temperature two.
 *
 * Ids have ranks by a key, the most probable has the least, and no two are alike:
 *     key = (code(largest logit) - code(logit)) << ID_BITS | id       code: a logit's bits, made to ascend with it
 * top_k and top_p keep the ids up to some key, the limit, which is found digit by digit (a radix select): the ids whose key
 * begins with the digits found so far are counted, or weighed, by their next digit, a kernel for each. */
#include "backend/cuda/device.cuh"
#include "backend/cuda/early.cuh"
#include "backend/cuda/kernel.cuh"

#include <cmath>

using u64 = unsigned long long; /* CUDA's atomics know no other name of it */

constexpr int SAMPLE_THREADS = 256, ITEMS = 8, SLICE = SAMPLE_THREADS * ITEMS;
#ifdef GP_CUSIM
constexpr int64_t SAMPLE_ROWS =
    8; /* with CUSIM_WEAK each block costs a copy of them; and tests see several launches */
#else
constexpr int64_t SAMPLE_ROWS = 128;
#endif
constexpr int ID_BITS = 22, DIGIT_BITS = 11,
              DIGITS = 5; /* 32 + 22 bits; the first three digits are the logit's */
constexpr int LOGIT_DIGITS = 3, BINS = 1 << DIGIT_BITS;
static_assert((DIGITS - LOGIT_DIGITS) * DIGIT_BITS == ID_BITS && BINS == SLICE &&
                  BINS * SLICE >= 1 << ID_BITS,
              "a digit is the logit's or the id's, and there is a bin for each slice");

/* All zeros between ops, but for limit and wanted. */
struct Row {
    u64 best;   /* code(largest logit) << 32 | ~id, the largest of all; of NaN and inf the code is ~0 */
    u64 most;   /* code << 32 of all V logits as the model gave them */
    u64 sum;    /* of their exp(logit - largest), in fixed point */
    u64 limit;  /* the greatest key that is kept */
    u64 prefix; /* while a limit is sought: the digits found so far, */
    u64 wanted; /* and the count or the weight that it takes among the keys that begin with them */
    u64 bins[BINS];
    unsigned arrived; /* blocks */
    unsigned found;   /* ids among the likeliest */
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
    Row *rows; /* (B) */
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
static __device__ __forceinline__ void load_raw(const float *logits, int count, Items items,
                                                float (&x)[ITEMS])
{
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        x[k] = items.id(k) < count ? logits[items.id(k)] : -INFINITY;
}

/* Behind the penalty. */
static __device__ __forceinline__ void penalize(const Sample &a, const uint8_t *seen, Items items,
                                                float (&x)[ITEMS])
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

static __device__ __forceinline__ void load_logits(const Sample &a, const View &v, Items items,
                                                   float (&x)[ITEMS])
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

/* Thread t has x(8t) .. x(8t+7), and `before` is the sum of those before them. Calls found(i, rest) for the i with which the
 * sum from 0 on reaches `wanted`: for no i if it never does. rest: what was wanted still before x(i). */
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

/* By one thread of the row's last block, when nothing else of the op reads the row any more: what was drawn goes where it
 * is read, and the row's state is as it was. */
static __device__ void conclude(const Sample &a, Row *row, int id)
{
    unsigned b = blockIdx.x;
    u64 most = atomicExch(&row->most, 0ull), sum = atomicExch(&row->sum, 0ull);
    atomicExch(&row->best, 0ull);
    row->prefix = 0; /* a search may have ended without a limit, where logits are not finite */
    row->found = 0;
    if (!a.draws) {
        a.ids[b] = id;
        return;
    }
    gp_draw d = {};
    d.id = id;
    if (a.likely) {
        d.logit = id < 0 ? 0 : a.logits[b * a.V + id];
        d.max = logit_of(most);
        d.sum = static_cast<double>(sum) / a.whole;
    }
    a.draws[static_cast<int64_t>(b) * a.ring + a.positions[b] % a.ring] = d;
    a.ids[b] = id < 0 ? 0 : id;
    a.positions[b]++;
    a.places[b] += a.places[b] < a.last_place;
    if (a.seen && id >= 0)
        a.seen[b * a.V + id] = 1;
}

/* ---- the kernels: block (b,i) has slice i of row b -------------------------------------------------------
 *
 * The last of an op does not let what follows begin early: it writes what the next pass reads before it waits. */

/* The id with the largest logit, the lowest of several; with temperature 0 it is the one drawn. And the largest of all. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_largest(Sample a)
{
    SHARED(u64, largest, [SAMPLE_THREADS / WARP]);
    SHARED(u64, largest_raw, [SAMPLE_THREADS / WARP]);
    bool concludes = a.greedy && !a.likely;
    if (!concludes)
        let_next_begin();
    await_ops_before();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    Items items = items_of_block();
    float x[ITEMS];
    u64 best = 0, most = 0;
    load_raw(logits_of(a), a.likely ? static_cast<int>(a.V) : a.vocab, items, x);
    if (a.likely) {
#pragma unroll
        for (int k = 0; k < ITEMS; k++)
            if (items.id(k) < a.V)
                most = max(most, code_or_not_finite(x[k]));
        most = block_largest(most, largest_raw);
        if (threadIdx.x == 0)
            atomicMax(&row->most, most);
    }
    penalize(a, seen_of(a), items, x);
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (items.id(k) < a.vocab)
            best = max(best, code_or_not_finite(x[k]) | ~static_cast<uint32_t>(items.id(k)));
    best = block_largest(best, largest);
    if (threadIdx.x == 0)
        atomicMax(&row->best, best);
    if (concludes && last_of_row(row) && threadIdx.x == 0) {
        best = atomicMax(&row->best, 0ull);
        conclude(a, row, is_finite(best) ? id_of(best) : -1);
    }
}

/* Log-probabilities: the sum of exp(logit - largest), all as the model gave them; with temperature 0 the end. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_sum(Sample a)
{
    if (!a.greedy)
        let_next_begin();
    await_ops_before();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = raw_view_of(a, row);
    Items items = items_of_block();
    float x[ITEMS];
    u64 sum = 0, total;
    load_raw(v.logits, static_cast<int>(a.V), items, x);
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        double w = exp(static_cast<double>(x[k]) - v.max);
        sum += w > 0 && w <= 1 ? static_cast<u64>(w * a.whole + 0.5) : 0; /* not a number: 0 */
    }
    sum_before(sum, &total);
    if (threadIdx.x == 0)
        atomicAdd(&row->sum, total);
    if (a.greedy && last_of_row(row) && threadIdx.x == 0) {
        u64 best = row->best;
        conclude(a, row, is_finite(best) ? id_of(best) : -1);
    }
}

/* The likeliest ids: those up to the row's limit, as many as were asked for, in any order. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_top(Sample a)
{
    let_next_begin();
    await_ops_before();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = raw_view_of(a, row);
    Items items = items_of_block();
    int64_t at = static_cast<int64_t>(blockIdx.x) * a.ring + a.positions[blockIdx.x] % a.ring;
    float x[ITEMS];
    load_raw(v.logits, a.vocab, items, x);
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (items.id(k) < a.vocab && key_of(v, x[k], items.id(k)) <= row->limit) {
            unsigned i = atomicAdd(&row->found, 1u);
            if (i < static_cast<unsigned>(a.tops))
                a.top[at * a.tops + i] = {items.id(k), x[k]};
        }
}

/* Adds to 64 bits in two halves: shared memory adds 32. */
static __device__ __forceinline__ void add_halves(unsigned *low, unsigned *high, u64 x)
{
    unsigned part = static_cast<unsigned>(x), was = atomicAdd(low, part);
    unsigned above = static_cast<unsigned>(x >> 32) + (was + part < was);
    if (above)
        atomicAdd(high, above);
}

/* The next digit of the limit; with the last one, the limit. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_digit(Sample a, Search s, int digit)
{
    SHARED(unsigned, low, [BINS]);
    SHARED(unsigned, high, [BINS]);
    let_next_begin();
    await_ops_before();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = s.raw ? raw_view_of(a, row) : view_of(a, row, s.limited);
    Items items = items_of_block();
    float logits[ITEMS];
    int shift = (DIGITS - 1 - digit) * DIGIT_BITS;
    u64 prefix = row->prefix, wanted = row->wanted, x[ITEMS], total;
    load_logits(a, v, items, logits);
    for (unsigned i = threadIdx.x; i < BINS; i += SAMPLE_THREADS)
        low[i] = high[i] = 0;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        u64 key = key_of(v, logits[k], items.id(k));
        if (items.id(k) < a.vocab && key <= v.limit && key >> shift >> DIGIT_BITS == prefix) {
            unsigned bin = static_cast<unsigned>(key >> shift) % BINS;
            add_halves(&low[bin], &high[bin], s.by_weight ? weight_of(a, v, logits[k]) : 1);
        }
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BINS; i += SAMPLE_THREADS)
        if (low[i] || high[i])
            atomicAdd(&row->bins[i], static_cast<u64>(high[i]) << 32 | low[i]);
    if (!last_of_row(row))
        return;
    u64 before = sum_before(take_bins(row, x), &total);
    if (digit == 0)
        wanted =
            s.by_weight ? static_cast<u64>(fmax(1.0, ceil(s.share * static_cast<double>(total)))) : s.count;
    find(x, before, wanted, [&](int bin, u64 rest) {
        u64 found = prefix << DIGIT_BITS | static_cast<u64>(bin);
        bool whole = digit == s.digits - 1;
        row->wanted = rest;
        row->prefix = whole ? 0 : found;
        if (whole)
            row->limit = ((found + 1) << shift) - 1;
    });
}

/* Where among the weights, which add up to total, the row's random number falls: the id with which their sum reaches it. */
static __device__ __forceinline__ u64 drawn_weight(const Sample &a, u64 total)
{
    double u = gp_random_double(a.seed, GP_RNG_SAMPLE, static_cast<uint32_t>(a.samples[blockIdx.x]),
                                static_cast<uint64_t>(a.positions[blockIdx.x]));
    u64 passed = static_cast<u64>(u * static_cast<double>(total));
    return passed < total ? passed + 1 : total;
}

/* The weights of a thread's ids, and their sum. */
static __device__ __forceinline__ u64 weigh(const Sample &a, const View &v, Items items, u64 (&x)[ITEMS])
{
    float logits[ITEMS];
    u64 sum = 0;
    load_logits(a, v, items, logits);
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        sum += x[k] = kept_weight(a, v, logits[k], items.id(k));
    return sum;
}

/* Draws from the ids that are kept, in order of id: first a slice, then one of its ids. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_draw(Sample a, bool limited)
{
    SHARED(int, slice, [1]);
    SHARED(u64, left, [1]);
    await_ops_before();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = view_of(a, row, limited);
    u64 x[ITEMS], total;
    sum_before(weigh(a, v, items_of_block(), x), &total);
    if (threadIdx.x == 0)
        atomicExch(&row->bins[blockIdx.y], total);
    if (!last_of_row(row))
        return;
    u64 before = sum_before(take_bins(row, x), &total);
    if (total == 0 || !is_finite(v.best)) {
        if (threadIdx.x == 0)
            conclude(a, row, is_finite(v.best) ? id_of(v.best) : -1);
        return;
    }
    find(x, before, drawn_weight(a, total), [&](int i, u64 rest) { slice[0] = i, left[0] = rest; });
    __syncthreads();
    int first = slice[0] * SLICE;
    Items mine = {first + static_cast<int>(threadIdx.x) * ITEMS, 1};
    before = sum_before(weigh(a, v, mine, x), &total);
    find(x, before, left[0], [&](int i, u64) { conclude(a, row, first + i); });
}

/* ---- the op ---------------------------------------------------------------------------------------------- */

/* As large as it can be so that no sum of weights overflows. */
static double fixed_one(int64_t count)
{
    int bits = 0;
    while (int64_t{1} << bits < count)
        bits++;
    return ldexp(1.0, 62 - bits);
}

size_t sample_rows_bytes()
{
    return SAMPLE_ROWS * sizeof(Row);
}

static void search(gp_backend *be, const Sample &a, dim3 grid, const Search &s)
{
    for (int digit = 0; digit < s.digits; digit++)
        RUN_EARLY(be, sample_digit, grid, SAMPLE_THREADS, 0, a, s, digit);
}

static void draw(gp_backend *be, const gp_sample_op *op, const Sample &a, unsigned rows)
{
    dim3 grid(rows, blocks_for(op->vocab, SLICE)), all(rows, blocks_for(a.V, SLICE));
    bool top_k = op->top_k > 0 && op->top_k < op->vocab, top_p = op->top_p < 1;
    RUN_EARLY(be, sample_largest, a.likely ? all : grid, SAMPLE_THREADS, 0, a);
    if (a.tops) {
        search(be, a, grid, {false, false, true, static_cast<u64>(a.tops), 0, DIGITS});
        RUN_EARLY(be, sample_top, grid, SAMPLE_THREADS, 0, a);
    }
    if (a.likely)
        RUN_EARLY(be, sample_sum, all, SAMPLE_THREADS, 0, a);
    if (a.greedy)
        return;
    if (top_k)
        search(be, a, grid, {false, false, false, static_cast<u64>(op->top_k), 0, LOGIT_DIGITS});
    if (top_p)
        search(be, a, grid, {true, top_k, false, 0, op->top_p, DIGITS});
    RUN_EARLY(be, sample_draw, grid, SAMPLE_THREADS, 0, a, top_k || top_p);
}

/* As many rows at a time as have state. */
void gp_cuda_sample(gp_backend *be, const gp_sample_op *op)
{
    int64_t B = rows_of(op->logits), V = columns_of(op->logits);
    BUG_ON(op->vocab < 1 || op->vocab > V || V > 1 << ID_BITS || op->tops > op->vocab);
    for (int64_t b = 0; b < B; b += SAMPLE_ROWS) {
        Sample a = {};
        a.logits = data_of<float>(op->logits) + b * V;
        a.V = V;
        a.vocab = op->vocab;
        a.greedy = op->temperature <= 0;
        a.cold = 1.0 / op->temperature;
        a.one = fixed_one(op->vocab);
        a.least = op->min_p * a.one;
        a.seed = op->seed;
        a.samples = op->samples + b;
        a.positions = op->positions + b;
        a.ids = op->ids + b;
        a.rows = static_cast<Row *>(state_of(be)->sample_rows);
        a.seen = op->seen ? op->seen + b * V : nullptr;
        a.penalty = op->penalty;
        if (op->draws) {
            a.draws = op->draws + b * op->ring;
            a.ring = op->ring;
            a.places = op->places + b;
            a.last_place = op->last_place;
            a.likely = op->log_probabilities;
            a.whole = fixed_one(V);
            a.tops = a.likely ? op->tops : 0;
            a.top = a.tops ? op->top + b * op->ring * op->tops : nullptr;
        }
        draw(be, op, a, static_cast<unsigned>(gp_min(B - b, SAMPLE_ROWS)));
    }
}
