/* nonfinite.c: see nonfinite.h. */
#include "model/nonfinite.h"

#include <math.h>
#include <stdlib.h>

void gp_culprit_look(gp_culprit *c, const char *what, const char *name, const float *x, int64_t n)
{
    int64_t count = 0;
    if (c->what)
        return;
    for (int64_t i = 0; i < n; i++)
        count += !isfinite(x[i]);
    if (!count)
        return;
    *c = (gp_culprit){.what = what, .count = count, .of = n};
    snprintf(c->name, sizeof c->name, "%s", name);
}

static void look_at(void *self, const char *name, const gp_tensor *t)
{
    gp_culprit_look(self, "activation", name, t->data, gp_tensor_count(t));
}

int gp_model_fail_not_finite(gp_model *m, const int32_t *ids, int64_t T, int64_t before)
{
    gp_culprit c = {0};
    float *logits = gp_malloc((size_t)(T * m->config.vocab_size) * sizeof *logits);
    gp_model_set_trace(m, look_at, &c);
    m->trace_is_brief = true;
    int rc = gp_model_logits(m, &(gp_batch){.B = 1, .T = T, .inputs = ids}, logits);
    gp_model_set_trace(m, NULL, NULL);
    m->trace_is_brief = false;
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
