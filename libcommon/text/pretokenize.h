/* pretokenize.h: GPT-2's split of text into pieces, which BPE then works in alone. As a regex:
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 */
#ifndef GP_TEXT_PRETOKENIZE_H
#define GP_TEXT_PRETOKENIZE_H

#include "text/unicode/unicode.h"

/* Bytes of the first piece of the n >= 1 at p. With `more` to come: 0 when later bytes could change it. */
size_t gp_pretokenize(const uint8_t *p, size_t n, bool more);

/* A place in (from, n) of the n bytes at p where a piece ends whatever stands before and behind: the last that is
 * found, or 0. Text may be cut there, and each side split alone.
 *
 * It lies between a character x that is no space and a y of another class. The run that x is in ends there, nothing in
 * the regex looks back from y, and nothing that x begins goes on into y but a contraction: so x is no apostrophe before
 * a letter. A byte that continues no character begins one, whatever stands before it; where the bytes that continue
 * it are not all there, it is passed over. */
size_t gp_pretokenize_cut(const uint8_t *p, size_t n, size_t from);

/* 's 't 're 've 'm 'll 'd: how many of the three bytes at p, an apostrophe and two more, are one of them; or 0. */
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
