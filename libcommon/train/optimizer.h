/* optimizer.h: AdamW's moments and the parameters' groups. */
#ifndef GP_TRAIN_OPTIMIZER_H
#define GP_TRAIN_OPTIMIZER_H

#include "model/model.h"

typedef struct gp_optimizer {
    gp_arena arena;
    float *m, *v;         /* moments, laid out like the model's flat vector */
    gp_segment *segments; /* one a row of the table */
    int count;
    float beta1, beta2, eps;
} gp_optimizer;

void gp_optimizer_open(gp_optimizer *o, gp_model *m, double beta1, double beta2, double eps,
                       double weight_decay);
void gp_optimizer_close(gp_optimizer *o);

/* The gradients' norm, clipping, and the update, all on the device; the slots follow. */
void gp_optimizer_step(gp_optimizer *o, gp_model *m);

#endif
