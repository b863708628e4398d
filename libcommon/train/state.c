/* state.c: see state.h. */
#include "train/state.h"
#include "gptpipe/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Moments are kept in our own layout, one tensor a row: "m.NAME" and "v.NAME" after the row's first piece. */
static void moment_name(char *name, size_t size, char which, const gp_param *row)
{
    snprintf(name, size, "%c.%s", which, row->piece[0].name);
}

static gp_tensor shape_of(const gp_param *row)
{
    return (gp_tensor){.dtype = GP_F32, .ndim = row->ndim, .dim = {row->dim[0], row->dim[1]}};
}

int gp_state_save(const gp_state *s, const gp_optimizer *o, gp_model *m, const char *path)
{
    char text[64], name[128];
    gp_safetensors_writer *w = gp_safetensors_create(path);
    if (!w)
        return -1;
    snprintf(text, sizeof text, "%lld", (long long)s->step);
    gp_safetensors_note(w, "step", text, strlen(text));
    snprintf(text, sizeof text, "%.17g", s->best_loss);
    gp_safetensors_note(w, "best_loss", text, strlen(text));
    gp_safetensors_note(w, "data", s->data, strlen(s->data));
    gp_safetensors_note(w, "batches", s->batches, strlen(s->batches));
    gp_safetensors_note(w, "machine", s->machine, strlen(s->machine));
    const float *moments[] = {o->m, o->v};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++) {
            gp_tensor t = shape_of(&m->params.rows[i]);
            moment_name(name, sizeof name, "mv"[k], &m -> params.rows[i]);
            gp_safetensors_declare(w, name, &t);
        }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++) {
            const gp_param *row = &m->params.rows[i];
            size_t bytes = (size_t)row->count * sizeof(float);
            float *host = gp_malloc(bytes);
            m->be->ops->download(m->be, host, moments[k] + row->offset, bytes);
            gp_safetensors_write(w, host, (int64_t)bytes);
            free(host);
        }
    return gp_safetensors_finish(w);
}

static int load_moments(float *to, char which, gp_model *m, gp_safetensors *file, const char *path)
{
    char name[128], found[64], expected[64];
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        gp_tensor t, want = shape_of(row);
        moment_name(name, sizeof name, which, row);
        if (!gp_safetensors_find(file, name, &t))
            return fail("%s: tensor %s is missing", path, name);
        gp_tensor_format(&t, found, sizeof found);
        gp_tensor_format(&want, expected, sizeof expected);
        if (strcmp(found, expected))
            return fail("%s: tensor %s is %s, expected %s", path, name, found, expected);
        m->be->ops->upload(m->be, to + row->offset, t.data, (size_t)gp_tensor_bytes(&t));
    }
    return 0;
}

static void read_note(char *text, size_t size, const gp_safetensors *file, const char *key)
{
    const char *value = gp_safetensors_metadata(file, key, NULL);
    snprintf(text, size, "%s", value ? value : "unknown");
}

int gp_state_load(gp_state *s, gp_optimizer *o, gp_model *m, const char *path)
{
    gp_safetensors *file = gp_safetensors_open(path);
    if (!file)
        return -1;
    const char *step = gp_safetensors_metadata(file, "step", NULL);
    const char *best = gp_safetensors_metadata(file, "best_loss", NULL);
    int rc = -1;
    *s = (gp_state){.step = step ? strtoll(step, NULL, 10) : -1,
                    .best_loss = best ? strtod(best, NULL) : INFINITY};
    read_note(s->data, sizeof s->data, file, "data");
    read_note(s->batches, sizeof s->batches, file, "batches");
    read_note(s->machine, sizeof s->machine, file, "machine");
    if (s->step < 0)
        fail("%s: has no step; it is not the state of a run", path);
    else if (!load_moments(o->m, 'm', m, file, path) && !load_moments(o->v, 'v', m, file, path))
        rc = 0;
    gp_safetensors_close(file);
    return rc;
}
