/* json_python.c: see json_python.h. If jansson rejects a text, the text is copied with each value that jansson cannot
 * represent replaced by a placeholder: an object with one member, {"U+FDD0": "the value's source text"}. U+FDD0 is a
 * noncharacter, which no text contains. */
#include "base/json_python.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARK "\xef\xb7\x90"

typedef struct python_reader {
    const char *at, *end;
    gp_buf out;
    bool changed;
} python_reader;

static void put_placeholder(python_reader *r, const char *text, size_t n)
{
    r->changed = true;
    gp_buf_puts(&r->out, "{\"" MARK "\":\"");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\')
            gp_buf_puts(&r->out, "\\");
        gp_buf_add(&r->out, text + i, 1);
    }
    gp_buf_puts(&r->out, "\"}");
}

/* The value of \uHHHH at s; -1: there is no such escape. */
static int unicode_escape(const char *s, const char *end)
{
    char digits[5] = {0}, *stop;
    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    memcpy(digits, s + 2, 4);
    long value = strtol(digits, &stop, 16);
    return stop == digits + 4 && strspn(digits, "0123456789abcdefABCDEF") == 4 ? (int)value : -1;
}

/* Whether the backslash at s begins a valid escape sequence. */
static bool is_escape(const char *s, const char *end)
{
    return end - s > 1 && (s[1] == 'u' ? unicode_escape(s, end) >= 0 : s[1] && strchr("\"\\/bfnrt", s[1]));
}

/* The length of the byte or escape sequence at s. *unpaired: it is an unpaired surrogate; *zero: it is U+0000. */
static size_t unit_length(const char *s, const char *end, bool *unpaired, bool *zero)
{
    int c = unicode_escape(s, end), low = c >= 0xD800 && c < 0xDC00 ? unicode_escape(s + 6, end) : -1;
    bool pair = low >= 0xDC00 && low < 0xE000;
    *zero = c == 0;
    *unpaired = c >= 0xD800 && c < 0xE000 && !pair;
    return (size_t)gp_min(end - s, *s != '\\' ? 1 : c < 0 ? 2 : pair ? 12 : 6);
}

static const char *skip_blanks(const char *s, const char *end)
{
    return s + gp_json_blanks_end(s, (size_t)(end - s), 0);
}

/* Copies a string, which begins with a quote. One with an invalid escape sequence is copied unchanged, for jansson to
 * reject. */
static void copy_string(python_reader *r)
{
    const char *s = r->at + 1;
    bool any_unpaired = false, any_zero = false, invalid = false, unpaired, zero;
    for (size_t n; s < r->end && *s != '"'; s += n) {
        n = unit_length(s, r->end, &unpaired, &zero);
        invalid |= *s == '\\' && !is_escape(s, r->end);
        any_unpaired |= unpaired;
        any_zero |= zero;
    }
    s += s < r->end;
    const char *next = skip_blanks(s, r->end);
    bool name = next < r->end && *next == ':';
    if (any_unpaired && !name && !invalid) {
        put_placeholder(r, r->at, (size_t)(s - r->at));
    } else if (name && (any_unpaired || any_zero)) {
        r->changed = true;
        for (const char *p = r->at; p < s;) {
            size_t n = unit_length(p, s, &unpaired, &zero);
            if (unpaired || zero)
                gp_buf_puts(&r->out, "\\ufffd");
            else
                gp_buf_add(&r->out, p, n);
            p += n;
        }
    } else {
        gp_buf_add(&r->out, r->at, (size_t)(s - r->at));
    }
    r->at = s;
}

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static bool is_number(const char *s)
{
    s += *s == '-';
    size_t n = digits(s);
    if (!n || (*s == '0' && n > 1))
        return false;
    s += n;
    if (*s == '.') {
        n = digits(++s);
        s += n;
    }
    if (n && (*s == 'e' || *s == 'E')) {
        s++;
        s += *s == '+' || *s == '-';
        n = digits(s);
        s += n;
    }
    return n && !*s;
}

/* Whether to leave this number to jansson: it can represent it, or reports that it is not a number. */
static bool is_left_to_jansson(const char *number, size_t n)
{
    char *text = gp_strndup(number, n);
    errno = 0;
    bool real = strpbrk(text, ".eE"), fits = real && isfinite(strtod(text, NULL));
    if (!real) {
        strtoll(text, NULL, 10);
        fits = errno != ERANGE;
    }
    fits |= !is_number(text);
    free(text);
    return fits;
}

static void copy_number(python_reader *r)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->at) >= n && !memcmp(r->at, words[i], n)) {
            put_placeholder(r, words[i], n);
            r->at += n;
            return;
        }
    }
    size_t n = 0;
    while (r->at + n < r->end && r->at[n] && strchr("+-.0123456789eE", r->at[n]))
        n++;
    n = n ? n : 1;
    if (is_left_to_jansson(r->at, n))
        gp_buf_add(&r->out, r->at, n);
    else
        put_placeholder(r, r->at, n);
    r->at += n;
}

json_t *gp_json_load_python(const char *text, size_t n, size_t flags, json_error_t *e)
{
    json_t *root = gp_json_load(text, n, flags, e);
    if (root)
        return root;
    python_reader r = {.at = text, .end = text + n};
    while (r.at < r.end) {
        if (*r.at == '"')
            copy_string(&r);
        else if (*r.at && strchr("-0123456789NI", *r.at))
            copy_number(&r);
        else
            gp_buf_add(&r.out, r.at++, 1);
    }
    if (r.changed)
        root = gp_json_load(r.out.data, r.out.len, flags, e);
    gp_buf_release(&r.out);
    return root;
}

const char *gp_json_placeholder(const json_t *v)
{
    return json_object_size(v) == 1 ? json_string_value(json_object_get(v, MARK)) : NULL;
}

char *gp_json_dump_python(const json_t *v)
{
    static const char begin[] = "{\"" MARK "\":\"", end[] = "\"}";
    char *text = gp_json_print(v, JSON_ENCODE_ANY | JSON_COMPACT), *hit;
    gp_buf out = {0};
    bool not_json = false;
    const char *at = text;
    for (; (hit = strstr(at, begin)); at = hit) {
        gp_buf_add(&out, at, (size_t)(hit - at));
        hit += strlen(begin);
        not_json |= *hit == 'N' || *hit == 'I' || !strncmp(hit, "-I", 2);
        for (; strncmp(hit, end, strlen(end)); hit++) {
            hit += *hit == '\\' && hit[1] != 'u'; /* gp_json_print added this backslash */
            gp_buf_add(&out, hit, 1);
        }
        hit += strlen(end);
    }
    gp_buf_puts(&out, at);
    free(text);
    if (not_json)
        gp_buf_release(&out);
    return out.data;
}
