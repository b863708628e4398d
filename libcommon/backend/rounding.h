/* rounding.h: fp32 to bf16 by chance, for parameters that are kept in bf16 alone.
 *
 * An update is mostly smaller than half the distance between two bf16 numbers, 2^-8 of the parameter: to the nearest,
 * it would be lost, and lost again in every step. Rounded up with the probability that is the share of that distance,
 * the mean of what is stored is what was to be stored (Gupta et al. 2015; Zamirai et al. 2020 for training in bf16).
 *
 * Philox: key = step->seed; counter = (e / 4, its upper half, GP_ROUNDING_SITE, step->step), e the element's number in
 * the flat vector of all parameters; word e % 4, of which the upper 16 bits count. So ranks, threads and resumed runs
 * agree. */
#ifndef GP_BACKEND_ROUNDING_H
#define GP_BACKEND_ROUNDING_H

#include <string.h>

#include "base/rng.h"

/* Among dropout's sites (model/model.h), beyond the last of them. */
#define GP_ROUNDING_SITE 0xffffffffu

/* The words of elements e .. e + 3, where e is a multiple of 4. */
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

/* The bits of one of x's two neighbours in bf16, away from zero with the probability that is x's share of the way
 * there: a number that bf16 has stays. Beyond the largest lies infinity; infinities and NaNs stay what they are. */
GP_RNG_FN uint16_t gp_round_by_chance(float x, uint32_t word)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return (uint16_t)(bits >> 16 | ((bits & 0x7fffffu) ? 0x40 : 0));
    return (uint16_t)((bits + (word >> 16)) >> 16);
}

#endif
