/* dropout.h: the mask of backend.h's gp_dropout, element by element.
 *
 *     gp_mask mask = gp_mask_open(&op->drop, b);           // sample b of this batch
 *     for (int64_t i = 0; i < n; i++)
 *         y[i] = x[i] * gp_mask_at(&mask, i);              // 0 or 1 / (1 - p); 1 without dropout
 *
 * One Philox call gives four elements, which are cached, so in sequential order an element costs a quarter of a
 * call. */
#ifndef GP_REF_DROPOUT_H
#define GP_REF_DROPOUT_H

#include "backend/backend.h"
#include "base/rng.h"

typedef struct gp_mask {
    const gp_step *step; /* NULL: no dropout */
    float p, scale;
    uint32_t site, sample;
    int64_t group; /* of four elements, to which `words` belongs; -1: none */
    gp_philox words;
} gp_mask;

static inline gp_mask gp_mask_open(const gp_dropout *d, int64_t b)
{
    gp_mask m = {.group = -1};
    if (!d->step || d->p == 0)
        return m;
    BUG_ON(!(d->p > 0 && d->p < 1));
    m.step = d->step;
    m.p = d->p;
    m.scale = 1 / (1 - d->p);
    m.site = d->site;
    m.sample = d->step->sample0 + (uint32_t)b;
    return m;
}

static inline float gp_mask_at(gp_mask *m, int64_t element)
{
    if (!m->step)
        return 1;
    if (element >> 2 != m->group) {
        m->group = element >> 2;
        m->words = gp_philox4x32(m->step->seed, (uint32_t)m->group, m->sample, m->site, m->step->step);
    }
    return gp_uniform(m->words.v[element & 3]) >= m->p ? m->scale : 0;
}

#endif
