/* data_sets.h: what a run reads: the rows that it trains on, and the sets that it is evaluated on. */
#ifndef GP_TRAIN_DATA_SETS_H
#define GP_TRAIN_DATA_SETS_H

#include "data/mixture.h"
#include "gptpipe/tokenizer.h"
#include "gptpipe/train.h"
#include "train/evaluate.h"

typedef struct gp_train_data {
    gp_mixture train, val; /* val's streams are train's where val is a part of its data */
    gp_tokens *stream;     /* of train, the one with the most metadata */
    char *tokenizer_json;  /* the text of its tokenizer.json, NULL: it has none */
    gp_tokenizer *tokenizer;
    gp_reading reading;
    gp_row_reader reader;
    gp_source *source;      /* the reader's; step n of a run reads batch n * grad_accum and the next grad_accum - 1 */
    double unigram_entropy; /* mlm: gp_masked_entropy of the training data; else 0 */
    gp_evaluation *evaluations; /* (count); the first one's loss decides which checkpoint is best */
    int count;
    float *class_weights; /* classify: (labels) of the loss, NULL: all 1 */
} gp_train_data;

/* Opens the streams that the options name, spooling stdin to `spool` (NULL: an unlinked file). 0 or -1;
 * gp_train_data_close in both cases. */
int gp_train_data_open(gp_train_data *d, const gp_train_options *o, const char *spool);

/* Plans batches of (B,T) for a model. 0; -1 where the data is too small or lacks what the model's objective needs. */
int gp_train_data_plan(gp_train_data *d, const gp_train_options *o, const gp_config *c, int64_t B, int64_t T);

/* The number of steps, by --steps, --tokens or --epochs. The batches are planned. */
int64_t gp_train_data_steps(const gp_train_data *d, const gp_train_options *o, int64_t B, int64_t T);

/* The weights in words, for a checkpoint to record; "" where there is one set. */
void gp_train_data_weights(const gp_train_data *d, char *text, size_t size);

/* The validation documents whose entropy is known: those of *tokens from *first on. False: there are none. */
bool gp_train_data_documents(const gp_train_data *d, const gp_tokens **tokens, int64_t *first);

void gp_train_data_close(gp_train_data *d);

#endif
