/* pieces.c: see pieces.h. */
#include "checkpoint/pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool gp_piece_is_run(const gp_param *row, const gp_piece *piece)
{
    return row->ndim == 1 || (!piece->transposed && piece->columns == row->dim[1]);
}

/* Whether t has these dims, after a 1 perhaps. */
static bool has_shape(const gp_stored *t, int ndim, const int64_t dim[2], bool leading_one)
{
    int skip = leading_one && t->ndim == ndim + 1 && t->dim[0] == 1;
    bool same = t->ndim == ndim + skip;
    for (int i = 0; same && i < ndim; i++)
        same = t->dim[skip + i] == dim[i];
    return same;
}

int gp_piece_check(const gp_container *k, int64_t i, const gp_param *row, const gp_piece *piece, bool leading_one,
                   int64_t stored_vocab)
{
    const gp_stored *t = &k->tensors[i];
    int64_t dim[2];
    int ndim = gp_piece_shape(row, piece, dim);
    char found[96], expected[96];
    if (!t->is_float)
        return fail("%s: tensor %s is %s, expected %s", k->path, t->name, gp_stored_format(t, found, sizeof found),
                    k->ops->float_types);
    if (stored_vocab && (row->role == GP_WTE || row->role == GP_HEAD_W || row->role == GP_HEAD_B))
        dim[0] = stored_vocab;
    if (!has_shape(t, ndim, dim, leading_one)) {
        gp_stored wanted = {.type = t->type, .ndim = ndim, .dim = {dim[0], dim[1]}};
        return fail("%s: tensor %s is %s, expected %s by its configuration", k->path, t->name,
                    gp_stored_format(t, found, sizeof found), gp_stored_format(&wanted, expected, sizeof expected));
    }
    return 0;
}

int gp_check_finite(const char *path, const char *name, const float *x, int64_t first, int64_t count, float largest)
{
    int bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= !(fabsf(x[i]) <= largest);
    for (int64_t i = 0; bad && i < count; i++)
        if (!(fabsf(x[i]) <= largest))
            return fail("%s: tensor %s has %g at element %lld, expected finite numbers%s", path, name, (double)x[i],
                        (long long)(first + i), isfinite(x[i]) ? ", also in the output's type" : "");
    return 0;
}

/* A transposed piece, TILE of its columns at a time, so that the row's lines are written in runs as the tensor's are
 * read. */
static int read_transposed(const gp_container *k, int64_t i, const gp_param *row, const gp_piece *piece, int64_t first,
                           int64_t lines, float *data)
{
    enum { TILE = 16, DEPTH = 256 };
    float tile[TILE][DEPTH];
    int64_t height = row->dim[0], width = row->dim[1];
    for (int64_t c = 0; c < piece->columns; c += TILE)
        for (int64_t r = 0; r < lines; r += DEPTH) {
            int64_t across = gp_min(TILE, piece->columns - c), down = gp_min(DEPTH, lines - r);
            for (int64_t n = 0; n < across; n++)
                if (gp_container_read(k, i, (c + n) * height + first + r, down, tile[n]))
                    return -1;
            for (int64_t m = 0; m < down; m++)
                for (int64_t n = 0; n < across; n++)
                    data[(r + m) * width + piece->first + c + n] = tile[n][m];
        }
    return 0;
}

int gp_piece_read(const gp_container *k, int64_t i, const gp_param *row, const gp_piece *piece, int64_t first,
                  int64_t lines, float *data)
{
    int64_t width = row->dim[1], end = first + lines;
    int rc = 0;
    if (row->ndim == 1) { /* the piece is lines of the row */
        int64_t begin = gp_max(first, piece->first), stop = gp_min(end, piece->first + piece->columns);
        if (begin < stop)
            rc = gp_container_read(k, i, begin - piece->first, stop - begin, data + begin - first);
    } else if (gp_piece_is_run(row, piece)) {
        rc = gp_container_read(k, i, first * width, lines * width, data);
    } else if (!piece->transposed) {
        for (int64_t r = first; !rc && r < end; r++)
            rc = gp_container_read(k, i, r * piece->columns, piece->columns, data + (r - first) * width + piece->first);
    } else {
        rc = read_transposed(k, i, row, piece, first, lines, data);
    }
    return rc;
}

const char *gp_piece_filling(const gp_param *row)
{
    return row->init == GP_INIT_ONE ? "ones" : "zeros";
}

void gp_piece_fill(const gp_param *row, const gp_piece *piece, int64_t first, int64_t lines, float *data)
{
    float value = row->init == GP_INIT_ONE ? 1 : 0;
    if (row->ndim == 1) {
        int64_t begin = gp_max(first, piece->first), stop = gp_min(first + lines, piece->first + piece->columns);
        for (int64_t i = begin; i < stop; i++)
            data[i - first] = value;
        return;
    }
    for (int64_t r = 0; r < lines; r++)
        for (int64_t c = 0; c < piece->columns; c++)
            data[r * row->dim[1] + piece->first + c] = value;
}

int64_t gp_slice_lines(const gp_param *row)
{
    int64_t blocks = gp_max(1, GP_SLICE / row->dim[1] / GP_WEIGHT_BLOCK);
    return gp_min(row->dim[0], blocks * GP_WEIGHT_BLOCK);
}

void gp_piece_store(const gp_param *row, const gp_piece *piece, const float *data, float *external)
{
    enum { TILE = 16 };
    int64_t lines = row->ndim == 1 ? 1 : row->dim[0], width = row->dim[row->ndim - 1], columns = piece->columns;
    for (int64_t r = 0; !piece->transposed && r < lines; r++)
        memcpy(external + r * columns, data + r * width + piece->first, (size_t)columns * sizeof *data);
    for (int64_t r = 0; piece->transposed && r < lines; r += TILE)
        for (int64_t c = 0; c < columns; c++)
            for (int64_t n = r; n < gp_min(r + TILE, lines); n++)
                external[c * lines + n] = data[n * width + piece->first + c];
}

/* The row that comes i-th in the naming's order, or in the table's. */
typedef struct walk {
    const gp_params *p;
    const gp_role *order;
    int next;      /* in the table's order */
    int64_t index; /* of order's role */
} walk;

static const gp_param *next_row(walk *w)
{
    if (!w->order)
        return w->next < w->p->count ? &w->p->rows[w->next++] : NULL;
    for (; *w->order != GP_ROLES; w->order++, w->index = 0) {
        const gp_param *row = gp_params_row(w->p, *w->order, w->index);
        w->index++;
        if (row)
            return row;
    }
    return NULL;
}

int gp_pieces_declare(gp_tensor_writer *w, const gp_params *p, const gp_naming *n)
{
    gp_piece piece[GP_PIECES];
    walk at = {.p = p, .order = n->order};
    const gp_param *row;
    int rc = 0;
    while (!rc && (row = next_row(&at))) {
        int pieces = gp_naming_pieces(n, row, piece);
        for (int k = 0; !rc && k < pieces; k++) {
            int64_t dim[2];
            int ndim = gp_piece_shape(row, &piece[k], dim);
            rc = w->declare(w->self, piece[k].name, ndim, dim);
        }
    }
    return rc;
}

/* Writes `count` numbers at x, which are those from `first` on of a piece: what is written can be read again. */
static int write_checked(gp_tensor_writer *w, const char *where, const gp_piece *piece, const float *x, int64_t first,
                         int64_t count)
{
    return gp_check_finite(where, piece->name, x, first, count, w->largest) || w->write(w->self, x, count) ? -1 : 0;
}

/* Memory that one row after another passes through: pages that are new each time take as long as the copying. */
typedef struct row_buffer {
    float *x;
    int64_t size; /* numbers */
} row_buffer;

static float *reserve(row_buffer *b, int64_t numbers)
{
    if (numbers > b->size) {
        free(b->x);
        b->x = gp_malloc((size_t)numbers * sizeof *b->x);
        b->size = numbers;
    }
    return b->x;
}

/* A row that is one piece, as it is: slice by slice. */
static int write_run(gp_tensor_writer *w, const gp_param *row, const gp_piece *piece, const char *where,
                     gp_row_fn *read, void *self, row_buffer *buffer)
{
    int64_t width = row->dim[1], step = gp_slice_lines(row);
    float *data = reserve(buffer, step * width);
    int rc = 0;
    for (int64_t first = 0; !rc && first < row->dim[0]; first += step) {
        int64_t lines = gp_min(step, row->dim[0] - first);
        rc = read(self, row, first, lines, data);
        if (!rc)
            rc = write_checked(w, where, piece, data, first * width, lines * width);
    }
    return rc;
}

/* A row in several pieces, or transposed ones, as the BERT family's: all of it is read before the first is written. */
static int write_pieces(gp_tensor_writer *w, const gp_param *row, const gp_piece *pieces, int count, const char *where,
                        gp_row_fn *read, void *self, row_buffer buffers[2])
{
    float *data = reserve(&buffers[0], row->count);
    int rc = read(self, row, 0, row->dim[0], data);
    for (int k = 0; !rc && k < count; k++) {
        const gp_piece *piece = &pieces[k];
        int64_t numbers = row->count / row->dim[row->ndim - 1] * piece->columns;
        const float *run = data + piece->first;
        if (!gp_piece_is_run(row, piece)) {
            float *external = reserve(&buffers[1], numbers);
            gp_piece_store(row, piece, data, external);
            run = external;
        }
        rc = write_checked(w, where, piece, run, 0, numbers);
    }
    return rc;
}

int gp_pieces_write(gp_tensor_writer *w, const gp_params *p, const gp_naming *n, const char *where, gp_row_fn *read,
                    void *self)
{
    gp_piece piece[GP_PIECES];
    walk at = {.p = p, .order = n->order};
    const gp_param *row;
    row_buffer buffers[2] = {{0}};
    int rc = 0;
    while (!rc && (row = next_row(&at))) {
        int count = gp_naming_pieces(n, row, piece);
        if (count == 1 && gp_piece_is_run(row, piece))
            rc = write_run(w, row, piece, where, read, self, buffers);
        else
            rc = write_pieces(w, row, piece, count, where, read, self, buffers);
    }
    free(buffers[0].x);
    free(buffers[1].x);
    return rc;
}

gp_biased gp_biased_of(const gp_checkpoint *c)
{
    gp_biased b = {.c = c};
    gp_config whole = c->config;
    whole.bias = true;
    gp_params_list(&b.params, &whole);
    return b;
}

int gp_biased_read(void *self, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    const gp_biased *b = self;
    const gp_param *own = gp_params_row(&b->c->params, row->role, row->index);
    if (own)
        return b->c->read(b->c->self, own, first, lines, data);
    memset(data, 0, (size_t)(lines * row->dim[1]) * sizeof *data);
    return 0;
}

void gp_biased_release(gp_biased *b)
{
    gp_params_release(&b->params);
}
