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
