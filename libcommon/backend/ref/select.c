/* select.c: some rows of a tensor: those whose logits are needed. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <string.h>

/* y[n] = x[rows[n]], zeros where rows[n] is -1; x (N,C), y (n,C). bf16: y is a copy. */
void gp_ref_select_forward(gp_backend *be, const gp_select_op *op)
{
    int64_t N = rows_of(op->x), C = columns_of(op->x), count = rows_of(op->y);
    const real *x = reals(op->x);
    real *y = reals(op->y);
    BUG_ON(columns_of(op->y) != C);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < count; n++) {
        int64_t row = op->rows[n];
        BUG_ON(row < -1 || row >= N);
        for (int64_t c = 0; c < C; c++)
            y[n * C + c] = row < 0 ? 0 : x[row * C + c];
    }
}

/* dx = 0;  dx[rows[n]] = dy[n]; dx (N,C), dy (n,C) */
void gp_ref_select_backward(gp_backend *be, const gp_select_op *op)
{
    int64_t N = rows_of(op->dx), C = columns_of(op->dx), count = rows_of(op->dy);
    const real *dy = reals(op->dy);
    real *dx = reals(op->dx);
    BUG_ON(columns_of(op->dy) != C);
    memset(dx, 0, (size_t)gp_tensor_bytes(op->dx));
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < count; n++) {
        int64_t row = op->rows[n];
        BUG_ON(row < -1 || row >= N);
        for (int64_t c = 0; row >= 0 && c < C; c++)
            dx[row * C + c] = dy[n * C + c];
    }
}
