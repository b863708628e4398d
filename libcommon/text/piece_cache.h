/* piece_cache.h: recent pieces of text and their ids. */
#ifndef GP_TEXT_PIECE_CACHE_H
#define GP_TEXT_PIECE_CACHE_H

#include "text/ids.h"
#include "text/vocab.h"

enum {
    GP_PIECE_IDS = 4,
    GP_PIECE_BITS = 17, /* of the largest table: 8 MB */
};

typedef struct gp_cached_piece {
    gp_key key;                /* its bytes; length 0: empty */
    int32_t ids[GP_PIECE_IDS]; /* -1 after the last */
} gp_cached_piece;

/* A set of the cache, in one cache line of the processor; the first piece is the more recent one. */
typedef struct gp_cache_line {
    gp_cached_piece pieces[2];
} gp_cache_line;

typedef struct gp_piece_cache {
    gp_cache_line *lines; /* 2^bits of 2^GP_PIECE_BITS, which take physical memory only once used */
    int bits;
    int64_t fills; /* since it last grew */
    void *memory;  /* the allocation that holds lines */
} gp_piece_cache;

void gp_piece_cache_init(gp_piece_cache *c);
void gp_piece_cache_release(gp_piece_cache *c);

/* Doubles the number of lines, in place. */
void gp_piece_cache_grow(gp_piece_cache *c);

/* Call it now and then: lines move. */
static inline void gp_piece_cache_fit(gp_piece_cache *c)
{
    if (c->fills > (int64_t)1 << c->bits && c->bits < GP_PIECE_BITS)
        gp_piece_cache_grow(c);
}

static inline gp_cache_line *gp_piece_cache_line(const gp_piece_cache *c, const gp_key *key)
{
    return &c->lines[gp_key_hash(key) >> (64 - c->bits)];
}

/* Appends the ids of a piece, for which out has space for GP_PIECE_IDS; false if it is not in its line. */
static inline bool gp_piece_cache_get(const gp_cache_line *l, const gp_key *key, gp_ids *out)
{
    const gp_cached_piece *found = &l->pieces[!gp_key_is(&l->pieces[0].key, key)];
    if (!gp_key_is(&found->key, key))
        return false;
    const int32_t *ids = found->ids; /* copies four; out->count includes the valid ones */
    memcpy(out->ids + out->count, ids, sizeof found->ids);
    out->count += 1 + (ids[1] >= 0) + (ids[2] >= 0) + (ids[3] >= 0);
    return true;
}

/* Caches a piece in its line, unless it has too many ids. */
static inline void gp_piece_cache_put(gp_piece_cache *c, gp_cache_line *l, const gp_key *key, const int32_t *ids,
                                      int count)
{
    if (count > GP_PIECE_IDS)
        return;
    l->pieces[1] = l->pieces[0];
    l->pieces[0].key = *key;
    for (int i = 0; i < GP_PIECE_IDS; i++)
        l->pieces[0].ids[i] = i < count ? ids[i] : -1;
    c->fills++;
}

#endif
