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
    int64_t grouped; /* blocks in whole groups */
} weight_row;

/* The d and m of up to SCALES blocks in fp32, with room for whole vectors. */
enum { SCALES = 32 };
typedef struct block_scales {
    float d[SCALES + WIDTH], m[SCALES + WIDTH];
} block_scales;

static inline weight_row weight_row_at(gp_weight_format format, const void *row, int64_t I)
{
    gp_weight_row at = gp_weight_row_of(format, I);
    int64_t grouped = I / GP_WEIGHT_GROUP * (GP_WEIGHT_GROUP / GP_WEIGHT_BLOCK);
    return (weight_row){format, row, (const char *)row + at.minimums, (const char *)row + at.numbers, grouped};
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

/* By an instruction: gcc 12 converts 16 numbers by halves, and puts them together. */
static inline vec vec_from_bf16(vec_u16 u)
{
#if defined(__AVX512F__)
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)u), 16);
#else
    return (vec)(__builtin_convertvector(u, vec_int) << 16);
#endif
}

static inline vec_u16 u16_at(const char *p)
{
    vec_u16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The scales of `count` blocks from `block` on. What is read after the last one is the row's numbers, and unused. */
static inline __attribute__((always_inline)) void load_scales(const weight_row *r, int64_t block, int64_t count,
                                                              block_scales *s)
{
    if (r->format != GP_WEIGHTS_INT8 && r->format != GP_WEIGHTS_INT4)
        return;
    for (int64_t i = 0; i < count; i += WIDTH) {
        vec_store(s->d + i, vec_from_fp16(u16_at(r->scales + 2 * (block + i))));
        if (r->format == GP_WEIGHTS_INT4)
            vec_store(s->m + i, vec_from_fp16(u16_at(r->minimums + 2 * (block + i))));
    }
}

/* Into the second cache: the processor itself stops at the end of a page. A line as the loop reads one, not a row at
 * once, for which loads would wait. */
enum { LINE = 64 };
static inline void fetch_line(const char *from)
{
    __builtin_prefetch(from, 0, 2);
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

/* The q of a block, `bytes`, one after another: in a group they are not, and are collected in `copy`. */
static inline __attribute__((always_inline)) const char *load_q(const weight_row *r, int64_t block, int bytes,
                                                                char copy[GP_WEIGHT_BLOCK])
{
    enum { PIECE = GP_WEIGHT_PIECE, BLOCKS = GP_WEIGHT_GROUP / GP_WEIGHT_BLOCK };
    const char *first = r->numbers + (block - block % BLOCKS) * bytes + block % BLOCKS * PIECE;
    if (block >= r->grouped)
        return r->numbers + block * bytes;
    for (int j = 0; j < bytes / PIECE; j++)
        memcpy(copy + j * PIECE, first + j * BLOCKS * PIECE, PIECE);
    return copy;
}

/* A byte has two numbers: the block's first half in the low halves, its second in the high ones. */
static inline void load_int4(const char *numbers, vec d, vec m, vec w[BLOCK_VECTORS])
{
#if defined(__AVX512F__)
    /* the 16 numbers that the block has, looked up by the low 4 bits of a lane */
    const vec steps = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    __m512 table = (__m512)(d * steps + m);
    __m512i q = (__m512i)vec_from_u8(numbers);
    w[0] = (vec)_mm512_permutexvar_ps(q, table);
    w[1] = (vec)_mm512_permutexvar_ps(_mm512_srli_epi32(q, 4), table);
#else
    for (int v = 0; v < BLOCK_VECTORS / 2; v++) {
        vec_int q = vec_from_u8(numbers + v * WIDTH);
        w[v] = d * __builtin_convertvector(q & 15, vec) + m;
        w[v + BLOCK_VECTORS / 2] = d * __builtin_convertvector(q >> 4, vec) + m;
    }
#endif
}

/* Block `block` of a row, with its d and m; where `r->format` is a constant, its branch alone is left. */
static inline __attribute__((always_inline)) void load_block(const weight_row *r, int64_t block, float d, float m,
                                                             vec w[BLOCK_VECTORS])
{
    char copy[GP_WEIGHT_BLOCK];
    if (r->format == GP_WEIGHTS_INT4) {
        load_int4(load_q(r, block, GP_WEIGHT_BLOCK / 2, copy), vec_all(d), vec_all(m), w);
    } else if (r->format == GP_WEIGHTS_INT8) {
        const char *q = load_q(r, block, GP_WEIGHT_BLOCK, copy);
        for (int v = 0; v < BLOCK_VECTORS; v++)
            w[v] = d * vec_from_i8(q + v * WIDTH);
    } else {
        for (int v = 0; v < BLOCK_VECTORS; v++) {
            vec_u16 u = u16_at(r->numbers + 2 * (block * GP_WEIGHT_BLOCK + v * WIDTH));
            if (r->format == GP_WEIGHTS_FP16)
                w[v] = vec_from_fp16(u);
            else
                w[v] = vec_from_bf16(u);
        }
    }
}

#endif
