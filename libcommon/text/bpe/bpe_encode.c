/* bpe_encode.c: encodes text: splits it into pieces, some kilobytes at a time (split.h), looks each up in a cache,
 * which has most of them, and merges the others. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe/bpe.h"
#include "text/piece_cache.h"
#include "text/split.h"

/* ---- the cache of pieces --------------------------------------------------------------------------------- */

enum {
    PHRASE_IDS = 19,
    PHRASE_BITS = 12,
};

/* A piece of 16 to 48 bytes: indentation, rules of dashes, long words. */
typedef struct phrase {
    uint8_t length, count; /* 0: empty */
    uint8_t bytes[GP_BPE_SHORT];
    int32_t ids[PHRASE_IDS];
} phrase;

struct gp_bpe_cache {
    gp_piece_cache pieces; /* of up to GP_KEY_BYTES bytes */
    phrase *phrases;
};

void gp_bpe_state_init(gp_bpe_state *s)
{
    struct gp_bpe_cache *c = gp_calloc(1, sizeof *c);
    gp_piece_cache_init(&c->pieces, GP_PIECE_BITS);
    c->phrases = gp_calloc((size_t)1 << PHRASE_BITS, sizeof *c->phrases);
    *s = (gp_bpe_state){.cache = c, .unencodable = -1};
}

void gp_bpe_state_release(gp_bpe_state *s)
{
    if (s->cache) {
        gp_piece_cache_release(&s->cache->pieces);
        free(s->cache->phrases);
    }
    free(s->cache);
    gp_long_free(s->large);
    gp_buf_release(&s->run);
    *s = (gp_bpe_state){0};
}

/* ---- one piece ------------------------------------------------------------------------------------------- */

static void put_ids(gp_ids *out, const int32_t *ids, int count)
{
    memcpy(out->ids + out->count, ids, (size_t)count * sizeof *ids);
    out->count += count;
}

/* Whether the piece is in the vocabulary, and gets that id without merging. */
static bool is_word(const gp_bpe *b, const gp_key *key, int32_t *id)
{
    *id = gp_vocab_find_key(b->words, key);
    return *id >= 0 && (b->ignore_merges || !b->words->flags[*id]);
}

/* Encodes a piece that is not in its line, and caches it if it has few ids. Returns as gp_bpe_encode_missing. */
static int encode_new(const gp_bpe *b, gp_bpe_state *s, gp_cache_line *l, const gp_key *key, const uint8_t *p,
                      gp_ids *out)
{
    int32_t ids[GP_BPE_SHORT];
    size_t n = key->words[1] >> 56;
    int count = 1;
    if (!b->words || !is_word(b, key, ids)) {
        if (b->missing.any && gp_bpe_has_missing(b, p, n))
            return gp_bpe_encode_missing(b, s, p, n, out);
        count = gp_bpe_encode_short(b, p, (int)n, ids);
    }
    put_ids(out, ids, count);
    gp_piece_cache_put(&s->cache->pieces, l, key, ids, count);
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

/* Encodes a piece longer than a key. Returns as gp_bpe_encode_missing. */
static int encode_longer(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, gp_ids *out)
{
    int32_t id = b->ignore_merges ? gp_vocab_find(b->words, (const char *)p, n) : -1;
    if (id < 0 && b->missing.any && gp_bpe_has_missing(b, p, n))
        return gp_bpe_encode_missing(b, s, p, n, out);
    if (id < 0 && n > GP_BPE_SHORT)
        return gp_bpe_encode_long(b, &s->large, p, n, out);
    if (gp_ids_reserve(out, GP_BPE_SHORT))
        return -1;
    if (id >= 0)
        gp_ids_put(out, id);
    else
        encode_phrase(b, s->cache, p, n, out);
    return 0;
}

/* Encoding the piece at p[at] has failed with rc (of gp_bpe_encode_missing): counts s->unencodable from p. */
static int fail_at(gp_bpe_state *s, int rc, size_t at)
{
    if (rc > 0)
        s->unencodable += (int64_t)at;
    return -1;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

/* Encodes `count` pieces that begin at p and end at p + ends[0], p + ends[1], ...; 16 bytes after the last one must be
 * readable. Prefetches the cache lines of a batch of pieces. */
static int encode_pieces(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, const uint16_t *ends, size_t count,
                         gp_ids *out)
{
    enum { BATCH = 32 };
    gp_piece_cache *c = &s->cache->pieces;
    size_t at = 0, ahead = 0;
    for (size_t first = 0, n; first < count; first += n) {
        gp_key keys[BATCH];
        gp_cache_line *lines[BATCH];
        n = count - first < BATCH ? count - first : BATCH;
        gp_piece_cache_fit(c);
        for (size_t i = 0; i < n; i++) {
            size_t length = ends[first + i] - ahead;
            keys[i] = gp_key_of(p + ahead, length <= GP_KEY_BYTES ? length : GP_KEY_BYTES);
            lines[i] = gp_piece_cache_line(c, &keys[i]);
            __builtin_prefetch(lines[i]);
            ahead += length;
        }
        for (size_t i = 0; i < n; i++) {
            size_t length = ends[first + i] - at;
            if (length > GP_KEY_BYTES) {
                int rc = encode_longer(b, s, p + at, length, out);
                if (rc)
                    return fail_at(s, rc, at);
            } else if (gp_ids_reserve(out, GP_KEY_BYTES)) {
                return -1;
            } else {
                int count = gp_piece_cache_get(lines[i], &keys[i], out->ids + out->count);
                int rc = count ? 0 : encode_new(b, s, lines[i], &keys[i], p + at, out);
                if (rc)
                    return fail_at(s, rc, at);
                out->count += count;
            }
            at += length;
        }
    }
    return 0;
}

/* Encodes some pieces at p; returns their length, 0 if later bytes could change the first one, or -1. */
static int64_t encode_some(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out)
{
    enum { TAIL = 3 * GP_SPLIT_BLOCK };
    uint16_t ends[GP_SPLIT_BLOCK * GP_SPLIT_BLOCKS];
    uint8_t tail[TAIL + GP_SPLIT_LOOKAHEAD + GP_SPLIT_BLOCK];
    bool complete;
    size_t count = 0, blocks = n > GP_SPLIT_LOOKAHEAD ? (n - GP_SPLIT_LOOKAHEAD) / GP_SPLIT_BLOCK : 0;
    if (blocks) {
        count = gp_split(p, blocks < GP_SPLIT_BLOCKS ? blocks : GP_SPLIT_BLOCKS, ends, &complete);
    } else if (!more) { /* the end of the text, padded with spaces, which do not change the split before */
        memset(tail, ' ', sizeof tail);
        memcpy(tail, p, n);
        p = tail;
        count = gp_split(p, n / GP_SPLIT_BLOCK + 1, ends, &complete);
        while (count && ends[count - 1] >= n)
            count--;
        if (complete)
            ends[count++] = (uint16_t)n;
    }
    if (count)
        return encode_pieces(b, s, p, ends, count, out) ? -1 : ends[count - 1];
    size_t length = gp_pretokenize(p, n, more);
    if (length > GP_BPE_SHORT) {
        int rc = encode_longer(b, s, p, length, out);
        return rc ? fail_at(s, rc, 0) : (int64_t)length;
    }
    if (length) { /* copied, so that 16 bytes after it are readable */
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
            s->unencodable += s->unencodable >= 0 ? (int64_t)at : 0;
            return -1;
        }
        if (!done)
            break;
        at += (size_t)done;
    }
    return (int64_t)at;
}
