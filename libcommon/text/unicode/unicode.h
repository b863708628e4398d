/* unicode.h: the character classes of GPT-2's pre-tokenization, by Unicode 16.0. Since ids depend on them, they are a
 * table of our own (made by unicode_table.py), not those of a library that may change. */
#ifndef GP_TEXT_UNICODE_UNICODE_H
#define GP_TEXT_UNICODE_UNICODE_H

#include "base/base.h"
#include "base/utf8.h"

#define GP_UNICODE_VERSION "16.0"

/* SPACE is White_Space, LETTER \p{L}, NUMBER \p{N}. */
typedef enum gp_class { GP_OTHER, GP_SPACE, GP_LETTER, GP_NUMBER } gp_class;

/* unicode_table.c: planes 0 to 3, which contain all letters, numbers and spaces. Page c >> 8 has the classes of 256
 * characters, 2 bits each. */
extern const uint8_t gp_class_page[1024];
extern const uint64_t gp_class_pages[][8];

/* The class of a code point; a bad byte (utf8.h) is OTHER. */
static inline gp_class gp_class_of(uint32_t c)
{
    return c < 0x40000 ? (gp_class)(gp_class_pages[gp_class_page[c >> 8]][c >> 5 & 7] >> 2 * (c & 31) & 3) : GP_OTHER;
}

/* Word characters (\w), for single_word of a tokenizer.json: alternately the first code point of a run of them, and the
 * first one after it. */
extern const uint32_t gp_word_changes[];
extern const int gp_word_change_count;

static inline bool gp_is_word(uint32_t c)
{
    int64_t changes = 0; /* at or before c */
    GP_LOWER_BOUND(changes, gp_word_change_count, i, gp_word_changes[i] <= c);
    return changes % 2 == 1;
}

#endif
