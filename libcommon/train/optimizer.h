/* optimizer.h: AdamW's moments and the parameters' groups. */
#ifndef GP_TRAIN_OPTIMIZER_H
#define GP_TRAIN_OPTIMIZER_H

#include "model/model.h"

typedef struct gp_optimizer {
    gp_backend *be;
    gp_arena arena;
    float *m, *v;         /* moments, laid out like the model's flat vector */
    gp_segment *segments; /* one a row of the table */
    int count;
    float beta1, beta2, eps;
    gp_recording *recording; /* of gp_optimizer_step */
} gp_optimizer;

void gp_optimizer_open(gp_optimizer *o, gp_model *m, double beta1, double beta2, double eps, double weight_decay);
/* Layer-wise rate decay (Howard & Ruder 2018): the rate of layer l of L is scaled by layer_decay^(L - l), that of the
 * embeddings by layer_decay^(L + 1); the head's and the last norm's are not. freeze: "embeddings", or N for these and
 * the N lowest layers, is not updated and not part of the gradients' norm; NULL: nothing. Called after open. -1 where
 * freeze is neither, or leaves nothing to train. */
int gp_optimizer_scale(gp_optimizer *o, const gp_model *m, double layer_decay, const char *freeze);
void gp_optimizer_close(gp_optimizer *o);

/* On the device: the gradients' norm, the clipping factor, whether anything is not finite (gp_step). */
void gp_optimizer_norm(gp_optimizer *o, gp_model *m);

/* AdamW's update with these; updates the weights' slots too. */
void gp_optimizer_update(gp_optimizer *o, gp_model *m);

/* Norm, then update; recorded as one graph where the backend supports that. */
void gp_optimizer_step(gp_optimizer *o, gp_model *m);

#endif
