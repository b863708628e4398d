/* json_write.c: see json_write.h. */
#include "base/json_write.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void begin_member(gp_buf *b, const char *key)
{
    if (b->len && !strchr("{[\n", b->data[b->len - 1]))
        gp_buf_puts(b, ", ");
    if (key) {
        gp_json_quote(b, key, strlen(key));
        gp_buf_puts(b, ": ");
    }
}

static void put(gp_buf *b, const gp_json_member *m)
{
    begin_member(b, m->key);
    if (m->type == GP_JSON_STRING)
        gp_json_quote(b, m->text, strlen(m->text));
    else if (m->type == GP_JSON_RAW)
        gp_buf_puts(b, m->text);
    else if (m->type == GP_JSON_BOOL)
        gp_buf_puts(b, m->integer ? "true" : "false");
    else if (m->type == GP_JSON_INTEGER)
        gp_buf_printf(b, "%" PRId64, m->integer);
    else if (!isfinite(m->real))
        gp_buf_puts(b, "null");
    else if (m->type == GP_JSON_FIXED)
        gp_buf_printf(b, "%.*f", m->digits, m->real);
    else
        gp_buf_printf(b, "%.*g", m->digits, m->real);
}

void gp_json_put_members(gp_buf *b, const gp_json_member *members)
{
    for (; members->type != GP_JSON_END; members++)
        put(b, members);
}

void gp_json_open(gp_buf *b, const char *key, char bracket)
{
    begin_member(b, key);
    gp_buf_add(b, &bracket, 1);
}

void gp_json_close(gp_buf *b, char bracket)
{
    gp_buf_add(b, &bracket, 1);
}

void gp_json_bytes(gp_buf *b, const char *key, const char *s, size_t n)
{
    begin_member(b, key);
    gp_json_quote(b, s, n);
}

void gp_json_write(gp_buf *b, FILE *out, const char *end)
{
    gp_buf_puts(b, end);
    fwrite(b->data, 1, b->len, out);
    gp_buf_release(b);
}

/* How many bytes of invalid UTF-8 at s one U+FFFD replaces: the maximal subpart of a character (Unicode, 3.9), else
 * one. */
static size_t bad_bytes(const uint8_t *s, size_t n)
{
    uint32_t c;
    size_t bad = 1;
    while (bad < n && !gp_utf8(s, bad + 1, &c))
        bad++;
    return bad;
}

void gp_json_quote(gp_buf *b, const char *text, size_t n)
{
    const uint8_t *s = (const uint8_t *)text;
    gp_buf_puts(b, "\"");
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c;
        length = gp_utf8_last(s + i, n - i, &c);
        if (c >= GP_BAD_BYTE) {
            gp_buf_puts(b, "\\ufffd");
            length = bad_bytes(s + i, n - i);
        } else if (c == '"' || c == '\\') {
            gp_buf_printf(b, "\\%c", (int)c);
        } else if (c == '\n') {
            gp_buf_puts(b, "\\n");
        } else if (gp_utf8_is_control(c)) {
            gp_buf_printf(b, "\\u%04x", (unsigned)c);
        } else {
            gp_buf_add(b, text + i, length);
        }
    }
    gp_buf_puts(b, "\"");
}

void gp_json_quote_minimal(gp_buf *b, const char *text, size_t n)
{
    size_t plain = 0; /* start of the bytes that have not been added yet */
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
