/* matmul.c: the matrix product used by linear and head, and column sums. */
#include "backend/ref/loops.h"

#include <string.h>

/* Tiles of out: a block of b, converted once, is used for ROWS rows, and the innermost loop has a constant length. Both
 * arrays of a tile fit the L1 cache. */
enum { ROWS = 32, COLUMNS = 64, DEPTH = 32 };

/* DEPTH inputs of `columns` outputs of a weight in a format, which are a block of each. */
_Static_assert((int)DEPTH == (int)GP_WEIGHT_BLOCK, "blocks are decoded once");
static void decode_tile(const gp_weight *w, int64_t k0, int64_t depth, int64_t c0, int64_t columns,
                        double b[DEPTH][COLUMNS])
{
    for (int64_t c = 0; c < columns; c++) {
        float block[DEPTH];
        gp_weight_decode_part(w->format, gp_weight_row_at(w, c0 + c), gp_weight_inputs(w), k0, depth, block);
        for (int64_t k = 0; k < depth; k++)
            b[k][c] = block[k];
    }
}

/* out(r,c) = [out(r,c)] + [bias(c)] + sum over k of a(r,k) b(k,c)
 * Rows r0..r0+ROWS-1, columns c0..c0+COLUMNS-1, clipped at the edges; k ascending, in double. */
static void multiply_tile(const gp_ref_product *p, int64_t r0, int64_t c0)
{
    int64_t rows = gp_min(ROWS, p->rows - r0), columns = gp_min(COLUMNS, p->columns - c0);
    double sum[ROWS][COLUMNS], b[DEPTH][COLUMNS];
    memset(sum, 0, (size_t)rows * sizeof sum[0]);
    memset(b, 0, sizeof b); /* columns past the edge stay 0 */
    for (int64_t k0 = 0; k0 < p->depth; k0 += DEPTH) {
        int64_t depth = gp_min(DEPTH, p->depth - k0);
        if (p->weight)
            decode_tile(p->weight, k0, depth, c0, columns, b);
        for (int64_t k = 0; !p->weight && k < depth; k++)
            for (int64_t c = 0; c < columns; c++)
                b[k][c] = p->b.at[(k0 + k) * p->b.row + (c0 + c) * p->b.column];
        for (int64_t r = 0; r < rows; r++) {
            const real *row = p->a.at + (r0 + r) * p->a.row + k0 * p->a.column;
            int64_t k = 0;
            for (; k + 4 <= depth; k += 4) { /* four at a time, with one load and store of the sum */
                double a0 = row[k * p->a.column], a1 = row[(k + 1) * p->a.column];
                double a2 = row[(k + 2) * p->a.column], a3 = row[(k + 3) * p->a.column];
                for (int c = 0; c < COLUMNS; c++)
                    sum[r][c] = sum[r][c] + a0 * b[k][c] + a1 * b[k + 1][c] + a2 * b[k + 2][c] + a3 * b[k + 3][c];
            }
            for (; k < depth; k++)
                for (int c = 0; c < COLUMNS; c++)
                    sum[r][c] += row[k * p->a.column] * b[k][c];
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        real *out = p->out + (r0 + r) * p->columns + c0;
        for (int64_t c = 0; c < columns; c++)
            out[c] = (real)(sum[r][c] + (p->bias ? p->bias[c0 + c] : 0) + (p->add ? out[c] : 0));
    }
}

void gp_ref_multiply(gp_backend *be, const gp_ref_product *p)
{
    BUG_ON(!p->weight && !p->b.at);
    int64_t down = (p->rows + ROWS - 1) / ROWS, across = (p->columns + COLUMNS - 1) / COLUMNS;
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < down * across; i++)
        multiply_tile(p, i / across * ROWS, i % across * COLUMNS);
}

void gp_ref_store(gp_backend *be, real *x, int64_t n)
{
    if (!be->rounds)
        return;
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < n; i++)
        x[i] = (real)stored(be, x[i]);
}

void gp_ref_add_rows(gp_backend *be, const real *x, int64_t rows, int64_t columns, real *sums)
{
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t c0 = 0; c0 < columns; c0 += COLUMNS) {
        int64_t width = gp_min(COLUMNS, columns - c0);
        double sum[COLUMNS] = {0};
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < width; c++)
                sum[c] += x[r * columns + c0 + c];
        for (int64_t c = 0; c < width; c++)
            sums[c0 + c] = (real)(sums[c0 + c] + sum[c]);
    }
}

void gp_ref_weight_grad(gp_backend *be, const gp_weight *w, const real *x, const real *dy, int64_t rows, real *dw)
{
    /* stored (I,O): x^T dy; stored (O,I): dy^T x */
    const real *left = w->transposed ? dy : x, *right = w->transposed ? x : dy;
    int64_t R = w->w.dim[0], C = w->w.dim[1];
    gp_ref_multiply(be, &(gp_ref_product){
                            .rows = R,
                            .columns = C,
                            .depth = rows,
                            .a = {left, 1, R},
                            .b = {right, C, 1},
                            .add = true,
                            .out = dw,
                        });
}
