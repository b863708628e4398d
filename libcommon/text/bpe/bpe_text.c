/* bpe_text.c: from text to ids: the pieces of some kilobytes are found at once (split.h), most of them are in a cache
 * because text repeats its words, and the rest are merged. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe/bpe.h"
#include "text/split.h"

/* ---- the cache of pieces --------------------------------------------------------------------------------- */

enum {
    PIECE_IDS = 4,
    FEWEST_BITS = 13, /* the table grows from 8192 lines of two pieces, 512 KB, ... */
    MAX_BITS = 17,    /* ... to 8 MB */
    PHRASE_IDS = 19,
    PHRASE_BITS = 12,
};

typedef struct cached_piece {
    gp_key key;             /* its bytes; of none: empty */
    int32_t ids[PIECE_IDS]; /* -1 behind the last */
} cached_piece;

/* One cache line of the processor. The first was met last. */
typedef struct cache_line {
    cached_piece pieces[2];
} cache_line;

/* A piece of 16 to 48 bytes: indentation, rules of dashes, long words. */
typedef struct phrase {
    uint8_t length, count; /* 0: empty */
    uint8_t bytes[GP_BPE_SHORT];
    int32_t ids[PHRASE_IDS];
} phrase;

struct gp_bpe_cache {
    cache_line *lines; /* 2^bits of them; room for 2^MAX_BITS, of which the system gives those that are used */
    int bits;
    int64_t fills; /* since it grew */
    phrase *phrases;
    void *memory; /* of lines, before they were aligned */
};

void gp_bpe_state_init(gp_bpe_state *s)
{
    struct gp_bpe_cache *c = gp_calloc(1, sizeof *c);
    c->bits = FEWEST_BITS;
    c->memory = gp_calloc(((size_t)1 << MAX_BITS) + 1, sizeof(cache_line));
    c->lines = (cache_line *)gp_round_up((uintptr_t)c->memory, sizeof(cache_line));
    c->phrases = gp_calloc((size_t)1 << PHRASE_BITS, sizeof *c->phrases);
    *s = (gp_bpe_state){.cache = c, .lacks = -1};
}

void gp_bpe_state_release(gp_bpe_state *s)
{
    if (s->cache) {
        free(s->cache->memory);
        free(s->cache->phrases);
    }
    free(s->cache);
    gp_long_free(s->large);
    gp_buf_release(&s->known);
    *s = (gp_bpe_state){0};
}

/* Twice the lines: those of line i go to 2i and 2i + 1. From the last to the first, in place. */
static void grow(struct gp_bpe_cache *c)
{
    size_t i = (size_t)1 << c->bits++;
    c->fills = 0;
    while (i--) {
        cache_line from = c->lines[i], to[2] = {0};
        for (int way = 1; way >= 0; way--) { /* what was met last is put in front */
            const cached_piece *p = &from.pieces[way];
            cache_line *l = &to[gp_key_hash(&p->key) >> (64 - c->bits) & 1];
            if (p->key.words[1])
                *l = (cache_line){{*p, l->pieces[0]}};
        }
        memcpy(&c->lines[2 * i], to, sizeof to);
    }
}

/* ---- one piece ------------------------------------------------------------------------------------------- */

static void put_ids(gp_ids *out, const int32_t *ids, int count)
{
    memcpy(out->ids + out->count, ids, (size_t)count * sizeof *ids);
    out->count += count;
}

/* The piece may be a word of the vocabulary as it is: then what it is merged to is known. */
static bool is_word(const gp_bpe *b, const gp_key *key, int32_t *id)
{
    *id = gp_vocab_find_key(b->words, key);
    return *id >= 0 && (b->whole || !b->words->flags[*id]);
}

/* A piece that is in neither place of its line: merges it, and keeps it where its ids are few. As
 * gp_bpe_encode_lacking. */
static int encode_new(const gp_bpe *b, gp_bpe_state *s, cache_line *l, const gp_key *key, const uint8_t *p, gp_ids *out)
{
    struct gp_bpe_cache *c = s->cache;
    int32_t ids[GP_BPE_SHORT];
    size_t n = key->words[1] >> 56;
    int count = 1;
    if (!b->words || !is_word(b, key, ids)) {
        if (b->lacking.any && gp_bpe_lacks(b, p, n))
            return gp_bpe_encode_lacking(b, s, p, n, out);
        count = gp_bpe_encode_short(b, p, (int)n, ids);
    }
    put_ids(out, ids, count);
    if (count > PIECE_IDS)
        return 0;
    l->pieces[1] = l->pieces[0];
    l->pieces[0].key = *key;
    for (int i = 0; i < PIECE_IDS; i++)
        l->pieces[0].ids[i] = i < count ? ids[i] : -1;
    c->fills++;
    return 0;
}

static void encode_phrase(const gp_bpe *b, struct gp_bpe_cache *c, const uint8_t *p, size_t n, gp_ids *out)
{
    uint64_t h = n, word;
    for (size_t at = 0; at + 8 <= n; at += 8) {
        memcpy(&word, p + at, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    memcpy(&word, p + n - 8, 8);
    phrase *f = &c->phrases[(h ^ word) * 0xD6E8FEB86659FD93u >> (64 - PHRASE_BITS)];
    if (f->length != n || memcmp(f->bytes, p, n) != 0) {
        int32_t ids[GP_BPE_SHORT];
        int count = gp_bpe_encode_short(b, p, (int)n, ids);
        if (count > PHRASE_IDS) {
            put_ids(out, ids, count);
            return;
        }
        f->length = (uint8_t)n;
        f->count = (uint8_t)count;
        memcpy(f->bytes, p, n);
        memcpy(f->ids, ids, (size_t)count * sizeof *ids);
    }
    put_ids(out, f->ids, f->count);
}

/* One piece that is longer than a key. As gp_bpe_encode_lacking. */
static int encode_longer(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, gp_ids *out)
{
    int32_t id = b->whole ? gp_vocab_find(b->words, (const char *)p, n) : -1;
    if (id < 0 && b->lacking.any && gp_bpe_lacks(b, p, n))
        return gp_bpe_encode_lacking(b, s, p, n, out);
    if (id < 0 && n > GP_BPE_SHORT)
        return gp_bpe_encode_long(b, &s->large, p, n, out);
    if (gp_ids_room(out, GP_BPE_SHORT))
        return -1;
    if (id >= 0)
        gp_ids_put(out, id);
    else
        encode_phrase(b, s->cache, p, n, out);
    return 0;
}

/* A piece at p[at] did not become ids, by `rc` of gp_bpe_encode_lacking: -1. */
static int stopped(gp_bpe_state *s, int rc, size_t at)
{
    if (rc > 0)
        s->lacks += (int64_t)at;
    return -1;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

/* Encodes `count` pieces that begin at p and end at p + ends[0], p + ends[1], ...; 16 bytes behind the last one can be
 * read. The cache lines of a batch are asked for before the first of them is needed. */
static int encode_pieces(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, const uint16_t *ends, size_t count,
                         gp_ids *out)
{
    enum { BATCH = 32 };
    struct gp_bpe_cache *c = s->cache;
    size_t at = 0, seen = 0;
    for (size_t first = 0, n; first < count; first += n) {
        gp_key keys[BATCH];
        cache_line *lines[BATCH];
        n = count - first < BATCH ? count - first : BATCH;
        if (c->fills > (int64_t)1 << c->bits && c->bits < MAX_BITS)
            grow(c);
        for (size_t i = 0; i < n; i++) {
            size_t length = ends[first + i] - seen;
            keys[i] = gp_key_of(p + seen, length <= GP_KEY_BYTES ? length : GP_KEY_BYTES);
            lines[i] = &c->lines[gp_key_hash(&keys[i]) >> (64 - c->bits)];
            __builtin_prefetch(lines[i]);
            seen += length;
        }
        for (size_t i = 0; i < n; i++) {
            size_t length = ends[first + i] - at;
            if (length > GP_KEY_BYTES) {
                int rc = encode_longer(b, s, p + at, length, out);
                if (rc)
                    return stopped(s, rc, at);
            } else if (gp_ids_room(out, GP_KEY_BYTES)) {
                return -1;
            } else {
                const cached_piece *found = &lines[i]->pieces[!gp_key_is(&lines[i]->pieces[0].key, &keys[i])];
                if (gp_key_is(&found->key, &keys[i])) {
                    int32_t *to = out->ids + out->count; /* four are written, those that count are kept */
                    memcpy(to, found->ids, sizeof found->ids);
                    out->count += 1 + (to[1] >= 0) + (to[2] >= 0) + (to[3] >= 0);
                } else {
                    int rc = encode_new(b, s, lines[i], &keys[i], p + at, out);
                    if (rc)
                        return stopped(s, rc, at);
                }
            }
            at += length;
        }
    }
    return 0;
}

/* Some pieces at p: gives how many bytes they have, 0 when later bytes could change the first, or -1. */
static int64_t encode_some(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out)
{
    enum { TAIL = 3 * GP_SPLIT_BLOCK };
    uint16_t ends[GP_SPLIT_BLOCK * GP_SPLIT_BLOCKS];
    uint8_t tail[TAIL + GP_SPLIT_BEHIND + GP_SPLIT_BLOCK];
    bool whole;
    size_t count = 0, blocks = n > GP_SPLIT_BEHIND ? (n - GP_SPLIT_BEHIND) / GP_SPLIT_BLOCK : 0;
    if (blocks) {
        count = gp_split(p, blocks < GP_SPLIT_BLOCKS ? blocks : GP_SPLIT_BLOCKS, ends, &whole);
    } else if (!more) { /* the text's end, with spaces behind it, which change nothing */
        memset(tail, ' ', sizeof tail);
        memcpy(tail, p, n);
        p = tail;
        count = gp_split(p, n / GP_SPLIT_BLOCK + 1, ends, &whole);
        while (count && ends[count - 1] >= n)
            count--;
        if (whole)
            ends[count++] = (uint16_t)n;
    }
    if (count)
        return encode_pieces(b, s, p, ends, count, out) ? -1 : ends[count - 1];
    size_t length = gp_pretokenize(p, n, more);
    if (length > GP_BPE_SHORT) {
        int rc = encode_longer(b, s, p, length, out);
        return rc ? stopped(s, rc, 0) : (int64_t)length;
    }
    if (length) { /* alone, with bytes behind it to read */
        uint8_t piece[GP_BPE_SHORT + 16] = {0};
        memcpy(piece, p, length);
        ends[0] = (uint16_t)length;
        if (encode_pieces(b, s, piece, ends, 1, out))
            return -1;
    }
    return (int64_t)length;
}

int64_t gp_bpe_encode(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out)
{
    size_t at = 0;
    while (at < n) {
        int64_t done = encode_some(b, s, p + at, n - at, more, out);
        if (done < 0) {
            s->lacks += s->lacks >= 0 ? (int64_t)at : 0;
            return -1;
        }
        if (!done)
            break;
        at += (size_t)done;
    }
    return (int64_t)at;
}
