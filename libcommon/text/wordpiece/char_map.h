/* char_map.h: what becomes of each character of a text on its way into words, by the settings of a BertNormalizer. */
#ifndef GP_TEXT_WORDPIECE_CHAR_MAP_H
#define GP_TEXT_WORDPIECE_CHAR_MAP_H

#include "base/base.h"

/* The settings of a BertNormalizer, by their names in tokenizer.json. */
typedef struct gp_bert_switches {
    bool clean_text, handle_chinese_chars, lowercase;
    int8_t strip_accents; /* 1, 0, or -1: null, which is as lowercase */
} gp_bert_switches;

static inline bool gp_bert_strips(const gp_bert_switches *s)
{
    return s->strip_accents < 0 ? s->lowercase : s->strip_accents;
}

/* An entry: the kind in 3 bits, the canonical order of a combining character in 6, and the character that it becomes.
 * The entry 0 is that of a character that stays as it is, inside a word. */
typedef enum gp_char_kind {
    GP_CHAR_IN_WORD,  /* becomes the character, or stays itself if that is 0 */
    GP_CHAR_ISOLATED, /* the same, and is a word of its own */
    GP_CHAR_SPLITS,   /* removed, and words end there */
    GP_CHAR_REMOVED,  /* its order: GP_ORDER_NONE, or 0 if combining characters are not sorted across it */
    GP_CHAR_SEVERAL,  /* becomes sequences[character], ..., the number of which is the order */
    GP_CHAR_HANGUL,   /* becomes two or three jamo */
} gp_char_kind;

enum { GP_ORDER_BITS = 6, GP_ORDER_NONE = 63, GP_CHAR_PAGE = 128 };

typedef struct gp_char_map {
    uint16_t page[0x110000 / GP_CHAR_PAGE];
    uint32_t (*pages)[GP_CHAR_PAGE];
    uint32_t *sequences; /* entries of the kinds IN_WORD, ISOLATED and SPLITS, none of them 0 */
    size_t page_count, sequence_count;
} gp_char_map;

void gp_char_map_init(gp_char_map *m, const gp_bert_switches *s);
void gp_char_map_release(gp_char_map *m);

static inline uint32_t gp_char_entry(const gp_char_map *m, uint32_t c)
{
    return m->pages[m->page[c / GP_CHAR_PAGE]][c % GP_CHAR_PAGE];
}

static inline gp_char_kind gp_entry_kind(uint32_t entry)
{
    return (gp_char_kind)(entry & 7);
}

static inline unsigned gp_entry_order(uint32_t entry)
{
    return entry >> 3 & ((1u << GP_ORDER_BITS) - 1);
}

static inline uint32_t gp_entry_char(uint32_t entry)
{
    return entry >> (3 + GP_ORDER_BITS);
}

enum { GP_HANGUL_FIRST = 0xAC00, GP_HANGUL_LAST = 0xD7A3 };

static inline bool gp_is_hangul(uint32_t c)
{
    return c >= GP_HANGUL_FIRST && c <= GP_HANGUL_LAST;
}

/* The two or three jamo of a Hangul syllable (The Unicode Standard, 3.12); returns their number. */
static inline int gp_hangul(uint32_t c, uint32_t jamo[3])
{
    uint32_t i = c - GP_HANGUL_FIRST;
    jamo[0] = 0x1100 + i / 588;
    jamo[1] = 0x1161 + i % 588 / 28;
    jamo[2] = 0x11A7 + i % 28;
    return i % 28 ? 3 : 2;
}

#endif
