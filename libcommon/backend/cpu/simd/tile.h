/* tile.h: products of small matrices in scratch memory, padded so that there are no edges. */
#ifndef GP_CPU_TILE_H
#define GP_CPU_TILE_H

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"

/* A product c (M,N) = a (M,K) b (K,N), or += with `add`. Element (m,k) of a is at a[m * a_row + k * a_column];
 * b and c are rows. M is a multiple of ROWS, N of WIDTH. */
typedef struct tiles {
    int64_t M, N, K;
    const float *a;
    int64_t a_row, a_column;
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    bool add;
} tiles;

/* Rows [m, m + ROWS) and `vectors` (a constant in each call) vectors of columns from n on. */
static inline __attribute__((always_inline)) void tile_block(const tiles *t, int64_t m, int64_t n, const int vectors)
{
    const float *a = t->a + m * t->a_row, *b = t->b + n;
    const int64_t a_row = t->a_row, a_column = t->a_column, b_row = t->b_row;
    float *c = t->c + m * t->c_row + n;
    vec sum[ROWS][VECTORS];
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = (vec){0};
            if (t->add)
                sum[i][v] += *(const vec_at *)(c + i * t->c_row + v * WIDTH);
        }
    for (int64_t k = 0; k < t->K; k++, a += a_column, b += b_row) {
        vec row[VECTORS];
        for (int v = 0; v < vectors; v++)
            row[v] = *(const vec_at *)(b + v * WIDTH);
        for (int i = 0; i < ROWS; i++)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += a[i * a_row] * row[v];
    }
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < vectors; v++)
            *(vec_at *)(c + i * t->c_row + v * WIDTH) = sum[i][v];
}

static inline void tile_product(const tiles *t)
{
    int64_t n = 0;
    for (; n + VECTORS * WIDTH <= t->N; n += VECTORS * WIDTH)
        for (int64_t m = 0; m < t->M; m += ROWS)
            tile_block(t, m, n, VECTORS);
    for (; n < t->N; n += WIDTH)
        for (int64_t m = 0; m < t->M; m += ROWS)
            tile_block(t, m, n, 1);
}

/* Copies T rows of x (stride apart, D wide), times scale, to out (padded_T, padded_D); the padding is zero. */
static inline void pack_rows(const float *x, int64_t stride, int64_t T, int64_t D, float scale, float *out,
                             int64_t padded_T, int64_t padded_D)
{
    for (int64_t t = 0; t < T; t++) {
        for (int64_t d = 0; d < D; d++)
            out[t * padded_D + d] = scale * x[t * stride + d];
        for (int64_t d = D; d < padded_D; d++)
            out[t * padded_D + d] = 0;
    }
    for (int64_t i = T * padded_D; i < padded_T * padded_D; i++)
        out[i] = 0;
}

/* Transposes four rows in blocks of four columns: out[d * out_stride + 0..3]. Returns the number of columns done. */
static inline int64_t transpose_four(const float *x, int64_t stride, int64_t D, float *out, int64_t out_stride)
{
    int64_t d = 0;
#ifdef __SSE2__
    for (; d + 4 <= D; d += 4) {
        __m128 r0 = _mm_loadu_ps(x + d), r1 = _mm_loadu_ps(x + stride + d);
        __m128 r2 = _mm_loadu_ps(x + 2 * stride + d), r3 = _mm_loadu_ps(x + 3 * stride + d);
        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_storeu_ps(out + d * out_stride, r0);
        _mm_storeu_ps(out + (d + 1) * out_stride, r1);
        _mm_storeu_ps(out + (d + 2) * out_stride, r2);
        _mm_storeu_ps(out + (d + 3) * out_stride, r3);
    }
#else
    (void)x, (void)stride, (void)D, (void)out, (void)out_stride;
#endif
    return d;
}

/* The same without scale, transposed: out (D, padded_T). */
static inline void pack_columns(const float *x, int64_t stride, int64_t T, int64_t D, float *out, int64_t padded_T)
{
    int64_t t = 0;
    for (; t + 4 <= T; t += 4)
        for (int64_t d = transpose_four(x + t * stride, stride, D, out + t, padded_T); d < D; d++)
            for (int64_t i = 0; i < 4; i++)
                out[d * padded_T + t + i] = x[(t + i) * stride + d];
    for (; t < padded_T; t++)
        for (int64_t d = 0; d < D; d++)
            out[d * padded_T + t] = t < T ? x[t * stride + d] : 0;
}

/* The number of keys visible to query q of sample b. */
static inline int64_t visible_keys(const gp_attention_op *op, int64_t b, int64_t q)
{
    int64_t T = op->qkv->dim[1], count = op->causal ? q + 1 : T;
    return op->lengths ? gp_min(count, op->lengths[b]) : count;
}

#endif
