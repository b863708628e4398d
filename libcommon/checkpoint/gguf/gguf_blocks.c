/* gguf_blocks.c: how ggml stores numbers (ggml's ggml-common.h and ggml-quants.c). */
#include "checkpoint/gguf/gguf.h"

#include <float.h>
#include <string.h>

static float half(const uint8_t *p)
{
    float x;
    gp_to_f32(&x, p, GP_F16, 1);
    return x;
}

/* x = d q.  32 numbers: d as F16, q as int8. */
static void read_q8_0(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 34) {
        float d = half(b);
        for (int j = 0; j < 32; j++)
            *x++ = d * (float)(int8_t)b[2 + j];
    }
}

/* x = d (q - 8).  32 numbers: d as F16, then 16 bytes: their low halves are the first 16 numbers. */
static void read_q4_0(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 18)
        for (int high = 0; high < 2; high++)
            for (int j = 0; j < 16; j++)
                *x++ = half(b) * (float)((b[2 + j] >> 4 * high & 15) - 8);
}

/* x = d q + m.  32 numbers: d and m as F16, then as in Q4_0. */
static void read_q4_1(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 20)
        for (int high = 0; high < 2; high++)
            for (int j = 0; j < 16; j++)
                *x++ = half(b) * (float)(b[4 + j] >> 4 * high & 15) + half(b + 2);
}

/* Number j of 32 whose fifth bits are in 4 bytes, and the lower four in 16 bytes as in Q4_0. */
static float five_bits(const uint8_t *fifth, const uint8_t *low, int j)
{
    return (float)((low[j % 16] >> j / 16 * 4 & 15) | (fifth[j / 8] >> j % 8 & 1) << 4);
}

/* x = d (q - 16).  32 numbers: d as F16, 4 bytes of fifth bits, 16 bytes. */
static void read_q5_0(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 22)
        for (int j = 0; j < 32; j++)
            *x++ = half(b) * (five_bits(b + 2, b + 6, j) - 16);
}

/* x = d q + m.  32 numbers: d and m as F16, 4 bytes of fifth bits, 16 bytes. */
static void read_q5_1(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 24)
        for (int j = 0; j < 32; j++)
            *x++ = half(b) * five_bits(b + 4, b + 8, j) + half(b + 2);
}

/* The scale and the minimum of part j of 8, of 6 bits each: those of the first four parts are the low bits of bytes 0
 * to 3 and 4 to 7; of the last four, the low four bits stand in bytes 8 to 11, the high two above the first four's. */
static void get_scale(const uint8_t *s, int j, int *scale, int *minimum)
{
    *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *minimum = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

/* x = d scale q - dmin minimum.  256 numbers in 8 parts: d and dmin as F16, 12 bytes of scales and minimums, of Q5_K 32
 * bytes with the fifth bits (bit k of byte j: number j of part k), 4 x 32 bytes of q: the low halves are one part, the
 * high ones the next. d scale q is exact in fp32, so is dmin minimum. */
static void read_parts(const uint8_t *b, const uint8_t *fifth, const uint8_t *low, float *x)
{
    float d = half(b), dmin = half(b + 2);
    for (int part = 0; part < 8; part++) {
        int scale, minimum;
        get_scale(b + 4, part, &scale, &minimum);
        float by = d * (float)scale, minus = dmin * (float)minimum;
        const uint8_t *q = low + part / 2 * 32;
        for (int j = 0; j < 32; j++) {
            int high = fifth ? (fifth[j] >> part & 1) << 4 : 0;
            *x++ = by * (float)((q[j] >> part % 2 * 4 & 15) | high) - minus;
        }
    }
}

static void read_q4_k(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 144, x += 256)
        read_parts(b, NULL, b + 16, x);
}

static void read_q5_k(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 176, x += 256)
        read_parts(b, b + 16, b + 48, x);
}

/* x = d scale (q - 32).  256 numbers in 16 parts: 2 x 64 bytes with the low four bits, 2 x 32 with the high two, 16
 * scales as int8, d as F16. Of 128 numbers, the first 64 have the low halves of their 64 bytes, the last the high ones;
 * number j has bits 2 (j / 32) and up of byte j % 32 of its 32. */
static void read_q6_k(const uint8_t *b, int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++, b += 210)
        for (int j = 0; j < 256; j++) {
            const uint8_t *low = b + j / 128 * 64, *high = b + 128 + j / 128 * 32;
            int q = (low[j % 64] >> j % 128 / 64 * 4 & 15) | (high[j % 32] >> j % 128 / 32 * 2 & 3) << 4;
            *x++ = half(b + 208) * (float)(int8_t)b[192 + j / 16] * (float)(q - 32);
        }
}

static void read_f32(const uint8_t *b, int64_t count, float *x)
{
    gp_to_f32(x, b, GP_F32, count);
}

static void read_f16(const uint8_t *b, int64_t count, float *x)
{
    gp_to_f32(x, b, GP_F16, count);
}

static void read_bf16(const uint8_t *b, int64_t count, float *x)
{
    gp_to_f32(x, b, GP_BF16, count);
}

/* Numbers that are left out were types once, or are none yet. */
static const gp_gguf_block blocks[] = {
    [GP_GGML_F32] = {"F32", 1, 4, GP_F32, read_f32},
    [GP_GGML_F16] = {"F16", 1, 2, GP_F16, read_f16},
    [2] = {"Q4_0", 32, 18, GP_F32, read_q4_0},
    [3] = {"Q4_1", 32, 20, GP_F32, read_q4_1},
    [6] = {"Q5_0", 32, 22, GP_F32, read_q5_0},
    [7] = {"Q5_1", 32, 24, GP_F32, read_q5_1},
    [GP_GGML_Q8_0] = {"Q8_0", 32, 34, GP_F32, read_q8_0},
    [9] = {"Q8_1", 32, 36, GP_F32, NULL},
    [10] = {"Q2_K", 256, 84, GP_F32, NULL},
    [11] = {"Q3_K", 256, 110, GP_F32, NULL},
    [12] = {"Q4_K", 256, 144, GP_F32, read_q4_k},
    [13] = {"Q5_K", 256, 176, GP_F32, read_q5_k},
    [14] = {"Q6_K", 256, 210, GP_F32, read_q6_k},
    [15] = {"Q8_K", 256, 292, GP_F32, NULL},
    [16] = {"IQ2_XXS", 256, 66, GP_F32, NULL},
    [17] = {"IQ2_XS", 256, 74, GP_F32, NULL},
    [18] = {"IQ3_XXS", 256, 98, GP_F32, NULL},
    [19] = {"IQ1_S", 256, 50, GP_F32, NULL},
    [20] = {"IQ4_NL", 32, 18, GP_F32, NULL},
    [21] = {"IQ3_S", 256, 110, GP_F32, NULL},
    [22] = {"IQ2_S", 256, 82, GP_F32, NULL},
    [23] = {"IQ4_XS", 256, 136, GP_F32, NULL},
    [24] = {"I8", 1, 1, GP_F32, NULL},
    [25] = {"I16", 1, 2, GP_F32, NULL},
    [26] = {"I32", 1, 4, GP_F32, NULL},
    [27] = {"I64", 1, 8, GP_F32, NULL},
    [28] = {"F64", 1, 8, GP_F32, NULL},
    [29] = {"IQ1_M", 256, 56, GP_F32, NULL},
    [GP_GGML_BF16] = {"BF16", 1, 2, GP_BF16, read_bf16},
    [34] = {"TQ1_0", 256, 54, GP_F32, NULL},
    [35] = {"TQ2_0", 256, 66, GP_F32, NULL},
    [39] = {"MXFP4", 32, 17, GP_F32, NULL},
    [40] = {"NVFP4", 64, 36, GP_F32, NULL},
    [41] = {"Q1_0", 128, 18, GP_F32, NULL},
};

const gp_gguf_block *gp_gguf_block_of(uint32_t type)
{
    static const gp_gguf_block unknown = {0};
    return type < ARRAY_LEN(blocks) ? &blocks[type] : &unknown;
}

/* The largest |x| of 32, by its bits, which are in the order of the numbers. */
static float largest_of(const float x[32])
{
    uint32_t bits[32], most = 0;
    float largest;
    memcpy(bits, x, sizeof bits);
    for (int j = 0; j < 32; j++) {
        uint32_t b = bits[j] & 0x7fffffff;
        most = b > most ? b : most;
    }
    memcpy(&largest, &most, sizeof largest);
    return largest;
}

/* d = max |x| / 127, q = x / d, a half rounded away from zero. */
void gp_gguf_write_q8_0(uint8_t *b, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i += 32, x += 32, b += 34) {
        float d = largest_of(x) / 127, by = d >= FLT_MIN ? 1 / d : 0; /* of a smaller one, d is zero in F16 anyway */
        gp_from_f32(b, GP_F16, &d, 1);
        for (int j = 0; j < 32; j++) {
            float scaled = x[j] * by;
            int32_t whole = (int32_t)scaled;
            float rest = scaled - (float)whole;
            b[2 + j] = (uint8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
        }
    }
}
