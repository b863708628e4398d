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
 * What is in an archive goes into one unlinked temporary file, which is mapped: nothing is left on disk, and memory
 * holds only what is looked at. Once open, threads may share a tree.
 */
#ifndef GP_FETCH_TREE_H
#define GP_FETCH_TREE_H

#include "base/file.h"

typedef struct gp_tree_file {
    char *path;
    int64_t offset, size; /* in the temporary file */
} gp_tree_file;

typedef struct gp_tree {
    char *root;          /* the folder (or a file, whose path is then ""), or the archive: for messages too */
    bool archive;        /* what follows is an archive's */
    gp_tree_file *files; /* in the order of their paths */
    int64_t count;
    gp_map spool;
} gp_tree;

void gp_tree_open_folder(gp_tree *t, const char *root);

/* An archive as unpack.h would unpack it into the folder `as` ("": into none). unpacked as in archive.h. fd stays the
 * caller's and may be closed afterwards. */
int gp_tree_open_archive(gp_tree *t, int fd, const char *name, int64_t unpacked, const char *as);
void gp_tree_close(gp_tree *t);

int gp_tree_has(const gp_tree *t, const char *path);    /* a file, or a folder: 1, 0; -1: cannot be found out */
char *gp_tree_name(const gp_tree *t, const char *path); /* for messages, fresh */

/* Every regular file below `path`, in no order, by its path below that. 0, -1, or what fn returned (not 0: stop). */
typedef int gp_tree_fn(void *self, const char *path);
int gp_tree_list(const gp_tree *t, const char *path, gp_tree_fn *fn, void *self);

typedef struct gp_tree_bytes {
    const char *data;
    size_t size;
    gp_map map;   /* what is to be unmapped */
    char *memory; /* what is to be freed */
} gp_tree_bytes;

/* All of a large file, mapped; of a small one, which costs less to read. 0 or -1. */
int gp_tree_map(const gp_tree *t, const char *path, gp_tree_bytes *b);
int gp_tree_get(const gp_tree *t, const char *path, gp_tree_bytes *b);
void gp_tree_bytes_release(gp_tree_bytes *b);

#endif
