/* generated_file.h: a file that is generated locally and, except for stdout, its sidecar PATH.json: the stories, the
 * reviews.
 *
 *     gp_generated_file f;
 *     if (gp_generated_open(&f, path))
 *         return -1;
 *     int rc = gp_generated_write(&f, text, length);
 *     return gp_generated_end(&f, rc, "stories", seed, count, &json);
 */
#ifndef GP_FETCH_GENERATED_FILE_H
#define GP_FETCH_GENERATED_FILE_H

#include "base/file.h"

typedef struct gp_generated_file {
    gp_out out;
    gp_sha256 hash;
    char *sidecar; /* its path; NULL: stdout, which has none */
} gp_generated_file;

/* Creates the folders of path. 0 or -1, after which there is nothing to release. */
int gp_generated_open(gp_generated_file *f, const char *path);
int gp_generated_write(gp_generated_file *f, const void *data, size_t n);

/* Makes both files appear, the sidecar first: a file without one would pass for an ordinary one. The sidecar is
 *     {"source": {"name": NAME, "seed": S, NAME: COUNT, "bytes": N, "sha256": "..." (of the file)},
 *      MEMBERS}
 * Where rc is not 0, neither appears. Always releases f. 0 or -1. */
int gp_generated_end(gp_generated_file *f, int rc, const char *name, uint64_t seed, int64_t count,
                     const gp_buf *members);

#endif
