/* weight_format.c: from fp32 to the formats of weights, and back. */
#include "backend/weight_encode.h"

#include <float.h>

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

static void load_q(const char *numbers, int64_t I, int64_t index, void *q, size_t bytes, size_t count)
{
    size_t stride, first = first_piece(I, index, bytes, &stride);
    for (size_t at = 0; at < count; at += GP_WEIGHT_PIECE, first += stride)
        memcpy((char *)q + at, numbers + first, count - at < GP_WEIGHT_PIECE ? count - at : GP_WEIGHT_PIECE);
}

static void decode_int8(float d, const int8_t *q, int64_t count, float *w)
{
    for (int64_t i = 0; i < count; i++)
        w[i] = d * (float)q[i];
}

static void decode_int4(float d, float m, const uint8_t *q, int64_t count, float *w)
{
    for (int64_t i = 0; i < count; i++)
        w[i] = d * (float)(q[i % HALF] >> i / HALF * 4 & 15) + m;
}

void gp_weight_encode_rows(gp_weight_format f, const float *w, int64_t rows, int64_t stride, int64_t I, int64_t first,
                           int64_t count, void *dst)
{
    encode_rows(f, w, rows, stride, I, first, count, dst);
}

void gp_weight_encode_part(gp_weight_format f, const float *w, int64_t I, int64_t first, int64_t count, void *dst)
{
    gp_weight_encode_rows(f, w, 1, count, I, first, count, dst);
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
        char q[BLOCK];
        if (f == GP_WEIGHTS_INT8) {
            load_q(row + at.numbers, I, block, q, BLOCK, (size_t)n);
            decode_int8(half_at(row, block), (const int8_t *)q, n, w + i);
        } else {
            load_q(row + at.numbers, I, block, q, HALF, HALF);
            decode_int4(half_at(row, block), half_at(row + at.minimums, block), (const uint8_t *)q, n, w + i);
        }
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

/* ---- x --------------------------------------------------------------------------------------------------- */

float gp_weight_round_input(const float *x, int64_t n, int16_t *q)
{
    float max = 0, bad = 0;
    for (int64_t i = 0; i < n; i++) {
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
        bad += x[i] * 0;
    }
    bool tiny = max < GP_WEIGHT_LEAST_INPUT;
    float by = tiny ? 0 : GP_WEIGHT_INPUT_STEPS / max;
    for (int64_t i = 0; i < n; i++)
        q[i] = (int16_t)(isnan(x[i] * by) ? 0 : lrintf(x[i] * by));
    return (tiny ? 0 : max / GP_WEIGHT_INPUT_STEPS) + bad;
}
