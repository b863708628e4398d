/* batch.c: see batch.h. */
#include "base/batch.h"

void gp_batch_layout(gp_arena *a, const gp_source *s, gp_batch *batch)
{
    size_t rows = (size_t)s->rows, ids = (size_t)s->tokens * sizeof(int32_t);
    *batch = (gp_batch){.inputs = gp_arena_take(a, ids)};
    if (s->members & GP_BATCH_TARGETS)
        batch->targets = gp_arena_take(a, ids);
    if (s->members & GP_BATCH_TYPES)
        batch->types = gp_arena_take(a, ids);
    if (s->members & GP_BATCH_LENGTHS)
        batch->lengths = gp_arena_take(a, rows * sizeof *batch->lengths);
    if (s->members & GP_BATCH_LABELS)
        batch->labels = gp_arena_take(a, rows * sizeof *batch->labels);
    if (s->members & GP_BATCH_ITEMS)
        batch->items = gp_arena_take(a, rows * sizeof *batch->items);
}

gp_batch gp_batch_open(const gp_source *s)
{
    gp_arena a = {.name = "batches"};
    gp_batch batch;
    gp_batch_layout(&a, s, &batch);
    gp_arena_allocate(&a, gp_host_memory);
    gp_batch_layout(&a, s, &batch);
    batch.memory = a.base;
    return batch;
}

void gp_batch_close(gp_batch *batch)
{
    gp_host_memory.free(gp_host_memory.self, batch->memory, 0); /* the whole arena */
    *batch = (gp_batch){0};
}
