/* run_log.c: the files of a run that grow: log.jsonl, samples.txt, history.jsonl. */
#include "base/file.h"
#include "base/json.h"
#include "io/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files that grow --------------------------------------------------------------------------------- */

static int open_file(const gp_run *r, const char *name, char **path)
{
    *path = gp_path_join(gp_run_path(r), name);
    int fd = open(*path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        fail_errno("%s: cannot be opened", *path);
    return fd;
}

int gp_run_append(gp_run *r, const char *name, const char *data, size_t n)
{
    char *path;
    int fd = open_file(r, name, &path);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    int rc = end < 0 ? -1 : gp_write_all(fd, data, n, path);
    if (rc && end >= 0 && ftruncate(fd, end))
        rc = gp_fail_in("half a line is left"); /* which resuming cuts away */
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

int gp_run_log(gp_run *r, const char *lines, size_t n)
{
    return gp_run_append(r, GP_LOG_NAME, lines, n);
}

int gp_run_flush(gp_run *r, const char *name)
{
    char *path = gp_path_join(gp_run_path(r), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0 ? errno != ENOENT : fsync(fd))
        rc = fail_errno("%s: cannot be flushed to disk", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

int64_t gp_run_size(const gp_run *r, const char *name)
{
    char *path = gp_path_join(gp_run_path(r), name);
    struct stat st;
    int64_t size = stat(path, &st) ? 0 : (int64_t)st.st_size;
    free(path);
    return size;
}

int gp_run_cut(gp_run *r, const char *name, int64_t size)
{
    char *path = gp_path_join(gp_run_path(r), name);
    int rc = gp_run_size(r, name) > size && truncate(path, (off_t)size)
                 ? fail_errno("%s: cannot be cut", path)
                 : 0;
    free(path);
    return rc;
}

/* ---- cutting the log --------------------------------------------------------------------------------- */

/* Whether a line is a whole object that does not belong to a later step. */
static bool stays(const char *line, size_t length, int64_t step)
{
    json_t *root = gp_json_load(line, length, JSON_ALLOW_NUL, NULL);
    const json_t *v = json_object_get(root, "step");
    bool good = json_is_object(root) && (!v || (json_is_integer(v) && json_integer_value(v) <= step));
    json_decref(root);
    return good;
}

int gp_run_cut_log(gp_run *r, int64_t step)
{
    char *path;
    gp_map m = {0};
    int fd = open_file(r, GP_LOG_NAME, &path), rc = fd < 0 ? -1 : gp_map_fd(&m, fd, path);
    size_t kept = 0;
    while (!rc && kept < m.size) {
        const char *line = m.data + kept, *end = memchr(line, '\n', m.size - kept);
        if (!end || !stays(line, (size_t)(end - line), step))
            break;
        kept += (size_t)(end - line) + 1;
    }
    bool cut = !rc && kept < m.size;
    gp_map_close(&m);
    if (cut && (ftruncate(fd, (off_t)kept) || fsync(fd)))
        rc = fail_errno("%s: cannot be cut", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

bool gp_run_log_ends(const gp_run *r, int64_t step, const char *member)
{
    char *path = gp_path_join(gp_run_path(r), GP_LOG_NAME);
    gp_map m = {0};
    bool is = false;
    if (gp_exists(path) && !gp_map_open(&m, path) && m.size) {
        const char *before = memrchr(m.data, '\n', m.size - 1), *line = before ? before + 1 : m.data;
        json_t *root = gp_json_load(line, m.size - (size_t)(line - m.data), JSON_ALLOW_NUL, NULL);
        is = json_object_get(root, member) && json_integer_value(json_object_get(root, "step")) == step;
        json_decref(root);
    }
    gp_map_close(&m);
    free(path);
    return is;
}
