/* loader.h: token streams as batches of (B,T): windows whose targets are the next tokens.
 *
 *     gp_span span = {tokens, 0, gp_tokens_get_info(tokens)->count};
 *     gp_stream_set set = {.name = "text", .spans = &span, .count = 1};
 *     gp_loader_options o = {.B = 12, .T = 64, .order = GP_ORDER_RANDOM, .seed = 1};
 *     gp_loader *l = gp_loader_open(&set, 1, &o);
 *     gp_batch batch = gp_batch_open(gp_loader_source(l));
 *     gp_source_fill(gp_loader_source(l), 0, &batch); // batch.targets[i] is the token after batch.inputs[i]
 *     gp_batch_close(&batch);
 *     gp_loader_close(l);
 *
 * A set is one stream, or several (shards) read as one; no row crosses the end of a stream. With several sets, each has
 * a weight, and rows are dealt to them in turn: after r rows a set of weight w has had r*w/(sum of weights) of them, to
 * within as many rows as there are sets, at every step and not only on average. Row r of a set does not depend on the
 * other sets.
 *
 * random      a row starts anywhere: uniform over the set, keyed by (seed, row)
 * shuffle     all non-overlapping windows of T tokens once an epoch, in an order keyed by (seed, epoch); the windows of
 *             each epoch start at a different offset, so that no token is left out of every epoch
 * sequential  row b of micro-batch n starts at token (n*B + b)*T, as in llm.c; after the last whole micro-batch of a
 *             stream comes the next stream, after the last stream the first again. A stream shorter than a micro-batch,
 *             which llm.c refuses, is skipped; if all are, and in a mixture of sets, single rows are taken.
 * documents   a row starts at a random document of the set, keyed by (seed, row), with probability 1/2 including the
 *             separator before it; the documents that follow fill the row. It teaches a model to begin at its first
 *             position, after a separator as well as at a bare prompt.
 */
#ifndef GPTPIPE_LOADER_H
#define GPTPIPE_LOADER_H

#include <stdint.h>

#include "gptpipe/batch.h"
#include "gptpipe/choice.h"
#include "gptpipe/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tokens [first, last) of a stream. */
typedef struct gp_span {
    const gp_tokens *tokens;
    int64_t first, last;
} gp_span;

typedef struct gp_stream_set {
    const char *name; /* for messages and logs */
    gp_span *spans;   /* (count) in order */
    int count;
    double weight; /* above 0; not used for a single set */
} gp_stream_set;

#define GP_DATA_ORDERS(X)                                                                                              \
    X(GP_ORDER_RANDOM, "random")                                                                                       \
    X(GP_ORDER_SHUFFLE, "shuffle")                                                                                     \
    X(GP_ORDER_SEQUENTIAL, "sequential")                                                                               \
    X(GP_ORDER_DOCUMENTS, "documents")
typedef enum gp_data_order { GP_DATA_ORDERS(GP_CHOICE_VALUE) } gp_data_order;
GP_API const char *gp_data_order_name(gp_data_order order);

typedef struct gp_loader_options {
    int64_t B, T; /* rows, tokens a row */
    gp_data_order order;
    uint64_t seed;
} gp_loader_options;

typedef struct gp_loader gp_loader;

/* The caller owns the sets, which must outlive the loader. NULL if a set is too short for a row. */
GP_API gp_loader *gp_loader_open(const gp_stream_set *sets, int count, const gp_loader_options *options);
GP_API void gp_loader_close(gp_loader *l);

/* Its micro-batches, inputs and targets, of B rows of T tokens; owned by the loader. Filling fails for an id outside
 * the vocabulary. */
GP_API gp_source *gp_loader_source(gp_loader *l);

/* Where row b of micro-batch n starts: at token `start` of sets[set].spans[span]. */
typedef struct gp_place {
    int set, span;
    int64_t start;
} gp_place;

GP_API gp_place gp_loader_place(const gp_loader *l, int64_t n, int64_t b);

/* Rows of an epoch: the number of non-overlapping windows of T tokens in the sets; for sequential, of rows until it
 * starts over. */
GP_API int64_t gp_loader_epoch(const gp_loader *l);

/* Number of streams that are never read because they are too short for a row (sequential: for a micro-batch). */
GP_API int gp_loader_unread(const gp_loader *l);

#ifdef __cplusplus
}
#endif
#endif
