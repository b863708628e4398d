/* count.h: a backend that computes nothing and counts what each kernel would cost on a GPU.
 *
 *     gp_profile counted = {0};
 *     gp_backend *be = gp_count_open(&counted, true);
 *     gp_model *m = gp_model_create(&config, be, true);     // of any size: its memory is never touched
 *     ...a pass of it...
 *     for (int i = 0; i < counted.count; i++)
 *         printf("%s %s %g FLOPs\n", counted.row[i].op, counted.row[i].shape, counted.row[i].cost.flops);
 *
 * One row per kernel that the CUDA backend launches for the ops, in bf16: finer than the rows of profile.h. */
#ifndef GP_BACKEND_COUNT_H
#define GP_BACKEND_COUNT_H

#include "backend/profile.h"

/* Closed by gp_backend_close. The caller owns `counted`, and may set it to {0} between passes. fuses_gelu: a product
 * computes the GELU after it, and its derivative, in its own kernel (backend/cuda/matmul.cu: from sm_90 on). */
gp_backend *gp_count_open(gp_profile *counted, bool fuses_gelu);

#endif
