/* json.h: parses JSON with jansson, within a memory limit. This is the library's only JSON parser:
 *
 *     json_error_t e;
 *     json_t *root = gp_json_load(text, length, JSON_REJECT_DUPLICATES, &e);
 *     if (!root)
 *         return fail("%s: line %d: %s", path, e.line, e.text);
 *
 * Out of memory, jansson returns NULL, which callers would take for a missing member or for invalid JSON. It therefore
 * allocates with gp_malloc, which dies with a message (base.h).
 */
#ifndef GP_JSON_H
#define GP_JSON_H

#include <jansson.h>

#include "base/base.h"

/* The offset from `at` on, in n bytes, of what is not white space, or n. */
static inline size_t gp_json_blanks_end(const char *text, size_t n, size_t at)
{
    while (at < n && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r'))
        at++;
    return at;
}

/* The limit in bytes for the values of n bytes of JSON: 64 MiB + 20 n. */
size_t gp_json_budget(size_t n);

/* Parses n bytes of JSON; NULL on failure, with the reason in *e (may be NULL). flags are jansson's. */
json_t *gp_json_load(const char *text, size_t n, size_t flags, json_error_t *e);

/* json_dumps of a value that can be printed; the caller frees. flags are jansson's. */
char *gp_json_dump(const json_t *value, size_t flags);

/* A value as JSON in which whatever gp_printable escapes is escaped; the caller frees. flags are jansson's. */
char *gp_json_print(const json_t *value, size_t flags);

#endif
