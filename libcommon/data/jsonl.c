/* jsonl.c: see jsonl.h. */
#include "data/jsonl.h"

#include <string.h>

#include "base/json_python.h"
#include "base/utf8.h"

json_t *gp_jsonl_line(const char *line, size_t n, const char *file, int64_t number)
{
    json_error_t e;
    size_t mark = number == 1 ? gp_utf8_mark(line, n) : 0; /* a byte order mark, which PyArrow skips too */
    json_t *o = gp_json_load_python(line + mark, n - mark, JSON_ALLOW_NUL, &e);
    if (json_is_object(o))
        return o;
    if (o)
        fail("%s: line %lld is not a JSON object", file, (long long)number);
    else
        fail("%s: line %lld is not JSON: %s", file, (long long)number, e.text);
    json_decref(o);
    return NULL;
}

const char *gp_jsonl_string(const json_t *object, const char *field, size_t *n, const char *file, int64_t number)
{
    const json_t *value = json_object_get(object, field);
    if (json_is_string(value)) {
        *n = json_string_length(value);
        return json_string_value(value);
    }
    fail("%s: line %lld: its \"%s\" is %s", file, (long long)number, field, gp_jsonl_not_a_string(value));
    return NULL;
}

const char *gp_jsonl_not_a_string(const json_t *value)
{
    const char *mark = gp_json_placeholder(value);
    if (mark && *mark == '"')
        return "not text: it contains a lone surrogate";
    return value ? "not a string" : "missing";
}

bool gp_jsonl_is_blank(const char *line, size_t n)
{
    return gp_json_blanks_end(line, n, 0) == n;
}

int gp_jsonl_for_each(const gp_buf *text, const char *file, gp_jsonl_fn *fn, void *self)
{
    int64_t number = 1;
    int rc = 0;
    for (size_t at = 0, end; at < text->len && !rc; at = end, number++) {
        const char *line = text->data + at, *newline = memchr(line, '\n', text->len - at);
        end = newline ? (size_t)(newline + 1 - text->data) : text->len;
        if (gp_jsonl_is_blank(line, end - at))
            continue;
        json_t *object = gp_jsonl_line(line, end - at, file, number);
        rc = object ? fn(self, object, number, end) : -1;
        json_decref(object);
    }
    return rc;
}
