/* op_sample.cu: a token drawn from each row of logits.
 *
 * A row is cut into slices, a block each: one block alone would read for as long as some layers take. What the blocks of a
 * row find they gather in its Row, and the last of them to come concludes from it. All sums are of integers, weights in
 * fixed point, so no order of blocks or threads can show. Greedy is one kernel, plain temperature two. */
#include "backend/cuda/sample.cuh"

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
