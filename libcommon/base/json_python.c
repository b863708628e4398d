/* json_python.c: see json_python.h. A text that jansson takes is left alone; another is copied, with each value that it
 * cannot hold as an object of one member, {"U+FDD0": "the value's text"}. U+FDD0 is no character, so no text has it. */
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

static void mark(python_reader *r, const char *text, size_t n)
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

/* \uHHHH at s: its value; -1: there is none. */
static int escaped(const char *s, const char *end)
{
    char digits[5] = {0}, *stop;
    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    memcpy(digits, s + 2, 4);
    long value = strtol(digits, &stop, 16);
    return stop == digits + 4 && strspn(digits, "0123456789abcdefABCDEF") == 4 ? (int)value : -1;
}

/* Whether the backslash at s begins an escape of JSON. */
static bool is_escape(const char *s, const char *end)
{
    return end - s > 1 && (s[1] == 'u' ? escaped(s, end) >= 0 : s[1] && strchr("\"\\/bfnrt", s[1]));
}

/* How many bytes the escape at s takes; *bad: it is half a surrogate pair, or in a name U+0000. */
static size_t escape_length(const char *s, const char *end, bool *bad, bool *zero)
{
    int c = escaped(s, end), low = c >= 0xD800 && c < 0xDC00 ? escaped(s + 6, end) : -1;
    *zero = c == 0;
    *bad = c >= 0xD800 && c < 0xE000 && !(low >= 0xDC00 && low < 0xE000);
    return c < 0 ? 2 : low >= 0xDC00 && low < 0xE000 ? 12 : 6;
}

static const char *skip_blanks(const char *s, const char *end)
{
    while (s < end && strchr(" \t\r\n", *s) && *s)
        s++;
    return s;
}

/* A string, from its quote on. One with a wrong escape is copied as it is, for jansson to refuse. */
static void copy_string(python_reader *r)
{
    const char *s = r->at + 1;
    bool any = false, zeros = false, wrong = false, bad, zero;
    for (size_t n; s < r->end && *s != '"'; s += n) {
        n = 1;
        bad = zero = false;
        if (*s == '\\') {
            n = escape_length(s, r->end, &bad, &zero);
            wrong |= !is_escape(s, r->end);
        }
        any |= bad;
        zeros |= zero;
        n = n > (size_t)(r->end - s) ? (size_t)(r->end - s) : n;
    }
    s += s < r->end;
    const char *next = skip_blanks(s, r->end);
    bool name = next < r->end && *next == ':';
    if (any && !name && !wrong) {
        mark(r, r->at, (size_t)(s - r->at));
    } else if (name && (any || zeros)) {
        r->changed = true;
        for (const char *p = r->at; p < s;) {
            bad = zero = false;
            size_t n = *p == '\\' ? escape_length(p, s, &bad, &zero) : 1;
            if (bad || zero)
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

/* Whether jansson holds this number; what is none it refuses. */
static bool holds(const char *number, size_t n)
{
    char *text = gp_strndup(number, n);
    errno = 0;
    bool whole = !strpbrk(text, ".eE"), fits;
    if (whole) {
        strtoll(text, NULL, 10);
        fits = errno != ERANGE;
    } else {
        fits = isfinite(strtod(text, NULL));
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
            mark(r, words[i], n);
            r->at += n;
            return;
        }
    }
    size_t n = 0;
    while (r->at + n < r->end && r->at[n] && strchr("+-.0123456789eE", r->at[n]))
        n++;
    n = n ? n : 1;
    if (holds(r->at, n))
        gp_buf_add(&r->out, r->at, n);
    else
        mark(r, r->at, n);
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

const char *gp_json_mark(const json_t *v)
{
    return json_object_size(v) == 1 ? json_string_value(json_object_get(v, MARK)) : NULL;
}

char *gp_json_dump_python(const json_t *v)
{
    static const char begin[] = "{\"" MARK "\":\"", end[] = "\"}";
    char *text = gp_json_print(v, JSON_ENCODE_ANY | JSON_COMPACT), *hit;
    gp_buf out = {0};
    bool lost = false;
    const char *at = text;
    for (; (hit = strstr(at, begin)); at = hit) {
        gp_buf_add(&out, at, (size_t)(hit - at));
        hit += strlen(begin);
        lost |= *hit == 'N' || *hit == 'I' || !strncmp(hit, "-I", 2);
        for (; strncmp(hit, end, strlen(end)); hit++) {
            hit += *hit == '\\' && hit[1] != 'u'; /* that one came of printing */
            gp_buf_add(&out, hit, 1);
        }
        hit += strlen(end);
    }
    gp_buf_puts(&out, at);
    free(text);
    if (lost)
        gp_buf_release(&out);
    return out.data;
}
