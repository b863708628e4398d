/* outliers.h: which values stand out from those of the last 128 steps, as llm.c's -sl and -sg measure it. */
#ifndef GP_TRAIN_REPORT_OUTLIERS_H
#define GP_TRAIN_REPORT_OUTLIERS_H

#include "base/base.h"
#include "gptpipe/train.h"

enum { GP_WINDOW = 128 };

typedef struct gp_window {
    double value[GP_WINDOW]; /* the oldest first */
    int64_t count;
} gp_window;

/* Takes a value in and gives its z-score: (value - mean) / standard deviation over the window, itself included. NAN
 * until 128 others have come before it; 0 where all are the same. No value can stand out by more than sqrt(127). */
double gp_window_add(gp_window *w, double value);

/* Whether a run looks for them. */
static inline bool gp_skips_outliers(const gp_train_options *o)
{
    return o->skip_loss_z > 0 || o->skip_norm_z > 0;
}

#endif
