/* default_options.c: the defaults of train; and the options that are left open, which the model decides. */
#include "train/job.h"

#include <math.h>
#include <string.h>

gp_train_options gp_train_defaults(void)
{
    gp_masking masking = gp_masking_defaults();
    return (gp_train_options){
        .val_fraction = 0.1,
        .init = "scratch",
        .init_std = 0.02,
        .bias = true,
        .tied = true,
        .mlm_probability = masking.probability,
        .mask_replace_prob = masking.mask_replace,
        .random_replace_prob = masking.random_replace,
        .truncate = GP_TRUNCATE_HEAD,
        .layer_decay = 1,
        .batch_size = 8,
        .grad_accum = 1,
        .steps = 600,
        .lr = NAN,
        .min_lr = NAN,
        .warmup = 50,
        .decay_fraction = 0.2,
        .beta1 = 0.9,
        .beta2 = 0.99,
        .eps = 1e-8,
        .weight_decay = 0.1,
        .grad_clip = 1,
        .seed = 1337,
        .eval_every = 250,
        .eval_batches = 20,
        .eval_documents = true,
        .save_every = 1000,
        .keep = 1,
        .log_every = 50,
        .master_weights = true,
    };
}

/* Peak rates by width: nano's was found here; GPT-2's four widths have those of Brown et al. 2020 (GPT-3), table 2.1,
 * for models of their parameters, as nanoGPT's 6e-4 for 124M is. With norms after the residual (BERT), bert-nano's was
 * found here, and bert-base's is that of Devlin et al. 2018, A.2. A model between two widths has the narrower one's. */
static const struct {
    const char *preset;
    bool post_norm;
    int64_t channels;
    double lr;
} rates[] = {
    {"nano", false, 0, GP_LR_NANO},      {"gpt2", false, 768, 6e-4},     {"gpt2-medium", false, 1024, 3e-4},
    {"gpt2-large", false, 1280, 2.5e-4}, {"gpt2-xl", false, 1600, 2e-4}, {"bert-nano", true, 0, GP_LR_BERT_NANO},
    {"bert-base", true, 768, 1e-4},
};

/* nanoGPT's config/finetune_shakespeare.py. */
static const double finetuning = 3e-5;

static int choose_rate(gp_train_options *o, const gp_config *c, gp_report *report)
{
    size_t i = ARRAY_LEN(rates) - 1;
    while (c->channels < rates[i].channels || c->post_norm != rates[i].post_norm)
        i--;
    bool trained = !gp_is_from_scratch(o);
    o->lr = trained ? finetuning : rates[i].lr;
    if (trained)
        gp_report_info(report, "lr %g, the default for --init, whose weights are trained already; --lr sets another",
                       o->lr);
    else
        gp_report_info(report, "lr %g, the default at %lld channels (as %s); --lr sets another", o->lr,
                       (long long)c->channels, rates[i].preset);
    if (o->min_lr > o->lr && o->schedule != GP_SCHEDULE_CONSTANT)
        return fail("--min-lr %g is above lr %g, which is implied: give --lr too", o->min_lr, o->lr);
    if (isnan(o->min_lr))
        o->min_lr = o->lr / 10;
    return 0;
}

int gp_fill_in_options(gp_train_options *o, gp_train_options *options, const gp_config *c, int64_t T, gp_report *report)
{
    if (isnan(o->lr) && choose_rate(o, c, report))
        return -1;
    options->bias = c->bias;
    options->tied = c->tied;
    if (o->resume) /* its config.yaml has the others, or was written before they were recorded */
        return 0;
    options->lr = o->lr;
    options->min_lr = o->min_lr;
    options->layers = c->layers;
    options->heads = c->heads;
    options->channels = c->channels;
    options->seq_len = T;
    return 0;
}
