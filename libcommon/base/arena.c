/* arena.c: see arena.h. The host allocates by calloc, which leaves the kernel's fresh pages untouched; the address of
 * the block precedes the aligned memory. */
#include "base/arena.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, SMALL = 1 << 20 };

static void *host_alloc(void *self, size_t bytes, const char *what)
{
    (void)self;
    size_t total = bytes > SMALL ? (size_t)gp_memory_query("").total : SMALL; /* the query reads many files */
    if (bytes > total) /* Linux overcommits: it may grant them and kill the process when they are touched */
        die("out of memory (%zu bytes for %s; the machine has %zu)", bytes, what, total);
    char *block = calloc(1, gp_round_up(bytes, ALIGN) + ALIGN);
    if (!block)
        die("out of memory (%zu bytes for %s)", bytes, what);
    char *p = block + ALIGN - (uintptr_t)block % ALIGN; /* at least 8 bytes after it: malloc aligns to 8 or more */
    memcpy(p - sizeof block, &block, sizeof block);
    return p;
}

static void host_free(void *self, void *p, size_t bytes)
{
    char *block;
    (void)self, (void)bytes;
    if (!p)
        return;
    memcpy(&block, (char *)p - sizeof block, sizeof block);
    free(block);
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
