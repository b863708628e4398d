/* prune.c: removes checkpoints of a run: older ones, and those after the step that a run continues from; renames
 * damaged ones. */
#include "base/atomic_folder.h"
#include "base/file.h"
#include "run/checkpoint_names.h"
#include "run/run_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Renames it first, because a folder named ckpt-N must be complete. Of a symbolic link the link alone is removed; files
 * that are not the run's own stay in ckpt-N.rest. */
static int remove_checkpoint(const gp_run *r, int64_t step)
{
    struct stat st;
    char *name = gp_run_name(step), *temporary = gp_temporary_path(name);
    char *rest = gp_format("%s.rest", name), *fresh = NULL;
    int rc = -1, removed;
    if (fstatat(r->dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
        fail_errno("%s/%s", r->path, name);
    } else if (!S_ISDIR(st.st_mode)) {
        rc = S_ISLNK(st.st_mode) && !unlinkat(r->dir, name, 0)
                 ? 0
                 : fail("%s/%s: is not a folder and cannot be removed", r->path, name);
    } else if (renameat(r->dir, name, r->dir, temporary)) {
        fail_errno("%s/%s: cannot be renamed", r->path, name);
    } else if (!gp_run_sync(r)) { /* else a power cut might leave the name with half of the files */
        removed = gp_folder_remove_at(r->dir, temporary, gp_run_is_checkpoint_file);
        rc = removed < 0 ? -1 : 0;
        if (!removed)
            gp_run_rename_aside(r, temporary, rest, &fresh);
    }
    free(fresh);
    free(rest);
    free(temporary);
    free(name);
    return rc;
}

void gp_run_prune(gp_run *r, int64_t keep)
{
    int64_t *steps, count, last, best;
    if (gp_run_follow(r) || gp_run_link_step(r->path, "last", &last) || gp_run_link_step(r->path, "best", &best))
        return;
    if (!gp_run_steps(r->path, &steps, &count))
        for (int64_t i = keep; i < count; i++)
            if (steps[i] != last && steps[i] != best)
                remove_checkpoint(r, steps[i]);
    free(steps);
}

int64_t gp_run_remove_after(gp_run *r, int64_t step)
{
    int64_t *steps, count, removed = 0;
    int rc = gp_run_steps(r->path, &steps, &count);
    for (int64_t i = 0; !rc && i < count && steps[i] > step; i++) {
        rc = remove_checkpoint(r, steps[i]);
        removed += !rc;
    }
    free(steps);
    return rc ? -1 : removed;
}

int gp_run_rename_damaged(gp_run *r, int64_t step, char **name)
{
    char *was = gp_run_name(step), *as = gp_format("%s.damaged", was);
    int rc = gp_run_rename_aside(r, was, as, name);
    free(as);
    free(was);
    return rc ? rc : gp_run_sync(r);
}

int gp_run_rename_existing(gp_run *r, int64_t step, char **name)
{
    struct stat st;
    char *is = gp_run_name(step), *as = gp_format("%s.rest", is);
    int rc = 0;
    *name = NULL;
    if (!fstatat(r->dir, is, &st, AT_SYMLINK_NOFOLLOW))
        rc = gp_run_rename_aside(r, is, as, name) || gp_run_sync(r) ? -1 : 0;
    else if (errno != ENOENT)
        rc = fail_errno("%s/%s", r->path, is);
    free(as);
    free(is);
    return rc;
}
