/* chunk_bounds.c: see chunk_bounds.h. A bound is where a byte is in a chunk and the one before is not, or the
 * reverse. */
#include "text/wordpiece/chunk_bounds.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { BLOCK = GP_ASCII_BLOCK };

/* Without the end of a chunk at n, which may not be one. */
static size_t without_end(const uint16_t *bounds, size_t count, size_t n)
{
    return count - (count && count % 2 == 0 && bounds[count - 1] == n);
}

__attribute__((always_inline)) static inline size_t find(const uint8_t *p, size_t n, uint16_t *bounds)
{
    uint64_t inside = 0; /* the byte before is in a chunk */
    size_t count = 0;
    for (size_t base = 0; base < n; base += BLOCK) {
        uint64_t chunks = ~gp_ascii_spaces(p + base);
        count += gp_ascii_offsets(bounds + count, chunks ^ (chunks << 1 | inside), base);
        inside = chunks >> (BLOCK - 1);
    }
    return without_end(bounds, count, n);
}

static size_t find_baseline(const uint8_t *p, size_t n, uint16_t *bounds)
{
    return find(p, n, bounds);
}

#ifdef __x86_64__

__attribute__((target("avx2,bmi,popcnt"))) static size_t find_avx2(const uint8_t *p, size_t n, uint16_t *bounds)
{
    return find(p, n, bounds);
}

/* All offsets of a block at once: those that have a bit are moved together. */
__attribute__((target("avx512bw,avx512vbmi2,bmi,popcnt"))) static size_t find_avx512(const uint8_t *p, size_t n,
                                                                                     uint16_t *bounds)
{
    static const uint8_t numbers[BLOCK] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                           16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                           32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                           48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i offsets = _mm512_loadu_si512(numbers);
    uint64_t inside = 0;
    size_t count = 0;
    for (size_t base = 0; base < n; base += BLOCK) {
        __m512i x = _mm512_loadu_si512(p + base), from = _mm512_set1_epi16((short)base);
        uint64_t spaces = _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(' ')) |
                          _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\r')) |
                          _mm512_cmple_epu8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8('\t')), _mm512_set1_epi8(1));
        uint64_t chunks = ~spaces, changes = chunks ^ (chunks << 1 | inside);
        __m512i found = _mm512_maskz_compress_epi8(changes, offsets);
        __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(found));
        __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(found, 1));
        _mm512_storeu_si512(bounds + count, _mm512_add_epi16(low, from));
        _mm512_storeu_si512(bounds + count + BLOCK / 2, _mm512_add_epi16(high, from));
        count += (size_t)_mm_popcnt_u64(changes);
        inside = chunks >> (BLOCK - 1);
    }
    return without_end(bounds, count, n);
}

gp_find_chunks *gp_chunk_finder(int level)
{
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
    bool avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
    gp_find_chunks *const all[GP_CHUNK_FINDERS] = {find_baseline, avx2 ? find_avx2 : NULL,
                                                   avx2 && avx512 ? find_avx512 : NULL};
    return all[level];
}

#else

gp_find_chunks *gp_chunk_finder(int level)
{
    return level ? NULL : find_baseline;
}

#endif
