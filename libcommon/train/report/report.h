/* report.h: what a run reports: log.jsonl for machines, one live line for people. */
#ifndef GP_TRAIN_REPORT_REPORT_H
#define GP_TRAIN_REPORT_REPORT_H

#include "cli/progress.h"
#include "gptpipe/train.h"
#include "run/run.h"
#include "train/evaluate.h"
#include "train/report/tensorboard.h"

/* TensorBoard's file in a run. */
#define GP_EVENTS_NAME "events.out.tfevents.train"

/* One finished step. */
typedef struct gp_step_report {
    int64_t step; /* finished steps, this one included */
    double loss, lr, grad_norm, seconds;
    double loss_z, norm_z; /* z-scores; NAN where there are none */
    bool skipped;          /* an outlier: nothing was updated */
} gp_step_report;

/* Records that could not be appended to a file, as on a full disk: they are written first when it is possible again. */
typedef struct gp_backlog {
    gp_buf waiting;
    int64_t records; /* in waiting */
    int64_t dropped; /* beyond the limit of memory */
} gp_backlog;

typedef struct gp_report {
    const gp_train_options *o;
    gp_run *run; /* whose log.jsonl the lines are appended to; NULL: none */
    gp_backlog log, events;
    bool live;            /* stderr is a terminal */
    int line_width;       /* of the live line on the terminal */
    double next;          /* gp_now() when it is to be drawn again */
    gp_step_report shown; /* the newest step */
    int64_t printed;      /* the last step that was printed as a line that stays */
    double began;         /* gp_now() when training began */
    double tok_s;         /* smoothed */
    double val_loss;      /* the newest; NAN before the first */
    int64_t val_step;     /* the step of val_loss */
    double peak, flops_token;
    double lowest_peak; /* of all trials that measured peak; 0: it was given, or measured once */
    double peak_tried;  /* gp_now() of the last trial */
    int64_t memory;     /* planned bytes */
    int64_t first_step, tokens_a_step;
    double last_loss;
    double unigram_entropy; /* of masked tokens, which losses stand beside; 0: none are masked */
    double third_sum;       /* of the losses in third_steps steps up to the first third of the run */
    int64_t third_steps;
} gp_report;

/* report_line.c: the newest step for people: on a pipe every log_every steps, on a terminal in one line that is
 * redrawn; now: at once. gp_report_clear removes the line; gp_report_settle leaves the newest one there and continues
 * below. */
void gp_report_show(gp_report *r, bool now);
void gp_report_clear(gp_report *r);
void gp_report_settle(gp_report *r);

/* Begins the progress of something other than steps, in place of the line; the caller ends it. */
void gp_report_progress(gp_report *r, gp_progress *p, const char *label, const char *unit, int64_t total);

/* On a terminal: shows what is going on, in place of the line until that is drawn again. */
void gp_report_busy(gp_report *r, const char *what);

/* The share of the peak, NAN where that is not known. */
double gp_report_mfu(const gp_report *r, double tok_s);

/* tensorboard.c: one record for TensorBoard, with --tensorboard. */
void gp_report_events(gp_report *r, int64_t step, const gp_scalar *scalars, int count);

/* Removes the records after a step from the run's file for TensorBoard. 0 or -1. */
int gp_report_cut_events(gp_report *r, gp_run *run, int64_t step);

/* Appends one record to a file of the run, after those that wait. A full disk does not end a run: it is reported once,
 * and up to 16 MB of records wait. */
void gp_report_record(gp_report *r, const char *name, gp_backlog *w, const gp_buf *record);

/* Writes the waiting records, and reports what cannot be written or was dropped. */
void gp_report_flush(gp_report *r);

void gp_report_begin(gp_report *r, const gp_train_options *o, gp_run *run);
void gp_report_end(gp_report *r);

void gp_report_step(gp_report *r, const gp_step_report *s);
/* The losses of `count` sets; the first one's is the val_loss. */
void gp_report_evaluation(gp_report *r, int64_t step, const gp_evaluation *sets, int count);
/* The metrics of labelled items for people, also by class. */
void gp_report_metrics(gp_report *r, const gp_evaluation *e);
void gp_report_documents(gp_report *r, int64_t step, const gp_document_scores *s);

/* The run in one JSON object on stderr, also with --quiet. step: finished steps; took: seconds of this process. */
void gp_report_summary(gp_report *r, int64_t step, double took, double best_loss);

/* A line for people on stderr, above the live line; nothing with --quiet. */
void gp_report_info(gp_report *r, const char *fmt, ...) GP_PRINTF(2, 3);

/* The same of a problem that does not end the run: --quiet does not hide it. */
void gp_report_warn(gp_report *r, const char *fmt, ...) GP_PRINTF(2, 3);

#endif
