/* op_embed.c: token, position and type embeddings; dropout as a separate op. */
#include "backend/cpu/cpu.h"

enum { STRIP = 1024 }; /* dropout factors drawn at once, on the stack */

/* x = dropout(x), row n (C), in place; a sample has T rows. */
static void drop_row(const gp_kernels *k, const gp_dropout *drop, int64_t n, int64_t T, int64_t C, float *x)
{
    float factor[STRIP];
    for (int64_t c = 0; c < C; c += STRIP) {
        int64_t width = gp_min(STRIP, C - c);
        k->keep(drop, n / T, n % T * C + c, width, factor);
        k->multiply(x + c, x + c, factor, width);
    }
}

/* y = wte[token] + wpe[position] + wtt[type], with wte in a weight format */
static void embed_from_table(const gp_kernels *k, const gp_embed_op *op, int64_t n, int64_t C, float *y)
{
    k->decode_weights(op->table, op->tokens[n], op->tokens[n] + 1, y);
    k->add(y, gp_cpu_data(op->wpe) + op->positions[n] * C, NULL, C);
    if (op->wtt)
        k->add(y, gp_cpu_data(op->wtt) + (op->types ? op->types[n] : 0) * C, NULL, C);
}

static void embed_rows(gp_backend *be, const void *task, gp_range r)
{
    const gp_embed_op *op = task;
    const gp_kernels *k = gp_cpu_state(be)->k;
    int64_t C = gp_cpu_columns(op->y), T = op->y->dim[op->y->ndim - 2];
    for (int64_t n = r.lo; n < r.hi; n++) {
        if (op->table)
            embed_from_table(k, op, n, C, gp_cpu_data(op->y) + n * C);
        else
            k->embed_row(op, n);
        if (gp_drops(&op->drop))
            drop_row(k, &op->drop, n, T, C, gp_cpu_data(op->y) + n * C);
    }
}

void gp_cpu_embed_forward(gp_backend *be, const gp_embed_op *op)
{
    int64_t rows = gp_cpu_rows(op->y), each = gp_drops(&op->drop) ? GP_PS_DROPOUT : 2 * GP_PS_COPY;
    for (int64_t n = 0; n < rows; n++) {
        BUG_ON(op->tokens[n] < 0 || op->tokens[n] >= op->wte->dim[0]);
        BUG_ON(op->positions[n] < 0 || op->positions[n] >= op->wpe->dim[0]);
        BUG_ON(op->wtt && op->types && (op->types[n] < 0 || op->types[n] >= op->wtt->dim[0]));
    }
    gp_cpu_split(be, rows * gp_cpu_columns(op->y) * each, rows, 1, embed_rows, op);
}

/* Adds columns [lo, hi) of row n of dy to the rows of the three tables that were embedded there. */
static void scatter_row(const gp_kernels *k, const gp_embed_op *op, int64_t n, gp_range r)
{
    int64_t C = gp_cpu_columns(op->dy), T = op->dy->dim[op->dy->ndim - 2], type = op->types ? op->types[n] : 0;
    const float *dy = gp_cpu_data(op->dy) + n * C;
    float factor[STRIP], *f = gp_drops(&op->drop) ? factor : NULL;
    for (int64_t c = r.lo; c < r.hi; c += STRIP) {
        int64_t width = gp_min(STRIP, r.hi - c);
        if (f)
            k->keep(&op->drop, n / T, n % T * C + c, width, factor);
        if (op->tokens[n] != op->pad_token)
            k->add(gp_cpu_data(op->dwte) + op->tokens[n] * C + c, dy + c, f, width);
        if (op->positions[n] != op->pad_position)
            k->add(gp_cpu_data(op->dwpe) + op->positions[n] * C + c, dy + c, f, width);
        if (op->dwtt)
            k->add(gp_cpu_data(op->dwtt) + type * C + c, dy + c, f, width);
    }
}

/* A thread owns a range of columns of all tables, so that gradients are added in order of n and no two threads write to
 * the same element. */
static void scatter_columns(gp_backend *be, const void *task, gp_range r)
{
    const gp_embed_op *op = task;
    int64_t rows = gp_cpu_rows(op->dy);
    for (int64_t n = 0; n < rows && r.lo < r.hi; n++)
        scatter_row(gp_cpu_state(be)->k, op, n, r);
}

void gp_cpu_embed_backward(gp_backend *be, const gp_embed_op *op)
{
    int64_t each = gp_drops(&op->drop) ? GP_PS_DROPOUT : 2 * GP_PS_COPY;
    gp_cpu_split(be, gp_tensor_count(op->dy) * each, gp_cpu_columns(op->dy), 16, scatter_columns, op);
}

typedef struct dropout_task {
    gp_tensor *x;
    gp_dropout drop;
} dropout_task;

static void drop_rows(gp_backend *be, const void *task, gp_range r)
{
    const dropout_task *j = task;
    int64_t C = gp_cpu_columns(j->x), T = j->x->dim[j->x->ndim - 2];
    for (int64_t n = r.lo; n < r.hi; n++)
        drop_row(gp_cpu_state(be)->k, &j->drop, n, T, C, gp_cpu_data(j->x) + n * C);
}

void gp_cpu_dropout(gp_backend *be, gp_tensor *x, gp_dropout drop)
{
    if (gp_drops(&drop))
        gp_cpu_split(be, gp_tensor_count(x) * GP_PS_DROPOUT, gp_cpu_rows(x), 1, drop_rows, &(dropout_task){x, drop});
}
