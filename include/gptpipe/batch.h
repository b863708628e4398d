/* batch.h: what a model reads in one pass, and where it comes from.
 *
 *     gp_source *s = gp_loader_source(loader); // windows of token streams; or gp_items_open: items of a data set
 *     gp_batch batch = gp_batch_open(s);       // with memory for the largest of its batches
 *     for (int64_t n = 0; n < s->batches; n++)
 *         if (gp_source_fill(s, n, &batch) || gp_model_evaluate(m, &batch, &loss, NULL))
 *             return -1;
 *     gp_batch_close(&batch);
 *
 * A source is stateless: batch n depends on n and on what the source was opened with, never on the batches before it.
 * So a run's position in its data is a number, and several threads may fill batches of one source at once.
 *
 * A new kind of data is one more source, and training, evaluation and scoring read it without knowing. Masked tokens
 * (BERT) fill what is here: inputs with the masks, targets -100 but where one stands, types, lengths; which tokens are
 * masked is a function of the seed, n and the row. Images need one more member, a tensor (B,...) of numbers in place of
 * inputs, and an op that embeds it; an item of a data set holds them already (gp_data_item's values).
 */
#ifndef GPTPIPE_BATCH_H
#define GPTPIPE_BATCH_H

#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* B sequences of T tokens, in the host's memory. */
typedef struct gp_batch {
    int64_t B, T;
    const int32_t *inputs;  /* (B,T) ids */
    const int32_t *targets; /* (B,T) ids, -100 = not counted; NULL when only logits are needed */
    const int32_t *types;   /* (B,T) token types; NULL = all 0 */
    const int32_t *lengths; /* (B) tokens that count, the rest is padding; NULL = all */
    const int32_t
        *labels;          /* (B) the rows' labels, -1 = none; NULL where the data has none. A model does not see them */
    const int64_t *items; /* (B) which item of the data each row is; NULL where a row is none. Nor these */
    void *memory;         /* of gp_batch_open */
} gp_batch;

/* Which members a source fills besides inputs. The others are NULL. */
enum { GP_BATCH_TARGETS = 1, GP_BATCH_TYPES = 2, GP_BATCH_LENGTHS = 4, GP_BATCH_LABELS = 8, GP_BATCH_ITEMS = 16 };

/* The head of each kind of source; an implementation puts it first in its own struct. */
typedef struct gp_source gp_source;
struct gp_source {
    int64_t rows, tokens; /* no batch has a larger B; nor a larger B*T, padding included */
    int64_t batches;      /* of an epoch */
    unsigned members;     /* GP_BATCH_... */
    /* Batch n, into memory for rows and tokens; B and T become its own. 0 or -1. */
    int (*fill)(const gp_source *self, int64_t n, gp_batch *batch);
    void (*close)(gp_source *self);
};

static inline int gp_source_fill(const gp_source *s, int64_t n, gp_batch *batch)
{
    return s->fill(s, n, batch);
}

static inline void gp_source_close(gp_source *s) /* which may be NULL */
{
    if (s)
        s->close(s);
}

/* Memory for any batch of s, to be filled again and again. */
GP_API gp_batch gp_batch_open(const gp_source *s);
GP_API void gp_batch_close(gp_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
