/* weight_format.c: from fp32 to the formats of weights, and back. */
#include "backend/weight_format.h"
#include "gptpipe/tensor.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = GP_WEIGHT_BLOCK, HALF = GP_WEIGHT_BLOCK / 2, LANES = 8 };

static const char *const names[] = {GP_WEIGHT_FORMATS(GP_CHOICE_NAME)};

const char *gp_weight_format_name(gp_weight_format f)
{
    return names[f];
}

float gp_weight_format_max(gp_weight_format f)
{
    const float half_max = 65504;
    const float max[] = {[GP_WEIGHTS_FP32] = FLT_MAX,
                         [GP_WEIGHTS_BF16] = 0x1.fep127F,
                         [GP_WEIGHTS_FP16] = half_max,
                         [GP_WEIGHTS_INT8] = 127 * half_max,
                         [GP_WEIGHTS_INT4] = half_max};
    return max[f];
}

static float half_at(const void *p, int64_t i)
{
    float x;
    gp_to_f32(&x, (const char *)p + 2 * i, GP_F16, 1);
    return x;
}

/* Stores x; returns what was stored. */
static float store_half(void *p, int64_t i, float x)
{
    gp_from_f32((uint16_t *)p + i, GP_F16, &x, 1);
    return half_at(p, i);
}

/* x to the nearest integer, of two the even one, clipped to lo .. hi; a NaN is lo. */
static float nearest(float x, float lo, float hi)
{
    const float shift = 0x1.8p23F;
    x = x > lo ? x : lo;
    x = x < hi ? x : hi;
    return (x + shift) - shift;
}

/* ---- int8 ------------------------------------------------------------------------------------------------ */

/* d is rounded first, so that q are of the d that products multiply by; hence the clip at 127. Loops have a constant
 * length, and maximums LANES places, so that the compiler vectorizes them. */
static void encode_int8(const float *w, int64_t count, void *d, int64_t block, int8_t *q)
{
    float x[BLOCK] = {0}, largest[LANES] = {0};
    int8_t rounded[BLOCK];
    memcpy(x, w, (size_t)count * sizeof *x);
    for (int i = 0; i < BLOCK; i += LANES)
        for (int k = 0; k < LANES; k++)
            largest[k] = fabsf(x[i + k]) > largest[k] ? fabsf(x[i + k]) : largest[k];
    for (int k = 1; k < LANES; k++)
        largest[0] = largest[k] > largest[0] ? largest[k] : largest[0];
    float scale = store_half(d, block, largest[0] / 127);
    float divisor = scale > 0 ? scale : INFINITY; /* all are below half of fp16's smallest number: q = 0 */
    for (int i = 0; i < BLOCK; i++)
        rounded[i] = (int8_t)(int32_t)nearest(x[i] / divisor, -127, 127);
    memcpy(q, rounded, (size_t)count);
}

/* ---- int4 ------------------------------------------------------------------------------------------------ */

/* w = d q + m of a block, and the sum of the squared errors. */
typedef struct fit {
    float d, m;
    double error;
    float q[BLOCK];
} fit;

static double sum(const float lane[LANES])
{
    double s = 0;
    for (int k = 0; k < LANES; k++)
        s += lane[k];
    return s;
}

/* q and the error for d and m as fp16 stores them. */
static void quantize(fit *f, const float *w)
{
    uint16_t stored[2];
    f->d = store_half(stored, 0, f->d);
    f->m = store_half(stored, 1, f->m);
    float by = f->d > 0 ? 1 / f->d : 0, squares[LANES] = {0};
    for (int i = 0; i < BLOCK; i++)
        f->q[i] = nearest((w[i] - f->m) * by, 0, 15);
    for (int i = 0; i < BLOCK; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float e = f->d * f->q[i + k] + f->m - w[i + k];
            squares[k] += e * e;
        }
    f->error = sum(squares);
}

/* d and m of least squared error for the q that are there. */
static void refit(fit *f, const float *w)
{
    float q[LANES] = {0}, qq[LANES] = {0}, x[LANES] = {0}, qx[LANES] = {0};
    for (int i = 0; i < BLOCK; i += LANES)
        for (int k = 0; k < LANES; k++) {
            q[k] += f->q[i + k];
            qq[k] += f->q[i + k] * f->q[i + k];
            x[k] += w[i + k];
            qx[k] += f->q[i + k] * w[i + k];
        }
    double det = BLOCK * sum(qq) - sum(q) * sum(q);
    if (det <= 0)
        return;
    f->d = (float)((BLOCK * sum(qx) - sum(q) * sum(x)) / det);
    f->m = (float)((sum(qq) * sum(x) - sum(q) * sum(qx)) / det);
}

static void range_of(const float x[BLOCK], float *lo, float *hi)
{
    float least[LANES], most[LANES];
    memcpy(least, x, sizeof least);
    memcpy(most, x, sizeof most);
    for (int i = LANES; i < BLOCK; i += LANES)
        for (int k = 0; k < LANES; k++) {
            least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
            most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
        }
    *lo = least[0];
    *hi = most[0];
    for (int k = 1; k < LANES; k++) {
        *lo = least[k] < *lo ? least[k] : *lo;
        *hi = most[k] > *hi ? most[k] : *hi;
    }
}

/* The best of ranges that leave out a little of both ends, each then fitted to its q: two numbers at the ends are
 * seldom worth a larger step of all others. A block that is not full is filled with its own numbers. */
static void encode_int4(const float *w, int64_t count, void *d, void *m, int64_t block, uint8_t *q)
{
    static const float shares[] = {1, 0.92F, 0.84F};
    float x[BLOCK], lo, hi;
    for (int64_t i = 0; i < BLOCK; i++)
        x[i] = w[i % count];
    range_of(x, &lo, &hi);
    fit best = {.d = (hi - lo) / 15, .m = lo};
    quantize(&best, x);
    for (size_t k = 0; k < ARRAY_LEN(shares); k++) {
        float cut = (hi - lo) * (1 - shares[k]) / 2;
        fit f = {.d = (hi - lo) * shares[k] / 15, .m = lo + cut};
        quantize(&f, x);
        refit(&f, x);
        quantize(&f, x);
        if (f.error < best.error)
            best = f;
    }
    store_half(d, block, best.d);
    store_half(m, block, best.m);
    for (int64_t i = 0; i < HALF; i++) {
        int low = i < count ? (int)best.q[i] : 0, high = i + HALF < count ? (int)best.q[i + HALF] : 0;
        q[i] = (uint8_t)(low | high << 4);
    }
}

static void decode_int4(const void *d, const void *m, int64_t block, const uint8_t *q, int64_t count, float *w)
{
    float scale = half_at(d, block), least = half_at(m, block);
    for (int64_t i = 0; i < count; i++)
        w[i] = scale * (float)(q[i % HALF] >> i / HALF * 4 & 15) + least;
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static gp_dtype dtype_of(gp_weight_format f)
{
    return f == GP_WEIGHTS_FP16 ? GP_F16 : GP_BF16;
}

static void check_part(int64_t I, int64_t first, int64_t count)
{
    BUG_ON(first < 0 || count < 0 || count > I - first || first % BLOCK || (count % BLOCK && first + count != I));
}

/* The parts of a row that are in no block, and stay zero. */
static void clear_padding(gp_weight_format f, int64_t I, char *row)
{
    gp_weight_row at = gp_weight_row_of(f, I);
    int64_t blocks = (I + BLOCK - 1) / BLOCK;
    size_t numbers = (size_t)(f == GP_WEIGHTS_INT8 ? I : f == GP_WEIGHTS_INT4 ? blocks * HALF : 2 * I);
    size_t scales = (size_t)(f == GP_WEIGHTS_INT8 ? 2 * blocks : f == GP_WEIGHTS_INT4 ? 4 * blocks : 0);
    memset(row + scales, 0, at.numbers - scales);
    memset(row + at.numbers + numbers, 0, at.bytes - at.numbers - numbers);
}

void gp_weight_encode_part(gp_weight_format f, const float *w, int64_t I, int64_t first, int64_t count, void *dst)
{
    gp_weight_row at = gp_weight_row_of(f, I);
    char *row = dst;
    BUG_ON(f == GP_WEIGHTS_FP32);
    check_part(I, first, count);
    if (f == GP_WEIGHTS_BF16 || f == GP_WEIGHTS_FP16)
        gp_from_f32(row + 2 * first, dtype_of(f), w, count);
    for (int64_t i = 0; (f == GP_WEIGHTS_INT8 || f == GP_WEIGHTS_INT4) && i < count; i += BLOCK) {
        int64_t n = gp_min(BLOCK, count - i), block = (first + i) / BLOCK;
        if (f == GP_WEIGHTS_INT8)
            encode_int8(w + i, n, row, block, (int8_t *)row + at.numbers + first + i);
        else
            encode_int4(w + i, n, row, row + at.minimums, block, (uint8_t *)row + at.numbers + block * HALF);
    }
    if (first + count == I)
        clear_padding(f, I, row);
}

void gp_weight_decode_part(gp_weight_format f, const void *src, int64_t I, int64_t first, int64_t count, float *w)
{
    gp_weight_row at = gp_weight_row_of(f, I);
    const char *row = src;
    BUG_ON(f == GP_WEIGHTS_FP32);
    check_part(I, first, count);
    if (f == GP_WEIGHTS_BF16 || f == GP_WEIGHTS_FP16)
        gp_to_f32(w, row + 2 * first, dtype_of(f), count);
    for (int64_t i = 0; (f == GP_WEIGHTS_INT8 || f == GP_WEIGHTS_INT4) && i < count; i += BLOCK) {
        int64_t n = gp_min(BLOCK, count - i), block = (first + i) / BLOCK;
        const int8_t *q = (const int8_t *)row + at.numbers + first + i;
        float d = half_at(row, block);
        for (int64_t j = 0; f == GP_WEIGHTS_INT8 && j < n; j++)
            w[i + j] = d * (float)q[j];
        if (f == GP_WEIGHTS_INT4)
            decode_int4(row, row + at.minimums, block, (const uint8_t *)row + at.numbers + block * HALF, n, w + i);
    }
}

void gp_weight_encode(gp_weight_format f, const float *row, int64_t I, void *dst)
{
    gp_weight_encode_part(f, row, I, 0, I, dst);
}

void gp_weight_decode(gp_weight_format f, const void *src, int64_t I, float *row)
{
    gp_weight_decode_part(f, src, I, 0, I, row);
}
