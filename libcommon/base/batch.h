/* batch.h: memory of batches, for sources that fill them. */
#ifndef GP_BASE_BATCH_H
#define GP_BASE_BATCH_H

#include "base/arena.h"
#include "gptpipe/batch.h"

/* A layout function (arena.h): takes memory for the largest batch of s. */
void gp_batch_layout(gp_arena *a, const gp_source *s, gp_batch *batch);

/* A member of a batch, writable for the source that fills it; readers of a batch see const pointers. */
static inline void *gp_batch_fill(const void *member)
{
    return (void *)(uintptr_t)member;
}

#endif
