/* schedule.c: the defaults, and the learning rate of a step. */
#include "base/base.h"
#include "gptpipe/train.h"

#include <math.h>

gp_train_options gp_train_defaults(void)
{
    return (gp_train_options){
        .val_fraction = 0.1,
        .order = "random",
        .preset = "nano",
        .init = "scratch",
        .init_std = 0.02,
        .bias = true,
        .tied = true,
        .batch_size = 8,
        .grad_accum = 1,
        .steps = 600,
        .lr = 2e-3,
        .min_lr = 2e-4,
        .warmup = 50,
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
        .backend = "auto",
        .dtype = "auto",
    };
}

double gp_train_lr(const gp_train_options *o, int64_t s)
{
    int64_t end = o->decay_steps ? o->decay_steps : o->steps;
    if (s < o->warmup)
        return o->lr * (double)(s + 1) / (double)(o->warmup + 1);
    if (s >= end || end <= o->warmup)
        return o->min_lr;
    double t = (double)(s - o->warmup) / (double)(end - o->warmup);
    return o->min_lr + 0.5 * (o->lr - o->min_lr) * (1 + cos(M_PI * t));
}
