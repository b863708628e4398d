/* atomic_folder.c: see atomic_folder.h. */
#include "base/atomic_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(gp_folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->temporary);
    *f = (gp_folder){.fd = -1};
}

int gp_folder_open(gp_folder *f, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    *f = (gp_folder){.path = gp_strndup(path, n), .fd = -1};
    gp_temporary_clean(f->path, false);
    f->temporary = gp_temporary_path(f->path);
    if (mkdir(f->temporary, 0777)) {
        fail_errno("%s: folder cannot be created", f->temporary);
        release(f);
        return -1;
    }
    f->fd = open(f->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (f->fd >= 0)
        gp_temporary_lock(f->fd);
    return 0;
}

/* Exchanges the two names, so that the path names a complete folder at any moment. */
static int replace(gp_folder *f)
{
    if (!rename(f->temporary, f->path))
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return fail_errno("%s: cannot be renamed into place", f->path);
    if (renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_EXCHANGE))
        return fail_errno("%s: cannot be replaced", f->path);
    return gp_folder_remove(f->temporary);
}

int gp_folder_end(gp_folder *f, int rc)
{
    if (!rc && !gp_sync_dir(f->temporary) && !replace(f)) {
        rc = gp_sync_parent(f->path);
    } else {
        char *error = gp_strdup(gp_error()); /* the failure, which a failing removal would overwrite */
        gp_folder_remove(f->temporary);
        rc = gp_fail("%s", error);
        free(error);
    }
    release(f);
    return rc;
}
