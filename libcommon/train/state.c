/* state.c: see state.h. */
#include "train/state.h"
#include "io/pieces.h"
#include "io/safetensors.h"

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

/* "window.loss" and "window.norm", the oldest value first; not there while nothing is in them. */
static gp_tensor window_shape(const gp_window *w)
{
    return (gp_tensor){.dtype = GP_F64, .ndim = 1, .dim = {w->count}};
}

/* The tensor of that name, whose bytes are those that were written. 1: there is none. */
static int find_tensor(const gp_safetensors *file, const char *name, int64_t *i, gp_tensor *t)
{
    for (*i = 0; *i < gp_safetensors_count(file); ++*i)
        if (!strcmp(gp_safetensors_get(file, *i, t), name))
            return gp_safetensors_check(file, *i, false);
    return 1;
}

static int load_window(gp_window *w, const char *name, gp_safetensors *file, const char *path)
{
    gp_tensor t;
    char found[64];
    int64_t i;
    int rc = find_tensor(file, name, &i, &t);
    if (rc)
        return rc < 0 ? -1 : 0;
    if (t.dtype != GP_F64 || t.ndim != 1 || t.dim[0] > GP_WINDOW)
        return fail("%s: tensor %s is %s, expected F64 [%d] at most", path, name,
                    gp_tensor_format(&t, found, sizeof found), GP_WINDOW);
    w->count = t.dim[0];
    memcpy(w->value, t.data, (size_t)gp_tensor_bytes(&t));
    return 0;
}

/* In slices, so that no copy of all of it is made; w keeps a failure for its end. */
static void write_moment(gp_safetensors_writer *w, gp_backend *be, const float *x, int64_t count)
{
    int64_t most = gp_min(count, GP_SLICE);
    float *host = gp_malloc((size_t)most * sizeof *host);
    for (int64_t done = 0, n; done < count; done += n) {
        n = gp_min(most, count - done);
        be->ops->download(be, host, x + done, (size_t)n * sizeof *host);
        gp_safetensors_write(w, host, n * (int64_t)sizeof *host);
    }
    free(host);
}

int gp_state_save(const gp_state *s, const gp_optimizer *o, gp_model *m, const char *path)
{
    char text[64], name[128];
    gp_safetensors_writer *w = gp_safetensors_create(path);
    if (!w)
        return -1;
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {{"step", s->step}, {"best_step", s->best_step}, {"samples", s->samples}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        snprintf(text, sizeof text, "%lld", (long long)counts[i].value);
        gp_safetensors_note(w, counts[i].key, text, strlen(text));
    }
    snprintf(text, sizeof text, "%.17g", s->best_loss);
    gp_safetensors_note(w, "best_loss", text, strlen(text));
    gp_safetensors_note(w, "data", s->data, strlen(s->data));
    gp_safetensors_note(w, "fingerprint", s->fingerprint, strlen(s->fingerprint));
    gp_safetensors_note(w, "validation", s->validation, strlen(s->validation));
    gp_safetensors_note(w, "batches", s->batches, strlen(s->batches));
    gp_safetensors_note(w, "machine", s->machine, strlen(s->machine));
    const float *moments[] = {o->m, o->v};
    const gp_window *windows[] = {&s->losses, &s->norms};
    for (int k = 0; k < 2 && windows[k]->count; k++) {
        gp_tensor t = window_shape(windows[k]);
        gp_safetensors_declare(w, k ? "window.norm" : "window.loss", &t);
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++) {
            gp_tensor t = shape_of(&m->params.rows[i]);
            moment_name(name, sizeof name, "mv"[k], &m -> params.rows[i]);
            gp_safetensors_declare(w, name, &t);
        }
    for (int k = 0; k < 2; k++)
        gp_safetensors_write(w, windows[k]->value, windows[k]->count * (int64_t)sizeof *windows[k]->value);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++)
            write_moment(w, m->be, moments[k] + m->params.rows[i].offset, m->params.rows[i].count);
    return gp_safetensors_finish(w);
}

static int load_moments(float *to, char which, gp_model *m, gp_safetensors *file, const char *path)
{
    char name[128], found[64], expected[64];
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        gp_tensor t, want = shape_of(row);
        int64_t at;
        moment_name(name, sizeof name, which, row);
        int rc = find_tensor(file, name, &at, &t);
        if (rc)
            return rc < 0 ? -1 : fail("%s: tensor %s is missing", path, name);
        gp_tensor_format(&t, found, sizeof found);
        gp_tensor_format(&want, expected, sizeof expected);
        if (strcmp(found, expected))
            return fail("%s: tensor %s is %s, expected %s", path, name, found, expected);
        m->be->ops->upload(m->be, to + row->offset, t.data, (size_t)gp_tensor_bytes(&t));
        gp_safetensors_forget(file, at);
    }
    return 0;
}

static void read_note(char *text, size_t size, const gp_safetensors *file, const char *key)
{
    const char *value = gp_safetensors_metadata(file, key, NULL);
    snprintf(text, size, "%s", value ? value : "unknown");
}

static int64_t read_count(const gp_safetensors *file, const char *key, int64_t missing)
{
    const char *value = gp_safetensors_metadata(file, key, NULL);
    return value ? strtoll(value, NULL, 10) : missing;
}

int gp_state_load(gp_state *s, gp_optimizer *o, gp_model *m, const char *path)
{
    gp_safetensors *file = gp_safetensors_open_regular(path);
    if (!file)
        return -1;
    const char *best = gp_safetensors_metadata(file, "best_loss", NULL);
    int rc = -1;
    *s = (gp_state){.step = read_count(file, "step", -1),
                    .best_loss = best ? strtod(best, NULL) : INFINITY,
                    .best_step = read_count(file, "best_step", -1),
                    .samples = read_count(file, "samples", INT64_MAX)};
    read_note(s->data, sizeof s->data, file, "data");
    read_note(s->fingerprint, sizeof s->fingerprint, file, "fingerprint");
    read_note(s->validation, sizeof s->validation, file, "validation");
    read_note(s->batches, sizeof s->batches, file, "batches");
    read_note(s->machine, sizeof s->machine, file, "machine");
    if (s->step < 0)
        fail("%s: has no step; it is not the state of a run", path);
    else if (!load_moments(o->m, 'm', m, file, path) && !load_moments(o->v, 'v', m, file, path) &&
             !load_window(&s->losses, "window.loss", file, path) &&
             !load_window(&s->norms, "window.norm", file, path))
        rc = 0;
    gp_safetensors_close(file);
    return rc;
}
