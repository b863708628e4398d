/* resume.c: see resume.h. */
#include "train/resume.h"
#include "base/file.h"
#include "run/checkpoint_names.h"
#include "train/job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what the run has recorded ---------------------------------------------------------------------------- */

static int read_recorded(gp_recorded_choices *r, const char *run, bool attention)
{
    char *config = gp_path_join(run, "config.yaml"), *products = gp_path_join(run, GP_PRODUCTS_NAME);
    int there = attention ? gp_exists(config) : 0, rc = there < 0 ? -1 : 0;
    if (there > 0)
        rc = gp_recorded_value(config, "attention", r->attention, sizeof r->attention);
    if (!rc)
        rc = gp_products_read(&r->products, products);
    free(config);
    free(products);
    return rc;
}

/* ---- the newest good checkpoint --------------------------------------------------------------------------- */

/* A state belongs to the weights that it was saved with, and to no other step's. */
static int check_weights(const gp_state *s, const char *dir)
{
    char *model = gp_path_join(dir, "model.safetensors"), found[sizeof s->weights];
    int rc = gp_state_weights(found, model);
    if (!rc && gp_state_differs(s->weights, found))
        rc = fail("%s: is not the model that the training state in the same directory was saved with (CRC-32C of "
                  "its record of CRCs is %s, expected %s)",
                  model, *found ? found : "missing", s->weights);
    free(model);
    return rc;
}

/* Reads model and state of one checkpoint. *damaged after a failure: its content is the cause, so that an older one may
 * do; not that it could not be read just now, or contradicts the options. */
static int read_checkpoint(gp_resumed *r, const char *dir, int64_t step, gp_trainer *t, bool *damaged)
{
    char *path = gp_path_join(dir, "state.safetensors");
    bool refused = false;
    r->file = gp_safetensors_open_regular(path);
    if (r->file && !gp_state_read(&r->state, r->file, step) && !check_weights(&r->state, dir))
        r->m = gp_model_from_checkpoint(t, dir, false, &refused);
    if (r->m && gp_state_check(r->file, r->m)) {
        gp_model_free(r->m);
        r->m = NULL;
    }
    free(path);
    *damaged = !r->m && !refused && !gp_error_is_io();
    if (r->m)
        return 0;
    gp_safetensors_close(r->file);
    r->file = NULL;
    return -1;
}

/* There is no checkpoint. Where there never was one, the run was stopped before it and begins again. */
static int check_begin_again(const gp_run *run, const gp_train_options *o, gp_report *report)
{
    struct stat st;
    char *trace;
    if (gp_run_former_checkpoint(run, &trace))
        return -1;
    if (trace) {
        fail("%s: has no checkpoint to continue from, though there is %s; nothing was changed. Restore its "
             "checkpoints (ckpt-N), or start another run with --out",
             o->resume, trace);
        free(trace);
        return -1;
    }
    if (!gp_is_from_scratch(o) && gp_stat(o->init, &st) > 0 && !S_ISREG(st.st_mode) &&
        !S_ISDIR(st.st_mode)) /* a pipe or a device, which may never end */
        return fail("%s: is not a regular file, and the config.yaml of %s names it for --init", o->init, o->resume);
    gp_report_info(report, "%s has no checkpoint yet: it begins again", o->resume);
    return 0;
}

int gp_resume_find(gp_resumed *r, const gp_run *run, gp_trainer *t)
{
    const gp_train_options *o = t->o;
    const char *path = gp_run_path(run);
    int64_t *steps = &r->from, count = 1;
    if (read_recorded(&r->recorded, path, o->attention == GP_ATTENTION_MEASURE) ||
        (r->from < 0 && gp_run_steps(path, &steps, &count)))
        return -1;
    int rc = count ? -1 : check_begin_again(run, o, &t->report);
    for (int64_t i = 0; i < count; i++) {
        bool damaged;
        char *dir = gp_run_step_path(path, steps[i]);
        rc = read_checkpoint(r, dir, steps[i], t, &damaged);
        free(dir);
        if (!rc || !damaged || r->from >= 0)
            break;
        r->damaged = gp_realloc(r->damaged, (size_t)r->damaged_count + 1, sizeof *r->damaged);
        r->damaged[r->damaged_count++] = (gp_damaged){steps[i], gp_strdup(gp_error())};
        if (o->dry_run)
            gp_report_warn(&t->report, "%s; the checkpoint before it would be used", gp_error());
    }
    if (rc && r->damaged_count && r->damaged_count == count)
        fail("%s: has no checkpoint to continue from: %s%s; nothing was changed", o->resume, r->damaged[0].why,
             count > 1 ? ", and older ones are damaged too" : "");
    if (steps != &r->from)
        free(steps);
    return rc;
}

void gp_resumed_release(gp_resumed *r)
{
    for (int i = 0; i < r->damaged_count; i++)
        free(r->damaged[i].why);
    free(r->damaged);
    gp_safetensors_close(r->file);
    gp_products_release(&r->recorded.products);
}

/* ---- what follows the checkpoint -------------------------------------------------------------------------- */

static int rename_damaged(const gp_resumed *r, gp_run *run, gp_report *report)
{
    for (int i = 0; i < r->damaged_count; i++) {
        char *name;
        if (gp_run_rename_damaged(run, r->damaged[i].step, &name))
            return -1;
        gp_report_warn(report, "%s; it was renamed %s, and training continues from step %lld", r->damaged[i].why, name,
                       (long long)r->state.step);
        free(name);
    }
    return 0;
}

static int remove_later(gp_run *run, int64_t step, gp_report *report)
{
    int64_t removed = gp_run_remove_after(run, step);
    if (removed > 0)
        gp_report_info(report, "the checkpoints after step %lld are removed: %lld", (long long)step,
                       (long long)removed);
    return removed < 0 ? -1 : 0;
}

static int cut_log(gp_run *run, int64_t step, gp_report *report)
{
    char *aside;
    int rc = gp_run_cut_log(run, step, &aside);
    if (aside)
        gp_report_warn(report, "%s/%s: has a damaged line; it and what follows it are kept as %s", gp_run_path(run),
                       GP_LOG_NAME, aside);
    free(aside);
    return rc;
}

int gp_resume_clean(const gp_resumed *r, gp_run *run, gp_report *report)
{
    const gp_state *s = &r->state;
    if (r->m && gp_run_continue_from(run, s->step, s->best_step))
        return -1;
    if (r->from >= 0 ? remove_later(run, s->step, report) : rename_damaged(r, run, report))
        return -1;
    if (gp_run_cut(run, "samples.txt", s->samples, NULL) || gp_report_cut_events(report, run, s->step))
        return -1;
    return cut_log(run, s->step, report);
}
