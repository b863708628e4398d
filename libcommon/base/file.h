/* file.h: reading and mapping files, writing files that appear complete or not at all, folders, paths, hashes. */
#ifndef GP_FILE_H
#define GP_FILE_H

#include "base/base.h"

/* ---- reading (file.c) ------------------------------------------------------------------------------------ */

/* A read-only mapping of a whole file, or a copy if the file cannot be mapped. data is "" if the file is empty. */
typedef struct gp_map {
    const char *data;
    size_t size;
} gp_map;

int gp_map_open(gp_map *m, const char *path);
int gp_map_fd(gp_map *m, int fd, const char *path); /* the descriptor may be closed afterwards */
void gp_map_close(gp_map *m);

/* Drops the pages that lie entirely within these bytes of a mapping from the process's resident set, until they are
 * read again. */
void gp_map_drop_pages(const void *data, size_t bytes);

/* Maps the pages of these bytes at once, which takes a fraction of the time of as many page faults; they are read next.
 * Where the kernel has no such call (before Linux 5.14), nothing happens. */
void gp_map_populate(const void *data, size_t bytes);

/* Opens a file whose name comes from a file, an archive or a folder rather than from the user. Fails for anything but a
 * regular file: a pipe or a device might never end. Returns the descriptor, or -1. */
int gp_open_regular(const char *path);

/* Appends a whole file to b; more than max bytes is a failure. "-" is stdin. */
int gp_file_read(gp_buf *b, const char *path, size_t max);
int gp_file_read_regular(gp_buf *b, const char *path, size_t max); /* opened by gp_open_regular */

/* sigbus.c: when reading a mapping raises SIGBUS, because the file has been truncated or its disk fails, the process
 * exits with status 1 and a message that names the file and ends with `more` (not copied; NULL: unchanged). gp_map_fd
 * watches what it maps. */
void gp_sigbus_install(const char *more);
struct stat;
void gp_sigbus_watch(const void *data, size_t size, const char *path, const struct stat *st);
void gp_sigbus_unwatch(const void *data);

/* -1 where the file at a mapping's path is the one that is mapped, and has been written to since: what was read of it
 * may be of neither version. (One that another was renamed over is not changed.) data: any address in the mapping. */
int gp_map_check_unchanged(const void *data);

/* ---- writing (out.c) ------------------------------------------------------------------------------------- */

/* A file being written. It does not exist under its name until gp_out_commit has flushed it to disk and renamed it. The
 * path "-" is stdout; streams (gp_is_stream) are written to directly. A call that fails has set gp_error(); after a
 * failure later calls do nothing, and commit returns -1. */
typedef struct gp_out {
    int fd;
    char *path, *temporary; /* temporary NULL: a stream */
    char *pending;          /* not yet written */
    size_t pending_size;
    int64_t written; /* bytes so far, pending ones included */
    bool failed;
} gp_out;

int gp_out_open(gp_out *o, const char *path);
int gp_out_open_file(gp_out *o, const char *path); /* always a file: a stream of this name is replaced */
int gp_out_open_spool(gp_out *o);                  /* an unlinked temporary file; end it with gp_out_abandon */
int gp_out_write(gp_out *o, const void *data, size_t n);
int gp_out_map(gp_out *o, gp_map *m, const char *name); /* maps what has been written; outlives o */
int gp_out_flush(gp_out *o);                            /* writes pending bytes, without flushing to disk */
int gp_out_patch(gp_out *o, int64_t offset, const void *data, size_t n); /* files only */
int gp_out_prepare(gp_out *o);     /* flushes to disk; only the rename is left to commit */
int gp_out_commit(gp_out *o);      /* always releases o */
void gp_out_abandon(gp_out *o);    /* releases o and removes the temporary file */
int gp_out_end(gp_out *o, int rc); /* commits where rc is 0, else abandons; 0 or -1 */

/* Writes a whole file atomically; the second by gp_out_open_file. */
int gp_file_write(const char *path, const void *data, size_t n);
int gp_file_replace(const char *path, const void *data, size_t n);

/* read(2) or, from an offset of 0 or more on, pread(2), retried after EINTR. */
ssize_t gp_read(int fd, void *data, size_t n, int64_t offset);

/* Writes all n bytes to fd, retrying after EINTR and short writes. */
int gp_write_all(int fd, const void *data, size_t n, const char *path);

/* Whether path is written to directly instead of being replaced by a rename: "-", a device, a named pipe, a descriptor.
 * 1 or 0; -1 if it cannot be determined. */
int gp_is_stream(const char *path);

/* ---- temporary files (temporary_file.c) ------------------------------------------------------------------ */

/* Creates a file in the folder of `path` that will replace `path`: unnamed if possible (O_TMPFILE and /proc), so that a
 * killed process leaves nothing behind, else under the name *temporary, which the caller frees. It has the permissions
 * of the file that it replaces; a symbolic link is replaced itself. Returns a descriptor for reading and writing, or
 * -1. */
int gp_temporary_open(const char *path, char **temporary);

/* Gives an unnamed file the name *temporary, or another if that name exists, so that it can be renamed. */
int gp_temporary_link(int fd, char **temporary);

/* Renames it to path. */
int gp_temporary_rename(const char *temporary, const char *path);

/* Removes a temporary file if it has a name. fd: -1 if it is not open. */
void gp_temporary_remove(int fd, const char *temporary);

/* A new temporary name for `path`, "PATH.0123456789abcdef.tmp"; and the length of PATH in such a name, 0 for other
 * names. Open temporary files are locked, which tells other processes that they are in use. */
char *gp_temporary_path(const char *path);
size_t gp_temporary_target_length(const char *name);
void gp_temporary_lock(int fd);

/* Removes temporary files for `path`, and with `shards` for PATH_000000 and so on, that ended processes have left. */
void gp_temporary_clean(const char *path, bool shards);

/* An unlinked temporary file in $TMPDIR or /tmp; -1 on failure. */
int gp_temporary_fd(void);

/* ---- paths and folders (path.c, folder_list.c) ----------------------------------------------------------- */

/* mkdir -p; flushes the names of new folders to disk, without which files flushed in them could be lost. */
int gp_make_dirs(const char *path);
int gp_make_parent(const char *path);           /* the folder that holds path */
int gp_make_parent_unflushed(const char *path); /* the same without flushing */

/* Flushes a folder, so that a rename in it survives a power cut. */
int gp_sync_dir(const char *path);
int gp_sync_parent(const char *path); /* the folder that holds path */

/* Whether `path` exists: 1 or 0; -1 (a failure) if that cannot be determined. Follows symbolic links: a dangling one
 * does not exist. */
struct stat;
int gp_stat(const char *path, struct stat *st);
int gp_exists(const char *path);
int gp_exists_in(const char *folder, const char *name); /* folder NULL: 0 */

/* Lists the names in a folder except "." and "..", sorted; free them with gp_folder_list_free, also after a failure,
 * when the list is empty. */
int gp_folder_list(const char *path, char ***names, int64_t *count);
int gp_folder_list_at(int fd, const char *path, char ***names, int64_t *count); /* of an open folder */
void gp_folder_list_free(char **names, int64_t count);

/* Removes a folder and the files in it. The folder is opened first, so that nothing else is removed whatever is renamed
 * meanwhile; a symbolic link to a folder is refused. Subfolders, and files for which `ours` is false (NULL: none), are
 * left, and then the folder too: gp_folder_remove_at (relative to the open folder `at`) returns 0 then and 1 if it is
 * gone; gp_folder_remove fails. */
int gp_folder_remove(const char *path);
int gp_folder_remove_at(int at, const char *name, bool (*ours)(const char *name));

/* "a" of "a/b", "." of "b"; the caller frees. */
char *gp_folder_of(const char *path);

/* Fails where a file that begins with these n bytes is a Git LFS pointer, which a clone without Git LFS has in place of
 * a large file. (Its first 8 bytes are enough: nothing that is read here begins with "version ".) */
int gp_refuse_lfs_pointer(const char *head, size_t n, const char *name);

/* "a/b" and "c" give "a/b/c"; the caller frees. */
char *gp_path_join(const char *dir, const char *name);

/* Whether a path stays inside the folder it is joined to: not empty, not absolute, without "..". */
bool gp_path_is_contained(const char *path);

/* ---- hashes (hash.c, crc32c.c) --------------------------------------------------------------------------- */

/* SHA-256, by libcrypto. */
typedef struct gp_sha256 {
    void *context;
} gp_sha256;

void gp_sha256_begin(gp_sha256 *h);
void gp_sha256_add(gp_sha256 *h, const void *data, size_t n);
gp_sha256 gp_sha256_copy(const gp_sha256 *h);                 /* the state so far; end it too */
void gp_sha256_end(gp_sha256 *h, uint8_t digest[32]);         /* releases h */
void gp_sha256_end_hex(gp_sha256 *h, char *text, size_t n);   /* the first n bytes, as gp_hex writes them */
void gp_hex(char *text, const uint8_t *bytes, size_t n);      /* 2n + 1 characters */
void gp_sha256_hex(char hex[65], const void *data, size_t n); /* all of it, at once */
bool gp_is_sha256(const char *text);                          /* 64 hexadecimal digits, in lower case */

/* Decodes n characters of base64 into bytes, a buffer of 3 bytes for each 4 characters. Returns the number of bytes; -1
 * if the text is empty or not valid, padded base64. */
int64_t gp_base64_decode(uint8_t *bytes, const char *text, size_t n);

/* Appends the padded base64 of n bytes. */
void gp_base64_encode(gp_buf *b, const void *data, size_t n);

/* zlib's CRC-32, continued from crc (0 at first), for any length. */
uint32_t gp_crc32(uint32_t crc, const void *data, size_t n);

/* CRC-32C (Castagnoli, RFC 3720), continued from crc: by the processor's instruction if it has one, else by
 * gp_crc32c_tables. Fastest for multiples of GP_CRC32C_BLOCK bytes. */
enum { GP_CRC32C_BLOCK = 3 << 15 };
uint32_t gp_crc32c(uint32_t crc, const void *data, size_t n);
uint32_t gp_crc32c_tables(uint32_t crc, const void *data, size_t n);

/* The CRC-32C of two concatenated byte strings, from the CRC of each and the length of the second. */
uint32_t gp_crc32c_join(uint32_t first, uint32_t second, uint64_t second_bytes);

#endif
