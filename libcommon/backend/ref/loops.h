/* loops.h: shared by ref's ops: the storage type, access to tensors, threads, scratch, products.
 *
 * Numbers are stored as `real` and summed in double. real is float; the tests compile these files a second time with
 * GP_REAL=double, to check gradients by finite differences. Loops are parallel only over independent outputs, so the
 * bits are the same for any number of threads.
 *
 * In bf16 (be->rounds) storage is the same, but values that a GPU stores in bf16 are rounded to it by stored(), and
 * products read weights and biases from a rounded slot. The comment of each op states what it rounds. Sums, statistics,
 * losses and gradients of parameters are not rounded; parameters are not either, except matrices without masters
 * (be->matrix_dtype), which are stored in bf16. */
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

/* The numbers of t; NULL for an absent optional tensor. */
static inline real *reals(const gp_tensor *t)
{
    if (!t)
        return NULL;
    BUG_ON(t->dtype != (gp_dtype)REAL_DTYPE || !t->data);
    return t->data;
}

/* x to the nearest of bf16, ties to even. */
static inline double rounded(double x)
{
    float f = (float)x;
    uint16_t narrow;
    gp_from_f32(&narrow, GP_BF16, &f, 1);
    gp_to_f32(&f, &narrow, GP_BF16, 1);
    return f;
}

/* x, rounded if be->rounds. */
static inline double stored(const gp_backend *be, double x)
{
    return be->rounds ? rounded(x) : x;
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

/* (...,C) seen as (N,C); a sample has T rows. */
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

/* The scratch of this thread, `bytes` of the workspace. */
static inline void *thread_scratch(gp_backend *be, size_t bytes)
{
    size_t stride = gp_round_up(bytes, 64), thread = 0;
    BUG_ON(stride * (size_t)be->threads > be->workspace_size);
#ifdef _OPENMP
    thread = (size_t)omp_get_thread_num();
#endif
    return be->workspace + thread * stride;
}

static inline size_t larger_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Scratch that the ops of a file need: bytes per thread, or (head) in total. gp_ref_plan returns the maximum. */
size_t gp_ref_embed_scratch(const gp_shape *shape);
size_t gp_ref_attention_scratch(const gp_shape *shape);
size_t gp_ref_sample_scratch(const gp_shape *shape);
size_t gp_ref_head_workspace(const gp_shape *shape);

/* Four independent partial sums, so that additions overlap; always in the same order. */
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

/* out(r,c) = sum of a(r,k) b(k,c) over k = 0..depth-1 [+ bias(c)] [+ the old out(r,c), with `add`]. out is row-major
 * and dense. The sum of an element depends only on its row and column. */
typedef struct gp_ref_product {
    int64_t rows, columns, depth;
    gp_ref_matrix a, b;
    const gp_weight *weight; /* b as a weight format stores it; NULL: b is given */
    const real *bias;
    bool add;
    real *out;
} gp_ref_product;

void gp_ref_multiply(gp_backend *be, const gp_ref_product *p);

/* x = stored(x), n numbers, after a product has written them. */
void gp_ref_store(gp_backend *be, real *x, int64_t n);

/* sums(c) += x(0,c) + x(1,c) + ...; x (rows,columns) */
void gp_ref_add_rows(gp_backend *be, const real *x, int64_t rows, int64_t columns, real *sums);

/* W(i,o) of a weight as products read it, in either layout; nothing of one in a weight format. */
static inline gp_ref_matrix weight_matrix(const gp_backend *be, const gp_weight *w)
{
    int64_t stride = w->w.dim[1];
    if (w->format != GP_WEIGHTS_FP32)
        return (gp_ref_matrix){0};
    BUG_ON(be->rounds && !w->slot);
    const real *at = be->rounds ? w->slot : reals(&w->w);
    return w->transposed ? (gp_ref_matrix){at, 1, stride} : (gp_ref_matrix){at, stride, 1};
}

static inline const gp_weight *weight_in_format(const gp_weight *w)
{
    return w->format == GP_WEIGHTS_FP32 ? NULL : w;
}

/* Its bias as products add it; NULL if `bias` is. */
static inline const real *weight_bias(const gp_backend *be, const gp_weight *w, const gp_tensor *bias)
{
    bool slot = be->rounds && bias && w->format == GP_WEIGHTS_FP32;
    BUG_ON(slot && !w->bias);
    return slot ? (const real *)w->slot + gp_tensor_count(&w->w) : reals(bias);
}

/* dW += x^T dy in the layout of W; x (N,I), dy (N,O) */
void gp_ref_weight_grad(gp_backend *be, const gp_weight *w, const real *x, const real *dy, int64_t rows, real *dw);

#endif
