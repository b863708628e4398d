/* batch.h: the memory of batches, for those who fill them. */
#ifndef GP_BASE_BATCH_H
#define GP_BASE_BATCH_H

#include "base/arena.h"
#include "gptpipe/batch.h"

/* A layout (arena.h): takes memory for any batch of s. */
void gp_batch_layout(gp_arena *a, const gp_source *s, gp_batch *batch);

/* A member of a batch that its source fills. Whoever only reads a batch may have what it points to const. */
static inline void *gp_batch_fill(const void *member)
{
    return (void *)(uintptr_t)member;
}

#endif
