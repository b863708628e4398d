/* json_python.h: JSON as Python's json module reads and writes it. It allows more than jansson: NaN, Infinity,
 * -Infinity, numbers of any size, and unpaired surrogates.
 *
 * A value that jansson cannot represent is replaced by a placeholder, which is neither a string nor a number: code that
 * needs that member finds the wrong type, and other code is not affected.
 */
#ifndef GP_JSON_PYTHON_H
#define GP_JSON_PYTHON_H

#include "base/json.h"

/* Like gp_json_load. In the name of a member, unpaired surrogates and U+0000 become U+FFFD. */
json_t *gp_json_load_python(const char *text, size_t n, size_t flags, json_error_t *e);

/* The source text of a placeholder, such as NaN or 10014255632117358197; NULL for any other value. */
const char *gp_json_placeholder(const json_t *v);

/* v as JSON on one line, placeholders replaced by their source text; NULL if v holds a value that JSON does not have
 * (NaN or infinity). The caller frees. */
char *gp_json_dump_python(const json_t *v);

#endif
