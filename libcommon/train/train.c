/* train.c: one run from its first line to its last. */
#include "base/file.h"
#include "cli/options.h"
#include "data/tokens_metadata.h"
#include "gptpipe/corpus.h"
#include "train/job.h"
#include "train/stop.h"

#include <jansson.h>
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
             samples = every(o->sample_every, t->step) && j->run && j->tokenizer;
        if ((saves || evaluates || samples) && gp_trainer_wait(t))
            return -1;
        if (saves && gp_stream_check_wait(&j->check, gp_stop_signal)) /* nothing is kept that damaged data made */
            return -1;
        if (evaluates && gp_trainer_evaluate(t, &j->val_loss))
            return -1;
        if (samples && gp_job_sample(j))
            gp_report_warn(&t->report, "%s; training continues without this sample", gp_error());
        if (saves && !last && gp_job_save(j, j->val_loss)) /* the last one must succeed; see finish */
            gp_report_warn(&t->report, "%s; training continues, the last checkpoint remains", gp_error());
    }
    return gp_trainer_wait(t);
}

static int save_last(gp_job *j)
{
    if (!gp_job_save(j, j->val_loss))
        return 0;
    char *why = gp_strdup(gp_error());
    if (j->saved >= 0)
        fail("%s; the checkpoint of step %lld remains: --resume continues from it", why, (long long)j->saved);
    free(why);
    return -1;
}

static int finish(gp_job *j)
{
    gp_trainer *t = &j->t;
    int rc = 0, stopped = gp_stop_signal();
    double took = gp_now() - t->report.began;
    bool early = stopped || t->step < j->o->steps; /* nothing is told that a resumed run would tell again */
    if (gp_stream_check_wait(&j->check, gp_stop_signal) || save_last(j))
        return -1;
    gp_report_settle(&t->report);
    /* nor what this one told when it was at its end before */
    int told = j->run && t->step == t->report.first_step ? gp_run_log_ends(j->run, t->step, "documents") : 0;
    if (told < 0 || (!early && !told && gp_trainer_score_documents(t)))
        return -1;
    gp_report_flush(&t->report);
    if (!strcmp(j->o->out ? j->o->out : "", "-")) {
        gp_checkpoint *ckpt = gp_job_checkpoint(j);
        rc = gp_checkpoint_write(ckpt, "-", NULL);
        gp_checkpoint_close(ckpt);
    }
    if (rc)
        return -1;
    int64_t steps = t->step - t->report.first_step;
    gp_report_say(&t->report, "%lld steps, %lld tokens in %.1f s, %.0f tok/s", (long long)steps,
                  (long long)(steps * t->report.tokens_a_step), took, (double)(steps * t->report.tokens_a_step) / took);
    if (j->o->json)
        gp_report_summary(&t->report, t->step, took, j->state.best_loss);
    if (j->run && early)
        gp_report_say(&t->report, "stopped%s; to continue: %strain --resume %s", stopped ? "" : ", its time is over",
                      gp_tool_prefix(), gp_run_path(j->run));
    else if (j->run)
        gp_report_say(&t->report, "the run is in %s; try: %ssample --checkpoint %s", gp_run_path(j->run),
                      gp_tool_prefix(), gp_run_path(j->run));
    return stopped ? 128 + stopped : 0;
}

/* Out of memory, or the device is lost: what the run has, behind the reason. */
static void under_way(void *self, char *text, size_t size)
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

static int open_run(gp_job *j)
{
    const gp_train_options *o = j->o;
    const char *dir = o->out && strcmp(o->out, "-") ? o->out : o->run;
    if (o->resume) {
        char *path = gp_run_locate(o->resume, &j->from);
        if (!path)
            return -1;
        j->run = o->dry_run ? gp_run_look(path) : gp_run_open(path);
        free(path);
    } else if (dir && !o->dry_run) {
        j->run = gp_run_create(dir);
    } else {
        return 0;
    }
    return j->run ? 0 : -1;
}

static int open_data(gp_job *j)
{
    gp_train_options *o = j->o;
    char *spool = j->run && !o->data.count && !o->dry_run ? gp_path_join(gp_run_path(j->run), GP_SPOOL_NAME) : NULL;
    int rc = gp_trainer_open_data(&j->t, o, spool);
    if (!rc && spool)
        gp_list_append(&o->data, gp_option_strndup(spool, strlen(spool)), true);
    j->asked->data = o->data;
    free(spool);
    return rc;
}

/* The tokenizer that the run keeps for sample, where the stream carries one: it must be the one of its ids. */
static int take_tokenizer(gp_job *j)
{
    j->tokenizer = gp_tokens_member(j->t.data, "tokenizer");
    if (!j->tokenizer) { /* it has none, unless its metadata cannot be read at all */
        json_t *metadata = gp_tokens_metadata(j->t.data);
        json_decref(metadata);
        return metadata ? 0 : -1;
    }
    gp_tokenizer *t = gp_corpus_tokenizer(j->t.data, gp_tokens_get_info(j->t.data)->name);
    gp_tokenizer_close(t);
    return t ? 0 : -1;
}

/* How long the run will be, where that depends on the data, and of many files what they are in sum: a pattern or a
 * misplaced operand may have named more than was meant. */
static void count_steps(gp_job *j)
{
    gp_train_options *o = j->o;
    char streams[64];
    int unread = gp_loader_unread(j->t.sets.loader);
    o->steps = gp_train_data_steps(&j->t.sets, o, j->t.B, j->t.T);
    if (o->epochs > 0)
        gp_report_say(&j->t.report, "%g epochs of %lld sequences are %lld steps", o->epochs,
                      (long long)gp_loader_epoch(j->t.sets.loader), (long long)o->steps);
    if (o->warmup >= o->steps && o->steps)
        gp_report_say(&j->t.report,
                      "the warm-up of %lld steps does not end in this run of %lld: --lr %g is not reached",
                      (long long)o->warmup, (long long)o->steps, o->lr);
    gp_train_data_describe(&j->t.sets, streams, sizeof streams);
    if (j->t.sets.train.stream_count > 1)
        gp_report_say(&j->t.report, "%s", streams);
    if (unread)
        gp_report_say(&j->t.report, "%d of %d files are too short to be read", unread, j->t.sets.train.stream_count);
}

/* The model, the optimizer and the step to begin at; the run's folder as it was at that step. */
static int begin(gp_job *j)
{
    if (j->run && j->o->resume ? gp_job_begin_resumed(j) : gp_job_begin_fresh(j))
        return -1;
    count_steps(j);
    gp_job_describe(j, &j->state);
    if (!j->run)
        return 0;
    if (!j->o->resume && gp_stream_check_wait_raw(&j->check, gp_stop_signal))
        return -1;
    if (gp_job_compare_options(j))
        return -1;
    if (j->o->dry_run)
        return 0;
    if (j->o->resume && gp_job_forget_later(j))
        return -1;
    /* config.yaml comes first: with it the folder is a run, which --resume takes wherever this one is stopped */
    return gp_job_write_top(j) || gp_job_write_products(j) || gp_job_record(j) ? -1 : 0;
}

int gp_train(gp_train_options *asked)
{
    gp_train_options own = *asked, *o = &own;
    gp_job j = {.o = o, .asked = asked, .saved = -1, .from = -1, .val_loss = INFINITY};
    int rc = -1;
    if (open_run(&j))
        return -1;
    if (open_data(&j))
        goto out;
    gp_stop_begin(!o->dry_run); /* from here on there will be something to save */
    gp_report_begin(&j.t.report, o, o->dry_run ? NULL : j.run);
    if (gp_backend_warning(j.t.be))
        gp_report_say(&j.t.report, "%s; %s computes", gp_backend_warning(j.t.be), gp_backend_name(j.t.be));
    if (take_tokenizer(&j))
        goto out;
    if (o->sample_every && !j.tokenizer)
        gp_report_warn(&j.t.report, "no samples are made: %s has no tokenizer in it",
                       gp_tokens_get_info(j.t.data)->name);
    if (!o->dry_run)
        gp_stream_check_begin(&j.check, &j.t.sets.train, &j.t.sets.val);
    if (begin(&j))
        goto out;
    if (o->dry_run) {
        rc = gp_job_dry_run(&j);
        goto out;
    }
    gp_report_say(&j.t.report, "%.2f M parameters, %lld x %lld x %lld tokens a step, %s",
                  (double)j.t.m->params.parameters / 1e6, (long long)j.t.B, (long long)j.t.T, (long long)o->grad_accum,
                  j.state.machine);
    j.t.report.first_step = j.t.step;
    j.t.report.began = gp_now();
    if (o->resume && j.t.step >= o->steps)
        gp_report_say(&j.t.report, "step %lld is reached already: --steps gives the run more than its %lld",
                      (long long)j.t.step, (long long)o->steps);
    gp_die_set_context(under_way, &j);
    rc = loop(&j) ? -1 : finish(&j);
    gp_die_set_context(NULL, NULL);
out:
    gp_stream_check_end(&j.check); /* before the streams are closed */
    gp_trainer_close(&j.t);
    gp_run_close(j.run);
    for (int i = 0; i < j.damaged_count; i++)
        free(j.damaged[i].why);
    free(j.damaged);
    json_decref(j.changed);
    free(j.products);
    free(j.tokenizer);
    return rc;
}
