/* run.c: a run directory, its lock, and its log. */
#include "io/run.h"
#include "base/file.h"
#include "io/folder.h"
#include "io/run_names.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct gp_run {
    char *path;
    int lock;
    bool untouched; /* made by us, and nothing kept in it yet */
};

static const char lock_name[] = ".lock";

/* ---- the folder and its lock ------------------------------------------------------------------------- */

/* Another process has the lock; its number stands in the file. */
static int refuse_locked(const char *path, int fd)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    return fail("%s: is being written by process %ld; wait until it ends, or stop it", path,
                n > 0 ? strtol(pid, NULL, 10) : 0);
}

static int take_lock(gp_run *r)
{
    char *path = gp_path_join(r->path, lock_name), pid[24];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid()), rc = -1;
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->lock < 0)
        fail_errno("%s: cannot be created", path);
    else if (flock(r->lock, LOCK_EX | LOCK_NB))
        rc = errno == EWOULDBLOCK ? refuse_locked(r->path, r->lock)
                                  : fail_errno("%s: cannot be locked", path);
    else if (ftruncate(r->lock, 0))
        fail_errno("%s: cannot be written", path);
    else
        rc = gp_write_all(r->lock, pid, (size_t)n, path);
    free(path);
    return rc;
}

static gp_run *open_run(const char *path)
{
    gp_run *r = gp_calloc(1, sizeof *r);
    r->path = gp_strdup(path);
    if (!take_lock(r))
        return r;
    gp_run_close(r);
    return NULL;
}

/* Temporary files, links and folders have names that end in .tmp; with the lock held they are nobody's. */
static int remove_leftovers(const char *path)
{
    char **names;
    int64_t count;
    int rc = 0;
    if (gp_folder_list(path, &names, &count))
        return -1;
    for (int64_t i = 0; !rc && i < count; i++) {
        size_t n = strlen(names[i]);
        if (n < 4 || strcmp(names[i] + n - 4, ".tmp"))
            continue;
        char *name = gp_path_join(path, names[i]);
        struct stat st;
        if (!lstat(name, &st) && S_ISDIR(st.st_mode))
            rc = gp_folder_remove(name);
        else if (unlink(name))
            rc = fail_errno("%s: cannot be removed", name);
        free(name);
    }
    gp_folder_list_free(names, count);
    return rc;
}

/* Entries of a folder but the lock; -1 on failure. */
static int64_t entries(const char *path)
{
    char **names;
    int64_t count, others = 0;
    if (gp_folder_list(path, &names, &count))
        return -1;
    for (int64_t i = 0; i < count; i++)
        others += strcmp(names[i], lock_name) != 0;
    gp_folder_list_free(names, count);
    return others;
}

static int check_empty(const char *path)
{
    int64_t n = entries(path);
    if (n > 0)
        return fail("%s: is not empty, and a run is never overwritten: give another --out, or --resume %s",
                    path, path);
    return n ? -1 : 0;
}

gp_run *gp_run_create(const char *path)
{
    bool was_there = gp_exists(path);
    if (gp_make_dirs(path) || check_empty(path))
        return NULL;
    gp_run *r = open_run(path);
    if (r && check_empty(path)) { /* again: another process may have begun in between */
        gp_run_close(r);
        return NULL;
    }
    if (r)
        r->untouched = !was_there;
    return r;
}

static int check_begun(const char *path)
{
    if (entries(path) < 0)
        return -1;
    char *config = gp_path_join(path, "config.yaml");
    bool begun = gp_run_recognise(path) || gp_exists(config);
    free(config);
    return begun ? 0 : fail("%s: has no checkpoint to go on with", path);
}

gp_run *gp_run_look(const char *path)
{
    if (check_begun(path))
        return NULL;
    gp_run *r = gp_calloc(1, sizeof *r);
    *r = (gp_run){.path = gp_strdup(path), .lock = -1};
    return r;
}

gp_run *gp_run_open(const char *path)
{
    gp_run *r = check_begun(path) ? NULL : open_run(path);
    if (r && remove_leftovers(path)) {
        gp_run_close(r);
        return NULL;
    }
    return r;
}

void gp_run_close(gp_run *r)
{
    if (!r)
        return;
    if (r->untouched && !entries(r->path)) {
        char *path = gp_path_join(r->path, lock_name);
        unlink(path);
        rmdir(r->path);
        free(path);
    }
    if (r->lock >= 0)
        close(r->lock); /* and the lock is gone */
    free(r->path);
    free(r);
}

const char *gp_run_path(const gp_run *r)
{
    return r->path;
}

char *gp_run_checkpoint(const gp_run *r, int n)
{
    int64_t *steps, count;
    char *path = NULL;
    if (!gp_run_steps(r->path, &steps, &count) && n < count) {
        char *name = gp_run_name(steps[n]);
        path = gp_path_join(r->path, name);
        free(name);
    }
    free(steps);
    return path;
}

int gp_run_write(gp_run *r, const char *name, const void *data, size_t n)
{
    char *path = gp_path_join(r->path, name);
    int rc = gp_file_write(path, data, n);
    free(path);
    return rc;
}
