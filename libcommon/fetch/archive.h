/* archive.h: the files in an archive, one by one, by libarchive: tar and zip, whole or compressed by gzip, zstd, xz or
 * bzip2, and a single compressed file.
 *
 *     gp_archive *a = gp_archive_open_fd(fd, "aclImdb_v1.tar.gz", -1);
 *     gp_archive_file f;
 *     while ((rc = gp_archive_next(a, &f)) > 0)                         // f.path: "aclImdb/train/pos/0_9.txt"
 *         while ((n = gp_archive_read(a, block, sizeof block)) > 0)
 *             ...
 *     gp_archive_close(a);                                              // rc or n -1: gp_error() says why
 *
 * Only regular files are returned, under paths that stay below any folder that they are joined to. An absolute path, a
 * path with "..", a symbolic or hard link, or a device is a failure: an archive of data needs none of them.
 */
#ifndef GP_FETCH_ARCHIVE_H
#define GP_FETCH_ARCHIVE_H

#include "base/base.h"

typedef struct gp_archive gp_archive;

typedef struct gp_archive_file {
    const char *path; /* without ".", ".." and empty parts; valid until the next call */
    bool single;      /* not an archive: a compressed file, whose name is not known; path is "data" */
} gp_archive_file;

/* Reads an open file, which stays the caller's, from its beginning. name is for messages. unpacked: the exact size of
 * all its files together; -1: not known, and then more than 64 MiB plus 200 times the archive's size is refused as a
 * decompression bomb. (Text is 3 to 10 times as large as its archive, a bomb of gzip 1000 times.) NULL on failure. */
gp_archive *gp_archive_open_fd(int fd, const char *name, int64_t unpacked);
void gp_archive_close(gp_archive *a);

/* The next regular file: 1, 0 at the end, -1. */
int gp_archive_next(gp_archive *a, gp_archive_file *f);

/* Up to n bytes of it; returns how many, 0 at its end, -1. */
int64_t gp_archive_read(gp_archive *a, void *to, size_t n);

/* Bytes of the archive consumed so far. */
int64_t gp_archive_consumed(const gp_archive *a);

#endif
