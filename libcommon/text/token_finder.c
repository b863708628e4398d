/* token_finder.c: see token_finder.h. The sorted names serve as a trie: names with a common prefix are adjacent, each
 * byte read narrows the range, and the shortest name in it is the first. */
#include "text/token_finder.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode/unicode.h"
#include "text/wordpiece/normalize.h"

static const uint8_t *bytes_of(const gp_token_finder *s, int64_t i)
{
    return (const uint8_t *)s->bytes.data + s->names[i].at;
}

static int compare(const void *a, const void *b, void *bytes)
{
    const gp_token_name *x = a, *y = b;
    return gp_compare_bytes((const char *)bytes + x->at, x->length, (const char *)bytes + y->at, y->length);
}

void gp_token_finder_init(gp_token_finder *s, const gp_vocab *v, uint8_t mask, uint8_t flags,
                          const gp_bert_switches *normalizer)
{
    gp_normalized normal = {0};
    *s = (gp_token_finder){.vocab = v, .nothing = -1};
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *name = gp_vocab_bytes(v, id, &n);
        if (!(v->flags[id] & GP_TOKEN_NAMED) || (v->flags[id] & mask) != flags || !n)
            continue;
        if (normalizer) {
            gp_normalize(&normal, normalizer, (const uint8_t *)name, n, false, 0);
            name = normal.bytes.data;
            n = normal.bytes.len;
        }
        if (!n) {
            s->nothing = id;
            continue;
        }
        s->only = !s->count || s->only == (uint8_t)*name ? (uint8_t)*name : -1;
        s->names = gp_grow(s->names, s->count, sizeof *s->names);
        s->names[s->count++] = (gp_token_name){id, (uint32_t)n, s->bytes.len};
        gp_buf_add(&s->bytes, name, n);
        s->begins[(uint8_t)*name] = true;
        s->strips |= (v->flags[id] & GP_TOKEN_LSTRIP) != 0;
    }
    gp_normalized_release(&normal);
    if (s->count)
        qsort_r(s->names, (size_t)s->count, sizeof *s->names, compare, s->bytes.data);
}

void gp_token_finder_release(gp_token_finder *s)
{
    free(s->names);
    gp_buf_release(&s->bytes);
    *s = (gp_token_finder){0};
}

const gp_token_name *gp_token_finder_twice(const gp_token_finder *s)
{
    for (int64_t i = 1; i < s->count; i++)
        if (!compare(&s->names[i - 1], &s->names[i], s->bytes.data))
            return &s->names[i - 1];
    return NULL;
}

/* Of the names [from, to), which have a common prefix of `at` bytes and are longer, the first whose next byte is at
 * least `byte`. */
static int64_t lower_bound(const gp_token_finder *s, int64_t from, int64_t to, size_t at, int byte)
{
    GP_LOWER_BOUND(from, to, i, bytes_of(s, i)[at] < byte);
    return from;
}

/* The longest name at the start of the n bytes at p: its id and length, or -1. false if it depends on later bytes. */
static bool match(const gp_token_finder *s, const uint8_t *p, size_t n, bool more, int32_t *id, size_t *length)
{
    int64_t from = 0, to = s->count;
    *id = -1;
    for (size_t at = 0;; at++) {
        if (from < to && s->names[from].length == at) {
            *id = s->names[from++].id;
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

size_t gp_strip_spaces(const uint8_t *p, size_t from, size_t end)
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
    return n - gp_strip_spaces(p, 0, left);
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
        *begin = gp_strip_spaces(p, from, *begin > from ? *begin : from);
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
