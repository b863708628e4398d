/* vector.h: vectors of this instruction set, by the extensions of gcc and clang, and the few instructions that
 * compilers do not generate from them. */
#ifndef GP_CPU_VECTOR_H
#define GP_CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

/* WIDTH floats a vector; a block of ROWS x VECTORS sums stays in registers. */
#if defined(__AVX512F__)
enum { WIDTH = 16, ROWS = 8, VECTORS = 2 };
#elif defined(__AVX__)
enum { WIDTH = 8, ROWS = 4, VECTORS = 2 };
#elif defined(__aarch64__) /* 32 registers, as with AVX-512 */
enum { WIDTH = 4, ROWS = 8, VECTORS = 2 };
#else
enum { WIDTH = 4, ROWS = 4, VECTORS = 2 };
#endif

typedef float vec __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(WIDTH * sizeof(float))));
typedef float vec_at __attribute__((vector_size(WIDTH * sizeof(float)), aligned(4), may_alias)); /* in memory */

static inline vec vec_load(const float *x)
{
    return *(const vec_at *)x;
}

static inline void vec_store(float *x, vec v)
{
    *(vec_at *)x = v;
}

static inline vec vec_all(float x)
{
    return (vec){0} + x;
}

static inline float larger(float a, float b)
{
    return a > b ? a : b;
}

static inline vec vec_larger(vec a, vec b)
{
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps((__m128)a, (__m128)b);
#else
    ivec first = a > b;
    return (vec)((first & (ivec)a) | (~first & (ivec)b));
#endif
}

/* Reductions of lanes: four at a time, then two. */
typedef float quad __attribute__((vector_size(4 * sizeof(float))));

static inline float vec_total(vec v)
{
    quad part[WIDTH / 4], sum = {0};
    memcpy(part, &v, sizeof part);
    for (int i = 0; i < WIDTH / 4; i++)
        sum += part[i];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static inline float vec_largest(vec v)
{
    quad part[WIDTH / 4], max;
    memcpy(part, &v, sizeof part);
    max = part[0];
    for (int i = 1; i < WIDTH / 4; i++)
        for (int j = 0; j < 4; j++)
            max[j] = larger(max[j], part[i][j]);
    return larger(larger(max[0], max[2]), larger(max[1], max[3]));
}

/* The sum of n numbers. */
static inline float total(const float *x, int64_t n)
{
    vec a = {0}, b = {0};
    int64_t i = 0;
    float rest = 0;
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH) {
        a += vec_load(x + i);
        b += vec_load(x + i + WIDTH);
    }
    for (; i + WIDTH <= n; i += WIDTH)
        a += vec_load(x + i);
    for (; i < n; i++)
        rest += x[i];
    return vec_total(a + b) + rest;
}

/* The largest of n numbers and `max`. */
static inline float largest(const float *x, int64_t n, float max)
{
    vec a = vec_all(max);
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        a = vec_larger(a, vec_load(x + i));
    for (; i < n; i++)
        max = larger(max, x[i]);
    return larger(max, vec_largest(a));
}

#endif
