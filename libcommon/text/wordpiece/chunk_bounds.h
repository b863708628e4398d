/* chunk_bounds.h: finds chunks: what is between two spaces, tabs or ends of lines. */
#ifndef GP_TEXT_WORDPIECE_CHUNK_BOUNDS_H
#define GP_TEXT_WORDPIECE_CHUNK_BOUNDS_H

#include "text/wordpiece/ascii.h"

/* Writes where the chunks of the n bytes at p begin and end, alternately, n at most 65535: a chunk that may continue
 * after them has no end. Returns how many bounds there are; up to GP_ASCII_BLOCK more are written. The bytes up to a
 * multiple of GP_ASCII_BLOCK are read, and must be spaces. */
typedef size_t gp_find_chunks(const uint8_t *p, size_t n, uint16_t *bounds);

/* The function for a set of instructions, from 0, the slowest, which every processor has; or NULL if this one lacks it.
 * All write the same. */
gp_find_chunks *gp_chunk_finder(int level);

enum { GP_CHUNK_FINDERS = 3 };

#endif
