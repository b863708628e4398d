/* partial_file.h: a file on its way here. Its bytes go into PATH.part and through SHA-256 as they come; what a later
 * run needs to go on safely (the URL, the server's validator or the file's size) stands in PATH.part.from. It gets its
 * name when it is whole and checked.
 */
#ifndef GP_FETCH_PARTIAL_FILE_H
#define GP_FETCH_PARTIAL_FILE_H

#include "base/file.h"

typedef struct gp_partial {
    int fd;
    char *path;       /* the final name; NULL: stdout, spooled in an unlinked file until it is checked */
    char *temporary;  /* PATH.part */
    char *from;       /* PATH.part.from */
    const char *name; /* for messages: the final name or "stdout" */
    int64_t done;     /* bytes that are here and hashed */
    gp_sha256 hash;
    char *url, *validator; /* where they came from; a strong ETag or a date, or NULL */
    int64_t whole;         /* the file's size there, where nothing else tells it from another; or -1 */
    bool resumed;          /* some bytes came in an earlier response */
} gp_partial;

typedef enum gp_partial_state {
    GP_PARTIAL_FAILED = -1,
    GP_PARTIAL_READY,   /* open and locked; the other states leave nothing to close */
    GP_PARTIAL_BUSY,    /* another process is bringing this file */
    GP_PARTIAL_PRESENT, /* and while this one waited, it did */
} gp_partial_state;

/* Opens PATH.part, or what an earlier run left of it, and locks it. wait: where another process holds the lock, until
 * it lets go. path "-" is stdout. */
gp_partial_state gp_partial_open(gp_partial *p, const char *path, bool wait);

/* Appends n bytes. */
int gp_partial_add(gp_partial *p, const void *data, size_t n);

/* Forgets all bytes. */
int gp_partial_restart(gp_partial *p);

/* Notes the source of the bytes that follow, for this run and the next. validator may be NULL, whole -1. */
void gp_partial_source(gp_partial *p, const char *url, const char *validator, int64_t whole);

/* The SHA-256 of what is here, in hex (65 bytes); more may be added afterwards. */
void gp_partial_digest(const gp_partial *p, char *hex);

/* Flushes, renames into place (or writes to stdout) and closes; on failure too. */
int gp_partial_commit(gp_partial *p);

/* Closes. What is here is kept for the next run, unless it is worth nothing. */
void gp_partial_close(gp_partial *p, bool keep);

#endif
