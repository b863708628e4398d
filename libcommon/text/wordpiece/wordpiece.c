/* wordpiece.c: the trie of a WordPiece vocabulary, encoding a word, and decoding. */
#include "text/wordpiece/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ROOT, MAX_BYTES = 1 << 24, LABELS = 16 /* labels that are read at once */ };

/* ---- the trie -------------------------------------------------------------------------------------------- */

/* The child of a node by a byte, or ROOT. */
static inline uint32_t child_of(const gp_wordpiece *w, uint32_t node, uint8_t byte)
{
    uint32_t first = w->nodes[node].children, count = w->nodes[node + 1].children - first;
    const uint8_t *labels = w->labels + first;
#ifdef __SSE2__
    for (uint32_t i = 0; i < count; i += LABELS) {
        __m128i same =
            _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(labels + i)), _mm_set1_epi8((char)byte));
        uint32_t found = i + (uint32_t)__builtin_ctz((unsigned)_mm_movemask_epi8(same) | 1u << LABELS);
        if (found < i + LABELS)
            return found < count ? first + found : ROOT;
    }
    return ROOT;
#else
    const uint8_t *found = memchr(labels, byte, count);
    return found ? first + (uint32_t)(found - labels) : ROOT;
#endif
}

/* Tokens with a common prefix, sorted: those of a node. */
typedef struct token_range {
    uint32_t from, to;
} token_range;

/* Adds the children of a node of this depth, whose tokens are r; returns the number of nodes. */
static uint32_t add_children(gp_wordpiece *w, const gp_vocab *v, const int32_t *ids, token_range *ranges, uint32_t node,
                             uint32_t count, size_t depth)
{
    token_range r = ranges[node];
    size_t n;
    gp_vocab_bytes(v, ids[r.from], &n);
    w->nodes[node] = (gp_trie_node){count, n == depth ? ids[r.from++] : -1};
    for (uint32_t i = r.from; i < r.to; i++) {
        uint8_t label = (uint8_t)gp_vocab_bytes(v, ids[i], &n)[depth];
        if (i == r.from || w->labels[count - 1] != label) {
            w->labels[count] = label;
            ranges[count++].from = i;
        }
        ranges[count - 1].to = i + 1;
    }
    return count;
}

/* Builds the nodes level by level, from the ids of n tokens, which are sorted by their bytes. */
static void build(gp_wordpiece *w, const gp_vocab *v, const int32_t *ids, uint32_t n, size_t max_nodes)
{
    token_range *ranges = gp_malloc(max_nodes * sizeof *ranges);
    uint32_t count = 1, level = 0;
    w->nodes = gp_malloc((max_nodes + 1) * sizeof *w->nodes);
    w->labels = gp_calloc(max_nodes + LABELS, 1);
    w->nodes[ROOT] = (gp_trie_node){1, -1};
    ranges[ROOT] = (token_range){0, n};
    for (size_t depth = 0; n && level < count; depth++)
        for (uint32_t end = count; level < end; level++)
            count = add_children(w, v, ids, ranges, level, count, depth);
    w->nodes[count] = (gp_trie_node){count, -1};
    w->nodes = gp_realloc(w->nodes, (size_t)count + 1, sizeof *w->nodes);
    w->labels = gp_realloc(w->labels, (size_t)count + LABELS, 1);
    free(ranges);
}

static int compare_tokens(const void *a, const void *b, void *vocab)
{
    size_t n, m;
    const char *x = gp_vocab_bytes(vocab, *(const int32_t *)a, &n);
    const char *y = gp_vocab_bytes(vocab, *(const int32_t *)b, &m);
    return gp_compare_bytes(x, n, y, m);
}

/* Sets the nodes of the first bytes of a word, and of those after the prefix. */
static void set_starts(gp_wordpiece *w)
{
    bool some = true; /* tokens have the prefix */
    uint32_t inside = ROOT;
    for (const char *p = w->prefix; *p && some; p++) {
        inside = child_of(w, inside, (uint8_t)*p);
        some = inside != ROOT;
    }
    for (unsigned c = 0; c <= UINT8_MAX; c++) {
        w->starts[0][c] = child_of(w, ROOT, (uint8_t)c);
        w->starts[1][c] = some ? child_of(w, inside, (uint8_t)c) : ROOT;
    }
}

int gp_wordpiece_init(gp_wordpiece *w, const gp_vocab *v, const char *where)
{
    size_t total = v->at[v->size];
    if (total > MAX_BYTES)
        return fail("%s: its tokens have %zu bytes together; the limit of a WordPiece is %d", where, total, MAX_BYTES);
    int32_t *ids = gp_malloc((size_t)v->size * sizeof *ids);
    uint32_t count = 0;
    for (int32_t id = 0; id < v->size; id++)
        if (!(v->flags[id] & GP_TOKEN_UNINDEXED))
            ids[count++] = id;
    qsort_r(ids, count, sizeof *ids, compare_tokens, (void *)(uintptr_t)v);
    build(w, v, ids, count, total + 1);
    free(ids);
    set_starts(w);
    gp_char_map_init(&w->map, &w->switches);
    return 0;
}

void gp_wordpiece_release(gp_wordpiece *w)
{
    free(w->nodes);
    free(w->labels);
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
        uint32_t node = w->starts[at != 0][p[at]];
        int32_t id = -1;
        end = at;
        for (size_t i = at + 1; node; node = i < n ? child_of(w, node, p[i++]) : ROOT) {
            int32_t here = w->nodes[node].id;
            id = here >= 0 ? here : id;
            end = here >= 0 ? i : end;
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

/* What the decoder of `tokenizers` cleans; transformers all but the last. */
static const char *const cleaned[][2] = {{" .", "."},     {" ?", "?"},     {" !", "!"},          {" ,", ","},
                                         {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"},        {" 's", "'s"},
                                         {" 've", "'ve"}, {" 're", "'re"}, {" do not", " don't"}};

static size_t clean(char *text, size_t n, size_t count)
{
    for (size_t i = 0; i < count && memchr(text, ' ', n); i++)
        n = replace(text, n, cleaned[i][0], cleaned[i][1]);
    return n;
}

size_t gp_wordpiece_clean_text(char *text, size_t n)
{
    return clean(text, n, ARRAY_LEN(cleaned) - 1);
}

size_t gp_wordpiece_decode(const gp_wordpiece *w, const char *bytes, size_t n, bool first, char *to)
{
    size_t prefix = strlen(w->prefix), length = 0;
    if (!first && n >= prefix && !memcmp(bytes, w->prefix, prefix)) {
        bytes += prefix;
        n -= prefix;
    } else if (!first) {
        to[length++] = ' ';
    }
    memcpy(to + length, bytes, n);
    length += n;
    return w->cleanup ? clean(to, length, ARRAY_LEN(cleaned)) : length;
}
