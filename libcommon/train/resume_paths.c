/* resume_paths.c: files that a run's config.yaml names, found again from another working folder. */
#include "base/file.h"
#include "base/json.h"
#include "cli/options.h"
#include "data/mixture.h"
#include "train/job.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where train was called when it wrote config.yaml, fresh; NULL: not recorded, as before it was. */
static char *recorded_folder(const char *config)
{
    char text[2 * PATH_MAX];
    if (gp_job_recorded(config, "folder", text, sizeof text) || !*text)
        return NULL;
    if (*text != '"')
        return *text == '/' ? gp_strdup(text) : NULL;
    /* what gp_put_yaml escapes is escaped so in JSON */
    json_t *v = gp_json_load(text, strlen(text), JSON_DECODE_ANY, NULL);
    char *folder = json_is_string(v) ? gp_strdup(json_string_value(v)) : NULL;
    json_decref(v);
    return folder;
}

static bool is_here(const char *folder)
{
    char here[PATH_MAX];
    return getcwd(here, sizeof here) && !strcmp(here, folder);
}

/* A stream from stdin was kept in the run itself, which may have moved. */
static char *spooled_in(const char *run, const char *item)
{
    const char *slash = strrchr(item, '/');
    char *path = slash && !strcmp(slash + 1, GP_SPOOL_NAME) ? gp_path_join(run, GP_SPOOL_NAME) : NULL;
    if (path && !gp_exists(path)) {
        free(path);
        path = NULL;
    }
    return path;
}

/* A pipe or a device, which may never end, is for the command line. */
static int check_item(const char *path, const gp_mixture_how *how, const char *option, const char *run)
{
    if (!gp_mixture_check_regular(path, how))
        return 0;
    char *why = gp_strdup(gp_error());
    fail("%s, and the config.yaml of %s names it; --%s %s reads it all the same", why, run, option, path);
    free(why);
    return -1;
}

static int find_items(gp_list *list, const gp_mixture_how *how, const char *option, const char *run, const char *folder)
{
    gp_list found = {0};
    for (int i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        bool there = folder && !is_here(folder) && gp_mixture_is_there(item, folder, how);
        char *path = there                                  ? gp_mixture_below(item, folder, how)
                     : gp_mixture_is_there(item, NULL, how) ? gp_strdup(item)
                                                            : spooled_in(run, item);
        if (!path && folder)
            return fail("%s: is not there, neither below %s, where %s was made, nor below this folder; --%s "
                        "tells where it is now",
                        item, folder, run, option);
        if (!path)
            return fail("%s: is not there; call train in the folder in which %s was made, or tell with --%s "
                        "where it is now",
                        item, run, option);
        int rc = check_item(path, how, option, run);
        gp_list_append(&found, gp_option_strndup(path, strlen(path)), !i);
        free(path);
        if (rc)
            return -1;
    }
    *list = found;
    return 0;
}

int gp_train_find_files(const char *config, gp_list *data, gp_list *val, const char **init)
{
    char *folder = recorded_folder(config), *run = gp_folder_of(config);
    int rc = data ? find_items(data, &(gp_mixture_how){.weights = true}, "data", run, folder) : 0;
    if (!rc && val)
        rc = find_items(val, &(gp_mixture_how){.names = true}, "val", run, folder);
    /* of no use but to a run that stopped before its first checkpoint */
    if (!rc && folder && !is_here(folder) && **init != '/' && strcmp(*init, "scratch")) {
        char *path = gp_path_join(folder, *init);
        if (gp_exists(path))
            *init = gp_option_strndup(path, strlen(path));
        free(path);
    }
    free(run);
    free(folder);
    return rc;
}
