/* folder.c: see folder.h. */
#include "io/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(gp_folder *f)
{
    free(f->path);
    free(f->temporary);
    *f = (gp_folder){0};
}

int gp_folder_open(gp_folder *f, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    f->path = gp_strndup(path, n);
    f->temporary = gp_format("%s.%ld.tmp", f->path, (long)getpid());
    if (!mkdir(f->temporary, 0777))
        return 0;
    fail("%s: folder cannot be made: %s", f->temporary, strerror(errno));
    release(f);
    return -1;
}

/* Exchanges the two names, so that there is a whole folder under the path at any moment. */
static int replace(gp_folder *f)
{
    if (!rename(f->temporary, f->path))
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return fail("%s: cannot be renamed into place: %s", f->path, strerror(errno));
    if (renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_EXCHANGE))
        return fail("%s: cannot be replaced: %s", f->path, strerror(errno));
    return gp_folder_remove(f->temporary);
}

int gp_folder_commit(gp_folder *f)
{
    int rc = gp_sync_dir(f->temporary);
    if (!rc)
        rc = replace(f);
    if (rc) {
        gp_folder_abandon(f);
        return -1;
    }
    rc = gp_sync_parent(f->path);
    release(f);
    return rc;
}

void gp_folder_abandon(gp_folder *f)
{
    char *why = gp_strdup(gp_error()); /* which is what the caller will want to tell */
    gp_folder_remove(f->temporary);
    gp_fail("%s", why);
    free(why);
    release(f);
}

int gp_folder_remove(const char *path)
{
    char **names;
    int64_t count;
    if (gp_folder_list(path, &names, &count))
        return -1;
    int rc = 0;
    for (int64_t i = 0; !rc && i < count; i++) {
        char *name = gp_path_join(path, names[i]);
        if (unlink(name))
            rc = fail("%s: cannot be removed: %s", name, strerror(errno));
        free(name);
    }
    gp_folder_list_free(names, count);
    if (!rc && rmdir(path))
        rc = fail("%s: cannot be removed: %s", path, strerror(errno));
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int gp_folder_list(const char *path, char ***names, int64_t *count)
{
    DIR *dir = opendir(path);
    *names = NULL;
    *count = 0;
    if (!dir)
        return fail("%s: %s", path, strerror(errno));
    for (struct dirent *d; (d = readdir(dir));) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        *names = gp_realloc(*names, (size_t)*count + 1, sizeof **names);
        (*names)[(*count)++] = gp_strdup(d->d_name);
    }
    closedir(dir);
    if (*count)
        qsort(*names, (size_t)*count, sizeof **names, by_text);
    return 0;
}

void gp_folder_list_free(char **names, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
