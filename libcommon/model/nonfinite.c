/* nonfinite.c: see nonfinite.h. */
#include "model/nonfinite.h"

#include <math.h>
#include <stdlib.h>

void gp_nonfinite_check(gp_nonfinite *c, const char *what, const char *name, const float *x, int64_t n)
{
    int64_t count = 0;
    if (c->what)
        return;
    for (int64_t i = 0; i < n; i++)
        count += !isfinite(x[i]);
    if (!count)
        return;
    *c = (gp_nonfinite){.what = what, .count = count, .of = n};
    snprintf(c->name, sizeof c->name, "%s", name);
}

void gp_nonfinite_check_traced(void *self, const gp_traced *what, const gp_tensor *t)
{
    char name[GP_PARAM_NAME];
    gp_nonfinite_check(self, "activation", gp_traced_name(what, name), t->data, gp_tensor_count(t));
}

int gp_model_fail_not_finite(gp_model *m, const int32_t *ids, int64_t T, int64_t before)
{
    gp_nonfinite c = {0};
    float *logits = gp_malloc((size_t)gp_config_outputs(&m->config, 1, T) * sizeof *logits);
    int rc = gp_model_trace(m, &(gp_batch){.B = 1, .T = T, .inputs = ids}, logits,
                            &(gp_tracer){.fn = gp_nonfinite_check_traced, .self = &c, .brief = true});
    free(logits);
    if (rc)
        return rc;
    char *first = c.what ? gp_format("the first that is not: %s, %lld of its %lld numbers", c.name, (long long)c.count,
                                     (long long)c.of)
                         : gp_strdup("in a pass over the whole text they are");
    fail("the model's logits at position %lld are not finite; %s", (long long)before, first);
    free(first);
    return -1;
}
