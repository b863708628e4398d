/* op_decode.c: linear layers with few rows, whose bits do not depend on the number of rows. They read the weights as
 * they are stored: in fp32, or in a weight format. */
#include "backend/cpu/cpu.h"

typedef struct decode_task {
    gp_decode d;
    const float *bias; /* (O) or NULL */
    gp_act act;
    int parts, blocks; /* W stored (I,O): of the inputs, of the columns */
    float *sums;       /* (B,O) of each part of the inputs but the first, whose sums are in d.y */
    float *scratch;    /* GP_DECODE_SCRATCH B O floats */
} decode_task;

/* Whether W may not be in the caches from one token to the next. */
static bool is_large(const gp_decode *d)
{
    return gp_cpu_read_ps(d->O * (int64_t)d->row_bytes) > 0;
}

/* Whether W is fetched by instructions before it is read. With many rows of x and W stored (I,O), always: loads wait
 * for the arithmetic. Otherwise not where the model may be in the caches: there it only takes time (a row of 768 in
 * fp32: 38 ns instead of 26). From memory, rows in a format are read too slowly for the processor to run ahead by
 * itself (int8: 65 ns instead of 87); W stored (I,O) lost 4 to 30% on Sapphire Rapids, but Zen 4 was tuned so. */
static bool fetches(const gp_backend *be, const gp_decode *d, bool rows_are_outputs)
{
    enum { FEW_ROWS = 4 };
    return rows_are_outputs ? is_large(d) : d->B > FEW_ROWS || (is_large(d) && gp_cpu_state(be)->fetches);
}

/* One thread's time: of the multiply-adds, and of reading W where it comes from memory. */
static int64_t product_ps(const gp_decode *d)
{
    return d->B * d->I * d->O * GP_PS_DECODE + gp_cpu_read_ps(d->O * (int64_t)d->row_bytes);
}

/* Up to this many rows, threads divide the inputs of a weight that is stored (I,O), and each reads whole rows of W. */
enum { MAX_ROWS_OF_PARTS = 8 };

/* Rows of x that are rounded at a time. */
enum { MAX_ROUNDED = 64 };

/* Bytes of `rows` rounded rows, whose three parts begin at multiples of 64. */
static size_t rounded_bytes(int64_t rows, int64_t I, size_t *scales, size_t *sums)
{
    *scales = gp_round_up((size_t)(rows * gp_rounded_stride(I)) * sizeof(int16_t), 64);
    *sums = *scales + gp_round_up((size_t)rows * sizeof(float), 64);
    return *sums + (size_t)(rows * (I / GP_WEIGHT_GROUP) * 16) * sizeof(float);
}

size_t gp_cpu_decode_workspace(const gp_backend *be, const gp_shape *shape)
{
    int64_t widest = gp_max(4 * (int64_t)shape->C, shape->inner);
    int64_t numbers = (GP_DECODE_SEGMENTS - 1 + GP_DECODE_SCRATCH) * shape->B * widest;
    size_t scales, sums;
    if (gp_weight_rounds_input(be->weight_format))
        return rounded_bytes(gp_min((int64_t)shape->B * shape->T, MAX_ROUNDED), widest, &scales, &sums);
    return shape->T == 1 ? (size_t)numbers * sizeof(float) : 0;
}

/* Bias and activation of columns [lo, hi). */
static void finish(gp_backend *be, const decode_task *j, int64_t lo, int64_t hi)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    const gp_decode *d = &j->d;
    for (int64_t b = 0; b < d->B; b++) {
        float *y = d->y + b * d->O + lo;
        if (j->bias)
            k->add(y, j->bias + lo, NULL, hi - lo);
        if (j->act != GP_ACT_NONE)
            k->act_forward(j->act, y, y, hi - lo);
    }
}

static void decode_rows(gp_backend *be, const void *task, gp_range r)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    const decode_task *j = task;
    if (j->d.rounded.q)
        k->decode_rounded(&j->d, r.lo, r.hi);
    else
        k->decode_rows(&j->d, r.lo, r.hi);
    finish(be, j, r.lo, r.hi);
}

/* Weights whose products round x, before the threads divide the outputs. */
static void decode_rounded(gp_backend *be, int64_t ps, decode_task *j)
{
    int64_t B = j->d.B, I = j->d.I;
    for (int64_t b = 0; b < B; b += MAX_ROUNDED) {
        decode_task part = *j;
        size_t scales, sums, bytes;
        part.d.B = gp_min(B - b, MAX_ROUNDED);
        part.d.x += b * I;
        part.d.y += b * j->d.O;
        bytes = rounded_bytes(part.d.B, I, &scales, &sums);
        char *to = gp_cpu_workspace(be, bytes);
        part.d.rounded = (gp_rounded){.q = (int16_t *)(void *)to, .scale = (float *)(void *)(to + scales)};
        if (j->d.format == GP_WEIGHTS_INT4)
            part.d.rounded.sums = (float *)(void *)(to + sums);
        gp_cpu_state(be)->k->round_rows(part.d.x, part.d.B, I, &part.d.rounded);
        gp_cpu_split(be, ps, part.d.O, 16, decode_rows, &part);
    }
}

/* Item i: part i % parts of the inputs, in block i / parts of the columns. */
static void decode_columns(gp_backend *be, const void *task, gp_range r)
{
    const decode_task *j = task;
    const gp_decode *d = &j->d;
    for (int64_t i = r.lo; i < r.hi; i++) {
        gp_range columns = gp_cpu_share(d->O, 32, (int)i / j->parts, j->blocks);
        columns.part = (int)i % j->parts;
        float *sums = columns.part ? j->sums + (columns.part - 1) * d->B * d->O : d->y;
        float *scratch = j->scratch + GP_DECODE_SCRATCH * d->B * columns.lo;
        scratch += columns.part * d->B * (columns.hi - columns.lo);
        gp_cpu_state(be)->k->decode_columns(d, columns, j->parts, sums, scratch);
        if (j->parts == 1)
            finish(be, j, columns.lo, columns.hi);
    }
}

/* W stored (I,O). With few rows the inputs are divided by 4 or 2, if that divides the number of threads. */
static void divide_inputs(gp_backend *be, int64_t ps, decode_task *j)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    int threads = gp_cpu_team(be, ps);
    int64_t B = j->d.B, n = B * j->d.O;
    j->parts = B > MAX_ROWS_OF_PARTS || threads % 2 ? 1 : threads % 4 ? 2 : 4;
    j->blocks = threads / j->parts;
    j->scratch = gp_cpu_workspace(be, (size_t)((GP_DECODE_SCRATCH + j->parts - 1) * n) * sizeof(float));
    j->sums = j->scratch + GP_DECODE_SCRATCH * n;
    gp_cpu_split(be, ps, threads, 1, decode_columns, j);
    if (j->parts == 1)
        return;
    k->add(j->d.y, j->sums, NULL, n);
    if (j->parts == 4) {
        k->add(j->sums + n, j->sums + 2 * n, NULL, n);
        k->add(j->d.y, j->sums + n, NULL, n);
    }
    finish(be, j, 0, j->d.O);
}

/* y = act(x W + bias), with `norm`, if there is one, computed first. */
static void decode(gp_backend *be, const gp_norm_op *norm, const gp_tensor *x, const gp_weight *w,
                   const gp_tensor *bias, gp_act act, const gp_tensor *y)
{
    int64_t I = gp_weight_inputs(w);
    bool plain = w->format == GP_WEIGHTS_FP32;
    decode_task j = {.d = {.B = gp_cpu_rows(x),
                           .I = I,
                           .O = gp_weight_outputs(w),
                           .x = gp_cpu_data(x),
                           .w = plain ? gp_cpu_data(&w->w) : w->slot,
                           .format = w->format,
                           .row_bytes = plain ? (size_t)I * sizeof(float) : gp_weight_row_bytes(w->format, I),
                           .y = gp_cpu_data(y)},
                     .bias = gp_cpu_data(bias),
                     .act = act};
    int64_t ps = product_ps(&j.d);
    BUG_ON(gp_tensor_count(x) != j.d.B * j.d.I || gp_tensor_count(y) != j.d.B * j.d.O);
    if (norm)
        gp_cpu_norm_forward(be, norm);
    j.d.fetch = fetches(be, &j.d, w->transposed || !plain);
    if (gp_weight_rounds_input(w->format))
        decode_rounded(be, ps, &j);
    else if (w->transposed || !plain)
        gp_cpu_split(be, ps, j.d.O, 16, decode_rows, &j);
    else
        divide_inputs(be, ps, &j);
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
