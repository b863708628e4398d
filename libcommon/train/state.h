/* state.h: what a checkpoint holds beside the model, so that a run goes on as if it had never stopped:
 * AdamW's moments bit for bit, the step, the best loss. Random numbers and the data position are functions of
 * the step. */
#ifndef GP_TRAIN_STATE_H
#define GP_TRAIN_STATE_H

#include "train/optimizer.h"

typedef struct gp_state {
    int64_t step;     /* finished steps */
    double best_loss; /* lowest validation loss of a kept checkpoint; infinity before the first */
    /* What the bits depend on, in words, to compare when a run goes on: */
    char data[160];    /* the token stream */
    char batches[160]; /* how batches are taken from it */
    char machine[160]; /* backend, dtype, threads */
} gp_state;

/* path: a state.safetensors. 0 or -1. */
int gp_state_save(const gp_state *s, const gp_optimizer *o, gp_model *m, const char *path);
int gp_state_load(gp_state *s, gp_optimizer *o, gp_model *m, const char *path);

#endif
