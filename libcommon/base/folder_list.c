/* folder_list.c: listing and removing folders. Failing to read a folder to its end is a failure, never a shorter
 * list. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reads and closes dir. */
static int list(DIR *dir, const char *path, char ***names, int64_t *count)
{
    struct dirent *d;
    int rc = 0;
    while (errno = 0, (d = readdir(dir))) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        *names = gp_realloc(*names, (size_t)*count + 1, sizeof **names);
        (*names)[(*count)++] = gp_strdup(d->d_name);
    }
    if (errno)
        rc = fail_errno("%s: cannot be listed", path);
    closedir(dir);
    if (rc) {
        gp_folder_list_free(*names, *count);
        *names = NULL;
        *count = 0;
    } else if (*count) {
        qsort(*names, (size_t)*count, sizeof **names, by_text);
    }
    return rc;
}

int gp_folder_list(const char *path, char ***names, int64_t *count)
{
    DIR *dir = opendir(path);
    *names = NULL;
    *count = 0;
    return dir ? list(dir, path, names, count) : fail_errno("%s", path);
}

int gp_folder_list_at(int fd, const char *path, char ***names, int64_t *count)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* not dup, which would share the position */
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    *names = NULL;
    *count = 0;
    if (dir)
        return list(dir, path, names, count);
    fail_errno("%s", path);
    if (copy >= 0)
        close(copy);
    return -1;
}

void gp_folder_list_free(char **names, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Removes our files from an open folder. */
static int empty_folder(int fd, const char *path, bool (*ours)(const char *name))
{
    char **names;
    int64_t count;
    int rc = gp_folder_list_at(fd, path, &names, &count);
    for (int64_t i = 0; !rc && i < count; i++)
        if ((!ours || ours(names[i])) && unlinkat(fd, names[i], 0) && errno != EISDIR)
            rc = fail_errno("%s/%s: cannot be removed", path, names[i]);
    gp_folder_list_free(names, count);
    return rc;
}

int gp_folder_remove_at(int at, const char *name, bool (*ours)(const char *name))
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_errno("%s: cannot be removed", name);
    int rc = empty_folder(fd, name, ours);
    close(fd);
    if (rc)
        return -1;
    if (!unlinkat(at, name, AT_REMOVEDIR))
        return 1;
    return errno == ENOTEMPTY || errno == EEXIST ? 0 : fail_errno("%s: cannot be removed", name);
}

int gp_folder_remove(const char *path)
{
    int rc = gp_folder_remove_at(AT_FDCWD, path, NULL);
    return rc ? rc > 0 ? 0 : -1 : fail("%s: cannot be removed: it contains a folder", path);
}
