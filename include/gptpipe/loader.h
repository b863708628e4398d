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
 * A set is one stream, or many (the shards of one) that are read as a long one; no row goes over the end of one. Of
 * several sets each has a weight, and rows are dealt to them in turn, so that after r rows a set of weight w has had
 * r*w/(sum of weights) of them, to within as many rows as there are sets: at any step, not on average. Row r of a set
 * is its r-th, whatever the others are.
 *
 * random      each row starts anywhere: uniform over the set, keyed by (seed, row)
 * shuffle     windows of T that do not overlap, all of the set's once an epoch, in an order keyed by (seed, epoch);
 *             each epoch's windows start at an offset of its own, so that no token is always left over
 * sequential  row b of micro-batch n starts at token (n*B + b)*T, as in llm.c: after a stream's last whole micro-batch
 *             comes the next stream, after the last the first again. Where llm.c stops at a stream that is shorter
 *             than a micro-batch, it is passed over; where all are, and in a mixture of sets, it goes by single rows.
 * documents   each row starts at a document: any of the set, keyed by (seed, row), every other one (by lot) with the
 *             separator before it; what follows in the row is the next document. It teaches a model to begin at its
 *             first position, be it behind a separator or at a bare prompt.
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
    const char *name; /* for people */
    gp_span *spans;   /* (count) one after the other */
    int count;
    double weight; /* above 0; of no use where there is one set */
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

/* The sets stay the caller's and outlive the loader. NULL when a set has no row in it. */
GP_API gp_loader *gp_loader_open(const gp_stream_set *sets, int count, const gp_loader_options *options);
GP_API void gp_loader_close(gp_loader *l);

/* Its micro-batches, inputs and targets, of B rows of T tokens each; the loader's own. An id that is out of the
 * vocabulary is a failure. */
GP_API gp_source *gp_loader_source(gp_loader *l);

/* Where row b of micro-batch n starts: at token `start` of sets[set].spans[span]. */
typedef struct gp_place {
    int set, span;
    int64_t start;
} gp_place;

GP_API gp_place gp_loader_place(const gp_loader *l, int64_t n, int64_t b);

/* Rows of an epoch: as many as the sets have windows of T tokens that do not overlap; of sequential, those that it
 * takes until it begins again. */
GP_API int64_t gp_loader_epoch(const gp_loader *l);

/* Streams that are too short for a single row (of sequential: for its micro-batch), and so are never read. */
GP_API int gp_loader_unread(const gp_loader *l);

#ifdef __cplusplus
}
#endif
#endif
