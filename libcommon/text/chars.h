/* chars.h: character vocabularies, with one id per character. */
#ifndef GP_TEXT_CHARS_H
#define GP_TEXT_CHARS_H

#include "text/ids.h"
#include "text/vocab.h"

/* Code point -> id, in pages of 256. Bytes outside valid UTF-8 have their own ids. */
typedef struct gp_chars {
    int32_t byte_id[256];
    uint16_t page[0x110000 >> 8]; /* index of the page; 0: no character of it is in the vocabulary */
    int32_t *pages;               /* (pages, 256) ids, or -1; page 0 is all -1 */
} gp_chars;

/* Builds the tables. -1 if a token is neither one character nor one byte. */
int gp_chars_init(gp_chars *c, const gp_vocab *v, const char *where);
void gp_chars_release(gp_chars *c);

/* Encodes the n bytes at p; if `more` bytes follow, up to an incomplete character. Returns how many bytes were encoded,
 * or -1. A character that is not in the vocabulary is encoded as its bytes, if they are; else it is a failure, whose
 * message counts from `offset`. */
int64_t gp_chars_encode(const gp_chars *c, const uint8_t *p, size_t n, bool more, int64_t offset, gp_ids *out);

#endif
