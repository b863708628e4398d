/* decode.c: products with few rows, and attention over the KV cache. The order of a row's sums depends only on the
 * number of inputs, never on the number of rows: a sample is the same alone and among others. The weights are read from
 * memory once, whatever B. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"
#include "backend/cpu/simd/vmath.h"

#include <math.h>
#include <string.h>

/* y (n) += x W for up to four inputs and n of the O columns of w. */
static void add_inputs(const float *x, int64_t inputs, const float *w, int64_t O, int64_t n, float *y)
{
    const float *w0 = w, *w1 = w + O, *w2 = w + 2 * O, *w3 = w + 3 * O;
    if (inputs == 4) {
        float x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
#pragma omp simd
        for (int64_t o = 0; o < n; o++)
            y[o] = y[o] + x0 * w0[o] + x1 * w1[o] + x2 * w2[o] + x3 * w3[o];
        return;
    }
    for (int64_t i = 0; i < inputs; i++) {
        float xi = x[i];
        const float *wi = w + i * O;
#pragma omp simd
        for (int64_t o = 0; o < n; o++)
            y[o] += xi * wi[o];
    }
}

void KERNEL(decode_columns)(const gp_decode *d, int64_t lo, int64_t hi)
{
    int64_t n = hi - lo;
    for (int64_t b = 0; b < d->B; b++) {
        float *y = d->y + b * d->O + lo;
        if (d->bias)
            memcpy(y, d->bias + lo, (size_t)n * sizeof *y);
        else
            memset(y, 0, (size_t)n * sizeof *y);
    }
    for (int64_t i = 0; i < d->I; i += 4)
        for (int64_t b = 0; b < d->B; b++)
            add_inputs(d->x + b * d->I + i, gp_min(4, d->I - i), d->w + i * d->O + lo, d->O, n, d->y + b * d->O + lo);
}

/* Four independent sums, so that additions overlap. */
static float dot(const float *a, const float *b, int64_t n)
{
    enum { SUMS = 4 };
    vec sum[SUMS] = {{0}};
    int64_t i = 0;
    float rest = 0;
    for (; i + SUMS * WIDTH <= n; i += SUMS * WIDTH)
        for (int j = 0; j < SUMS; j++)
            sum[j] += vec_load(a + i + j * WIDTH) * vec_load(b + i + j * WIDTH);
    for (; i + WIDTH <= n; i += WIDTH)
        sum[0] += vec_load(a + i) * vec_load(b + i);
    for (; i < n; i++)
        rest += a[i] * b[i];
    return vec_total((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

void KERNEL(decode_rows)(const gp_decode *d, int64_t lo, int64_t hi)
{
    for (int64_t o = lo; o < hi; o++)
        for (int64_t b = 0; b < d->B; b++)
            d->y[b * d->O + o] = dot(d->x + b * d->I, d->w + o * d->I, d->I) + (d->bias ? d->bias[o] : 0);
}

/* Attention over the first `count` keys, a strip at a time with a running maximum; out is rescaled when that grows. */
static void attend(const float *q, const float *keys, const float *values, int64_t count, int64_t D, float scale,
                   float *out)
{
    enum { STRIP = 64 };
    float max = -INFINITY, sum = 0, s[STRIP];
    memset(out, 0, (size_t)D * sizeof *out);
    for (int64_t k0 = 0; k0 < count; k0 += STRIP) {
        int64_t n = gp_min(STRIP, count - k0);
        float previous = max;
        for (int64_t k = 0; k < n; k++) {
            s[k] = scale * dot(q, keys + (k0 + k) * D, D);
            max = s[k] > max ? s[k] : max;
        }
        float rescale = gp_exp(previous - max), strip = 0;
#pragma omp simd reduction(+ : strip)
        for (int64_t k = 0; k < n; k++) {
            s[k] = gp_exp(s[k] - max);
            strip += s[k];
        }
        sum = sum * rescale + strip;
        for (int64_t d = 0; d < D; d++)
            out[d] *= rescale;
        for (int64_t k = 0; k < n; k += 4)
            add_inputs(s + k, gp_min(4, n - k), values + (k0 + k) * D, D, D, out);
    }
    float inverse = 1 / sum;
    for (int64_t d = 0; d < D; d++)
        out[d] *= inverse;
}

void KERNEL(attention_cached)(const gp_attention_cached_op *op, int64_t b, int64_t h)
{
    int64_t T = op->qkv->dim[1], D = op->kv->k.dim[3], P = op->kv->k.dim[2], C = D * op->heads;
    const float *keys = (const float *)op->kv->k.data + (b * op->heads + h) * P * D;
    const float *values = (const float *)op->kv->v.data + (b * op->heads + h) * P * D;
    float scale = 1 / (float)gp_scores_divisor(op->divisor, D);
    for (int64_t n = b * T; n < (b + 1) * T; n++)
        attend((const float *)op->qkv->data + n * 3 * C + h * D, keys, values, op->positions[n] + 1, D, scale,
               (float *)op->out->data + n * C + h * D);
}
