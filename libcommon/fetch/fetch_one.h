/* fetch_one.h: one file of the catalog comes here. See gptpipe/fetch.h for several.
 *
 *     gp_fetch_one b = {.file = *f, .path = "data/a.bin", .o = &options};
 *     if (!gp_fetch_one_file(&b))
 *         printf("%s %s\n", b.sha256, b.path);
 */
#ifndef GP_FETCH_FETCH_ONE_H
#define GP_FETCH_FETCH_ONE_H

#include "cli/progress.h"
#include "gptpipe/fetch.h"

typedef struct gp_fetch_one {
    gp_catalog_file file; /* a copy, for its SHA-256 and size may be those of a lock file */
    const char *lock;     /* the lock file's name where they are; NULL: the catalog has them */
    const char *path;     /* "-" is stdout, written to when all is checked */
    const gp_fetch_options *o;
    gp_progress_group *group; /* of the progress of all that come at once, or NULL */
    gp_fetched how;           /* out, as what follows: where it came from */
    char sha256[65];          /* of the file, or of the archive that it came from */
    int64_t size;             /* of the same; -1: not known */
    bool full;                /* it failed for want of room, and so would any other */
} gp_fetch_one;

/* 0 or -1. */
int gp_fetch_one_file(gp_fetch_one *b);

#endif
