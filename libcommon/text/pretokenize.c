/* pretokenize.c: see pretokenize.h. No regex engine: the alternatives differ by the first one or two
 * characters, and then each is a run of one class. */
#include "text/pretokenize.h"

/* The character at p: its class, and its bytes; 0 bytes where it is cut and more may come. */
static inline size_t next(const gp_classes *t, const uint8_t *p, size_t n, bool more, gp_class *class)
{
    if (*p < 0x80) {
        *class = t->ascii[*p];
        return 1;
    }
    uint32_t c;
    size_t length = more ? gp_utf8(p, n, &c) : gp_utf8_last(p, n, &c);
    *class = gp_class_of(t, c);
    return length;
}

/* Where the run of `class` that goes through `at` ends; 0 when it may go on beyond n. */
static size_t run_end(const gp_classes *t, const uint8_t *p, size_t at, size_t n, bool more, gp_class class)
{
    while (at < n) {
        gp_class other;
        size_t length = next(t, p + at, n - at, more, &other);
        if (!length)
            return 0;
        if (other != class)
            return at;
        at += length;
    }
    return more ? 0 : n;
}

/* \s+(?!\S)|\s+: spaces up to the end of the text, or else all but the last one, which may belong to the word
 * after it; a single one stands alone. */
static size_t spaces(const gp_classes *t, const uint8_t *p, size_t n, bool more)
{
    size_t at = 0, last = 0;
    while (at < n) {
        gp_class class;
        size_t length = next(t, p + at, n - at, more, &class);
        if (!length)
            return 0;
        if (class != GP_SPACE)
            return last ? last : at;
        last = at;
        at += length;
    }
    return more ? 0 : n;
}

/* 's 't 're 've 'm 'll 'd: its bytes, 0 where there is none. *cut: there might be one with more bytes. */
static size_t contraction(const uint8_t *p, size_t n, bool *cut)
{
    *cut = n < 2;
    if (n < 2)
        return 0;
    switch (p[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 2;
    case 'r':
    case 'v':
    case 'l':
        *cut = n < 3;
        return n > 2 && p[2] == (p[1] == 'l' ? 'l' : 'e') ? 3 : 0;
    default:
        return 0;
    }
}

size_t gp_pretokenize(const gp_classes *t, const uint8_t *p, size_t n, bool more)
{
    if (*p == '\'') {
        bool cut;
        size_t length = contraction(p, n, &cut);
        if (length)
            return length;
        if (cut && more)
            return 0;
    }
    size_t start = *p == ' '; /* the space in front of a word belongs to it */
    if (start == n)
        return more ? 0 : 1;
    gp_class class;
    size_t length = next(t, p + start, n - start, more, &class);
    if (!length)
        return 0;
    if (class == GP_SPACE)
        return spaces(t, p, n, more);
    return run_end(t, p, start + length, n, more, class);
}
