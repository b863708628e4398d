/* nonfinite.h: where numbers stop being finite, by name. */
#ifndef GP_TRAIN_NONFINITE_H
#define GP_TRAIN_NONFINITE_H

#include "model/nonfinite.h"

/* The first tensor that is not finite: among the parameters in the table's order; else among what `passes` passes make,
 * each called as pass(self, 0), pass(self, 1), ... to run one batch forward and back: an activation as forward makes
 * them, the loss, or a gradient as backward finishes them. -1 when a pass fails. */
int gp_find_nonfinite(gp_nonfinite *found, gp_model *m, int64_t passes, int (*pass)(void *self, int64_t n), void *self);

#endif
