/* op_sample.cu: draws a token from each row of logits.
 *
 * A row is split into slices, one block each: a single block would take as long as some layers. The blocks of a row
 * accumulate their results in its Row, and the last block to arrive concludes from it. All sums are of integers, with
 * weights in fixed point, so the order of blocks and threads does not affect the result. Greedy sampling is one kernel,
 * plain temperature two. */
#include "backend/cuda/sample.cuh"

/* Stores the draw and resets the row's state. Called by one thread of the row's last block, after the op's last read of
 * the row. */
static __device__ void finish_row(const Sample &a, Row *row, int id)
{
    unsigned b = blockIdx.x;
    u64 raw_best = atomicExch(&row->raw_best, 0ull), sum = atomicExch(&row->sum, 0ull);
    atomicExch(&row->best, 0ull);
    row->found = 0;
    if (!a.draws) {
        a.ids[b] = id;
        return;
    }
    gp_draw d = {};
    d.id = id;
    if (a.log_probabilities) {
        d.logit = id < 0 ? 0 : a.logits[b * a.V + id];
        d.max = logit_of(raw_best);
        d.sum = static_cast<double>(sum) / a.sum_one;
    }
    a.draws[static_cast<int64_t>(b) * a.ring + a.positions[b] % a.ring] = d;
    a.ids[b] = id < 0 ? 0 : id;
    a.positions[b]++;
    a.places[b] += a.places[b] < a.last_place;
    if (a.seen && id >= 0)
        a.seen[b * a.V + id] = 1;
}

/* ---- the kernels: grid (rows, slices), block (b,i) has slice i of row b ----------------------------------
 *
 * The last kernel of an op does not call pdl_launch_dependents: it writes what the next pass reads before pdl_wait. */

/* row->best = max over ids below vocab of code(logit) << 32 | ~id: the largest logit, the lowest id on ties, which is
 * the draw if the temperature is 0. With log-probabilities also row->raw_best, over all V logits. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_largest(Sample a)
{
    SHARED(u64, largest, [SAMPLE_THREADS / WARP]);
    SHARED(u64, largest_raw, [SAMPLE_THREADS / WARP]);
    bool finishes = a.greedy && !a.log_probabilities;
    if (!finishes)
        pdl_launch_dependents();
    pdl_wait();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    Items items = items_of_block();
    float x[ITEMS];
    u64 best = 0, raw_best = 0;
    load_raw(logits_of(a), a.log_probabilities ? static_cast<int>(a.V) : a.vocab, items, x);
    if (a.log_probabilities) {
#pragma unroll
        for (int k = 0; k < ITEMS; k++)
            if (items.id(k) < a.V)
                raw_best = max(raw_best, code_or_not_finite(x[k]));
        raw_best = block_largest(raw_best, largest_raw);
        if (threadIdx.x == 0)
            atomicMax(&row->raw_best, raw_best);
    }
    penalize(a, seen_of(a), items, x);
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (items.id(k) < a.vocab)
            best = max(best, code_or_not_finite(x[k]) | ~static_cast<uint32_t>(items.id(k)));
    best = block_largest(best, largest);
    if (threadIdx.x == 0)
        atomicMax(&row->best, best);
    if (finishes && is_last_block(row) && threadIdx.x == 0) {
        best = atomicMax(&row->best, 0ull);
        finish_row(a, row, is_finite(best) ? id_of(best) : -1);
    }
}

/* row->sum += sum over all V of exp(logit - largest), as the model gave them: for log-probabilities. With temperature 0
 * this is the last kernel. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_sum(Sample a)
{
    if (!a.greedy)
        pdl_launch_dependents();
    pdl_wait();
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
        sum += w > 0 && w <= 1 ? static_cast<u64>(w * a.sum_one + 0.5) : 0; /* not a number: 0 */
    }
    exclusive_sum(sum, &total);
    if (threadIdx.x == 0)
        atomicAdd(&row->sum, total);
    if (a.greedy && is_last_block(row) && threadIdx.x == 0) {
        u64 best = row->best;
        finish_row(a, row, is_finite(best) ? id_of(best) : -1);
    }
}

/* a.top = the most probable ids: those with keys up to row->limit, `tops` of them, in any order. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_top(Sample a)
{
    pdl_launch_dependents();
    pdl_wait();
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

/* The contribution of an id to a search: its weight, or 1. */
static __device__ __forceinline__ u64 counted(const Sample &a, const Search &s, const View &v, float logit)
{
    return s.by_weight ? weight_of(a, v, logit) : 1;
}

static __device__ __forceinline__ View view_of(const Sample &a, const Search &s, const Row *row)
{
    return s.raw ? raw_view_of(a, row) : view_of(a, row, s.limited);
}

/* row->prefix = the first digit of the limit; row->wanted = the rest of the count or weight among the keys with it. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_digit(Sample a, Search s)
{
    SHARED(Bins, bins, [1]);
    pdl_launch_dependents();
    pdl_wait();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = view_of(a, s, row);
    Items items = items_of_block();
    float logits[ITEMS];
    u64 x[ITEMS], total, wanted = s.count;
    load_logits(a, v, items, logits);
    bins->empty();
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
        u64 key = key_of(v, logits[k], items.id(k));
        if (items.id(k) < a.vocab && key <= v.limit)
            bins->add(key >> FIRST_SHIFT, counted(a, s, v, logits[k]));
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BINS; i += SAMPLE_THREADS)
        if (bins->of(i))
            atomicAdd(&row->bins[i], bins->of(i));
    if (!is_last_block(row))
        return;
    u64 before = exclusive_sum(take_bins(row, x), &total);
    if (s.by_weight)
        wanted = static_cast<u64>(fmax(1.0, ceil(s.share * static_cast<double>(total))));
    find(x, before, wanted, [&](int bin, u64 rest) { row->prefix = static_cast<u64>(bin), row->wanted = rest; });
}

/* Appends the keys of the block's slice that begin with the row's first digit to the row's list. */
static __device__ void list_keys(const Sample &a, const View &v, Row *row, u64 *list)
{
    SHARED(unsigned, first, [1]);
    Items items = items_of_block();
    float logits[ITEMS];
    u64 digit = row->prefix, mine = 0, total;
    load_logits(a, v, items, logits);
    auto listed = [&](int k) {
        u64 key = key_of(v, logits[k], items.id(k));
        return items.id(k) < a.vocab && key <= v.limit && key >> FIRST_SHIFT == digit;
    };
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        mine += listed(k);
    u64 before = exclusive_sum(mine, &total);
    if (threadIdx.x == 0)
        first[0] = atomicAdd(&row->listed, static_cast<unsigned>(total));
    __syncthreads();
    u64 *at = list + first[0] + before;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (listed(k))
            *at++ = key_of(v, logits[k], items.id(k));
}

/* row->limit: the remaining digits, found by the row's last block among the listed keys. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_limit(Sample a, Search s)
{
    SHARED(Bins, bins, [1]);
    SHARED(unsigned, count, [1]);
    SHARED(u64, next, [2]);
    pdl_launch_dependents();
    pdl_wait();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = view_of(a, s, row);
    u64 *list = a.lists + static_cast<int64_t>(blockIdx.x) * a.vocab;
    list_keys(a, v, row, list);
    if (!is_last_block(row))
        return;
    u64 prefix = row->prefix, wanted = row->wanted, x[ITEMS], total;
    if (threadIdx.x == 0)
        count[0] = atomicExch(&row->listed, 0u);
    int shift = FIRST_SHIFT;
    for (int digit = 1; digit < s.digits; digit++) {
        shift -= DIGIT_BITS;
        bins->empty();
        for (unsigned i = threadIdx.x; i < count[0]; i += SAMPLE_THREADS) {
            u64 key = __ldcg(list + i);
            if (key >> shift >> DIGIT_BITS == prefix)
                bins->add(key >> shift, counted(a, s, v, logit_of(v.best - (key >> ID_BITS << 32))));
        }
        if (threadIdx.x == 0) /* if logits are not finite nothing may be found */
            next[0] = prefix << DIGIT_BITS, next[1] = wanted;
        __syncthreads();
        u64 sum = 0;
#pragma unroll
        for (int k = 0; k < ITEMS; k++)
            sum += x[k] = bins->of(threadIdx.x * ITEMS + static_cast<unsigned>(k));
        u64 before = exclusive_sum(sum, &total);
        find(x, before, wanted, [&](int bin, u64 rest) {
            next[0] = prefix << DIGIT_BITS | static_cast<u64>(bin);
            next[1] = rest;
        });
        __syncthreads();
        prefix = next[0];
        wanted = next[1];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        row->limit = ((prefix + 1) << shift) - 1;
}

/* Inverse transform sampling: the position of the row's random number in the cumulative weights, whose total is given;
 * the id at which the cumulative weight reaches it is drawn. */
static __device__ __forceinline__ u64 drawn_weight(const Sample &a, u64 total)
{
    double u = gp_random_double(a.seed, GP_RNG_SAMPLE, static_cast<uint32_t>(a.samples[blockIdx.x]),
                                static_cast<uint64_t>(a.positions[blockIdx.x]));
    u64 passed = static_cast<u64>(u * static_cast<double>(total));
    return passed < total ? passed + 1 : total;
}

/* The weights of a thread's ids; returns their sum. */
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

/* Draws from the kept ids, in order of id: first a slice, then one of its ids. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_draw(Sample a, bool limited)
{
    SHARED(int, slice, [1]);
    SHARED(u64, left, [1]);
    pdl_wait();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = view_of(a, row, limited);
    u64 x[ITEMS], total;
    exclusive_sum(weigh(a, v, items_of_block(), x), &total);
    if (threadIdx.x == 0)
        atomicExch(&row->bins[blockIdx.y], total);
    if (!is_last_block(row))
        return;
    u64 before = exclusive_sum(take_bins(row, x), &total);
    bool without_weights = total == 0 || !is_finite(v.best); /* uniform over the block */
    int drawn = -1;                                          /* set by one thread */
    if (without_weights) {
        if (threadIdx.x == 0 && is_finite(v.best))
            drawn = id_of(v.best);
    } else {
        find(x, before, drawn_weight(a, total), [&](int i, u64 rest) { slice[0] = i, left[0] = rest; });
        __syncthreads();
        int first = slice[0] * SLICE;
        Items mine = {first + static_cast<int>(threadIdx.x) * ITEMS, 1};
        before = exclusive_sum(weigh(a, v, mine, x), &total);
        find(x, before, left[0], [&](int i, u64) { drawn = first + i; });
    }
    if (drawn >= 0 || (without_weights && threadIdx.x == 0))
        finish_row(a, row, drawn);
}

/* ---- the op ---------------------------------------------------------------------------------------------- */

/* 1 in fixed point: the largest with which no sum of `count` weights overflows. */
static double fixed_one(int64_t count)
{
    int bits = 0;
    while (int64_t{1} << bits < count)
        bits++;
    return ldexp(1.0, 62 - bits);
}

/* Bytes of the lists: keys of all ids, of the rows of one launch. */
static size_t lists_bytes(int64_t rows, int64_t vocab)
{
    return static_cast<size_t>(rows * vocab) * sizeof(u64);
}

size_t gp_cuda_sample_workspace(const gp_backend *be, const gp_shape *shape)
{
    (void)be;
    return shape->cache ? lists_bytes(gp_min(shape->B, SAMPLE_ROWS), shape->V) : 0;
}

size_t sample_rows_bytes()
{
    return SAMPLE_ROWS * sizeof(Row);
}

static void search(gp_backend *be, const Sample &a, dim3 grid, const Search &s)
{
    RUN_PDL(be, sample_digit, grid, SAMPLE_THREADS, 0, a, s);
    RUN_PDL(be, sample_limit, grid, SAMPLE_THREADS, 0, a, s);
}

static void draw(gp_backend *be, const gp_sample_op *op, const Sample &a, unsigned rows)
{
    dim3 grid(rows, blocks_for(op->vocab, SLICE)), all(rows, blocks_for(a.V, SLICE));
    bool top_k = op->top_k > 0 && op->top_k < op->vocab, top_p = op->top_p < 1;
    RUN_PDL(be, sample_largest, a.log_probabilities ? all : grid, SAMPLE_THREADS, 0, a);
    if (a.tops) {
        search(be, a, grid, {false, false, true, static_cast<u64>(a.tops), 0, DIGITS});
        RUN_PDL(be, sample_top, grid, SAMPLE_THREADS, 0, a);
    }
    if (a.log_probabilities)
        RUN_PDL(be, sample_sum, all, SAMPLE_THREADS, 0, a);
    if (a.greedy)
        return;
    if (top_k)
        search(be, a, grid, {false, false, false, static_cast<u64>(op->top_k), 0, LOGIT_DIGITS});
    if (top_p)
        search(be, a, grid, {true, top_k, false, 0, op->top_p, DIGITS});
    RUN_PDL(be, sample_draw, grid, SAMPLE_THREADS, 0, a, top_k || top_p);
}

/* SAMPLE_ROWS rows at a time: as many as have state. */
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
        a.inverse_temperature = 1.0 / op->temperature;
        a.weight_one = fixed_one(op->vocab);
        a.min_weight = op->min_p * a.weight_one;
        a.seed = op->seed;
        a.samples = op->samples + b;
        a.positions = op->positions + b;
        a.ids = op->ids + b;
        a.rows = static_cast<Row *>(state_of(be)->sample_rows);
        a.seen = op->seen ? op->seen + b * V : nullptr;
        a.penalty = op->penalty;
        a.lists = static_cast<u64 *>(cuda_workspace(be, lists_bytes(gp_min(B, SAMPLE_ROWS), op->vocab)));
        if (op->draws) {
            a.draws = op->draws + b * op->ring;
            a.ring = op->ring;
            a.places = op->places + b;
            a.last_place = op->last_place;
            a.log_probabilities = op->log_probabilities;
            a.sum_one = fixed_one(V);
            a.tops = a.log_probabilities ? op->tops : 0;
            a.top = a.tops ? op->top + b * op->ring * op->tops : nullptr;
        }
        draw(be, op, a, static_cast<unsigned>(gp_min(B - b, SAMPLE_ROWS)));
    }
}
