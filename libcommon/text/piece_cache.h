/* piece_cache.h: recent pieces of text and their ids. */
#ifndef GP_TEXT_PIECE_CACHE_H
#define GP_TEXT_PIECE_CACHE_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "text/ids.h"
#include "text/vocab.h"

enum {
    GP_PIECE_IDS = 4,
    GP_PIECE_BITS = 17, /* of the usual largest table: 8 MB */
};

typedef struct gp_cached_piece {
    gp_key key;                /* its bytes; length 0: empty */
    int32_t ids[GP_PIECE_IDS]; /* -1 after the last; none: the others are the owner's */
} gp_cached_piece;

/* A set of the cache, in one cache line of the processor. */
typedef struct gp_cache_line {
    gp_cached_piece pieces[2];
} gp_cache_line;

typedef struct gp_piece_cache {
    gp_cache_line *lines; /* 2^bits of 2^max_bits, which take physical memory only once used */
    int bits, max_bits;
    int64_t fills; /* since it last grew */
} gp_piece_cache;

/* Zeroed memory of a multiple of 2 MB, aligned to that, which takes physical memory only once it is used: small pages
 * in the first 2 MB, and huge ones, which take fewer page faults, in the rest. */
void *gp_lazy_alloc(size_t size);
void gp_lazy_free(void *p, size_t size);

void gp_piece_cache_init(gp_piece_cache *c, int max_bits);
void gp_piece_cache_release(gp_piece_cache *c);

/* Doubles the number of lines, in place. Drops what is beside its line. */
void gp_piece_cache_grow(gp_piece_cache *c);

/* Call it now and then: lines move. */
static inline void gp_piece_cache_fit(gp_piece_cache *c)
{
    if (c->fills > (int64_t)1 << c->bits && c->bits < c->max_bits)
        gp_piece_cache_grow(c);
}

static inline gp_cache_line *gp_piece_cache_line(const gp_piece_cache *c, const gp_key *key)
{
    return &c->lines[gp_key_hash(key) >> (64 - c->bits)];
}

/* Copies the ids of a cached piece to `to`, all four; returns the number of the valid ones. */
static inline int gp_piece_copy(const gp_cached_piece *piece, int32_t *to)
{
#ifdef __SSE2__
    __m128i ids = _mm_loadu_si128((const __m128i *)(const void *)piece->ids);
    _mm_storeu_si128((__m128i *)(void *)to, ids);
    return __builtin_ctz((unsigned)_mm_movemask_ps(_mm_castsi128_ps(ids)) | 1u << GP_PIECE_IDS);
#else
    const int32_t *ids = piece->ids;
    int count = 0;
    memcpy(to, ids, sizeof piece->ids);
    while (count < GP_PIECE_IDS && ids[count] >= 0)
        count++;
    return count;
#endif
}

/* The piece in its line, or NULL. */
static inline const gp_cached_piece *gp_piece_cache_here(const gp_cache_line *l, const gp_key *key)
{
    const gp_cached_piece *found = &l->pieces[gp_key_difference(&l->pieces[0].key, key) != 0];
    return gp_key_difference(&found->key, key) ? NULL : found;
}

/* Copies the ids of a piece to `to`, which has space for GP_PIECE_IDS; returns their number, or 0 if it is not in its
 * line, or has no ids. */
static inline int gp_piece_cache_get(const gp_cache_line *l, const gp_key *key, int32_t *to)
{
    const gp_cached_piece *found = gp_piece_cache_here(l, key);
    return found ? gp_piece_copy(found, to) : 0;
}

/* Caches a piece in its line as the more recent one, unless it has too many ids. */
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

/* The line beside a line, where gp_piece_cache_add puts what has no space in its line. */
static inline gp_cache_line *gp_piece_cache_beside(const gp_cache_line *l)
{
    return (gp_cache_line *)((uintptr_t)l ^ sizeof *l);
}

static inline const gp_cached_piece *gp_piece_cache_find(const gp_cache_line *l, const gp_key *key)
{
    const gp_cached_piece *found = gp_piece_cache_here(l, key);
    return found ? found : gp_piece_cache_here(gp_piece_cache_beside(l), key);
}

/* gp_piece_cache_put where gp_piece_cache_find has found nothing, or `old`, which is replaced. Pieces are replaced at
 * random, so that some stay even if more than there is space for come again and again. The caller sets the ids. */
gp_cached_piece *gp_piece_cache_add(gp_piece_cache *c, gp_cache_line *l, const gp_key *key, const gp_cached_piece *old);

#endif
