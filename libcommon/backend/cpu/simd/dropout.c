/* dropout.c: vectorized Philox (rng.h). Words are in 64-bit lanes, whose upper halves contain leftovers of products:
 * each multiplication reads only the lower half, as the instructions do, so nothing is moved between lanes. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"

#include <string.h>

enum { LANES = WIDTH / 2, STRIP = 32 }; /* counters a vector, and counters drawn at once */

typedef uint64_t words __attribute__((vector_size(LANES * sizeof(uint64_t))));

/* The products of the lower halves. */
static inline words multiply(words a, words b)
{
#if defined(__AVX512F__)
    return (words)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (words)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

static inline words all(uint64_t x)
{
    return (words){0} + x;
}

/* Words 0 and 1 of LANES consecutive counters, then words 2 and 3, each pair in memory order. */
static inline void draw(uint64_t key, uint32_t group, uint32_t sample, uint32_t site, uint32_t step, words pair[2])
{
    words c0, c1 = all(sample), c2 = all(site), c3 = all(step);
    for (int i = 0; i < LANES; i++)
        c0[i] = group + (uint32_t)i;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        words p0 = multiply(c0, all(0xD2511F53u)), p1 = multiply(c2, all(0xCD9E8D57u));
        c0 = p1 >> 32 ^ c1 ^ all(k0);
        c1 = p1;
        c2 = p0 >> 32 ^ c3 ^ all(k1);
        c3 = p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    pair[0] = (c0 & all(0xffffffff)) | c1 << 32;
    pair[1] = (c2 & all(0xffffffff)) | c3 << 32;
}

/* factor[0 .. 4 n) for n counters, n a multiple of LANES. An element is kept if gp_uniform(word) >= p, that is
 * word >> 8 >= p 2^24. */
static void factors(const gp_dropout *drop, uint32_t sample, uint32_t group, int64_t n, float *factor)
{
    const gp_step *step = drop->step;
    const double limit = (double)drop->p * 0x1p24;
    const int32_t threshold = (int32_t)limit + ((int32_t)limit < limit);
    const float scale = 1 / (1 - drop->p);
    union {
        uint64_t pairs[STRIP * 2];
        uint32_t words[STRIP * 4];
    } drawn;
    for (int64_t i = 0; i < n; i += LANES) {
        words pair[2];
        draw(step->seed, group + (uint32_t)i, sample, drop->site, step->step, pair);
        for (int j = 0; j < LANES; j++) {
            drawn.pairs[2 * (i + j)] = pair[0][j];
            drawn.pairs[2 * (i + j) + 1] = pair[1][j];
        }
    }
#pragma omp simd
    for (int64_t i = 0; i < 4 * n; i++)
        factor[i] = (int32_t)(drawn.words[i] >> 8) >= threshold ? scale : 0;
}

/* Four elements share a counter; the requested range may begin and end within one. */
void KERNEL(keep)(const gp_dropout *drop, int64_t b, int64_t first, int64_t n, float *factor)
{
    uint32_t sample = drop->step->sample0 + (uint32_t)b;
    float drawn[STRIP * 4];
    for (int64_t done = 0; done < n;) {
        int64_t at = first + done, skip = at & 3, taken = gp_min(STRIP * 4 - skip, n - done);
        int64_t counters = (int64_t)gp_round_up((size_t)(skip + taken + 3) / 4, LANES);
        if (!skip && taken == STRIP * 4) {
            factors(drop, sample, (uint32_t)(at >> 2), STRIP, factor + done);
        } else {
            factors(drop, sample, (uint32_t)(at >> 2), counters, drawn);
            memcpy(factor + done, drawn + skip, (size_t)taken * sizeof *factor);
        }
        done += taken;
    }
}
