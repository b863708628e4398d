/* data_sets.h: what a run reads: the rows that it trains on, and the sets that it is evaluated on. */
#ifndef GP_TRAIN_DATA_SETS_H
#define GP_TRAIN_DATA_SETS_H

#include "data/mixture.h"
#include "gptpipe/train.h"
#include "train/evaluate.h"

typedef struct gp_train_data {
    gp_mixture train, val; /* val's streams may be train's */
    gp_tokens *stream;     /* the one of train that tells most */
    gp_loader *loader;
    gp_source *source;          /* the loader's; step n of a run reads n * grad_accum and the batches after it */
    gp_evaluation *evaluations; /* (count) the first one's loss decides which checkpoint is best */
    int count;
} gp_train_data;

/* Opens the streams that the options name, spooling stdin to `spool` (NULL: an unlinked file). 0 or -1;
 * gp_train_data_close in both cases. */
int gp_train_data_open(gp_train_data *d, const gp_train_options *o, const char *spool);

/* Plans batches of (B,T). 0 or -1. */
int gp_train_data_plan(gp_train_data *d, const gp_train_options *o, int64_t B, int64_t T);

/* How many steps the options ask for. The batches are planned. */
int64_t gp_train_data_steps(const gp_train_data *d, const gp_train_options *o, int64_t B, int64_t T);

/* What the bits depend on, in words: the streams; and the weights, "" where there is one set. */
void gp_train_data_describe(const gp_train_data *d, char *text, size_t size);
void gp_train_data_weights(const gp_train_data *d, char *text, size_t size);

/* The validation documents whose entropy is known: of *tokens from *first on. False where there are none. */
bool gp_train_data_documents(const gp_train_data *d, const gp_tokens **tokens, int64_t *first);

void gp_train_data_close(gp_train_data *d);

#endif
