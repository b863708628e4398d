/* json_write.h: JSON as text, member by member. Reading, and objects that are changed before they are printed, are
 * jansson's (json.h).
 *
 *     gp_buf b = {0};
 *     gp_json_open(&b, NULL, '{');
 *     gp_json_put(&b, MEMBER("step", step), REAL("loss", loss, 9), MEMBER("run", path));
 *     gp_json_open(&b, "ids", '[');
 *     for (...)
 *         gp_json_put(&b, MEMBER(NULL, ids[i]));    // an element
 *     gp_json_close(&b, ']');
 *     gp_json_close(&b, '}');
 *
 * The comma before a member depends on what the buffer ends with. An empty buffer, or one that ends in a newline,
 * begins a new text. JSON has neither NaN nor infinity: they become null here, and nowhere else.
 */
#ifndef GP_JSON_WRITE_H
#define GP_JSON_WRITE_H

#include "base/base.h"

/* One member of an object or, where key is NULL, one element of an array. */
typedef struct gp_json_member {
    enum { GP_JSON_END, GP_JSON_STRING, GP_JSON_RAW, GP_JSON_INTEGER, GP_JSON_BOOL, GP_JSON_REAL, GP_JSON_FIXED } type;
    const char *key;
    int digits;
    union {
        const char *text;
        int64_t integer;
        double real;
    };
} gp_json_member;

/* By its type: a string, an integer, a bool (in C a comparison is an int: cast it), or a number of six significant
 * digits. */
#define MEMBER(key, value)                                                                                             \
    _Generic((value),                                                                                                  \
        bool: gp_json_bool,                                                                                            \
        int: gp_json_integer,                                                                                          \
        long: gp_json_integer,                                                                                         \
        double: gp_json_real,                                                                                          \
        char *: gp_json_text,                                                                                          \
        const char *: gp_json_text)(key, value)
/* A number of so many significant digits, or of so many digits after the point. */
#define REAL(key, value, n)  ((gp_json_member){GP_JSON_REAL, key, n, {.real = value}})
#define FIXED(key, value, n) ((gp_json_member){GP_JSON_FIXED, key, n, {.real = value}})
/* Text that is JSON already. */
#define RAW(key, json) ((gp_json_member){GP_JSON_RAW, key, 0, {.text = json}})

static inline gp_json_member gp_json_text(const char *key, const char *text)
{
    return (gp_json_member){GP_JSON_STRING, key, 0, {.text = text}};
}

static inline gp_json_member gp_json_integer(const char *key, int64_t integer)
{
    return (gp_json_member){GP_JSON_INTEGER, key, 0, {.integer = integer}};
}

static inline gp_json_member gp_json_bool(const char *key, bool is)
{
    return (gp_json_member){GP_JSON_BOOL, key, 0, {.integer = is}};
}

static inline gp_json_member gp_json_real(const char *key, double real)
{
    return REAL(key, real, 6);
}

#define gp_json_put(b, ...) gp_json_put_members(b, (const gp_json_member[]){__VA_ARGS__, {.type = GP_JSON_END}})
void gp_json_put_members(gp_buf *b, const gp_json_member *members);

/* Begins a member (key NULL: an element, or a text) that is an object '{' or an array '['; ends it. */
void gp_json_open(gp_buf *b, const char *key, char bracket);
void gp_json_close(gp_buf *b, char bracket);

/* A member that is a string of n bytes. */
void gp_json_bytes(gp_buf *b, const char *key, const char *s, size_t n);

/* Appends n bytes as a JSON string, quotes included. What is not UTF-8 becomes U+FFFD, where and as often as Python's
 * and Rust's decoders put it; what gp_printable escapes is escaped. */
void gp_json_quote(gp_buf *b, const char *text, size_t n);

/* The same for files: the n bytes are UTF-8, and what need not be escaped is not. */
void gp_json_quote_least(gp_buf *b, const char *text, size_t n);

/* Writes the text and what ends it ("\n" or ""), and releases the buffer. */
void gp_json_write(gp_buf *b, FILE *out, const char *end);

#endif
