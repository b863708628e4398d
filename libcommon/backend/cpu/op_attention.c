/* op_attention.c: heads of samples, shared out to threads. */
#include "backend/cpu/cpu.h"

static size_t thread_bytes(int64_t T, int64_t D, bool backward)
{
    return gp_round_up((size_t)gp_attention_scratch(T, D, backward) * sizeof(float), 64);
}

size_t gp_cpu_attention_workspace(const gp_backend *be, const gp_shape *shape)
{
    return thread_bytes(shape->T, shape->C / shape->H, shape->train) * (size_t)be->threads;
}

typedef void attention(const gp_attention_op *op, int64_t b, int64_t h, float *scratch);

static void each_head(gp_backend *be, const gp_attention_op *op, attention *run, bool backward)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], H = op->heads, D = op->qkv->dim[2] / 3 / H;
    size_t bytes = thread_bytes(T, D, backward);
    char *scratch = gp_cpu_workspace(be, bytes * (size_t)be->threads);
    BUG_ON(op->qkv->ndim != 3 || 3 * D * H != op->qkv->dim[2] || gp_tensor_count(op->out) != B * T * D * H);
    GP_PARALLEL(be)
    for (int part = 0; part < be->threads; part++) {
        gp_range r = gp_cpu_share(B * H, 1, part, be->threads);
        for (int64_t i = r.lo; i < r.hi; i++)
            run(op, i / H, i % H, (float *)(void *)(scratch + (size_t)part * bytes));
    }
}

void gp_cpu_attention_forward(gp_backend *be, const gp_attention_op *op)
{
    if (op->kv) {
        const int64_t *P = op->kv->k.dim, *qkv = op->qkv->dim;
        BUG_ON(P[0] < qkv[0] || P[1] != op->heads || P[2] < qkv[1] || P[3] * P[1] * 3 != qkv[2]);
    }
    each_head(be, op, gp_cpu_state(be)->k->attention_forward, false);
}

void gp_cpu_attention_backward(gp_backend *be, const gp_attention_op *op)
{
    BUG_ON(!op->lse || gp_tensor_count(op->dout) != gp_tensor_count(op->out));
    each_head(be, op, gp_cpu_state(be)->k->attention_backward, true);
}

void gp_cpu_attention_decode(gp_backend *be, const gp_attention_decode_op *op)
{
    int64_t B = op->qkv->dim[0], H = op->heads, P = op->kv->k.dim[2];
    BUG_ON(op->kv->k.dim[1] != H || op->kv->k.dim[0] < B ||
           op->kv->k.dim[3] * H * 3 != gp_cpu_columns(op->qkv));
    for (int64_t b = 0; b < B; b++)
        BUG_ON(op->positions[b] < 0 || op->positions[b] >= P);
    GP_PARALLEL(be)
    for (int part = 0; part < be->threads; part++) {
        gp_range r = gp_cpu_share(B * H, 1, part, be->threads);
        for (int64_t i = r.lo; i < r.hi; i++)
            gp_cpu_state(be)->k->attention_decode(op, i / H, i % H);
    }
}
