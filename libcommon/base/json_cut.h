/* json_cut.h: large members of a JSON text, read without jansson, which reads the rest.
 *
 * The text is walked by counting brackets and skipping strings, which is exact if it is JSON. Whether it is follows
 * from two checks: what is taken is read strictly, and jansson accepts the rest. Where either fails, the caller has
 * jansson read the whole text, so that what is accepted, and what is reported, stay jansson's own.
 */
#ifndef GP_JSON_CUT_H
#define GP_JSON_CUT_H

#include "base/json.h"

typedef struct gp_json_cursor {
    const char *at, *end;
} gp_json_cursor;

static inline void gp_json_skip_blanks(gp_json_cursor *c)
{
    c->at += gp_json_blanks_end(c->at, (size_t)(c->end - c->at), 0);
}

/* The next character that is not blank, which is consumed; 0 at the end. */
static inline char gp_json_next(gp_json_cursor *c)
{
    gp_json_skip_blanks(c);
    return *(c->at < c->end ? c->at++ : "");
}

/* Appends a string to out, which has room for whatever is left of the text; the first one after its quote has been
 * consumed. false for what jansson refuses, and for U+0000 and escaped surrogates, about which it decides. */
bool gp_json_read_string(gp_json_cursor *c, gp_buf *out);
bool gp_json_read_quoted(gp_json_cursor *c, gp_buf *out);

/* Takes the value at c, which begins with a quote or a bracket, of a member of this name, by reading to its end; or
 * leaves c as it is. false: it is not written in the usual way. */
typedef bool gp_json_take_fn(void *self, gp_json_cursor *c, const char *name, size_t n);

/* Parses n bytes of JSON. What `take` takes of the members of the root's member `inner` is empty in the result. NULL:
 * the whole has to be parsed by gp_json_load. A name with an escape sequence is not recognized: its value is in the
 * result. */
json_t *gp_json_load_cut(const char *text, size_t n, size_t flags, const char *inner, gp_json_take_fn *take,
                         void *self);

#endif
