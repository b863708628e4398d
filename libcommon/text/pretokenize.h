/* pretokenize.h: GPT-2's split of text into pieces, within which BPE merges. As a regex:
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 */
#ifndef GP_TEXT_PRETOKENIZE_H
#define GP_TEXT_PRETOKENIZE_H

#include "text/unicode/unicode.h"

/* The length of the first piece of the n >= 1 bytes at p. If `more` bytes follow: 0 if they could change it. */
size_t gp_pretokenize(const uint8_t *p, size_t n, bool more);

/* The last offset in (from, n) at which a piece of the n bytes at p ends regardless of the text before and after, or 0.
 * The text can be cut there and each side split on its own.
 *
 * It is between a character x that is not a space and a character y of another class. The run of x's class ends there,
 * no alternative of the regex looks back from y, and of the pieces that x begins only a contraction continues with
 * another class: so x must not be an apostrophe before a letter. A byte that continues no character is one by itself,
 * whatever precedes it; an incomplete character at the end is skipped. */
size_t gp_pretokenize_cut(const uint8_t *p, size_t n, size_t from);

/* The length of the contraction ('s 't 're 've 'm 'll 'd) at p, which has three bytes and begins with an apostrophe; or
 * 0. */
static inline size_t gp_contraction(const uint8_t *p)
{
    switch (p[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 2;
    case 'r':
    case 'v':
        return p[2] == 'e' ? 3 : 0;
    case 'l':
        return p[2] == 'l' ? 3 : 0;
    default:
        return 0;
    }
}

#endif
