/* batch.h: the input of one pass of a model, and the sources that produce it.
 *
 *     gp_source *s = gp_loader_source(loader); // windows of token streams; or gp_labelled_open: labelled items
 *     gp_batch batch = gp_batch_open(s);       // memory for its largest batch
 *     for (int64_t n = 0; n < s->batches; n++)
 *         if (gp_source_fill(s, n, &batch) || gp_model_evaluate(m, &batch, &loss, NULL))
 *             return -1;
 *     gp_batch_close(&batch);
 *
 * A source is stateless: batch n depends only on n and on how the source was opened. So the position of a run in its
 * data is a number, and several threads may fill batches of one source at once.
 *
 * Training, evaluation and scoring read any source alike, so a new kind of data is a new source. Masked language
 * modelling (masked.h) needs no members of its own: inputs hold the mask tokens, and targets are -100 except at masked
 * positions. Images need one more member, a tensor (B,...) in place of inputs,
 * and an op that embeds it; gp_data_item already holds such values.
 */
#ifndef GPTPIPE_BATCH_H
#define GPTPIPE_BATCH_H

#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* B sequences of T tokens, in host memory. */
typedef struct gp_batch {
    int64_t B, T;
    const int32_t *inputs;  /* (B,T) ids */
    const int32_t *targets; /* (B,T) ids, -100 = ignored; NULL if only logits are needed */
    const int32_t *types;   /* (B,T) token types; NULL = all 0 */
    const int32_t *lengths; /* (B) tokens before the padding; NULL = no padding */
    const int32_t *labels;  /* (B) labels of the rows, -1 = none; NULL if the data has no labels */
    const int64_t *items;   /* (B) index of each row's item in the data set, or NULL; not a model input */
    void *memory;           /* of gp_batch_open */
} gp_batch;

/* Flags of the members that a source fills besides inputs; the others are NULL. */
enum { GP_BATCH_TARGETS = 1, GP_BATCH_TYPES = 2, GP_BATCH_LENGTHS = 4, GP_BATCH_LABELS = 8, GP_BATCH_ITEMS = 16 };

/* The interface of a source; an implementation has it as the first member of its struct. */
typedef struct gp_source gp_source;
struct gp_source {
    int64_t rows, tokens; /* maximum of B, and of B*T with padding, over all batches */
    int64_t batches;      /* per epoch */
    unsigned members;     /* GP_BATCH_... */
    /* Fills in batch n, whose memory holds `rows` and `tokens`, and sets its B and T. 0 or -1. */
    int (*fill)(const gp_source *self, int64_t n, gp_batch *batch);
    /* What the sum of batch n's losses is divided by for their mean: the number of its targets that are not -100, or
     * the sum of their weights. NULL: `tokens`. -1 where the batch cannot be read. One thread at a time may call it. */
    double (*weight)(const gp_source *self, int64_t n);
    void (*close)(gp_source *self);
};

static inline int gp_source_fill(const gp_source *s, int64_t n, gp_batch *batch)
{
    return s->fill(s, n, batch);
}

/* As `weight`; `tokens` where the source has none. */
static inline double gp_source_weight(const gp_source *s, int64_t n)
{
    return s->weight ? s->weight(s, n) : (double)s->tokens;
}

static inline void gp_source_close(gp_source *s) /* s may be NULL */
{
    if (s)
        s->close(s);
}

/* Memory for any batch of s, which can be filled repeatedly. */
GP_API gp_batch gp_batch_open(const gp_source *s);
GP_API void gp_batch_close(gp_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
