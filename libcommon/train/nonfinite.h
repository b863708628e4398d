/* nonfinite.h: finds the first tensor that is not finite. */
#ifndef GP_TRAIN_NONFINITE_H
#define GP_TRAIN_NONFINITE_H

#include "model/nonfinite.h"

/* Searches the parameters in the table's order, then `passes` passes, pass(self, 0), pass(self, 1), ..., each of which
 * runs one batch forward and backward: activations in the order of the forward pass, the loss, gradients in the order
 * of the backward pass. -1 when a pass fails. */
int gp_find_nonfinite(gp_nonfinite *found, gp_model *m, int64_t passes, int (*pass)(void *self, int64_t n), void *self);

#endif
