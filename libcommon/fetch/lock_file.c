/* lock_file.c: see lock_file.h. */
#include "fetch/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

enum { MAX_BYTES = 1 << 26 };

struct gp_lock_file {
    char *path;
    json_t *sets;         /* as it was opened: strings found in it stay valid */
    pthread_mutex_t lock; /* of gp_lock_file_add, on file systems without locks */
};

/* One malformed member makes the whole file invalid. */
static int check(json_t *sets, const char *path)
{
    const char *set, *file, *sha256;
    json_t *files, *one;
    json_error_t e;
    if (!json_is_object(sets))
        return fail("%s: is not a JSON object of data sets by name, so it is no lock file", path);
    json_object_foreach (sets, set, files) {
        if (!json_is_object(files))
            return fail("%s: %s: is not an object of files by path", path, set);
        json_object_foreach (files, file, one) {
            json_int_t size = 0;
            if (json_unpack_ex(one, &e, JSON_STRICT, "{s:s, s?I}", "sha256", &sha256, "size", &size) ||
                !gp_is_sha256(sha256) || size < 0)
                return fail("%s: %s: %s: is not {sha256, size}", path, set, file);
        }
    }
    return 0;
}

static json_t *read_sets(const char *path)
{
    gp_buf text = {0};
    json_error_t e;
    json_t *sets = NULL;
    int there = gp_exists(path);
    if (!there)
        return json_object();
    if (there > 0 && !gp_file_read(&text, path, MAX_BYTES)) {
        sets = gp_json_load(text.data, text.len, JSON_REJECT_DUPLICATES, &e);
        if (!sets)
            fail("%s:%d: %s", path, e.line, e.text);
        else if (check(sets, path)) {
            json_decref(sets);
            sets = NULL;
        }
    }
    gp_buf_release(&text);
    return sets;
}

gp_lock_file *gp_lock_file_open(const char *path)
{
    json_t *sets = read_sets(path);
    if (!sets)
        return NULL;
    gp_lock_file *l = gp_calloc(1, sizeof *l);
    l->path = gp_strdup(path);
    l->sets = sets;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void gp_lock_file_close(gp_lock_file *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    json_decref(l->sets);
    free(l->path);
    free(l);
}

bool gp_lock_file_find(const gp_lock_file *l, const char *set, const char *file, const char **sha256, int64_t *size)
{
    json_t *one = json_object_get(json_object_get(l->sets, set), file);
    json_int_t known = -1;
    if (!one || json_unpack(one, "{s:s, s?I}", "sha256", sha256, "size", &known))
        return false;
    *size = known;
    return true;
}

int gp_lock_file_apply(const gp_lock_file *l, const char *set, gp_catalog_file *f, const char **lock)
{
    const char *sha256;
    int64_t size;
    if (!gp_lock_file_find(l, set, f->path, &sha256, &size))
        return 0;
    if (f->sha256 && strcmp(f->sha256, sha256))
        return fail("%s: %s: its SHA-256 is %s in %s, but %s in the catalog", set, f->path, sha256, l->path, f->sha256);
    if (f->size >= 0 && size >= 0 && f->size != size)
        return fail("%s: %s: has %lld bytes in %s, but %lld in the catalog", set, f->path, (long long)size, l->path,
                    (long long)f->size);
    if (!f->sha256)
        *lock = l->path;
    f->sha256 = sha256;
    f->size = size >= 0 ? size : f->size;
    return 1;
}

/* Locks out other processes. The file itself is replaced and cannot carry the lock, so its folder does. A file system
 * without locks is not a failure. Returns the descriptor to close, or -1. */
static int lock_folder(const char *path)
{
    char *dir = gp_folder_of(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
    if (fd < 0)
        fail_errno("%s", dir);
    do {
        rc = fd < 0 ? 0 : flock(fd, LOCK_EX);
    } while (rc && errno == EINTR);
    if (rc && errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS) {
        fail_errno("%s: cannot be locked", dir);
        close(fd);
        fd = -1;
    }
    free(dir);
    return fd;
}

/* Adds to the current content of the file: where another run has added the same file meanwhile, both must agree. */
static int add(json_t *sets, const gp_lock_file *l, const char *set, const char *file, json_t *one)
{
    json_t *files = json_object_get(sets, set), *known = json_object_get(files, file);
    const char *sha256 = json_string_value(json_object_get(one, "sha256")),
               *recorded = json_string_value(json_object_get(known, "sha256"));
    if (recorded && strcmp(recorded, sha256))
        return fail("%s: %s: %s: another run has just recorded the SHA-256 %s, this one received %s", l->path, set,
                    file, recorded, sha256);
    if (!files) {
        files = json_object();
        json_object_set_new(sets, set, files);
    }
    json_object_set(files, file, one);
    return 0;
}

static int write_sets(const gp_lock_file *l, const json_t *sets)
{
    char *text = gp_json_dump(sets, JSON_INDENT(2) | JSON_SORT_KEYS);
    gp_buf lines = {0};
    gp_buf_printf(&lines, "%s\n", text);
    int rc = gp_file_write(l->path, lines.data, lines.len);
    gp_buf_release(&lines);
    free(text);
    return rc;
}

int gp_lock_file_add(gp_lock_file *l, const char *set, const char *file, const char *sha256, int64_t size)
{
    int rc = -1;
    pthread_mutex_lock(&l->lock);
    int fd = gp_make_parent(l->path) ? -1 : lock_folder(l->path);
    if (fd >= 0) {
        json_t *sets = read_sets(l->path), *one = json_pack("{s:s}", "sha256", sha256);
        if (size >= 0)
            json_object_set_new(one, "size", json_integer(size));
        if (sets && !add(sets, l, set, file, one))
            rc = write_sets(l, sets);
        json_decref(one);
        json_decref(sets);
        close(fd);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}
