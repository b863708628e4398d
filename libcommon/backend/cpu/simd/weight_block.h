/* weight_block.h: a block of a row in a weight format as fp32 vectors. All products are exact (at most 8 bits times the
 * 11 of fp16) but int4's sum with its minimum, which is rounded once; so every instruction set has the same numbers,
 * those of gp_weight_decode. */
#ifndef GP_CPU_WEIGHT_BLOCK_H
#define GP_CPU_WEIGHT_BLOCK_H

#include "backend/cpu/simd/vector.h"
#include "backend/weight_format.h"

enum { BLOCK_VECTORS = GP_WEIGHT_BLOCK / WIDTH };

typedef int32_t vec_int __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef uint16_t vec_u16 __attribute__((vector_size(WIDTH * sizeof(uint16_t))));
typedef int8_t vec_i8 __attribute__((vector_size(WIDTH)));
typedef uint8_t vec_u8 __attribute__((vector_size(WIDTH)));

/* GP_WEIGHT_BLOCK numbers of a row whose parts are at `part`. Rows are padded, so that a whole block can be read. */
typedef struct weight_row {
    gp_weight_format format;
    const char *scales, *minimums, *numbers;
} weight_row;

static inline weight_row weight_row_at(gp_weight_format format, const void *row, int64_t I)
{
    gp_weight_row at = gp_weight_row_of(format, I);
    return (weight_row){format, row, (const char *)row + at.minimums, (const char *)row + at.numbers};
}

/* The exponent's bias differs by 112; numbers without a leading 1 are integers times 2^-24. No infinity, no NaN. */
static inline vec vec_from_fp16(vec_u16 h)
{
#if defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps((__m256i)h);
#elif defined(__F16C__)
    return (vec)_mm256_cvtph_ps((__m128i)h);
#else
    vec_int u = __builtin_convertvector(h, vec_int), magnitude = u & 0x7fff, sign = (u & 0x8000) << 16;
    vec_int normal = (magnitude << 13) + (112 << 23);
    vec_int tiny = (vec_int)(__builtin_convertvector(magnitude, vec) * 0x1p-24f), is_tiny = magnitude < 0x400;
    return (vec)((is_tiny & tiny) | (~is_tiny & normal) | sign);
#endif
}

static inline float from_fp16(const char *at)
{
    uint16_t h;
    memcpy(&h, at, sizeof h);
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    uint32_t magnitude = h & 0x7fff, sign = (uint32_t)(h & 0x8000) << 16, bits = (magnitude << 13) + (112u << 23);
    float x;
    memcpy(&x, &bits, sizeof x);
    x = magnitude < 0x400 ? (float)magnitude * 0x1p-24f : x;
    return sign ? -x : x;
#endif
}

static inline vec_u16 u16_at(const char *p)
{
    vec_u16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline vec vec_from_i8(const char *p)
{
    vec_i8 q;
    memcpy(&q, p, sizeof q);
#if defined(__AVX512F__)
    return (vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)q));
#elif defined(__AVX2__)
    return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)&q)));
#else
    return __builtin_convertvector(q, vec);
#endif
}

static inline vec_int vec_from_u8(const char *p)
{
    vec_u8 q;
    memcpy(&q, p, sizeof q);
#if defined(__AVX512F__)
    return (vec_int)_mm512_cvtepu8_epi32((__m128i)q);
#elif defined(__AVX2__)
    return (vec_int)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)&q));
#else
    return __builtin_convertvector(q, vec_int);
#endif
}

/* A byte has two numbers: the block's first half in the low halves, its second in the high ones. */
static inline void load_int4(const weight_row *r, int64_t block, vec w[BLOCK_VECTORS])
{
    vec d = vec_all(from_fp16(r->scales + 2 * block)), m = vec_all(from_fp16(r->minimums + 2 * block));
    for (int v = 0; v < BLOCK_VECTORS / 2; v++) {
        vec_int q = vec_from_u8(r->numbers + block * GP_WEIGHT_BLOCK / 2 + v * WIDTH);
        w[v] = d * __builtin_convertvector(q & 15, vec) + m;
        w[v + BLOCK_VECTORS / 2] = d * __builtin_convertvector(q >> 4, vec) + m;
    }
}

/* Block `block` of a row; where `r->format` is a constant, its branch alone is left. */
static inline __attribute__((always_inline)) void load_block(const weight_row *r, int64_t block, vec w[BLOCK_VECTORS])
{
    if (r->format == GP_WEIGHTS_INT4) {
        load_int4(r, block, w);
    } else if (r->format == GP_WEIGHTS_INT8) {
        vec d = vec_all(from_fp16(r->scales + 2 * block));
        for (int v = 0; v < BLOCK_VECTORS; v++)
            w[v] = d * vec_from_i8(r->numbers + block * GP_WEIGHT_BLOCK + v * WIDTH);
    } else {
        for (int v = 0; v < BLOCK_VECTORS; v++) {
            vec_u16 u = u16_at(r->numbers + 2 * (block * GP_WEIGHT_BLOCK + v * WIDTH));
            if (r->format == GP_WEIGHTS_FP16)
                w[v] = vec_from_fp16(u);
            else
                w[v] = (vec)(__builtin_convertvector(u, vec_int) << 16);
        }
    }
}

#endif
