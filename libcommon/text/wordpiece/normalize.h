/* normalize.h: BertNormalizer by itself: the normalized text, and where its characters came from. For offsets, and for
 * added tokens that are searched for in normalized text. wordpiece_encode.c, which normalizes as it looks for words, is
 * many times faster. */
#ifndef GP_TEXT_WORDPIECE_NORMALIZE_H
#define GP_TEXT_WORDPIECE_NORMALIZE_H

#include "text/wordpiece/char_map.h"

/* A range of the original text. */
typedef struct gp_origin {
    int64_t start, end;
} gp_origin;

typedef struct gp_normalized {
    gp_buf bytes;     /* in UTF-8 */
    gp_buf origins;   /* gp_origin, of each byte; and of the end: where text begins that is not normalized yet */
    gp_buf run;       /* a starter and its marks, which are not in order yet */
    gp_buf consumed;  /* gp_origin, of the characters of which they were made */
    gp_origin last;   /* that of the last character that was consumed */
    int64_t place;    /* where the text begins in the original one */
    uint64_t present; /* a bit for each canonical order in the run */
} gp_normalized;

/* Normalizes the n bytes at p, which begin at `place` in the original text; if `more` bytes follow, those that they
 * cannot change. A byte that is not UTF-8 is read as U+FFFD. Offsets are those of `tokenizers`. */
void gp_normalize(gp_normalized *t, const gp_bert_switches *s, const uint8_t *p, size_t n, bool more, int64_t place);
void gp_normalized_release(gp_normalized *t);

/* The last offset up to `end` at which the original text can be cut and each side normalized on its own; *original: the
 * same place in the original text. */
size_t gp_normalized_cut(const gp_normalized *t, size_t end, int64_t *original);

#endif
