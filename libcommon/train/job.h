/* job.h: one run, shared by the files that begin it (begin.c), keep what it made (keep.c) and drive it (train.c). */
#ifndef GP_TRAIN_JOB_H
#define GP_TRAIN_JOB_H

#include "gptpipe/checkpoint.h"
#include "run/run.h"
#include "train/state.h"
#include "train/stream_check.h"
#include "train/trainer.h"

#include <string.h>

#define GP_SPOOL_NAME "data.tok" /* a stream from stdin, in the run */

#define GP_LR_NANO    2e-3

/* Fresh weights, not a checkpoint's. */
static inline bool gp_is_from_scratch(const gp_train_options *o)
{
    return !strcmp(o->init, "scratch");
}

/* A checkpoint that was passed over, and why. */
typedef struct gp_damaged {
    int64_t step;
    char *why;
} gp_damaged;

typedef struct gp_job {
    gp_train_options *o;     /* the run's own, filled in with what data and checkpoint decide */
    gp_train_options *asked; /* the caller's, that config.yaml is printed from */
    gp_trainer t;
    gp_run *run; /* NULL: the checkpoint goes to stdout alone */
    gp_state state;
    gp_stream_check check;
    char *products;      /* products.json's text, as this process wrote it last; NULL: not at all */
    char *tokenizer;     /* tokenizer.json's text, NULL where the stream has none */
    int64_t from;        /* the step whose checkpoint --resume names; -1: the newest that can be read */
    int64_t saved;       /* step of the newest checkpoint, -1: none */
    gp_damaged *damaged; /* (damaged_count) newer checkpoints than the one that the run continues from */
    int damaged_count;
    struct json_t *changed; /* options that are others than before, for history.jsonl */
    double val_loss;        /* of the step that was just finished; infinity where it was not evaluated */
} gp_job;

/* begin.c: the model, the optimizer and the step to begin at. The streams are open. 0 or -1. */
int gp_job_begin_fresh(gp_job *j);
int gp_job_begin_resumed(gp_job *j);
/* Takes out of the run what came after that step: later checkpoints where an older one was asked for, lines of the log,
 * samples. What is damaged is kept under another name. */
int gp_job_forget_later(gp_job *j);

/* dry.c: prints on stdout what the run would be, its time from a few steps of it. Nothing is written. */
int gp_job_dry_run(gp_job *j);

/* implied.c: the options that were left open, as this model has them: the learning rate, which is reported with its
 * reason, and of a fresh run the sizes that config.yaml will hold. 0 or -1. */
int gp_job_fill_in(gp_job *j, const gp_config *c);

/* resume.c: reports which options are others than when the run was last at work, and refuses what cannot change; then
 * records them, in one line of history.jsonl. */
int gp_job_compare_options(gp_job *j);
int gp_job_record(gp_job *j);

/* resume.c: what a run's config.yaml records below `recorded:`, "" where it says nothing of it. 0; -1 where it cannot
 * be read. */
int gp_job_recorded(const char *config, const char *key, char *value, size_t size);

/* What the bits depend on, in words. */
void gp_job_describe(gp_job *j, gp_state *s);

/* keep.c: the model as a checkpoint to be written; the caller closes it. */
gp_checkpoint *gp_job_checkpoint(gp_job *j);

/* The files beside the checkpoints: config.yaml, and what makes the folder one that transformers loads. */
int gp_job_write_top(gp_job *j);

/* products.json, where some are chosen and the file is not there as they are: what checkpoints from here on were made
 * by. */
int gp_job_write_products(gp_job *j);

/* A checkpoint of the step that is finished, the best one if val_loss is lower than any before. Without a run, or where
 * this step has one, it does nothing. After a failure the checkpoints before are there still. */
int gp_job_save(gp_job *j, double val_loss);

/* Appends one sample to samples.txt, begun by an end-of-text or a newline. */
int gp_job_sample(gp_job *j);

/* Does what takes memory beside the steps, and keeps nothing of it: a batch of each evaluation, a checkpoint, a sample
 * where the run makes some. 0 or -1. */
int gp_job_rehearse(gp_job *j);

#endif
