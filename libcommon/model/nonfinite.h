/* nonfinite.h: the first tensor whose numbers are not finite. */
#ifndef GP_MODEL_NONFINITE_H
#define GP_MODEL_NONFINITE_H

#include "model/model.h"

typedef struct gp_nonfinite {
    const char *what; /* "parameter", "activation", "loss", "gradient"; NULL: everything is finite */
    char name[GP_PARAM_NAME];
    int64_t count, of; /* numbers that are not finite, and all of the tensor's */
} gp_nonfinite;

/* Takes x (n) where it is not finite and nothing was found before. */
void gp_nonfinite_check(gp_nonfinite *c, const char *what, const char *name, const float *x, int64_t n);

/* The same as a gp_tracer's function; self: a gp_nonfinite. */
void gp_nonfinite_check_traced(void *self, const gp_traced *what, const gp_tensor *t);

/* fail: the logits after `before` ids of a text, of which ids (T) are the end that the model reads, are not finite; a
 * pass over them finds the first tensor that is not. Always -1. */
int gp_model_fail_not_finite(gp_model *m, const int32_t *ids, int64_t T, int64_t before);

#endif
