/* schedule.c: the learning rate of a step. */
#include "base/base.h"
#include "train/job.h"

#include <math.h>

/* The weight of lr against min_lr, from 1 down to 0, at the fraction t of the decay. */
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
    double min_lr = isnan(o->min_lr) ? fmin(2e-4, lr) : o->min_lr;
    if (s < o->warmup)
        return lr * (double)(s + 1) / (double)(o->warmup + 1);
    if (o->schedule == GP_SCHEDULE_CONSTANT)
        return lr;
    if (o->schedule == GP_SCHEDULE_WSD)
        begin = gp_max(begin, end - llround(o->decay_fraction * (double)end));
    if (s >= end)
        return min_lr;
    if (s < begin)
        return lr;
    double t = (double)(s - begin) / (double)(end - begin);
    return min_lr + (lr - min_lr) * shapes[o->schedule](t);
}
