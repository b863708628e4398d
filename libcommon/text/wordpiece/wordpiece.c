/* wordpiece.c: the trie of a WordPiece vocabulary, encoding a word, and decoding. */
#include "text/wordpiece/wordpiece.h"

#include <stdlib.h>
#include <string.h>

enum { ROOT = 1, MAX_BYTES = 1 << 26 };

/* ---- the trie -------------------------------------------------------------------------------------------- */

/* The edge of a byte, or the empty one where it belongs. */
static inline gp_trie_edge *find(const gp_wordpiece *w, uint32_t node, uint8_t byte)
{
    uint64_t key = (uint64_t)node << 8 | byte;
    size_t mask = ~(uint64_t)0 >> w->shift;
    for (size_t i = key * w->multiplier >> w->shift;; i = (i + 1) & mask)
        if (w->edges[i].key == key || !w->edges[i].key)
            return &w->edges[i];
}

static void add(gp_wordpiece *w, const char *bytes, size_t n, int32_t id, uint32_t *nodes)
{
    uint32_t node = ROOT;
    for (size_t i = 0; i < n; i++) {
        gp_trie_edge *e = find(w, node, (uint8_t)bytes[i]);
        if (!e->key)
            *e = (gp_trie_edge){(uint64_t)node << 8 | (uint8_t)bytes[i], ++*nodes, -1};
        if (i + 1 == n)
            e->id = id;
        node = e->child;
    }
}

/* The node at the end of the bytes, or 0. */
static uint32_t walk(const gp_wordpiece *w, const char *bytes)
{
    uint32_t node = ROOT;
    for (; *bytes && node; bytes++)
        node = find(w, node, (uint8_t)*bytes)->child;
    return node;
}

int gp_wordpiece_init(gp_wordpiece *w, const gp_vocab *v, const char *where)
{
    size_t total = v->at[v->size], size = 64;
    uint32_t nodes = ROOT;
    if (total > MAX_BYTES)
        return fail("%s: its tokens have %zu bytes together; the limit of a WordPiece is %d", where, total, MAX_BYTES);
    w->multiplier = gp_hash_seed() | 1;
    w->shift = 64 - 6;
    for (; size < 2 * (total + 1); size *= 2)
        w->shift--;
    w->edges = gp_calloc(size, sizeof *w->edges);
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (!(v->flags[id] & GP_TOKEN_UNINDEXED))
            add(w, bytes, n, id, &nodes);
    }
    w->inside = walk(w, w->prefix);
    gp_char_map_init(&w->map, &w->switches);
    return 0;
}

void gp_wordpiece_release(gp_wordpiece *w)
{
    free(w->edges);
    free(w->prefix);
    gp_char_map_release(&w->map);
    *w = (gp_wordpiece){0};
}

/* ---- encoding a word ------------------------------------------------------------------------------------- */

static bool is_long(const gp_wordpiece *w, const uint8_t *p, size_t n)
{
    int64_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += (p[i] & 0xC0) != 0x80;
    return chars > w->max_chars;
}

int gp_wordpiece_encode_word(const gp_wordpiece *w, const uint8_t *p, size_t n, int32_t *ids)
{
    int count = 0;
    ids[0] = w->unknown;
    if (n > (size_t)w->max_chars && is_long(w, p, n))
        return 1;
    for (size_t at = 0, end; at < n; at = end) {
        uint32_t node = at ? w->inside : ROOT;
        int32_t id = -1;
        end = at;
        for (size_t i = at; i < n && node; i++) {
            const gp_trie_edge *e = find(w, node, p[i]);
            if (e->key && e->id >= 0) {
                id = e->id;
                end = i + 1;
            }
            node = e->child;
        }
        if (id < 0) {
            ids[0] = w->unknown;
            return 1;
        }
        ids[count++] = id;
    }
    return count;
}

/* ---- decoding -------------------------------------------------------------------------------------------- */

/* Replaces every `from` in the n bytes at `to` by `by`, which is not longer; returns the new length. */
static size_t replace(char *to, size_t n, const char *from, const char *by)
{
    size_t length = strlen(from), k = 0;
    for (size_t i = 0; i < n;) {
        if (n - i >= length && !memcmp(to + i, from, length)) {
            memmove(to + k, by, strlen(by));
            k += strlen(by);
            i += length;
        } else {
            to[k++] = to[i++];
        }
    }
    return k;
}

size_t gp_wordpiece_decode(const gp_wordpiece *w, const char *bytes, size_t n, bool first, char *to)
{
    static const char *const cleaned[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                             {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                             {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    size_t prefix = strlen(w->prefix), length = 0;
    if (!first && n >= prefix && !memcmp(bytes, w->prefix, prefix)) {
        bytes += prefix;
        n -= prefix;
    } else if (!first) {
        to[length++] = ' ';
    }
    memcpy(to + length, bytes, n);
    length += n;
    for (size_t i = 0; w->cleanup && i < ARRAY_LEN(cleaned) && memchr(to, ' ', length); i++)
        length = replace(to, length, cleaned[i][0], cleaned[i][1]);
    return length;
}
