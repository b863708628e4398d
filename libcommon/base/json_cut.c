/* json_cut.c: see json_cut.h. */
#include "base/json_cut.h"
#include "base/utf8.h"

#include <string.h>

/* ---- strict reading --------------------------------------------------------------------------------------- */

/* The code point of the four digits at c, or 0. */
static uint32_t read_hex(gp_json_cursor *c)
{
    uint32_t code = 0;
    if (c->end - c->at < 4)
        return 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *digit = *c->at ? strchr(digits, *c->at) : NULL;
        if (!digit)
            return 0;
        uint32_t value = (uint32_t)(digit - digits);
        code = code << 4 | (value < 16 ? value : value - 6);
        c->at++;
    }
    return code;
}

/* Appends the character that an escape sequence, without its backslash, stands for. false also for U+0000 and
 * surrogates, about which jansson decides. */
static bool read_escape(gp_json_cursor *c, gp_buf *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char name = *(c->at < c->end ? c->at++ : "");
    const char *known = name ? strchr(names, name) : NULL;
    if (known) {
        out->data[out->len++] = values[known - names];
        return true;
    }
    uint32_t code = name == 'u' ? read_hex(c) : 0;
    if (!code || (code >= 0xD800 && code < 0xE000))
        return false;
    out->len += gp_utf8_put(out->data + out->len, code);
    return true;
}

bool gp_json_read_string(gp_json_cursor *c, gp_buf *out)
{
    while (c->at < c->end) {
        uint8_t byte = (uint8_t)*c->at;
        if (byte >= 0x80) {
            uint32_t code;
            size_t n = gp_utf8_last((const uint8_t *)c->at, (size_t)(c->end - c->at), &code);
            if (code >= GP_BAD_BYTE)
                return false;
            for (size_t i = 0; i < n; i++)
                out->data[out->len++] = *c->at++;
            continue;
        }
        c->at++;
        if (byte == '"')
            return true;
        if (byte < 0x20 || (byte == '\\' && !read_escape(c, out)))
            return false;
        if (byte != '\\')
            out->data[out->len++] = (char)byte;
    }
    return false;
}

bool gp_json_read_quoted(gp_json_cursor *c, gp_buf *out)
{
    return gp_json_next(c) == '"' && gp_json_read_string(c, out);
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

/* Skips a string after its quote. */
static bool skip_string(gp_json_cursor *c)
{
    while (c->at < c->end && *c->at != '"')
        c->at += *c->at == '\\' && c->end - c->at > 1 ? 2 : 1;
    return c->at < c->end && *c->at++ == '"';
}

/* Skips a value, up to the comma or bracket that ends it. */
static bool skip_value(gp_json_cursor *c)
{
    for (int64_t depth = 0; c->at < c->end;) {
        char now = *c->at;
        if (!depth && (now == ',' || now == '}' || now == ']'))
            return true;
        c->at++;
        if (now == '"' && !skip_string(c))
            return false;
        depth += (now == '{' || now == '[') - (now == '}' || now == ']');
    }
    return false;
}

typedef struct walker {
    gp_json_cursor c;
    const char *done; /* up to where the text is in rest or taken */
    gp_buf rest;
    const char *inner;
    gp_json_take_fn *take;
    void *self;
} walker;

/* Has a value taken, or skips it. */
static bool take_value(walker *w, const char *name, size_t n)
{
    static const char openings[] = "{[\"", *const empty[] = {"{}", "[]", "\"\""};
    const char *begin = w->c.at, *opening = strchr(openings, *begin);
    if (!*begin || !opening || memchr(name, '\\', n))
        return skip_value(&w->c);
    if (!w->take(w->self, &w->c, name, n))
        return false;
    if (w->c.at == begin)
        return skip_value(&w->c);
    gp_buf_add(&w->rest, w->done, (size_t)(begin - w->done));
    gp_buf_puts(&w->rest, empty[opening - openings]);
    w->done = w->c.at;
    return true;
}

/* Walks over the members of an object: the root or, inside, the inner one. */
static bool walk(walker *w, bool inside)
{
    gp_json_cursor *c = &w->c;
    if (gp_json_next(c) != '{')
        return false;
    for (char after = ','; after == ',';) {
        if (gp_json_next(c) != '"')
            return false;
        const char *name = c->at;
        if (!skip_string(c))
            return false;
        size_t n = (size_t)(c->at - name - 1);
        if (gp_json_next(c) != ':')
            return false;
        gp_json_skip_blanks(c);
        bool enter = !inside && c->at < c->end && *c->at == '{' && n == strlen(w->inner) && !memcmp(name, w->inner, n);
        if (c->at == c->end || !(enter ? walk(w, true) : inside ? take_value(w, name, n) : skip_value(c)))
            return false;
        after = gp_json_next(c);
        if (after == '}')
            return true;
    }
    return false;
}

json_t *gp_json_load_cut(const char *text, size_t n, size_t flags, const char *inner, gp_json_take_fn *take, void *self)
{
    walker w = {.c = {text, text + n}, .done = text, .inner = inner, .take = take, .self = self};
    json_t *root = NULL;
    if (walk(&w, false)) {
        gp_buf_add(&w.rest, w.done, (size_t)(w.c.end - w.done));
        root = gp_json_load(w.rest.data, w.rest.len, flags, NULL);
    }
    gp_buf_release(&w.rest);
    return root;
}
