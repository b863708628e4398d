/* tree.h: files by their paths below a folder, or below the folder that an archive would become.
 *
 *     gp_tree t;
 *     gp_tree_open_folder(&t, "data");                                     // or
 *     gp_tree_open_archive(&t, fd, "aclImdb_v1.tar.gz", -1, "imdb");
 *     gp_tree_list(&t, "imdb/train", add, self);                           // "neg/0_3.txt", ...
 *     gp_tree_get(&t, "imdb/train/neg/0_3.txt", &bytes);
 *     gp_tree_bytes_release(&bytes);
 *     gp_tree_close(&t);
 *
 * The files of an archive are extracted into one unlinked temporary file, which is mapped: nothing is left on disk, and
 * memory holds only what is read. Threads may share an open tree.
 */
#ifndef GP_FETCH_TREE_H
#define GP_FETCH_TREE_H

#include "base/file.h"

typedef struct gp_tree_file {
    char *path;
    int64_t offset, size; /* in the temporary file */
} gp_tree_file;

typedef struct gp_tree {
    char *root;          /* of the folder (or a file, whose path is then ""), or of the archive, for messages */
    bool archive;        /* whose members follow */
    gp_tree_file *files; /* sorted by path */
    int64_t count;
    gp_map spool;
} gp_tree;

void gp_tree_open_folder(gp_tree *t, const char *root);

/* An archive, as unpack.h would unpack it into the folder `as` ("": no folder). unpacked: see archive.h. The caller may
 * close fd afterwards. */
int gp_tree_open_archive(gp_tree *t, int fd, const char *name, int64_t unpacked, const char *as);
void gp_tree_close(gp_tree *t);

int gp_tree_has(const gp_tree *t, const char *path);    /* a file or a folder: 1, 0 or -1 */
char *gp_tree_name(const gp_tree *t, const char *path); /* for messages, fresh */

/* Calls fn for every regular file below `path`, with its path below that, in no order, until fn returns other than 0,
 * which is returned. 0 or -1. */
typedef int gp_tree_fn(void *self, const char *path);
int gp_tree_list(const gp_tree *t, const char *path, gp_tree_fn *fn, void *self);

typedef struct gp_tree_bytes {
    const char *data;
    size_t size;
    gp_map map;   /* to be unmapped */
    char *memory; /* to be freed */
} gp_tree_bytes;

/* The content of a file: gp_tree_map maps it, for large files; gp_tree_get reads it, which is faster for small ones. 0
 * or -1. */
int gp_tree_map(const gp_tree *t, const char *path, gp_tree_bytes *b);
int gp_tree_get(const gp_tree *t, const char *path, gp_tree_bytes *b);
void gp_tree_bytes_release(gp_tree_bytes *b);

#endif
