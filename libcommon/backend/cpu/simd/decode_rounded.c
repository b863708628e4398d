/* decode_rounded.c: products of a few rows of x with a weight in int8 or int4. x is rounded to 16 bits with one scale a
 * row, as gp_weight_round_input does; products with the q of a block are integers, added exactly; their sums are
 * multiplied by the block's d in fp32, and in the end by the scale of x.
 *
 * The order of a sum depends on I alone: a group's lane 2 k + h has half of the products of its block k, those of input
 * i of the block where i / 2 % 2 == h; groups are added one after another, then the lanes, then what is in no group. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/weight_block.h"

#include <math.h>

/* A group's 16 lanes are PARTS vectors; a lane has 2 numbers of each of the LINES lines of 32 inputs. */
enum { BLOCK = GP_WEIGHT_BLOCK, GROUP = GP_WEIGHT_GROUP, LANES = 16, LINES = 8, IN_LINE = 32, PARTS = LANES / WIDTH };
enum { SAMPLES = 4, ROWS_AHEAD = 3 };

typedef int16_t vec_i16 __attribute__((vector_size(WIDTH * sizeof(int32_t)))); /* 2 WIDTH numbers */
typedef int16_t narrow __attribute__((vector_size(WIDTH * sizeof(int16_t))));
typedef int8_t bytes_i8 __attribute__((vector_size(2 * WIDTH)));
typedef uint8_t bytes_u8 __attribute__((vector_size(2 * WIDTH)));
typedef uint16_t half_u16 __attribute__((vector_size(WIDTH)));
typedef uint32_t half_u32 __attribute__((vector_size(2 * WIDTH)));

/* ---- x --------------------------------------------------------------------------------------------------- */

/* To the nearest integer, of two the even one. */
static inline vec_int nearest(vec x)
{
#if defined(__AVX512F__)
    return (vec_int)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX__)
    return (vec_int)_mm256_cvtps_epi32((__m256)x);
#elif defined(__SSE2__)
    return (vec_int)_mm_cvtps_epi32((__m128)x);
#else
    vec_int q;
    for (int i = 0; i < WIDTH; i++)
        q[i] = (int32_t)lrintf(x[i]);
    return q;
#endif
}

/* max |x| / 32767: 0 where that is below what can be divided by, NaN where an x is infinite or NaN. */
static float scale_of(const float *x, int64_t n, float *by)
{
    vec most = {0}, bad = {0};
    float rest[WIDTH] = {0}, max;
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        vec v = vec_load(x + i);
        most = vec_larger(most, vec_larger(v, -v));
        bad += v * 0;
    }
    memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
    most = vec_larger(most, vec_larger(vec_load(rest), -vec_load(rest)));
    bad += vec_load(rest) * 0;
    max = vec_largest(most);
    *by = max < GP_WEIGHT_LEAST_INPUT ? 0 : GP_WEIGHT_INPUT_STEPS / max;
    return (max < GP_WEIGHT_LEAST_INPUT ? 0 : max / GP_WEIGHT_INPUT_STEPS) + vec_total(bad);
}

/* The block's q, with zeros past its n inputs, at their places in the row: in a group, as the weight's. */
static inline void round_block(const float *x, int64_t n, float by, int64_t stride, int16_t *q)
{
    enum { PIECE = GP_WEIGHT_PIECE };
    float padded[BLOCK] = {0};
    int16_t block[BLOCK];
    if (n < BLOCK)
        x = memcpy(padded, x, (size_t)n * sizeof *x);
    for (int v = 0; v < BLOCK; v += WIDTH) {
        narrow r = __builtin_convertvector(nearest(vec_load(x + v) * by), narrow);
        memcpy(block + v, &r, sizeof r);
    }
    for (int j = 0; j < BLOCK / PIECE; j++)
        memcpy(q + j * stride, block + j * PIECE, PIECE * sizeof *q);
}

void KERNEL(round_rows)(const float *x, int64_t rows, int64_t I, const gp_rounded *to)
{
    int64_t grouped = I / GROUP * GROUP;
    for (int64_t r = 0; r < rows; r++, x += I) {
        int16_t *q = to->q + r * gp_rounded_stride(I);
        float by;
        to->scale[r] = scale_of(x, I, &by);
        for (int64_t i = 0; i < grouped; i += BLOCK)
            round_block(x + i, BLOCK, by, IN_LINE, q + i / GROUP * GROUP + i % GROUP / BLOCK * GP_WEIGHT_PIECE);
        for (int64_t i = grouped; i < I; i += BLOCK)
            round_block(x + i, gp_min(BLOCK, I - i), by, GP_WEIGHT_PIECE, q + i);
        for (int64_t g = 0; to->sums && g < I / GROUP; g++)
            for (int lane = 0; lane < LANES; lane++) {
                int32_t sum = 0;
                for (int j = 0; j < LINES; j++)
                    sum += q[g * GROUP + j * IN_LINE + 2 * lane] + q[g * GROUP + j * IN_LINE + 2 * lane + 1];
                to->sums[(r * (I / GROUP) + g) * LANES + lane] = (float)sum;
            }
    }
}

/* ---- W --------------------------------------------------------------------------------------------------- */

static inline vec_i16 widen(const char *p)
{
#if defined(__AVX512BW__)
    return (vec_i16)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined(__AVX2__)
    return (vec_i16)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    bytes_i8 q;
    memcpy(&q, p, sizeof q);
    return __builtin_convertvector(q, vec_i16);
#endif
}

static inline vec_i16 widen_unsigned(const char *p)
{
#if defined(__AVX512BW__)
    return (vec_i16)_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined(__AVX2__)
    return (vec_i16)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    bytes_u8 q;
    memcpy(&q, p, sizeof q);
    return __builtin_convertvector(q, vec_i16);
#endif
}

/* The scale of a block for both of its lanes. */
static inline vec paired(const char *scales)
{
    half_u16 h;
    memcpy(&h, scales, sizeof h);
    half_u32 u = __builtin_convertvector(h, half_u32);
    return vec_from_fp16((vec_u16)(u | u << 16));
}

/* Part `part` of a group's numbers. */
static inline __attribute__((always_inline)) void load_lines(const weight_row *r, int64_t g, int part, vec_i16 w[LINES])
{
    bool nibbles = r->format == GP_WEIGHTS_INT4;
    const char *numbers = r->numbers + g * (nibbles ? GROUP / 2 : GROUP) + part * 2 * WIDTH;
    for (int j = 0; nibbles && j < LINES / 2; j++) {
        vec_i16 both = widen_unsigned(numbers + j * IN_LINE);
        w[j] = both & 15;
        w[j + LINES / 2] = both >> 4;
    }
    for (int j = 0; !nibbles && j < LINES; j++)
        w[j] = widen(numbers + j * IN_LINE);
}

/* ---- products -------------------------------------------------------------------------------------------- */

/* In lane l, a[2 l] x[2 l] + a[2 l + 1] x[2 l + 1]. */
static inline vec_int pairs(vec_i16 a, const int16_t *x)
{
    vec_i16 b;
    memcpy(&b, x, sizeof b);
#if defined(__AVX512BW__)
    return (vec_int)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vec_int)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (vec_int)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    vec_int lo = ((vec_int)a << 16 >> 16) * ((vec_int)b << 16 >> 16);
    return lo + ((vec_int)a >> 16) * ((vec_int)b >> 16);
#endif
}

/* At most 32 * 127 * 32767 in magnitude. */
static inline vec lines_total(const vec_i16 w[LINES], const int16_t *x)
{
    vec_int a = pairs(w[0], x), b = pairs(w[1], x + IN_LINE);
    for (int j = 2; j < LINES; j += 2) {
        a += pairs(w[j], x + j * IN_LINE);
        b += pairs(w[j + 1], x + (j + 1) * IN_LINE);
    }
    return __builtin_convertvector(a + b, vec);
}

/* The blocks that are in no group, fewer than SCALES. */
static inline __attribute__((always_inline)) float rest_of(const weight_row *r, int64_t I, const int16_t *q)
{
    int64_t first = I / GROUP * GROUP, blocks = (I - first + BLOCK - 1) / BLOCK;
    bool nibbles = r->format == GP_WEIGHTS_INT4;
    const char *numbers = r->numbers + (nibbles ? first / 2 : first);
    block_scales scale;
    float y = 0;
    load_scales(r, first / BLOCK, blocks, &scale);
    for (int64_t k = 0; k < blocks; k++) {
        const int8_t *w = (const int8_t *)numbers + k * (nibbles ? BLOCK / 2 : BLOCK);
        const int16_t *x = q + first + k * BLOCK;
        int32_t dot = 0, sum = 0;
        for (int i = 0; !nibbles && i < BLOCK; i++)
            dot += w[i] * x[i];
        for (int i = 0; nibbles && i < BLOCK / 2; i++) {
            dot += (w[i] & 15) * x[i] + (w[i] >> 4 & 15) * x[i + BLOCK / 2];
            sum += x[i] + x[i + BLOCK / 2];
        }
        y += scale.d[k] * (float)dot;
        if (nibbles)
            y += scale.m[k] * (float)sum;
    }
    return y;
}

/* Output o of rows b .. b + samples of x. */
static inline __attribute__((always_inline)) void tile(gp_weight_format format, const gp_decode *d, int64_t o,
                                                       int64_t b, int samples)
{
    int64_t groups = d->I / GROUP, stride = gp_rounded_stride(d->I);
    weight_row r = weight_row_at(format, (const char *)d->w + (size_t)o * d->row_bytes, d->I);
    const size_t bytes = format == GP_WEIGHTS_INT4 ? GROUP / 2 : GROUP;
    const int16_t *q = d->rounded.q + b * stride;
    vec sum[SAMPLES] = {0};
    for (int64_t g = 0; g < groups; g++)
        for (int part = 0; part < PARTS; part++) {
            vec_i16 w[LINES];
            vec scale = paired(r.scales + 2 * 8 * g + part * WIDTH), minimum = {0};
            if (format == GP_WEIGHTS_INT4)
                minimum = paired(r.minimums + 2 * 8 * g + part * WIDTH);
            load_lines(&r, g, part, w);
            for (size_t i = 0; d->fetch && !b && !part && i < bytes; i += LINE)
                fetch_line(r.numbers + (size_t)g * bytes + i + ROWS_AHEAD * d->row_bytes);
            for (int s = 0; s < samples; s++) {
                sum[s] += scale * lines_total(w, q + s * stride + g * GROUP + part * 2 * WIDTH);
                if (format == GP_WEIGHTS_INT4)
                    sum[s] += minimum * vec_load(d->rounded.sums + ((b + s) * groups + g) * LANES + part * WIDTH);
            }
        }
    for (int s = 0; s < samples; s++) {
        float total = vec_total(sum[s]);
        if (groups * GROUP < d->I)
            total += rest_of(&r, d->I, q + s * stride);
        d->y[(b + s) * d->O + o] = d->rounded.scale[b + s] * total;
    }
}

/* The rows of x that are computed at once stay in the first cache, and those of W in the second. */
static inline __attribute__((always_inline)) void rows_in(gp_weight_format format, const gp_decode *d, int64_t lo,
                                                          int64_t hi)
{
    enum { OUTPUTS_CACHED = 16 };
    for (int64_t first = lo; first < hi; first += OUTPUTS_CACHED)
        for (int64_t b = 0, samples; b < d->B; b += samples) {
            samples = d->B - b >= SAMPLES ? SAMPLES : 1;
            for (int64_t o = first; o < gp_min(first + OUTPUTS_CACHED, hi); o++) {
                if (samples == SAMPLES)
                    tile(format, d, o, b, SAMPLES);
                else
                    tile(format, d, o, b, 1);
            }
        }
}

void KERNEL(decode_rounded)(const gp_decode *d, int64_t lo, int64_t hi)
{
    if (d->format == GP_WEIGHTS_INT8)
        rows_in(GP_WEIGHTS_INT8, d, lo, hi);
    else
        rows_in(GP_WEIGHTS_INT4, d, lo, hi);
}
