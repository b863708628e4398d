/* long_chunks.c: see long_chunks.h. */
#include "text/wordpiece/long_chunks.h"

enum { MEMORY = 1 << 24, UNIT = 8 /* chunks begin at multiples of it */ };

enum { MARK, AT, DROPS }; /* the ids of a piece: -1; where the chunk is, in UNITs; the drops before it */

void gp_long_chunks_init(gp_long_chunks *c)
{
    *c = (gp_long_chunks){.chunks = gp_lazy_alloc(MEMORY)};
}

void gp_long_chunks_release(gp_long_chunks *c)
{
    gp_lazy_free(c->chunks, MEMORY);
    *c = (gp_long_chunks){0};
}

const gp_long_chunk *gp_long_chunks_get(const gp_long_chunks *c, const gp_cached_piece *piece, const uint8_t *p,
                                        size_t n)
{
    const gp_long_chunk *chunk = (const gp_long_chunk *)(const void *)(c->chunks + (size_t)piece->ids[AT] * UNIT);
    if (piece->ids[DROPS] != c->drops)
        return NULL;
    bool is = n <= GP_KEY_BYTES || (chunk->length == n && !memcmp(chunk->ids + chunk->count, p, n));
    return is ? chunk : NULL;
}

void gp_long_chunks_put(gp_long_chunks *c, const uint8_t *p, size_t n, const int32_t *ids, int64_t count,
                        gp_cached_piece *piece)
{
    gp_long_chunk *chunk;
    size_t size = gp_round_up(sizeof *chunk + (size_t)count * sizeof *ids + n, UNIT);
    if (c->used + size + sizeof chunk->ids[0] * GP_LONG_CHUNK_COPY > MEMORY) {
        c->used = 0;
        c->drops++;
    }
    piece->ids[MARK] = -1;
    piece->ids[AT] = (int32_t)(c->used / UNIT);
    piece->ids[DROPS] = c->drops;
    chunk = (gp_long_chunk *)(void *)(c->chunks + c->used);
    chunk->length = (uint16_t)n;
    chunk->count = (uint16_t)count;
    memcpy(chunk->ids, ids, (size_t)count * sizeof *ids);
    memcpy(chunk->ids + count, p, n);
    c->used += size;
}
