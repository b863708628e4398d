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

static void some_heads(gp_backend *be, const gp_attention_op *op, gp_range r, int part, bool backward)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    int64_t T = op->qkv->dim[1], H = op->heads, D = op->qkv->dim[2] / 3 / H;
    void *scratch = be->workspace + (size_t)part * thread_bytes(T, D, backward);
    for (int64_t i = r.lo; i < r.hi; i++)
        (backward ? k->attention_backward : k->attention_forward)(op, i / H, i % H, scratch);
}

static void forward_heads(gp_backend *be, const void *op, gp_range r, int part)
{
    some_heads(be, op, r, part, false);
}

static void backward_heads(gp_backend *be, const void *op, gp_range r, int part)
{
    some_heads(be, op, r, part, true);
}

/* Two products forward, five backward; a causal mask halves them. */
static void each_head(gp_backend *be, const gp_attention_op *op, bool backward)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], H = op->heads, D = op->qkv->dim[2] / 3 / H;
    int64_t products = B * H * T * T * D * (backward ? 5 : 2) / (op->causal ? 2 : 1);
    gp_cpu_workspace(be, thread_bytes(T, D, backward) * (size_t)be->threads);
    BUG_ON(op->qkv->ndim != 3 || 3 * D * H != op->qkv->dim[2] || gp_tensor_count(op->out) != B * T * D * H);
    gp_cpu_split(be, products * GP_PS_ATTENTION, B * H, 1, backward ? backward_heads : forward_heads, op);
}

void gp_cpu_attention_forward(gp_backend *be, const gp_attention_op *op)
{
    if (op->kv) {
        const int64_t *P = op->kv->k.dim, *qkv = op->qkv->dim;
        BUG_ON(P[0] < qkv[0] || P[1] != op->heads || P[2] < qkv[1] || P[3] * P[1] * 3 != qkv[2]);
    }
    each_head(be, op, false);
}

void gp_cpu_attention_backward(gp_backend *be, const gp_attention_op *op)
{
    BUG_ON(!op->lse || gp_tensor_count(op->dout) != gp_tensor_count(op->out));
    each_head(be, op, true);
}

static void decode_heads(gp_backend *be, const void *job, gp_range r, int part)
{
    const gp_attention_decode_op *op = job;
    (void)part;
    for (int64_t i = r.lo; i < r.hi; i++)
        gp_cpu_state(be)->k->attention_decode(op, i / op->heads, i % op->heads);
}

void gp_cpu_attention_decode(gp_backend *be, const gp_attention_decode_op *op)
{
    int64_t B = op->qkv->dim[0], H = op->heads, P = op->kv->k.dim[2];
    BUG_ON(op->kv->k.dim[1] != H || op->kv->k.dim[0] < B || op->kv->k.dim[3] * H * 3 != gp_cpu_columns(op->qkv));
    int64_t keys = 0;
    for (int64_t b = 0; b < B; b++) {
        BUG_ON(op->positions[b] < 0 || op->positions[b] >= P);
        keys += op->positions[b] + 1;
    }
    gp_cpu_split(be, 2 * keys * H * op->kv->k.dim[3] * GP_PS_ATTENTION, B * H, 1, decode_heads, op);
}
