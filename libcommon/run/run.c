/* run.c: a run directory: created, opened, closed. */
#include "run/run.h"
#include "base/file.h"
#include "base/atomic_folder.h"
#include "run/checkpoint_names.h"
#include "run/run_own.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ----------------------------------------------------------------------------------------------- */

/* Length of what precedes ".1f.tmp" (hexadecimal digits; in older versions, a process id), 0 where a name has another
 * end. */
static size_t temporary_stem(const char *name)
{
    size_t n = strlen(name), digits = 0;
    if (n < 5 || strcmp(name + n - 4, ".tmp"))
        return 0;
    for (n -= 4; n && strchr("0123456789abcdef", name[n - 1]); n--)
        digits++;
    return digits && n > 1 && name[n - 1] == '.' ? n - 1 : 0;
}

static bool among(const char *name, size_t length, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == length && !memcmp(names[i], name, length))
            return true;
    return false;
}

bool gp_run_is_temporary(const char *name)
{
    static const char *const links[] = {"last.tmp", "best.tmp", "model.safetensors.tmp"};
    static const char *const own[] = {".lock",
                                      "config.yaml",
                                      "config.json",
                                      "tokenizer.json",
                                      "tokenizer_config.json",
                                      "log.jsonl",
                                      "samples.txt",
                                      "history.jsonl",
                                      "data.tok",
                                      "events.out.tfevents.train",
                                      "log.jsonl.damaged",
                                      "events.out.tfevents.train.damaged"};
    size_t n = temporary_stem(name);
    if (among(name, strlen(name), links, ARRAY_LEN(links)) || (n && among(name, n, own, ARRAY_LEN(own))))
        return true;
    char *stem = gp_strndup(name, n);
    bool is = gp_run_step(stem) >= 0;
    free(stem);
    return is;
}

bool gp_run_is_checkpoint_file(const char *name)
{
    static const char *const own[] = {"model.safetensors", "state.safetensors"};
    size_t n = temporary_stem(name);
    return among(name, n ? n : strlen(name), own, ARRAY_LEN(own));
}

/* ---- its files -------------------------------------------------------------------------------------------- */

int gp_run_open_own(const gp_run *r, const char *name, int flags, int *fd)
{
    struct stat st;
    /* O_NONBLOCK: does not wait for the writer of a pipe under that name */
    *fd = openat(r->dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (*fd < 0 && errno == ENOENT && !(flags & O_CREAT))
        return 0;
    if (*fd < 0 && errno == ELOOP)
        return fail("%s/%s: is a symbolic link, and a run writes only into files of its own; remove the link", r->path,
                    name);
    if (*fd < 0)
        return fail_errno("%s/%s: cannot be opened", r->path, name);
    if (fstat(*fd, &st))
        fail_errno("%s/%s", r->path, name);
    else if (!S_ISREG(st.st_mode))
        fail("%s/%s: is not a regular file, as a run needs it; move it away", r->path, name);
    else
        return 1;
    close(*fd);
    *fd = -1;
    return -1;
}

int gp_run_rename_aside(const gp_run *r, const char *name, const char *as, char **fresh)
{
    enum { MAX = 1000 };
    *fresh = NULL;
    for (int i = 1; i <= MAX; i++) {
        struct stat st;
        char *to = i > 1 ? gp_format("%s.%d", as, i) : gp_strdup(as);
        int rc = renameat2(r->dir, name, r->dir, to, RENAME_NOREPLACE);
        if (rc && (errno == EINVAL || errno == ENOSYS) && fstatat(r->dir, to, &st, AT_SYMLINK_NOFOLLOW) &&
            errno == ENOENT)
            rc = renameat(r->dir, name, r->dir, to); /* the file system does not support the flag; the run is locked */
        if (!rc) {
            *fresh = to;
            return 0;
        }
        if (errno != EEXIST && errno != EINVAL && errno != ENOSYS) {
            free(to);
            return fail_errno("%s/%s: cannot be renamed", r->path, name);
        }
        free(to);
    }
    return fail("%s/%s: cannot be renamed to %s: there are %d of these already", r->path, name, as, MAX);
}

int gp_run_sync(const gp_run *r)
{
    if (fsync(r->dir) && errno != EINVAL)
        return fail_errno("%s: cannot be flushed to disk", r->path);
    return 0;
}

int gp_run_follow(gp_run *r)
{
    struct stat own, now;
    char link[64], path[PATH_MAX];
    if (fstat(r->dir, &own))
        return fail_errno("%s", r->path);
    if (!stat(r->path, &now) && now.st_dev == own.st_dev && now.st_ino == own.st_ino)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", r->dir);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    if (n <= 0 || stat(path, &now) || now.st_dev != own.st_dev || now.st_ino != own.st_ino)
        return fail("%s: the folder of this run was renamed or removed while the run was written; nothing is written "
                    "into another one of that name",
                    r->path);
    free(r->path);
    r->path = gp_strdup(path);
    return 0;
}

/* ---- the folder ------------------------------------------------------------------------------------------ */

/* path may be a link to the folder. */
static gp_run *open_folder(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return fail_errno("%s", path), NULL;
    gp_run *r = gp_calloc(1, sizeof *r);
    *r = (gp_run){.path = gp_strdup(path), .dir = dir, .lock = -1};
    return r;
}

/* Removes the temporary files of a killed writer; no other process can be using them, as the run is locked. One that
 * cannot be removed costs only disk space. */
static int remove_temporaries(const gp_run *r)
{
    char **names;
    int64_t count;
    if (gp_folder_list_at(r->dir, r->path, &names, &count))
        return -1;
    for (int64_t i = 0; i < count; i++)
        if (gp_run_is_temporary(names[i]) && unlinkat(r->dir, names[i], 0) && errno == EISDIR)
            gp_folder_remove_at(r->dir, names[i], gp_run_is_checkpoint_file);
    gp_folder_list_free(names, count);
    return 0;
}

/* What a folder contains: nothing; a lock, or a lock and the data that came from a pipe, as a train leaves that ended
 * before its run began, which is when config.yaml is written; other files. */
typedef enum contents { FAILED = -1, EMPTY, LOCK, LOCK_AND_DATA, OTHERS } contents;

static contents contents_of(const gp_run *r, bool locked)
{
    char **names;
    int64_t count, others = 0, spools = 0;
    if (gp_folder_list_at(r->dir, r->path, &names, &count))
        return FAILED;
    bool has_lock = false;
    for (int64_t i = 0; i < count; i++) {
        bool lock = !strcmp(names[i], gp_run_lock_name), spool = !strcmp(names[i], "data.tok");
        has_lock = has_lock || lock;
        spools += spool;
        others += !lock && !spool && !gp_run_is_temporary(names[i]);
    }
    gp_folder_list_free(names, count);
    int left = !has_lock || locked ? has_lock : gp_run_lock_is_left(r);
    if (left < 0)
        return FAILED;
    if (others || (has_lock && !left) || (spools && !has_lock))
        return OTHERS;
    return spools ? LOCK_AND_DATA : has_lock ? LOCK : EMPTY;
}

static int refuse_full(const char *path)
{
    return fail("%s: is not empty, and a run is never overwritten: give another --out, or --resume %s", path, path);
}

gp_run *gp_run_create(const char *path)
{
    int existed = gp_exists(path);
    gp_run *r = existed < 0 || gp_make_dirs(path) ? NULL : open_folder(path);
    if (!r)
        return NULL;
    contents before = contents_of(r, false), after = FAILED;
    struct stat st;
    if (before == OTHERS)
        refuse_full(path);
    else if (before != FAILED) {
        bool has_lock = !fstatat(r->dir, gp_run_lock_name, &st, AT_SYMLINK_NOFOLLOW);
        if (!(has_lock ? gp_run_lock(r) : gp_run_lock_new(r)))
            after = contents_of(r, true); /* again: another process may have begun a run in between */
        if (after == OTHERS)
            refuse_full(path);
    }
    if ((after != LOCK && after != LOCK_AND_DATA) || remove_temporaries(r)) {
        gp_run_close(r);
        return NULL;
    }
    r->created = !existed;
    return r;
}

gp_run *gp_run_open_readonly(const char *path)
{
    int begun = gp_run_recognise(path);
    if (!begun)
        begun = gp_exists_in(path, "config.yaml");
    if (!begun)
        fail("%s: has no checkpoint to resume from", path);
    return begun > 0 ? open_folder(path) : NULL;
}

/* Checks that all files which the run writes can be written, before the first of them, or a checkpoint, changes. */
static int check_own(const gp_run *r)
{
    static const char *const growing[] = {"log.jsonl", "samples.txt", "history.jsonl", "events.out.tfevents.train"};
    static const char *const replaced[] = {"config.yaml", "config.json", "tokenizer.json", "tokenizer_config.json"};
    static const char *const links[] = {"last", "best", "model.safetensors"};
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(growing); i++) {
        int fd, there = gp_run_open_own(r, growing[i], O_RDWR, &fd);
        if (there < 0)
            return -1;
        if (there)
            close(fd);
    }
    for (size_t i = 0; i < ARRAY_LEN(replaced); i++)
        if (!fstatat(r->dir, replaced[i], &st, 0) && S_ISDIR(st.st_mode))
            return fail("%s/%s: is a folder where a run has a file; move it away", r->path, replaced[i]);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (!fstatat(r->dir, links[i], &st, AT_SYMLINK_NOFOLLOW) && !S_ISLNK(st.st_mode))
            return fail("%s/%s: is not a link, as it is in a run; move it away", r->path, links[i]);
    return 0;
}

gp_run *gp_run_open(const char *path)
{
    gp_run *r = gp_run_open_readonly(path);
    if (r && (gp_run_lock(r) || check_own(r) || remove_temporaries(r))) {
        gp_run_close(r);
        return NULL;
    }
    return r;
}

void gp_run_close(gp_run *r)
{
    if (!r)
        return;
    char *why = gp_strdup(gp_error()); /* of what ended the run */
    if (r->created && r->lock >= 0 && !gp_run_follow(r) && contents_of(r, true) == LOCK && !remove_temporaries(r)) {
        unlinkat(r->dir, gp_run_lock_name, 0);
        rmdir(r->path);
    }
    gp_fail("%s", why);
    free(why);
    if (r->lock >= 0)
        close(r->lock); /* unlocks it */
    close(r->dir);
    free(r->path);
    free(r);
}

const char *gp_run_path(const gp_run *r)
{
    return r->path;
}

int gp_run_checkpoint(const gp_run *r, int n, char **path)
{
    int64_t *steps, count;
    int rc = gp_run_steps(r->path, &steps, &count);
    *path = NULL;
    if (!rc && n < count)
        *path = gp_run_step_path(r->path, steps[n]);
    free(steps);
    return rc;
}

int gp_run_former_checkpoint(const gp_run *r, char **name)
{
    char **names;
    int64_t count;
    *name = NULL;
    if (gp_folder_list_at(r->dir, r->path, &names, &count))
        return -1;
    for (int64_t i = 0; i < count && !*name; i++)
        if ((!strncmp(names[i], "ckpt-", 5) && !gp_run_is_temporary(names[i])) || !strcmp(names[i], "last") ||
            !strcmp(names[i], "best"))
            *name = gp_strdup(names[i]);
    gp_folder_list_free(names, count);
    return 0;
}

int gp_run_write(gp_run *r, const char *name, const void *data, size_t n)
{
    if (gp_run_follow(r))
        return -1;
    char *path = gp_path_join(r->path, name);
    int rc = gp_file_replace(path, data, n);
    free(path);
    return rc;
}
