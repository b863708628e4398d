/* cost.c: the min FLOPs and bytes of an op, from its shapes. A multiply-add is 2 FLOPs. */
#include "backend/profile.h"

/* 0 for an absent tensor. */
static double bytes_of(const gp_tensor *t)
{
    return t ? (double)gp_tensor_bytes(t) : 0;
}

static double count_of(const gp_tensor *t)
{
    return t ? (double)gp_tensor_count(t) : 0;
}

static double columns_of(const gp_tensor *t)
{
    return (double)t->dim[t->ndim - 1];
}

/* A weight as the products read it. */
static double weight_bytes(const gp_backend *be, const gp_weight *w)
{
    return w->format == GP_WEIGHTS_FP32 ? count_of(&w->w) * (double)gp_dtype_size(be->dtype)
                                        : (double)gp_weight_format_bytes(w);
}

/* Forward writes y, of one row of each table a token; backward reads dy and adds it to those rows. */
gp_cost gp_cost_embed(const gp_embed_op *op, bool backward)
{
    double x = bytes_of(backward ? op->dy : op->y), tables = op->wtt ? 3 : 2;
    return (gp_cost){0, x * (1 + tables * (backward ? 2 : 1))};
}

/* Forward reads and writes the selected rows; backward reads those and writes all. */
gp_cost gp_cost_select(const gp_select_op *op, bool backward)
{
    return (gp_cost){0, backward ? bytes_of(op->dy) + bytes_of(op->dx) : 2 * bytes_of(op->y)};
}

gp_cost gp_cost_norm(const gp_norm_op *op, bool backward)
{
    double x = bytes_of(op->residual);
    if (!backward)
        return (gp_cost){0, x * (op->branch ? 4 : 2)}; /* residual, branch, sum, y */
    double written = op->dbranch && op->dbranch->data != op->dsum->data ? 2 : 1;
    return (gp_cost){0, x * (2 + (op->dy2 != NULL) + (op->dcarry != NULL) + written)};
}

gp_cost gp_cost_linear(const gp_backend *be, const gp_linear_op *op, bool backward)
{
    if (backward)
        return gp_cost_linear_backward(be, op, GP_PART_ALL);
    double rows = count_of(op->x) / columns_of(op->x);
    return (gp_cost){2 * rows * count_of(&op->w->w), bytes_of(op->x) + weight_bytes(be, op->w) + bytes_of(op->bias) +
                                                         bytes_of(op->y) + (op->pre != op->y ? bytes_of(op->pre) : 0)};
}

gp_cost gp_cost_linear_backward(const gp_backend *be, const gp_linear_op *op, int parts)
{
    double product = 2 * count_of(op->dy) / columns_of(op->dy) * count_of(&op->w->w);
    gp_cost c = {0, bytes_of(op->dy)};
    if (op->dx && parts & GP_PART_DX) {
        c.flops += product;
        c.bytes += bytes_of(op->dx) + weight_bytes(be, op->w) + (op->in_act != GP_ACT_NONE ? bytes_of(op->in_pre) : 0);
    }
    if (op->dw && parts & GP_PART_DW) {
        c.flops += product;
        c.bytes += bytes_of(op->x) + (op->first_dw ? 1 : 2) * bytes_of(op->dw);
    }
    if (parts & GP_PART_DBIAS)
        c.bytes += 2 * bytes_of(op->dbias);
    return c;
}

/* Two products forward, four backward; a query t of a causal mask sees t + 1 keys. */
gp_cost gp_cost_attention(const gp_attention_op *op, bool backward)
{
    double B = (double)op->qkv->dim[0], T = (double)op->qkv->dim[1], C = (double)op->qkv->dim[2] / 3;
    double pairs = op->causal ? T * (T + 1) / 2 : T * T;
    gp_cost c = {(backward ? 4 : 2) * 2 * B * C * pairs, bytes_of(op->qkv) + bytes_of(op->out) + bytes_of(op->lse)};
    if (backward)
        c.bytes += bytes_of(op->dout) + bytes_of(op->dqkv);
    return c;
}

/* A query sees the keys up to its position; a row's keys and values are read up to its last, and the new ones written.
 * Those of a prompt are all new: they are read in qkv. */
gp_cost gp_cost_attention_cached(gp_backend *be, const gp_attention_cached_op *op)
{
    enum { STRIP = 256 }; /* positions are in device memory */
    int32_t positions[STRIP];
    int64_t B = op->qkv->dim[0], N = B * op->qkv->dim[1], T = N / B;
    double C = columns_of(op->qkv) / 3, seen = op->positions ? 0 : (double)(B * T) * (double)(T + 1) / 2, read = 0;
    for (int64_t at = 0, n; op->positions && at < N; at += n) {
        n = gp_min(STRIP, N - at);
        be->ops->download(be, positions, op->positions + at, (size_t)n * sizeof *positions);
        for (int64_t i = 0; i < n; i++) {
            seen += (double)positions[i] + 1;
            read += (at + i) % T == T - 1 ? (double)positions[i] + 1 : 0;
        }
    }
    return (gp_cost){4 * C * seen, 2 * C * (read + (double)N) * (double)gp_dtype_size(op->kv->k.dtype) +
                                       bytes_of(op->qkv) + bytes_of(op->out)};
}

/* The logits are temporary: they are written, and read for the loss, whose gradients overwrite them; the two following
 * products read those. If logits are requested they are only written. */
gp_cost gp_cost_head(const gp_backend *be, const gp_head_op *op, int parts)
{
    double weight = weight_bytes(be, op->w), rows = count_of(op->x) / columns_of(op->x);
    double product = 2 * rows * count_of(&op->w->w);
    double logits = rows * count_of(&op->w->w) / columns_of(op->x) * gp_dtype_size(be->act_dtype);
    gp_cost c = {0};
    if (parts & GP_PART_LOGITS) {
        c.flops += product;
        c.bytes += bytes_of(op->x) + weight + (op->logits ? bytes_of(op->logits) : logits);
    }
    if (parts & GP_PART_LOSS && !op->logits)
        c.bytes += logits * (op->train ? 2 : 1) + bytes_of(op->class_weights);
    if (parts & GP_PART_DX && op->train) {
        c.flops += product;
        c.bytes += logits + weight + bytes_of(op->dx);
    }
    if (parts & GP_PART_DW && op->train) {
        c.flops += product;
        c.bytes += logits + bytes_of(op->x) + (op->first_dw ? 1 : 2) * bytes_of(op->dw);
    }
    return c;
}

/* Decoding reads the weights as they are stored, in a format or not, or, where activations are in bf16, their bf16
 * copies. */
gp_cost gp_cost_decode(const gp_backend *be, const gp_weight *w, const gp_tensor *x, const gp_tensor *y)
{
    double rows = count_of(x) / columns_of(x);
    double weight = w->format == GP_WEIGHTS_FP32 ? count_of(&w->w) * gp_dtype_size(be->act_dtype) : weight_bytes(be, w);
    return (gp_cost){2 * rows * count_of(&w->w), bytes_of(x) + weight + bytes_of(y)};
}

/* Adds what a norm in the same kernel reads and writes besides: the branch, and the sum. */
gp_cost gp_cost_with_norm(gp_cost c, const gp_norm_op *norm)
{
    if (norm && norm->branch)
        c.bytes += 2 * bytes_of(norm->residual);
    return c;
}

/* Reads every gradient. */
gp_cost gp_cost_grad_norm(const gp_segment *segments, int count)
{
    gp_cost c = {0};
    for (int i = 0; i < count; i++)
        c.bytes += (double)sizeof(float) * (double)segments[i].count;
    return c;
}

/* Reads the weights, writes the backend's own forms of them; for a weight that is stored in bf16, only of its bias. */
gp_cost gp_cost_weights(gp_backend *be, gp_weight *const *w, int count)
{
    gp_cost c = {0};
    for (int i = 0; i < count; i++)
        if (w[i]->slot && w[i]->format == GP_WEIGHTS_FP32)
            c.bytes +=
                bytes_of(w[i]->w.dtype == GP_BF16 ? w[i]->bias : &w[i]->w) + (double)be->ops->weight_bytes(be, w[i]);
    return c;
}

/* Reads p, g, m, v; writes p, m, v. Of these p may be in bf16. */
gp_cost gp_cost_adamw(const gp_adamw_op *op)
{
    gp_cost c = {0};
    for (int i = 0; i < op->count; i++)
        c.bytes += (5 * (double)sizeof(float) + 2 * (double)gp_dtype_size(op->segments[i].dtype)) *
                   (double)op->segments[i].count;
    return c;
}
