/* escape.c: see escape.h. */
#include "text/escape.h"

#include <string.h>

void gp_escape(gp_buf *b, const char *bytes, int64_t n)
{
    gp_buf_puts(b, "");
    for (int64_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)bytes[i];
        if (c == '\n')
            gp_buf_puts(b, "\\n");
        else if (c == '\t')
            gp_buf_puts(b, "\\t");
        else if (c < 0x20 || c > 0x7e)
            gp_buf_printf(b, "\\x%02x", c);
        else
            gp_buf_add(b, &bytes[i], 1);
    }
}

void gp_json_string(gp_buf *b, const char *text, size_t n)
{
    size_t plain = 0; /* where the bytes not yet added begin */
    gp_buf_puts(b, "\"");
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        gp_buf_add(b, text + plain, i - plain);
        if (c >= 0x20)
            gp_buf_printf(b, "\\%c", c);
        else
            gp_buf_printf(b, "\\u%04x", c);
        plain = i + 1;
    }
    gp_buf_add(b, text + plain, n - plain);
    gp_buf_puts(b, "\"");
}
