/* token_finder.c: see token_finder.h. The sorted names serve as a trie: names with a common prefix are adjacent, each
 * byte read narrows the range, and the shortest name in it is the first. */
#include "text/token_finder.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode/unicode.h"

static int compare(const void *a, const void *b, void *vocab)
{
    size_t n, m;
    const char *x = gp_vocab_bytes(vocab, *(const int32_t *)a, &n);
    const char *y = gp_vocab_bytes(vocab, *(const int32_t *)b, &m);
    return gp_compare_bytes(x, n, y, m);
}

void gp_token_finder_init(gp_token_finder *s, const gp_vocab *v, uint8_t mask, uint8_t flags)
{
    *s = (gp_token_finder){.vocab = v, .ids = gp_malloc((size_t)v->size * sizeof *s->ids)};
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *name = gp_vocab_bytes(v, id, &n);
        if (!(v->flags[id] & GP_TOKEN_NAMED) || (v->flags[id] & mask) != flags || !n)
            continue;
        s->only = !s->count || s->only == (uint8_t)*name ? (uint8_t)*name : -1;
        s->ids[s->count++] = id;
        s->begins[(uint8_t)*name] = true;
        s->strips |= (v->flags[id] & GP_TOKEN_LSTRIP) != 0;
    }
    qsort_r(s->ids, (size_t)s->count, sizeof *s->ids, compare, (void *)(uintptr_t)v);
}

void gp_token_finder_release(gp_token_finder *s)
{
    free(s->ids);
    *s = (gp_token_finder){0};
}

/* Of the names [from, to), which have a common prefix of `at` bytes and are longer, the first whose next byte is at
 * least `byte`. */
static int64_t lower_bound(const gp_token_finder *s, int64_t from, int64_t to, size_t at, int byte)
{
    size_t n;
    GP_LOWER_BOUND(from, to, i, (uint8_t)gp_vocab_bytes(s->vocab, s->ids[i], &n)[at] < byte);
    return from;
}

/* The longest name at the start of the n bytes at p: its id and length, or -1. false if it depends on later bytes. */
static bool match(const gp_token_finder *s, const uint8_t *p, size_t n, bool more, int32_t *id, size_t *length)
{
    int64_t from = 0, to = s->count;
    *id = -1;
    for (size_t at = 0;; at++) {
        size_t name;
        if (from < to && (gp_vocab_bytes(s->vocab, s->ids[from], &name), name == at)) {
            *id = s->ids[from++];
            *length = at;
        }
        if (from == to)
            return true;
        if (at == n)
            return !more;
        from = lower_bound(s, from, to, at, p[at]);
        to = lower_bound(s, from, to, at, p[at] + 1);
    }
}

size_t gp_token_finder_find(const gp_token_finder *s, const uint8_t *p, size_t n, bool more, int32_t *id,
                            size_t *length)
{
    *id = -1;
    for (size_t at = 0; at < n; at++) {
        const uint8_t *next = s->only >= 0 ? memchr(p + at, s->only, n - at) : p + at;
        at = next ? (size_t)(next - p) : n;
        if (at == n)
            break;
        if (!s->begins[p[at]])
            continue;
        if (!match(s, p + at, n - at, more, id, length)) {
            *id = -1;
            return at;
        }
        if (*id >= 0)
            return at;
    }
    return n;
}

/* ---- characters next to a name --------------------------------------------------------------------------- */

/* Removes white space from the end of p[from, end); returns the new end. */
static size_t strip_spaces(const uint8_t *p, size_t from, size_t end)
{
    while (end > from) {
        uint32_t c;
        size_t length = gp_utf8_before(p + from, end - from, &c);
        if (gp_class_of(c) != GP_SPACE)
            break;
        end -= length;
    }
    return end;
}

size_t gp_trailing_spaces(const uint8_t *p, size_t n)
{
    size_t left = n;
    uint32_t c;
    for (size_t cut = 1; cut <= 3 && cut <= n; cut++)
        if (!gp_utf8(p + n - cut, cut, &c))
            left = n - cut;
    return n - strip_spaces(p, 0, left);
}

bool gp_ends_in_word(const uint8_t *p, size_t n, bool before)
{
    uint32_t c;
    if (!n)
        return before;
    gp_utf8_before(p, n, &c);
    return gp_is_word(c);
}

gp_match gp_token_finder_check(const gp_token_finder *s, int32_t id, const uint8_t *p, size_t n, bool more,
                               bool word_before, size_t from, size_t *begin, size_t *end)
{
    uint8_t flags = s->vocab->flags[id];
    uint32_t c;
    size_t length;
    if (flags & GP_TOKEN_SINGLE_WORD) {
        if (gp_ends_in_word(p, *begin, word_before))
            return GP_NO_MATCH;
        length = *end < n ? gp_utf8(p + *end, n - *end, &c) : 0;
        if (!length && more)
            return GP_UNDECIDED;
        if (length && gp_is_word(c))
            return GP_NO_MATCH;
    }
    if (flags & GP_TOKEN_LSTRIP)
        *begin = strip_spaces(p, from, *begin > from ? *begin : from);
    while (flags & GP_TOKEN_RSTRIP) {
        length = *end < n ? gp_utf8(p + *end, n - *end, &c) : 0;
        if (!length && more)
            return GP_UNDECIDED;
        if (!length || gp_class_of(c) != GP_SPACE)
            break;
        *end += length;
    }
    return GP_MATCH;
}
