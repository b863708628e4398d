/* wordpiece.c: the trie of a WordPiece vocabulary, encoding a word, and decoding. */
#include "text/wordpiece/wordpiece.h"

#include <stdlib.h>
#include <string.h>

enum { ROOT = 1, MAX_BYTES = (1 << 24) - 2 /* the number of a node has 24 bits */ };

/* ---- the trie -------------------------------------------------------------------------------------------- */

/* The edge of a byte, or the empty one where it belongs. */
static inline gp_trie_edge *find(const gp_wordpiece *w, uint32_t node, uint8_t byte)
{
    uint32_t key = node << 8 | byte;
    size_t mask = ~(uint64_t)0 >> w->shift;
    for (size_t i = key * w->multiplier >> w->shift;; i = (i + 1) & mask)
        if (w->edges[i].key == key || !w->edges[i].key)
            return &w->edges[i];
}

static void add(gp_wordpiece *w, const char *bytes, size_t n, int32_t id, uint32_t *nodes)
{
    gp_trie_edge *e = NULL;
    for (size_t i = 0; i < n; i++) {
        uint32_t node = e ? e->child >> 1 : ROOT;
        e = find(w, node, (uint8_t)bytes[i]);
        if (!e->key)
            *e = (gp_trie_edge){node << 8 | (uint8_t)bytes[i], 2 * ++*nodes};
    }
    if (e) {
        e->child |= 1;
        w->ids[e->child >> 1] = id;
    }
}

/* The node at the end of the bytes, or 0. */
static uint32_t walk(const gp_wordpiece *w, const char *bytes)
{
    uint32_t node = ROOT;
    for (; *bytes && node; bytes++)
        node = find(w, node, (uint8_t)*bytes)->child >> 1;
    return node;
}

/* Makes a table of 2^bits edges, of which half may be used, with those of w. */
static void resize(gp_wordpiece *w, int bits)
{
    gp_trie_edge *edges = w->edges;
    size_t count = edges ? (size_t)1 << (64 - w->shift) : 0;
    w->shift = 64 - bits;
    w->edges = gp_calloc((size_t)1 << bits, sizeof *w->edges);
    for (size_t i = 0; i < count; i++)
        if (edges[i].key)
            *find(w, edges[i].key >> 8, (uint8_t)edges[i].key) = edges[i];
    free(edges);
    w->ids = gp_realloc(w->ids, ((size_t)1 << (bits - 1)) + 1, sizeof *w->ids);
}

int gp_wordpiece_init(gp_wordpiece *w, const gp_vocab *v, const char *where)
{
    size_t total = v->at[v->size];
    uint32_t nodes = ROOT;
    if (total > MAX_BYTES)
        return fail("%s: its tokens have %zu bytes together; the limit of a WordPiece is %d", where, total, MAX_BYTES);
    w->multiplier = gp_hash_seed() | 1;
    resize(w, 6);
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (v->flags[id] & GP_TOKEN_UNINDEXED)
            continue;
        while (nodes + n > (uint64_t)1 << (63 - w->shift))
            resize(w, 65 - w->shift);
        add(w, bytes, n, id, &nodes);
    }
    w->inside = walk(w, w->prefix);
    for (size_t c = 0; c < ARRAY_LEN(w->single); c++)
        gp_wordpiece_encode_word(w, &(uint8_t){(uint8_t)c}, 1, &w->single[c]);
    gp_char_map_init(&w->map, &w->switches);
    return 0;
}

void gp_wordpiece_release(gp_wordpiece *w)
{
    free(w->edges);
    free(w->ids);
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
        uint32_t node = at ? w->inside : ROOT, last = 0;
        end = at;
        for (size_t i = at; i < n && node; i++) {
            uint32_t child = find(w, node, p[i])->child;
            node = child >> 1;
            if (child & 1) {
                last = node;
                end = i + 1;
            }
        }
        if (!last) {
            ids[0] = w->unknown;
            return 1;
        }
        ids[count++] = w->ids[last];
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
