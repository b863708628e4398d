/* attention.h: which library computes attention: the one that is named, or the one that is measured to be faster. */
#ifndef GP_TRAIN_ATTENTION_H
#define GP_TRAIN_ATTENTION_H

#include "model/model.h"

/* Times both libraries on one batch, forward and backward each on its own, and uses and returns the faster one. memory:
 * bytes that a batch may take; a library that needs more is not used. report: what was measured, or why there was
 * nothing to measure. */
gp_attention_by gp_attention_measure(gp_model *m, int64_t B, int64_t T, int64_t memory, char *report, size_t size);

/* "cuDNN 9.19.0", or which pass it computes: "cuDNN 9.19.0 (forward)"; "" where both are the backend's own. */
const char *gp_attention_describe(const gp_backend *be, char *text, size_t size);

#endif
