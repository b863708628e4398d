/* bpe.c: the tables of byte-pair encoding, and encoding with a cache of short pieces. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "text/escape.h"

/* ---- tables ---------------------------------------------------------------------------------- */

int gp_bpe_init(gp_bpe *b, const gp_vocab *v, int64_t merges_most, const char *where)
{
    gp_classes_init(&b->classes);
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[i] = gp_vocab_find(v, &byte, 1);
        if (b->byte_id[i] < 0)
            return fail("%s: byte 0x%02x is not in the vocabulary; a byte-level BPE has all 256", where, i);
    }
    if (merges_most > INT32_MAX / 2)
        return fail("%s: has %lld merges, too many", where, (long long)merges_most);
    size_t slots = 64;
    while (slots < 2 * (size_t)merges_most + 1)
        slots *= 2;
    b->mask = slots - 1;
    b->slots = gp_malloc(slots * sizeof *b->slots);
    memset(b->slots, 0xff, slots * sizeof *b->slots);
    b->list = gp_malloc((size_t)merges_most * sizeof *b->list);
    b->count = 0;
    return 0;
}

void gp_bpe_release(gp_bpe *b)
{
    free(b->slots);
    free(b->list);
    b->slots = b->list = NULL;
}

static int refuse_merge(const gp_bpe *b, const char *left, size_t left_length, const char *right,
                        size_t right_length, const char *where, const char *why)
{
    gp_buf pair = {0};
    gp_escape(&pair, left, gp_min((int64_t)left_length, 60));
    gp_buf_puts(&pair, "\" + \"");
    gp_escape(&pair, right, gp_min((int64_t)right_length, 60));
    fail("%s: merge %lld, \"%s\": %s", where, (long long)b->count + 1, pair.data, why);
    gp_buf_release(&pair);
    return -1;
}

int gp_bpe_add(gp_bpe *b, const gp_vocab *v, const char *left, size_t left_length, const char *right,
               size_t right_length, const char *where)
{
    gp_merge m = {gp_vocab_find(v, left, left_length), gp_vocab_find(v, right, right_length),
                  (int32_t)b->count, -1};
    const char *why = NULL;
    gp_buf both = {0};
    gp_buf_add(&both, left, left_length);
    gp_buf_add(&both, right, right_length);
    m.id = gp_vocab_find(v, both.data, both.len);
    gp_buf_release(&both);
    if (!left_length || !right_length)
        why = "a part is empty";
    else if (m.left < 0 || m.right < 0)
        why = "a part is not in the vocabulary";
    else if (m.id < 0)
        why = "what they make is not in the vocabulary";
    else if (gp_bpe_find(b, m.left, m.right))
        why = "it is there twice";
    if (why)
        return refuse_merge(b, left, left_length, right, right_length, where, why);
    uint64_t key = (uint64_t)(uint32_t)m.left << 32 | (uint32_t)m.right;
    size_t i = (key * 0x9E3779B97F4A7C15u >> 32) & b->mask;
    while (b->slots[i].rank >= 0)
        i = (i + 1) & b->mask;
    b->slots[i] = b->list[b->count++] = m;
    return 0;
}

/* ---- one short piece ------------------------------------------------------------------------- */

enum { SHORT = 48 }; /* bytes up to which looking at every pair for the best one is the fastest way */

/* Merges the n <= SHORT bytes at p into ids; gives how many are left. */
static int merge_short(const gp_bpe *b, const uint8_t *p, int n, int32_t *ids)
{
    int32_t rank[SHORT], made[SHORT]; /* of the pair that begins at i */
    for (int i = 0; i < n; i++)
        ids[i] = b->byte_id[p[i]];
    for (int i = 0; i + 1 < n; i++) {
        const gp_merge *m = gp_bpe_find(b, ids[i], ids[i + 1]);
        rank[i] = m ? m->rank : INT32_MAX;
        made[i] = m ? m->id : -1;
    }
    while (n > 1) {
        int best = 0;
        for (int i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == INT32_MAX)
            break;
        ids[best] = made[best];
        n--;
        for (int i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            rank[i - 1] = rank[i];
            made[i - 1] = made[i];
        }
        for (int i = best - 1; i <= best; i++) {
            if (i < 0 || i + 1 >= n)
                continue;
            const gp_merge *m = gp_bpe_find(b, ids[i], ids[i + 1]);
            rank[i] = m ? m->rank : INT32_MAX;
            made[i] = m ? m->id : -1;
        }
    }
    return n;
}

/* ---- the cache of pieces --------------------------------------------------------------------- */

/* Text repeats its words: most pieces are short and were met before. */
enum { CACHE_BITS = 16, CACHE_BYTES = 15, CACHE_IDS = 4 };

typedef struct gp_piece {
    uint64_t key[2];        /* the bytes, zeros behind them, their number in the last byte; 0, 0: empty */
    int32_t ids[CACHE_IDS]; /* -1 behind the last */
} gp_piece;

void gp_bpe_state_init(gp_bpe_state *s)
{
    *s = (gp_bpe_state){.cache = gp_calloc((size_t)1 << CACHE_BITS, sizeof *s->cache)};
}

void gp_bpe_state_release(gp_bpe_state *s)
{
    free(s->cache);
    gp_long_free(s->large);
    *s = (gp_bpe_state){0};
}

/* The key of n <= CACHE_BYTES bytes at p, of which `room` can be read. */
static inline void make_key(uint64_t key[2], const uint8_t *p, size_t n, size_t room)
{
    if (room >= 16) {
        memcpy(key, p, 16); /* faster than n bytes, whatever n is */
        if (n < 8) {
            key[0] &= ((uint64_t)1 << 8 * n) - 1;
            key[1] = 0;
        } else {
            key[1] &= ((uint64_t)1 << 8 * (n - 8)) - 1;
        }
    } else {
        key[0] = key[1] = 0;
        memcpy(key, p, n);
    }
    key[1] |= (uint64_t)n << 56;
}

static inline size_t slot_of(const uint64_t key[2])
{
    uint64_t h = (key[0] ^ key[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    return h >> (64 - CACHE_BITS);
}

/* ---- text ------------------------------------------------------------------------------------ */

static inline int encode_piece(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, size_t room,
                               gp_ids *out)
{
    int32_t ids[SHORT];
    if (n > CACHE_BYTES) {
        if (n > SHORT)
            return gp_bpe_encode_long(b, &s->large, p, n, out);
        int count = merge_short(b, p, (int)n, ids);
        memcpy(out->ids + out->count, ids, (size_t)count * sizeof *ids);
        out->count += count;
        return 0;
    }
    uint64_t key[2];
    make_key(key, p, n, room);
    gp_piece *piece = &s->cache[slot_of(key)];
    if (piece->key[0] != key[0] || piece->key[1] != key[1]) {
        int count = merge_short(b, p, (int)n, ids);
        if (count > CACHE_IDS) {
            memcpy(out->ids + out->count, ids, (size_t)count * sizeof *ids);
            out->count += count;
            return 0;
        }
        memcpy(piece->key, key, sizeof key);
        for (int i = 0; i < CACHE_IDS; i++)
            piece->ids[i] = i < count ? ids[i] : -1;
    }
    int32_t *to = out->ids + out->count; /* four are written, those that count are kept */
    memcpy(to, piece->ids, sizeof piece->ids);
    out->count += 1 + (to[1] >= 0) + (to[2] >= 0) + (to[3] >= 0);
    return 0;
}

int64_t gp_bpe_encode(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out)
{
    size_t at = 0;
    while (at < n) {
        size_t length = gp_pretokenize(&b->classes, p + at, n - at, more);
        if (!length)
            break;
        if (gp_ids_room(out, SHORT) || encode_piece(b, s, p + at, length, n - at, out))
            return -1;
        at += length;
    }
    return (int64_t)at;
}
