/* partial_file.h: a file being downloaded. Its bytes go into PATH.part and through SHA-256 as they arrive; what a later
 * run needs to resume safely (the URL, the server's validator or the file's size) is recorded in PATH.part.from. The
 * file gets its name when it is complete and verified. */
#ifndef GP_FETCH_PARTIAL_FILE_H
#define GP_FETCH_PARTIAL_FILE_H

#include "base/file.h"

typedef struct gp_partial {
    int fd;
    char *path;      /* the final name; NULL: stdout, spooled in an unlinked file until it is verified */
    char *temporary; /* PATH.part */
    char *from;      /* PATH.part.from */
    int64_t done;    /* bytes received and hashed */
    gp_sha256 hash;
    char *url, *validator; /* of their source; the validator is a strong ETag or a date, or NULL */
    int64_t whole;         /* the file's size at the source, recorded where there is no validator; or -1 */
    bool resumed;          /* some bytes are from an earlier response */
} gp_partial;

typedef enum gp_partial_state {
    GP_PARTIAL_FAILED = -1,
    GP_PARTIAL_READY, /* open and locked; the other states leave nothing to close */
    GP_PARTIAL_BUSY,  /* another process is downloading this file */
} gp_partial_state;

/* Opens and locks PATH.part, with the bytes of an earlier run; its folder is created. wait: until another process
 * releases the lock, which may have completed PATH then. path "-" is stdout. */
gp_partial_state gp_partial_open(gp_partial *p, const char *path, bool wait);

/* Appends n bytes. */
int gp_partial_add(gp_partial *p, const void *data, size_t n);

/* Discards all bytes. */
int gp_partial_restart(gp_partial *p);

/* Records the source of the bytes that follow, for this run and the next. validator may be NULL, whole -1. */
void gp_partial_source(gp_partial *p, const char *url, const char *validator, int64_t whole);

/* The SHA-256 of the bytes so far, in hex (65 bytes); more may be added afterwards. */
void gp_partial_digest(const gp_partial *p, char *hex);

/* Flushes, renames into place (or writes to stdout) and closes; on failure too. */
int gp_partial_commit(gp_partial *p);

/* Closes. keep: the bytes stay for the next run. */
void gp_partial_close(gp_partial *p, bool keep);

#endif
