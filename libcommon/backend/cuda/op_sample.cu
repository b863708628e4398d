/* op_sample.cu: a token drawn from each row of logits.
 *
 * A row is cut into slices, a block each: one block alone would read for as long as some layers take. What the blocks
 * of a row find they gather in its Row, and the last of them to come concludes from it. All sums are of integers,
 * weights in fixed point, so no order of blocks or threads can show. Greedy is one kernel, plain temperature two. */
#include "backend/cuda/sample.cuh"

/* By one thread of the row's last block, when nothing else of the op reads the row any more: what was drawn goes where
 * it is read, and the row's state is as it was. */
static __device__ void conclude(const Sample &a, Row *row, int id)
{
    unsigned b = blockIdx.x;
    u64 most = atomicExch(&row->most, 0ull), sum = atomicExch(&row->sum, 0ull);
    atomicExch(&row->best, 0ull);
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

/* The id with the largest logit, the lowest of several; with temperature 0 it is the one drawn. And the largest of
 * all. */
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

/* What an id counts in a search. */
static __device__ __forceinline__ u64 counted(const Sample &a, const Search &s, const View &v, float logit)
{
    return s.by_weight ? weight_of(a, v, logit) : 1;
}

static __device__ __forceinline__ View view_of(const Sample &a, const Search &s, const Row *row)
{
    return s.raw ? raw_view_of(a, row) : view_of(a, row, s.limited);
}

/* The first digit of the limit, and what is wanted of those with it. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_digit(Sample a, Search s)
{
    SHARED(Bins, bins, [1]);
    let_next_begin();
    await_ops_before();
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
    if (!last_of_row(row))
        return;
    u64 before = sum_before(take_bins(row, x), &total);
    if (s.by_weight)
        wanted = static_cast<u64>(fmax(1.0, ceil(s.share * static_cast<double>(total))));
    find(x, before, wanted, [&](int bin, u64 rest) { row->prefix = static_cast<u64>(bin), row->wanted = rest; });
}

/* The keys of the block's slice that begin with the row's first digit, to the row's list. */
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
    u64 before = sum_before(mine, &total);
    if (threadIdx.x == 0)
        first[0] = atomicAdd(&row->listed, static_cast<unsigned>(total));
    __syncthreads();
    u64 *at = list + first[0] + before;
#pragma unroll
    for (int k = 0; k < ITEMS; k++)
        if (listed(k))
            *at++ = key_of(v, logits[k], items.id(k));
}

/* The other digits, by the row's last block alone, among the keys that were listed; and the limit. */
static __global__ void __launch_bounds__(SAMPLE_THREADS) sample_limit(Sample a, Search s)
{
    SHARED(Bins, bins, [1]);
    SHARED(unsigned, count, [1]);
    SHARED(u64, next, [2]);
    let_next_begin();
    await_ops_before();
    if (is_idle(a))
        return;
    Row *row = a.rows + blockIdx.x;
    View v = view_of(a, s, row);
    u64 *list = a.lists + static_cast<int64_t>(blockIdx.x) * a.vocab;
    list_keys(a, v, row, list);
    if (!last_of_row(row))
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
        if (threadIdx.x == 0) /* where logits are not finite nothing may be found */
            next[0] = prefix << DIGIT_BITS, next[1] = wanted;
        __syncthreads();
        u64 sum = 0;
#pragma unroll
        for (int k = 0; k < ITEMS; k++)
            sum += x[k] = bins->of(threadIdx.x * ITEMS + static_cast<unsigned>(k));
        u64 before = sum_before(sum, &total);
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

/* Where among the weights, which add up to total, the row's random number falls: the id with which their sum reaches
 * it. */
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
    bool without_weights = total == 0 || !is_finite(v.best); /* the same for all threads */
    int drawn = -1;                                          /* by one thread */
    if (without_weights) {
        if (threadIdx.x == 0 && is_finite(v.best))
            drawn = id_of(v.best);
    } else {
        find(x, before, drawn_weight(a, total), [&](int i, u64 rest) { slice[0] = i, left[0] = rest; });
        __syncthreads();
        int first = slice[0] * SLICE;
        Items mine = {first + static_cast<int>(threadIdx.x) * ITEMS, 1};
        before = sum_before(weigh(a, v, mine, x), &total);
        find(x, before, left[0], [&](int i, u64) { drawn = first + i; });
    }
    if (drawn >= 0 || (without_weights && threadIdx.x == 0))
        conclude(a, row, drawn);
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

/* Keys of all ids of as many rows as are drawn for at once. */
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
    RUN_PDL(be, sample_largest, a.likely ? all : grid, SAMPLE_THREADS, 0, a);
    if (a.tops) {
        search(be, a, grid, {false, false, true, static_cast<u64>(a.tops), 0, DIGITS});
        RUN_PDL(be, sample_top, grid, SAMPLE_THREADS, 0, a);
    }
    if (a.likely)
        RUN_PDL(be, sample_sum, all, SAMPLE_THREADS, 0, a);
    if (a.greedy)
        return;
    if (top_k)
        search(be, a, grid, {false, false, false, static_cast<u64>(op->top_k), 0, LOGIT_DIGITS});
    if (top_p)
        search(be, a, grid, {true, top_k, false, 0, op->top_p, DIGITS});
    RUN_PDL(be, sample_draw, grid, SAMPLE_THREADS, 0, a, top_k || top_p);
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
        a.lists = static_cast<u64 *>(cuda_workspace(be, lists_bytes(gp_min(B, SAMPLE_ROWS), op->vocab)));
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
