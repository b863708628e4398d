/* train.c: one run, from the options to the last checkpoint. */
#include "base/file.h"
#include "cli/options.h"
#include "train/job.h"
#include "train/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the loop -------------------------------------------------------------------------------------------- */

static bool every(int64_t n, int64_t step)
{
    return n > 0 && step % n == 0;
}

static bool out_of_time(const gp_job *j)
{
    return j->o->max_time > 0 && gp_now() - j->t.report.began >= j->o->max_time;
}

static int loop(gp_job *j)
{
    const gp_train_options *o = j->o;
    gp_trainer *t = &j->t;
    while (t->step < o->steps && !gp_stop_signal() && !out_of_time(j)) {
        j->val_loss = INFINITY;
        if (gp_trainer_step(t) || gp_stream_check_result(&j->check))
            return -1;
        bool last = t->step == o->steps, saves = every(o->save_every, t->step) || last,
             evaluates = t->sets.count && (every(o->eval_every, t->step) || saves),
             samples = every(o->sample_every, t->step) && j->run && t->sets.tokenizer;
        if ((saves || evaluates || samples) && gp_trainer_wait(t))
            return -1;
        if (saves && gp_stream_check_wait(&j->check, false, gp_stop_signal)) /* no checkpoint of damaged data */
            return -1;
        if (evaluates && gp_trainer_evaluate(t, &j->val_loss))
            return -1;
        if (samples && gp_job_sample(j))
            gp_report_warn(&t->report, "%s; training continues without this sample", gp_error());
        if (saves && !last && gp_job_save(j)) /* saving the last one must succeed; see finish */
            gp_report_warn(&t->report, "%s; training continues, the last checkpoint remains", gp_error());
    }
    return gp_trainer_wait(t);
}

static int save_last(gp_job *j)
{
    if (!gp_job_save(j))
        return 0;
    if (j->saved >= 0)
        fail("%s; the checkpoint of step %lld remains: --resume continues from it", gp_error(), (long long)j->saved);
    return -1;
}

/* Where the run is, and what to do with it. */
static void report_run(gp_job *j)
{
    const char *run = gp_run_path(j->run), *prefix = gp_tool_prefix();
    const gp_reading *r = &j->t.sets.reading;
    if (r->objective == GP_OBJECTIVE_LM) {
        gp_report_info(&j->t.report, "the run is in %s; try: %ssample --checkpoint %s", run, prefix, run);
    } else if (r->objective == GP_OBJECTIVE_MLM) {
        size_t length;
        const char *mask = gp_tokenizer_bytes(r->tokenizer, gp_tokenizer_mask(r->tokenizer), &length);
        gp_report_info(&j->t.report,
                       "the run is in %s; try: %spredict --checkpoint %s --task fill-mask FILE, a line of which is a "
                       "text with %s",
                       run, prefix, run, gp_printable_bytes(mask, (int64_t)length));
    } else {
        gp_report_info(
            &j->t.report,
            "the run is in %s; try: %spredict --checkpoint %s --task classify FILE, a line of which is a text", run,
            prefix, run);
    }
    gp_report_info(&j->t.report, "a page of its curves: pipelines/explain.sh training %s -o training.html", run);
}

static int finish(gp_job *j)
{
    gp_trainer *t = &j->t;
    int rc = 0, stopped = gp_stop_signal();
    double took = gp_now() - t->report.began;
    bool early = stopped || t->step < j->o->steps; /* then the resumed run will score the documents */
    if (gp_stream_check_wait(&j->check, false, gp_stop_signal) || save_last(j))
        return -1;
    gp_report_settle(&t->report);
    /* a run that was resumed at its end has scored them before */
    int scored = j->run && t->step == t->report.first_step ? gp_run_log_ends(j->run, t->step, "documents") : 0;
    if (scored < 0 || (!early && !scored && gp_trainer_score_documents(t)))
        return -1;
    for (int i = 0; i < t->sets.count; i++)
        if (t->sets.evaluations[i].metrics.count)
            gp_report_metrics(&t->report, &t->sets.evaluations[i]);
    gp_report_flush(&t->report);
    if (!strcmp(j->o->out ? j->o->out : "", "-")) {
        gp_checkpoint *ckpt = gp_job_checkpoint(j);
        rc = gp_checkpoint_write(ckpt, "-", NULL);
        gp_checkpoint_close(ckpt);
    }
    if (rc)
        return -1;
    int64_t steps = t->step - t->report.first_step;
    gp_report_info(&t->report, "%lld step%s, %lld tokens in %.1f s, %.0f tok/s", (long long)steps, gp_plural(steps),
                   (long long)(steps * t->report.tokens_a_step), took,
                   (double)(steps * t->report.tokens_a_step) / took);
    if (j->o->json)
        gp_report_summary(&t->report, t->step, took, j->state.best_loss);
    if (j->run && early)
        gp_report_info(&t->report, "stopped%s; to continue: %strain --resume %s", stopped ? "" : ", its time is over",
                       gp_tool_prefix(), gp_run_path(j->run));
    else if (j->run)
        report_run(j);
    return stopped ? 128 + stopped : 0;
}

/* Out of memory, or a device failure: appends to the reason which checkpoint the run has. */
static void describe_loss(void *self, char *text, size_t size)
{
    gp_job *j = self;
    char *last = NULL;
    if (j->run)
        gp_run_checkpoint(j->run, 0, &last);
    gp_report_end(&j->t.report);
    if (last)
        snprintf(text, size, "; this was step %lld; %s is kept, to continue: %strain --resume %s",
                 (long long)j->t.received + 1, last, gp_tool_prefix(), gp_run_path(j->run));
    else
        snprintf(text, size, "; this was step %lld; no checkpoint was saved before it", (long long)j->t.received + 1);
    free(last);
}

/* ---- one run --------------------------------------------------------------------------------------------- */

/* *resume_step: of the checkpoint that --resume names, else -1. */
static int open_run(gp_job *j, int64_t *resume_step)
{
    const gp_train_options *o = j->o;
    const char *dir = o->out && strcmp(o->out, "-") ? o->out : o->run;
    *resume_step = -1;
    if (o->resume) {
        char *path = gp_run_locate(o->resume, resume_step);
        if (!path)
            return -1;
        j->run = o->dry_run ? gp_run_open_readonly(path) : gp_run_open(path);
        free(path);
    } else if (dir && !o->dry_run) {
        j->run = gp_run_create(dir);
    } else {
        return 0;
    }
    return j->run ? 0 : -1;
}

/* The backend and the data. A stream from stdin is stored in the run, and becomes the value of --data. */
static int open_data(gp_job *j, gp_train_options *options)
{
    gp_train_options *o = j->o;
    char *spool = j->run && !o->data.count && !o->dry_run ? gp_path_join(gp_run_path(j->run), GP_SPOOL_NAME) : NULL;
    int rc = gp_trainer_open_data(&j->t, o, spool);
    if (!rc && spool)
        gp_list_append(&o->data, gp_option_strndup(spool, strlen(spool)), true);
    options->data = o->data;
    free(spool);
    return rc;
}

/* The steps, from an open trainer to the last checkpoint. */
static int train(gp_job *j)
{
    const gp_train_options *o = j->o;
    gp_trainer *t = &j->t;
    gp_report_info(&t->report, "%.2f M parameters, %lld x %lld x %lld tokens a step, %s",
                   (double)t->m->params.parameters / 1e6, (long long)t->B, (long long)t->T, (long long)o->grad_accum,
                   j->state.machine);
    t->report.first_step = t->step;
    t->report.began = gp_now();
    if (o->resume && t->step >= o->steps)
        gp_report_info(&t->report, "step %lld is reached already: --steps gives the run more than its %lld",
                       (long long)t->step, (long long)o->steps);
    gp_die_set_context(describe_loss, j);
    int rc = loop(j) ? -1 : finish(j);
    gp_die_set_context(NULL, NULL);
    return rc;
}

int gp_train(gp_train_options *options)
{
    gp_train_options o = *options;
    gp_job j = {.o = &o, .saved = -1, .val_loss = INFINITY};
    int64_t resume_step;
    int rc = -1;
    if (open_run(&j, &resume_step))
        return -1;
    if (open_data(&j, options))
        goto out;
    gp_stop_begin(!o.dry_run); /* from here on there will be something to save */
    gp_report_begin(&j.t.report, &o, o.dry_run ? NULL : j.run);
    if (gp_backend_warning(j.t.be))
        gp_report_info(&j.t.report, "%s; %s computes", gp_backend_warning(j.t.be), gp_backend_name(j.t.be));
    if (o.sample_every && !j.t.sets.tokenizer)
        gp_report_warn(&j.t.report, "no samples are made: %s has no tokenizer in it",
                       gp_tokens_get_info(j.t.sets.stream)->name);
    if (!o.dry_run)
        gp_stream_check_begin(&j.check, &j.t.sets.train, &j.t.sets.val);
    if (!gp_job_begin(&j, options, resume_step))
        rc = o.dry_run ? gp_job_dry_run(&j) : train(&j);
out:
    gp_stream_check_end(&j.check); /* before the streams are closed */
    gp_trainer_close(&j.t);
    gp_run_close(j.run);
    free(j.products);
    return rc;
}
