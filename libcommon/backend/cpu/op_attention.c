/* op_attention.c: attention; a thread computes whole heads of samples. */
#include "backend/cpu/cpu.h"

#include <string.h>

static size_t thread_bytes(int64_t T, int64_t D, bool backward)
{
    return gp_round_up((size_t)gp_attention_scratch(T, D, backward) * sizeof(float), 64);
}

size_t gp_cpu_attention_workspace(const gp_backend *be, const gp_shape *shape)
{
    return thread_bytes(shape->T, shape->C / shape->H, shape->train) * (size_t)be->threads;
}

static void attend(gp_backend *be, const gp_attention_op *op, gp_range r, bool backward)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    int64_t T = op->qkv->dim[1], H = op->heads, D = op->qkv->dim[2] / 3 / H;
    void *scratch = be->workspace + (size_t)r.part * thread_bytes(T, D, backward);
    for (int64_t i = r.lo; i < r.hi; i++)
        (backward ? k->attention_backward : k->attention_forward)(op, i / H, i % H, scratch);
}

static void forward_heads(gp_backend *be, const void *op, gp_range r)
{
    attend(be, op, r, false);
}

static void backward_heads(gp_backend *be, const void *op, gp_range r)
{
    attend(be, op, r, true);
}

/* Two products forward, five backward; a causal mask halves them. */
static void split_heads(gp_backend *be, const gp_attention_op *op, bool backward)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], H = op->heads, D = op->qkv->dim[2] / 3 / H;
    int64_t products = B * H * T * T * D * (backward ? 5 : 2) / (op->causal ? 2 : 1);
    gp_cpu_workspace(be, thread_bytes(T, D, backward) * (size_t)be->threads);
    BUG_ON(op->qkv->ndim != 3 || 3 * D * H != op->qkv->dim[2] || gp_tensor_count(op->out) != B * T * D * H);
    gp_cpu_split(be, products * GP_PS_ATTENTION, B * H, 1, backward ? backward_heads : forward_heads, op);
}

void gp_cpu_attention_forward(gp_backend *be, const gp_attention_op *op)
{
    split_heads(be, op, false);
}

void gp_cpu_attention_backward(gp_backend *be, const gp_attention_op *op)
{
    BUG_ON(!op->lse || gp_tensor_count(op->dout) != gp_tensor_count(op->out));
    split_heads(be, op, true);
}

/* Stores the new keys and values of a head in its cache, in fp32 or bf16. */
static void fill_cache(const gp_attention_cached_op *op, int64_t b, int64_t h)
{
    int64_t T = op->qkv->dim[1], H = op->heads, D = op->kv->k.dim[3], P = op->kv->k.dim[2], C = H * D;
    gp_dtype dtype = op->kv->k.dtype;
    int64_t row = D * gp_dtype_size(dtype), first = (b * H + h) * P * row;
    char *keys = (char *)op->kv->k.data + first, *values = (char *)op->kv->v.data + first;
    const float *k = gp_cpu_data(op->qkv) + b * T * 3 * C + C + h * D;
    for (int64_t t = 0; t < T; t++, k += 3 * C) {
        int64_t position = op->positions ? op->positions[b * T + t] : t;
        gp_from_f32(keys + position * row, dtype, k, D);
        gp_from_f32(values + position * row, dtype, k + C, D);
    }
}

static void cached_heads(gp_backend *be, const void *task, gp_range r)
{
    const gp_attention_cached_op *op = task;
    for (int64_t i = r.lo; i < r.hi; i++) {
        fill_cache(op, i / op->heads, i % op->heads);
        if (op->positions)
            gp_cpu_state(be)->k->attention_cached(op, i / op->heads, i % op->heads);
    }
    if (!op->positions)
        attend(be,
               &(gp_attention_op){
                   .heads = op->heads, .causal = true, .qkv = op->qkv, .out = op->out, .divisor = op->divisor},
               r, false);
}

int64_t gp_cpu_cached_ps(const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], C = op->qkv->dim[2] / 3;
    int64_t pairs = op->positions ? 0 : B * T * T / 2; /* of queries and keys, in all rows of one head */
    int64_t read = 0;                                  /* positions of the cache */
    for (int64_t n = 0; op->positions && n < B * T; n++) {
        pairs += op->positions[n] + 1;
        read += n % T == T - 1 ? op->positions[n] + 1 : 0;
    }
    return 2 * pairs * C * GP_PS_ATTENTION + gp_cpu_read_ps(2 * read * C * gp_dtype_size(op->kv->k.dtype));
}

void gp_cpu_attention_cached(gp_backend *be, const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], H = op->heads, D = op->kv->k.dim[3], P = op->kv->k.dim[2];
    BUG_ON(op->qkv->ndim != 3 || op->kv->k.dim[1] != H || op->kv->k.dim[0] < B || D * H * 3 != op->qkv->dim[2]);
    BUG_ON(op->kv->k.dtype != op->kv->v.dtype || (op->kv->k.dtype != GP_F32 && op->kv->k.dtype != GP_BF16));
    BUG_ON(T > P || gp_tensor_count(op->out) != B * T * D * H);
    for (int64_t n = 0; op->positions && n < B * T; n++)
        BUG_ON(op->positions[n] < 0 || op->positions[n] >= P);
    if (!op->positions)
        gp_cpu_workspace(be, thread_bytes(T, D, false) * (size_t)be->threads);
    gp_cpu_split(be, gp_cpu_cached_ps(op), B * H, 1, cached_heads, op);
}
