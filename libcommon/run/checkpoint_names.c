/* checkpoint_names.c: the checkpoints of a run by name, and which of them is good. */
#include "run/checkpoint_names.h"
#include "base/atomic_folder.h"
#include "run/run.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *gp_run_name(int64_t step)
{
    return gp_format("ckpt-%08lld", (long long)step);
}

int64_t gp_run_step(const char *name)
{
    size_t n = strlen(name);
    if (strncmp(name, "ckpt-", 5) || n < 5 + 8 || n > 5 + 18) /* 18 digits fit */
        return -1;
    int64_t step = 0;
    for (const char *c = name + 5; *c; c++) {
        if (*c < '0' || *c > '9')
            return -1;
        step = step * 10 + (*c - '0');
    }
    if (n > 5 + 8 && name[5] == '0') /* not as gp_run_name writes it */
        return -1;
    return step;
}

char *gp_run_step_path(const char *path, int64_t step)
{
    char *name = gp_run_name(step), *folder = gp_path_join(path, name);
    free(name);
    return folder;
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

int gp_run_steps(const char *path, int64_t **steps, int64_t *count)
{
    char **names;
    int64_t found;
    *steps = NULL;
    *count = 0;
    if (gp_folder_list(path, &names, &found))
        return -1;
    *steps = gp_calloc((size_t)found, sizeof **steps);
    for (int64_t i = 0; i < found; i++)
        if (gp_run_step(names[i]) >= 0)
            (*steps)[(*count)++] = gp_run_step(names[i]);
    gp_folder_list_free(names, found);
    qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
    return 0;
}

int gp_run_link_step(const char *path, const char *link, int64_t *step)
{
    char target[PATH_MAX], *name = gp_path_join(path, link);
    ssize_t n = readlink(name, target, sizeof target - 1);
    int rc = n < 0 && errno != ENOENT && errno != EINVAL ? fail_errno("%s", name) : 0; /* EINVAL: not a link */
    free(name);
    while (n > 1 && target[n - 1] == '/')
        n--;
    target[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(target, '/');
    *step = gp_run_step(slash ? slash + 1 : target);
    return rc;
}

char *gp_run_locate(const char *path, int64_t *step)
{
    char *whole = realpath(path, NULL), *run = NULL; /* links followed, no slash at the end */
    if (!whole && errno != ENOENT && errno != ENOTDIR)
        return fail_errno("%s", path), NULL;
    char *name = whole ? strrchr(whole, '/') : NULL;
    *step = name ? gp_run_step(name + 1) : -1;
    if (*step >= 0) {
        const char *there = strstr(path, name + 1); /* as the user wrote it, where that ends in the name */
        run = there > path + 1 ? gp_strndup(path, (size_t)(there - path - 1)) : gp_folder_of(whole);
    }
    free(whole);
    return run ? run : gp_strdup(path);
}

int gp_run_recognise(const char *path)
{
    int64_t *steps, count;
    struct stat st;
    if (gp_stat(path, &st) > 0 && !S_ISDIR(st.st_mode))
        return 0;
    int rc = gp_run_steps(path, &steps, &count);
    free(steps);
    return rc ? -1 : count > 0;
}

/* The folder of a step if it is good, else NULL with the reason in gp_error(). */
static char *folder_if(bool (*good)(const char *folder), const char *path, int64_t step)
{
    char *folder = gp_run_step_path(path, step);
    if (good(folder))
        return folder;
    free(folder);
    return NULL;
}

char *gp_run_last(const char *path, bool (*good)(const char *folder), char **warning)
{
    int64_t *steps, count, last;
    if (gp_run_link_step(path, "last", &last))
        return NULL;
    char *folder = last >= 0 ? folder_if(good, path, last) : NULL;
    if (folder || (last >= 0 && gp_error_is_io()))
        return folder;
    char *why = last >= 0 ? gp_strdup(gp_error()) : gp_format("%s/last: names no checkpoint", path);
    bool failed = gp_run_steps(path, &steps, &count) != 0;
    for (int64_t i = 0; !failed && !folder && i < count; i++) {
        folder = folder_if(good, path, steps[i]);
        failed = !folder && gp_error_is_io();
    }
    free(steps);
    if (!folder && !failed)
        fail("%s: has no checkpoint that can be read: %s", path, why);
    else if (folder && warning)
        *warning = gp_format("%s; taking %s in its place", why, folder);
    free(why);
    return folder;
}
