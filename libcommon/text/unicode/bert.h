/* bert.h: the character tables of BertNormalizer and BertPreTokenizer in Hugging Face's tokenizers. Since ids depend on
 * them, they were made by asking that package about every code point (bert_table.py): its parts follow different
 * versions of Unicode, none of them that of unicode.h. */
#ifndef GP_TEXT_UNICODE_BERT_H
#define GP_TEXT_UNICODE_BERT_H

#include <stdint.h>

#include "text/unicode/casing.h"

/* What happens to a character. */
enum {
    GP_IS_DELETED = 1,        /* by clean_text */
    GP_IS_BLANK = 2,          /* clean_text makes it a space */
    GP_IS_CJK = 4,            /* handle_chinese_chars puts a space before and after it */
    GP_IS_WHITE = 8,          /* the pre-tokenizer splits there and removes it */
    GP_IS_PUNCTUATION = 16,   /* for the pre-tokenizer, a word of its own */
    GP_IS_MARK = 32,          /* strip_accents removes it */
    GP_IS_STARTING_MARK = 64, /* the same; and combining characters are not sorted across it */
};

/* A character that NFD decomposes, without the marks that strip_accents removes from its decomposition. Hangul
 * syllables are left out (The Unicode Standard, 3.12). */
typedef struct gp_bert_long {
    uint32_t c, to[3]; /* 0: fewer */
} gp_bert_long;

/* The place in the canonical order of combining characters: of those that strip_accents retains, and of the first of
 * what it removes (GP_IS_MARK). Starters are left out. */
typedef struct gp_bert_order {
    uint32_t first, last;
    uint8_t order; /* below 63 */
} gp_bert_order;

/* bert_table.c; all are sorted. Each code point at which the flags above change, << 8, plus the new flags; and lower
 * case, in which U+0130, which becomes i and U+0307, is left out. */
extern const uint32_t gp_bert_classes[];
extern const gp_bert_long gp_bert_stripped[];
extern const gp_case_run gp_bert_lower[];
extern const gp_bert_order gp_bert_orders[];
extern const int gp_bert_classes_count, gp_bert_stripped_count, gp_bert_lower_count, gp_bert_orders_count;

/* bert.c: looks c up in these tables. */
uint32_t gp_bert_class(uint32_t c);
unsigned gp_bert_order_of(uint32_t c);               /* 0: a starter */
const gp_bert_long *gp_bert_stripped_of(uint32_t c); /* NULL: it stays as it is, or is removed */

#endif
