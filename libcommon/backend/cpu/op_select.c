/* op_select.c: some rows of a tensor: those whose logits are needed. */
#include "backend/cpu/cpu.h"

#include <string.h>

static void check_rows(const gp_select_op *op, const gp_tensor *all, const gp_tensor *selected)
{
    int64_t N = gp_cpu_rows(all), count = gp_cpu_rows(selected);
    BUG_ON(gp_cpu_columns(all) != gp_cpu_columns(selected));
    for (int64_t n = 0; n < count; n++)
        BUG_ON(op->rows[n] < -1 || op->rows[n] >= N);
}

static void gather_rows(gp_backend *be, const void *task, gp_range r)
{
    const gp_select_op *op = task;
    int64_t C = gp_cpu_columns(op->x);
    size_t bytes = (size_t)C * sizeof(float);
    const float *x = gp_cpu_data(op->x);
    float *y = gp_cpu_data(op->y);
    (void)be;
    for (int64_t n = r.lo; n < r.hi; n++)
        if (op->rows[n] < 0)
            memset(y + n * C, 0, bytes);
        else
            memcpy(y + n * C, x + op->rows[n] * C, bytes);
}

void gp_cpu_select_forward(gp_backend *be, const gp_select_op *op)
{
    check_rows(op, op->x, op->y);
    gp_cpu_split(be, 2 * gp_tensor_count(op->y) * GP_PS_COPY, gp_cpu_rows(op->y), 1, gather_rows, op);
}

/* A thread owns a range of rows of dx, and copies those of dy that belong there. */
static void scatter_rows(gp_backend *be, const void *task, gp_range r)
{
    const gp_select_op *op = task;
    int64_t C = gp_cpu_columns(op->dx), count = gp_cpu_rows(op->dy);
    size_t bytes = (size_t)C * sizeof(float);
    const float *dy = gp_cpu_data(op->dy);
    float *dx = gp_cpu_data(op->dx);
    (void)be;
    memset(dx + r.lo * C, 0, (size_t)(r.hi - r.lo) * bytes);
    for (int64_t n = 0; n < count; n++)
        if (op->rows[n] >= r.lo && op->rows[n] < r.hi)
            memcpy(dx + op->rows[n] * C, dy + n * C, bytes);
}

void gp_cpu_select_backward(gp_backend *be, const gp_select_op *op)
{
    check_rows(op, op->dx, op->dy);
    gp_cpu_split(be, gp_tensor_count(op->dx) * GP_PS_COPY, gp_cpu_rows(op->dx), 1, scatter_rows, op);
}
