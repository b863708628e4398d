/* op_linear.c: y = act(x W + bias), its gradients, and activations as separate ops. */
#include "backend/cpu/cpu.h"

/* In bf16 the workspace contains bf16 copies of dy and x. */
size_t gp_cpu_linear_workspace(const gp_backend *be, const gp_shape *shape)
{
    int64_t rows = (int64_t)shape->B * shape->T, widest = gp_max(4 * (int64_t)shape->C, shape->inner);
    if (be->dtype == GP_F32)
        return 0;
    return 2 * gp_round_up((size_t)(rows * widest) * sizeof(uint16_t), 64);
}

/* The arguments of the loops in this file; each uses some of them. */
typedef struct linear_task {
    gp_act act;
    float *out;
    uint16_t *bf16;
    const float *in, *pre;
    int64_t rows, columns;
} linear_task;

static void round_numbers(gp_backend *be, const void *task, gp_range r)
{
    const linear_task *j = task;
    gp_cpu_state(be)->k->to_bf16(j->bf16 + r.lo, j->in + r.lo, r.hi - r.lo);
}

void gp_cpu_to_bf16(gp_backend *be, uint16_t *dst, const float *src, int64_t n)
{
    gp_cpu_split(be, n * 2 * GP_PS_COPY, n, 64, round_numbers, &(linear_task){.bf16 = dst, .in = src});
}

const void *gp_cpu_operand(gp_backend *be, const float *x, int64_t count, size_t at)
{
    if (be->dtype == GP_F32)
        return x;
    char *ws = gp_cpu_workspace(be, at + (size_t)count * sizeof(uint16_t));
    gp_cpu_to_bf16(be, (uint16_t *)(void *)(ws + at), x, count);
    return ws + at;
}

/* A thread sums a range of columns over all rows, so there are no partial sums. */
static void sum_columns(gp_backend *be, const void *task, gp_range r)
{
    const linear_task *j = task;
    gp_cpu_state(be)->k->add_rows(j->in + r.lo, j->rows, j->columns, r.hi - r.lo, j->out + r.lo);
}

void gp_cpu_add_rows(gp_backend *be, const float *x, int64_t rows, int64_t columns, float *sums)
{
    gp_cpu_split(be, rows * columns * GP_PS_COPY, columns, 16, sum_columns,
                 &(linear_task){.in = x, .rows = rows, .columns = columns, .out = sums});
}

static void activate(gp_backend *be, const void *task, gp_range r)
{
    const linear_task *j = task;
    gp_cpu_state(be)->k->act_forward(j->act, j->out + r.lo, j->pre + r.lo, r.hi - r.lo);
}

/* linear_forward uses this too, so that a recomputed activation is divided in the same way and has the same bits. */
static void apply(gp_backend *be, gp_act act, float *y, const float *pre, int64_t n)
{
    gp_cpu_split(be, n * GP_PS_ACT, n, 64, activate, &(linear_task){.act = act, .out = y, .pre = pre});
}

void gp_cpu_act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre)
{
    BUG_ON(gp_tensor_count(y) != gp_tensor_count(pre));
    apply(be, act, gp_cpu_data(y), gp_cpu_data(pre), gp_tensor_count(y));
}

static void differentiate(gp_backend *be, const void *task, gp_range r)
{
    const linear_task *j = task;
    gp_cpu_state(be)->k->act_backward(j->act, j->out + r.lo, j->in + r.lo, j->pre + r.lo, r.hi - r.lo);
}

void gp_cpu_act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre)
{
    int64_t n = gp_tensor_count(dx);
    linear_task j = {.act = act, .out = gp_cpu_data(dx), .in = gp_cpu_data(dy), .pre = gp_cpu_data(pre)};
    BUG_ON(gp_tensor_count(dy) != n || gp_tensor_count(pre) != n);
    gp_cpu_split(be, n * GP_PS_ACT, n, 64, differentiate, &j);
}

void gp_cpu_linear_forward(gp_backend *be, const gp_linear_op *op)
{
    int64_t rows = gp_cpu_rows(op->x), O = gp_cpu_columns(op->y);
    float *y = gp_cpu_data(op->y), *pre = op->pre ? gp_cpu_data(op->pre) : y;
    BUG_ON(gp_cpu_columns(op->x) != gp_weight_inputs(op->w) || O != gp_weight_outputs(op->w));
    BUG_ON(gp_cpu_rows(op->y) != rows);
    const void *x = gp_cpu_operand(be, gp_cpu_data(op->x), gp_tensor_count(op->x), 0);
    gp_cpu_weight_forward(be, op->w, x, rows, gp_cpu_data(op->bias), pre);
    if (op->act != GP_ACT_NONE || pre != y)
        apply(be, op->act, y, pre, rows * O);
}

void gp_cpu_linear_backward(gp_backend *be, const gp_linear_op *op)
{
    int64_t rows = gp_cpu_rows(op->dy), I = gp_weight_inputs(op->w), O = gp_weight_outputs(op->w);
    const float *dy = gp_cpu_data(op->dy);
    const void *dy_operand = gp_cpu_operand(be, dy, rows * O, 0);
    BUG_ON(gp_cpu_columns(op->dy) != O);
    if (op->dx) {
        BUG_ON(gp_tensor_count(op->dx) != rows * I);
        gp_cpu_weight_backward(be, op->w, dy_operand, rows, gp_cpu_data(op->dx));
        if (op->in_act != GP_ACT_NONE)
            gp_cpu_act_backward(be, op->in_act, op->dx, op->dx, op->in_pre);
    }
    if (op->dw) {
        BUG_ON(gp_tensor_count(op->x) != rows * I || gp_tensor_count(op->dw) != I * O);
        size_t after_dy = gp_round_up((size_t)(rows * O) * sizeof(uint16_t), 64);
        const void *x = gp_cpu_operand(be, gp_cpu_data(op->x), rows * I, after_dy);
        gp_cpu_weight_grad(be, op->w, x, dy_operand, rows, !op->first_dw, gp_cpu_data(op->dw));
    }
    if (op->dbias)
        gp_cpu_add_rows(be, dy, rows, O, gp_cpu_data(op->dbias));
}
