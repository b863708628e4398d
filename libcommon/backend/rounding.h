/* rounding.h: stochastic rounding from fp32 to bf16, for parameters that are stored in bf16 alone.
 *
 * An update is usually smaller than half the distance between two bf16 numbers, 2^-8 of the parameter: rounded to
 * nearest it would be lost in every step. Rounded up with a probability equal to its fraction of that distance, the
 * expected value of what is stored is exact (Gupta et al. 2015; Zamirai et al. 2020 for training in bf16).
 *
 * Philox: key = step->seed; counter = (e / 4, its upper half, GP_ROUNDING_SITE, step->step), e the element's index in
 * the flat vector of all parameters; word e % 4, of which the upper 16 bits are used. So ranks, threads and resumed
 * runs agree. */
#ifndef GP_BACKEND_ROUNDING_H
#define GP_BACKEND_ROUNDING_H

#include <string.h>

#include "base/rng.h"

/* A dropout site (model/model.h) after the last of the model's. */
#define GP_ROUNDING_SITE 0xffffffffu

/* The random words of elements e .. e + 3, e a multiple of 4. */
GP_RNG_FN gp_philox gp_rounding_words(uint64_t seed, uint32_t step, int64_t e)
{
    uint64_t group = (uint64_t)e >> 2;
    return gp_philox4x32(seed, (uint32_t)group, (uint32_t)(group >> 32), GP_ROUNDING_SITE, step);
}

GP_RNG_FN uint32_t gp_rounding_word(uint64_t seed, uint32_t step, int64_t e)
{
    gp_philox words = gp_rounding_words(seed, step, e);
    uint32_t low = e & 1 ? words.v[1] : words.v[0], high = e & 1 ? words.v[3] : words.v[2];
    return e & 2 ? high : low;
}

/* The bits of x rounded to one of its two neighbours in bf16: away from zero with a probability equal to its fraction
 * of the way there; exact bf16 numbers are unchanged. Beyond the largest number it rounds to infinity; infinities and
 * NaNs are unchanged. */
GP_RNG_FN uint16_t gp_round_by_chance(float x, uint32_t word)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return (uint16_t)(bits >> 16 | ((bits & 0x7fffffu) ? 0x40 : 0));
    return (uint16_t)((bits + (word >> 16)) >> 16);
}

#endif
