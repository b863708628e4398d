/* outliers.h: z-scores against the last 128 steps, as llm.c's -sl and -sg measure it. */
#ifndef GP_TRAIN_REPORT_OUTLIERS_H
#define GP_TRAIN_REPORT_OUTLIERS_H

#include "base/base.h"
#include "gptpipe/train.h"

enum { GP_WINDOW = 128 };

typedef struct gp_window {
    double value[GP_WINDOW]; /* the oldest first */
    int64_t count;
} gp_window;

/* Adds a value and returns its z-score: (value - mean) / standard deviation over the window, itself included. NAN until
 * the window has 128 earlier values; 0 where all are the same. The z-score is sqrt(127) at most. */
double gp_window_add(gp_window *w, double value);

/* Whether a run skips them. */
static inline bool gp_skips_outliers(const gp_train_options *o)
{
    return o->skip_loss_z > 0 || o->skip_norm_z > 0;
}

#endif
