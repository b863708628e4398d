/* trainer.h: one run in memory: data, model, optimizer, and the step that joins them. */
#ifndef GP_TRAIN_TRAINER_H
#define GP_TRAIN_TRAINER_H

#include "train/data_sets.h"
#include "train/optimizer.h"
#include "train/report/outliers.h"
#include "train/products.h"
#include "train/report/report.h"

/* A micro-batch being uploaded. */
typedef struct gp_staged {
    gp_batch batch;
    uint32_t *sample0;
    gp_mark *taken; /* set once the device has read it: the memory may be reused */
} gp_staged;

/* A step that was issued. The host reads its results when the device has completed it, which may be after the next one
 * was issued; so there are two of each. */
typedef struct gp_issued {
    gp_step *request, *result;
    gp_mark *done;
    double began; /* gp_now() */
} gp_issued;

enum { GP_IN_FLIGHT = 2 };

typedef struct gp_trainer {
    const gp_train_options *o;
    gp_backend *be;
    gp_model *m;
    gp_optimizer optimizer;
    gp_train_data sets;
    int64_t B, T;
    gp_arena staging; /* the host's memory of these */
    gp_staged staged[GP_IN_FLIGHT];
    gp_issued issued[GP_IN_FLIGHT];
    int64_t step;              /* issued steps */
    int64_t received;          /* steps whose results were received: all issued ones, unless the host runs ahead */
    double received_at;        /* gp_now() of the newest results */
    gp_attention_by attention; /* the library that computes it, as the option names it */
    gp_window losses, norms;   /* of the last steps, where outliers are skipped */
    gp_report report;
} gp_trainer;

/* What a run recorded when it began, and uses again when it is resumed: other kernels give other bits. */
typedef struct gp_recorded_choices {
    char attention[16]; /* the library that was measured to be faster; "": not measured */
    gp_products products;
} gp_recorded_choices;

/* Opens the backend and the streams that the options name, spooling stdin to `spool` (NULL: an unlinked file). 0 or -1;
 * gp_trainer_close in both cases. */
int gp_trainer_open_data(gp_trainer *t, const gp_train_options *o, const char *spool);

/* Takes the model, which it then owns, also after a failure; plans batches, activations and optimizer. 0 or -1. */
int gp_trainer_open_model(gp_trainer *t, gp_model *m, const gp_recorded_choices *recorded);

/* step.c: one optimizer step: t->step grows by one, also where an outlier is skipped. -1 when the data cannot be read
 * or a number is not finite; nothing is updated then, and t->step is the step that failed. On an asynchronous device
 * the step is issued, and the results of the step before it are received and reported. */
int gp_trainer_step(gp_trainer *t);

/* Reports the products that use another algorithm than was recorded or chosen, and what makes the backend slower. */
void gp_trainer_report_backend(gp_trainer *t);

/* Waits until the results of all issued steps are received and reported. As gp_trainer_step. */
int gp_trainer_wait(gp_trainer *t);

/* The losses on the validation sets, of which there is at least one, into the log; *loss is the first one's. */
int gp_trainer_evaluate(gp_trainer *t, double *loss);

/* Scores the validation documents against their entropy, where that is known. */
int gp_trainer_score_documents(gp_trainer *t);

void gp_trainer_close(gp_trainer *t);

#endif
