/* split.h: the split of pretokenize.h for many pieces at once. A block of 64 bytes of text becomes one 64-bit mask per
 * character class, from which a few bit operations compute where pieces begin. */
#ifndef GP_TEXT_SPLIT_H
#define GP_TEXT_SPLIT_H

#include "text/unicode/unicode.h"

enum {
    GP_SPLIT_BLOCK = 64,
    GP_SPLIT_BLOCKS = 64, /* maximum of one call, so that an offset fits in a uint16_t */
    GP_SPLIT_LOOKAHEAD = GP_SPLIT_BLOCK + 4
};

/* Finds the pieces that end in the `blocks` blocks of 64 bytes at p, which must begin a piece. GP_SPLIT_LOOKAHEAD more
 * bytes of text must follow the blocks. Writes the offset of the end of each piece and returns their number, which may
 * be 0. *complete: false if it stopped early, at a space outside ASCII. */
size_t gp_split(const uint8_t *p, size_t blocks, uint16_t ends[GP_SPLIT_BLOCK * GP_SPLIT_BLOCKS], bool *complete);

#endif
