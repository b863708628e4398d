/* json_python.h: JSON as Python's json module reads it, which takes more than jansson: NaN, Infinity and -Infinity,
 * numbers of any size, and halves of surrogate pairs. So do files that Python wrote.
 *
 * What jansson cannot hold becomes a mark, which is no string and no number: whoever reads that member finds that it is
 * none, and whoever does not is not disturbed.
 */
#ifndef GP_JSON_PYTHON_H
#define GP_JSON_PYTHON_H

#include "base/json.h"

/* As gp_json_load. In a member's name what cannot be held becomes U+FFFD. */
json_t *gp_json_load_python(const char *text, size_t n, size_t flags, json_error_t *e);

/* The text that v stands for, such as NaN or 10014255632117358197; NULL: v is no mark. */
const char *gp_json_mark(const json_t *v);

/* v as JSON on one line, its numbers and strings as they came; NULL where JSON has no such value (NaN). The caller
 * frees. */
char *gp_json_dump_python(const json_t *v);

#endif
