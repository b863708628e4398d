/* split.h: the pre-split of pretokenize.h for many pieces at once: 64 bytes of text are 64 bits, one word for each
 * class, and where pieces begin is a handful of word operations. */
#ifndef GP_TEXT_SPLIT_H
#define GP_TEXT_SPLIT_H

#include "text/unicode/unicode.h"

enum {
    GP_SPLIT_BLOCK = 64,
    GP_SPLIT_BLOCKS = 64, /* at most in one call, so that an offset is a uint16_t */
    GP_SPLIT_BEHIND = GP_SPLIT_BLOCK + 4
};

/* Finds the pieces that end in the `blocks` blocks of 64 bytes at p, which must begin a piece; GP_SPLIT_BEHIND bytes
 * of text more must be there. Writes the offset of each end and gives their number, which may be 0. It stops early at
 * a space beyond ASCII: *whole is whether it did not. */
size_t gp_split(const uint8_t *p, size_t blocks, uint16_t ends[GP_SPLIT_BLOCK * GP_SPLIT_BLOCKS], bool *whole);

#endif
