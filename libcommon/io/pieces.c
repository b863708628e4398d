/* pieces.c: see pieces.h. */
#include "io/pieces.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether the piece lies in the row as it does outside, in one run from piece->first on. */
static bool is_run(const gp_param *row, const gp_piece *piece)
{
    return row->ndim == 1 || (!piece->transposed && piece->columns == row->dim[1]);
}

static gp_tensor piece_tensor(const gp_param *row, const gp_piece *piece, gp_dtype dtype)
{
    gp_tensor t = {.dtype = dtype};
    t.ndim = gp_piece_shape(row, piece, t.dim);
    return t;
}

int gp_piece_check(const char *path, const char *name, const gp_tensor *t, const gp_param *row,
                   const gp_piece *piece)
{
    gp_tensor expected = piece_tensor(row, piece, t->dtype);
    char found[96], wanted[96];
    if (t->dtype != GP_F32 && t->dtype != GP_F16 && t->dtype != GP_BF16)
        return fail("%s: tensor %s is %s, expected F32, F16 or BF16", path, name,
                    gp_tensor_format(t, found, sizeof found));
    bool same = t->ndim == expected.ndim;
    for (int i = 0; same && i < t->ndim; i++)
        same = t->dim[i] == expected.dim[i];
    if (!same)
        return fail("%s: tensor %s is %s, expected %s by its configuration", path, name,
                    gp_tensor_format(t, found, sizeof found),
                    gp_tensor_format(&expected, wanted, sizeof wanted));
    return 0;
}

/* Whether all of x is finite and stays so as `dtype`. */
static int check_finite(const char *path, const char *name, const float *x, int64_t count, gp_dtype dtype)
{
    float most = dtype == GP_BF16 ? 0x1.fep127f : FLT_MAX;
    int bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= !(fabsf(x[i]) <= most);
    for (int64_t i = 0; bad && i < count; i++)
        if (!(fabsf(x[i]) <= most))
            return fail("%s: tensor %s has %g at element %lld, expected finite numbers", path, name,
                        (double)x[i], (long long)i);
    return 0;
}

int gp_piece_read(const char *path, const char *name, const gp_tensor *t, const gp_param *row,
                  const gp_piece *piece, float *data)
{
    int64_t count = gp_tensor_count(t);
    if (is_run(row, piece)) {
        gp_to_f32(data + piece->first, t->data, t->dtype, count);
        return check_finite(path, name, data + piece->first, count, GP_F32);
    }
    float *external = gp_malloc((size_t)count * sizeof *external);
    gp_to_f32(external, t->data, t->dtype, count);
    int rc = check_finite(path, name, external, count, GP_F32);
    if (!rc)
        gp_piece_load(row, piece, data, external);
    free(external);
    return rc;
}

int gp_pieces_declare(gp_safetensors_writer *w, const gp_params *p, const char *prefix, gp_dtype dtype)
{
    int rc = 0;
    for (int i = 0; i < p->count; i++)
        for (int k = 0; k < p->rows[i].pieces; k++) {
            const gp_piece *piece = &p->rows[i].piece[k];
            gp_tensor t = piece_tensor(&p->rows[i], piece, dtype);
            char *name = gp_format("%s%s", prefix, piece->name);
            rc |= gp_safetensors_declare(w, name, &t);
            free(name);
        }
    return rc;
}

/* count numbers in dtype, through a small buffer where they have to be converted. */
static int write_numbers(gp_safetensors_writer *w, const float *x, int64_t count, gp_dtype dtype)
{
    enum { CHUNK = 1 << 15 };
    if (dtype == GP_F32)
        return gp_safetensors_write(w, x, count * (int64_t)sizeof *x);
    uint16_t part[CHUNK];
    for (int64_t done = 0; done < count; done += CHUNK) {
        int64_t n = gp_min(count - done, CHUNK);
        gp_from_f32(part, dtype, x + done, n);
        if (gp_safetensors_write(w, part, n * gp_dtype_size(dtype)))
            return -1;
    }
    return 0;
}

static int write_row(gp_safetensors_writer *w, const gp_param *row, const char *where, const float *data,
                     gp_dtype dtype)
{
    for (int k = 0; k < row->pieces; k++) {
        const gp_piece *piece = &row->piece[k];
        int64_t count = row->count / row->dim[row->ndim - 1] * piece->columns;
        const float *run = data + piece->first;
        float *external = NULL;
        if (!is_run(row, piece)) {
            run = external = gp_malloc((size_t)count * sizeof *external);
            gp_piece_store(row, piece, data, external);
        }
        int rc = check_finite(where, piece->name, run, count, dtype); /* what is written can be read again */
        if (!rc)
            rc = write_numbers(w, run, count, dtype);
        free(external);
        if (rc)
            return -1;
    }
    return 0;
}

int gp_pieces_write(gp_safetensors_writer *w, const gp_params *p, const char *where, gp_row_fn *read,
                    void *self, gp_dtype dtype)
{
    int64_t most = 0;
    for (int i = 0; i < p->count; i++)
        most = gp_max(most, p->rows[i].count);
    float *data = gp_malloc((size_t)most * sizeof *data);
    int rc = 0;
    for (int i = 0; !rc && i < p->count; i++) {
        rc = read(self, &p->rows[i], data);
        if (!rc)
            rc = write_row(w, &p->rows[i], where, data, dtype);
    }
    free(data);
    return rc;
}
