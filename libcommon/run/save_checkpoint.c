/* save_checkpoint.c: writes a checkpoint into a run directory. The order keeps a run valid at any moment: files are
 * flushed, then their folder, then it gets its name, then `last` points to it, and only then are older ones removed. */
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

/* ---- links ----------------------------------------------------------------------------------------------- */

/* Points a link of the run to target, atomically. A file that is no link is never replaced. */
static int point(const gp_run *r, const char *link, const char *target)
{
    struct stat st;
    char now[PATH_MAX];
    ssize_t n = readlinkat(r->dir, link, now, sizeof now);
    if (n == (ssize_t)strlen(target) && !memcmp(now, target, (size_t)n))
        return 0;
    if (n < 0 && errno == EINVAL)
        return fail("%s/%s: is not a link, as it is in a run; move it away", r->path, link);
    if (n < 0 && errno != ENOENT)
        return fail_errno("%s/%s", r->path, link);
    char *temporary = gp_format("%s.tmp", link);
    int rc = 0;
    if (!fstatat(r->dir, temporary, &st, AT_SYMLINK_NOFOLLOW) && S_ISLNK(st.st_mode))
        unlinkat(r->dir, temporary, 0);
    if (symlinkat(target, r->dir, temporary) || renameat(r->dir, temporary, r->dir, link))
        rc = fail_errno("%s/%s: link cannot be made", r->path, link);
    free(temporary);
    return rc;
}

/* Whether the checkpoint of a step exists: 1, 0 or -1. */
static int has_checkpoint(const gp_run *r, int64_t step)
{
    char *path = gp_run_step_path(r->path, step);
    int exists = gp_exists(path);
    free(path);
    return exists;
}

static int point_at_step(const gp_run *r, const char *link, int64_t step)
{
    char *name = gp_run_name(step);
    int rc = point(r, link, name);
    free(name);
    return rc;
}

static int publish(const gp_run *r, int64_t step, bool best)
{
    if (point_at_step(r, "last", step) || (best && point_at_step(r, "best", step)) ||
        point(r, "model.safetensors", "last/model.safetensors"))
        return -1;
    return gp_run_sync(r);
}

int gp_run_continue_from(gp_run *r, int64_t step, int64_t best_step)
{
    int64_t best;
    int there = best_step > 0 ? has_checkpoint(r, best_step) : 0;
    if (there < 0 || gp_run_link_step(r->path, "best", &best))
        return -1;
    int named = best >= 0 ? has_checkpoint(r, best) : 0;
    if (named < 0)
        return -1;
    bool stale = best_step == step || best > step || !named;
    if (publish(r, step, false) || (stale && there && point_at_step(r, "best", best_step)))
        return -1;
    if (stale && !there && best >= 0 && unlinkat(r->dir, "best", 0) && errno != ENOENT)
        return fail_errno("%s/best: cannot be removed", r->path);
    return gp_run_sync(r);
}

/* ---- saving ---------------------------------------------------------------------------------------------- */

int gp_run_save(gp_run *r, int64_t step, bool best, int64_t keep, int (*fill)(void *self, const char *dir), void *self)
{
    BUG_ON(step < 0);
    if (gp_run_follow(r))
        return -1;
    char *path = gp_run_step_path(r->path, step);
    gp_folder f;
    int rc = gp_folder_open(&f, path);
    if (!rc)
        rc = gp_folder_end(&f, fill(self, f.temporary));
    if (!rc)
        rc = publish(r, step, best);
    if (!rc)
        gp_run_prune(r, keep > 1 ? keep : 1);
    free(path);
    return rc;
}
