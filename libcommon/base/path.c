/* path.c: paths, creating and flushing folders. See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_dir(const char *path, bool flush)
{
    struct stat st;
    if (!mkdir(path, 0777))
        return flush ? gp_sync_parent(path) : 0;
    if (errno == EEXIST && !stat(path, &st) && S_ISDIR(st.st_mode))
        return 0;
    return errno == EEXIST ? fail("%s: is a file, a folder is needed there", path)
                           : fail_errno("%s: folder cannot be created", path);
}

static int make_dirs(const char *path, bool flush)
{
    char *p = gp_strdup(path);
    int rc = 0;
    for (char *s = p + 1; !rc; s++) {
        if (*s && *s != '/')
            continue;
        char c = *s;
        *s = 0;
        rc = make_dir(p, flush);
        *s = c;
        if (!c)
            break;
    }
    free(p);
    return rc;
}

int gp_make_dirs(const char *path)
{
    return make_dirs(path, true);
}

static int make_parent(const char *path, bool flush)
{
    char *dir = gp_folder_of(path);
    int rc = make_dirs(dir, flush);
    free(dir);
    return rc;
}

int gp_make_parent(const char *path)
{
    return make_parent(path, true);
}

int gp_make_parent_unflushed(const char *path)
{
    return make_parent(path, false);
}

int gp_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return fail_errno("%s", path);
    if (fsync(fd) && errno != EINVAL) /* some file systems cannot flush a folder, and need not */
        rc = fail_errno("%s: cannot be flushed to disk", path);
    close(fd);
    return rc;
}

char *gp_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash ? gp_strdup(".") : slash == path ? gp_strdup("/") : gp_strndup(path, (size_t)(slash - path));
}

int gp_sync_parent(const char *path)
{
    char *dir = gp_folder_of(path);
    int rc = gp_sync_dir(dir);
    free(dir);
    return rc;
}

int gp_stat(const char *path, struct stat *st)
{
    if (!stat(path, st))
        return 1;
    return errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno("%s", path);
}

int gp_exists(const char *path)
{
    struct stat st;
    return gp_stat(path, &st);
}

int gp_exists_in(const char *folder, const char *name)
{
    if (!folder)
        return 0;
    char *path = gp_path_join(folder, name);
    int there = gp_exists(path);
    free(path);
    return there;
}

char *gp_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return gp_format("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

bool gp_path_is_contained(const char *path)
{
    if (!*path || *path == '/')
        return false;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
            return false;
    }
    return true;
}

int gp_temporary_fd(void)
{
    const char *dir = getenv("TMPDIR");
    char *path = gp_path_join(dir && *dir ? dir : "/tmp", "gptpipe.XXXXXX");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        fail("%s: temporary file cannot be created: %s (set TMPDIR to a folder with free space)", path,
             strerror(errno));
    else
        unlink(path);
    free(path);
    return fd;
}
