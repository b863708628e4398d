/* run_config.c: config.yaml of a run: written, read to resume the run, and compared with the options that it is resumed
 * with; history.jsonl. */
#include "base/file.h"
#include "base/json.h"
#include "cli/options.h"
#include "data/mixture.h"
#include "train/attention.h"
#include "train/job.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- writing ---------------------------------------------------------------------------------------------- */

/* The folder that relative paths in the options are relative to. */
static void write_folder(FILE *f)
{
    char here[PATH_MAX];
    gp_buf b = {0};
    if (!getcwd(here, sizeof here))
        return;
    gp_put_yaml(&b, here);
    fprintf(f, "  folder: %s\n", b.data);
    gp_buf_release(&b);
}

int gp_job_write_config(const gp_job *j)
{
    char *text = NULL;
    size_t size = 0;
    char tokenizer[33];
    const gp_trainer *t = &j->t;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        die("out of memory");
    gp_hex(tokenizer, gp_tokens_get_info(t->sets.stream)->fingerprint, 16);
    int rc = gp_options_print(j->o->tool, j->o->args, f);
    fprintf(f,
            "\n# not options: --config skips these, --resume compares them\nrecorded:\n  version: %s\n  "
            "machine: \"%s\"\n"
            "  threads: %d\n  data: \"%s\"\n  fingerprint: \"%s\"\n  tokenizer: \"%s\"\n",
            gp_version(), j->state.machine, gp_backend_threads(t->be), j->state.data, j->state.fingerprint, tokenizer);
    write_folder(f);
    if (j->o->attention == GP_ATTENTION_MEASURE)
        fprintf(f, "  attention: %s\n", gp_attention_name(t->attention));
    bool failed = ferror(f);
    if (fclose(f) || failed || !text)
        die("out of memory");
    if (!rc)
        rc = gp_run_write(j->run, "config.yaml", text, size);
    free(text);
    return rc;
}

/* ---- whether a folder is a run that can be resumed -------------------------------------------------------- */

int gp_recorded_value(const char *config, const char *key, char *value, size_t size)
{
    gp_buf text = {0};
    *value = 0;
    if (gp_file_read_regular(&text, config, 1 << 20))
        return -1;
    char *line = gp_format("\n  %s: ", key);
    const char *at = text.len ? strstr(text.data, line) : NULL;
    if (at) {
        at += strlen(line);
        snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
    }
    free(line);
    gp_buf_release(&text);
    return 0;
}

/* Refuses a run that a newer version has written; "  version: 1.2.3" in config.yaml. */
static int check_version(const char *run, const char *config)
{
    char version[32];
    int own[3] = {0}, recorded[3] = {0}, newer = 0;
    if (gp_recorded_value(config, "version", version, sizeof version))
        return -1;
    sscanf(gp_version(), "%d.%d.%d", &own[0], &own[1], &own[2]);
    int known = sscanf(version, "%d.%d.%d", &recorded[0], &recorded[1], &recorded[2]);
    for (int i = 0; i < 3 && !newer; i++)
        newer = (recorded[i] > own[i]) - (recorded[i] < own[i]);
    if (known < 1)
        return fail("%s: is not a run of train: its config.yaml records no version", run);
    if (newer > 0)
        return fail("%s: was written by gptpipe %d.%d.%d, which is newer than this one (%s): resume with that version",
                    run, recorded[0], recorded[1], recorded[2], gp_version());
    return 0;
}

static int check_writable(const char *run)
{
    struct stat st;
    if (stat(run, &st))
        return fail_errno("%s", run);
    if (!S_ISDIR(st.st_mode))
        return fail("%s: is not a run directory", run);
    if (!access(run, W_OK | X_OK))
        return 0;
    if (errno == EACCES && st.st_uid != geteuid())
        return fail("%s: belongs to user %ld and cannot be written: --init %s begins a run of your own with it", run,
                    (long)st.st_uid, run);
    return fail_errno("%s: cannot be written", run);
}

char *gp_train_resumable(const char *path)
{
    int64_t step;
    char *run = gp_run_locate(path, &step);
    if (!run)
        return NULL;
    char *config = gp_path_join(run, "config.yaml");
    int rc = check_writable(run), there = rc ? 0 : gp_exists(config);
    if (there < 0)
        rc = -1;
    else if (!rc && !there)
        rc = fail("%s: is not a run directory of train: it has no config.yaml", run);
    if (rc || check_version(run, config)) {
        free(config);
        config = NULL;
    }
    free(run);
    return config;
}

/* ---- its files, from another working folder --------------------------------------------------------------- */

/* The working folder of the train that wrote config.yaml, fresh; NULL: not recorded, as by older versions. */
static char *recorded_folder(const char *config)
{
    char text[2 * PATH_MAX];
    if (gp_recorded_value(config, "folder", text, sizeof text) || !*text)
        return NULL;
    if (*text != '"')
        return *text == '/' ? gp_strdup(text) : NULL;
    /* gp_put_yaml escapes as JSON does */
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

/* A stream from stdin was stored in the run itself, which may have been moved. */
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

/* A pipe or a device, which may never end, must be named on the command line. */
static int check_item(const char *path, const gp_mixture_how *how, const char *option, const char *run)
{
    if (!gp_mixture_check_regular(path, how))
        return 0;
    return fail("%s, and the config.yaml of %s names it; --%s %s reads it all the same", gp_error(), run, option, path);
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
            return fail("%s: does not exist, neither below %s, where %s was made, nor below this folder; give its new "
                        "path with --%s",
                        item, folder, run, option);
        if (!path)
            return fail("%s: does not exist; call train in the folder in which %s was made, or give its new path with "
                        "--%s",
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
    /* used only by a run that was stopped before its first checkpoint */
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

/* ---- options that changed -------------------------------------------------------------------------------- */

typedef struct changes {
    gp_buf text; /* "lr 0.002 -> 0.001, ..." */
    json_t *changed;
    char *refused; /* why, for the first option that must not change */
} changes;

/* They decide the weights' shapes, or the weights that the run began with. */
static const char *const fixed[] = {"preset",   "init",       "init-std", "layers", "heads",
                                    "channels", "vocab-size", "bias",     "tied"};

/* They have no influence on the results. */
static const char *const unimportant[] = {"out", "run", "log-every"};

static void add_change(void *self, const char *name, const char *was, const char *is)
{
    changes *c = self;
    if (gp_find_name(unimportant, ARRAY_LEN(unimportant), name) >= 0)
        return;
    if (!c->refused && gp_find_name(fixed, ARRAY_LEN(fixed), name) >= 0)
        c->refused = gp_format("--%s is %s in this run and cannot become %s", name, was, is);
    gp_buf_printf(&c->text, "%s%s %s -> %s", c->text.len ? ", " : "", name, was, is);
    json_object_set_new(c->changed, name, json_pack("[ss]", was, is));
}

json_t *gp_compare_options(const gp_train_options *o, int64_t step, gp_report *report)
{
    changes c = {.changed = json_object()};
    if (o->resume && o->tool && o->args_before)
        gp_options_compare(o->tool, o->args_before, o->args, add_change, &c);
    if (c.refused) {
        fail("%s: %s", o->resume, c.refused);
        json_decref(c.changed);
        c.changed = NULL;
    } else if (c.text.len) {
        gp_report_info(report, "changed at step %lld: %s", (long long)step, c.text.data);
    }
    gp_buf_release(&c.text);
    free(c.refused);
    return c.changed;
}

int gp_write_history(gp_run *run, int64_t step, const char *machine, json_t *changed)
{
    json_t *line = json_pack("{s:I, s:s, s:s, s:O}", "step", (json_int_t)step, "version", gp_version(), "machine",
                             machine, "changed", changed);
    char *text = gp_json_dump(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    gp_buf b = {0};
    gp_buf_printf(&b, "%s\n", text);
    int rc = gp_run_cut_half_line(run, "history.jsonl");
    if (!rc)
        rc = gp_run_append(run, "history.jsonl", b.data, b.len);
    gp_buf_release(&b);
    free(text);
    json_decref(line);
    return rc;
}
