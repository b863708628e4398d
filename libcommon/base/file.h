/* file.h: files that are there whole or not at all, mappings, hashes. */
#ifndef GP_FILE_H
#define GP_FILE_H

#include "base/base.h"

/* A read-only mapping of a whole file (data is "" when it is empty), or a copy where it cannot be mapped. */
typedef struct gp_map {
    const char *data;
    size_t size;
} gp_map;

int gp_map_open(gp_map *m, const char *path);
int gp_map_fd(gp_map *m, int fd, const char *path); /* the descriptor may be closed afterwards */
void gp_map_close(gp_map *m);

/* sigbus.c: a mapped file that becomes shorter, or cannot be read, ends the process with its name, and with `more`
 * where that was given (not copied; NULL: no change). gp_map_fd watches what it maps. */
void gp_bus_begin(const char *more);
void gp_bus_watch(const void *data, size_t size, const char *path);
void gp_bus_forget(const void *data);

/* Bytes of a mapping that are not needed for now: all of their pages (what is shared with others stays) count no more
 * as this process's memory until they are read again. */
void gp_map_forget(const void *data, size_t bytes);

/* Opens a file to be read whose name comes from a file, an archive or a folder, not from the user: a pipe or a device,
 * which may never end, is a failure. The descriptor, or -1. */
int gp_open_regular(const char *path);

/* Appends a whole file to b; more than `most` bytes is a failure. "-" is stdin. */
int gp_file_read(gp_buf *b, const char *path, size_t most);
int gp_file_read_regular(gp_buf *b, const char *path, size_t most); /* as gp_open_regular opens it */

/* "-", a device, a pipe by name: it is written into as the bytes come, and never renamed over. 1, 0; -1: that cannot be
 * found out. */
int gp_is_stream(const char *path);

/* Opens such a path for writing. A descriptor of this process (/dev/stdout, /dev/fd/N) is duplicated: opened anew it
 * would write over what stands in its file already. -1: errno tells. */
int gp_open_stream(const char *path);

/* Where a file is made: in the folder of `path`, without any name where that can be done (O_TMPFILE and /proc), so that
 * a killed process leaves nothing. Otherwise it is there as *temporary (fresh) from the start. It has the permissions
 * of the file that it is to replace; a link is replaced itself. The descriptor reads and writes; -1 on failure. */
int gp_temporary_beside(const char *path, char **temporary);

/* Names it *temporary (or another name, if there is such a file) where it has no name yet: ready to be renamed. */
int gp_temporary_name(int fd, char **temporary);

/* Renames it to PATH, which ends its life as a temporary file. */
int gp_temporary_rename(const char *temporary, const char *path);

/* Removes it, where it has a name: of an open file, or fd -1. */
void gp_temporary_drop(int fd, const char *temporary);

/* A fresh name for what is made before it is renamed to PATH, "PATH.0123456789abcdef.tmp"; the length of PATH in such a
 * name, 0 where it is none. What is open under such a name is locked, so that others see that it is in use. */
char *gp_temporary_name_of(const char *path);
size_t gp_temporary_stem(const char *name);
void gp_temporary_lock(int fd);

/* Removes what processes that ended have left on the way to PATH, or (shards) to PATH_000000 and so on. */
void gp_temporary_clean(const char *path, bool shards);

/* A file being written. It is not there under its name until gp_out_commit has flushed it to disk and renamed it. path
 * "-" is stdout; into a stream the bytes go as they come. Each call that fails has said so in gp_error(); after a
 * failure the rest does nothing, and commit gives -1. */
typedef struct gp_out {
    int fd;
    char *path, *temporary; /* temporary NULL: a stream */
    char *pending;          /* not yet written */
    size_t pending_size;
    int64_t written; /* bytes so far, pending ones included */
    bool failed;
} gp_out;

int gp_out_open(gp_out *o, const char *path);
int gp_out_open_file(gp_out *o, const char *path); /* never a stream: what is one under this name is replaced */
int gp_out_open_spool(gp_out *o);                  /* an unlinked temporary file, which gp_out_abandon ends */
int gp_out_write(gp_out *o, const void *data, size_t n);
int gp_out_map(gp_out *o, gp_map *m, const char *name); /* what is written so far; stays good when o is released */
int gp_out_flush(gp_out *o); /* what is pending is in the file now (but not yet safe on disk) */
int gp_out_patch(gp_out *o, int64_t offset, const void *data, size_t n); /* files only */
int gp_out_prepare(gp_out *o);  /* all of it is safe on disk; commit has only the name left to give */
int gp_out_commit(gp_out *o);   /* always releases o */
void gp_out_abandon(gp_out *o); /* releases o, removes the temporary file */

/* A whole small file at once, atomically. */
int gp_file_write(const char *path, const void *data, size_t n);
int gp_file_replace(const char *path, const void *data, size_t n); /* by gp_out_open_file */

/* Writes all n bytes to fd, through interruptions. */
int gp_write_all(int fd, const void *data, size_t n, const char *path);

/* mkdir -p; the names of new folders are flushed to disk, or what is flushed in them could be lost with them. */
int gp_make_dirs(const char *path);
int gp_make_parent(const char *path);           /* of the folder that holds path */
int gp_make_parent_unflushed(const char *path); /* the same for one of many, which are flushed together */

/* Flushes a folder, so that a rename in it survives a power cut. */
int gp_sync_dir(const char *path);
int gp_sync_parent(const char *path); /* of the folder that holds path */

/* 1: there is something at `path`; 0: there is nothing; -1: that cannot be found out, which is a failure, not a "no".
 * gp_look also gives what it is. Links are followed: a dangling one is nothing. */
struct stat;
int gp_look(const char *path, struct stat *st);
int gp_exists(const char *path);

/* Names in a folder but "." and "..", sorted. *names and each name are the caller's to free, also on failure; then the
 * list is empty. */
int gp_folder_list(const char *path, char ***names, int64_t *count);
int gp_folder_list_at(int fd, const char *path, char ***names, int64_t *count); /* of a folder that is open */
void gp_folder_list_free(char **names, int64_t count);

/* Removes a folder and the files in it. It is opened first, so nothing else is reached whatever is renamed meanwhile,
 * and a link to a folder is refused. What is a folder within, or is no name of ours (NULL: all are), stays, and the
 * folder with it: gp_folder_remove_at, relative to an open folder, then gives 0, otherwise 1; gp_folder_remove
 * fails. */
int gp_folder_remove(const char *path);
int gp_folder_remove_at(int at, const char *name, bool (*ours)(const char *name));

/* "a" of "a/b", "." of "b", fresh. */
char *gp_folder_of(const char *path);

/* "a/b" + "c" = "a/b/c", fresh. */
char *gp_path_join(const char *dir, const char *name);

/* Whether "a/b" stays below the folder that it is joined to: neither empty nor absolute, and without "..". */
bool gp_path_stays_below(const char *path);

/* An unlinked temporary file in $TMPDIR or /tmp; -1 on failure. */
int gp_temporary_fd(void);

/* SHA-256 by libcrypto. */
typedef struct gp_sha256 {
    void *context;
} gp_sha256;

void gp_sha256_begin(gp_sha256 *h);
void gp_sha256_add(gp_sha256 *h, const void *data, size_t n);
gp_sha256 gp_sha256_copy(const gp_sha256 *h);                 /* the state so far; end it too */
void gp_sha256_end(gp_sha256 *h, uint8_t digest[32]);         /* releases h */
void gp_hex(char *text, const uint8_t *bytes, size_t n);      /* 2n + 1 characters */
void gp_sha256_hex(char hex[65], const void *data, size_t n); /* all of it, at once */

/* Decodes base64 into bytes, which has room for 3 for each 4 of the n characters. How many there are; -1 when it is
 * not whole and clean base64, or nothing. */
int64_t gp_base64(uint8_t *bytes, const char *text, size_t n);

/* zlib's CRC-32, continued from crc (0 at first), for any length. */
uint32_t gp_crc32(uint32_t crc, const void *data, size_t n);

/* CRC-32C (Castagnoli, RFC 3720), likewise: by the processor's instruction where it has one, else by tables, which
 * is gp_crc32c_tables. Quickest for multiples of GP_CRC32C_BLOCK bytes. */
enum { GP_CRC32C_BLOCK = 3 << 15 };
uint32_t gp_crc32c(uint32_t crc, const void *data, size_t n);
uint32_t gp_crc32c_tables(uint32_t crc, const void *data, size_t n);

/* The CRC-32C of two runs of bytes one after the other, from that of each and the length of the second. */
uint32_t gp_crc32c_join(uint32_t first, uint32_t second, uint64_t second_bytes);

#endif
