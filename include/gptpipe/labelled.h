/* labelled.h: labelled items of token streams as batches, to train and evaluate a classifier.
 *
 *     gp_labelled_item *items;
 *     int64_t count = gp_labelled_find(sets, 1, &items);      // all items of a set of streams
 *     gp_source *s = gp_labelled_open(t, items, count, &(gp_labelled_options){.B = 32, .T = 512, .seed = 1});
 *     ...batch.inputs[r * batch.T + i], i < batch.lengths[r]; batch.types, batch.labels[r]...
 *     gp_source_close(s);
 *     free(items);
 *
 * A row is what a model reads for an item: its text, or its two texts, with the special tokens that the tokenizer puts
 * around them (gptpipe/encoding.h). T of a batch is the length of its longest row; shorter rows are padded.
 *
 * Epoch e is batches [e P, (e + 1) P) for P = s->batches; its items are a permutation keyed by (seed, e), so each item
 * comes once an epoch. 32 batches at a time are sorted by length, so that a batch has rows of about one length, and
 * then shuffled. If B does not divide the number of items, one batch of an epoch has fewer rows.
 */
#ifndef GPTPIPE_LABELLED_H
#define GPTPIPE_LABELLED_H

#include <stdint.h>

#include "gptpipe/batch.h"
#include "gptpipe/encoding.h"
#include "gptpipe/loader.h"
#include "gptpipe/tokenizer.h"
#include "gptpipe/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_labelled_item {
    const gp_tokens *tokens; /* a stream with items */
    int64_t index;           /* of the item in it */
} gp_labelled_item;

/* The items of all spans of the sets, in order; the caller frees *items. Returns their number; -1 if a stream has no
 * items, streams have different labels or single texts and pairs, or an item has no label. */
GP_API int64_t gp_labelled_find(const gp_stream_set *sets, int count, gp_labelled_item **items);

/* Whether the items of two streams are of one kind, pairs or single texts, with the same labels: 0 or -1. */
GP_API int gp_labelled_match(const gp_tokens *s, const gp_tokens *like);

/* Moves a fraction of the items, drawn at random but always the same ones, to `held_out` (count); at least one remains
 * and one is moved. Both parts keep their order. Returns the number that remains; -1 if there are fewer than 2. */
GP_API int64_t gp_labelled_hold_out(gp_labelled_item *items, int64_t count, double fraction,
                                    gp_labelled_item *held_out);

typedef struct gp_labelled_options {
    int64_t B, T; /* rows; maximum of tokens a row */
    uint64_t seed;
    gp_truncation truncate;     /* of items with more than T tokens; none: they are an error */
    int32_t pad;                /* the id of padding */
    int64_t types;              /* token types of the model: batches have types if there are 2 or more */
    const float *class_weights; /* (labels) of each label in the weight of a batch, or NULL: 1 */
} gp_labelled_options;

/* A source of inputs, lengths, labels, items (indices in `items`) and, with two or more types, types; its weight is the
 * sum of the rows' class weights. The streams and the tokenizer must outlive it; items and class weights are copied.
 * NULL if there is no item, one is longer than T and not truncated, or the tokenizer marks the texts of a pair by types
 * that the model does not have. */
GP_API gp_source *gp_labelled_open(const gp_tokenizer *t, const gp_labelled_item *items, int64_t count,
                                   const gp_labelled_options *o);

/* Items of an open source that are truncated, and tokens of all its rows, without padding. */
GP_API int64_t gp_labelled_truncated(const gp_source *s);
GP_API int64_t gp_labelled_tokens(const gp_source *s);

#ifdef __cplusplus
}
#endif
#endif
