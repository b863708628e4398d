/* train.h: trains a model on a token stream, from a fresh start, a checkpoint, or where a run stopped.
 *
 *     gp_train_options o = gp_train_defaults();
 *     o.data = "train.tok";
 *     o.out = "run";
 *     o.steps = 2000;
 *     if (gp_train(&o)) ...gp_error()...
 *
 * A step s (from 0) takes batch_size * grad_accum sequences of seq_len tokens, and
 *     lr(s) = lr * (s + 1) / (warmup + 1)                                              while s < warmup
 *           = min_lr + (lr - min_lr) * (1 + cos(pi (s - warmup) / (decay_steps - warmup))) / 2   then
 *           = min_lr                                                                    past decay_steps
 * and AdamW (Loshchilov & Hutter 2019) with decay on tensors of two dimensions, gradients scaled by
 * min(1, grad_clip / (norm + 1e-6)).
 */
#ifndef GPTPIPE_TRAIN_H
#define GPTPIPE_TRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/error.h"
#include "gptpipe/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_train_options {
    /* data */
    gp_list data;    /* token streams; none: stdin */
    const char *val; /* token stream for evaluation; NULL: val_fraction of the data */
    double val_fraction;
    const char *order;  /* random, shuffle, sequential, documents */
    const char *format; /* of raw streams: NULL, tok, llmc, raw16 */
    int64_t vocab_size; /* of a raw stream; 0: the stream says */
    /* model */
    const char *preset;
    const char *init;                         /* "scratch" or a checkpoint */
    int64_t layers, heads, channels, seq_len; /* 0: the preset's; seq_len 0: the model's context */
    double dropout;
    double init_std; /* of a model from scratch */
    bool bias, tied;
    /* optimization */
    int64_t batch_size, grad_accum, steps;
    double lr, min_lr;
    int64_t warmup, decay_steps; /* decay_steps 0: steps */
    double beta1, beta2, eps, weight_decay, grad_clip;
    int64_t seed;
    /* what is told and kept */
    int64_t eval_every, eval_batches, save_every, sample_every, log_every, keep;
    bool eval_documents; /* at the end, score the validation documents one by one */
    const char *out;     /* run directory, or "-" for a checkpoint on stdout */
    const char *run;     /* run directory when out is "-" */
    const char *resume;  /* run directory to go on with */
    bool quiet, json;
    /* machine */
    const char *backend, *dtype;
    int64_t threads;
    /* the table that config.yaml prints; NULL: no config.yaml */
    const gp_tool *tool;
    const void *args;
} gp_train_options;

GP_API gp_train_options gp_train_defaults(void);

/* Trains and leaves a run directory (docs/formats.md) or a checkpoint on stdout. 0; -1 on failure; 128 + the
 * signal when SIGINT or SIGTERM ended it after a finished step and a saved checkpoint. A stream from stdin is kept
 * in the run directory, and o->data then names it. */
GP_API int gp_train(gp_train_options *o);

/* The learning rate of step s. */
GP_API double gp_train_lr(const gp_train_options *o, int64_t s);

#ifdef __cplusplus
}
#endif
#endif
