/* pretokenize.h: GPT-2's split of text into pieces, which BPE then works in alone. As a regex:
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 */
#ifndef GP_TEXT_PRETOKENIZE_H
#define GP_TEXT_PRETOKENIZE_H

#include "text/unicode.h"

/* Bytes of the first piece of the n >= 1 at p. With `more` to come: 0 when later bytes could change it. */
size_t gp_pretokenize(const gp_classes *t, const uint8_t *p, size_t n, bool more);

#endif
