/* evaluate.h: the loss on data that is not trained on: fixed windows, and whole documents. */
#ifndef GP_TRAIN_EVALUATE_H
#define GP_TRAIN_EVALUATE_H

#include "cli/progress.h"
#include "model/model.h"
#include "train/metrics.h"
#include "train/objective.h"

/* Fixed batches of (B,T) from a set, the same ones at every evaluation, with the same tokens masked: its first windows
 * in order, or documents drawn once, where training's rows begin with documents. */
typedef struct gp_evaluation {
    const char *name; /* the set's */
    double loss;      /* the newest */
    gp_row_reader reader;
    int64_t batches;
    gp_batch batch; /* memory for one of them */
    /* of labelled items: the loss is -log p of the label, without class weights and smoothing */
    gp_metrics metrics;      /* the newest; labels 0: not of labelled items */
    const gp_tokens *stream; /* that names the labels */
    double accuracy_limit;   /* that no classifier surpasses, as the stream records; 0: not known */
    float *logits;           /* (rows,labels) of a batch */
} gp_evaluation;

/* order and reading are training's. The set outlives e. -1 when no stream of the set has a window and its last
 * target. */
int gp_evaluation_open(gp_evaluation *e, const gp_stream_set *set, int64_t B, int64_t T, int64_t batches,
                       gp_data_order order, const gp_reading *reading);

/* The same of labelled items: the first `batches` batches in an order that is the same for every run. */
int gp_evaluation_open_items(gp_evaluation *e, const char *name, const gp_labelled_item *items, int64_t count,
                             int64_t B, int64_t T, int64_t batches, const gp_reading *reading);
void gp_evaluation_close(gp_evaluation *e);
/* Into e->loss; progress (or NULL) advances by its batches. */
int gp_evaluation_loss(gp_evaluation *e, gp_model *m, gp_progress *progress);

/* Documents scored whole, in nats per character: each from its first token, with a separator before it, to its own
 * separator; and the floor, -log P by the generator of the documents. standard_error is that of loss - floor: sqrt(n *
 * variance of a document's difference) / characters. */
typedef struct gp_document_scores {
    int64_t documents, left_out; /* left_out: longer than the context */
    double characters, tokens;   /* tokens: predicted ones, with those of the separator */
    double loss, floor, standard_error;
} gp_document_scores;

/* Whether the stream's metadata has the entropy of its documents. */
bool gp_documents_known(const gp_tokens *tokens);

/* Scores documents [first, last) of the index, `max` of them at most; progress (or NULL) counts them. Where none fits
 * into the context, documents is 0 and so are the losses. */
int gp_documents_score(gp_model *m, const gp_tokens *tokens, int64_t first, int64_t last, int64_t max, int64_t B,
                       gp_progress *progress, gp_document_scores *scores);

#endif
