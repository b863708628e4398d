/* unpack.h: unpacks an archive into a folder, or a compressed file into its content, atomically.
 *
 *     gp_unpacking u = {.path = "data/wikitext-2", .folder = true, .size = -1, .sha256 = hex};
 *     if (gp_unpack(fd, "wikitext-2-v1.zip", &u))
 *         return -1;
 *
 * The files are written into PATH.unpacking, which is flushed to disk and renamed. If everything in the archive is in
 * one folder, as in most, that folder becomes PATH. A stamp records the SHA-256 of the archive (PATH/.unpacked for a
 * folder, .NAME.unpacked next to a file), so that its files can be recognised without the archive.
 */
#ifndef GP_FETCH_UNPACK_H
#define GP_FETCH_UNPACK_H

#include "base/base.h"

typedef struct gp_unpacking {
    const char *path;                /* of the folder or file; "-" (of a single file): stdout */
    bool folder;                     /* a folder of its files; false: its only file */
    int64_t size;                    /* bytes of all its files together; -1: not known */
    const char *sha256;              /* of the archive, 64 hexadecimal digits; in gp_unpack_check NULL: any */
    struct gp_progress_group *group; /* shows the progress of all concurrent fetches; or NULL */
    bool quiet;                      /* no progress */
} gp_unpacking;

/* Unpacks the archive in an open file, which no other process may change meanwhile. name is for messages. 0 or -1; a
 * failure leaves PATH as it was. */
int gp_unpack(int fd, const char *name, const gp_unpacking *u);

/* Whether it is unpacked already. -1 where its place is taken by something that must not be replaced: another folder,
 * or one with files missing. archive (65 bytes) receives the SHA-256 of the archive by the stamp, or "". */
int gp_unpack_check(const gp_unpacking *u, bool *present, char *archive);

/* Removes a folder and everything in it; a missing one is no failure. */
int gp_remove_tree(const char *path);

#endif
