/* attention.c: softmax(q k^T / sqrt(D)) v for one head of one sample, a tile of queries by keys at a time, with a
 * running maximum and sum (Milakov & Gimelshein 2018; Dao et al. 2022). Tiles above the diagonal of a causal mask are
 * skipped; dropout is applied to the probabilities before they are multiplied by the values. */
#include "backend/cpu/simd/tile.h"
#include "backend/cpu/simd/vmath.h"

#include <math.h>
#include <string.h>

/* Scratch of one head. D and T are padded to GP_PAD. */
typedef struct forward_scratch {
    int64_t T, D, Tp, Dp;
    float *keys;   /* (D,Tp) transposed */
    float *values; /* (Tp,Dp) */
    float *q;      /* (GP_TILE_Q,Dp) divided by the scores' divisor */
    float *out;    /* (GP_TILE_Q,Dp) not yet divided by the sum */
    float *s;      /* (GP_TILE_Q,GP_TILE_K) scores, then probabilities times the sum */
    float *factor; /* (GP_TILE_K) dropout's */
    float max[GP_TILE_Q], sum[GP_TILE_Q];
} forward_scratch;

static void open_head(forward_scratch *a, const gp_attention_op *op, float *scratch)
{
    a->T = op->qkv->dim[1];
    a->D = op->qkv->dim[2] / 3 / op->heads;
    a->Tp = (int64_t)gp_round_up((size_t)a->T, GP_PAD);
    a->Dp = (int64_t)gp_round_up((size_t)a->D, GP_PAD);
    a->keys = scratch;
    a->values = a->keys + a->Dp * a->Tp;
    a->q = a->values + a->Tp * a->Dp;
    a->out = a->q + GP_TILE_Q * a->Dp;
    a->s = a->out + GP_TILE_Q * a->Dp;
    a->factor = a->s + GP_TILE_Q * GP_TILE_K;
}

/* The rows of a tile: s becomes exp(s - max) for the first valid[r] keys and 0 from there to `padded`; the outputs and
 * sums of the rows are rescaled to the new maxima. All maxima are found first, and all sums last, so that the latencies
 * of finding them overlap. */
static void softmax_rows(forward_scratch *a, int64_t rows, const int64_t *valid, int64_t padded)
{
    float max[GP_TILE_Q];
    for (int64_t r = 0; r < rows; r++) {
        float *s = a->s + r * GP_TILE_K;
        int64_t whole = (int64_t)gp_round_up((size_t)valid[r], GP_STEP);
        for (int64_t k = valid[r]; k < whole; k++)
            s[k] = -INFINITY;
        max[r] = largest(s, whole, a->max[r]);
    }
    for (int64_t r = 0; r < rows; r++) {
        float *s = a->s + r * GP_TILE_K, now = max[r];
        int64_t whole = (int64_t)gp_round_up((size_t)valid[r], GP_STEP);
#pragma omp simd
        for (int64_t k = 0; k < whole; k++)
            s[k] = gp_exp(s[k] - now);
#pragma omp simd
        for (int64_t k = whole; k < padded; k++)
            s[k] = 0;
    }
    for (int64_t r = 0; r < rows; r++) {
        float *out = a->out + r * a->Dp;
        if (max[r] > a->max[r]) {
            float scale = gp_exp(a->max[r] - max[r]);
            a->sum[r] *= scale;
#pragma omp simd
            for (int64_t d = 0; d < a->Dp; d++)
                out[d] *= scale;
        }
        a->sum[r] += total(a->s + r * GP_TILE_K, (int64_t)gp_round_up((size_t)valid[r], GP_STEP));
        a->max[r] = max[r];
    }
}

static void drop_row(forward_scratch *a, const gp_attention_op *op, int64_t b, int64_t h, int64_t q, int64_t k0,
                     int64_t n)
{
    float *s = a->s + q % GP_TILE_Q * GP_TILE_K;
    KERNEL(keep)(&op->drop, b, (h * a->T + q) * a->T + k0, n, a->factor);
    KERNEL(multiply)(s, s, a->factor, n);
}

/* Queries [q0, q0 + rows) against all keys that are visible to the last of them. */
static void attend(forward_scratch *a, const gp_attention_op *op, int64_t b, int64_t h, int64_t q0, int64_t rows)
{
    bool drops = gp_drops(&op->drop);
    int64_t keys = visible_keys(op, b, q0 + rows - 1);
    memset(a->out, 0, (size_t)(GP_TILE_Q * a->Dp) * sizeof *a->out);
    for (int64_t r = 0; r < GP_TILE_Q; r++) {
        a->max[r] = -INFINITY;
        a->sum[r] = 0;
    }
    int64_t blocks = (int64_t)gp_round_up((size_t)rows, ROWS), valid[GP_TILE_Q];
    for (int64_t k0 = 0; k0 < keys; k0 += GP_TILE_K) {
        int64_t n = gp_min(GP_TILE_K, keys - k0), padded = (int64_t)gp_round_up((size_t)n, GP_STEP);
        tile_product(&(tiles){blocks, padded, a->D, a->q, a->Dp, 1, a->keys + k0, a->Tp, a->s, GP_TILE_K, false});
        for (int64_t r = 0; r < rows; r++)
            valid[r] = gp_max(0, gp_min(visible_keys(op, b, q0 + r) - k0, n));
        softmax_rows(a, rows, valid, padded);
        for (int64_t r = 0; r < rows && drops; r++)
            drop_row(a, op, b, h, q0 + r, k0, valid[r]);
        tile_product(
            &(tiles){blocks, a->Dp, padded, a->s, GP_TILE_K, 1, a->values + k0 * a->Dp, a->Dp, a->out, a->Dp, true});
    }
}

void KERNEL(attention_forward)(const gp_attention_op *op, int64_t b, int64_t h, float *scratch)
{
    forward_scratch a;
    open_head(&a, op, scratch);
    int64_t T = a.T, D = a.D, C = D * op->heads;
    const float *q = (const float *)op->qkv->data + b * T * 3 * C + h * D, *k = q + C, *v = k + C;
    float *out = (float *)op->out->data + b * T * C + h * D;
    float *lse = op->lse ? (float *)op->lse->data + (b * op->heads + h) * T : NULL;
    float scale = 1 / (float)gp_scores_divisor(op->divisor, D);
    pack_columns(k, 3 * C, T, D, a.keys, a.Tp);
    pack_rows(v, 3 * C, T, D, 1, a.values, a.Tp, a.Dp);
    for (int64_t q0 = 0; q0 < T; q0 += GP_TILE_Q) {
        int64_t rows = gp_min(GP_TILE_Q, T - q0);
        pack_rows(q + q0 * 3 * C, 3 * C, rows, D, scale, a.q, GP_TILE_Q, a.Dp);
        attend(&a, op, b, h, q0, rows);
        for (int64_t r = 0; r < rows; r++) {
            float inverse = a.sum[r] == 0 ? 0 : 1 / a.sum[r]; /* 0 if no key is visible */
#pragma omp simd
            for (int64_t d = 0; d < D; d++)
                out[(q0 + r) * C + d] = a.out[r * a.Dp + d] * inverse;
            if (lse)
                lse[q0 + r] = a.max[r] + logf(a.sum[r]);
        }
    }
}
