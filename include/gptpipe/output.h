/* output.h: what a tool writes: stdout, or a file that is there whole or not at all.
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

/* NULL when the file cannot be created. */
GP_API gp_output *gp_output_open(const char *path);
GP_API FILE *gp_output_stream(gp_output *o);

/* Frees o. -1 when keep is true and something could not be written; then no file is left either. */
GP_API int gp_output_close(gp_output *o, bool keep);

/* Whether stdout is there for data: a pipe, a socket or a file, and not a log that stderr goes into as well. A terminal
 * or /dev/null is not. */
GP_API bool gp_stdout_takes_data(void);

/* Whether what is written there (NULL and "-": stdout) is shown on a terminal, where binary data do harm. */
GP_API bool gp_output_is_terminal(const char *path);

/* Whether what is written to `path` would replace the regular file `read`, under this name or another. NULL: no
 * file. */
GP_API bool gp_output_replaces(const char *path, const char *read);

/* Whether colours may be written there: a terminal, unless NO_COLOR (no-color.org) or TERM=dumb says otherwise. */
GP_API bool gp_output_has_colour(const char *path);

#ifdef __cplusplus
}
#endif
#endif
