/* unicode.h: the three classes of characters that GPT-2's pre-split knows, as Unicode 16.0 has them. They decide ids,
 * so they are a table of ours (unicode_table.py) and no library's. */
#ifndef GP_TEXT_UNICODE_UNICODE_H
#define GP_TEXT_UNICODE_UNICODE_H

#include "base/base.h"
#include "base/utf8.h"

#define GP_UNICODE_VERSION "16.0"

/* SPACE is White_Space, LETTER \p{L}, NUMBER \p{N}. */
typedef enum gp_class { GP_OTHER, GP_SPACE, GP_LETTER, GP_NUMBER } gp_class;

/* unicode_table.c: planes 0 to 3, which hold every letter, number and space. Page c >> 8 has 256 characters, two bits
 * each. */
extern const uint8_t gp_class_page[1024];
extern const uint64_t gp_class_pages[][8];

/* Of a code point, or of a bad byte, which is OTHER. */
static inline gp_class gp_class_of(uint32_t c)
{
    return c < 0x40000 ? (gp_class)(gp_class_pages[gp_class_page[c >> 8]][c >> 5 & 7] >> 2 * (c & 31) & 3) : GP_OTHER;
}

/* \w of the regex that single_word of tokenizer.json goes by: where characters begin to be that, and cease to, in
 * turn. */
extern const uint32_t gp_word_changes[];
extern const int gp_word_change_count;
bool gp_is_word(uint32_t c);

#endif
