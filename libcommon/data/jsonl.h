/* jsonl.h: JSON Lines: each line of a text is an object, and some of its members are wanted.
 *
 *     json_t *o = gp_jsonl_line("{\"text\": \"Hi\", \"label\": 1}", 27, "a.jsonl", 1);
 *     size_t n;
 *     const char *text = gp_jsonl_string(o, "text", &n, "a.jsonl", 1);      // NULL: said why
 *     json_decref(o);
 */
#ifndef GP_DATA_JSONL_H
#define GP_DATA_JSONL_H

#include <jansson.h>

#include "base/base.h"

/* Line `number` (from 1) of `file`, without its newline, as an object; NULL on failure. The caller json_decrefs. */
json_t *gp_jsonl_line(const char *line, size_t n, const char *file, int64_t number);

/* The string member `field`, its bytes in *n; it lives as long as the object. NULL when it is missing or is no
 * string. */
const char *gp_jsonl_string(const json_t *object, const char *field, size_t *n, const char *file, int64_t number);

/* "a number" and the like: what a value is that should be a string; NULL: missing. */
const char *gp_jsonl_not_a_string(const json_t *value);

/* Whether a string member's text is exactly this one. */
bool gp_jsonl_equal(const char *text, size_t n, const char *other);

/* Is this line nothing but white space? Such lines are passed over. */
bool gp_jsonl_is_blank(const char *line, size_t n);

#endif
