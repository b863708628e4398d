/* chars.h: one id a character. */
#ifndef GP_TEXT_CHARS_H
#define GP_TEXT_CHARS_H

#include "text/ids.h"
#include "text/vocab.h"

/* Code point -> id in pages of 256; bytes that no character covers have ids of their own. */
typedef struct gp_chars {
    int32_t byte_id[256];
    uint16_t page[0x110000 >> 8]; /* which page; 0: none of these characters is known */
    int32_t *pages;               /* (pages, 256), -1 = unknown; page 0 is all unknown */
} gp_chars;

/* Reads the vocabulary: a token is one character, or one byte that is no character, or (known by is_byte) the
 * byte of a character. -1 when some token is neither. */
int gp_chars_init(gp_chars *c, const gp_vocab *v, const char *where);
void gp_chars_release(gp_chars *c);

/* Encodes the n bytes at p, all of them, or with `more` to come, up to a character that is cut. Gives how
 * many, or -1. A character that is not in the vocabulary is encoded as its bytes where those are; otherwise
 * it fails, with the offset counted from `offset`. */
int64_t gp_chars_encode(const gp_chars *c, const uint8_t *p, size_t n, bool more, int64_t offset, gp_ids *out);

#endif
