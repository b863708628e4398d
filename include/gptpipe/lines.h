/* lines.h: interactive input, line by line.
 *
 *     gp_lines *l = gp_lines_open("> ");
 *     while ((line = gp_lines_next(l)))
 *         while (...long output... && !gp_lines_interrupted(l))
 *             ...
 *     gp_lines_close(l);
 *
 * On a terminal, lines are edited with libedit (if built with it) and have a history; from a pipe, no prompt is
 * printed. Ctrl-C at the prompt discards the line; later, gp_lines_interrupted reports it. Ctrl-D ends the input.
 */
#ifndef GPTPIPE_LINES_H
#define GPTPIPE_LINES_H

#include <stdbool.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_lines gp_lines;

/* Reads stdin and prompts on stdout with `prompt`, which must outlive the result. Until gp_lines_close, SIGINT does not
 * end the process. Only one can be open at a time. */
GP_API gp_lines *gp_lines_open(const char *prompt);

/* The next line without its newline, valid until the next call; NULL at the end. */
GP_API const char *gp_lines_next(gp_lines *l);

/* Whether Ctrl-C has been pressed since gp_lines_next returned. */
GP_API bool gp_lines_interrupted(const gp_lines *l);
GP_API void gp_lines_close(gp_lines *l);

#ifdef __cplusplus
}
#endif
#endif
