/* cpu.h: what the op files of the cpu backend share. */
#ifndef GP_CPU_CPU_H
#define GP_CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"

/* be->state. */
typedef struct gp_cpu {
    const gp_kernels *k; /* for the processor's instructions */
    gp_matmul *mm;
    void *guard;      /* of gp_cpu_guard_signals */
    int64_t split_ps; /* an op of less work stays on one thread; see gp_cpu_team */
} gp_cpu;

/* signals.c: keeps signal handlers off the memory of oneDNN's kernels, on this thread and in the team. Gives what
 * gp_cpu_unguard_signals takes. */
void *gp_cpu_guard_signals(int threads);
void gp_cpu_unguard_signals(void *guard);

static inline const gp_cpu *gp_cpu_state(const gp_backend *be)
{
    return be->state;
}

/* The numbers of an fp32 tensor; NULL for an optional one that is not there. */
static inline float *gp_cpu_data(const gp_tensor *t)
{
    if (!t)
        return NULL;
    BUG_ON(t->dtype != GP_F32 || !t->data);
    return t->data;
}

/* (...,C) seen as (N,C). */
static inline int64_t gp_cpu_columns(const gp_tensor *t)
{
    return t->dim[t->ndim - 1];
}

static inline int64_t gp_cpu_rows(const gp_tensor *t)
{
    return gp_tensor_count(t) / gp_cpu_columns(t);
}

/* The workspace's first bytes; asking for more than was planned is a bug. */
static inline void *gp_cpu_workspace(const gp_backend *be, size_t bytes)
{
    BUG_ON(bytes > be->workspace_size);
    return be->workspace;
}

/* What a number takes one thread, in picoseconds, as seen with AVX2 on a 3 GHz machine (bench-ops -t 1). The
 * choice of a team hangs on them, nothing else. */
enum {
    GP_PS_COPY = 100,      /* a number read or written */
    GP_PS_NORM = 600,      /* an activation through a norm, either way */
    GP_PS_DROPOUT = 750,   /* an activation through dropout alone */
    GP_PS_ACT = 700,       /* through GELU, either way */
    GP_PS_LOSS = 1000,     /* a logit through the cross-entropy */
    GP_PS_ADAMW = 300,     /* a parameter */
    GP_PS_ATTENTION = 50,  /* a multiply-add of attention, softmax included */
    GP_PS_DECODE = 60,     /* a weight times a number, in decoding */
    GP_PS_PRODUCT = 20,    /* a multiply-add of a matrix product in fp32 */
    GP_PS_PRODUCT_BF16 = 5 /* and in bf16 */
};

/* threads.c: how many threads are worth their while for so many picoseconds of work: one, or all. */
int gp_cpu_team(const gp_backend *be, int64_t ps);

/* What one thread does of an op: the things of r, as part `part` of all. */
typedef void gp_cpu_work(gp_backend *be, const void *op, gp_range r, int part);

/* Runs `run` over n things, cut in multiples of `grain` for a team of `ps` picoseconds of work; returns the
 * parts that there were. Who does what depends on ps, n, grain and be->threads alone, whatever OpenMP gives. */
int gp_cpu_split(gp_backend *be, int64_t ps, int64_t n, int64_t grain, gp_cpu_work *run, const void *op);

/* What the ops of a file need of the workspace. */
size_t gp_cpu_norm_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_linear_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_attention_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_head_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_embed_workspace(const gp_backend *be, const gp_shape *shape);

/* fp32 to bf16, by all threads. */
void gp_cpu_to_bf16(gp_backend *be, uint16_t *dst, const float *src, int64_t n);
/* sums(c) += column sums of x (rows,columns), by all threads. */
void gp_cpu_add_rows(gp_backend *be, const float *x, int64_t rows, int64_t columns, float *sums);

/* weight.c: a weight's own form, and products with it. dtype of x or dy is the backend's. */
void gp_cpu_weight_open(gp_backend *be, gp_weight *w, int64_t rows);
size_t gp_cpu_weight_bytes(gp_backend *be, const gp_weight *w);
void gp_cpu_weights_changed(gp_backend *be, gp_weight *const *w, int count);
void gp_cpu_weight_close(gp_backend *be, gp_weight *w);
int64_t gp_cpu_weight_inputs(const gp_weight *w);
int64_t gp_cpu_weight_outputs(const gp_weight *w);
/* y (rows,O) = x W + bias;  dx (rows,I) = dy W^T;  dw += x^T dy, as the weight is stored */
void gp_cpu_weight_forward(gp_backend *be, const gp_weight *w, const void *x, int64_t rows, const float *bias,
                           float *y);
void gp_cpu_weight_backward(gp_backend *be, const gp_weight *w, const void *dy, int64_t rows, float *dx);
void gp_cpu_weight_grad(gp_backend *be, const gp_weight *w, const void *x, const void *dy, int64_t rows, float *dw);

/* The ops; see backend.h. */
void gp_cpu_embed_forward(gp_backend *be, const gp_embed_op *op);
void gp_cpu_embed_backward(gp_backend *be, const gp_embed_op *op);
void gp_cpu_dropout(gp_backend *be, gp_tensor *x, gp_dropout drop);
void gp_cpu_norm_forward(gp_backend *be, const gp_norm_op *op);
void gp_cpu_norm_backward(gp_backend *be, const gp_norm_op *op);
void gp_cpu_linear_forward(gp_backend *be, const gp_linear_op *op);
void gp_cpu_linear_backward(gp_backend *be, const gp_linear_op *op);
void gp_cpu_act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre);
void gp_cpu_act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre);
void gp_cpu_attention_forward(gp_backend *be, const gp_attention_op *op);
void gp_cpu_attention_backward(gp_backend *be, const gp_attention_op *op);
void gp_cpu_head_loss(gp_backend *be, const gp_head_op *op);
void gp_cpu_head_logits(gp_backend *be, const gp_head_op *op);
void gp_cpu_grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step);
void gp_cpu_adamw(gp_backend *be, const gp_adamw_op *op);
void gp_cpu_linear_decode(gp_backend *be, const gp_linear_op *op);
void gp_cpu_head_decode(gp_backend *be, const gp_head_op *op);
void gp_cpu_attention_cached(gp_backend *be, const gp_attention_cached_op *op);

#endif
