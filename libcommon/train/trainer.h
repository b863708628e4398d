/* trainer.h: one run in memory: data, model, optimizer, and the step that joins them. */
#ifndef GP_TRAIN_TRAINER_H
#define GP_TRAIN_TRAINER_H

#include "train/data_sets.h"
#include "train/optimizer.h"
#include "train/report/outliers.h"
#include "train/products.h"
#include "train/report/report.h"

/* A micro-batch on its way to the device. */
typedef struct gp_staged {
    gp_batch batch;
    uint32_t *sample0;
    gp_mark *taken; /* the device has it: the memory may be filled again */
} gp_staged;

/* A step that was issued. The host reads what came of it when the device has done it, which may be after the next one
 * was issued; so there are two of each. */
typedef struct gp_issued {
    gp_step *asked, *came;
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
    gp_tokens *data; /* the stream of sets that tells most */
    int64_t B, T;
    gp_arena staging; /* the host's memory of these */
    gp_staged staged[GP_IN_FLIGHT];
    gp_issued issued[GP_IN_FLIGHT];
    int64_t step;                /* issued steps */
    int64_t received;            /* steps whose results were received; all of them, but on a backend that runs ahead */
    double heard_at;             /* gp_now() */
    gp_attention_by attention;   /* what computes it, as an option would name it */
    char attention_recorded[16]; /* what this run measured when it began; "" where it did not */
    gp_products products;        /* what this run recorded before */
    gp_window losses, norms;     /* of the last steps, while outliers are looked for */
    gp_report report;
} gp_trainer;

/* Opens what the options name but the model: the backend and the streams, spooling stdin to `spool` (NULL: an
 * unlinked file). 0 or -1; gp_trainer_close in both cases. */
int gp_trainer_open_data(gp_trainer *t, const gp_train_options *o, const char *spool);

/* Takes the model (which it then owns) and plans everything for it. */
int gp_trainer_open_model(gp_trainer *t, gp_model *m);

/* step.c: one optimizer step: t->step grows by one, also where an outlier was passed over. -1 when the data cannot be
 * read or a number is not finite; nothing is updated then, and t->step is the step that failed. On a device that runs
 * by itself the step is issued, and what came of the one before it is read and told. */
int gp_trainer_step(gp_trainer *t);

/* Reports of products that are made otherwise than they were to be. */
void gp_trainer_report_products(gp_trainer *t);

/* Until all issued steps are done and told. As gp_trainer_step. */
int gp_trainer_wait(gp_trainer *t);

/* Goes on behind a step of an earlier run. */
void gp_trainer_begin_at(gp_trainer *t, int64_t step);

/* The losses on the validation sets, told in the log; *loss is the first one's. Only where there are some. */
int gp_trainer_evaluate(gp_trainer *t, double *loss);

/* The validation documents beside their floor, where that is known. */
int gp_trainer_score_documents(gp_trainer *t);

void gp_trainer_close(gp_trainer *t);

#endif
