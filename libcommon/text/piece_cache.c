/* piece_cache.c: see piece_cache.h. */
#include "text/piece_cache.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_BITS = 13 }; /* the table grows from 8192 lines of two pieces, 512 KB */

void gp_piece_cache_init(gp_piece_cache *c)
{
    *c = (gp_piece_cache){.bits = MIN_BITS};
    c->memory = gp_calloc(((size_t)1 << GP_PIECE_BITS) + 1, sizeof(gp_cache_line));
    c->lines = (gp_cache_line *)gp_round_up((uintptr_t)c->memory, sizeof(gp_cache_line));
}

void gp_piece_cache_release(gp_piece_cache *c)
{
    free(c->memory);
    *c = (gp_piece_cache){0};
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
            gp_cache_line *l = &to[gp_key_hash(&p->key) >> (64 - c->bits) & 1];
            if (p->key.words[1])
                *l = (gp_cache_line){{*p, l->pieces[0]}};
        }
        memcpy(&c->lines[2 * i], to, sizeof to);
    }
}
