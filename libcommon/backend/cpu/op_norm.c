/* op_norm.c: residual, dropout and layer norm in one op. */
#include "backend/cpu/cpu.h"

#include <string.h>

/* Bytes of one thread's partial sums for dgamma and dbeta. */
static size_t sums_bytes(int64_t C)
{
    return gp_round_up(2 * (size_t)C * sizeof(float), 64);
}

size_t gp_cpu_norm_workspace(const gp_backend *be, const gp_shape *shape)
{
    return shape->train ? sums_bytes(shape->C) * (size_t)be->threads : 0;
}

static void forward_rows(gp_backend *be, const void *op, gp_range r)
{
    gp_cpu_state(be)->k->norm_forward(op, r.lo, r.hi);
}

void gp_cpu_norm_forward(gp_backend *be, const gp_norm_op *op)
{
    int64_t rows = gp_cpu_rows(op->residual);
    BUG_ON((op->branch && !op->sum) || gp_tensor_count(op->y) != gp_tensor_count(op->residual));
    gp_cpu_split(be, rows * gp_cpu_columns(op->y) * GP_PS_NORM, rows, 1, forward_rows, op);
}

static void backward_rows(gp_backend *be, const void *task, gp_range r)
{
    const gp_norm_op *op = task;
    int64_t C = gp_cpu_columns(op->dy);
    size_t bytes = sums_bytes(C);
    float *partial = (float *)(void *)(be->workspace + (size_t)r.part * bytes);
    memset(partial, 0, bytes);
    gp_cpu_state(be)->k->norm_backward(op, r.lo, r.hi, partial, partial + C);
}

/* Each thread sums the parameters' gradients over its rows; the partial sums are added in order of threads. */
void gp_cpu_norm_backward(gp_backend *be, const gp_norm_op *op)
{
    int64_t rows = gp_cpu_rows(op->dy), C = gp_cpu_columns(op->dy);
    size_t bytes = sums_bytes(C);
    char *sums = gp_cpu_workspace(be, bytes * (size_t)be->threads);
    float *dgamma = gp_cpu_data(op->dgamma), *dbeta = gp_cpu_data(op->dbeta);
    int parts = gp_cpu_split(be, rows * C * GP_PS_NORM, rows, 1, backward_rows, op);
    for (int part = 0; part < parts; part++) {
        const float *partial = (const float *)(void *)(sums + (size_t)part * bytes);
        gp_cpu_state(be)->k->add(dgamma, partial, NULL, C);
        if (dbeta)
            gp_cpu_state(be)->k->add(dbeta, partial + C, NULL, C);
    }
}
