/* rng.h: counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw depends on (key, counter) alone, so any thread, rank or restart can make it. */
#ifndef GP_RNG_H
#define GP_RNG_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__ /* kernels draw by the same function */
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
    gp_philox drawn = {{c0, c1, c2, c3}};
    return drawn;
}

/* [0, 1) with 24 bits: every float it gives is exact. */
GP_RNG_FN float gp_uniform(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

/* What a draw is for: the counter's last word, so that two uses of one seed never share one. Dropout has the step
 * there; its sites (the word before) begin where no stream reaches, and the last is rounding's (backend/rounding.h). */
enum { GP_RNG_INIT = 1, GP_RNG_DATA, GP_RNG_DROPOUT, GP_RNG_SAMPLE, GP_RNG_STORIES, GP_RNG_ITEMS };

/* 64 bits for element i of stream `stream` of use `use`. */
GP_RNG_FN uint64_t gp_random64(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i)
{
    gp_philox r = gp_philox4x32(seed, (uint32_t)i, (uint32_t)(i >> 32), stream, use);
    return (uint64_t)r.v[0] << 32 | r.v[1];
}

/* [0, 1) with 53 bits. */
GP_RNG_FN double gp_random_double(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i)
{
    return (double)(gp_random64(seed, use, stream, i) >> 11) * 0x1p-53;
}

/* [0, n) without bias worth naming: the high word of a 128-bit product. */
static inline uint64_t gp_random_below(uint64_t seed, uint32_t use, uint32_t stream, uint64_t i, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)gp_random64(seed, use, stream, i) * n >> 64);
}

/* Where x of [0, n) goes in a permutation keyed by (seed, use, stream, epoch): a Feistel network over the smallest even
 * number of bits that holds n - 1, walked along its cycle until it lands inside (Black & Rogaway 2002). At most four
 * walks on average, no table. It draws from the streams stream + 1 .. stream + GP_PERMUTE_ROUNDS. */
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
