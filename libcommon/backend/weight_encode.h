/* weight_encode.h: rows from fp32 to the formats of weights, compiled for an instruction set by the file that includes
 * this one, which defines GP_ENCODE_LANES, the number of floats in a vector, if it is not 4. The operations and their
 * order are the same for each, and none is fused with the next (-ffp-contract=off): so all have the same bits. */
#ifndef GP_BACKEND_WEIGHT_ENCODE_H
#define GP_BACKEND_WEIGHT_ENCODE_H

#include "backend/weight_format.h"
#include "gptpipe/tensor.h"

#ifdef __F16C__
#include <immintrin.h>
#endif
#include <math.h>
#include <string.h>

#ifndef GP_ENCODE_LANES
#define GP_ENCODE_LANES 4
#endif

enum { BLOCK = GP_WEIGHT_BLOCK, HALF = GP_WEIGHT_BLOCK / 2, LANES = GP_ENCODE_LANES, STRIPES = 8 };

/* x as fp16 stores it: by instructions of 8 where there are any, which round as gp_from_f32 does. */
static void round_to_half(float x[LANES], uint16_t half[LANES])
{
#ifdef __F16C__
    for (int i = 0; i < LANES; i += 8) {
        __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(void *)(half + i), h);
        _mm256_storeu_ps(x + i, _mm256_cvtph_ps(h));
    }
#else
    gp_from_f32(half, GP_F16, x, LANES);
    gp_to_f32(x, half, GP_F16, LANES);
#endif
}

/* x + SHIFT - SHIFT is x to the nearest integer, of two the even one. */
#define SHIFT 0x1.8p23F

/* A block to encode. LANES of them are encoded at once, so that as many scales are rounded in a call; in int4 each has
 * its lane of every vector, so that no sum goes across one, and any number of lanes gives the same bits. */
typedef struct source_block {
    const float *w;
    char *row;
    int64_t index, count; /* in the row; of its numbers */
} source_block;

static void store_half(const source_block *b, size_t part, uint16_t half)
{
    memcpy(b->row + part + 2 * b->index, &half, sizeof half);
}

/* Where piece j of a block of `bytes` is among a row's q; the next one is *stride further. */
static size_t first_piece(int64_t I, int64_t index, size_t bytes, size_t *stride)
{
    enum { BLOCKS = GP_WEIGHT_GROUP / BLOCK };
    bool grouped = index / BLOCKS < I / GP_WEIGHT_GROUP;
    *stride = grouped ? BLOCKS * GP_WEIGHT_PIECE : GP_WEIGHT_PIECE;
    return grouped ? (size_t)(index / BLOCKS * BLOCKS) * bytes + (size_t)(index % BLOCKS * GP_WEIGHT_PIECE)
                   : (size_t)index * bytes;
}

/* The q of a block to and from the row's q; `count` bytes of BLOCK or HALF. */
static void store_q(const source_block *b, int64_t I, size_t numbers, const void *q, size_t bytes, size_t count)
{
    size_t stride, first = first_piece(I, b->index, bytes, &stride);
    for (size_t at = 0; at < count; at += GP_WEIGHT_PIECE, first += stride)
        memcpy(b->row + numbers + first, (const char *)q + at,
               count - at < GP_WEIGHT_PIECE ? count - at : GP_WEIGHT_PIECE);
}

/* ---- int8 ------------------------------------------------------------------------------------------------ */

static float largest_of(const float x[BLOCK])
{
    float largest[STRIPES] = {0};
    for (int i = 0; i < BLOCK; i += STRIPES)
        for (int k = 0; k < STRIPES; k++)
            largest[k] = fabsf(x[i + k]) > largest[k] ? fabsf(x[i + k]) : largest[k];
    for (int k = 1; k < STRIPES; k++)
        largest[0] = largest[k] > largest[0] ? largest[k] : largest[0];
    return largest[0];
}

/* d is rounded first, so that q are of the d that products multiply by; hence the clip at 127. Loops have a constant
 * length, and maximums STRIPES places, so that the compiler vectorizes them; gcc vectorizes none that clips at both
 * ends. */
static void encode_int8(const source_block *b, int n, int64_t I, gp_weight_row at)
{
    float x[LANES][BLOCK] = {0}, d[LANES] = {0};
    uint16_t half[LANES];
    for (int k = 0; k < n; k++) {
        memcpy(x[k], b[k].w, (size_t)b[k].count * sizeof *b->w);
        d[k] = largest_of(x[k]) / 127;
    }
    round_to_half(d, half);
    for (int k = 0; k < n; k++) {
        float divisor = d[k] > 0 ? d[k] : INFINITY; /* all are below half of fp16's smallest number: q = 0 */
        int8_t rounded[BLOCK];
        float above[BLOCK];
        for (int i = 0; i < BLOCK; i++)
            above[i] = x[k][i] / divisor > -127 ? x[k][i] / divisor : -127;
        for (int i = 0; i < BLOCK; i++)
            rounded[i] = (int8_t)(int32_t)((above[i] < 127 ? above[i] : 127) + SHIFT - SHIFT);
        store_q(&b[k], I, at.numbers, rounded, BLOCK, (size_t)b[k].count);
        store_half(&b[k], 0, half[k]);
    }
}

/* ---- int4 ------------------------------------------------------------------------------------------------ */

/* A number of each block: a vector, since compilers make none of loops over so few. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
typedef int32_t lanes_mask __attribute__((vector_size(LANES * sizeof(int32_t)))); /* 0 or -1 */

static lanes all(float x)
{
    return (lanes){0} + x;
}

static lanes choose(lanes_mask is, lanes a, lanes b)
{
    return (lanes)(((lanes_mask)a & is) | ((lanes_mask)b & ~is));
}

/* w = d q + m of a block in each lane, d and m as fp16 stores them; and the sum of the squared errors. */
typedef struct fit {
    lanes d, m;
    uint16_t half_d[LANES], half_m[LANES];
    double error[LANES];
} fit;

static void round_lanes(lanes *x, uint16_t half[LANES])
{
    float one[LANES];
    memcpy(one, x, sizeof one);
    round_to_half(one, half);
    memcpy(x, one, sizeof one);
}

/* Rounds d and m; q and the error for them. Sums of a block are of STRIPES sums in fp32, of every STRIPES-th number. */
static void quantize(fit *f, const lanes x[BLOCK], lanes q[BLOCK])
{
    const lanes shift = all(SHIFT), zero = all(0), most = all(15);
    round_lanes(&f->d, f->half_d);
    round_lanes(&f->m, f->half_m);
    lanes by = choose(f->d > zero, all(1) / f->d, zero), d = f->d, m = f->m;
    doubles error = {0};
    for (int s = 0; s < STRIPES; s++) {
        lanes squares = zero;
        for (int i = s; i < BLOCK; i += STRIPES) {
            lanes scaled = (x[i] - m) * by;
            scaled = choose(scaled > zero, scaled, zero);
            scaled = choose(scaled < most, scaled, most);
            q[i] = (scaled + shift) - shift;
            lanes e = d * q[i] + m - x[i];
            squares += e * e;
        }
        error += __builtin_convertvector(squares, doubles);
    }
    memcpy(f->error, &error, sizeof error);
}

/* d and m of least squared error for q. */
static void refit(fit *f, const lanes x[BLOCK], const lanes q[BLOCK])
{
    doubles sum_q = {0}, sum_qq = {0}, sum_x = {0}, sum_qx = {0};
    for (int s = 0; s < STRIPES; s++) {
        lanes of_q = all(0), of_qq = all(0), of_x = all(0), of_qx = all(0);
        for (int i = s; i < BLOCK; i += STRIPES) {
            of_q += q[i];
            of_qq += q[i] * q[i];
            of_x += x[i];
            of_qx += q[i] * x[i];
        }
        sum_q += __builtin_convertvector(of_q, doubles);
        sum_qq += __builtin_convertvector(of_qq, doubles);
        sum_x += __builtin_convertvector(of_x, doubles);
        sum_qx += __builtin_convertvector(of_qx, doubles);
    }
    for (int k = 0; k < LANES; k++) {
        double det = BLOCK * sum_qq[k] - sum_q[k] * sum_q[k];
        if (det <= 0)
            continue;
        f->d[k] = (float)((BLOCK * sum_qx[k] - sum_q[k] * sum_x[k]) / det);
        f->m[k] = (float)((sum_qq[k] * sum_x[k] - sum_q[k] * sum_qx[k]) / det);
    }
}

/* The best of ranges that leave out a little of both ends, each then fitted to its q: two numbers at the ends are
 * seldom worth a larger step of all others. */
static fit best_fit(const lanes x[BLOCK], lanes q[BLOCK])
{
    static const float shares[] = {1, 0.92F, 0.84F};
    lanes lo = x[0], hi = x[0];
    for (int i = 1; i < BLOCK; i++) {
        lo = choose(x[i] < lo, x[i], lo);
        hi = choose(x[i] > hi, x[i], hi);
    }
    fit best = {.d = {0}};
    for (size_t c = 0; c < ARRAY_LEN(shares); c++) {
        fit f = {.d = (hi - lo) * shares[c] / 15, .m = lo + (hi - lo) * (1 - shares[c]) / 2};
        quantize(&f, x, q);
        if (!c)
            best = f;
        refit(&f, x, q);
        quantize(&f, x, q);
        for (int k = 0; k < LANES; k++)
            if (f.error[k] < best.error[k]) {
                best.d[k] = f.d[k];
                best.m[k] = f.m[k];
                best.error[k] = f.error[k];
            }
    }
    quantize(&best, x, q);
    return best;
}

/* A block that is not full is filled with its own numbers, and lanes without a block with the first one. */
static void encode_int4(const source_block *b, int n, int64_t I, gp_weight_row at)
{
    lanes x[BLOCK], q[BLOCK];
    for (int k = 0; k < LANES; k++) {
        const source_block *from = &b[k < n ? k : 0];
        for (int64_t i = 0; i < BLOCK; i++)
            x[i][k] = from->w[i < from->count ? i : i % from->count];
    }
    fit best = best_fit(x, q);
    for (int k = 0; k < n; k++) {
        uint8_t to[HALF];
        for (int64_t i = 0; i < HALF; i++) {
            int low = i < b[k].count ? (int)q[i][k] : 0, high = i + HALF < b[k].count ? (int)q[i + HALF][k] : 0;
            to[i] = (uint8_t)(low | high << 4);
        }
        store_q(&b[k], I, at.numbers, to, HALF, HALF);
        store_half(&b[k], 0, best.half_d[k]);
        store_half(&b[k], at.minimums, best.half_m[k]);
    }
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

static void encode_blocks(gp_weight_format f, const source_block *b, int n, int64_t I, gp_weight_row at)
{
    if (f == GP_WEIGHTS_INT8)
        encode_int8(b, n, I, at);
    else
        encode_int4(b, n, I, at);
}

static void encode_rows(gp_weight_format f, const float *w, int64_t rows, int64_t stride, int64_t I, int64_t first,
                        int64_t count, void *dst)
{
    gp_weight_row at = gp_weight_row_of(f, I);
    source_block pending[LANES];
    int n = 0;
    BUG_ON(f == GP_WEIGHTS_FP32);
    check_part(I, first, count);
    for (int64_t r = 0; r < rows; r++) {
        char *row = (char *)dst + (size_t)r * at.bytes;
        if (f == GP_WEIGHTS_BF16 || f == GP_WEIGHTS_FP16)
            gp_from_f32(row + 2 * first, dtype_of(f), w + r * stride, count);
        for (int64_t i = 0; (f == GP_WEIGHTS_INT8 || f == GP_WEIGHTS_INT4) && i < count; i += BLOCK) {
            pending[n++] = (source_block){w + r * stride + i, row, (first + i) / BLOCK, gp_min(BLOCK, count - i)};
            if (n < LANES)
                continue;
            encode_blocks(f, pending, n, I, at);
            n = 0;
        }
        if (first + count == I)
            clear_padding(f, I, row);
    }
    if (n)
        encode_blocks(f, pending, n, I, at);
}

#endif
