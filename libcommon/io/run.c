/* run.c: see run.h. */
#include "io/run.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct gp_run {
    char *path;
    int lock;
    bool created; /* by us, and nothing kept in it yet */
};

static const char log_name[] = "log.jsonl", lock_name[] = ".lock";

/* ---- the folder and its lock ---------------------------------------------------------------------------- */

/* How many entries a folder has, . and .. apart; -1 when it cannot be read. */
static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = -2;
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int lock(gp_run *r)
{
    char owner[32] = "";
    char *path = gp_path_join(r->path, lock_name);
    int rc = -1;
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->lock < 0) {
        fail("%s: %s", path, strerror(errno));
    } else if (flock(r->lock, LOCK_EX | LOCK_NB)) {
        ssize_t n = read(r->lock, owner, sizeof owner - 1);
        fail("%s: is being written by process %s; wait for it or stop it", r->path, n > 0 ? owner : "unknown");
    } else {
        int n = snprintf(owner, sizeof owner, "%ld", (long)getpid());
        rc = ftruncate(r->lock, 0) ? fail("%s: %s", path, strerror(errno))
                                   : gp_write_all(r->lock, owner, (size_t)n, path);
    }
    free(path);
    return rc;
}

static gp_run *open_run(const char *path, bool created)
{
    gp_run *r = gp_calloc(1, sizeof *r);
    r->path = gp_strdup(path);
    r->created = created;
    r->lock = -1;
    if (!lock(r))
        return r;
    r->created = false; /* not ours to remove */
    gp_run_close(r);
    return NULL;
}

gp_run *gp_run_create(const char *path)
{
    int there = entries(path);
    if (there > 0)
        return fail("%s: is not empty, and a run is never overwritten: give another --out, or --resume %s", path,
                    path),
               NULL;
    if (there < 0 && gp_exists(path))
        return fail("%s: is not a folder", path), NULL;
    if (gp_make_dirs(path))
        return NULL;
    return open_run(path, true);
}

gp_run *gp_run_open(const char *path)
{
    if (entries(path) < 0)
        return fail("%s: is not a run directory: %s", path, strerror(errno)), NULL;
    return open_run(path, false);
}

void gp_run_close(gp_run *r)
{
    if (!r)
        return;
    char *path = gp_path_join(r->path, lock_name);
    if (r->lock >= 0) {
        unlink(path); /* while it is still held */
        close(r->lock);
    }
    if (r->created)
        rmdir(r->path); /* fails, as it should, when something is in it */
    free(path);
    free(r->path);
    free(r);
}

const char *gp_run_path(const gp_run *r)
{
    return r->path;
}

/* ---- files ---------------------------------------------------------------------------------------------- */

int gp_run_write(gp_run *r, const char *name, const void *data, size_t n)
{
    char *path = gp_path_join(r->path, name);
    int rc = gp_file_write(path, data, n);
    free(path);
    return rc;
}

int gp_run_log(gp_run *r, const char *lines, size_t n)
{
    if (!n)
        return 0;
    char *path = gp_path_join(r->path, log_name);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int rc = fd < 0 ? fail("%s: %s", path, strerror(errno)) : gp_write_all(fd, lines, n, path);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

int gp_run_cut_log(gp_run *r, int64_t step)
{
    static const char key[] = "{\"step\": ";
    char *path = gp_path_join(r->path, log_name);
    gp_buf all = {0}, kept = {0};
    int rc = gp_exists(path) ? gp_file_read(&all, path, (size_t)1 << 40) : 0;
    for (char *line = all.data; !rc && line && *line;) {
        char *end = strchr(line, '\n');
        bool whole = end != NULL; /* the last line of a killed run may be cut */
        if (whole && !strncmp(line, key, sizeof key - 1) && strtoll(line + sizeof key - 1, NULL, 10) <= step)
            gp_buf_add(&kept, line, (size_t)(end - line) + 1);
        line = whole ? end + 1 : NULL;
    }
    if (!rc && kept.len != all.len)
        rc = gp_file_write(path, kept.data ? kept.data : "", kept.len);
    gp_buf_release(&all);
    gp_buf_release(&kept);
    free(path);
    return rc;
}

/* ---- checkpoints ---------------------------------------------------------------------------------------- */

/* The step of a complete checkpoint's folder name, or -1. */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, "ckpt-", 5) || name[5] < '0' || name[5] > '9')
        return -1;
    int64_t step = strtoll(name + 5, &end, 10);
    return *end ? -1 : step;
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps of all complete checkpoints, newest first; the caller frees. */
static int64_t *steps(const gp_run *r, int *count)
{
    int64_t *list = NULL;
    struct dirent *e;
    DIR *d = opendir(r->path);
    *count = 0;
    while (d && (e = readdir(d))) {
        if (step_of(e->d_name) < 0)
            continue;
        list = gp_realloc(list, (size_t)*count + 1, sizeof *list);
        list[(*count)++] = step_of(e->d_name);
    }
    if (d)
        closedir(d);
    if (*count)
        qsort(list, (size_t)*count, sizeof *list, newest_first);
    return list;
}

static char *name_of(int64_t step)
{
    return gp_format("ckpt-%08lld", (long long)step);
}

char *gp_run_checkpoint(const gp_run *r, int n)
{
    int count;
    int64_t *list = steps(r, &count);
    char *path = NULL;
    if (n < count) {
        char *name = name_of(list[n]);
        path = gp_path_join(r->path, name);
        free(name);
    }
    free(list);
    return path;
}

/* A checkpoint's folder holds files only. */
static int remove_dir(const char *path)
{
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : fail("%s: %s", path, strerror(errno));
    while ((e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return rmdir(path) ? fail("%s: cannot be removed: %s", path, strerror(errno)) : 0;
}

static int point(const gp_run *r, const char *link, const char *target)
{
    char *path = gp_path_join(r->path, link), *fresh = gp_format("%s.tmp", path);
    unlink(fresh);
    int rc = symlink(target, fresh) || rename(fresh, path) ? fail("%s: %s", path, strerror(errno)) : 0;
    free(path);
    free(fresh);
    return rc;
}

/* Whether best points at this checkpoint. */
static bool is_best(const gp_run *r, int64_t step)
{
    char target[64], *path = gp_path_join(r->path, "best"), *name = name_of(step);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    bool yes = !strcmp(target, name);
    free(path);
    free(name);
    return yes;
}

/* Removes old checkpoints. A failure here costs disk, nothing else: it is not reported as a failed save. A folder
 * is first renamed, so that half a checkpoint never looks whole. */
static void prune(const gp_run *r, int64_t keep)
{
    int count;
    int64_t *list = steps(r, &count);
    for (int64_t i = keep; i < count; i++) {
        if (is_best(r, list[i]))
            continue;
        char *name = name_of(list[i]), *path = gp_path_join(r->path, name), *gone = gp_format("%s.tmp", path);
        if (!rename(path, gone))
            remove_dir(gone);
        free(name);
        free(path);
        free(gone);
    }
    free(list);
}

/* Gives a finished folder its name. */
static int publish(gp_run *r, const char *name, const char *fresh, const char *path, bool best)
{
    if (gp_sync_dir(fresh))
        return -1;
    if (gp_exists(path) && remove_dir(path)) /* of a run that went on from an older checkpoint */
        return -1;
    if (rename(fresh, path))
        return fail("%s: cannot be renamed into place: %s", path, strerror(errno));
    if (gp_sync_dir(r->path) || point(r, "last", name) || (best && point(r, "best", name)) ||
        point(r, "model.safetensors", "last/model.safetensors"))
        return -1;
    return gp_sync_dir(r->path);
}

int gp_run_save(gp_run *r, int64_t step, bool best, int64_t keep, int (*fill)(void *self, const char *dir), void *self)
{
    char *name = name_of(step), *path = gp_path_join(r->path, name), *fresh = gp_format("%s.tmp", path);
    int rc = remove_dir(fresh);
    r->created = false;
    if (!rc)
        rc = gp_make_dirs(fresh);
    if (!rc && (fill(self, fresh) || publish(r, name, fresh, path, best))) {
        char *why = gp_strdup(gp_error());
        remove_dir(fresh);
        rc = fail("%s", why);
        free(why);
    }
    if (!rc)
        prune(r, keep);
    free(name);
    free(path);
    free(fresh);
    return rc;
}
