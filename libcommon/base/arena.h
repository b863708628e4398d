/* arena.h: bytes planned once, handed out in order, never grown.
 *
 * A layout is one function that takes what it needs. It runs twice: on a fresh arena, where takes only
 * count, and after gp_arena_allocate, where they give addresses:
 *
 *     gp_arena a = {.name = "activations"};
 *     layout(&a, &acts);              // counts
 *     gp_arena_allocate(&a, memory);  // one allocation of a.size bytes, zeroed
 *     layout(&a, &acts);              // gives
 *
 * An arena may instead borrow a mapping (gp_arena_borrow): it then never frees. */
#ifndef GP_ARENA_H
#define GP_ARENA_H

#include "base/base.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an arena's bytes come from: the backend's memory, or the host's. */
typedef struct gp_memory {
    /* zeroed, 64-byte aligned; dies when there is none for `what` */
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
    bool borrowed;
} gp_arena;

/* bytes, 64-byte aligned; NULL while counting. Taking more than was planned is a bug and aborts. */
void *gp_arena_take(gp_arena *a, size_t bytes);

/* Fills in t->data for a tensor of t's dtype and dims. */
void gp_arena_tensor(gp_arena *a, gp_tensor *t);

void gp_arena_allocate(gp_arena *a, gp_memory memory);
void gp_arena_borrow(gp_arena *a, void *base, size_t size);
void gp_arena_release(gp_arena *a);

#ifdef __cplusplus
}
#endif
#endif
