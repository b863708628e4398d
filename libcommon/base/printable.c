/* printable.c: escapes untrusted text for display on a terminal. */
#include "base/base.h"
#include "base/utf8.h"

#include <string.h>

/* Copies the character at the start of the n bytes at s, or its escape; returns the length. *used: bytes of s. */
static size_t escape_one(char to[12], const char *s, size_t n, size_t *used)
{
    uint32_t c;
    *used = gp_utf8_last((const uint8_t *)s, n, &c);
    if (c == '\n' || c == '\t' || c == '\r')
        return (size_t)snprintf(to, 12, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
    if (c >= GP_BAD_BYTE)
        return (size_t)snprintf(to, 12, "\\x%02x", (unsigned)(c - GP_BAD_BYTE));
    if (gp_utf8_is_control(c))
        return (size_t)snprintf(to, 12, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
    memcpy(to, s, *used);
    return *used;
}

size_t gp_printable_to(char *to, size_t size, const char *s)
{
    size_t left = strlen(s), length = 0, used;
    for (; left; s += used, left -= used) {
        char one[12];
        size_t n = escape_one(one, s, left, &used);
        if (n >= size - length)
            break;
        memcpy(to + length, one, n);
        length += n;
    }
    to[length] = 0;
    return length;
}

void gp_buf_printable(gp_buf *b, const char *s, size_t n)
{
    gp_buf_reserve(b, n);
    b->data[b->len] = 0; /* n may be 0 */
    for (size_t used; n; s += used, n -= used) {
        char one[12];
        size_t length = escape_one(one, s, n, &used);
        gp_buf_add(b, one, length);
    }
}

static bool is_clean(const char *s)
{
    for (; *s; s++)
        if ((uint8_t)*s < 0x20 || (uint8_t)*s > 0x7e)
            return false;
    return true;
}

const char *gp_printable_bytes(const char *s, int64_t n)
{
    enum { BUFFERS = 8 };
    static _Thread_local gp_buf buffers[BUFFERS];
    static _Thread_local unsigned next;
    gp_buf *b = &buffers[next++ % BUFFERS];
    b->len = 0;
    gp_buf_printable(b, s, (size_t)n);
    return b->data;
}

const char *gp_printable(const char *text)
{
    return is_clean(text) ? text : gp_printable_bytes(text, (int64_t)strlen(text));
}
