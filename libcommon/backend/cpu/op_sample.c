/* op_sample.c: draws tokens, the same as backend/ref/sample.c, without sorting the vocabulary: the logits are read in
 * strips whose largest is known, and what top_k and top_p keep is found among the ids of the strips that reach it. */
#include "backend/cpu/cpu.h"
#include "backend/sample.h"
#include "base/rng.h"

/* One row, drawn by one thread. */
typedef struct sampler {
    const gp_kernels *k;
    const gp_sample_op *op;
    const float *x; /* (V) logits after the penalty */
    int64_t V;      /* ids that can be drawn */
    gp_draw_weights w;
    int64_t *sums;    /* (strips) of the weights */
    int64_t *weights; /* (V) by id */
    float *largest;   /* (strips) */
    float *penalized; /* (V) */
    int32_t *ids;     /* (V) */
} sampler;

static int64_t strips_of(int64_t V)
{
    return (V + GP_SAMPLE_STRIP - 1) / GP_SAMPLE_STRIP;
}

static size_t row_bytes(int64_t V)
{
    int64_t strips = strips_of(V);
    size_t wide = (size_t)(strips + V) * sizeof(int64_t), narrow = (size_t)(strips + 2 * V) * sizeof(float);
    return gp_round_up(wide + narrow, 64);
}

size_t gp_cpu_sample_workspace(const gp_backend *be, const gp_shape *shape)
{
    return shape->cache ? row_bytes(shape->V) * (size_t)be->threads : 0;
}

static sampler sampler_of(gp_backend *be, const gp_sample_op *op, int64_t V, int part)
{
    size_t bytes = row_bytes(V);
    char *scratch = (char *)gp_cpu_workspace(be, bytes * (size_t)be->threads) + bytes * (size_t)part;
    sampler s = {.k = gp_cpu_state(be)->k, .op = op, .V = op->vocab, .sums = (int64_t *)(void *)scratch};
    s.weights = s.sums + strips_of(V);
    s.largest = (float *)(s.weights + V);
    s.penalized = s.largest + strips_of(V);
    s.ids = (int32_t *)(s.penalized + V);
    return s;
}

/* ---- selection ------------------------------------------------------------------------------------------- */

/* The id, of n, at which the weights (by id; NULL: each weighs 1) of the most probable ones reach `wanted`. Reorders
 * ids. The loop has no branch that a processor could guess wrong. */
static int32_t reach(const float *x, const int64_t *weights, int32_t *ids, int64_t n, int64_t wanted)
{
    while (n > 1) {
        int32_t pivot = ids[n / 2];
        int64_t before = 0, sum = 0, own = weights ? weights[pivot] : 1;
        ids[n / 2] = ids[n - 1];
        for (int64_t i = 0; i < n - 1; i++) {
            int32_t id = ids[i];
            int64_t is_before = (x[id] > x[pivot]) | ((x[id] >= x[pivot]) & (id < pivot));
            ids[i] = ids[before];
            ids[before] = id;
            before += is_before;
            sum += -is_before & (weights ? weights[id] : 1);
        }
        if (wanted > sum && wanted <= sum + own)
            return pivot;
        if (wanted > sum) {
            wanted -= sum + own;
            ids += before;
            n -= before + 1;
        } else {
            n = before;
        }
    }
    return ids[0];
}

/* The ids, ascending, whose logits are larger than `least`, or equal to it and up to id `last`. */
static int64_t gather(const sampler *s, float least, int32_t last)
{
    int64_t n = 0;
    for (int64_t strip = 0; strip < strips_of(s->V); strip++) {
        int64_t first = strip * GP_SAMPLE_STRIP, end = gp_min(s->V, first + GP_SAMPLE_STRIP);
        if (s->largest[strip] < least)
            continue;
        for (int64_t i = first; i < end; i++) {
            s->ids[n] = (int32_t)i;
            n += s->x[i] > least || (i <= last && s->x[i] >= least);
        }
    }
    return n;
}

/* A logit that at least `count` ids reach, if there are as many: the count-th of the largest of each strip. */
static float reached_by(const sampler *s, int64_t count)
{
    int64_t strips = strips_of(s->V);
    if (count > strips)
        return -INFINITY;
    for (int64_t i = 0; i < strips; i++)
        s->ids[i] = (int32_t)i;
    return s->largest[reach(s->largest, NULL, s->ids, strips, count)];
}

/* The ids whose logits are not below the count-th largest. */
static int64_t gather_largest(const sampler *s, int64_t count)
{
    int64_t n = gather(s, reached_by(s, count), INT32_MAX);
    return gather(s, s->x[reach(s->x, NULL, s->ids, n, count)], INT32_MAX);
}

static int64_t weigh(const sampler *s, const gp_draw_weights *w, int64_t n)
{
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += s->weights[s->ids[i]] = gp_draw_weight_kept(w, (double)s->x[s->ids[i]]);
    return total;
}

/* Of n gathered ids, or of all if n is 0, those that top_p keeps. */
static int64_t gather_share(const sampler *s, int64_t n)
{
    enum { FIRST = 64 };
    gp_draw_weights w = s->w;
    w.least = 0;
    int64_t total = n ? weigh(s, &w, n) : s->k->sample_weights(&w, s->x, s->V, s->weights, s->sums), mass = 0;
    int64_t share = gp_draw_share((double)s->op->top_p, total);
    if (!n) { /* mostly few ids have it */
        n = gather(s, reached_by(s, FIRST), INT32_MAX);
        for (int64_t i = 0; i < n; i++)
            mass += s->weights[s->ids[i]];
        if (mass < share)
            n = gather(s, -INFINITY, INT32_MAX);
    }
    int32_t last = reach(s->x, s->weights, s->ids, n, share);
    return gather(s, s->x[last], last);
}

/* ---- drawing --------------------------------------------------------------------------------------------- */

static const float *penalize(const sampler *s, const float *logits, const uint8_t *seen)
{
    if (!seen)
        return logits;
    memcpy(s->penalized, logits, (size_t)s->V * sizeof *logits);
    for (int64_t i = 0; i < s->V; i++)
        if (seen[i])
            s->penalized[i] = gp_sample_penalized(s->op, (double)logits[i]);
    return s->penalized;
}

/* The lowest id with the largest logit; -1 where none can be drawn. */
static int32_t find_best(const sampler *s)
{
    int64_t strip = 0, strips = strips_of(s->V);
    if (!s->k->sample_largest(s->x, s->V, s->largest))
        return -1;
    for (int64_t i = 1; i < strips; i++)
        if (s->largest[i] > s->largest[strip])
            strip = i;
    if (s->largest[strip] <= -INFINITY)
        return -1;
    int64_t id = strip * GP_SAMPLE_STRIP;
    while (s->x[id] < s->largest[strip])
        id++;
    return (int32_t)id;
}

/* From all ids: the strip in which the cumulative weights reach what is drawn, then the id. */
static int32_t draw_from_all(const sampler *s, double uniform)
{
    int64_t left = gp_draw_place(uniform, s->k->sample_weights(&s->w, s->x, s->V, NULL, s->sums)), strip = 0;
    for (; left > s->sums[strip]; strip++)
        left -= s->sums[strip];
    int64_t id = strip * GP_SAMPLE_STRIP;
    while ((left -= gp_draw_weight_kept(&s->w, (double)s->x[id])) > 0)
        id++;
    return (int32_t)id;
}

static int32_t draw(sampler *s, double uniform)
{
    const gp_sample_op *op = s->op;
    int32_t best = find_best(s);
    int64_t n = 0, i = 0;
    if (best < 0 || op->temperature <= 0 || op->min_p > 1)
        return best;
    s->w = gp_draw_weights_of((double)s->x[best], (double)op->temperature, (double)op->min_p, s->V);
    if (op->top_k > 0 && op->top_k < op->vocab)
        n = gather_largest(s, op->top_k);
    if (op->top_p < 1)
        n = gather_share(s, n);
    if (!n)
        return draw_from_all(s, uniform);
    for (int64_t left = gp_draw_place(uniform, weigh(s, &s->w, n)); (left -= s->weights[s->ids[i]]) > 0;)
        i++;
    return s->ids[i];
}

/* Log-probabilities are of all V logits as the model gave them; s has scratch for as many. */
static void find_candidates(sampler *s, const float *logits, int64_t V, gp_draw *d, gp_candidate *top)
{
    s->k->sample_largest(logits, V, s->largest);
    float max = -INFINITY;
    for (int64_t i = 0; i < strips_of(V); i++)
        max = s->largest[i] > max ? s->largest[i] : max;
    gp_draw_weights w = gp_draw_weights_of((double)max, 1, 0, V);
    d->sum = (double)s->k->sample_weights(&w, logits, V, NULL, s->sums) / w.one;
    d->max = max;
    d->logit = d->id < 0 ? 0 : logits[d->id];
    if (!s->op->tops || d->id < 0)
        return;
    s->x = logits;
    if (s->V < V) /* the last strip has ids that are not drawn */
        s->k->sample_largest(logits, s->V, s->largest);
    int64_t n = gather(s, reached_by(s, s->op->tops), INT32_MAX);
    int32_t last = reach(logits, NULL, s->ids, n, s->op->tops);
    n = gather(s, logits[last], last);
    for (int64_t i = 0; i < n; i++)
        top[i] = (gp_candidate){s->ids[i], logits[s->ids[i]]};
}

static void sample_rows(gp_backend *be, const void *task, gp_range r)
{
    const gp_sample_op *op = task;
    int64_t V = gp_cpu_columns(op->logits);
    for (int64_t b = r.lo; b < r.hi; b++) {
        const float *logits = gp_cpu_data(op->logits) + b * V;
        if (op->draws && op->samples[b] < 0)
            continue;
        sampler s = sampler_of(be, op, V, r.part);
        s.x = penalize(&s, logits, op->seen ? op->seen + b * V : NULL);
        gp_draw d = {.id = draw(&s, gp_random_double(op->seed, GP_RNG_SAMPLE, (uint32_t)op->samples[b],
                                                     (uint64_t)op->positions[b]))};
        if (op->draws && op->log_probabilities)
            find_candidates(&s, logits, V, &d, op->top + gp_sample_place(op, b) * op->tops);
        if (op->draws)
            gp_sample_finish(op, b, V, &d);
        else
            op->ids[b] = d.id;
    }
}

void gp_cpu_sample(gp_backend *be, const gp_sample_op *op)
{
    int64_t B = gp_cpu_rows(op->logits), V = gp_cpu_columns(op->logits);
    BUG_ON(op->vocab < 1 || op->vocab > V || op->tops > op->vocab);
    gp_cpu_split(be, B * V * GP_PS_SAMPLE, B, 1, sample_rows, op);
}
