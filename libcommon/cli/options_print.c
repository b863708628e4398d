/* options_print.c: prints options as YAML, which options_yaml.c reads back to the same values. */
#include "cli/options.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/utf8.h"

/* Whether every YAML reader takes s for a string without quotes. */
static bool is_plain(const char *s)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/0123456789._-";
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcasecmp(s, words[i]))
            return false;
    return *s && strchr(safe, *s) < strchr(safe, '0') && strspn(s, safe) == strlen(s);
}

/* Printable by YAML 1.1, and safe on a terminal. */
static bool is_printable(uint32_t c)
{
    if (c < 0xA1)
        return c >= 0x20 && c < 0x7F;
    return !gp_utf8_is_control(c) && c != 0xFEFF && c != 0xFFFE && c != 0xFFFF;
}

void gp_put_yaml(gp_buf *b, const char *text)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t start = b->len, left = strlen(text);
    if (is_plain(text)) {
        gp_buf_puts(b, text);
        return;
    }
    gp_buf_puts(b, "\"");
    while (left) {
        uint32_t c;
        size_t n = gp_utf8_last(s, left, &c);
        if (c >= GP_BAD_BYTE) { /* not UTF-8 */
            b->len = start;
            gp_buf_puts(b, "!!binary \"");
            gp_base64_encode(b, text, strlen(text));
            break;
        }
        if (c == '"' || c == '\\')
            gp_buf_printf(b, "\\%c", (char)c);
        else if (c == '\n' || c == '\t')
            gp_buf_puts(b, c == '\n' ? "\\n" : "\\t");
        else if (is_printable(c))
            gp_buf_add(b, s, n);
        else
            gp_buf_printf(b, "\\u%04X", (unsigned)c);
        s += n;
        left -= n;
    }
    gp_buf_puts(b, "\"");
}

/* Always with a decimal point: YAML 1.1 readers take 1e-05 for a string and 1 for an integer. */
static void put_float(gp_buf *b, double x)
{
    gp_buf number = {0};
    gp_put_double(&number, x);
    size_t mantissa = strcspn(number.data, "e");
    if (x - x != 0)
        gp_buf_puts(b, x < 0 ? "-.inf" : ".inf");
    else if (memchr(number.data, '.', mantissa))
        gp_buf_puts(b, number.data);
    else
        gp_buf_printf(b, "%.*s.0%s", (int)mantissa, number.data, number.data + mantissa);
    gp_buf_release(&number);
}

static void put_value(gp_buf *b, const gp_option *o, const void *args)
{
    const void *field = gp_option_field(o, args);
    const gp_list *list = field;
    if (o->type == GP_OPT_LIST) {
        gp_buf_puts(b, list->count ? "" : " []");
        for (int i = 0; i < list->count; i++) {
            gp_buf_puts(b, "\n  - ");
            gp_put_yaml(b, list->items[i]);
        }
        return;
    }
    gp_buf_puts(b, " ");
    if (gp_option_is_unset(o, args))
        gp_buf_puts(b, "null");
    else if (o->type == GP_OPT_FLAG)
        gp_buf_puts(b, *(const bool *)field ? "true" : "false");
    else if (o->type == GP_OPT_INT)
        gp_buf_printf(b, "%lld", (long long)*(const int64_t *)field);
    else if (o->type == GP_OPT_FLOAT)
        put_float(b, *(const double *)field);
    else if (o->type == GP_OPT_TIME)
        gp_put_time(b, *(const double *)field);
    else
        gp_put_yaml(b, gp_option_text(o, args));
}

/* The value on one line. */
static void put_inline(gp_buf *b, const gp_option *o, const void *args)
{
    const gp_list *list = gp_option_field(o, args);
    if (o->type != GP_OPT_LIST) {
        put_value(b, o, args);
        memmove(b->data, b->data + 1, b->len); /* without its leading space */
        return;
    }
    gp_buf_puts(b, "[");
    for (int i = 0; i < list->count; i++)
        gp_buf_printf(b, "%s%s", i ? ", " : "", list->items[i]);
    gp_buf_puts(b, "]");
}

void gp_options_compare(const gp_tool *tool, const void *was, const void *is, gp_options_change_fn *fn, void *self)
{
    for (const gp_option *o = tool->options; !gp_option_ends(o); o++) {
        if (o->type == GP_OPT_GROUP || o->unlogged)
            continue;
        gp_buf then = {0}, now = {0};
        put_inline(&then, o, was);
        put_inline(&now, o, is);
        if (strcmp(then.data, now.data))
            fn(self, o->name, then.data, now.data);
        gp_buf_release(&then);
        gp_buf_release(&now);
    }
}

int gp_options_print(const gp_tool *tool, const void *args, FILE *out)
{
    gp_buf b = {0};
    gp_buf_printf(&b, "# %s (gptpipe) %s: every option, defaults included\n", tool->name, gp_version());
    for (const gp_option *o = tool->options; !gp_option_ends(o); o++) {
        if (o->type == GP_OPT_GROUP) {
            gp_buf_printf(&b, "\n# %s\n", o->name);
        } else if (!o->unlogged) {
            gp_buf_printf(&b, "%s:", o->name);
            put_value(&b, o, args);
            gp_buf_puts(&b, "\n");
        }
    }
    bool failed = fwrite(b.data, 1, b.len, out) != b.len || fflush(out);
    gp_buf_release(&b);
    return failed ? fail_errno("the configuration cannot be written") : 0;
}
