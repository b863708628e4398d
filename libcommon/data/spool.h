/* spool.h: an input as one mapping, be it a file or a pipe. */
#ifndef GP_DATA_SPOOL_H
#define GP_DATA_SPOOL_H

#include "base/file.h"

/* An opened input. */
typedef struct gp_input {
    int fd;
    char *name;  /* for messages: the path, or "stdin" */
    bool mapped; /* a regular file read from its start, which can be mapped as it is */
} gp_input;

/* "-" is stdin, which must not be a terminal. */
int gp_input_open(gp_input *in, const char *path);
void gp_input_close(gp_input *in);

/* Copies what is left of the input, at most so many bytes, into an unlinked temporary file, and maps that. */
int gp_input_spool(gp_input *in, int64_t most, gp_map *m);

/* The same into a file being written; name: for messages about the mapping. */
int gp_input_spool_to(gp_input *in, int64_t most, gp_out *out, gp_map *m, const char *name);

#endif
