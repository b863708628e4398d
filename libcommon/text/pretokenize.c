/* pretokenize.c: see pretokenize.h. It needs no regex engine: the first one or two characters select the alternative,
 * and each is a run of one class. */
#include "text/pretokenize.h"

#include <string.h>

/* The length and class of the character at p; 0 if it is incomplete and more bytes follow. */
static inline size_t next(const uint8_t *p, size_t n, bool more, gp_class *class)
{
    if (*p < 0x80) {
        *class = gp_class_of(*p);
        return 1;
    }
    uint32_t c;
    size_t length = more ? gp_utf8(p, n, &c) : gp_utf8_last(p, n, &c);
    *class = gp_class_of(c);
    return length;
}

/* The end of the run of `class` that contains `at`; 0 if it may continue after n. */
static size_t run_end(const uint8_t *p, size_t at, size_t n, bool more, gp_class class)
{
    while (at < n) {
        gp_class other;
        size_t length = next(p + at, n - at, more, &other);
        if (!length)
            return 0;
        if (other != class)
            return at;
        at += length;
    }
    return more ? 0 : n;
}

/* \s+(?!\S)|\s+: white space up to the end of the text, else all but its last character, which the next piece may
 * include; or a single character. */
static size_t spaces(const uint8_t *p, size_t n, bool more)
{
    size_t at = 0, last = 0;
    while (at < n) {
        gp_class class;
        size_t length = next(p + at, n - at, more, &class);
        if (!length)
            return 0;
        if (class != GP_SPACE)
            return last ? last : at;
        last = at;
        at += length;
    }
    return more ? 0 : n;
}

size_t gp_pretokenize(const uint8_t *p, size_t n, bool more)
{
    if (*p == '\'') {
        uint8_t few[3] = {'\'', n > 1 ? p[1] : 0, n > 2 ? p[2] : 0};
        size_t length = gp_contraction(few);
        if (length)
            return length;
        if (more && (n == 1 || (n == 2 && memchr("rvl", p[1], 3))))
            return 0;
    }
    size_t start = *p == ' '; /* a piece includes a space before it */
    if (start == n)
        return more ? 0 : 1;
    gp_class class;
    size_t length = next(p + start, n - start, more, &class);
    if (!length)
        return 0;
    if (class == GP_SPACE)
        return spaces(p, n, more);
    return run_end(p, start + length, n, more, class);
}

size_t gp_pretokenize_cut(const uint8_t *p, size_t n, size_t from)
{
    for (size_t at = n; at-- > from + 1;) {
        gp_class x, y;
        uint32_t before;
        if ((p[at] & 0xC0) == 0x80 || !next(p + at, n - at, true, &y))
            continue;
        gp_utf8_before(p, at, &before);
        x = gp_class_of(before);
        if (x != GP_SPACE && x != y && !(p[at - 1] == '\'' && y == GP_LETTER))
            return at;
    }
    return 0;
}
