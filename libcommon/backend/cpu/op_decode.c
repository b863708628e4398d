/* op_decode.c: linear layers with few rows, whose bits do not depend on the number of rows. They read the weights as
 * they are stored: in fp32, or in a weight format. */
#include "backend/cpu/cpu.h"

typedef struct decode_task {
    gp_decode d;
    const gp_weight *w;
    gp_act act;
} decode_task;

/* One row of fp32 for each thread. */
size_t gp_cpu_decode_workspace(const gp_backend *be, const gp_shape *shape)
{
    size_t row = gp_round_up((size_t)gp_max(4 * (int64_t)shape->C, shape->inner) * sizeof(float), 64);
    return be->weight_format == GP_WEIGHTS_FP32 ? 0 : (size_t)be->threads * row;
}

/* Each output's row is decoded, and then read as fp32 is. */
static void decode_format(gp_backend *be, const decode_task *j, gp_range r)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    size_t row = gp_round_up((size_t)j->d.I * sizeof(float), 64);
    char *workspace = gp_cpu_workspace(be, (size_t)be->threads * row);
    gp_decode d = j->d;
    d.w = (float *)(void *)(workspace + (size_t)r.part * row);
    for (int64_t o = r.lo; o < r.hi; o++) {
        k->decode_weights(j->w, o, o + 1, (float *)(uintptr_t)d.w);
        d.y = j->d.y + o;
        d.bias = j->d.bias ? j->d.bias + o : NULL;
        k->decode_rows(&d, 0, 1);
    }
}

static void decode_outputs(gp_backend *be, const void *task, gp_range r)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    const decode_task *j = task;
    const gp_decode *d = &j->d;
    if (j->w->format != GP_WEIGHTS_FP32)
        decode_format(be, j, r);
    else if (j->w->transposed)
        k->decode_rows(d, r.lo, r.hi);
    else
        k->decode_columns(d, r.lo, r.hi);
    for (int64_t b = 0; j->act != GP_ACT_NONE && b < d->B; b++)
        k->act_forward(j->act, d->y + b * d->O + r.lo, d->y + b * d->O + r.lo, r.hi - r.lo);
}

/* y = act(x W + bias), with `norm`, if there is one, computed first. */
static void decode(gp_backend *be, const gp_norm_op *norm, const gp_tensor *x, const gp_weight *w,
                   const gp_tensor *bias, gp_act act, const gp_tensor *y)
{
    gp_decode d = {.B = gp_cpu_rows(x),
                   .I = gp_weight_inputs(w),
                   .O = gp_weight_outputs(w),
                   .x = gp_cpu_data(x),
                   .w = w->format == GP_WEIGHTS_FP32 ? gp_cpu_data(&w->w) : NULL,
                   .bias = gp_cpu_data(bias),
                   .y = gp_cpu_data(y)};
    BUG_ON(gp_tensor_count(x) != d.B * d.I || gp_tensor_count(y) != d.B * d.O);
    if (norm)
        gp_cpu_norm_forward(be, norm);
    gp_cpu_split(be, d.B * d.I * d.O * GP_PS_DECODE, d.O, 16, decode_outputs, &(decode_task){d, w, act});
}

void gp_cpu_linear_decode(gp_backend *be, const gp_linear_op *op)
{
    decode(be, op->norm, op->x, op->w, op->bias, op->pre ? GP_ACT_NONE : op->act, op->pre ? op->pre : op->y);
    if (op->pre)
        gp_cpu_state(be)->k->act_forward(op->act, gp_cpu_data(op->y), gp_cpu_data(op->pre), gp_tensor_count(op->y));
}

void gp_cpu_head_decode(gp_backend *be, const gp_head_op *op)
{
    decode(be, op->norm, op->x, op->w, op->bias, GP_ACT_NONE, op->logits);
}
