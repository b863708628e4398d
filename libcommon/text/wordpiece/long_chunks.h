/* long_chunks.h: chunks that have too many bytes or ids for a gp_cached_piece, whose key and place are in a
 * gp_piece_cache. They are stored one after another; when their memory is full, all are dropped. */
#ifndef GP_TEXT_WORDPIECE_LONG_CHUNKS_H
#define GP_TEXT_WORDPIECE_LONG_CHUNKS_H

#include "text/piece_cache.h"

enum { GP_LONG_CHUNK_BYTES = 255, GP_LONG_CHUNK_COPY = 16 };

typedef struct gp_long_chunk {
    uint16_t length, count; /* of the bytes and ids */
    int32_t ids[];          /* (count); then the bytes. At least GP_LONG_CHUNK_COPY ids are readable. */
} gp_long_chunk;

typedef struct gp_long_chunks {
    char *chunks; /* takes physical memory only once used */
    size_t used;
    int32_t drops; /* how often all were dropped */
} gp_long_chunks;

void gp_long_chunks_init(gp_long_chunks *c);
void gp_long_chunks_release(gp_long_chunks *c);

/* The key of GP_KEY_BYTES < n <= GP_LONG_CHUNK_BYTES bytes: a hash, which others may have too. No other length has it.
 * Not seeded: a collision costs only a miss. */
static inline gp_key gp_long_chunk_key(const uint8_t *p, size_t n)
{
    uint64_t hash = n, word;
    for (size_t at = 0; at + 8 < n; at += 8) {
        memcpy(&word, p + at, 8);
        hash = gp_hash_mix(hash ^ word, 0x9E3779B97F4A7C15u);
    }
    memcpy(&word, p + n - 8, 8);
    return (gp_key){{gp_hash_mix(hash ^ word, 0xD6E8FEB86659FD93u), (uint64_t)(GP_KEY_BYTES + 1) << 56 | n}};
}

/* The chunk of n bytes of a piece without ids; NULL if it was dropped, or is another one with the same key. */
const gp_long_chunk *gp_long_chunks_get(const gp_long_chunks *c, const gp_cached_piece *piece, const uint8_t *p,
                                        size_t n);

/* Stores a chunk of n <= GP_LONG_CHUNK_BYTES bytes and `count` ids; *piece: where it is. */
void gp_long_chunks_put(gp_long_chunks *c, const uint8_t *p, size_t n, const int32_t *ids, int64_t count,
                        gp_cached_piece *piece);

#endif
