/* unicode.h: characters out of bytes, and the three classes that GPT-2's pre-split knows. */
#ifndef GP_TEXT_UNICODE_H
#define GP_TEXT_UNICODE_H

#include "base/base.h"

/* A byte where no character can be decoded counts as a character of its own: this plus the byte. */
enum { GP_BAD_BYTE = 0x110000 };

/* Decodes the character at p, which has n >= 1 bytes: its length, and its code point in *c. 0 when p holds a
 * good beginning that needs bytes beyond n. UTF-8 as RFC 3629 has it: no surrogates, nothing overlong. */
static inline size_t gp_utf8(const uint8_t *p, size_t n, uint32_t *c)
{
    uint32_t lead = p[0];
    *c = lead;
    if (lead < 0x80)
        return 1;
    *c = GP_BAD_BYTE + lead;
    if (lead < 0xC2 || lead > 0xF4)
        return 1;
    if (n < 2)
        return 0;
    /* The second byte's range rules out what is overlong, a surrogate, or past U+10FFFF. */
    uint8_t low = lead == 0xE0   ? 0xA0
                  : lead == 0xF0 ? 0x90
                                 : 0x80,
            high = lead == 0xED   ? 0x9F
                   : lead == 0xF4 ? 0x8F
                                  : 0xBF;
    if (p[1] < low || p[1] > high)
        return 1;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t code = lead & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (i == n)
            return 0;
        if ((p[i] & 0xC0) != 0x80)
            return 1;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    *c = code;
    return length;
}

/* The same where no byte comes after the n: a character cut short is bad bytes. */
static inline size_t gp_utf8_last(const uint8_t *p, size_t n, uint32_t *c)
{
    size_t length = gp_utf8(p, n, c);
    return length ? length : 1;
}

/* Writes a code point, or a bad byte as itself; gives the number of bytes, 1 to 4. */
size_t gp_utf8_put(char text[4], uint32_t c);

typedef enum gp_class { GP_OTHER, GP_SPACE, GP_LETTER, GP_NUMBER } gp_class;

/* Two bits a code point of planes 0 to 3, which hold every letter and number that Unicode has so far, by pages of
 * 256: one is filled when its first character is met, because most texts need few of them. So a table belongs to one
 * thread. */
typedef struct gp_classes {
    uint8_t ascii[128];
    bool filled[0x40000 / 256];
    uint8_t packed[0x40000 / 4];
} gp_classes;

void gp_classes_init(gp_classes *t); /* t is all zeros */
void gp_classes_fill(gp_classes *t, uint32_t page);

/* The class of a code point by utf8proc's tables: \p{L}, \p{N}, or White_Space. */
gp_class gp_class_look_up(uint32_t c);

static inline gp_class gp_class_of(gp_classes *t, uint32_t c)
{
    if (c >= 0x40000)
        return gp_class_look_up(c);
    if (!t->filled[c >> 8])
        gp_classes_fill(t, c >> 8);
    return t->packed[c >> 2] >> 2 * (c & 3) & 3;
}

#endif
