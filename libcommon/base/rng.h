/* rng.h: counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number depends on (key, counter) alone, so any thread, rank or resumed run can compute it. */
#ifndef GP_RNG_H
#define GP_RNG_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__ /* kernels use the same functions */
#define GP_RNG_FN static inline __host__ __device__
#else
#define GP_RNG_FN static inline
#endif

typedef struct gp_philox {
    uint32_t v[4];
} gp_philox;

GP_RNG_FN gp_philox gp_philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    gp_philox output = {{c0, c1, c2, c3}};
    return output;
}

/* Uniform in [0, 1), with 24 bits: exact in fp32. */
GP_RNG_FN float gp_uniform(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

/* The use of a number: the last word of the counter, so that two uses of a seed never share numbers. Dropout has the
 * step there; its sites (the word before) begin above all streams, and the last site is that of stochastic rounding
 * (backend/rounding.h). */
enum { GP_RNG_INIT = 1, GP_RNG_DATA, GP_RNG_DROPOUT, GP_RNG_SAMPLE, GP_RNG_STORIES, GP_RNG_ITEMS, GP_RNG_MASK };

/* 64 random bits for element i of a stream. */
GP_RNG_FN uint64_t gp_random64(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i)
{
    gp_philox r = gp_philox4x32(seed, (uint32_t)i, (uint32_t)(i >> 32), stream, use);
    return (uint64_t)r.v[0] << 32 | r.v[1];
}

/* Uniform in [0, 1), with 53 bits. */
GP_RNG_FN double gp_random_double(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i)
{
    return (double)(gp_random64(seed, use, stream, i) >> 11) * 0x1p-53;
}

/* Scales 64 random bits to [0, n): the high word of a 128-bit product; its bias is below n / 2^64. */
static inline uint64_t gp_scale_below(uint64_t bits, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)bits * n >> 64);
}

/* Uniform in [0, n). */
static inline uint64_t gp_random_below(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i, uint64_t n)
{
    return gp_scale_below(gp_random64(seed, use, stream, i), n);
}

/* The image of x in a permutation of [0, n) keyed by (seed, use, stream, epoch), without a table: a Feistel network
 * over the smallest even number of bits that holds n - 1, applied again until the result is below n (cycle walking,
 * Black & Rogaway 2002), at most four times on average. It uses the streams stream + 1 to
 * stream + GP_PERMUTE_ROUNDS. */
enum { GP_PERMUTE_ROUNDS = 6 };

static inline uint64_t gp_random_permute(uint64_t x, uint64_t n, uint64_t seed, uint32_t use, uint32_t stream,
                                         uint64_t epoch)
{
    int half = 1;
    while (half < 31 && (uint64_t)1 << 2 * half < n)
        half++;
    uint32_t mask = ((uint32_t)1 << half) - 1;
    do {
        uint32_t left = (uint32_t)(x >> half), right = (uint32_t)x & mask;
        for (uint32_t round = 1; round <= GP_PERMUTE_ROUNDS; round++) {
            uint32_t f = gp_philox4x32(seed, right, (uint32_t)epoch, stream + round, use).v[0];
            uint32_t next = (left ^ f) & mask;
            left = right;
            right = next;
        }
        x = (uint64_t)left << half | right;
    } while (x >= n);
    return x;
}

/* Two independent standard normals (Box-Muller) for pair i. */
static inline void gp_random_normal2(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i, float out[2])
{
    gp_philox r = gp_philox4x32(seed, (uint32_t)i, (uint32_t)(i >> 32), stream, use);
    double u = (double)(((uint64_t)r.v[0] << 21 ^ r.v[1]) + 1) * 0x1p-53; /* (0, 1] */
    double angle = 6.283185307179586 * r.v[2] * 0x1p-32;
    double radius = sqrt(-2 * log(u));
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

#endif
