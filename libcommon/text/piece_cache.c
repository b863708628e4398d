/* piece_cache.c: see piece_cache.h. */
#include "text/piece_cache.h"

#include <string.h>
#include <sys/mman.h>

enum { MIN_BITS = 13 }; /* the table grows from 8192 lines of two pieces, 512 KB */

void *gp_lazy_alloc(size_t size)
{
    enum { HUGE_PAGE = 1 << 21 };
    char *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        die("out of memory (%zu bytes)", size);
    size_t before = (size_t)(-(uintptr_t)p % HUGE_PAGE);
    if (before)
        munmap(p, before);
    munmap(p + before + size, HUGE_PAGE - before);
#ifdef MADV_HUGEPAGE
    if (size > HUGE_PAGE)
        madvise(p + before + HUGE_PAGE, size - HUGE_PAGE, MADV_HUGEPAGE); /* it only saves time */
#endif
    return p + before;
}

void gp_lazy_free(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}

void gp_piece_cache_init(gp_piece_cache *c, int max_bits)
{
    *c = (gp_piece_cache){.bits = MIN_BITS, .max_bits = max_bits};
    c->lines = gp_lazy_alloc(sizeof(gp_cache_line) << max_bits);
}

void gp_piece_cache_release(gp_piece_cache *c)
{
    gp_lazy_free(c->lines, sizeof(gp_cache_line) << c->max_bits);
    *c = (gp_piece_cache){0};
}

gp_cached_piece *gp_piece_cache_add(gp_piece_cache *c, gp_cache_line *l, const gp_key *key, const gp_cached_piece *old)
{
    gp_cached_piece *place = &l->pieces[c->fills & 1];
    if (old) {
        place = (gp_cached_piece *)(uintptr_t)old;
    } else {
        gp_cache_line *lines[2] = {l, gp_piece_cache_beside(l)};
        for (int i = 3; i >= 0; i--)
            if (!lines[i / 2]->pieces[i & 1].key.words[1])
                place = &lines[i / 2]->pieces[i & 1];
    }
    place->key = *key;
    c->fills++;
    return place;
}

/* The pieces of line i move to 2i and 2i + 1, from the last line to the first. */
void gp_piece_cache_grow(gp_piece_cache *c)
{
    size_t i = (size_t)1 << c->bits++;
    c->fills = 0;
    while (i--) {
        gp_cache_line from = c->lines[i], to[2] = {0};
        for (int way = 1; way >= 0; way--) { /* the more recent piece ends up first */
            const gp_cached_piece *p = &from.pieces[way];
            size_t at = gp_key_hash(&p->key) >> (64 - c->bits);
            gp_cache_line *l = &to[at & 1];
            if (p->key.words[1] && at / 2 == i)
                *l = (gp_cache_line){{*p, l->pieces[0]}};
        }
        memcpy(&c->lines[2 * i], to, sizeof to);
    }
}
