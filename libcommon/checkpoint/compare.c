/* compare.c: see compare.h. */
#include "checkpoint/compare.h"
#include "base/memory.h"
#include "checkpoint/pieces.h"
#include "gptpipe/batch.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether y is x, or what x becomes when it is stored. A format may keep norms and biases exact. magnitude: the largest
 * of the numbers that share a scale with x, or more. */
static bool explained(float x, float y, gp_store store, double magnitude)
{
    gp_dtype dtype = store == GP_STORE_Q8_0 ? GP_F16 : gp_store_dtype(store);
    uint16_t half[2];
    float rounded;
    if (x == y)
        return true;
    if (store == GP_STORE_F32)
        return false;
    gp_from_f32(half, dtype, &x, 1);
    gp_to_f32(&rounded, half, dtype, 1);
    if (y == rounded)
        return true;
    /* ggml's Q8_0: 127 steps to the largest number of a block, and the step itself rounded to fp16 */
    return store == GP_STORE_Q8_0 && fabs((double)x - y) <= magnitude * (1 / 254.0 + 0x1p-11) + 0x1p-25;
}

static void compare(const float *x, const float *y, int64_t count, gp_store store, gp_number_difference *d)
{
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)x[i] - y[i]);
        d->differing += x[i] != y[i];
        d->unexplained += !explained(x[i], y[i], store, d->magnitude);
        d->largest = fmax(d->largest, difference);
    }
    d->numbers += count;
}

/* The largest |number| of a row. */
static int find_magnitude(const gp_checkpoint *c, const gp_param *row, float *x, double *magnitude)
{
    int64_t step = gp_slice_lines(row);
    for (int64_t first = 0; first < row->dim[0]; first += step) {
        int64_t lines = gp_min(step, row->dim[0] - first);
        if (c->read(c->self, row, first, lines, x))
            return -1;
        for (int64_t i = 0; i < lines * row->dim[1]; i++)
            *magnitude = fmax(*magnitude, fabs((double)x[i]));
    }
    return 0;
}

int gp_compare_columns(const gp_checkpoint *a, const gp_param *row, const gp_checkpoint *b, const gp_param *other,
                       int64_t first, int64_t columns, gp_store store, gp_number_difference *d)
{
    int64_t step = gp_slice_lines(row), width = row->dim[1];
    BUG_ON(row->dim[0] != other->dim[0] || width != other->dim[1]);
    float *x = gp_malloc((size_t)(step * width) * sizeof *x), *y = gp_malloc((size_t)(step * width) * sizeof *y);
    int rc = find_magnitude(a, row, x, &d->magnitude);
    for (int64_t line = 0; !rc && line < row->dim[0]; line += step) {
        int64_t lines = gp_min(step, row->dim[0] - line);
        rc = a->read(a->self, row, line, lines, x) || b->read(b->self, other, line, lines, y) ? -1 : 0;
        if (row->ndim == 1) { /* its columns are lines here */
            int64_t begin = gp_max(line, first), end = gp_min(line + lines, first + columns);
            if (!rc && begin < end)
                compare(x + begin - line, y + begin - line, end - begin, store, d);
            continue;
        }
        for (int64_t r = 0; !rc && r < lines; r++)
            compare(x + r * width + first, y + r * width + first, columns, store, d);
    }
    free(x);
    free(y);
    return rc;
}

const gp_carried *gp_find_carried(const gp_checkpoint *c, const gp_carried *t)
{
    for (int i = 0; i < c->carried_count; i++)
        if (!strcmp(c->carried[i].name, t->name) &&
            c->carried[i].file->tensors[c->carried[i].index].elements == t->file->tensors[t->index].elements)
            return &c->carried[i];
    return NULL;
}

int gp_compare_carried(const gp_carried *a, const gp_carried *b, gp_store store, gp_number_difference *d)
{
    int64_t count = a->file->tensors[a->index].elements;
    float *x = gp_malloc((size_t)count * sizeof *x), *y = gp_malloc((size_t)count * sizeof *y);
    int rc = gp_container_read(a->file, a->index, 0, count, x) || gp_container_read(b->file, b->index, 0, count, y);
    for (int64_t i = 0; !rc && i < count; i++)
        d->magnitude = fmax(d->magnitude, fabs((double)x[i]));
    if (!rc)
        compare(x, y, count, store, d);
    free(x);
    free(y);
    return rc ? -1 : 0;
}

/* ---- logits ---------------------------------------------------------------------------------------------- */

enum { PROMPT = 64 };

int64_t gp_compare_prompt(const gp_config *config)
{
    return gp_min(PROMPT, gp_config_context(config));
}

bool gp_compare_fits(const gp_config *config)
{
    /* weights and their packed form, activations of a short prompt, logits three times */
    double bytes = 10.0 * (double)gp_config_parameters(config) + 16.0 * (double)gp_config_outputs(config, 1, PROMPT);
    return bytes < 0.8 * (double)gp_memory_query("").available;
}

float *gp_compare_outputs(const gp_config *config, const gp_checkpoint *c, gp_backend *be)
{
    int64_t T = gp_compare_prompt(config), V = config->vocab_size;
    int32_t ids[PROMPT];
    for (int64_t i = 0; i < T; i++)
        ids[i] = (int32_t)((uint64_t)(i + 1) * 2654435761u % (uint64_t)V); /* spread over the vocabulary (Knuth) */
    gp_model *m = gp_model_create(config, be, false);
    float *outputs = gp_malloc((size_t)gp_config_outputs(config, 1, T) * sizeof *outputs);
    gp_batch batch = {.B = 1, .T = T, .inputs = ids};
    if (gp_checkpoint_load(c, m) || gp_model_plan(m, 1, T) || gp_model_outputs(m, &batch, outputs)) {
        free(outputs);
        outputs = NULL;
    }
    gp_model_free(m);
    return outputs;
}
