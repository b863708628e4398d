/* attention_backward.c: the gradients of q, k and v of one head of one sample. With s = q . k / sqrt(D),
 * p = exp(s - lse), m dropout's factor and out = sum of m p v:
 *
 *     dv[k] += m p dout,  dp = m (dout . v[k]),  ds = p (dp - dout . out),
 *     dq += ds k / sqrt(D),  dk[k] += ds q / sqrt(D)
 *
 * (Dao et al. 2022.) The outer loop is over tiles of queries, so a key's sums are added in order of queries. */
#include "backend/cpu/simd/tile.h"
#include "backend/cpu/simd/vmath.h"

#include <math.h>
#include <string.h>

/* Scratch of one head. D and T are padded to GP_PAD with zeros. */
typedef struct backward_scratch {
    int64_t T, D, Tp, Dp;
    float *keys_t, *values_t; /* (D,Tp) transposed */
    float *keys, *q, *dout;   /* (Tp,Dp); q is divided by the scores' divisor */
    float *dk, *dv;           /* (Tp,Dp) sums */
    float *dq;                /* (GP_TILE_Q,Dp) */
    float *p, *ds;            /* (GP_TILE_Q,GP_TILE_K) */
    float *factor;            /* (GP_TILE_K) dropout's */
    float along[GP_TILE_Q];   /* dout . out */
} backward_scratch;

static void open_head(backward_scratch *a, const gp_attention_op *op, int64_t b, int64_t h, float *scratch)
{
    int64_t T = op->qkv->dim[1], C = op->qkv->dim[2] / 3, D = C / op->heads;
    *a = (backward_scratch){.T = T, .D = D};
    a->Tp = (int64_t)gp_round_up((size_t)T, GP_PAD);
    a->Dp = (int64_t)gp_round_up((size_t)D, GP_PAD);
    float **each[] = {&a->keys_t, &a->values_t, &a->keys, &a->q, &a->dout, &a->dk, &a->dv};
    for (size_t i = 0; i < ARRAY_LEN(each); i++, scratch += a->Tp * a->Dp)
        *each[i] = scratch;
    a->dq = scratch;
    a->p = a->dq + GP_TILE_Q * a->Dp;
    a->ds = a->p + GP_TILE_Q * GP_TILE_K;
    a->factor = a->ds + GP_TILE_Q * GP_TILE_K;

    const float *q = (const float *)op->qkv->data + b * T * 3 * C + h * D;
    const float *dout = (const float *)op->dout->data + b * T * C + h * D;
    pack_columns(q + C, 3 * C, T, D, a->keys_t, a->Tp);
    pack_columns(q + 2 * C, 3 * C, T, D, a->values_t, a->Tp);
    pack_rows(q, 3 * C, T, D, 1 / (float)gp_scores_divisor(op->divisor, D), a->q, a->Tp, a->Dp);
    pack_rows(q + C, 3 * C, T, D, 1, a->keys, a->Tp, a->Dp);
    pack_rows(dout, C, T, D, 1, a->dout, a->Tp, a->Dp);
    memset(a->dk, 0, (size_t)(2 * a->Tp * a->Dp) * sizeof *a->dk); /* dv follows dk */
}

/* along[r] = dout . out of row q0 + r */
static void dot_outputs(backward_scratch *a, const gp_attention_op *op, int64_t b, int64_t h, int64_t q0, int64_t rows)
{
    int64_t C = a->D * op->heads;
    const float *out = (const float *)op->out->data + (b * a->T + q0) * C + h * a->D;
    for (int64_t r = 0; r < rows; r++) {
        const float *o = out + r * C, *d = a->dout + (q0 + r) * a->Dp;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < a->D; i++)
            sum += o[i] * d[i];
        a->along[r] = sum;
    }
}

/* One row of a tile: p, the scores, becomes m p, and ds, which is dout . v, becomes ds; both 0 from `valid` to
 * `padded`. */
static void row_gradient(backward_scratch *a, const gp_attention_op *op, int64_t b, int64_t h, int64_t q, int64_t k0,
                         int64_t valid, int64_t padded)
{
    float *p = a->p + q % GP_TILE_Q * GP_TILE_K, *ds = a->ds + q % GP_TILE_Q * GP_TILE_K, *factor = a->factor;
    float lse = valid ? ((const float *)op->lse->data)[(b * op->heads + h) * a->T + q] : 0;
    float along = a->along[q % GP_TILE_Q];
    if (gp_drops(&op->drop) && valid) {
        KERNEL(keep)(&op->drop, b, (h * a->T + q) * a->T + k0, valid, factor);
#pragma omp simd
        for (int64_t k = 0; k < valid; k++) {
            float e = gp_exp(p[k] - lse);
            ds[k] = e * (factor[k] * ds[k] - along);
            p[k] = e * factor[k];
        }
    } else {
#pragma omp simd
        for (int64_t k = 0; k < valid; k++) {
            p[k] = gp_exp(p[k] - lse);
            ds[k] = p[k] * (ds[k] - along);
        }
    }
#pragma omp simd
    for (int64_t k = valid; k < padded; k++)
        p[k] = ds[k] = 0;
}

static void differentiate(backward_scratch *a, const gp_attention_op *op, int64_t b, int64_t h, int64_t q0,
                          int64_t rows)
{
    int64_t keys = visible_keys(op, b, q0 + rows - 1), Dp = a->Dp, Tp = a->Tp;
    const float *q = a->q + q0 * Dp, *dout = a->dout + q0 * Dp;
    memset(a->dq, 0, (size_t)(GP_TILE_Q * Dp) * sizeof *a->dq);
    dot_outputs(a, op, b, h, q0, rows);
    for (int64_t k0 = 0; k0 < keys; k0 += GP_TILE_K) {
        int64_t n = gp_min(GP_TILE_K, keys - k0), padded = (int64_t)gp_round_up((size_t)n, GP_STEP);
        enum { LD = GP_TILE_K };
        tile_product(&(tiles){GP_TILE_Q, padded, a->D, q, Dp, 1, a->keys_t + k0, Tp, a->p, LD, false});
        tile_product(&(tiles){GP_TILE_Q, padded, a->D, dout, Dp, 1, a->values_t + k0, Tp, a->ds, LD, false});
        for (int64_t r = 0; r < GP_TILE_Q; r++) {
            int64_t valid = r < rows ? visible_keys(op, b, q0 + r) - k0 : 0;
            row_gradient(a, op, b, h, q0 + r, k0, gp_max(0, gp_min(valid, n)), padded);
        }
        tile_product(&(tiles){padded, Dp, GP_TILE_Q, a->p, 1, LD, dout, Dp, a->dv + k0 * Dp, Dp, true});
        tile_product(&(tiles){padded, Dp, GP_TILE_Q, a->ds, 1, LD, q, Dp, a->dk + k0 * Dp, Dp, true});
        tile_product(&(tiles){GP_TILE_Q, Dp, padded, a->ds, LD, 1, a->keys + k0 * Dp, Dp, a->dq, Dp, true});
    }
}

/* Copies rows of a padded matrix, times scale, to dqkv. */
static void put_rows(const float *x, int64_t Dp, int64_t rows, int64_t D, float scale, float *out, int64_t stride)
{
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t d = 0; d < D; d++)
            out[r * stride + d] = scale * x[r * Dp + d];
    }
}

void KERNEL(attention_backward)(const gp_attention_op *op, int64_t b, int64_t h, float *scratch)
{
    backward_scratch a;
    open_head(&a, op, b, h, scratch);
    int64_t T = a.T, D = a.D, C = D * op->heads;
    float *dq = (float *)op->dqkv->data + b * T * 3 * C + h * D;
    float scale = 1 / (float)gp_scores_divisor(op->divisor, D);
    for (int64_t q0 = 0; q0 < T; q0 += GP_TILE_Q) {
        int64_t rows = gp_min(GP_TILE_Q, T - q0);
        differentiate(&a, op, b, h, q0, rows);
        put_rows(a.dq, a.Dp, rows, D, scale, dq + q0 * 3 * C, 3 * C);
    }
    put_rows(a.dk, a.Dp, T, D, 1, dq + C, 3 * C);
    put_rows(a.dv, a.Dp, T, D, 1, dq + 2 * C, 3 * C);
}
