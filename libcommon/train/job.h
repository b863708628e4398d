/* job.h: one training run. gp_train (train.c) opens the run directory, the backend and the data; gp_job_begin the model
 * and the trainer; train.c then drives the steps, and save.c writes what the run keeps. */
#ifndef GP_TRAIN_JOB_H
#define GP_TRAIN_JOB_H

#include "gptpipe/checkpoint.h"
#include "run/run.h"
#include "train/state.h"
#include "train/stream_check.h"
#include "train/trainer.h"

#define GP_SPOOL_NAME   "data.tok" /* a stream from stdin, in the run */

#define GP_LR_NANO      2e-3
#define GP_LR_BERT_NANO 2e-3

typedef struct gp_job {
    gp_train_options *o; /* a copy, in which data and checkpoint fill in what was left open */
    gp_run *run;         /* NULL: the checkpoint goes to stdout alone */
    gp_trainer t;
    gp_state state; /* as the next checkpoint will record it */
    gp_stream_check check;
    char *products;  /* text of products.json as this process last wrote it; NULL: it has not */
    int64_t saved;   /* step of the newest checkpoint; -1: none */
    double val_loss; /* of the step just finished; infinity where it was not evaluated */
} gp_job;

/* begin.c: opens the model (from scratch, from --init, or from the run's newest good checkpoint; resume_step >= 0: from
 * that one), the optimizer and the step to begin at, and writes the run's own files. j->t has its backend and its data.
 * `options` receives the options that the model decides. 0 or -1. */
int gp_job_begin(gp_job *j, gp_train_options *options, int64_t resume_step);

/* initial_model.c: the model from scratch or from --init, on t's backend and for t's data; or that of a checkpoint.
 * NULL on failure. begins: it is that of --init, whose head --objective may replace; *refused: the checkpoint can be
 * read, but contradicts the options or the data. */
bool gp_is_from_scratch(const gp_train_options *o);
gp_preset gp_default_preset(const gp_train_options *o); /* of a model from scratch, by the objective */
gp_model *gp_initial_model(gp_trainer *t);
gp_model *gp_model_from_checkpoint(gp_trainer *t, const char *path, bool begins, bool *refused);

/* default_options.c: the options that were left open, by the model: the learning rate, which is reported with its
 * reason, in *o and *options; in *options also the model's layout, and of a fresh run the sizes that config.yaml will
 * record. 0 or -1. */
int gp_fill_in_options(gp_train_options *o, gp_train_options *options, const gp_config *c, int64_t T,
                       gp_report *report);

/* dry_run.c: prints on stdout what the run would be, its time estimated from a few steps. Nothing is written. */
int gp_job_dry_run(gp_job *j);

/* run_config.c: writes config.yaml: all options, and what they resulted in. */
int gp_job_write_config(const gp_job *j);

/* run_config.c: what a run's config.yaml records below `recorded:`, "" where that is missing. 0; -1 where it cannot be
 * read. */
int gp_recorded_value(const char *config, const char *key, char *value, size_t size);

/* run_config.c: the options that differ from those that a resumed run logged, {name: [old, new]}, which are reported;
 * the caller releases them. NULL where one must not change. */
struct json_t *gp_compare_options(const gp_train_options *o, int64_t step, gp_report *report);

/* run_config.c: appends a line to history.jsonl: the run was begun or resumed. */
int gp_write_history(gp_run *run, int64_t step, const char *machine, struct json_t *changed);

/* save.c: the model as a checkpoint to be written; the caller closes it. */
gp_checkpoint *gp_job_checkpoint(gp_job *j);

/* The files beside the checkpoints: config.yaml, and those that make the folder one that transformers loads. */
int gp_job_write_top(gp_job *j);

/* products.json, where algorithms were chosen and the file does not list them yet: those of all later checkpoints. */
int gp_job_write_products(gp_job *j);

/* A checkpoint of the step just finished, the best one if its val_loss is lower than any before. Does nothing without
 * a run, or where this step is saved already. A failure leaves the checkpoints before it intact. */
int gp_job_save(gp_job *j);

/* Appends one sample to samples.txt; its prompt is an end-of-text or a newline. */
int gp_job_sample(gp_job *j);

/* Allocates what a run allocates between steps, and discards the results: a batch of each evaluation, a checkpoint, a
 * sample where the run takes some. 0 or -1. */
int gp_job_rehearse(gp_job *j);

#endif
