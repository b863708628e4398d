/* predict_pass.c: texts in passes of a few fixed shapes.
 *
 * A product's sums may be added in another order if its number of rows is another (oneDNN and cuBLASLt choose kernels
 * by shape), so the shape of a text's pass must not depend on the other texts. It is a function of the text alone: T,
 * its length rounded up; its number of logits rounded up; and B, so that B T is about ROWS. Rows for which a pass has
 * no text are one token of padding. */
#include "infer/predict.h"

#include <stdlib.h>
#include <string.h>

#include "base/batch.h"
#include "model/model.h"

/* Tokens of a pass, padding included, on the CPU and on a device; the units of T, up to ROWS and above; maxima of B,
 * and of a pass's logits (rows, V) where B is not 1. */
enum { ROWS = 128, DEVICE_ROWS = 8192, LENGTH_UNIT = 16, LONG_UNIT = 8, MAX_B = 256, LOGIT_ROWS = 64 };

/* ---- texts as batches ------------------------------------------------------------------------------------ */

/* Batch n has texts [first[n], first[n + 1]), which have one shape, in B(shape) rows. */
typedef struct text_source {
    gp_source source;
    gp_predict_text *const *texts; /* (count), sorted */
    int64_t *first;                /* (batches + 1) */
    int64_t rows;                  /* ROWS or DEVICE_ROWS */
    int32_t pad;
} text_source;

static int64_t rows_of_shape(const gp_predict_text *text, int64_t rows)
{
    int64_t B = gp_min(MAX_B, rows / text->T);
    return gp_max(1, text->slots ? gp_min(B, LOGIT_ROWS / text->slots) : B);
}

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    const text_source *s = (const text_source *)self;
    gp_predict_text *const *texts = s->texts + s->first[n];
    int64_t count = s->first[n + 1] - s->first[n];
    int32_t *in = gp_batch_fill(batch->inputs), *types = gp_batch_fill(batch->types);
    int32_t *lengths = gp_batch_fill(batch->lengths);
    batch->B = rows_of_shape(texts[0], s->rows);
    batch->T = texts[0]->T;
    for (int64_t b = 0; b < batch->B; b++)
        for (int64_t t = 0; t < batch->T; t++, in++) {
            bool inside = b < count && t < texts[b]->count;
            *in = inside ? texts[b]->ids[t] : s->pad;
            if (types)
                *types++ = inside ? texts[b]->types[t] : 0;
        }
    for (int64_t b = 0; b < batch->B; b++)
        lengths[b] = b < count ? (int32_t)texts[b]->count : 1;
    return 0;
}

static void close_texts(gp_source *self)
{
    text_source *s = (text_source *)self;
    free(s->first);
    free(s);
}

static bool same_shape(const gp_predict_text *a, const gp_predict_text *b)
{
    return a->T == b->T && a->slots == b->slots;
}

static text_source *open_texts(const gp_config *c, gp_predict_text *const *sorted, int64_t count, int64_t rows)
{
    text_source *s = gp_calloc(1, sizeof *s);
    s->texts = sorted;
    s->rows = rows;
    s->pad = (int32_t)gp_max(c->pad_id, 0);
    s->source =
        (gp_source){.members = GP_BATCH_LENGTHS | (c->types ? GP_BATCH_TYPES : 0u), .fill = fill, .close = close_texts};
    s->first = gp_calloc((size_t)count + 1, sizeof *s->first);
    for (int64_t i = 0, n; i < count; i += n) {
        int64_t B = rows_of_shape(sorted[i], rows);
        for (n = 1; n < B && i + n < count && same_shape(sorted[i], sorted[i + n]);)
            n++;
        s->source.rows = gp_max(s->source.rows, B);
        s->source.tokens = gp_max(s->source.tokens, B * sorted[i]->T);
        s->first[++s->source.batches] = i + n;
    }
    return s;
}

static int by_shape(const void *a, const void *b)
{
    const gp_predict_text *x = *(gp_predict_text *const *)a, *y = *(gp_predict_text *const *)b;
    if (x->T != y->T)
        return x->T < y->T ? -1 : 1;
    if (x->slots != y->slots)
        return x->slots < y->slots ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* ---- passes ---------------------------------------------------------------------------------------------- */

typedef struct text_pass {
    gp_predictor *p;
    gp_predict_text *const *texts; /* (count) */
    int64_t count;
    gp_batch batch;
    float *numbers; /* what the model computed */
    int64_t capacity;
    int32_t *places; /* (B,slots) rows b * T + t whose logits are computed */
} text_pass;

static float *reserve(text_pass *s, int64_t count)
{
    if (count > s->capacity)
        s->numbers = gp_realloc(s->numbers, (size_t)count, sizeof *s->numbers);
    s->capacity = gp_max(s->capacity, count);
    return s->numbers;
}

/* Logits (B,slots,V). A slot that no text needs is computed all the same, of some token of its row. */
static int compute_logits(text_pass *s, int64_t *stride)
{
    const gp_config *c = gp_model_config(s->p->m);
    int64_t B = s->batch.B, slots = s->texts[0]->slots;
    s->places = gp_realloc(s->places, (size_t)(B * slots), sizeof *s->places);
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < slots; i++) {
            const gp_predict_text *text = b < s->count ? s->texts[b] : NULL;
            int32_t place = !text ? 0 : text->places[i < text->reads ? i : 0];
            s->places[b * slots + i] = (int32_t)(b * s->batch.T) + place;
        }
    *stride = slots * c->vocab_size;
    return gp_model_logits_at(s->p->m, &s->batch, s->places, B * slots, reserve(s, B * *stride));
}

/* *stride: the distance between the numbers of two texts. */
static int compute(text_pass *s, int64_t *stride)
{
    const gp_config *c = gp_model_config(s->p->m);
    if (s->texts[0]->slots)
        return compute_logits(s, stride);
    if (s->p->task == GP_PREDICT_CLASSIFY) {
        *stride = c->labels;
        return gp_model_logits(s->p->m, &s->batch, reserve(s, s->batch.B * *stride));
    }
    *stride = s->batch.T * c->channels;
    return gp_model_hidden(s->p->m, &s->batch, reserve(s, s->batch.B * *stride));
}

static int run(text_pass *s)
{
    int64_t stride;
    if (compute(s, &stride))
        return -1;
    for (int64_t b = 0; b < s->count; b++)
        gp_predict_result(s->p, s->texts[b], s->numbers + b * stride);
    return 0;
}

static int run_all(gp_predictor *p, gp_predict_text *const *sorted, int64_t count)
{
    int64_t rows = p->m->be->later ? DEVICE_ROWS : ROWS;
    text_source *all = open_texts(gp_model_config(p->m), sorted, count, rows);
    text_pass s = {.p = p, .batch = gp_batch_open(&all->source)};
    int rc = 0;
    for (int64_t n = 0; n < all->source.batches && !rc; n++) {
        s.texts = sorted + all->first[n];
        s.count = all->first[n + 1] - all->first[n];
        rc = gp_source_fill(&all->source, n, &s.batch) || run(&s) ? -1 : 0;
    }
    gp_batch_close(&s.batch);
    gp_source_close(&all->source);
    free(s.numbers);
    free(s.places);
    return rc;
}

int gp_predict_run(gp_predictor *p, gp_predict_text *texts, int64_t count)
{
    int64_t context = gp_config_context(gp_model_config(p->m));
    gp_predict_text **sorted = gp_calloc((size_t)count, sizeof *sorted);
    for (int64_t i = 0; i < count; i++) {
        gp_predict_text *text = sorted[i] = &texts[i];
        size_t unit = text->count > ROWS ? LONG_UNIT : LENGTH_UNIT;
        text->T = gp_min((int64_t)gp_round_up((size_t)text->count, unit), context);
        for (text->slots = text->reads ? 1 : 0; text->slots < text->reads;)
            text->slots = gp_min(2 * text->slots, text->T);
    }
    qsort(sorted, (size_t)count, sizeof *sorted, by_shape);
    int rc = count ? run_all(p, sorted, count) : 0;
    free(sorted);
    return rc;
}
