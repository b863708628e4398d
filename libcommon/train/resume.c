/* resume.c: what may change when a run is resumed, and what is reported and recorded of it. */
#include "base/file.h"
#include "cli/options.h"
#include "train/job.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- whether a folder is a run of ours ------------------------------------------------------------------- */

int gp_job_recorded(const char *config, const char *key, char *value, size_t size)
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

/* Whether the recorded version, "  version: 1.2.3" in config.yaml, is one that this program may not know. */
static int check_version(const char *run, const char *config)
{
    char version[32];
    int ours[3] = {0}, theirs[3] = {0}, newer = 0;
    if (gp_job_recorded(config, "version", version, sizeof version))
        return -1;
    sscanf(gp_version(), "%d.%d.%d", &ours[0], &ours[1], &ours[2]);
    int known = sscanf(version, "%d.%d.%d", &theirs[0], &theirs[1], &theirs[2]);
    for (int i = 0; i < 3 && !newer; i++)
        newer = (theirs[i] > ours[i]) - (theirs[i] < ours[i]);
    if (known < 1)
        return fail("%s: is not a run of train: its config.yaml records no version", run);
    if (newer > 0)
        return fail("%s: was written by gptpipe %d.%d.%d, which is newer than this one (%s): resume with that version",
                    run, theirs[0], theirs[1], theirs[2], gp_version());
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

/* ---- options that changed -------------------------------------------------------------------------------- */

typedef struct changes {
    gp_buf changes; /* "lr 0.002 -> 0.001, ..." */
    json_t *recorded;
    char *refused; /* the first that may not change */
} changes;

/* The weights have these sizes; where they began is past. */
static const char *const fixed[] = {"preset",   "init",       "init-std", "layers", "heads",
                                    "channels", "vocab-size", "bias",     "tied"};

/* Where a run is and how it is watched says nothing of what it computes. */
static const char *const unimportant[] = {"out", "run", "log-every"};

static bool among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static void see_change(void *self, const char *name, const char *was, const char *is)
{
    changes *c = self;
    if (among(name, unimportant, ARRAY_LEN(unimportant)))
        return;
    if (!c->refused && among(name, fixed, ARRAY_LEN(fixed)))
        c->refused = gp_format("--%s is %s in this run and cannot become %s", name, was, is);
    gp_buf_printf(&c->changes, "%s%s %s -> %s", c->changes.len ? ", " : "", name, was, is);
    json_object_set_new(c->recorded, name, json_pack("[ss]", was, is));
}

/* One line in history.jsonl for each time a run is begun or gone on with. */
int gp_job_record(gp_job *j)
{
    json_t *line = json_pack("{s:I, s:s, s:s, s:O}", "step", (json_int_t)j->t.step, "version", gp_version(), "machine",
                             j->state.machine, "changed", j->changed);
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (!text)
        die("out of memory");
    gp_buf b = {0};
    gp_buf_printf(&b, "%s\n", text);
    int rc = gp_run_cut_half_line(j->run, "history.jsonl");
    if (!rc)
        rc = gp_run_append(j->run, "history.jsonl", b.data, b.len);
    gp_buf_release(&b);
    free(text);
    json_decref(line);
    return rc;
}

int gp_job_compare_options(gp_job *j)
{
    const gp_train_options *o = j->o;
    changes c = {.recorded = json_object()};
    int rc = 0;
    if (o->resume && o->tool && o->args_before)
        gp_options_compare(o->tool, o->args_before, o->args, see_change, &c);
    if (c.refused)
        rc = fail("%s: %s", o->resume, c.refused);
    else if (c.changes.len)
        gp_report_say(&j->t.report, "changed at step %lld: %s", (long long)j->t.step, c.changes.data);
    json_decref(j->changed);
    j->changed = c.recorded;
    gp_buf_release(&c.changes);
    free(c.refused);
    return rc;
}
