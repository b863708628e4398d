/* nonfinite.c: see nonfinite.h. */
#include "train/nonfinite.h"

#include <stdlib.h>

/* What was found in one pass. A gradient is reported only if all activations and the loss are finite. */
typedef struct nonfinite_search {
    gp_model *m;
    gp_nonfinite forward, backward;
} nonfinite_search;

static void check_on_device(gp_nonfinite *c, gp_model *m, const char *what, const char *name, const float *x, int64_t n)
{
    float *host = gp_malloc((size_t)n * sizeof *host);
    m->be->ops->download(m->be, host, x, (size_t)n * sizeof *host);
    gp_nonfinite_check(c, what, name, host, n);
    free(host);
}

static void check_gradient(void *self, const gp_param *row)
{
    nonfinite_search *s = self;
    char name[GP_PARAM_NAME];
    check_on_device(&s->backward, s->m, "gradient", gp_param_name(row, name), s->m->g + row->offset, row->count);
}

static void check_parameters(gp_nonfinite *c, gp_model *m)
{
    for (int i = 0; i < m->params.count && !c->what; i++) {
        const gp_param *row = &m->params.rows[i];
        float *host = gp_malloc((size_t)row->count * sizeof *host);
        char name[GP_PARAM_NAME];
        gp_model_row_download(m, row, host);
        gp_nonfinite_check(c, "parameter", gp_param_name(row, name), host, row->count);
        free(host);
    }
}

int gp_find_nonfinite(gp_nonfinite *found, gp_model *m, int64_t passes, int (*pass)(void *self, int64_t n), void *self)
{
    nonfinite_search s = {.m = m};
    int rc = 0;
    *found = (gp_nonfinite){0};
    check_parameters(found, m);
    gp_tracer tracer = {.fn = gp_nonfinite_check_traced, .self = &s.forward, .brief = true};
    gp_model_observe(m, &tracer, check_gradient, &s);
    for (int64_t n = 0; n < passes && !rc && !found->what; n++) {
        rc = pass(self, n);
        check_on_device(&s.forward, m, "loss", "logits", m->acts.losses.data, gp_tensor_count(&m->acts.losses));
        *found = s.forward.what ? s.forward : s.backward;
    }
    gp_model_observe(m, NULL, NULL, NULL);
    return rc;
}
