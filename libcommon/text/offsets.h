/* offsets.h: where in a text its tokens are, as Hugging Face's tokenizers gives it, in bytes. */
#ifndef GP_TEXT_OFFSETS_H
#define GP_TEXT_OFFSETS_H

#include "text/text.h"

/* The ids of a text and their offsets, as they are encoded. */
typedef struct gp_offsets {
    const uint8_t *text;
    size_t length;
    gp_buf ids;    /* int32_t */
    gp_buf ranges; /* int64_t, two for each id */
} gp_offsets;

void gp_offsets_release(gp_offsets *o);

/* Adds the range of a token. */
void gp_offsets_put(gp_offsets *o, int64_t start, int64_t end);

/* Adds the ranges of `count` ids, in which the n bytes at p were encoded by a byte-level BPE, char or bytes. They begin
 * at `at` in the text; if `prefixed`, the first is a space that was put in front of it. */
void gp_offsets_add(gp_offsets *o, const gp_tokenizer *t, const uint8_t *p, size_t n, int64_t at, bool prefixed,
                    const int32_t *ids, int64_t count);

/* Leaves spaces out of the ranges, if the post_processor does. */
void gp_offsets_trim(gp_offsets *o, const gp_tokenizer *t);

#endif
