/* trainer.h: one run in memory: data, model, optimizer, and the step that joins them. */
#ifndef GP_TRAIN_TRAINER_H
#define GP_TRAIN_TRAINER_H

#include "gptpipe/loader.h"
#include "train/optimizer.h"
#include "train/report.h"

typedef struct gp_trainer {
    const gp_train_options *o;
    gp_backend *be;
    gp_model *m;
    gp_optimizer optimizer;
    gp_tokens *data, *val; /* val may be the same as data */
    int64_t train_last;    /* training reads tokens [0, train_last) of data */
    int64_t val_first, val_last,
        val_document; /* evaluation reads [first, last), documents from val_document on */
    gp_loader *loader;
    gp_evaluation evaluation;
    bool evaluates;
    int64_t B, T;
    int32_t *inputs, *targets;
    int64_t step; /* finished steps */
    gp_report report;
} gp_trainer;

/* Opens what the options name but the model: the backend and the streams, spooling stdin to `spool` (NULL: an
 * unlinked file). 0 or -1; gp_trainer_close in both cases. */
int gp_trainer_open_data(gp_trainer *t, const gp_train_options *o, const char *spool);

/* Takes the model (which it then owns) and plans everything for it. */
int gp_trainer_open_model(gp_trainer *t, gp_model *m);

/* One optimizer step: t->step grows by one. -1 when the data cannot be read or a number is not finite. */
int gp_trainer_step(gp_trainer *t);

/* The loss on the validation windows, told in the log. */
int gp_trainer_evaluate(gp_trainer *t, double *loss);

/* The validation documents beside their floor, where that is known. */
int gp_trainer_score_documents(gp_trainer *t);

void gp_trainer_close(gp_trainer *t);

#endif
