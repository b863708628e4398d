/* printable.c: text that others wrote, as a terminal may show it. */
#include "base/base.h"
#include "base/utf8.h"

#include <string.h>

/* The character at s, of n bytes that are left, or its escape: its length; *taken: bytes of s. */
static size_t show_one(char to[12], const char *s, size_t n, size_t *taken)
{
    uint32_t c;
    *taken = gp_utf8_last((const uint8_t *)s, n, &c);
    if (c == '\n' || c == '\t' || c == '\r')
        return (size_t)snprintf(to, 12, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
    if (c >= GP_BAD_BYTE)
        return (size_t)snprintf(to, 12, "\\x%02x", (unsigned)(c - GP_BAD_BYTE));
    if (gp_utf8_is_control(c))
        return (size_t)snprintf(to, 12, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
    memcpy(to, s, *taken);
    return *taken;
}

size_t gp_printable_to(char *to, size_t size, const char *s)
{
    size_t left = strlen(s), used = 0, taken;
    for (; left; s += taken, left -= taken) {
        char one[12];
        size_t n = show_one(one, s, left, &taken);
        if (n >= size - used)
            break;
        memcpy(to + used, one, n);
        used += n;
    }
    to[used] = 0;
    return used;
}

void gp_buf_printable(gp_buf *b, const char *s, size_t n)
{
    gp_buf_reserve(b, n);
    for (size_t taken; n; s += taken, n -= taken) {
        char one[12];
        size_t length = show_one(one, s, n, &taken);
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

const char *gp_printable(const char *text)
{
    enum { KEPT = 8 };
    static _Thread_local gp_buf kept[KEPT];
    static _Thread_local unsigned next;
    if (is_clean(text))
        return text;
    gp_buf *b = &kept[next++ % KEPT];
    b->len = 0;
    gp_buf_printable(b, text, strlen(text));
    return b->data;
}
