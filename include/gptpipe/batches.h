/* batches.h: a data set and a tokenizer as (B,T) batches, shuffled, prepared ahead by threads.
 *
 *     gp_batches *b = gp_batches_open(d, t, &(gp_batches_options){.B = 32, .T = 256, .seed = 1, .workers = 2});
 *     for (int64_t n = 0; n < gp_batches_per_epoch(b); n++) {
 *         const gp_item_batch *batch = gp_batches_next(b);
 *         if (!batch)
 *             return -1;                            // an item of this batch cannot be read: gp_error() names it
 *         ...batch->ids[r * 256 + t] for r < batch->rows, t < batch->lengths[r]; batch->labels[r]...
 *     }
 *     gp_batches_close(b);
 *
 * Stateless: batch n depends on n, the seed, B and T alone, never on the number of threads or on what came before. The
 * items of epoch e, which are batches [e P, (e + 1) P) for P = gp_batches_per_epoch, are a permutation keyed by (seed,
 * e): each item comes once an epoch. Where B does not divide their number, the last batch of an epoch has fewer rows
 * (or is left out, with drop_last: then a few other items each epoch do not come).
 */
#ifndef GPTPIPE_BATCHES_H
#define GPTPIPE_BATCHES_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/dataset.h"
#include "gptpipe/error.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_batches_options {
    int64_t B, T; /* rows, tokens a row: what an item has more is cut off, what it has less is padding */
    uint64_t seed;
    bool in_order;  /* items as they are in the data set, not shuffled */
    bool drop_last; /* no batch of fewer than B rows */
    int32_t pad;    /* the id of padding */
    int workers;    /* threads that prepare batches for gp_batches_next; 0: it makes them when it is called */
    int ahead;      /* how many batches they prepare at most; 0: two for each of them */
    int64_t first;  /* the batch that gp_batches_next begins with: where another run stopped */
} gp_batches_options;

typedef struct gp_item_batch {
    int64_t n, rows;  /* its number; how many rows have an item */
    int32_t *ids;     /* (B,T), padded */
    int64_t *items;   /* (B) which item of the data set; -1 in a row without one */
    int32_t *lengths; /* (B) ids before the padding, T at most, 0 in a row without an item */
    int32_t *labels;  /* (B) -1: none */
} gp_item_batch;

typedef struct gp_batches gp_batches;

/* Data set and tokenizer stay the caller's and outlive the batches. NULL when no batch can be made. */
GP_API gp_batches *gp_batches_open(const gp_dataset *d, const gp_tokenizer *t, const gp_batches_options *o);

/* Waits for the threads, which finish the batch that each is at. */
GP_API void gp_batches_close(gp_batches *b);

GP_API int64_t gp_batches_per_epoch(const gp_batches *b);

/* The next batch, first, first + 1, ... without end; good until the next call. NULL when it cannot be made; the call
 * after that gives the one behind it. Of one thread at a time. */
GP_API const gp_item_batch *gp_batches_next(gp_batches *b);

/* Any batch, by the calling thread. Begin with a batch of zeros, which may be used again; free it with
 * gp_item_batch_release. 0 or -1. */
GP_API int gp_batches_get(const gp_batches *b, int64_t n, gp_item_batch *batch);
GP_API void gp_item_batch_release(gp_item_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
