/* report.h: what a run tells: log.jsonl for machines, one live line for people. */
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

/* What a full disk did not take of a file that grows: it goes first when there is room again. */
typedef struct gp_backlog {
    gp_buf waiting;
    int64_t records; /* that wait */
    int64_t lost;    /* for which there was no room here either */
} gp_backlog;

typedef struct gp_report {
    const gp_train_options *o;
    gp_run *run; /* whose log.jsonl gets the lines; NULL: none */
    gp_backlog log, events;
    bool live;            /* stderr is a terminal */
    int line_width;       /* of the live line on the screen */
    double next;          /* gp_now() when it is to be drawn again */
    gp_step_report shown; /* the newest; and the last one that stays on the screen or went into a pipe */
    int64_t told;
    double began;     /* gp_now() when training began */
    double tok_s;     /* smoothed */
    double val_loss;  /* the newest, NAN before the first, */
    int64_t val_step; /* of this step */
    double peak, flops_token;
    double lowest_peak; /* the least that a trial of it came to, 0: it was given or tried once */
    int64_t memory;     /* planned bytes */
    int64_t first_step, tokens_a_step;
    double last_loss;
} gp_report;

/* report_line.c: the newest step for people, now and then on a pipe, on a terminal in one line that is drawn over and
 * over: at once where `now` says so. gp_report_clear takes it off the screen; gp_report_settle leaves the newest there
 * and goes on below. */
void gp_report_show(gp_report *r, bool now);
void gp_report_clear(gp_report *r);
void gp_report_settle(gp_report *r);

/* Progress of something else than steps, in the line's place; the caller ends it. */
void gp_report_progress(gp_report *r, gp_progress *p, const char *label, const char *unit, int64_t total);

/* On a terminal: what takes its time now, in the line's place until the next one is drawn. */
void gp_report_busy(gp_report *r, const char *what);

/* The share of the peak, NAN where that is not known. */
double gp_report_mfu(const gp_report *r, double tok_s);

/* tensorboard.c: one record for TensorBoard, where that is asked for. */
void gp_report_events(gp_report *r, int64_t step, const gp_scalar *scalars, int count);

/* Cuts what TensorBoard is told back to a step. 0 or -1. */
int gp_report_cut_events(gp_report *r, gp_run *run, int64_t step);

/* Adds one record to a file of the run, with what waits before it. A full disk does not end a run: it is told once, and
 * records wait, up to 16 MB of them. */
void gp_report_record(gp_report *r, const char *name, gp_backlog *w, const gp_buf *record);

/* Writes what waits, and tells what cannot be written or is lost already. */
void gp_report_flush(gp_report *r);

void gp_report_begin(gp_report *r, const gp_train_options *o, gp_run *run);
void gp_report_end(gp_report *r);

void gp_report_step(gp_report *r, const gp_step_report *s);
/* Of `count` sets; the first one's loss is the val_loss. */
void gp_report_evaluation(gp_report *r, int64_t step, const gp_evaluation *sets, int count);
void gp_report_documents(gp_report *r, int64_t step, const gp_document_scores *s);

/* The run in one JSON object on stderr, also with --quiet. step: finished steps; took: seconds of this run's. */
void gp_report_summary(gp_report *r, int64_t step, double took, double best_loss);

/* A line for people on stderr, off the live line; nothing with --quiet. */
void gp_report_say(gp_report *r, const char *fmt, ...) GP_PRINTF(2, 3);

/* The same of something that went wrong, though the run goes on: --quiet does not hide it. */
void gp_report_warn(gp_report *r, const char *fmt, ...) GP_PRINTF(2, 3);

#endif
