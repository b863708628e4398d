/* partial_file.h: a file on its way here. Its bytes go into PATH.part and through SHA-256 as they come; what a later
 * run needs to go on safely (the URL, the server's validator or the file's size) stands in PATH.part.from. It gets its
 * name when it is whole and checked.
 */
#ifndef GP_FETCH_PARTIAL_FILE_H
#define GP_FETCH_PARTIAL_FILE_H

#include "base/file.h"

typedef struct gp_part {
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
} gp_part;

typedef enum gp_part_state {
    GP_PART_FAILED = -1,
    GP_PART_READY,   /* open and locked; the other states leave nothing to close */
    GP_PART_BUSY,    /* another process is bringing this file */
    GP_PART_PRESENT, /* and while this one waited, it did */
} gp_part_state;

/* Opens PATH.part, or what an earlier run left of it, and locks it. wait: where another process holds the lock, until
 * it lets go. path "-" is stdout. */
gp_part_state gp_part_open(gp_part *p, const char *path, bool wait);

/* Appends n bytes. */
int gp_part_add(gp_part *p, const void *data, size_t n);

/* Forgets all bytes. */
int gp_part_restart(gp_part *p);

/* Notes the source of the bytes that follow, for this run and the next. validator may be NULL, whole -1. */
void gp_part_source(gp_part *p, const char *url, const char *validator, int64_t whole);

/* The SHA-256 of what is here, in hex (65 bytes); more may be added afterwards. */
void gp_part_digest(const gp_part *p, char *hex);

/* Flushes, renames into place (or writes to stdout) and closes; on failure too. */
int gp_part_commit(gp_part *p);

/* Closes. What is here is kept for the next run, unless it is worth nothing. */
void gp_part_close(gp_part *p, bool keep);

#endif
