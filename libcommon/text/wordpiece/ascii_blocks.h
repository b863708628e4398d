/* ascii_blocks.h: text read by blocks of 64 bytes: its chunks, which are what is between two spaces, tabs or ends of
 * lines, and the words of ASCII. */
#ifndef GP_TEXT_WORDPIECE_ASCII_BLOCKS_H
#define GP_TEXT_WORDPIECE_ASCII_BLOCKS_H

#include "text/wordpiece/ascii.h"

struct gp_wordpiece_state;

/* Writes where the chunks of the n bytes at p begin and end, alternately, n at most 65535: a chunk that may continue
 * after them has no end. Returns how many bounds there are; up to GP_ASCII_BLOCK more are written. The bytes up to a
 * multiple of GP_ASCII_BLOCK are read, and must be spaces. */
typedef size_t gp_find_chunks(const uint8_t *p, size_t n, uint16_t *bounds);

/* Reads the words of up to n bytes of ASCII at p, in lower case if lowercase is 0x20, until the state is full, its open
 * word nearly too long, or another byte follows. Returns how many it has read; *done: after the last of them at which
 * words end, as it was if there is none. */
typedef size_t gp_read_ascii(struct gp_wordpiece_state *s, const uint8_t *p, size_t n, char lowercase, size_t *done);

typedef struct gp_ascii_functions {
    gp_find_chunks *find_chunks;
    gp_read_ascii *read;
} gp_ascii_functions;

/* The functions for a set of instructions, from 0, the slowest, which every processor has; NULL if this one lacks it.
 * All do the same. */
const gp_ascii_functions *gp_ascii_functions_of(int level);

enum { GP_ASCII_LEVELS = 3 };

#endif
