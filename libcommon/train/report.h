/* report.h: what a run tells: log.jsonl for machines, one live line for people. */
#ifndef GP_TRAIN_REPORT_H
#define GP_TRAIN_REPORT_H

#include "gptpipe/train.h"
#include "io/run.h"
#include "train/evaluate.h"

typedef struct gp_report {
    const gp_train_options *o;
    gp_run *run;     /* whose log.jsonl gets the lines; NULL: none */
    bool log_failed; /* told once */
    bool live;       /* stderr is a terminal */
    int line_width;  /* of the live line on the screen */
    double began;    /* gp_now() when training began */
    double tok_s;    /* smoothed */
    double val_loss; /* the newest, NAN before the first */
    double peak, flops_token;
    int64_t memory; /* planned bytes */
    int64_t first_step, tokens_a_step;
    double last_loss;
} gp_report;

void gp_report_begin(gp_report *r, const gp_train_options *o, gp_run *run);
void gp_report_end(gp_report *r);

/* step counts finished steps. seconds: what this one took. */
void gp_report_step(gp_report *r, int64_t step, double loss, double lr, double grad_norm, double seconds);
void gp_report_evaluation(gp_report *r, int64_t step, double val_loss);
void gp_report_documents(gp_report *r, int64_t step, const gp_document_scores *s);

/* A line for people on stderr, off the live line; nothing with --quiet. */
void gp_report_say(gp_report *r, const char *fmt, ...) GP_PRINTF(2, 3);

#endif
