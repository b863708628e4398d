/* tree.c: see tree.h. */
#include "fetch/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/archive.h"

enum { BLOCK = 1 << 16, MAX_GET = 1 << 28 };

void gp_tree_open_folder(gp_tree *t, const char *root)
{
    *t = (gp_tree){.root = gp_strdup(root)};
}

void gp_tree_close(gp_tree *t)
{
    for (int64_t i = 0; i < t->count; i++)
        free(t->files[i].path);
    free(t->files);
    free(t->root);
    gp_map_close(&t->spool);
    *t = (gp_tree){0};
}

/* ---- archives -------------------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const gp_tree_file *)a)->path, ((const gp_tree_file *)b)->path);
}

/* Length of the one folder that all paths begin with, slash included; 0: there is none. */
static size_t top_length(const gp_tree *t)
{
    const char *first = t->count ? t->files[0].path : "", *slash = strchr(first, '/');
    size_t n = slash ? (size_t)(slash - first) + 1 : 0;
    for (int64_t i = 0; i < t->count; i++)
        if (strncmp(first, t->files[i].path, n))
            return 0;
    return n;
}

static gp_tree_file *add_file(gp_tree *t, const char *path, int64_t offset)
{
    t->files = gp_grow(t->files, t->count, sizeof *t->files);
    t->files[t->count] = (gp_tree_file){.path = gp_strdup(path), .offset = offset};
    return &t->files[t->count++];
}

static int spool_files(gp_tree *t, gp_archive *a, gp_out *spool)
{
    gp_archive_file f;
    char *block = gp_malloc(BLOCK);
    int64_t at = 0, n = 0;
    int rc = 0;
    while (!n && (rc = gp_archive_next(a, &f)) > 0) {
        gp_tree_file *file = add_file(t, f.path, at);
        while ((n = gp_archive_read(a, block, BLOCK)) > 0) {
            if (gp_out_write(spool, block, (size_t)n)) {
                n = -1;
                break;
            }
            file->size += n;
        }
        at += file->size;
    }
    free(block);
    return n < 0 ? -1 : rc;
}

int gp_tree_open_archive(gp_tree *t, int fd, const char *name, int64_t unpacked, const char *as)
{
    *t = (gp_tree){.root = gp_strdup(name), .archive = true};
    gp_archive *a = gp_archive_open_fd(fd, name, unpacked);
    gp_out spool = {.fd = -1};
    int rc = a && !gp_out_open_spool(&spool) ? spool_files(t, a, &spool) : -1;
    if (!rc)
        rc = gp_out_map(&spool, &t->spool, name);
    gp_out_abandon(&spool);
    gp_archive_close(a);
    if (rc) {
        gp_tree_close(t);
        return -1;
    }
    size_t top = top_length(t);
    for (int64_t i = 0; i < t->count; i++) {
        char *path = *as ? gp_path_join(as, t->files[i].path + top) : gp_strdup(t->files[i].path + top);
        free(t->files[i].path);
        t->files[i].path = path;
    }
    if (t->count) /* qsort must not be given NULL, even to sort nothing */
        qsort(t->files, (size_t)t->count, sizeof *t->files, by_path);
    return 0;
}

/* The first file whose path is not before this one. */
static int64_t find(const gp_tree *t, const char *path)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, t->count, i, strcmp(t->files[i].path, path) < 0);
    return low;
}

/* The prefix of paths below "a/b", "a/b/"; "" of all. Fresh. */
static char *prefix_of(const char *path)
{
    return *path ? gp_format("%s/", path) : gp_strdup("");
}

static int list_archive(const gp_tree *t, const char *path, gp_tree_fn *fn, void *self)
{
    char *prefix = prefix_of(path);
    size_t n = strlen(prefix);
    int rc = 0;
    for (int64_t i = find(t, prefix); !rc && i < t->count && !strncmp(t->files[i].path, prefix, n); i++)
        rc = fn(self, t->files[i].path + n);
    free(prefix);
    return rc;
}

/* ---- folders --------------------------------------------------------------------------------------------- */

static char *path_on_disk(const gp_tree *t, const char *path)
{
    return *path ? gp_path_join(t->root, path) : gp_strdup(t->root);
}

static int list_folder(const char *folder, const char *below, gp_tree_fn *fn, void *self)
{
    DIR *d = opendir(folder);
    int rc = d ? 0 : fail_errno("%s", folder);
    struct dirent *e;
    while (d && !rc && (errno = 0, (e = readdir(d)))) {
        if (*e->d_name == '.') /* ".", ".." and hidden files, as the stamp of unpack.c is */
            continue;
        char *path = gp_path_join(folder, e->d_name),
             *name = *below ? gp_path_join(below, e->d_name) : gp_strdup(e->d_name);
        struct stat st;
        unsigned char type = e->d_type;
        if (type == DT_UNKNOWN && lstat(path, &st))
            rc = fail_errno("%s", path);
        else if (type == DT_UNKNOWN)
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
        if (type == DT_LNK) { /* not to folders, which may be a loop */
            int there = gp_stat(path, &st);
            rc = there < 0 ? -1 : 0;
            type = there > 0 && S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
        }
        if (rc)
            ;
        else if (type == DT_DIR)
            rc = list_folder(path, name, fn, self);
        else if (type == DT_REG)
            rc = fn(self, name);
        free(path);
        free(name);
    }
    if (d && !rc && errno)
        rc = fail_errno("%s: cannot be listed", folder);
    if (d)
        closedir(d);
    return rc;
}

/* ---- both ------------------------------------------------------------------------------------------------ */

int gp_tree_has(const gp_tree *t, const char *path)
{
    char *name = t->archive ? prefix_of(path) : path_on_disk(t, path);
    int has;
    if (t->archive) {
        int64_t file = find(t, path), below = find(t, name);
        has = (file < t->count && !strcmp(t->files[file].path, path)) ||
              (below < t->count && !strncmp(t->files[below].path, name, strlen(name)));
    } else {
        has = gp_exists(name);
    }
    free(name);
    return has;
}

char *gp_tree_name(const gp_tree *t, const char *path)
{
    return t->archive && *path ? gp_format("%s: %s", t->root, path) : path_on_disk(t, path);
}

int gp_tree_list(const gp_tree *t, const char *path, gp_tree_fn *fn, void *self)
{
    if (t->archive)
        return list_archive(t, path, fn, self);
    char *folder = path_on_disk(t, path);
    int rc = list_folder(folder, "", fn, self);
    free(folder);
    return rc;
}

static int get_from_archive(const gp_tree *t, const char *path, gp_tree_bytes *b)
{
    int64_t i = find(t, path);
    if (i == t->count || strcmp(t->files[i].path, path))
        return fail("%s: has no %s", t->root, path);
    b->size = (size_t)t->files[i].size;
    b->data = b->size ? t->spool.data + t->files[i].offset : "";
    return 0;
}

int gp_tree_map(const gp_tree *t, const char *path, gp_tree_bytes *b)
{
    *b = (gp_tree_bytes){0};
    if (t->archive)
        return get_from_archive(t, path, b);
    char *name = path_on_disk(t, path);
    int rc = gp_map_open(&b->map, name);
    b->data = b->map.data;
    b->size = b->map.size;
    free(name);
    return rc;
}

int gp_tree_get(const gp_tree *t, const char *path, gp_tree_bytes *b)
{
    *b = (gp_tree_bytes){0};
    if (t->archive)
        return get_from_archive(t, path, b);
    gp_buf text = {0};
    char *name = path_on_disk(t, path);
    int rc = gp_file_read_regular(&text, name, MAX_GET);
    free(name);
    b->data = b->memory = text.data;
    b->size = text.len;
    if (rc)
        gp_tree_bytes_release(b);
    return rc;
}

void gp_tree_bytes_release(gp_tree_bytes *b)
{
    gp_map_close(&b->map);
    free(b->memory);
    *b = (gp_tree_bytes){0};
}
