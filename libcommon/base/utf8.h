/* utf8.h: decoding and encoding UTF-8 (RFC 3629: no surrogates, no overlong forms). */
#ifndef GP_BASE_UTF8_H
#define GP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A byte that is not part of a valid character is decoded as the code point GP_BAD_BYTE + byte. */
enum { GP_BAD_BYTE = 0x110000 };

/* Decodes the character at the start of the n >= 1 bytes at p: returns its length and sets *c to its code point.
 * Returns 0 if the n bytes are an incomplete but valid prefix of a character. */
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
    /* The range of the second byte excludes overlong forms, surrogates, and code points above U+10FFFF. */
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

/* The same at the end of a text: the bytes of an incomplete character are bad bytes. */
static inline size_t gp_utf8_last(const uint8_t *p, size_t n, uint32_t *c)
{
    size_t length = gp_utf8(p, n, c);
    return length ? length : 1;
}

static inline bool gp_is_utf8(const char *text, size_t n)
{
    uint32_t c = 0;
    for (size_t at = 0; at < n && c < GP_BAD_BYTE;)
        at += gp_utf8_last((const uint8_t *)text + at, n - at, &c);
    return c < GP_BAD_BYTE;
}

/* Decodes the last character of the n >= 1 bytes at p: returns its length and sets *c. */
static inline size_t gp_utf8_before(const uint8_t *p, size_t n, uint32_t *c)
{
    for (size_t length = 1; length <= 4 && length <= n; length++)
        if ((p[n - length] & 0xC0) != 0x80 && gp_utf8_last(p + n - length, length, c) == length)
            return length;
    *c = GP_BAD_BYTE + p[n - 1];
    return 1;
}

/* The length of the byte-order mark at the start of the n bytes: 3 or 0. */
static inline size_t gp_utf8_mark(const char *p, size_t n)
{
    return n >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3) ? 3 : 0;
}

/* Characters that could change how a terminal displays other text: control characters (C0, DEL, C1), line and paragraph
 * separators, and bidirectional controls (Unicode's Bidi_Control). */
static inline bool gp_utf8_is_control(uint32_t c)
{
    if (c < 0xA0)
        return c < 0x20 || c >= 0x7F;
    return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* Encodes a code point, or a bad byte as itself; returns the number of bytes, 1 to 4. */
static inline size_t gp_utf8_put(char text[4], uint32_t c)
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

#endif
