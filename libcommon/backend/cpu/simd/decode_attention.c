/* decode_attention.c: attention over the KV cache. The order of a query's sums depends on its position alone. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vmath.h"
#include "backend/cpu/simd/weight_block.h"

#include <math.h>
#include <string.h>

enum { STRIP = 64 };

/* A head's cache, in fp32 or, where `narrow` is passed, in bf16; and the query. */
typedef struct head {
    const float *q;
    const char *keys, *values, *next; /* next: keys of the head after it */
    int64_t D;
    float scale;
} head;

static inline int64_t bytes_of(bool narrow, int64_t n)
{
    return n * (int64_t)(narrow ? sizeof(uint16_t) : sizeof(float));
}

static inline vec load(bool narrow, const char *x, int64_t i)
{
    x += bytes_of(narrow, i);
    return narrow ? vec_from_bf16(u16_at(x)) : vec_load((const float *)(const void *)x);
}

static inline float number(bool narrow, const char *x, int64_t i)
{
    uint32_t bits = 0;
    float f;
    x += bytes_of(narrow, i);
    if (narrow) {
        uint16_t upper;
        memcpy(&upper, x, sizeof upper);
        bits = (uint32_t)upper << 16;
    }
    memcpy(&f, narrow ? (const char *)&bits : x, sizeof f);
    return f;
}

/* q k; two sums, so that additions overlap */
static inline __attribute__((always_inline)) float score(const head *h, bool narrow, const char *key)
{
    vec a = {0}, b = {0};
    float rest = 0;
    int64_t d = 0, D = h->D;
    for (; d + 2 * WIDTH <= D; d += 2 * WIDTH) {
        a += vec_load(h->q + d) * load(narrow, key, d);
        b += vec_load(h->q + d + WIDTH) * load(narrow, key, d + WIDTH);
    }
    for (; d + WIDTH <= D; d += WIDTH)
        a += vec_load(h->q + d) * load(narrow, key, d);
    for (; d < D; d++)
        rest += h->q[d] * number(narrow, key, d);
    return vec_total(a + b) + rest;
}

static inline void fetch(const char *x, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += LINE)
        fetch_line(x + i);
}

/* The scores of n keys from k0 on; meanwhile their values are fetched. Returns the largest, or `max`. */
static inline __attribute__((always_inline)) float scores(const head *h, bool narrow, int64_t k0, int64_t n, float max,
                                                          float *s)
{
    int64_t row = bytes_of(narrow, h->D);
    for (int64_t k = 0; k < n; k++) {
        fetch(h->values + (k0 + k) * row, row);
        s[k] = h->scale * score(h, narrow, h->keys + (k0 + k) * row);
        max = s[k] > max ? s[k] : max;
    }
    return max;
}

/* out = rescale out + p values, `vectors` vectors of out at once; meanwhile n rows at `ahead`, unless it is NULL, are
 * fetched. */
static inline __attribute__((always_inline)) void add_columns(bool narrow, const float *p, int64_t n,
                                                              const char *values, int64_t D, int vectors, float rescale,
                                                              const char *ahead, float *out)
{
    vec a[4];
    for (int v = 0; v < vectors; v++)
        a[v] = vec_all(rescale) * vec_load(out + v * WIDTH);
    for (int64_t k = 0; k < n; k++) {
        if (ahead)
            fetch(ahead + bytes_of(narrow, k * D), bytes_of(narrow, D));
        for (int v = 0; v < vectors; v++)
            a[v] += vec_all(p[k]) * load(narrow, values, k * D + v * WIDTH);
    }
    for (int v = 0; v < vectors; v++)
        vec_store(out + v * WIDTH, a[v]);
}

/* out = rescale out + sum of p[k] values[k0 + k]; meanwhile n keys at `ahead` are fetched. */
static inline __attribute__((always_inline)) void add_values(const head *h, bool narrow, int64_t k0, int64_t n,
                                                             const char *ahead, const float *p, float rescale,
                                                             float *out)
{
    int64_t d = 0, D = h->D;
    const char *values = h->values + bytes_of(narrow, k0 * D);
    for (; d + 4 * WIDTH <= D; d += 4 * WIDTH, ahead = NULL)
        add_columns(narrow, p, n, values + bytes_of(narrow, d), D, 4, rescale, ahead, out + d);
    for (; d + 2 * WIDTH <= D; d += 2 * WIDTH, ahead = NULL)
        add_columns(narrow, p, n, values + bytes_of(narrow, d), D, 2, rescale, ahead, out + d);
    for (; d + WIDTH <= D; d += WIDTH, ahead = NULL)
        add_columns(narrow, p, n, values + bytes_of(narrow, d), D, 1, rescale, ahead, out + d);
    for (; d < D; d++) {
        float a = rescale * out[d];
        for (int64_t k = 0; k < n; k++)
            a += p[k] * number(narrow, values, k * D + d);
        out[d] = a;
    }
}

/* Attention over the first `count` keys, a strip at a time with a running maximum; out is rescaled when that grows. */
static inline __attribute__((always_inline)) void attend(const head *h, bool narrow, int64_t count, float *out)
{
    float max = -INFINITY, sum = 0, s[STRIP];
    memset(out, 0, (size_t)h->D * sizeof *out);
    for (int64_t k0 = 0; k0 < count; k0 += STRIP) {
        int64_t n = gp_min(STRIP, count - k0);
        float previous = max, strip = 0;
        max = scores(h, narrow, k0, n, max, s);
        float rescale = gp_exp(previous - max);
#pragma omp simd reduction(+ : strip)
        for (int64_t k = 0; k < n; k++) {
            s[k] = gp_exp(s[k] - max);
            strip += s[k];
        }
        sum = sum * rescale + strip;
        const char *following = h->keys + bytes_of(narrow, (k0 + n) * h->D);
        add_values(h, narrow, k0, n, k0 + n < count ? following : h->next, s, rescale, out);
    }
    float inverse = 1 / sum;
    for (int64_t d = 0; d < h->D; d++)
        out[d] *= inverse;
}

void KERNEL(attention_cached)(const gp_attention_cached_op *op, int64_t b, int64_t h)
{
    int64_t T = op->qkv->dim[1], D = op->kv->k.dim[3], P = op->kv->k.dim[2], C = D * op->heads;
    bool narrow = op->kv->k.dtype == GP_BF16;
    int64_t first = bytes_of(narrow, (b * op->heads + h) * P * D);
    head a = {.keys = (const char *)op->kv->k.data + first,
              .values = (const char *)op->kv->v.data + first,
              .next = h + 1 < op->heads ? (const char *)op->kv->k.data + first + bytes_of(narrow, P * D) : NULL,
              .D = D,
              .scale = 1 / (float)gp_scores_divisor(op->divisor, D)};
    for (int64_t n = b * T; n < (b + 1) * T; n++) {
        a.q = (const float *)op->qkv->data + n * 3 * C + h * D;
        float *out = (float *)op->out->data + n * C + h * D;
        if (narrow)
            attend(&a, true, op->positions[n] + 1, out);
        else
            attend(&a, false, op->positions[n] + 1, out);
    }
}
