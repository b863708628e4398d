/* output.h: output of a tool: stdout, or a file that appears complete or not at all.
 *
 *     gp_output *o = gp_output_open("report.txt");    // NULL or "-": stdout
 *     fprintf(gp_output_stream(o), "...");
 *     rc = gp_output_close(o, rc == 0);               // true: renamed into place; false: no file
 */
#ifndef GPTPIPE_OUTPUT_H
#define GPTPIPE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_output gp_output;

/* NULL if the file cannot be created. */
GP_API gp_output *gp_output_open(const char *path);
GP_API FILE *gp_output_stream(gp_output *o);

/* Frees o. Returns -1 if keep is true and a write has failed; no file is left then. */
GP_API int gp_output_close(gp_output *o, bool keep);

/* Whether stdout is meant for data: a pipe, a socket or a file that is not stderr as well. A terminal or /dev/null is
 * not. */
GP_API bool gp_stdout_takes_data(void);

/* Whether path (NULL and "-": stdout) is a terminal, to which binary data should not be written. */
GP_API bool gp_output_is_terminal(const char *path);

/* Whether writing to `path` would replace the regular file `input`, under any name. Either may be NULL. */
GP_API bool gp_output_replaces(const char *path, const char *input);

/* Whether output to path may be coloured: it is a terminal, and neither NO_COLOR (no-color.org) nor TERM=dumb is
 * set. */
GP_API bool gp_output_has_colour(const char *path);

#ifdef __cplusplus
}
#endif
#endif
