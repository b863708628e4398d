/* default_options.c: options that were left open, decided by the model: learning rate and sizes. */
#include "train/job.h"

#include <math.h>
#include <string.h>

/* Peak rates by width: nano's was found here; GPT-2's four widths have those of Brown et al. 2020 (GPT-3), table 2.1,
 * for models of their parameters, as nanoGPT's 6e-4 for 124M is. A model between two widths has the narrower one's. */
static const struct {
    const char *preset;
    int64_t channels;
    double lr;
} rates[] = {
    {"nano", 0, GP_LR_NANO},      {"gpt2", 768, 6e-4},     {"gpt2-medium", 1024, 3e-4},
    {"gpt2-large", 1280, 2.5e-4}, {"gpt2-xl", 1600, 2e-4},
};

/* nanoGPT's config/finetune_shakespeare.py. */
static const double finetuning = 3e-5;

static int choose_rate(gp_job *j, const gp_config *c)
{
    gp_train_options *o = j->o;
    size_t i = ARRAY_LEN(rates) - 1;
    while (c->channels < rates[i].channels)
        i--;
    bool trained = !gp_is_from_scratch(o);
    o->lr = trained ? finetuning : rates[i].lr;
    if (trained)
        gp_report_say(&j->t.report,
                      "lr %g, the default for --init, whose weights are trained already; --lr sets another", o->lr);
    else
        gp_report_say(&j->t.report, "lr %g, the default at %lld channels (as %s); --lr sets another", o->lr,
                      (long long)c->channels, rates[i].preset);
    if (o->min_lr > o->lr && o->schedule != GP_SCHEDULE_CONSTANT)
        return fail("--min-lr %g is above lr %g, which is implied: give --lr too", o->min_lr, o->lr);
    if (isnan(o->min_lr))
        o->min_lr = o->lr / 10;
    return 0;
}

int gp_job_fill_in(gp_job *j, const gp_config *c)
{
    gp_train_options *o = j->o, *asked = j->asked;
    if (isnan(o->lr) && choose_rate(j, c))
        return -1;
    if (o->resume) /* its config.yaml has them, or was written before it had them */
        return 0;
    asked->lr = o->lr;
    asked->min_lr = o->min_lr;
    asked->layers = c->layers;
    asked->heads = c->heads;
    asked->channels = c->channels;
    asked->seq_len = j->t.T;
    return 0;
}
