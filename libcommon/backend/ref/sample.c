/* sample.c: samples a token from each row of logits: repetition penalty, temperature, top-k, top-p, min-p. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"
#include "backend/sample.h"
#include "base/rng.h"

/* The ids of one row, most probable first; of equals, the lower id. They are sorted lazily: heap[0..rest-1] is a heap,
 * and the ids removed from it follow it, the first one last. */
typedef struct ranking {
    const real *logits;
    int32_t *heap;
    int64_t size, rest;
} ranking;

/* Whether id a comes before id b. */
static bool before(const real *logits, int64_t a, int64_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(ranking *r, int64_t i)
{
    int32_t id = r->heap[i];
    for (int64_t child; (child = 2 * i + 1) < r->rest; i = child) {
        if (child + 1 < r->rest && before(r->logits, r->heap[child + 1], r->heap[child]))
            child++;
        if (before(r->logits, id, r->heap[child]))
            break;
        r->heap[i] = r->heap[child];
    }
    r->heap[i] = id;
}

static ranking rank_ids(const real *logits, int64_t vocab, int32_t *heap)
{
    ranking r = {logits, heap, vocab, vocab};
    for (int64_t i = 0; i < vocab; i++)
        heap[i] = (int32_t)i;
    for (int64_t i = vocab / 2; i-- > 0;)
        sift_down(&r, i);
    return r;
}

/* The id of rank i, from 0. */
static int32_t ranked(ranking *r, int64_t i)
{
    while (r->size - r->rest <= i) {
        int32_t top = r->heap[0];
        r->heap[0] = r->heap[--r->rest];
        sift_down(r, 0);
        r->heap[r->rest] = top;
    }
    return r->heap[r->size - 1 - i];
}

/* The last id, by rank, that top_k and top_p keep. top_k keeps logits not below the k-th largest; top_p then keeps the
 * smallest number of ids whose probability, among those, is at least top_p (Holtzman et al. 2020). */
static int32_t last_kept(const gp_sample_op *op, const real *logits, const gp_draw_weights *w, int32_t *heap)
{
    ranking r = rank_ids(logits, op->vocab, heap);
    int64_t kept = op->vocab, total = 0, mass = 0;
    if (op->top_k > 0 && op->top_k < op->vocab) {
        real kth = logits[ranked(&r, op->top_k - 1)];
        for (kept = op->top_k; kept < op->vocab && logits[ranked(&r, kept)] == kth;)
            kept++;
    }
    if (op->top_p < 1) {
        for (int64_t i = 0; i < kept; i++)
            total += gp_draw_weight(w, logits[kept < op->vocab ? ranked(&r, i) : i]);
        int64_t i = 0, share = gp_draw_share(op->top_p, total);
        while (mass < share)
            mass += gp_draw_weight(w, logits[ranked(&r, i++)]);
        kept = i;
    }
    return ranked(&r, kept - 1);
}

static int32_t largest(const real *logits, int64_t vocab)
{
    int64_t best = 0;
    for (int64_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* Keeps ids up to last_kept whose probability is at least min_p of the largest (Nguyen et al. 2024), and inverts their
 * cumulative distribution, in order of id, at `uniform`. weights (vocab) and heap (vocab) are scratch. */
static int32_t draw(const gp_sample_op *op, const real *logits, double uniform, int64_t *weights, int32_t *heap)
{
    int32_t best = largest(logits, op->vocab), id = -1;
    if (op->temperature <= 0 || op->min_p > 1)
        return best;
    gp_draw_weights w = gp_draw_weights_of(logits[best], op->temperature, op->min_p, op->vocab);
    bool all = (op->top_k <= 0 || op->top_k >= op->vocab) && op->top_p >= 1;
    int64_t last = all ? 0 : last_kept(op, logits, &w, heap), total = 0, passed = 0;
    for (int64_t i = 0; i < op->vocab; i++) {
        weights[i] = all || !before(logits, last, i) ? gp_draw_weight_kept(&w, logits[i]) : 0;
        total += weights[i];
    }
    for (int64_t drawn = gp_draw_place(uniform, total); passed < drawn;)
        passed += weights[++id];
    return id;
}

/* Whether a token can be sampled: logits may be -inf, which is never drawn, but not all of them; none may be NaN or
 * inf. */
static bool can_sample(const real *logits, int64_t vocab)
{
    bool valid = true, any = false;
    for (int64_t i = 0; i < vocab; i++) {
        valid &= logits[i] < INFINITY; /* false for NaN */
        any |= logits[i] > -INFINITY;
    }
    return valid && any;
}

/* Scratch for one row: weights, logits after the penalty, ranking. */
typedef struct draw_scratch {
    int64_t *weights;
    real *penalized;
    int32_t *heap;
} draw_scratch;

static size_t draw_bytes(int64_t vocab)
{
    return (size_t)vocab * (sizeof(int64_t) + sizeof(real) + sizeof(int32_t));
}

size_t gp_ref_sample_scratch(const gp_shape *shape)
{
    return draw_bytes(shape->V);
}

/* The row's logits after the penalty. */
static const real *penalize(const gp_sample_op *op, const real *logits, const uint8_t *seen, real *penalized)
{
    if (!seen)
        return logits;
    for (int64_t i = 0; i < op->vocab; i++)
        penalized[i] = seen[i] ? gp_sample_penalized(op, logits[i]) : logits[i];
    return penalized;
}

/* Fills in the log-probability of the drawn id, from all V logits, and the most likely ids. */
static void find_candidates(const gp_sample_op *op, const real *logits, int64_t V, gp_draw *d, gp_candidate *top,
                            int32_t *heap)
{
    double max = -INFINITY;
    for (int64_t i = 0; i < V; i++)
        max = logits[i] > max ? logits[i] : max;
    gp_draw_weights w = gp_draw_weights_of(max, 1, 0, V);
    int64_t sum = 0;
    for (int64_t i = 0; i < V; i++)
        sum += gp_draw_weight(&w, logits[i]);
    d->sum = (double)sum / w.one;
    d->max = (float)max;
    d->logit = d->id < 0 ? 0 : (float)logits[d->id];
    if (!op->tops)
        return;
    ranking r = rank_ids(logits, op->vocab, heap);
    for (int64_t i = 0; i < op->tops; i++) {
        int32_t id = ranked(&r, i);
        top[i] = (gp_candidate){id, (float)logits[id]};
    }
}

/* ids (B) from logits (B,V). A row's random number depends only on (seed, sample, position). */
void gp_ref_sample(gp_backend *be, const gp_sample_op *op)
{
    int64_t B = rows_of(op->logits), V = columns_of(op->logits);
    BUG_ON(op->vocab < 1 || op->vocab > V || op->tops > op->vocab);
#pragma omp parallel for schedule(static) num_threads(be->threads) if (B > 1)
    for (int64_t b = 0; b < B; b++) {
        const real *logits = reals(op->logits) + b * V;
        if (op->draws && op->samples[b] < 0)
            continue;
        double u = gp_random_double(op->seed, GP_RNG_SAMPLE, (uint32_t)op->samples[b], (uint64_t)op->positions[b]);
        draw_scratch s = {.weights = thread_scratch(be, draw_bytes(op->vocab))};
        s.penalized = (real *)(s.weights + op->vocab);
        s.heap = (int32_t *)(s.penalized + op->vocab);
        const real *from = penalize(op, logits, op->seen ? op->seen + b * V : NULL, s.penalized);
        gp_draw d = {.id = can_sample(from, op->vocab) ? draw(op, from, u, s.weights, s.heap) : -1};
        if (op->draws && op->log_probabilities)
            find_candidates(op, logits, V, &d, op->top + gp_sample_place(op, b) * op->tops, s.heap);
        if (op->draws)
            gp_sample_finish(op, b, V, &d);
        else
            op->ids[b] = d.id;
    }
}
