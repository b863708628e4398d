/* score_passages.c: log-probabilities of given ids. Passages are batched, padded on the right to the longest, which
 * does not affect a causal model; the head runs only on the rows that are scored. */
#include "base/batch.h"
#include "model/nonfinite.h"
#include "infer/score.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Maxima of one pass: tokens of all passages including padding; passages. And rows whose logits are computed at
 * once. */
enum { TOKENS = 2048, MAX = 64, LOGIT_ROWS = 32 };

typedef struct pass {
    gp_model *m;
    gp_attention_by attention;
    gp_passage **passages; /* of this pass */
    gp_batch batch;
    int64_t rows;           /* that are scored */
    int32_t *targets;       /* (rows) */
    float *losses;          /* (rows) */
    bool *greedy;           /* (rows) the target is the most likely id */
    gp_token_logprob **top; /* (rows) output for the most likely ids, or NULL */
    int64_t tops;
    bool want_greedy;
    float *logits;    /* (LOGIT_ROWS,V), or NULL if they are not needed */
    void *device;     /* the same in the backend's memory */
    gp_scored_fn *fn; /* or NULL */
    void *self;
} pass;

/* ---- passages as batches --------------------------------------------------------------------------------- */

/* Batch n has passages [first[n], first[n + 1]), sorted by length to reduce padding. */
typedef struct passage_source {
    gp_source source;
    gp_passage *const *passages; /* (count) */
    int64_t *first;              /* (batches + 1) */
} passage_source;

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    const passage_source *p = (const passage_source *)self;
    gp_passage *const *s = p->passages + p->first[n];
    int32_t *in = gp_batch_fill(batch->inputs), *out = gp_batch_fill(batch->targets);
    batch->B = p->first[n + 1] - p->first[n];
    batch->T = s[batch->B - 1]->count - 1;
    for (int64_t b = 0; b < batch->B; b++, in += batch->T, out += batch->T)
        for (int64_t t = 0; t < batch->T; t++) {
            bool inside = t < s[b]->count - 1;
            in[t] = inside ? s[b]->ids[t] : 0;
            out[t] = inside && t >= s[b]->first - 1 ? s[b]->ids[t + 1] : -100;
        }
    return 0;
}

static void close_passages(gp_source *self)
{
    passage_source *p = (passage_source *)self;
    free(p->first);
    free(p);
}

static passage_source *open_passages(gp_passage *const *sorted, int64_t count)
{
    passage_source *p = gp_calloc(1, sizeof *p);
    p->passages = sorted;
    p->source = (gp_source){.rows = MAX, .members = GP_BATCH_TARGETS, .fill = fill, .close = close_passages};
    p->first = gp_calloc((size_t)count + 1, sizeof *p->first);
    for (int64_t i = 0, B; i < count; i += B) {
        for (B = 1; B < MAX && i + B < count; B++)
            if ((sorted[i + B]->count - 1) * (B + 1) > TOKENS)
                break;
        p->source.tokens = gp_max(p->source.tokens, B * (sorted[i + B - 1]->count - 1));
        p->first[++p->source.batches] = i + B;
    }
    return p;
}

/* ---- a pass ---------------------------------------------------------------------------------------------- */

static int check(const gp_model *m, const gp_passage *s, int64_t i)
{
    const gp_config *c = &m->config;
    BUG_ON(s->first < 1 || s->first >= s->count);
    if (s->count - 1 > gp_config_context(c))
        return fail("text %lld: %lld tokens do not fit the model's context of %lld", (long long)i + 1,
                    (long long)s->count - 1, (long long)gp_config_context(c));
    for (int64_t k = 0; k < s->count; k++)
        if (s->ids[k] < 0 || s->ids[k] >= c->vocab_size)
            return fail("text %lld: token id %d is outside the model's vocabulary of %lld", (long long)i + 1, s->ids[k],
                        (long long)c->vocab_size);
    return 0;
}

/* Memory for any pass: MAX short rows, or one as long as the context. */
static void plan(gp_model *m)
{
    int64_t max = gp_max(TOKENS, gp_config_context(&m->config));
    gp_acts_plan(&m->acts, m, MAX, (max + MAX - 1) / MAX, m->trains);
    gp_model_reserve_positions(m, max + MAX);
    gp_model_open_slots(m, TOKENS);
}

/* The most likely id, the lowest of equals; -1 if a logit is not finite. */
static int32_t most_likely(const float *logits, int64_t V)
{
    int64_t best = 0;
    bool finite = true;
    for (int64_t v = 0; v < V; v++) {
        finite &= logits[v] < INFINITY;
        if (logits[v] > logits[best])
            best = v;
    }
    return finite ? (int32_t)best : -1;
}

/* Fills in `greedy` and `top` from the logits of x, the gathered rows, LOGIT_ROWS rows at a time. */
static void read_logits(pass *p, const gp_tensor *x)
{
    gp_model *m = p->m;
    int64_t V = m->config.vocab_size;
    gp_tensor logits = {.dtype = GP_F32, .ndim = 2, .dim = {0, V}, .data = p->device};
    for (int64_t n = 0; n < p->rows; n += logits.dim[0]) {
        logits.dim[0] = gp_min(LOGIT_ROWS, p->rows - n);
        gp_tensor rows = gp_rows_of(x, n, logits.dim[0]);
        gp_model_head_rows(m, &rows, &logits, p->logits);
        for (int64_t k = 0; k < logits.dim[0]; k++) {
            const float *row = p->logits + k * V;
            if (p->want_greedy) {
                int32_t best = most_likely(row, V);
                p->greedy[n + k] = best == p->targets[n + k];
                if (best < 0)
                    p->losses[n + k] = NAN;
            }
            if (p->top[n + k])
                gp_find_top(row, V, NULL, 0, p->top[n + k], p->tops);
        }
    }
}

static int run(pass *p)
{
    gp_model *m = p->m;
    if (p->attention && gp_model_use_attention(m, p->attention, p->batch.B, p->batch.T, m->trains))
        return -1;
    gp_acts_plan(&m->acts, m, p->batch.B, p->batch.T, m->trains);
    gp_batch inputs = {.B = p->batch.B, .T = p->batch.T, .inputs = p->batch.inputs};
    if (gp_model_load(m, &m->acts, &inputs)) /* without targets: gp_model_forward_selected takes them */
        return -1;
    gp_tensor x = gp_model_forward_selected(m, &m->acts, p->batch.targets, p->targets, p->losses);
    p->rows = x.dim[0];
    for (int64_t b = 0, row = 0; b < p->batch.B; b++) {
        const gp_passage *s = p->passages[b];
        for (int64_t k = s->first; k < s->count; k++, row++)
            p->top[row] = s->top ? s->top + (k - s->first) * s->tops : NULL;
    }
    if (p->device)
        read_logits(p, &x);
    for (int64_t b = 0, row = 0; b < p->batch.B; b++) {
        gp_passage *s = p->passages[b];
        s->log_p = 0;
        s->greedy = p->want_greedy;
        for (int64_t k = s->first; k < s->count; k++, row++) {
            s->log_p -= p->losses[row];
            if (s->log_ps)
                s->log_ps[k - s->first] = -(double)p->losses[row];
            s->greedy &= p->greedy[row];
            if (!isfinite(p->losses[row])) {
                s->log_p = NAN;
                return gp_model_fail_not_finite(m, s->ids, k, k);
            }
        }
    }
    return 0;
}

static int by_length(const void *a, const void *b)
{
    const gp_passage *x = *(gp_passage *const *)a, *y = *(gp_passage *const *)b;
    return (x->count > y->count) - (x->count < y->count);
}

static int run_all(pass *p, gp_passage **sorted, int64_t count)
{
    passage_source *all = open_passages(sorted, count);
    int rc = 0;
    p->batch = gp_batch_open(&all->source);
    for (int64_t n = 0; n < all->source.batches && !rc; n++) {
        p->passages = sorted + all->first[n];
        rc = gp_source_fill(&all->source, n, &p->batch) || run(p) ? -1 : 0;
        if (!rc && p->fn)
            p->fn(p->self, all->first[n + 1]);
    }
    gp_batch_close(&p->batch);
    gp_source_close(&all->source);
    return rc;
}

int gp_score_check(gp_model *m, const gp_tokenizer *t, const gp_score_options *o)
{
    if (!t)
        return fail("the checkpoint has no tokenizer: text cannot be scored");
    return o->attention ? gp_model_use_attention(m, o->attention, 1, gp_config_context(&m->config), m->trains) : 0;
}

int gp_score_passages(gp_model *m, gp_attention_by attention, gp_passage *passages, int64_t count, bool greedy,
                      gp_scored_fn *fn, void *self)
{
    if (gp_model_check_next(m, "it gives no likelihood of a text"))
        return -1;
    int64_t tops = 0;
    for (int64_t i = 0; i < count; i++) {
        passages[i].log_p = 0;
        tops = passages[i].top ? passages[i].tops : tops;
        if (check(m, &passages[i], i))
            return -1;
    }
    plan(m);
    size_t max = (size_t)gp_max(TOKENS, gp_config_context(&m->config));
    bool need_logits = greedy || tops;
    size_t logits = need_logits ? LOGIT_ROWS * (size_t)m->config.vocab_size * sizeof(float) : 0;
    pass p = {.m = m,
              .attention = attention,
              .targets = gp_calloc(max, sizeof *p.targets),
              .losses = gp_calloc(max, sizeof *p.losses),
              .greedy = gp_calloc(max, sizeof *p.greedy),
              .want_greedy = greedy,
              .top = gp_calloc(max, sizeof *p.top),
              .tops = tops,
              .logits = need_logits ? gp_malloc(logits) : NULL,
              .device = need_logits ? m->be->ops->alloc(m->be, logits) : NULL,
              .fn = fn,
              .self = self};
    gp_passage **sorted = gp_calloc((size_t)count, sizeof *sorted);
    for (int64_t i = 0; i < count; i++)
        sorted[i] = &passages[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_length);
    int rc = run_all(&p, sorted, count);
    free(sorted);
    free(p.targets);
    free(p.losses);
    free(p.greedy);
    free(p.top);
    free(p.logits);
    if (p.device)
        m->be->ops->free(m->be, p.device, logits);
    return rc;
}
