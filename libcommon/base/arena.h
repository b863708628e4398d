/* arena.h: one block of memory whose size is planned in advance and which is handed out in order.
 *
 * A layout function takes what it needs from the arena. It runs twice: on a fresh arena, where gp_arena_take only
 * counts, and after gp_arena_allocate, where it returns addresses:
 *
 *     gp_arena a = {.name = "activations"};
 *     layout(&a, &acts);              // counts
 *     gp_arena_allocate(&a, memory);  // one allocation of a.size bytes, zeroed
 *     layout(&a, &acts);              // assigns addresses
 */
#ifndef GP_ARENA_H
#define GP_ARENA_H

#include "base/base.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An allocator: of a backend's memory, or of the host's. */
typedef struct gp_memory {
    /* Zeroed and 64-byte aligned. Out of memory it dies with a message that names `what`. The host's pages are zero on
     * demand: what is never written takes no memory. */
    void *(*alloc)(void *self, size_t bytes, const char *what);
    void (*free)(void *self, void *p, size_t bytes);
    void *self;
} gp_memory;

extern const gp_memory gp_host_memory;

typedef struct gp_arena {
    const char *name;
    char *base; /* NULL while counting */
    size_t size, used;
    gp_memory memory;
} gp_arena;

/* The next `bytes`, 64-byte aligned; NULL while counting. Taking more than was planned is a bug and aborts. */
void *gp_arena_take(gp_arena *a, size_t bytes);

/* Takes memory for a tensor of t's dtype and dims, and sets t->data. */
void gp_arena_tensor(gp_arena *a, gp_tensor *t);

void gp_arena_allocate(gp_arena *a, gp_memory memory);
void gp_arena_release(gp_arena *a);

#ifdef __cplusplus
}
#endif
#endif
