/* whole_documents.c: see whole_documents.h. */
#include "data/whole_documents.h"

#include <stdlib.h>
#include <string.h>

#include "base/batch.h"

typedef struct whole_documents {
    gp_source source;
    const gp_tokens *tokens;
    gp_documents_options o;
    int64_t *list; /* (count) numbers of the documents that fit */
    int64_t count;
} whole_documents;

static int64_t length_of(const gp_tokens *tokens, int64_t document)
{
    return gp_tokens_document(tokens, document + 1) - gp_tokens_document(tokens, document);
}

static int fill_row(const whole_documents *d, int64_t document, int32_t *in, int32_t *out)
{
    int64_t T = d->o.T, before = d->o.before, length = length_of(d->tokens, document), end = before + length - 1;
    if (gp_tokens_read(d->tokens, gp_tokens_document(d->tokens, document), length, out + before - 1))
        return -1;
    memcpy(in, d->o.separator, (size_t)before * sizeof *in);
    if (length > 1)
        memcpy(in + before, out + before - 1, (size_t)(length - 1) * sizeof *in);
    for (int64_t t = 0; t < before - 1; t++)
        out[t] = -100;
    for (int64_t t = end; t < T; t++) {
        in[t] = 0;
        out[t] = -100;
    }
    return 0;
}

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    const whole_documents *d = (const whole_documents *)self;
    int64_t first = n * d->o.B, *items = gp_batch_fill(batch->items);
    int32_t *in = gp_batch_fill(batch->inputs), *out = gp_batch_fill(batch->targets);
    batch->B = gp_min(d->o.B, d->count - first);
    batch->T = d->o.T;
    for (int64_t b = 0; b < batch->B; b++) {
        items[b] = d->list[first + b];
        if (fill_row(d, items[b], in + b * d->o.T, out + b * d->o.T))
            return -1;
    }
    return 0;
}

static void close_documents(gp_source *self)
{
    whole_documents *d = (whole_documents *)self;
    free(d->list);
    free(d);
}

gp_source *gp_documents_open(const gp_tokens *tokens, const gp_documents_options *o, int64_t *count, int64_t *left_out)
{
    whole_documents *d = gp_calloc(1, sizeof *d);
    *d = (whole_documents){.tokens = tokens, .o = *o};
    d->list = gp_calloc((size_t)gp_min(o->max, o->last - o->first), sizeof *d->list);
    *left_out = 0;
    for (int64_t i = o->first; i < o->last && d->count < o->max; i++)
        if (o->before + length_of(tokens, i) - 1 <= o->T)
            d->list[d->count++] = i;
        else
            ++*left_out;
    *count = d->count;
    d->source = (gp_source){.rows = o->B,
                            .tokens = o->B * o->T,
                            .batches = (d->count + o->B - 1) / o->B,
                            .members = GP_BATCH_TARGETS | GP_BATCH_ITEMS,
                            .fill = fill,
                            .close = close_documents};
    return &d->source;
}
