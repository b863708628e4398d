/* jsonl.h: JSON Lines: one JSON object a line.
 *
 *     json_t *o = gp_jsonl_line("{\"text\": \"Hi\", \"label\": 1}", 27, "a.jsonl", 1);
 *     size_t n;
 *     const char *text = gp_jsonl_string(o, "text", &n, "a.jsonl", 1);      // NULL: see gp_error()
 *     json_decref(o);
 */
#ifndef GP_DATA_JSONL_H
#define GP_DATA_JSONL_H

#include <jansson.h>

#include "base/base.h"

/* Line `number` (from 1) of `file`, without its newline, as an object; NULL on failure. The caller json_decrefs. */
json_t *gp_jsonl_line(const char *line, size_t n, const char *file, int64_t number);

/* The string member `field` and its length in *n; valid as long as the object. NULL if it is missing or not a
 * string. */
const char *gp_jsonl_string(const json_t *object, const char *field, size_t *n, const char *file, int64_t number);

/* For messages, why a value is not a string: "missing" (value is NULL), "not a string", ... */
const char *gp_jsonl_not_a_string(const json_t *value);

/* Whether the line is only white space: such lines are skipped. */
bool gp_jsonl_is_blank(const char *line, size_t n);

/* Calls fn for the object of each line of a whole file that is not blank; `end` is the offset of the next line. Stops
 * at the first value other than 0 and returns it; -1 if a line is not an object. */
typedef int gp_jsonl_fn(void *self, const json_t *object, int64_t number, size_t end);
int gp_jsonl_for_each(const gp_buf *text, const char *file, gp_jsonl_fn *fn, void *self);

#endif
