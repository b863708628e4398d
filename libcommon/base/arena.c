/* arena.c: see arena.h. */
#include "base/arena.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, SMALL = 1 << 20 };

static void *host_alloc(void *self, size_t bytes, const char *what)
{
    (void)self;
    void *p = NULL;
    size_t total = bytes > SMALL ? (size_t)gp_memory_query("").total : SMALL; /* the query reads many files */
    if (bytes > total) /* Linux overcommits: it may grant them and kill the process when they are touched */
        die("out of memory (%zu bytes for %s; the machine has %zu)", bytes, what, total);
    if (posix_memalign(&p, ALIGN, gp_round_up(bytes ? bytes : 1, ALIGN)))
        die("out of memory (%zu bytes for %s)", bytes, what);
    memset(p, 0, bytes);
    return p;
}

static void host_free(void *self, void *p, size_t bytes)
{
    (void)self, (void)bytes;
    free(p);
}

const gp_memory gp_host_memory = {host_alloc, host_free, NULL};

void *gp_arena_take(gp_arena *a, size_t bytes)
{
    size_t at = a->used;
    a->used += gp_round_up(bytes, ALIGN);
    if (!a->base) {
        a->size = a->used;
        return NULL;
    }
    BUG_ON(a->used > a->size);
    return a->base + at;
}

void gp_arena_tensor(gp_arena *a, gp_tensor *t)
{
    t->data = gp_arena_take(a, (size_t)gp_tensor_bytes(t));
}

void gp_arena_allocate(gp_arena *a, gp_memory memory)
{
    BUG_ON(a->base);
    a->memory = memory;
    a->base = memory.alloc(memory.self, a->size, a->name ? a->name : "an arena");
    a->used = 0;
}

void gp_arena_release(gp_arena *a)
{
    if (a->base)
        a->memory.free(a->memory.self, a->base, a->size);
    *a = (gp_arena){.name = a->name};
}
