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
 * Epoch e is batches [e P, (e + 1) P) for P = s->batches; its items are a permutation keyed by (seed, e), so each
 * item comes once an epoch. If B does not divide their number, the last batch of an epoch has fewer rows; with
 * drop_last it is left out, and so are a few items, others in each epoch. prefetch.h tokenizes batches ahead in
 * threads.
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
    int64_t B, T; /* rows; tokens a row: longer items are truncated, shorter ones padded */
    uint64_t seed;
    bool in_order;  /* do not shuffle */
    bool drop_last; /* leave out a last batch of fewer than B rows */
    int32_t pad;    /* the id of padding */
} gp_items_options;

/* A source of inputs, lengths (0 for an empty item), labels and items. The caller owns the data set and the tokenizer,
 * which must outlive it. NULL if there is no batch. */
GP_API gp_source *gp_items_open(const gp_dataset *d, const gp_tokenizer *t, const gp_items_options *o);

#ifdef __cplusplus
}
#endif
#endif
