/* attention.h: which library computes attention: one that is named, or the one that a measurement found faster. */
#ifndef GP_TRAIN_ATTENTION_H
#define GP_TRAIN_ATTENTION_H

#include "model/model.h"

/* For batches of (B,T), before they are planned. 0; or -1 where the
 * library is not here, or does not take them. */
int gp_attention_use(gp_model *m, gp_attention_by by, int64_t B, int64_t T, bool train);

/* Times both on one batch, forward and backward by itself, and uses what took less. Gives which. room:
 * bytes that a batch may take; what needs more is no choice. told: what was measured, or why there was nothing to
 * measure. */
gp_attention_by gp_attention_measure(gp_model *m, int64_t B, int64_t T, int64_t room, char *told, size_t size);

/* "cuDNN 9.19.0", or which half of the work is its: "cuDNN 9.19.0 (forward)"; "" where it is all the backend's own. */
const char *gp_attention_describe(const gp_backend *be, char *text, size_t size);

#endif
