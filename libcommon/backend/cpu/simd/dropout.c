/* dropout.c: Philox for many elements at once. */
#include "backend/cpu/kernels.h"
#include "base/rng.h"

/* Four elements share a counter; a strip of counters is drawn at once, and the range asked for may begin and
 * end inside it. */
void KERNEL(keep)(const gp_dropout *drop, int64_t b, int64_t first, int64_t n, float *factor)
{
    enum { STRIP = 64 };
    const gp_step *step = drop->step;
    float p = drop->p, scale = 1 / (1 - drop->p), drawn[STRIP * 4];
    uint32_t sample = step->sample0 + (uint32_t)b, site = drop->site, now = step->step;
    uint64_t seed = step->seed;
    for (int64_t done = 0; done < n;) {
        int64_t at = first + done, skip = at & 3, taken = gp_min(STRIP * 4 - skip, n - done);
        uint32_t group = (uint32_t)(at >> 2);
#pragma omp simd
        for (int i = 0; i < STRIP; i++) {
            gp_philox r = gp_philox4x32(seed, group + (uint32_t)i, sample, site, now);
            drawn[4 * i] = gp_uniform(r.v[0]) >= p ? scale : 0;
            drawn[4 * i + 1] = gp_uniform(r.v[1]) >= p ? scale : 0;
            drawn[4 * i + 2] = gp_uniform(r.v[2]) >= p ? scale : 0;
            drawn[4 * i + 3] = gp_uniform(r.v[3]) >= p ? scale : 0;
        }
        for (int64_t i = 0; i < taken; i++)
            factor[done + i] = drawn[skip + i];
        done += taken;
    }
}
