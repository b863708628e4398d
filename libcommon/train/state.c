/* state.c: see state.h. */
#include "train/state.h"
#include "base/file.h"
#include "checkpoint/pieces.h"
#include "data/safetensors_sums.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Moments have the layout of the table of parameters, one tensor a row, named "m.NAME" and "v.NAME" after the row's
 * first piece in Hugging Face's naming. */
static void moment_name(char *name, size_t size, char which, const gp_param *row, const gp_model *m)
{
    gp_piece piece[GP_PIECES];
    gp_naming_pieces(gp_hf_naming(&m->config), row, piece);
    snprintf(name, size, "%c.%s", which, piece[0].name);
}

static gp_tensor shape_of(const gp_param *row)
{
    return (gp_tensor){.dtype = GP_F32, .ndim = row->ndim, .dim = {row->dim[0], row->dim[1]}};
}

/* "window.loss" and "window.norm", the oldest value first; absent while they are empty. */
static gp_tensor window_shape(const gp_window *w)
{
    return (gp_tensor){.dtype = GP_F64, .ndim = 1, .dim = {w->count}};
}

static int load_window(gp_window *w, const char *name, const gp_safetensors *file, const char *path)
{
    gp_tensor t;
    char found[64];
    int64_t i = gp_safetensors_index(file, name);
    if (i < 0)
        return 0;
    gp_safetensors_get(file, i, &t);
    if (gp_safetensors_check(file, i, false))
        return -1;
    if (t.dtype != GP_F64 || t.ndim != 1 || t.dim[0] > GP_WINDOW)
        return fail("%s: tensor %s is %s, expected F64 [%d] at most", path, name,
                    gp_tensor_format(&t, found, sizeof found), GP_WINDOW);
    w->count = t.dim[0];
    memcpy(w->value, t.data, (size_t)gp_tensor_bytes(&t));
    return 0;
}

/* In slices, so that the host needs no copy of the whole; gp_safetensors_finish reports a failure. */
static void write_moment(gp_safetensors_writer *w, gp_backend *be, const float *x, int64_t count)
{
    float *host = gp_malloc((size_t)gp_min(count, GP_SLICE) * sizeof *host);
    for (int64_t done = 0, n; done < count; done += n) {
        n = gp_min(GP_SLICE, count - done);
        be->ops->download(be, host, x + done, (size_t)n * sizeof *host);
        gp_safetensors_write(w, host, n * (int64_t)sizeof *host);
    }
    free(host);
}

bool gp_state_differs(const char *saved, const char *now)
{
    return strcmp(saved, "unknown") && strcmp(saved, now);
}

int gp_state_weights(char weights[9], const char *model)
{
    size_t n;
    gp_safetensors *file = gp_safetensors_open_regular(model);
    *weights = 0;
    if (!file)
        return -1;
    const char *record = gp_safetensors_metadata(file, GP_SUMS_KEY, &n);
    if (record)
        snprintf(weights, 9, "%08x", gp_crc32c(0, record, n));
    gp_safetensors_close(file);
    return 0;
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
        gp_safetensors_add_metadata(w, counts[i].key, text, strlen(text));
    }
    snprintf(text, sizeof text, "%.17g", s->best_loss);
    gp_safetensors_add_metadata(w, "best_loss", text, strlen(text));
    gp_safetensors_add_metadata(w, "data", s->data, strlen(s->data));
    gp_safetensors_add_metadata(w, "fingerprint", s->fingerprint, strlen(s->fingerprint));
    gp_safetensors_add_metadata(w, "validation", s->validation, strlen(s->validation));
    gp_safetensors_add_metadata(w, "batches", s->batches, strlen(s->batches));
    gp_safetensors_add_metadata(w, "machine", s->machine, strlen(s->machine));
    if (*s->weights)
        gp_safetensors_add_metadata(w, "weights", s->weights, strlen(s->weights));
    const float *moments[] = {o->m, o->v};
    const gp_window *windows[] = {&s->losses, &s->norms};
    for (int k = 0; k < 2 && windows[k]->count; k++) {
        gp_tensor t = window_shape(windows[k]);
        gp_safetensors_declare(w, k ? "window.norm" : "window.loss", &t);
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++) {
            gp_tensor t = shape_of(&m->params.rows[i]);
            moment_name(name, sizeof name, k ? 'v' : 'm', &m->params.rows[i], m);
            gp_safetensors_declare(w, name, &t);
        }
    for (int k = 0; k < 2; k++)
        gp_safetensors_write(w, windows[k]->value, windows[k]->count * (int64_t)sizeof *windows[k]->value);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++)
            write_moment(w, m->be, moments[k] + m->params.rows[i].offset, m->params.rows[i].count);
    return gp_safetensors_finish(w);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* One row's moments: "m" or "v". */
static int find_moments(gp_tensor *t, int64_t *index, char which, const gp_param *row, const gp_model *m,
                        const gp_safetensors *file)
{
    const char *path = gp_safetensors_path(file);
    char name[128], found[64], expected[64];
    gp_tensor shape = shape_of(row);
    moment_name(name, sizeof name, which, row, m);
    *index = gp_safetensors_index(file, name);
    if (*index < 0)
        return fail("%s: tensor %s is missing", path, name);
    gp_safetensors_get(file, *index, t);
    gp_tensor_format(t, found, sizeof found);
    gp_tensor_format(&shape, expected, sizeof expected);
    if (strcmp(found, expected))
        return fail("%s: tensor %s is %s, expected %s", path, name, found, expected);
    return 0;
}

/* Their CRCs match. */
static int check_moments(char which, const gp_param *row, const gp_model *m, const gp_safetensors *file)
{
    gp_tensor t;
    int64_t at;
    if (find_moments(&t, &at, which, row, m, file) || gp_safetensors_check(file, at, false))
        return -1;
    gp_safetensors_forget(file, at);
    return 0;
}

int gp_state_check(const gp_safetensors *file, const gp_model *m)
{
    for (int i = 0; i < m->params.count; i++)
        if (check_moments('m', &m->params.rows[i], m, file) || check_moments('v', &m->params.rows[i], m, file))
            return -1;
    return 0;
}

/* In slices, as it was written. */
static void upload_moment(gp_backend *be, float *to, const char *data, int64_t count, const gp_safetensors *file,
                          int64_t index)
{
    for (int64_t done = 0, n; done < count; done += n) {
        n = gp_min(GP_SLICE, count - done);
        be->ops->upload(be, to + done, data + done * (int64_t)sizeof *to, (size_t)n * sizeof *to);
        gp_safetensors_forget(file, index);
    }
}

int gp_state_load(const gp_safetensors *file, gp_optimizer *o, gp_model *m)
{
    float *const to[] = {o->m, o->v};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m->params.count; i++) {
            const gp_param *row = &m->params.rows[i];
            gp_tensor t;
            int64_t at;
            if (find_moments(&t, &at, "mv"[k], row, m, file))
                return -1;
            upload_moment(m->be, to[k] + row->offset, t.data, row->count, file, at);
        }
    return 0;
}

static void read_text(char *text, size_t size, const gp_safetensors *file, const char *key)
{
    const char *value = gp_safetensors_metadata(file, key, NULL);
    snprintf(text, size, "%s", value ? value : "unknown");
}

/* A whole number from min to max, and nothing after it; `missing` where the key is absent (an older checkpoint). */
static int read_count(int64_t *count, const gp_safetensors *file, const char *key, int64_t min, int64_t max,
                      int64_t missing)
{
    const char *path = gp_safetensors_path(file), *text = gp_safetensors_metadata(file, key, NULL);
    char *end;
    *count = missing;
    if (!text)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool number = (*text == '-' || (*text >= '0' && *text <= '9')) && !*end && !errno;
    if (!number || value < min || value > max)
        return fail("%s: its %s is %.40s, expected a number from %lld to %lld", path, key, text, (long long)min,
                    (long long)max);
    *count = value;
    return 0;
}

static int read_best(gp_state *s, const gp_safetensors *file)
{
    const char *path = gp_safetensors_path(file), *text = gp_safetensors_metadata(file, "best_loss", NULL);
    const char *step = gp_safetensors_metadata(file, "best_step", NULL);
    char *end;
    s->best_loss = INFINITY;
    if (read_count(&s->best_step, file, "best_step", -1, s->step, -1))
        return -1;
    if (text) {
        s->best_loss = strtod(text, &end);
        if (end == text || *end || isnan(s->best_loss))
            return fail("%s: its best_loss is %.40s, expected a number", path, text);
    }
    if (step && (s->best_step < 0) != (s->best_loss == INFINITY))
        return fail("%s: its best_step is %lld and its best_loss %g, which contradict each other", path,
                    (long long)s->best_step, s->best_loss);
    return 0;
}

int gp_state_read(gp_state *s, const gp_safetensors *file, int64_t step)
{
    const char *path = gp_safetensors_path(file);
    *s = (gp_state){0};
    if (read_count(&s->step, file, "step", 0, INT64_MAX, -1))
        return -1;
    if (s->step < 0)
        return fail("%s: has no step; it is not the state of a run", path);
    if (s->step != step)
        return fail("%s: is of step %lld, expected that of its folder, %lld", path, (long long)s->step,
                    (long long)step);
    read_text(s->data, sizeof s->data, file, "data");
    read_text(s->fingerprint, sizeof s->fingerprint, file, "fingerprint");
    read_text(s->validation, sizeof s->validation, file, "validation");
    read_text(s->batches, sizeof s->batches, file, "batches");
    read_text(s->machine, sizeof s->machine, file, "machine");
    read_text(s->weights, sizeof s->weights, file, "weights");
    if (read_best(s, file) || read_count(&s->samples, file, "samples", 0, INT64_MAX, INT64_MAX) ||
        load_window(&s->losses, "window.loss", file, path) || load_window(&s->norms, "window.norm", file, path))
        return -1;
    return 0;
}
