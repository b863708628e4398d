/* alphabet.c: GPT-2's printable characters for the 256 bytes. */
#include <string.h>

#include "text/text.h"
#include "base/utf8.h"

/* Bytes that are printable in Latin-1 represent themselves; the others become U+0100 and up (encoder.py,
 * bytes_to_unicode). */
void gp_alphabet_init(gp_alphabet *a)
{
    uint16_t other = 256;
    memset(a->byte, 0xff, sizeof a->byte);
    for (int i = 0; i < 256; i++) {
        bool prints = (i >= '!' && i <= '~') || (i >= 0xA1 && i <= 0xAC) || i >= 0xAE;
        a->code[i] = prints ? (uint16_t)i : other++;
        a->byte[a->code[i]] = (int16_t)i;
    }
}

bool gp_alphabet_decode(const gp_alphabet *a, gp_buf *b, const char *text, size_t length)
{
    size_t before = b->len;
    gp_buf_reserve(b, length);
    for (size_t at = 0; at < length;) {
        uint32_t c;
        at += gp_utf8_last((const uint8_t *)text + at, length - at, &c);
        if (c >= ARRAY_LEN(a->byte) || a->byte[c] < 0) {
            b->len = before;
            return false;
        }
        b->data[b->len++] = (char)a->byte[c];
    }
    b->data[b->len] = 0;
    return true;
}

void gp_alphabet_encode(const gp_alphabet *a, gp_buf *b, const char *bytes, size_t length)
{
    gp_buf_reserve(b, 2 * length);
    for (size_t i = 0; i < length; i++)
        b->len += gp_utf8_put(b->data + b->len, a->code[(uint8_t)bytes[i]]); /* at most 2 bytes each */
    b->data[b->len] = 0;
}
