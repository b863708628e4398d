/* begin.c: from open data to the first step: model, trainer, options that depend on them, the run's own files. */
#include "base/file.h"
#include "train/attention.h"
#include "train/job.h"
#include "train/resume.h"
#include "train/stop.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* ---- what the bits depend on ------------------------------------------------------------------------------ */

/* In words, for the checkpoints. */
static void describe(gp_state *s, const gp_trainer *t)
{
    const gp_train_options *o = t->o;
    const gp_tokens_info *info = gp_tokens_get_info(t->sets.stream);
    char tokenizer[33], streams[64], weights[64], masking[80], attention[48], products[48];
    gp_hex(tokenizer, info->fingerprint, 16);
    gp_mixture_describe(&t->sets.train, streams, sizeof streams);
    gp_train_data_weights(&t->sets, weights, sizeof weights);
    gp_reading_describe(&t->sets.reading, masking, sizeof masking);
    snprintf(s->data, sizeof s->data, "%s, vocabulary %lld, tokenizer %s", streams, (long long)info->vocab_size,
             tokenizer);
    gp_mixture_fingerprint(&t->sets.train, s->fingerprint);
    *s->validation = 0;
    if (o->val.count)
        gp_mixture_fingerprint(&t->sets.val, s->validation);
    snprintf(s->batches, sizeof s->batches, "%lld x %lld tokens, %lld a step, order %s, seed %lld%s%s", (long long)t->B,
             (long long)t->T, (long long)o->grad_accum, gp_data_order_name(o->order), (long long)o->seed, weights,
             masking);
    gp_attention_describe(t->be, attention, sizeof attention);
    gp_products_describe(t->be, products, sizeof products);
    snprintf(s->machine, sizeof s->machine, "%s, %s, %d threads, %s%s%s%s%s", gp_backend_name(t->be),
             gp_backend_dtype(t->be), gp_backend_threads(t->be), gp_backend_device(t->be),
             *products ? ", products by " : "", products, *attention ? ", attention by " : "", attention);
}

/* The data must be what it was when the checkpoint was saved; other changes are reported. */
static int compare(const gp_state *saved, const gp_state *now, const char *run, gp_report *report)
{
    if (strcmp(saved->data, now->data))
        return fail("%s: was trained on other data (%s; now %s)", run, saved->data, now->data);
    if (gp_state_differs(saved->fingerprint, now->fingerprint))
        return fail("%s: was trained on other data: %s as well, but others (fingerprint %.8s; now %.8s)", run,
                    saved->data, saved->fingerprint, now->fingerprint);
    if (*now->validation && *saved->validation && gp_state_differs(saved->validation, now->validation))
        gp_report_info(report, "the validation data changed: losses from here on are not comparable with earlier ones");
    if (strcmp(saved->batches, now->batches))
        gp_report_info(report, "batches change: %s; they were %s", now->batches, saved->batches);
    if (strcmp(saved->machine, now->machine))
        gp_report_info(report, "the machine changes, so bits may differ: %s; it was %s", now->machine, saved->machine);
    return 0;
}

/* ---- model and trainer ------------------------------------------------------------------------------------ */

/* The number of steps, where that depends on the data. Reports what many files contain together: a pattern or a
 * misplaced operand may have named more than was meant. */
static void count_steps(gp_trainer *t, gp_train_options *o)
{
    char streams[64];
    int too_short = t->sets.reader.loader ? gp_loader_unread(t->sets.reader.loader) : 0;
    o->steps = gp_train_data_steps(&t->sets, o, t->B, t->T);
    if (o->epochs > 0)
        gp_report_info(&t->report, "%g epochs of %lld sequences are %lld steps", o->epochs,
                       (long long)gp_row_reader_epoch(&t->sets.reader), (long long)o->steps);
    if (o->warmup >= o->steps && o->steps)
        gp_report_info(&t->report, "the warm-up of %lld steps does not end in this run of %lld: --lr %g is not reached",
                       (long long)o->warmup, (long long)o->steps, o->lr);
    gp_mixture_describe(&t->sets.train, streams, sizeof streams);
    if (t->sets.train.stream_count > 1)
        gp_report_info(&t->report, "%s", streams);
    if (too_short)
        gp_report_info(&t->report, "%d of %d files are too short to be read", too_short, t->sets.train.stream_count);
}

/* The trainer takes the model, and of a resumed run the moments and the step. */
static int open_trainer(gp_trainer *t, gp_model *m, const gp_resumed *from)
{
    if (gp_trainer_open_model(t, m, &from->recorded))
        return -1;
    if (!from->m)
        return 0;
    t->step = t->received = from->state.step;
    if (gp_skips_outliers(t->o)) { /* without the steps in between, a window is of no use */
        t->losses = from->state.losses;
        t->norms = from->state.norms;
    }
    return gp_state_load(from->file, &t->optimizer, m);
}

/* ---- the run's folder ------------------------------------------------------------------------------------- */

static int begin_run(gp_job *j, const gp_resumed *from)
{
    const gp_train_options *o = j->o;
    gp_report *report = &j->t.report;
    if (!o->resume && gp_stream_check_wait(&j->check, true, gp_stop_signal))
        return -1;
    json_t *changed = gp_compare_options(o, j->t.step, report);
    int rc = changed ? 0 : -1;
    if (!rc && !o->dry_run) {
        if (o->resume)
            rc = gp_resume_clean(from, j->run, report);
        /* config.yaml comes first: with it the folder is a run, which --resume takes wherever this one is stopped */
        if (!rc)
            rc = gp_job_write_top(j) || gp_job_write_products(j) ||
                         gp_write_history(j->run, j->t.step, j->state.machine, changed)
                     ? -1
                     : 0;
    }
    json_decref(changed);
    return rc;
}

int gp_job_begin(gp_job *j, gp_train_options *options, int64_t resume_step)
{
    gp_trainer *t = &j->t;
    gp_resumed from = {.from = resume_step, .state = {.best_loss = INFINITY, .best_step = -1}};
    gp_model *m = NULL;
    int rc = j->o->resume ? gp_resume_find(&from, j->run, t) : 0;
    if (!rc)
        m = from.m ? from.m : gp_initial_model(t);
    rc = m ? open_trainer(t, m, &from) : -1;
    if (!rc) {
        j->state = from.state;
        j->saved = from.m ? from.state.step : -1;
        describe(&j->state, t);
    }
    if (!rc && from.m)
        rc = compare(&from.state, &j->state, j->o->resume, &t->report);
    if (!rc && !from.m && gp_is_from_scratch(j->o) && !j->o->preset)
        options->preset = gp_default_preset(j->o);
    if (!rc)
        rc = gp_fill_in_options(j->o, options, &m->config, t->T, &t->report);
    if (!rc)
        count_steps(t, j->o);
    if (!rc && j->run)
        rc = begin_run(j, &from);
    gp_resumed_release(&from);
    return rc;
}
