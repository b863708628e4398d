/* step.c: one optimizer step: gradients over the micro-batches, their norm, and whether to update by them. */
#include "base/file.h"
#include "train/nonfinite.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>

/* What the step's losses are divided by: the weights of its micro-batches. */
static int weigh(const gp_trainer *t, double *sum)
{
    const gp_source *s = t->sets.source;
    *sum = 0;
    for (int64_t micro = 0; micro < t->o->grad_accum; micro++) {
        double weight = gp_source_weight(s, t->step * t->o->grad_accum + micro);
        if (weight < 0)
            return -1;
        *sum += weight;
    }
    return *sum > 0 ? 0 : fail("step %lld: its batches have no target", (long long)t->step + 1);
}

/* Uploads all of gp_step but `skip`, which keeps its value: see gp_step. */
static int begin_step(gp_trainer *t)
{
    const gp_train_options *o = t->o;
    gp_model *m = t->m;
    gp_step *request = t->issued[t->step % GP_IN_FLIGHT].request;
    double weight, n = (double)(t->step + 1);
    if (weigh(t, &weight))
        return -1;
    *request = (gp_step){.seed = (uint64_t)o->seed,
                         .step = (uint32_t)t->step,
                         .lr = (float)gp_train_lr(o, t->step),
                         .bias1 = (float)(1 - pow(o->beta1, n)),
                         .bias2 = (float)(1 - pow(o->beta2, n)),
                         .scale = (float)(1 / weight),
                         .max_norm = (float)o->grad_clip};
    m->be->ops->upload(m->be, m->step, request, GP_STEP_REQUESTED);
    gp_model_begin_gradients(m);
    return 0;
}

static int micro_batch(void *self, int64_t micro)
{
    gp_trainer *t = self;
    gp_model *m = t->m;
    const gp_backend_ops *ops = t->be->ops;
    int64_t n = t->step * t->o->grad_accum + micro;
    gp_staged *s = &t->staged[n % GP_IN_FLIGHT];
    ops->mark_wait(t->be, &s->taken);
    if (gp_source_fill(t->sets.source, n, &s->batch) || gp_model_load(m, &m->acts, &s->batch))
        return -1;
    *s->sample0 = (uint32_t)(micro * t->B);
    ops->upload(t->be, &m->step->sample0, s->sample0, sizeof *s->sample0);
    ops->mark_set(t->be, &s->taken);
    gp_model_learn(m, &m->acts, true);
    return 0;
}

/* ---- non-finite numbers, outliers ------------------------------------------------------------------------- */

/* printf prints NaN's sign, which has no meaning. */
static double unsigned_nan(double x)
{
    return isnan(x) ? fabs(x) : x;
}

/* Loss or norm is not finite, and no step has updated anything since. Runs the same micro-batches again to find the
 * first tensor that is not finite. */
static int fail_nonfinite(gp_trainer *t, const gp_step *s)
{
    gp_nonfinite c;
    double loss = unsigned_nan(s->loss), norm = unsigned_nan((double)s->grad_norm);
    t->be->ops->sync(t->be);
    t->step = t->received;
    if (begin_step(t) || gp_find_nonfinite(&c, t->m, t->o->grad_accum, micro_batch, t))
        return -1;
    char *last = NULL;
    if (t->report.run)
        gp_run_checkpoint(t->report.run, 0, &last);
    gp_buf why = {0};
    if (c.what)
        gp_buf_printf(&why, "; the first that is not: %s %s, %lld of its %lld numbers", c.what, c.name,
                      (long long)c.count, (long long)c.of);
    gp_buf_printf(&why, "; the last good checkpoint: %s", last ? last : "none yet");
    fail("step %lld: loss %g, gradient norm %g: not finite%s; nothing was updated; try a lower --lr or --grad-clip 1",
         (long long)t->step + 1, loss, norm, why.data);
    gp_buf_release(&why);
    free(last);
    return -1;
}

/* Whether this step's loss or norm is an outlier, which is reported. */
static bool is_outlier(gp_trainer *t, gp_step_report *s)
{
    const gp_train_options *o = t->o;
    const struct {
        const char *what;
        double value, z, max;
    } values[] = {{"loss", s->loss, s->loss_z, o->skip_loss_z}, {"norm", s->grad_norm, s->norm_z, o->skip_norm_z}};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (values[i].max > 0 && values[i].z > values[i].max) { /* false while z is NAN */
            gp_report_info(&t->report,
                           "step %lld is skipped: its %s of %.4g is %.2f standard deviations above the mean",
                           (long long)t->received + 1, values[i].what, values[i].value, values[i].z);
            return true;
        }
    return false;
}

/* ---- issued, received --------------------------------------------------------------------------------------- */

/* Everything of a step that needs no decision of the host: without the update, where outliers are skipped. */
static int issue(gp_trainer *t)
{
    gp_issued *step = &t->issued[t->step % GP_IN_FLIGHT];
    step->began = gp_now();
    if (begin_step(t))
        return -1;
    for (int64_t micro = 0; micro < t->o->grad_accum; micro++)
        if (micro_batch(t, micro))
            return -1;
    if (gp_skips_outliers(t->o))
        gp_optimizer_norm(&t->optimizer, t->m);
    else
        gp_optimizer_step(&t->optimizer, t->m);
    t->be->ops->download_later(t->be, step->result, t->m->step, sizeof *step->result);
    t->be->ops->mark_set(t->be, &step->done);
    t->step++;
    return 0;
}

/* The results of the oldest step that is outstanding. */
static int receive(gp_trainer *t)
{
    gp_issued *step = &t->issued[t->received % GP_IN_FLIGHT];
    t->be->ops->mark_wait(t->be, &step->done);
    const gp_step *s = step->result;
    if (s->skip)
        return fail_nonfinite(t, s);
    gp_step_report report = {
        .loss = s->loss, .lr = (double)s->lr, .grad_norm = (double)s->grad_norm, .loss_z = NAN, .norm_z = NAN};
    if (gp_skips_outliers(t->o)) {
        report.loss_z = gp_window_add(&t->losses, report.loss);
        report.norm_z = gp_window_add(&t->norms, report.grad_norm);
        report.skipped = is_outlier(t, &report);
        if (!report.skipped)
            gp_optimizer_update(&t->optimizer, t->m);
    }
    double now = gp_now();
    report.step = ++t->received;
    report.seconds = now - fmax(step->began, t->received_at); /* it may have waited for the step before it */
    t->received_at = now;
    gp_report_step(&t->report, &report);
    return 0;
}

/* All but the newest `ahead` steps. */
static int receive_all_but(gp_trainer *t, int64_t ahead)
{
    while (t->step - t->received > ahead)
        if (receive(t))
            return -1;
    return 0;
}

int gp_trainer_step(gp_trainer *t)
{
    bool ahead = t->be->later && !gp_skips_outliers(t->o); /* else the host decides on each update */
    int rc = issue(t);
    gp_trainer_report_backend(t);
    if (!rc)
        return receive_all_but(t, ahead);
    char *why = gp_strdup(gp_error());
    if (!receive_all_but(t, 0)) /* so that completed steps are logged */
        fail("%s", why);
    free(why);
    return -1;
}

int gp_trainer_wait(gp_trainer *t)
{
    return receive_all_but(t, 0);
}
