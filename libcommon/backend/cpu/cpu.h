/* cpu.h: shared by the op files of the cpu backend. */
#ifndef GP_CPU_CPU_H
#define GP_CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"

/* be->state. */
typedef struct gp_cpu {
    const gp_kernels *k; /* for the processor's instruction set */
    gp_matmul *mm;
    gp_matmul_parts *amx; /* larger products in fp32; NULL without AMX */
    void *guard;          /* of gp_cpu_guard_signals */
    int64_t split_ps;     /* ops with less work run on one thread; see gp_cpu_team */
    bool fetches;         /* W stored (I,O) too, for few rows: see op_decode.c */
} gp_cpu;

/* signals.c: keeps signal handlers from overwriting memory of oneDNN's kernels, on this thread and in the team. Returns
 * the argument of gp_cpu_unguard_signals. */
void *gp_cpu_guard_signals(int threads);
void gp_cpu_unguard_signals(void *guard);

static inline const gp_cpu *gp_cpu_state(const gp_backend *be)
{
    return be->state;
}

/* The numbers of an fp32 tensor; NULL for an absent optional tensor. */
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

/* The beginning of the workspace; to request more than was planned is a bug. */
static inline void *gp_cpu_workspace(const gp_backend *be, size_t bytes)
{
    BUG_ON(bytes > be->workspace_size);
    return be->workspace;
}

/* Picoseconds of one thread per number, measured with AVX2 at 3 GHz (bench-ops -t 1). They only determine the number of
 * threads of an op. */
enum {
    GP_PS_COPY = 100,      /* a number read or written */
    GP_PS_NORM = 600,      /* an activation in a norm, forward or backward */
    GP_PS_DROPOUT = 750,   /* an activation in dropout alone */
    GP_PS_ACT = 700,       /* an activation in GELU, forward or backward */
    GP_PS_LOSS = 1000,     /* a logit in the cross-entropy */
    GP_PS_SAMPLE = 700,    /* a logit from which a token is drawn */
    GP_PS_ADAMW = 300,     /* a parameter in the update */
    GP_PS_ATTENTION = 50,  /* a multiply-add of attention, including softmax */
    GP_PS_DECODE = 60,     /* a multiply-add of decoding */
    GP_PS_READ = 60,       /* a byte that comes from memory, of a weight or of cached keys and values */
    GP_PS_PRODUCT = 20,    /* a multiply-add of a matrix product in fp32 */
    GP_PS_PRODUCT_BF16 = 5 /* the same in bf16 */
};

/* One thread's time to read what an op reads once a token, a weight or a layer's cache: none where it is so small that
 * it may be in the processor's caches from one token to the next. */
static inline int64_t gp_cpu_read_ps(int64_t bytes)
{
    enum { MAX_CACHED = 256 << 10 };
    return bytes > MAX_CACHED ? bytes * GP_PS_READ : 0;
}

/* op_attention.c: one thread's time for attention over the cache. */
int64_t gp_cpu_cached_ps(const gp_attention_cached_op *op);

/* threads.c: the number of threads for this many picoseconds of work: one, or all. */
int gp_cpu_team(const gp_backend *be, int64_t ps);

/* One thread's work on an op. */
typedef void gp_cpu_work(gp_backend *be, const void *op, gp_range r);

/* Runs `run` over n items, divided in multiples of `grain` among the threads for `ps` picoseconds of work. Returns the
 * number of parts. The division depends only on ps, n, grain and be->threads, not on the threads that OpenMP
 * provides. */
int gp_cpu_split(gp_backend *be, int64_t ps, int64_t n, int64_t grain, gp_cpu_work *run, const void *op);

/* Bytes of workspace that the ops of a file need. */
size_t gp_cpu_norm_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_linear_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_attention_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_head_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_decode_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cpu_sample_workspace(const gp_backend *be, const gp_shape *shape);

/* weight.c: a decoded tile of a weight, at the end of the workspace, after what the ops need. */
size_t gp_cpu_tile_bytes(const gp_backend *be, const gp_shape *shape);

/* op_linear.c: fp32 to bf16. */
void gp_cpu_to_bf16(gp_backend *be, uint16_t *dst, const float *src, int64_t n);
/* op_linear.c: x (count) in the dtype of products: x itself, or its bf16 copy at offset `at` of the workspace. */
const void *gp_cpu_operand(gp_backend *be, const float *x, int64_t count, size_t at);
/* op_linear.c: sums(c) += column sums of x (rows,columns). */
void gp_cpu_add_rows(gp_backend *be, const float *x, int64_t rows, int64_t columns, float *sums);

/* weight.c: packed forms of a weight, and products with it. x and dy are in the backend's dtype. */
void gp_cpu_weight_open(gp_backend *be, gp_weight *w, int64_t rows);
size_t gp_cpu_weight_bytes(gp_backend *be, const gp_weight *w);
void gp_cpu_weights_changed(gp_backend *be, gp_weight *const *w, int count);
void gp_cpu_weight_close(gp_backend *be, gp_weight *w);
void gp_cpu_weight_fill(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, const float *host);
/* y (rows,O) = x W + bias;  dx (rows,I) = dy W^T;  dw = x^T dy (+ dw, with add), in the weight's layout */
void gp_cpu_weight_forward(gp_backend *be, const gp_weight *w, const void *x, int64_t rows, const float *bias,
                           float *y);
void gp_cpu_weight_backward(gp_backend *be, const gp_weight *w, const void *dy, int64_t rows, float *dx);
void gp_cpu_weight_grad(gp_backend *be, const gp_weight *w, const void *x, const void *dy, int64_t rows, bool add,
                        float *dw);

/* The ops; see backend.h. */
#define GP_PROTOTYPE(name, parameters) void gp_cpu_##name parameters;
GP_OPS(GP_PROTOTYPE)
#undef GP_PROTOTYPE

#endif
