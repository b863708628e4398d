/* items.h: the items of a data set as batches: a row is an item's text in tokens, with its label.
 *
 *     gp_source *s = gp_items_open(d, t, &(gp_items_options){.B = 32, .T = 256, .seed = 1});
 *     gp_batch batch = gp_batch_open(s);
 *     for (int64_t n = 0; n < s->batches; n++) {
 *         if (gp_source_fill(s, n, &batch))
 *             return -1;                            // an item of this batch cannot be read: gp_error() names it
 *         ...batch.inputs[r * 256 + t] for r < batch.B, t < batch.lengths[r]; batch.labels[r]...
 *     }
 *     gp_batch_close(&batch);
 *     gp_source_close(s);
 *
 * The items of epoch e, which are batches [e P, (e + 1) P) for P = s->batches, are a permutation keyed by (seed, e):
 * each item comes once an epoch. Where B does not divide their number, the last batch of an epoch has fewer rows (or is
 * left out, with drop_last: then a few other items each epoch do not come). prefetch.h has threads tokenize batches
 * ahead.
 */
#ifndef GPTPIPE_ITEMS_H
#define GPTPIPE_ITEMS_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/batch.h"
#include "gptpipe/dataset.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_items_options {
    int64_t B, T; /* rows, tokens a row: what an item has more is cut off, what it has less is padding */
    uint64_t seed;
    bool in_order;  /* items as they are in the data set, not shuffled */
    bool drop_last; /* no batch of fewer than B rows */
    int32_t pad;    /* the id of padding */
} gp_items_options;

/* Inputs, lengths (0 of an empty item), labels and items. Data set and tokenizer stay the caller's and outlive the
 * source. NULL when no batch can be made. */
GP_API gp_source *gp_items_open(const gp_dataset *d, const gp_tokenizer *t, const gp_items_options *o);

#ifdef __cplusplus
}
#endif
#endif
