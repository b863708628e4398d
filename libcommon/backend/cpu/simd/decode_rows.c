/* decode_rows.c: products of a few rows of x with a weight whose rows are outputs: stored (O,I) in fp32, or in a weight
 * format. A row of W is read once, as one stream, whatever B.
 *
 * The order of a sum depends on I alone: strips of STRIP inputs one after another; in each, input i is added to lane
 * i % WIDTH of sum i / WIDTH % 2. A format's numbers are those of gp_weight_decode. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/weight_block.h"

enum {
    STRIP = SCALES * GP_WEIGHT_BLOCK,
    STRIDE = STRIP + 16,
    OUTPUTS = WIDTH == 16 ? 4 : 2,
    SAMPLES = 2,
    BLOCK = GP_WEIGHT_BLOCK
};

/* The sum of one output and one row of x over a strip. */
typedef struct strip_sum {
    vec a[2];
    float rest;
} strip_sum;

static inline float strip_total(const strip_sum *s)
{
    return vec_total(s->a[0] + s->a[1]) + s->rest;
}

/* The inputs that fill no two vectors. */
static inline void add_rest(strip_sum *s, const float *w, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH)
        for (int v = 0; v < 2; v++)
            s->a[v] += vec_load(w + i + v * WIDTH) * vec_load(x + i + v * WIDTH);
    for (; i + WIDTH <= n; i += WIDTH)
        s->a[0] += vec_load(w + i) * vec_load(x + i);
    for (; i < n; i++)
        s->rest += w[i] * x[i];
}

/* ---- one row of x ---------------------------------------------------------------------------------------- */

/* Fetches as much as a row has, some rows after it, into the second cache: the processor itself stops at the end of a
 * page. */
static inline void fetch_ahead(const char *row, size_t bytes)
{
    enum { AHEAD = 2048, LINE = 64 };
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(row + AHEAD + i, 0, 2);
}

/* A strip, which begins at `first`, of a row in a format. */
static inline __attribute__((always_inline)) float strip_in(gp_weight_format format, const weight_row *at,
                                                            int64_t first, const float *x, int64_t n)
{
    weight_row r = *at;
    strip_sum s = {0};
    block_scales scale;
    vec w[BLOCK_VECTORS];
    int64_t i = 0;
    r.format = format;
    load_scales(&r, first / BLOCK, (n + BLOCK - 1) / BLOCK, &scale);
    for (; i + BLOCK <= n; i += BLOCK) {
        load_block(&r, (first + i) / BLOCK, scale.d[i / BLOCK], scale.m[i / BLOCK], w);
        for (int v = 0; v < BLOCK_VECTORS; v++)
            s.a[v % 2] += w[v] * vec_load(x + i + v * WIDTH);
    }
    if (i < n) {
        float last[BLOCK];
        load_block(&r, (first + i) / BLOCK, scale.d[i / BLOCK], scale.m[i / BLOCK], w);
        memcpy(last, w, sizeof last);
        add_rest(&s, last, x + i, n - i);
    }
    return strip_total(&s);
}

static inline __attribute__((always_inline)) float row_in(gp_weight_format format, const gp_decode *d, int64_t o)
{
    const char *row = (const char *)d->w + (size_t)o * d->row_bytes;
    float y = 0;
    if (d->fetch)
        fetch_ahead(row, d->row_bytes);
    if (format == GP_WEIGHTS_FP32) {
        for (int64_t i = 0; i < d->I; i += STRIP) {
            strip_sum s = {0};
            add_rest(&s, (const float *)(const void *)row + i, d->x + i, gp_min(STRIP, d->I - i));
            y += strip_total(&s);
        }
        return y;
    }
    weight_row at = weight_row_at(format, row, d->I);
    for (int64_t i = 0; i < d->I; i += STRIP)
        y += strip_in(format, &at, i, d->x + i, gp_min(STRIP, d->I - i));
    return y;
}

/* The format outside of the loop over outputs, so that each loop knows its own. */
static void one_sample(const gp_decode *d, int64_t lo, int64_t hi)
{
#define GP_LOOP(FORMAT)                                                                                                \
    case FORMAT:                                                                                                       \
        for (int64_t o = lo; o < hi; o++)                                                                              \
            d->y[o] = row_in(FORMAT, d, o);                                                                            \
        break;
    switch (d->format) {
        GP_LOOP(GP_WEIGHTS_FP32)
        GP_LOOP(GP_WEIGHTS_BF16)
        GP_LOOP(GP_WEIGHTS_FP16)
        GP_LOOP(GP_WEIGHTS_INT8)
        GP_LOOP(GP_WEIGHTS_INT4)
    }
#undef GP_LOOP
}

/* ---- several rows of x ----------------------------------------------------------------------------------- */

/* The dot products of `outputs` rows of w, STRIDE apart, with `samples` rows of x over n inputs, added to y. */
static inline __attribute__((always_inline)) void tile(const gp_decode *d, const float *w, int outputs, const float *x,
                                                       int samples, int64_t n, float *y)
{
    strip_sum s[OUTPUTS][SAMPLES] = {0};
    int64_t i = 0;
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH)
        for (int v = 0; v < 2; v++)
            for (int o = 0; o < outputs; o++)
                for (int b = 0; b < samples; b++)
                    s[o][b].a[v] += vec_load(w + o * STRIDE + i + v * WIDTH) * vec_load(x + b * d->I + i + v * WIDTH);
    for (int o = 0; o < outputs; o++)
        for (int b = 0; b < samples; b++) {
            add_rest(&s[o][b], w + o * STRIDE + i, x + b * d->I + i, n - i);
            y[b * d->O + o] += strip_total(&s[o][b]);
        }
}

/* n numbers of output o, from input `first` on, a multiple of BLOCK; w has room for whole blocks. */
static void decode_strip(const gp_decode *d, int64_t o, int64_t first, int64_t n, float *w)
{
    const char *row = (const char *)d->w + (size_t)o * d->row_bytes;
    if (d->format == GP_WEIGHTS_FP32) {
        memcpy(w, row + (size_t)first * sizeof *w, (size_t)n * sizeof *w);
        return;
    }
    weight_row at = weight_row_at(d->format, row, d->I);
    block_scales scale;
    load_scales(&at, first / BLOCK, (n + BLOCK - 1) / BLOCK, &scale);
    for (int64_t i = 0; i < n; i += BLOCK) {
        vec v[BLOCK_VECTORS];
        load_block(&at, (first + i) / BLOCK, scale.d[i / BLOCK], scale.m[i / BLOCK], v);
        memcpy(w + i, v, sizeof v);
    }
}

/* `outputs` outputs from o on of all rows of x: a strip of each row of W goes through the first cache. */
static inline __attribute__((always_inline)) void add_outputs(const gp_decode *d, int64_t o, int outputs)
{
    _Alignas(64) float w[OUTPUTS * STRIDE];
    for (int64_t b = 0; b < d->B; b++)
        for (int k = 0; k < outputs; k++)
            d->y[b * d->O + o + k] = 0;
    for (int64_t i = 0; i < d->I; i += STRIP) {
        int64_t n = gp_min(STRIP, d->I - i), b = 0;
        for (int k = 0; k < outputs; k++)
            decode_strip(d, o + k, i, n, w + k * STRIDE);
        for (; b + SAMPLES <= d->B; b += SAMPLES)
            tile(d, w, outputs, d->x + b * d->I + i, SAMPLES, n, d->y + b * d->O + o);
        if (b < d->B)
            tile(d, w, outputs, d->x + b * d->I + i, 1, n, d->y + b * d->O + o);
    }
}

void KERNEL(decode_rows)(const gp_decode *d, int64_t lo, int64_t hi)
{
    int64_t o = lo;
    if (d->B == 1) {
        one_sample(d, lo, hi);
        return;
    }
    for (; o + OUTPUTS <= hi; o += OUTPUTS)
        add_outputs(d, o, OUTPUTS);
    for (; o < hi; o++)
        add_outputs(d, o, 1);
}
