/* train.h: trains a model on a token stream, from a fresh start, a checkpoint, or where a run stopped.
 *
 *     const char *files[] = {"train.tok"};
 *     gp_train_options o = gp_train_defaults();
 *     o.data = (gp_list){.items = files, .count = 1};
 *     o.out = "run";
 *     o.steps = 2000;
 *     if (gp_train(&o)) ...gp_error()...
 *
 * The objective of a GPT-2 is the next token, that of a BERT or RoBERTa masked tokens. Losses are means over what is
 * predicted: every token, or the masked ones of all micro-batches of a step together.
 *
 * A step s (from 0) takes batch_size * grad_accum sequences of seq_len tokens. Its learning rate is
 *     lr * (s + 1) / (warmup + 1)                          while s < warmup
 *     min_lr + (lr - min_lr) * left((s - begin) / (end - begin))    from begin to end
 *     min_lr                                               from end = decay_steps (0: steps) on
 * with, by schedule, t from 0 to 1 over the decay:
 *     cosine    begin = warmup                             left = (1 + cos(pi t)) / 2
 *     linear    begin = warmup                             left = 1 - t
 *     wsd       begin = end - decay_fraction * end         left = 1 - sqrt(t), and lr before begin: warm-up, stable,
 *               decay (Hu et al. 2024), which a longer run may postpone; this decay is that of Haegele et al. 2024
 *     constant                                             lr throughout
 * and AdamW (Loshchilov & Hutter 2019) with decay on tensors of two dimensions, gradients scaled by
 * min(1, grad_clip / (norm + 1e-6)).
 */
#ifndef GPTPIPE_TRAIN_H
#define GPTPIPE_TRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/config.h"
#include "gptpipe/encoding.h"
#include "gptpipe/loader.h"
#include "gptpipe/model.h"
#include "gptpipe/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GP_SCHEDULES(X)                                                                                                \
    X(GP_SCHEDULE_COSINE, "cosine")                                                                                    \
    X(GP_SCHEDULE_LINEAR, "linear")                                                                                    \
    X(GP_SCHEDULE_CONSTANT, "constant")                                                                                \
    X(GP_SCHEDULE_WSD, "wsd")
typedef enum gp_schedule { GP_SCHEDULES(GP_CHOICE_VALUE) } gp_schedule;

/* What is predicted: the next token, masked tokens (masked.h), or the labels of items (labelled.h). */
#define GP_OBJECTIVES(X)                                                                                               \
    X(GP_OBJECTIVE_BY_HEAD, "") /* what the model's head computes */                                                   \
    X(GP_OBJECTIVE_LM, "lm")                                                                                           \
    X(GP_OBJECTIVE_MLM, "mlm")                                                                                         \
    X(GP_OBJECTIVE_CLASSIFY, "classify")
typedef enum gp_objective { GP_OBJECTIVES(GP_CHOICE_VALUE) } gp_objective;

typedef struct gp_train_options {
    /* data */
    gp_list data; /* token streams: FILE or FILE=WEIGHT, where FILE may be a pattern; none: stdin */
    gp_list val;  /* for evaluation: FILE or NAME=FILE; the first decides which is best; none: val_fraction of data */
    double val_fraction;
    gp_data_order order;
    gp_stream_format format;
    int64_t vocab_size; /* of a raw stream; 0: as the stream records */
    /* model */
    gp_preset preset;                         /* none: nano (mlm: bert-nano), or the sizes of the checkpoint */
    const char *init;                         /* "scratch", or a checkpoint, whose sizes replace the preset's */
    int64_t layers, heads, channels, seq_len; /* 0: the preset's; seq_len 0: the model's context */
    double dropout;
    double init_std; /* of a model from scratch */
    bool bias, tied;
    bool bias_required, tied_required; /* a checkpoint without biases, or an untied head, is a failure: the defaults of
                                        * bias and tied alone give way to a checkpoint */
    bool crop; /* shorten the context of a checkpoint to seq_len: its first positions are kept */
    /* objective */
    gp_objective objective;
    double mlm_probability, mask_replace_prob, random_replace_prob; /* of gp_masking */
    bool whole_words;
    /* classify */
    gp_truncation truncate;    /* of items longer than seq_len */
    const char *class_weights; /* "1,2.5", of label 0, 1, ... in the loss; "balanced": items / (labels * items of the
                                * label); NULL: all 1 */
    double label_smoothing;    /* in training's loss, as in PyTorch's CrossEntropyLoss */
    double layer_decay;        /* a block's rate is this times that of the block above it, the embeddings' this times
                                * that of the lowest block; the head's is lr */
    const char *freeze;        /* "embeddings", or N: these and the N lowest blocks are not trained; NULL: all are */
    /* optimization */
    int64_t batch_size, grad_accum;
    double epochs;   /* length of the run: this many times gp_loader_epoch's rows; 0: by tokens */
    int64_t tokens;  /* this many tokens; 0: by steps */
    int64_t steps;   /* epochs and tokens are rounded up to whole steps */
    double max_time; /* seconds after which the run saves and ends, to be resumed; 0: no limit */
    gp_schedule schedule;
    double lr,
        min_lr; /* lr NAN: by the model's width, or 3e-5 with init, and min_lr a tenth; min_lr NAN: 2e-4, at most lr */
    int64_t warmup, decay_steps; /* decay_steps 0: steps */
    double decay_fraction;       /* wsd: of decay_steps */
    double beta1, beta2, eps, weight_decay, grad_clip;
    double skip_loss_z, skip_norm_z; /* a step above this z-score makes no update; 0: none is skipped */
    int64_t seed;
    /* logs, evaluation and checkpoints */
    int64_t eval_every, eval_batches, save_every, sample_every, log_every, keep;
    bool eval_documents; /* at the end, score whole validation documents */
    const char *out;     /* run directory, or "-" for a checkpoint on stdout */
    const char *run;     /* run directory when out is "-" */
    const char *resume;  /* run directory to continue, or one of its checkpoints */
    bool quiet, json;
    bool tensorboard; /* an event file in the run directory */
    bool dry_run;     /* nothing is written: sizes, memory and time are printed on stdout */
    /* machine */
    gp_backend_kind backend;
    gp_compute_dtype dtype;
    int64_t threads;
    gp_attention_by attention;
    gp_products_by products;
    /* With bf16: weights in fp32, of which products read a copy in bf16; without, matrices are in bf16 only, and the
     * update rounds them stochastically (cuda and ref). */
    bool master_weights;
    gp_recompute recompute;
    /* the option table that config.yaml is written from, and its arguments; NULL: no config.yaml */
    const gp_tool *tool;
    const void *args;
    const void *args_before; /* as a resumed run logged them, to report changes; NULL: not compared */
} gp_train_options;

GP_API gp_train_options gp_train_defaults(void);

/* Trains and leaves a run directory (docs/formats.md) or a checkpoint on stdout. 0; -1 on failure; 128 + the
 * signal when SIGINT, SIGTERM or SIGHUP ended it after a finished step and a saved checkpoint. A stream from stdin is
 * stored in the run directory, and o->data then names that file; o->preset, layers, heads, channels, seq_len,
 * bias, tied and lr become those of the run. */
GP_API int gp_train(gp_train_options *o);

/* Whether this version and this user can resume the run at `path`, a run directory or a checkpoint in it. Returns the
 * path of its config.yaml (the caller frees), or NULL. */
GP_API char *gp_train_resumable(const char *path);

/* Resolves the file names of that config.yaml: a relative name is looked up in the folder in which the run was made,
 * then in the working folder; one found in neither is a failure. data, val: the lists that the config sets, or NULL. */
GP_API int gp_train_find_files(const char *config, gp_list *data, gp_list *val, const char **init);

/* The learning rate of step s. */
GP_API double gp_train_lr(const gp_train_options *o, int64_t s);

#ifdef __cplusplus
}
#endif
#endif
