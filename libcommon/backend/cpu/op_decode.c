/* op_decode.c: linears of a few rows, whose bits do not depend on how many rows there are. They read the
 * weights as they are stored, in fp32. */
#include "backend/cpu/cpu.h"

typedef struct decode_task {
    gp_decode d;
    bool transposed;
    gp_act act;
} decode_task;

static void decode_outputs(gp_backend *be, const void *op, gp_range r, int part)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    const decode_task *j = op;
    const gp_decode *d = &j->d;
    (void)part;
    if (j->transposed)
        k->decode_rows(d, r.lo, r.hi);
    else
        k->decode_columns(d, r.lo, r.hi);
    for (int64_t b = 0; j->act != GP_ACT_NONE && b < d->B; b++)
        k->act_forward(j->act, d->y + b * d->O + r.lo, d->y + b * d->O + r.lo, r.hi - r.lo);
}

static void decode(gp_backend *be, const gp_weight *w, const gp_decode *d, gp_act act)
{
    decode_task j = {*d, w->transposed, act};
    gp_cpu_split(be, d->B * d->I * d->O * GP_PS_DECODE, d->O, 16, decode_outputs, &j);
}

void gp_cpu_linear_decode(gp_backend *be, const gp_linear_op *op)
{
    gp_decode d = {.B = gp_cpu_rows(op->x),
                   .I = gp_cpu_weight_inputs(op->w),
                   .O = gp_cpu_weight_outputs(op->w),
                   .x = gp_cpu_data(op->x),
                   .w = gp_cpu_data(&op->w->w),
                   .bias = gp_cpu_data(op->bias),
                   .y = gp_cpu_data(op->pre ? op->pre : op->y)};
    BUG_ON(gp_tensor_count(op->x) != d.B * d.I || gp_tensor_count(op->y) != d.B * d.O);
    if (op->norm)
        gp_cpu_norm_forward(be, op->norm);
    decode(be, op->w, &d, op->pre ? GP_ACT_NONE : op->act);
    if (op->pre)
        gp_cpu_state(be)->k->act_forward(op->act, gp_cpu_data(op->y), d.y, d.B * d.O);
}

void gp_cpu_head_decode(gp_backend *be, const gp_head_op *op)
{
    gp_decode d = {.B = gp_cpu_rows(op->x),
                   .I = gp_cpu_weight_inputs(op->w),
                   .O = gp_cpu_weight_outputs(op->w),
                   .x = gp_cpu_data(op->x),
                   .w = gp_cpu_data(&op->w->w),
                   .bias = gp_cpu_data(op->bias),
                   .y = gp_cpu_data(op->logits)};
    BUG_ON(gp_tensor_count(op->x) != d.B * d.I || gp_tensor_count(op->logits) != d.B * d.O);
    if (op->norm)
        gp_cpu_norm_forward(be, op->norm);
    decode(be, op->w, &d, GP_ACT_NONE);
}
