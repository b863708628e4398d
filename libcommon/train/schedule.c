/* schedule.c: the defaults, and the learning rate of a step. */
#include "base/base.h"
#include "train/job.h"

#include <math.h>

gp_train_options gp_train_defaults(void)
{
    return (gp_train_options){
        .val_fraction = 0.1,
        .init = "scratch",
        .init_std = 0.02,
        .bias = true,
        .tied = true,
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

/* What is left of the way from lr to min_lr (1: all of it, 0: none) when t of the decay, 0 to 1, is over. */
static double cosine(double t)
{
    return 0.5 * (1 + cos(M_PI * t));
}

static double linear(double t)
{
    return 1 - t;
}

static double one_minus_sqrt(double t)
{
    return 1 - sqrt(t);
}

static double (*const shapes[])(double t) = {
    [GP_SCHEDULE_COSINE] = cosine, [GP_SCHEDULE_LINEAR] = linear, [GP_SCHEDULE_WSD] = one_minus_sqrt};

double gp_train_lr(const gp_train_options *o, int64_t s)
{
    int64_t end = o->decay_steps ? o->decay_steps : o->steps, begin = o->warmup;
    double lr = isnan(o->lr) ? GP_LR_NANO : o->lr;
    double least = isnan(o->min_lr) ? fmin(2e-4, lr) : o->min_lr;
    if (s < o->warmup)
        return lr * (double)(s + 1) / (double)(o->warmup + 1);
    if (o->schedule == GP_SCHEDULE_CONSTANT)
        return lr;
    if (o->schedule == GP_SCHEDULE_WSD)
        begin = gp_max(begin, end - llround(o->decay_fraction * (double)end));
    if (s >= end)
        return least;
    if (s < begin)
        return lr;
    double t = (double)(s - begin) / (double)(end - begin);
    return least + (lr - least) * shapes[o->schedule](t);
}
