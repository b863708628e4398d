/* decode_attention.c: attention over the KV cache. The order of a query's sums depends on its position alone. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"
#include "backend/cpu/simd/vmath.h"

#include <math.h>
#include <string.h>

enum { STRIP = 64, LINE = 16 /* floats of a cache line */ };

/* A head's cache, and the query. */
typedef struct head {
    const float *q, *keys, *values;
    int64_t D;
    float scale;
} head;

/* q k; two sums, so that additions overlap */
static inline float score(const head *h, const float *key)
{
    vec a = {0}, b = {0};
    float rest = 0;
    int64_t d = 0, D = h->D;
    for (; d + 2 * WIDTH <= D; d += 2 * WIDTH) {
        a += vec_load(h->q + d) * vec_load(key + d);
        b += vec_load(h->q + d + WIDTH) * vec_load(key + d + WIDTH);
    }
    for (; d + WIDTH <= D; d += WIDTH)
        a += vec_load(h->q + d) * vec_load(key + d);
    for (; d < D; d++)
        rest += h->q[d] * key[d];
    return vec_total(a + b) + rest;
}

static inline void fetch(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += LINE)
        __builtin_prefetch(x + i, 0, 2);
}

/* The scores of n keys from k0 on; meanwhile their values are fetched. Returns the largest, or `max`. */
static float scores(const head *h, int64_t k0, int64_t n, float max, float *s)
{
    for (int64_t k = 0; k < n; k++) {
        fetch(h->values + (k0 + k) * h->D, h->D);
        s[k] = h->scale * score(h, h->keys + (k0 + k) * h->D);
        max = s[k] > max ? s[k] : max;
    }
    return max;
}

/* out += p values, V vectors of out at once; of out's last part, whose length is `rest`, one number at a time */
static inline __attribute__((always_inline)) void add_columns(const float *p, int64_t n, const float *values, int64_t D,
                                                              int vectors, float rescale, float *out)
{
    vec a[4];
    for (int v = 0; v < vectors; v++)
        a[v] = vec_all(rescale) * vec_load(out + v * WIDTH);
    for (int64_t k = 0; k < n; k++)
        for (int v = 0; v < vectors; v++)
            a[v] += vec_all(p[k]) * vec_load(values + k * D + v * WIDTH);
    for (int v = 0; v < vectors; v++)
        vec_store(out + v * WIDTH, a[v]);
}

/* out = rescale out + sum of p[k] values[k0 + k]; meanwhile the keys of the next strip are fetched, `next` of them. */
static void add_values(const head *h, int64_t k0, int64_t n, int64_t next, const float *p, float rescale, float *out)
{
    const float *values = h->values + k0 * h->D;
    int64_t d = 0, D = h->D;
    fetch(h->keys + (k0 + n) * D, next * D);
    for (; d + 4 * WIDTH <= D; d += 4 * WIDTH)
        add_columns(p, n, values + d, D, 4, rescale, out + d);
    for (; d + 2 * WIDTH <= D; d += 2 * WIDTH)
        add_columns(p, n, values + d, D, 2, rescale, out + d);
    for (; d + WIDTH <= D; d += WIDTH)
        add_columns(p, n, values + d, D, 1, rescale, out + d);
    for (; d < D; d++) {
        float a = rescale * out[d];
        for (int64_t k = 0; k < n; k++)
            a += p[k] * values[k * D + d];
        out[d] = a;
    }
}

/* Attention over the first `count` keys, a strip at a time with a running maximum; out is rescaled when that grows. */
static void attend(const head *h, int64_t count, float *out)
{
    float max = -INFINITY, sum = 0, s[STRIP];
    memset(out, 0, (size_t)h->D * sizeof *out);
    for (int64_t k0 = 0; k0 < count; k0 += STRIP) {
        int64_t n = gp_min(STRIP, count - k0);
        float previous = max, strip = 0;
        max = scores(h, k0, n, max, s);
        float rescale = gp_exp(previous - max);
#pragma omp simd reduction(+ : strip)
        for (int64_t k = 0; k < n; k++) {
            s[k] = gp_exp(s[k] - max);
            strip += s[k];
        }
        sum = sum * rescale + strip;
        add_values(h, k0, n, gp_min(STRIP, count - k0 - n), s, rescale, out);
    }
    float inverse = 1 / sum;
    for (int64_t d = 0; d < h->D; d++)
        out[d] *= inverse;
}

void KERNEL(attention_cached)(const gp_attention_cached_op *op, int64_t b, int64_t h)
{
    int64_t T = op->qkv->dim[1], D = op->kv->k.dim[3], P = op->kv->k.dim[2], C = D * op->heads;
    head a = {.keys = (const float *)op->kv->k.data + (b * op->heads + h) * P * D,
              .values = (const float *)op->kv->v.data + (b * op->heads + h) * P * D,
              .D = D,
              .scale = 1 / (float)gp_scores_divisor(op->divisor, D)};
    for (int64_t n = b * T; n < (b + 1) * T; n++) {
        a.q = (const float *)op->qkv->data + n * 3 * C + h * D;
        attend(&a, op->positions[n] + 1, (float *)op->out->data + n * C + h * D);
    }
}
