/* unpack.h: an archive becomes a folder, or a compressed file its content: whole, or not at all.
 *
 *     gp_unpacking u = {.path = "data/wikitext-2", .folder = true, .size = -1, .sha256 = hex};
 *     if (gp_unpack(fd, "wikitext-2-v1.zip", &u))
 *         return -1;
 *
 * The files go into PATH.unpacking, which is flushed to disk and renamed. If one folder holds everything in the
 * archive, as most have it, it is this folder that becomes PATH. What was unpacked is stamped with the SHA-256 of its
 * archive (PATH/.unpacked for a folder, .NAME.unpacked beside a file), so that it is known again without the archive.
 */
#ifndef GP_FETCH_UNPACK_H
#define GP_FETCH_UNPACK_H

#include "base/base.h"

typedef struct gp_unpacking {
    const char *path;                /* what the archive becomes; "-" (of a single file): stdout */
    bool folder;                     /* true: a folder of its files; false: its one file */
    int64_t size;                    /* bytes of all its files together; -1: not known */
    const char *sha256;              /* of the archive, 64 hexadecimal digits; in gp_unpack_look NULL: any */
    struct gp_progress_group *group; /* of the progress of all that are unpacked at once, or NULL */
    bool quiet;                      /* no progress */
} gp_unpacking;

/* Unpacks the archive in an open file, which the caller keeps from others meanwhile. name is for messages. 0 or -1,
 * and then nothing new is at PATH. */
int gp_unpack(int fd, const char *name, const gp_unpacking *u);

/* Is it there already? -1 when something else is in its place that must not be replaced: another folder, or one from
 * which files were taken. archive (of 65 bytes) gets the SHA-256 of the archive that the stamp there tells, or "". */
int gp_unpack_look(const gp_unpacking *u, bool *present, char *archive);

/* Removes a folder and all that is in it; one that is not there is no failure. */
int gp_remove_tree(const char *path);

#endif
