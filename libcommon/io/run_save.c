/* run_save.c: a checkpoint into a run directory. The order is what keeps a run whole: files are flushed, then
 * their folder, then it gets its name, then `last` points to it, and only then is anything older removed. */
#include "base/file.h"
#include "io/folder.h"
#include "io/run.h"
#include "io/run_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes path/link point to target, replacing what it pointed to before. */
static int point(const char *path, const char *link, const char *target)
{
    char *name = gp_path_join(path, link), *temporary = gp_format("%s.tmp", name);
    int rc = 0;
    unlink(temporary);
    if (symlink(target, temporary) || rename(temporary, name))
        rc = fail_errno("%s: link cannot be made", name);
    free(temporary);
    free(name);
    return rc;
}

/* Takes the name away first: what is called ckpt-N is whole. A failure costs disk and nothing else. */
static void remove_checkpoint(const char *path, int64_t step)
{
    char *name = gp_run_name(step), *folder = gp_path_join(path, name);
    char *temporary = gp_format("%s.%ld.tmp", folder, (long)getpid());
    if (!rename(folder, temporary))
        gp_folder_remove(temporary);
    free(temporary);
    free(folder);
    free(name);
}

static void prune(const char *path, int64_t keep)
{
    int64_t *steps, count, last = gp_run_link_step(path, "last"), best = gp_run_link_step(path, "best");
    gp_run_steps(path, &steps, &count);
    for (int64_t i = keep; i < count; i++)
        if (steps[i] != last && steps[i] != best)
            remove_checkpoint(path, steps[i]);
    free(steps);
}

static int publish(const char *path, const char *name, bool best)
{
    if (point(path, "last", name) || (best && point(path, "best", name)) ||
        point(path, "model.safetensors", "last/model.safetensors"))
        return -1;
    return gp_sync_dir(path);
}

int gp_run_save(gp_run *r, int64_t step, bool best, int64_t keep, int (*fill)(void *self, const char *dir),
                void *self)
{
    BUG_ON(step < 0);
    const char *run = gp_run_path(r);
    char *name = gp_run_name(step), *path = gp_path_join(run, name);
    gp_folder f;
    int rc = gp_folder_open(&f, path);
    if (!rc && fill(self, f.temporary)) {
        gp_folder_abandon(&f);
        rc = -1;
    } else if (!rc) {
        rc = gp_folder_commit(&f);
    }
    if (!rc)
        rc = publish(run, name, best);
    if (!rc)
        prune(run, keep > 1 ? keep : 1);
    free(path);
    free(name);
    return rc;
}

int64_t gp_run_go_back(gp_run *r, int64_t step, int64_t best_step)
{
    const char *run = gp_run_path(r);
    int64_t *steps, count, removed = 0;
    char *name = gp_run_name(step), *best = gp_run_name(best_step > 0 ? best_step : 0);
    char *best_folder = gp_path_join(run, best), *best_link = gp_path_join(run, "best");
    int rc = gp_run_steps(run, &steps, &count);
    bool newer = !rc && count && steps[0] > step;
    if (newer)
        rc = publish(run, name, false);
    if (newer && !rc && best_step > 0 && gp_exists(best_folder))
        rc = point(run, "best", best);
    else if (newer && !rc && gp_run_link_step(run, "best") > step)
        unlink(best_link);
    for (int64_t i = 0; newer && !rc && i < count && steps[i] > step; i++, removed++)
        remove_checkpoint(run, steps[i]);
    free(steps);
    free(name);
    free(best);
    free(best_folder);
    free(best_link);
    return rc ? -1 : removed;
}
