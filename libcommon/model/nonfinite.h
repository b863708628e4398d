/* nonfinite.h: finds the first tensor with numbers that are not finite. */
#ifndef GP_MODEL_NONFINITE_H
#define GP_MODEL_NONFINITE_H

#include "model/model.h"

typedef struct gp_nonfinite {
    const char *what; /* "parameter", "activation", "loss", "gradient"; NULL: everything is finite */
    char name[GP_PARAM_NAME];
    int64_t count, of; /* numbers that are not finite; numbers in the tensor */
} gp_nonfinite;

/* Records x (n) if it is not finite and nothing was recorded before. */
void gp_nonfinite_check(gp_nonfinite *c, const char *what, const char *name, const float *x, int64_t n);

/* The same for activations: the fn of a gp_tracer whose self is a gp_nonfinite. */
void gp_nonfinite_check_traced(void *self, const gp_traced *what, const gp_tensor *t);

/* Fails because the logits after `before` ids of a text are not finite; ids (T) are the last of them, which the model
 * read. Runs a traced pass over them to name the first tensor that is not finite. Always -1. */
int gp_model_fail_not_finite(gp_model *m, const int32_t *ids, int64_t T, int64_t before);

#endif
