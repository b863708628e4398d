/* spool.h: maps an input, whether a file or a pipe. */
#ifndef GP_DATA_SPOOL_H
#define GP_DATA_SPOOL_H

#include "base/file.h"

/* An opened input. */
typedef struct gp_input {
    int fd;
    char *name;  /* for messages: the path, or "stdin" */
    bool mapped; /* it is a regular file at its start, which can be mapped directly */
} gp_input;

/* "-" is stdin, which must not be a terminal. */
int gp_input_open(gp_input *in, const char *path);
void gp_input_close(gp_input *in);

/* Copies the rest of the input, up to max bytes, to an unlinked temporary file, and maps that. */
int gp_input_spool(gp_input *in, int64_t max, gp_map *m);

/* The same, to a file that is being written; name: for messages about the mapping. */
int gp_input_spool_to(gp_input *in, int64_t max, gp_out *out, gp_map *m, const char *name);

#endif
