/* rows.c: copying, adding and converting rows. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vmath.h"

/* y = wte[token] + wpe[position] + wtt[type], without dropout */
void KERNEL(embed_row)(const gp_embed_op *op, int64_t n)
{
    int64_t C = op->y->dim[op->y->ndim - 1], type = op->types ? op->types[n] : 0;
    const float *a = (const float *)op->wte->data + op->tokens[n] * C;
    const float *b = (const float *)op->wpe->data + op->positions[n] * C;
    const float *t = op->wtt ? (const float *)op->wtt->data + type * C : NULL;
    float *y = (float *)op->y->data + n * C;
    if (t) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = a[c] + b[c] + t[c];
    } else {
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = a[c] + b[c];
    }
}

void KERNEL(add)(float *dst, const float *src, const float *factor, int64_t n)
{
    if (factor) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] += src[i] * factor[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] += src[i];
    }
}

void KERNEL(multiply)(float *dst, const float *src, const float *factor, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dst[i] = src[i] * factor[i];
}

/* Four rows at a time, so that the sums are loaded and stored a quarter as often. */
void KERNEL(add_rows)(const float *x, int64_t rows, int64_t stride, int64_t n, float *sums)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sums[i] += (a[i] + b[i]) + (c[i] + d[i]);
    }
    for (; r < rows; r++)
        KERNEL(add)(sums, x + r * stride, NULL, n);
}

/* Round to nearest even; a NaN keeps its sign and becomes quiet. */
void KERNEL(to_bf16)(uint16_t *dst, const float *src, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = gp_bits(src[i]), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
        dst[i] = (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
    }
}
