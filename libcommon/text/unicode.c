/* unicode.c: see unicode.h. */
#include "text/unicode.h"

#include <utf8proc.h>

size_t gp_utf8_put(char text[4], uint32_t c)
{
    if (c < 0x80 || c >= GP_BAD_BYTE) {
        text[0] = (char)(c < 0x80 ? c : c - GP_BAD_BYTE);
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        text[i] = (char)(0x80 | (c & 0x3F));
    text[0] = (char)((0xF00u >> n & 0xF0) | c);
    return n;
}

/* The White_Space property (PropList.txt), which is what \s means in the regex that GPT-2's tokens were made
 * with. utf8proc does not have it. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

gp_class gp_class_look_up(uint32_t c)
{
    if (is_space(c))
        return GP_SPACE;
    if (c >= GP_BAD_BYTE)
        return GP_OTHER;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return GP_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return GP_NUMBER;
    default:
        return GP_OTHER;
    }
}

void gp_classes_init(gp_classes *t)
{
    for (uint32_t c = 0; c < 128; c++)
        t->ascii[c] = (uint8_t)gp_class_look_up(c);
}

void gp_classes_fill(gp_classes *t, uint32_t page)
{
    for (uint32_t c = page << 8; c < (page + 1) << 8; c++)
        t->packed[c >> 2] |= (uint8_t)(gp_class_look_up(c) << 2 * (c & 3));
    t->filled[page] = true;
}
