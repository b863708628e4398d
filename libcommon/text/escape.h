/* escape.h: bytes as text, for messages. */
#ifndef GP_TEXT_ESCAPE_H
#define GP_TEXT_ESCAPE_H

#include "base/base.h"

/* Appends bytes as a person can read them: printable ASCII as it is, the rest as \n, \t, \xNN. */
void gp_escape(gp_buf *b, const char *bytes, int64_t n);

#endif
