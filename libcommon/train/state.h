/* state.h: what a checkpoint holds besides the model, so that a run continues as if it had never stopped: AdamW's
 * moments bit for bit, the step, the best loss, the window that outliers are measured by. Random numbers and the data
 * position are functions of the step. */
#ifndef GP_TRAIN_STATE_H
#define GP_TRAIN_STATE_H

#include "data/safetensors.h"
#include "train/optimizer.h"
#include "train/report/outliers.h"

typedef struct gp_state {
    int64_t step;      /* finished steps */
    double best_loss;  /* lowest validation loss of a checkpoint; infinity before the first */
    int64_t best_step; /* its step, -1 before the first */
    int64_t samples;   /* bytes of samples.txt */
    gp_window losses, norms;
    char weights[9]; /* gp_state_weights of the model in the same folder; "" or "unknown" where that is not known */
    /* What the bits depend on, in words, to compare when a run is resumed: */
    char data[160];       /* the token stream */
    char fingerprint[33]; /* of its content */
    char validation[33];  /* of the content of --val, "" without */
    char batches[256];    /* how batches are drawn from it */
    char machine[224];    /* backend, dtype, threads */
} gp_state;

/* Whether what a checkpoint recorded differs from what is so now; one from before it was recorded says "unknown". */
bool gp_state_differs(const char *saved, const char *now);

/* What goes into `weights`: a CRC of the CRCs that a model's file records, "" where it records none. 0 or -1. */
int gp_state_weights(char weights[9], const char *model);

/* path: a state.safetensors. 0 or -1. */
int gp_state_save(const gp_state *s, const gp_optimizer *o, gp_model *m, const char *path);

/* From such a file: the values of the checkpoint of `step`; whether its moments are those of a model, with the CRCs
 * that were written; the moments themselves. A failure that is not one of I/O means that the file is damaged. 0 or -1.
 * */
int gp_state_read(gp_state *s, const gp_safetensors *file, int64_t step);
int gp_state_check(const gp_safetensors *file, const gp_model *m);
int gp_state_load(const gp_safetensors *file, gp_optimizer *o, gp_model *m);

#endif
