/* lines.h: lines that a person types, one after the other.
 *
 *     gp_lines *l = gp_lines_open("> ");
 *     while ((line = gp_lines_next(l)))
 *         while (...a long answer... && !gp_lines_interrupted(l))
 *             ...
 *     gp_lines_close(l);
 *
 * On a terminal with the keys of libedit, where the build has it, and a history; from a pipe without any prompt.
 * Ctrl-C at the prompt drops the line, after it it is told by gp_lines_interrupted; Ctrl-D ends.
 */
#ifndef GPTPIPE_LINES_H
#define GPTPIPE_LINES_H

#include <stdbool.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_lines gp_lines;

/* From stdin, prompting on stdout with `prompt`, which must live until close. Until then SIGINT does not end the
 * process; there is one of these at a time. */
GP_API gp_lines *gp_lines_open(const char *prompt);

/* The next line without its newline, good until the next call; NULL at the end. */
GP_API const char *gp_lines_next(gp_lines *l);

/* Was Ctrl-C pressed since the last line came? */
GP_API bool gp_lines_interrupted(const gp_lines *l);
GP_API void gp_lines_close(gp_lines *l);

#ifdef __cplusplus
}
#endif
#endif
