/* json_write.h: writes JSON as text, member by member. For reading JSON, or changing objects before they are printed,
 * see json.h.
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
 * A comma is written before a member unless the buffer is empty or ends with an opening bracket or a newline. NaN and
 * infinity, which JSON does not have, are written as null.
 */
#ifndef GP_JSON_WRITE_H
#define GP_JSON_WRITE_H

#include "base/base.h"

/* A member of an object or, if key is NULL, an element of an array. */
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

/* By the type of value: a string, an integer, a bool (a comparison is an int in C: cast it), or a number with six
 * significant digits. */
#define MEMBER(key, value)                                                                                             \
    _Generic((value),                                                                                                  \
        bool: gp_json_bool,                                                                                            \
        int: gp_json_integer,                                                                                          \
        long: gp_json_integer,                                                                                         \
        double: gp_json_real,                                                                                          \
        char *: gp_json_text,                                                                                          \
        const char *: gp_json_text)(key, value)
/* A number with n significant digits, or with n digits after the decimal point. */
#define REAL(key, value, n)  ((gp_json_member){GP_JSON_REAL, key, n, {.real = value}})
#define FIXED(key, value, n) ((gp_json_member){GP_JSON_FIXED, key, n, {.real = value}})
/* Text that is already JSON. */
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

/* Begins and ends an object '{' or an array '['. key NULL: it is an element of an array, or the whole text. */
void gp_json_open(gp_buf *b, const char *key, char bracket);
void gp_json_close(gp_buf *b, char bracket);

/* A member with a string of n bytes. */
void gp_json_bytes(gp_buf *b, const char *key, const char *s, size_t n);

/* Appends n bytes as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD, one for each maximal subpart as in
 * Python and Rust; whatever gp_printable escapes is escaped. */
void gp_json_quote(gp_buf *b, const char *text, size_t n);

/* The same for valid UTF-8 in files: escapes only what JSON requires. */
void gp_json_quote_minimal(gp_buf *b, const char *text, size_t n);

/* Writes the text and `end` ("\n" or ""), and releases the buffer. */
void gp_json_write(gp_buf *b, FILE *out, const char *end);

#endif
