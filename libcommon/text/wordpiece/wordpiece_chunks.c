/* wordpiece_chunks.c: encodes text, some kilobytes at a time; what is in ASCII by wordpiece_encode.c, which is fast
 * there. Other text by its chunks: what is between two spaces, tabs or ends of lines. The ids of a chunk depend on
 * nothing else. Most are found in a cache by their bytes, as they are; up to GP_KEY_BYTES of them with up to
 * GP_PIECE_IDS ids in lines that are prefetched, others in long_chunks.h. */
#include <string.h>

#include "text/wordpiece/wordpiece_state.h"

typedef struct gp_wordpiece_state state;

/* The key of a chunk; for one that is too long for the cache, a key that nothing in it has. */
static gp_key key_of(const uint8_t *p, size_t n)
{
    if (n <= GP_KEY_BYTES || n > GP_LONG_CHUNK_BYTES)
        return gp_key_of(p, n <= GP_KEY_BYTES ? n : GP_KEY_BYTES + 1);
    return gp_long_chunk_key(p, n);
}

/* Caches a chunk of n bytes and `count` ids. */
static void cache_chunk(state *s, gp_cached_piece *piece, const uint8_t *p, size_t n, const int32_t *ids, int count)
{
    if (n > GP_KEY_BYTES || !count || count > GP_PIECE_IDS) {
        gp_long_chunks_put(&s->long_chunks, p, n, ids, count, piece);
        return;
    }
    for (int i = 0; i < GP_PIECE_IDS; i++)
        piece->ids[i] = i < count ? ids[i] : -1;
}

/* Encodes a chunk whose ids are not in its line, and caches it. */
static int encode_chunk(const gp_wordpiece *w, state *s, gp_cache_line *l, const gp_key *key, const uint8_t *p,
                        size_t n, gp_ids *out)
{
    enum { IDS = GP_WORD_GROWTH * GP_LONG_CHUNK_BYTES }; /* not fewer than the bytes of a chunk, normalized */
    if (n > GP_LONG_CHUNK_BYTES)
        return gp_wordpiece_encode_text(w, s, p, n, false, out) < 0 ? -1 : 0;
    if (gp_ids_reserve(out, IDS + w->max_chars)) /* so that nothing is flushed below */
        return -1;
    int32_t *ids = out->ids + out->count;
    const gp_cached_piece *found = gp_piece_cache_find(l, key);
    int count = found ? gp_piece_copy(found, ids) : 0;
    const gp_long_chunk *c = found && !count ? gp_long_chunks_get(&s->long_chunks, found, p, n) : NULL;
    if (c) {
        count = c->count;
        memcpy(ids, c->ids, GP_LONG_CHUNK_COPY * sizeof *ids); /* faster than the right number */
        if (count > GP_LONG_CHUNK_COPY)
            memcpy(ids, c->ids, (size_t)count * sizeof *ids);
    }
    out->count += count;
    if (c || count)
        return 0;
    if (gp_wordpiece_encode_text(w, s, p, n, false, out) < 0)
        return -1;
    cache_chunk(s, gp_piece_cache_add(&s->chunks, l, key, found), p, n, ids, (int)(out->ids + out->count - ids));
    return 0;
}

/* ---- text ------------------------------------------------------------------------------------------------ */

/* Encodes the first `count` chunks, after which 16 bytes are readable. Prefetches the cache lines of a batch of
 * chunks. */
static int encode_chunks(const gp_wordpiece *w, state *s, const uint8_t *p, size_t count, gp_ids *out)
{
    enum { BATCH = 32 };
    for (size_t first = 0, n; first < count; first += n) {
        const uint16_t *bounds = s->chunk_bounds + 2 * first;
        gp_key keys[BATCH];
        gp_cache_line *lines[BATCH];
        n = count - first < BATCH ? count - first : BATCH;
        gp_piece_cache_fit(&s->chunks);
        for (size_t i = 0; i < n; i++) {
            size_t length = (size_t)(bounds[2 * i + 1] - bounds[2 * i]);
            keys[i] = key_of(p + bounds[2 * i], length);
            lines[i] = gp_piece_cache_line(&s->chunks, &keys[i]);
            __builtin_prefetch(lines[i]);
        }
        if (gp_ids_reserve(out, BATCH * GP_PIECE_IDS))
            return -1;
        int32_t *to = out->ids + out->count;
        for (size_t i = 0; i < n; i++) {
            int known = gp_piece_cache_get(lines[i], &keys[i], to);
            to += known;
            if (known)
                continue;
            size_t length = (size_t)(bounds[2 * i + 1] - bounds[2 * i]);
            out->count = to - out->ids;
            if (encode_chunk(w, s, lines[i], &keys[i], p + bounds[2 * i], length, out) ||
                gp_ids_reserve(out, BATCH * GP_PIECE_IDS))
                return -1;
            to = out->ids + out->count;
        }
        out->count = to - out->ids;
    }
    return 0;
}

/* The last slice of a text, with spaces after it. */
static const uint8_t *pad(state *s, const uint8_t *p, size_t n)
{
    size_t end = gp_round_up(n, GP_ASCII_BLOCK);
    memcpy(s->last_slice, p, n);
    memset(s->last_slice + n, ' ', end - n);
    return s->last_slice;
}

/* Whether the cache of chunks is the faster way, by a sample of the text: what is not in ASCII is normalized a
 * character at a time. */
static bool wants_chunks(const uint8_t *p, size_t n)
{
    size_t other = 0, sampled = 0;
    for (uint64_t bytes; sampled + 8 <= n; sampled += 64) {
        memcpy(&bytes, p + sampled, 8);
        other += gp_ascii_count(bytes & GP_LANES(0x80));
    }
    return other > sampled / 128; /* a 16th of the bytes that were counted */
}

int64_t gp_wordpiece_encode(const gp_wordpiece *w, state *s, const uint8_t *p, size_t n, bool more, gp_ids *out)
{
    for (size_t at = 0; at < n;) {
        size_t slice = n - at < GP_CHUNK_SLICE ? n - at : GP_CHUNK_SLICE, length = slice;
        if (wants_chunks(p + at, slice)) {
            const uint8_t *from = n - at < GP_CHUNK_SLICE + 16 ? pad(s, p + at, slice) : p + at;
            size_t bounds = s->ascii->find_chunks(from, slice, s->chunk_bounds), ended = bounds / 2;
            size_t last = bounds % 2 ? s->chunk_bounds[2 * ended] : slice; /* the chunk that has not ended */
            if (encode_chunks(w, s, from, ended, out))
                return -1;
            at += last;
            length -= last;
            if (!length || (at + length < n && last)) /* the chunk is read again, with what follows */
                continue;
        }
        while (at + length < n && !gp_ascii_is_space(p[at + length]))
            length++;
        int64_t done = gp_wordpiece_encode_text(w, s, p + at, length, more && at + length == n, out);
        if (done < (int64_t)length)
            return done < 0 ? -1 : (int64_t)at + done;
        at += length;
    }
    return (int64_t)n;
}
