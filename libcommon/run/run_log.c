/* run_log.c: the files of a run that grow: log.jsonl, samples.txt, history.jsonl. */
#include "base/file.h"
#include "base/json.h"
#include "run/run_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files that grow ------------------------------------------------------------------------------------- */

/* Copies an open file from byte `from` on into a new file of this name, flushed. */
static int copy_from(const gp_run *r, int fd, int64_t from, const char *to)
{
    struct stat st;
    gp_map m = {0};
    int rc = -1, copy = openat(r->dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (copy < 0)
        return fail_errno("%s/%s: cannot be created", r->path, to);
    if (fstat(fd, &st))
        fail_errno("%s", r->path);
    else if (!gp_map_fd(&m, fd, r->path))
        rc = fchmod(copy, st.st_mode & 0777) && errno != EPERM ? fail_errno("%s/%s", r->path, to) : 0;
    if (!rc && m.size > (size_t)from)
        rc = gp_write_all(copy, m.data + from, m.size - (size_t)from, to);
    gp_map_close(&m);
    if (!rc && fsync(copy))
        rc = fail_errno("%s/%s: cannot be flushed to disk", r->path, to);
    if (close(copy) && !rc)
        rc = fail_errno("%s/%s: cannot be written", r->path, to);
    if (rc)
        unlinkat(r->dir, to, 0);
    return rc;
}

/* Replaces the name of an open file by a copy; its other hard links keep the original. */
static int replace_by_copy(const gp_run *r, const char *name, int fd)
{
    char *temporary = gp_temporary_path(name);
    int rc = copy_from(r, fd, 0, temporary);
    if (!rc && renameat(r->dir, temporary, r->dir, name)) {
        rc = fail_errno("%s/%s: cannot be replaced by a copy", r->path, name);
        unlinkat(r->dir, temporary, 0);
    }
    if (!rc)
        rc = gp_run_sync(r);
    free(temporary);
    return rc;
}

/* As gp_run_open_own, for writing. Copies of a run may be made with hard links (cp -al), and must not change with it.
 * */
static int open_to_write(const gp_run *r, const char *name, int flags, int *fd)
{
    struct stat st;
    int there = gp_run_open_own(r, name, flags, fd), rc = 0;
    if (there <= 0)
        return there;
    if (fstat(*fd, &st))
        rc = fail_errno("%s/%s", r->path, name);
    else if (st.st_nlink <= 1)
        return there;
    else
        rc = replace_by_copy(r, name, *fd);
    close(*fd);
    *fd = -1;
    return rc ? -1 : gp_run_open_own(r, name, flags, fd);
}

int gp_run_append(gp_run *r, const char *name, const char *data, size_t n)
{
    int fd;
    if (open_to_write(r, name, O_RDWR | O_APPEND | O_CREAT, &fd) < 0)
        return -1;
    char *path = gp_path_join(r->path, name);
    off_t end = lseek(fd, 0, SEEK_END);
    int rc = end < 0 ? fail_errno("%s: cannot be written", path) : gp_write_all(fd, data, n, path);
    if (rc && end >= 0 && ftruncate(fd, end))
        rc = gp_fail_in("half a line is left"); /* which resuming removes */
    close(fd);
    free(path);
    return rc;
}

int gp_run_flush(gp_run *r, const char *name)
{
    int fd, there = gp_run_open_own(r, name, O_RDONLY, &fd), rc = 0;
    if (there <= 0)
        return there;
    if (fsync(fd))
        rc = fail_errno("%s/%s: cannot be flushed to disk", r->path, name);
    close(fd);
    return rc;
}

int gp_run_size(const gp_run *r, const char *name, int64_t *size)
{
    struct stat st;
    int fd, there = gp_run_open_own(r, name, O_RDONLY, &fd), rc = 0;
    *size = 0;
    if (there <= 0)
        return there;
    if (fstat(fd, &st))
        rc = fail_errno("%s/%s", r->path, name);
    else
        *size = st.st_size;
    close(fd);
    return rc;
}

/* Copies what follows byte `from` into NAME.damaged, and flushes that before the file is truncated. */
static int save_damaged(const gp_run *r, int fd, const char *name, int64_t from, char **aside)
{
    char *as = gp_format("%s.damaged", name), *temporary = gp_temporary_path(as);
    int rc = copy_from(r, fd, from, temporary);
    if (!rc && (rc = gp_run_rename_aside(r, temporary, as, aside)))
        unlinkat(r->dir, temporary, 0);
    if (!rc)
        rc = gp_run_sync(r);
    free(temporary);
    free(as);
    return rc;
}

/* Truncates an open file, on disk too. */
static int truncate_file(const gp_run *r, int fd, const char *name, int64_t size)
{
    return ftruncate(fd, (off_t)size) || fsync(fd) ? fail_errno("%s/%s: cannot be cut", r->path, name) : 0;
}

int gp_run_cut(gp_run *r, const char *name, int64_t size, char **aside)
{
    struct stat st;
    if (aside)
        *aside = NULL;
    int fd, there = open_to_write(r, name, O_RDWR, &fd), rc = 0;
    if (there <= 0)
        return there;
    if (fstat(fd, &st))
        rc = fail_errno("%s/%s", r->path, name);
    else if (st.st_size > size && (!aside || !save_damaged(r, fd, name, size, aside)))
        rc = truncate_file(r, fd, name, size);
    else if (st.st_size > size)
        rc = -1;
    close(fd);
    return rc;
}

int gp_run_cut_half_line(gp_run *r, const char *name)
{
    gp_map m;
    if (gp_run_map(r, name, &m))
        return -1;
    const char *end = m.size ? memrchr(m.data, '\n', m.size) : NULL;
    int64_t kept = end ? end + 1 - m.data : 0;
    bool half = (size_t)kept < m.size;
    gp_map_close(&m);
    return half ? gp_run_cut(r, name, kept, NULL) : 0;
}

int gp_run_map(const gp_run *r, const char *name, gp_map *m)
{
    *m = (gp_map){0};
    int fd, there = gp_run_open_own(r, name, O_RDONLY, &fd);
    if (there <= 0)
        return there;
    char *path = gp_path_join(r->path, name);
    int rc = gp_map_fd(m, fd, path);
    free(path);
    close(fd);
    return rc;
}

/* ---- cutting the log ------------------------------------------------------------------------------------- */

typedef enum line_state { STAYS, LATER, DAMAGED } line_state;

/* A line stays if it is a complete JSON object of an earlier step or of this one. */
static line_state classify(const char *text, size_t length, int64_t step)
{
    json_t *root = gp_json_load(text, length, JSON_ALLOW_NUL, NULL);
    const json_t *v = json_object_get(root, "step");
    line_state is = !json_is_object(root) || (v && !json_is_integer(v)) ? DAMAGED
                    : v && json_integer_value(v) > step                 ? LATER
                                                                        : STAYS;
    json_decref(root);
    return is;
}

/* A killed process leaves the beginning of an object; zeros, as a power cut may leave, are damage. */
static line_state classify_half(const char *text, size_t length)
{
    return *text == '{' && !memchr(text, 0, length) ? LATER : DAMAGED;
}

int gp_run_cut_log(gp_run *r, int64_t step, char **aside)
{
    gp_map m;
    size_t kept = 0;
    line_state next = STAYS;
    *aside = NULL;
    if (gp_run_map(r, GP_LOG_NAME, &m))
        return -1;
    while (kept < m.size) {
        const char *text = m.data + kept, *end = memchr(text, '\n', m.size - kept);
        next = end ? classify(text, (size_t)(end - text), step) : classify_half(text, m.size - kept);
        if (next != STAYS)
            break;
        kept += (size_t)(end - text) + 1;
    }
    gp_map_close(&m);
    return gp_run_cut(r, GP_LOG_NAME, (int64_t)kept, next == DAMAGED ? aside : NULL);
}

int gp_run_log_ends(const gp_run *r, int64_t step, const char *member)
{
    gp_map m;
    bool is = false;
    if (gp_run_map(r, GP_LOG_NAME, &m))
        return -1;
    if (m.size) {
        const char *before = memrchr(m.data, '\n', m.size - 1), *text = before ? before + 1 : m.data;
        json_t *root = gp_json_load(text, m.size - (size_t)(text - m.data), JSON_ALLOW_NUL, NULL);
        is = json_object_get(root, member) && json_integer_value(json_object_get(root, "step")) == step;
        json_decref(root);
    }
    gp_map_close(&m);
    return is;
}
