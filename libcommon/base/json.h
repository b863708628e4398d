/* json.h: JSON read by jansson within a budget of memory. Nothing else reads JSON:
 *
 *     json_error_t e;
 *     json_t *root = gp_json_load(text, length, JSON_REJECT_DUPLICATES, &e);
 *     if (!root)
 *         return fail("%s: line %d: %s", path, e.line, e.text);
 *
 * When jansson is out of memory it returns NULL, which reads as "is not there" or "is not JSON". Therefore it allocates
 * by the library's own allocator, which dies with a message (base.h).
 */
#ifndef GP_JSON_H
#define GP_JSON_H

#include <jansson.h>

#include "base/base.h"

/* Bytes of memory that the values of n bytes of JSON may take: 64 MiB and 20 times n. */
size_t gp_json_budget(size_t n);

/* The value in the n bytes at text; NULL on failure, with the reason in *e (may be NULL). flags are jansson's. */
json_t *gp_json_load(const char *text, size_t n, size_t flags, json_error_t *e);

/* A value as JSON that may be printed, fresh: what gp_printable escapes is escaped. flags are jansson's. */
char *gp_json_print(const json_t *value, size_t flags);

#endif
