/* loops.h: what ref's files share: the storage type, looking into tensors, threads, scratch, products.
 *
 * Numbers are stored as `real` and summed in double. real is float; the tests compile these files a second
 * time with GP_REAL=double, so that gradients can be checked by differences. Loops run in parallel over
 * independent outputs only, so the bits are the same for any number of threads.
 *
 * In bf16 (be->rounds) memory is the same, but holds numbers that bf16 has: what a GPU would store in bf16 goes through
 * stored() first, and products read weights and biases from a rounded slot. Each op's head says what it rounds; sums,
 * statistics, losses, gradients of parameters stay as they are, and so do parameters, but for matrices without masters
 * (be->matrix_dtype): these are bf16 in memory too. */
#ifndef GP_REF_LOOPS_H
#define GP_REF_LOOPS_H

#include "backend/backend.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#ifndef GP_REAL
#define GP_REAL float
#endif
typedef GP_REAL real;

enum { REAL_DTYPE = sizeof(real) == sizeof(double) ? GP_F64 : GP_F32 };

/* The numbers of t; NULL for an optional tensor that is not there. */
static inline real *reals(const gp_tensor *t)
{
    if (!t)
        return NULL;
    BUG_ON(t->dtype != (gp_dtype)REAL_DTYPE || !t->data);
    return t->data;
}

/* x as it is stored where a GPU has bf16: the nearest that bf16 has, ties to even. */
static inline double stored(const gp_backend *be, double x)
{
    float f = (float)x;
    uint16_t narrow;
    if (!be->rounds)
        return x;
    gp_from_f32(&narrow, GP_BF16, &f, 1);
    gp_to_f32(&f, &narrow, GP_BF16, 1);
    return f;
}

/* Element i of a parameter, which may be stored in bf16 (be->stores_bf16). */
static inline double parameter_at(const gp_tensor *t, int64_t i)
{
    float x;
    if (t->dtype != GP_BF16)
        return (double)reals(t)[i];
    gp_to_f32(&x, (const uint16_t *)t->data + i, GP_BF16, 1);
    return x;
}

/* (...,C) seen as (N,C); a sample is T rows of it. */
static inline int64_t columns_of(const gp_tensor *t)
{
    return t->dim[t->ndim - 1];
}

static inline int64_t rows_of(const gp_tensor *t)
{
    return gp_tensor_count(t) / columns_of(t);
}

static inline int64_t rows_of_sample(const gp_tensor *t)
{
    return t->dim[t->ndim - 2];
}

/* This thread's `bytes` of the workspace, which has be->threads such parts. */
static inline void *thread_scratch(gp_backend *be, size_t bytes)
{
    size_t part = gp_round_up(bytes, 64), thread = 0;
    BUG_ON(part * (size_t)be->threads > be->workspace_size);
#ifdef _OPENMP
    thread = (size_t)omp_get_thread_num();
#endif
    return be->workspace + thread * part;
}

static inline size_t larger_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the ops of a file need: bytes a thread, or (head) bytes in all. gp_ref_plan takes the largest. */
size_t gp_ref_embed_scratch(const gp_shape *shape);
size_t gp_ref_attention_scratch(const gp_shape *shape);
size_t gp_ref_sample_scratch(const gp_shape *shape);
size_t gp_ref_head_workspace(const gp_shape *shape);

/* Four partial sums, so that an addition need not wait for the one before it; always in the same order. */
static inline double dot(const real *a, const real *b, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++)
            s[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < n; i++)
        s[0] += (double)a[i] * (double)b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* Element (r,c) is at[r * row + c * column]. */
typedef struct gp_ref_matrix {
    const real *at;
    int64_t row, column;
} gp_ref_matrix;

/* out(r,c) = sum of a(r,k) b(k,c) over k = 0..depth-1, plus bias(c) if there is one, plus the old out(r,c)
 * with `add`. out is row-major and dense. An element's sum depends on its own row and column alone. */
typedef struct gp_ref_product {
    int64_t rows, columns, depth;
    gp_ref_matrix a, b;
    const real *bias;
    bool add;
    real *out;
} gp_ref_product;

void gp_ref_multiply(gp_backend *be, const gp_ref_product *p);

/* x = stored(x), n numbers: for what a product has written. */
void gp_ref_store(gp_backend *be, real *x, int64_t n);

/* sums(c) += x(0,c) + x(1,c) + ...; x (rows,columns) */
void gp_ref_add_rows(gp_backend *be, const real *x, int64_t rows, int64_t columns, real *sums);

/* W(i,o) of a weight as products read it, whichever way it is stored. */
static inline gp_ref_matrix weight_matrix(const gp_backend *be, const gp_weight *w)
{
    int64_t stride = w->w.dim[1];
    BUG_ON(be->rounds && !w->slot);
    const real *at = be->rounds ? w->slot : reals(&w->w);
    return w->transposed ? (gp_ref_matrix){at, 1, stride} : (gp_ref_matrix){at, stride, 1};
}

/* Its bias, when `bias` asks for it, as products add it. */
static inline const real *weight_bias(const gp_backend *be, const gp_weight *w, const gp_tensor *bias)
{
    BUG_ON(be->rounds && bias && !w->bias);
    return be->rounds && bias ? (const real *)w->slot + gp_tensor_count(&w->w) : reals(bias);
}

/* dW += x^T dy in W's own layout; x (N,I), dy (N,O) */
void gp_ref_weight_grad(gp_backend *be, const gp_weight *w, const real *x, const real *dy, int64_t rows, real *dw);

#endif
