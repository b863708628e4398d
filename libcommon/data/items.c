/* items.c: see items.h. */
#include "gptpipe/items.h"

#include <stdlib.h>
#include <string.h>

#include "base/batch.h"
#include "base/rng.h"
#include "data/dataset.h"

typedef struct items {
    gp_source source;
    const gp_dataset *d;
    const gp_tokenizer *t;
    gp_items_options o;
    int64_t count;
} items;

static int64_t item_of(const items *s, int64_t epoch, int64_t row)
{
    if (s->o.in_order)
        return row;
    return (int64_t)gp_random_permute((uint64_t)row, (uint64_t)s->count, s->o.seed, GP_RNG_ITEMS, 0, (uint64_t)epoch);
}

/* Tokenizes item i into a row of T ids. */
static int fill_row(const items *s, int64_t i, gp_data_item *item, int32_t *row, int32_t *length)
{
    int32_t *ids = NULL;
    int64_t count = 0, T = s->o.T;
    if (gp_dataset_get(s->d, i, item) || gp_dataset_check_text(s->d, i, item))
        return -1;
    if (gp_tokenizer_encode(s->t, item->text, item->length, false, &ids, &count))
        return gp_fail_in("item %lld", (long long)i);
    *length = (int32_t)gp_min(count, T);
    if (count)
        memcpy(row, ids, (size_t)*length * sizeof *ids);
    for (int64_t t = *length; t < T; t++)
        row[t] = s->o.pad;
    free(ids);
    return 0;
}

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    const items *s = (const items *)self;
    int32_t *ids = gp_batch_fill(batch->inputs), *lengths = gp_batch_fill(batch->lengths),
            *labels = gp_batch_fill(batch->labels);
    int64_t *which = gp_batch_fill(batch->items);
    int64_t epoch = n / s->source.batches, first = n % s->source.batches * s->o.B;
    gp_data_item item = {0};
    int rc = 0;
    BUG_ON(n < 0);
    batch->B = gp_min(s->o.B, s->count - first);
    batch->T = s->o.T;
    for (int64_t r = 0; r < batch->B && !rc; r++) {
        which[r] = item_of(s, epoch, first + r);
        rc = fill_row(s, which[r], &item, ids + r * s->o.T, &lengths[r]);
        labels[r] = item.label;
    }
    gp_data_item_release(&item);
    return rc;
}

static void close_items(gp_source *self)
{
    free(self); /* the first member of items */
}

gp_source *gp_items_open(const gp_dataset *d, const gp_tokenizer *t, const gp_items_options *o)
{
    int64_t count = gp_dataset_length(d), bytes;
    if (o->B < 1 || o->T < 1 || !gp_mul(o->B, o->T, &bytes) || !gp_mul(bytes, 4, &bytes))
        return fail("invalid batch size: %lld rows of %lld tokens", (long long)o->B, (long long)o->T), NULL;
    if (!count)
        return fail("the data set has no items"), NULL;
    if (o->drop_last && count < o->B)
        return fail("the data set has %lld items, too few for a batch of %lld", (long long)count, (long long)o->B),
               NULL;
    items *s = gp_calloc(1, sizeof *s);
    *s = (items){.source = {.rows = o->B,
                            .tokens = o->B * o->T,
                            .batches = count / o->B + (!o->drop_last && count % o->B),
                            .members = GP_BATCH_LENGTHS | GP_BATCH_LABELS | GP_BATCH_ITEMS,
                            .fill = fill,
                            .close = close_items},
                 .d = d,
                 .t = t,
                 .o = *o,
                 .count = count};
    return &s->source;
}
