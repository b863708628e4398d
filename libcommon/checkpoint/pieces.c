/* pieces.c: see pieces.h. */
#include "checkpoint/pieces.h"

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

int gp_piece_check(const char *path, const char *name, const gp_tensor *t, const gp_param *row, const gp_piece *piece)
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
                    gp_tensor_format(t, found, sizeof found), gp_tensor_format(&expected, wanted, sizeof wanted));
    return 0;
}

/* Whether all of x, the numbers from `first` on of a tensor, is finite and stays so as `dtype`. */
static int check_finite(const char *path, const char *name, const float *x, int64_t first, int64_t count,
                        gp_dtype dtype)
{
    float most = dtype == GP_BF16 ? 0x1.fep127f : FLT_MAX;
    int bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= !(fabsf(x[i]) <= most);
    for (int64_t i = 0; bad && i < count; i++)
        if (!(fabsf(x[i]) <= most))
            return fail("%s: tensor %s has %g at element %lld, expected finite numbers", path, name, (double)x[i],
                        (long long)(first + i));
    return 0;
}

/* count numbers of t from `first` on. */
static void take(float *data, const gp_tensor *t, int64_t first, int64_t count)
{
    gp_to_f32(data, (const char *)t->data + first * gp_dtype_size(t->dtype), t->dtype, count);
}

void gp_piece_read(const gp_tensor *t, const gp_param *row, const gp_piece *piece, int64_t first, int64_t lines,
                   float *data)
{
    enum { CHUNK = 1 << 10 };
    float column[CHUNK];
    int64_t width = row->dim[1], end = first + lines;
    if (row->ndim == 1) { /* the piece is lines of the row */
        int64_t begin = gp_max(first, piece->first), stop = gp_min(end, piece->first + piece->columns);
        if (begin < stop)
            take(data + begin - first, t, begin - piece->first, stop - begin);
    } else if (is_run(row, piece)) {
        take(data, t, first * width, lines * width);
    } else if (!piece->transposed) {
        for (int64_t r = first; r < end; r++)
            take(data + (r - first) * width + piece->first, t, r * piece->columns, piece->columns);
    } else {
        for (int64_t c = 0; c < piece->columns; c++)
            for (int64_t r = first, n; r < end; r += n) {
                n = gp_min(CHUNK, end - r);
                take(column, t, c * row->dim[0] + r, n);
                for (int64_t k = 0; k < n; k++)
                    data[(r - first + k) * width + piece->first + c] = column[k];
            }
    }
}

int64_t gp_slice_lines(const gp_param *row)
{
    return gp_min(row->dim[0], gp_max(1, GP_SLICE / row->dim[1]));
}

void gp_piece_store(const gp_param *row, const gp_piece *piece, const float *data, float *external)
{
    int64_t lines = row->ndim == 1 ? 1 : row->dim[0], width = row->dim[row->ndim - 1];
    int64_t down = piece->transposed ? 1 : piece->columns, across = piece->transposed ? lines : 1;
    for (int64_t r = 0; r < lines; r++)
        for (int64_t c = 0; c < piece->columns; c++)
            external[r * down + c * across] = data[r * width + piece->first + c];
}

int gp_pieces_declare(gp_safetensors_writer *w, const gp_params *p, const gp_naming *n, gp_dtype dtype)
{
    int rc = 0;
    gp_piece piece[GP_PIECES];
    for (int i = 0; i < p->count; i++) {
        int pieces = gp_naming_pieces(n, &p->rows[i], piece);
        for (int k = 0; k < pieces; k++) {
            gp_tensor t = piece_tensor(&p->rows[i], &piece[k], dtype);
            rc |= gp_safetensors_declare(w, piece[k].name, &t);
        }
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

/* Writes `count` numbers at x, which are those from `first` on of a piece. */
static int write_checked(gp_safetensors_writer *w, const char *where, const gp_piece *piece, const float *x,
                         int64_t first, int64_t count, gp_dtype dtype)
{
    if (check_finite(where, piece->name, x, first, count, dtype)) /* what is written can be read again */
        return -1;
    return write_numbers(w, x, count, dtype);
}

/* A row that is one piece, as it is: slice by slice. */
static int write_run(gp_safetensors_writer *w, const gp_param *row, const gp_piece *piece, const char *where,
                     gp_row_fn *read, void *self, gp_dtype dtype)
{
    int64_t width = row->dim[1], step = gp_slice_lines(row);
    float *data = gp_malloc((size_t)(step * width) * sizeof *data);
    int rc = 0;
    for (int64_t first = 0; !rc && first < row->dim[0]; first += step) {
        int64_t lines = gp_min(step, row->dim[0] - first);
        rc = read(self, row, first, lines, data);
        if (!rc)
            rc = write_checked(w, where, piece, data, first * width, lines * width, dtype);
    }
    free(data);
    return rc;
}

/* A row in several pieces, or transposed ones, as the BERT family's: all of it is read before the first is written. */
static int write_pieces(gp_safetensors_writer *w, const gp_param *row, const gp_piece *pieces, int count,
                        const char *where, gp_row_fn *read, void *self, gp_dtype dtype)
{
    float *data = gp_malloc((size_t)row->count * sizeof *data), *external = NULL;
    int rc = read(self, row, 0, row->dim[0], data);
    for (int k = 0; !rc && k < count; k++) {
        const gp_piece *piece = &pieces[k];
        int64_t numbers = row->count / row->dim[row->ndim - 1] * piece->columns;
        const float *run = data + piece->first;
        if (!is_run(row, piece)) {
            run = external = gp_realloc(external, (size_t)numbers, sizeof *external);
            gp_piece_store(row, piece, data, external);
        }
        rc = write_checked(w, where, piece, run, 0, numbers, dtype);
    }
    free(external);
    free(data);
    return rc;
}

int gp_pieces_write(gp_safetensors_writer *w, const gp_params *p, const gp_naming *n, const char *where,
                    gp_row_fn *read, void *self, gp_dtype dtype)
{
    int rc = 0;
    gp_piece piece[GP_PIECES];
    for (int i = 0; !rc && i < p->count; i++) {
        const gp_param *row = &p->rows[i];
        int count = gp_naming_pieces(n, row, piece);
        if (count == 1 && is_run(row, piece))
            rc = write_run(w, row, piece, where, read, self, dtype);
        else
            rc = write_pieces(w, row, piece, count, where, read, self, dtype);
    }
    return rc;
}
