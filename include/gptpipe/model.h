/* model.h: a transformer that runs forward, backward, and token by token.
 *
 *     gp_model *m = gp_model_create(&config, be, true);    // zero weights; true: with gradients
 *     gp_model_init(m, 1337);                              // or gp_checkpoint_load
 *     gp_model_plan(m, B, T);                              // memory for batches up to (B,T)
 *     gp_batch batch = {B, T, inputs, targets};
 *     double loss;
 *     gp_model_evaluate(m, &batch, &loss, NULL);
 *     gp_model_free(m);
 *
 * Nothing is allocated between gp_model_plan and gp_model_free.
 */
#ifndef GPTPIPE_MODEL_H
#define GPTPIPE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/backend.h"
#include "gptpipe/config.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_model gp_model;

/* B sequences of T tokens, in the host's memory. */
typedef struct gp_batch {
    int64_t B, T;
    const int32_t *inputs;  /* (B,T) ids */
    const int32_t *targets; /* (B,T) ids, -100 = not counted; NULL when only logits are wanted */
    const int32_t *types;   /* (B,T) token types; NULL = all 0 */
    const int32_t *lengths; /* (B) tokens that count, the rest is padding; NULL = all */
} gp_batch;

/* A model with all weights zero. c has passed gp_config_check; be outlives it. */
GP_API gp_model *gp_model_create(const gp_config *c, gp_backend *be, bool trains);
GP_API void gp_model_free(gp_model *m);

/* Fresh weights by (seed, config): normal(0, 0.02), residual projections 0.02 / sqrt(2L), norms 1, biases 0.
 */
GP_API void gp_model_init(gp_model *m, uint64_t seed);

GP_API const gp_config *gp_model_config(const gp_model *m);
GP_API gp_backend *gp_model_backend(gp_model *m);

/* What a training pass makes again when backward comes there, in place of keeping it: nothing; the outputs of norms and
 * of GELU, out of what went into them; or all of a block, out of its input. Layer by layer 16, 10 and 1 tensors of
 * (B,T,C) are kept. The gradients are the same bits; on a GPU, where products have a GELU of their own and store what
 * goes into it rounded, those of norms are the same to within that. Takes effect at the next plan. */
typedef enum gp_recompute {
    GP_RECOMPUTE_NONE,
    GP_RECOMPUTE_NORMS,
    GP_RECOMPUTE_BLOCK,
    GP_RECOMPUTE_LEVELS
} gp_recompute;
GP_API void gp_model_set_recompute(gp_model *m, gp_recompute level);
GP_API const char *gp_recompute_name(gp_recompute level); /* "none", "norms", "block" */

/* Bytes that training over (B,T) takes besides weights, gradients and moments: activations and workspace; and the most
 * rows of T tokens for which so many bytes do, 0 where not one fits. Counted, not tried. */
GP_API int64_t gp_model_training_bytes(gp_model *m, gp_recompute level, int64_t B, int64_t T);
GP_API int64_t gp_model_largest_batch(gp_model *m, gp_recompute level, int64_t T, int64_t bytes);

/* Plans activations for batches up to (B,T). 0, or -1 when T is longer than the context. */
GP_API int gp_model_plan(gp_model *m, int64_t B, int64_t T);

/* Bytes by arena after planning: weights, gradients, activations, cache, slots, workspace; any may be NULL.
 */
typedef struct gp_memory_use {
    int64_t weights, slots, gradients, activations, cache, workspace;
} gp_memory_use;
GP_API void gp_model_memory(const gp_model *m, gp_memory_use *use);

/* Mean loss over the counted targets; losses (B*T) receives each one's -log p (natural logarithm), 0 where
 * not counted, unless NULL. -1 when an id or a shape does not fit the model. */
GP_API int gp_model_evaluate(gp_model *m, const gp_batch *batch, double *loss, float *losses);

/* A text of which ids[first..count) are scored, each given all that stands before it; 1 <= first < count, and the
 * count - 1 ids that the model reads fit its context. */
typedef struct gp_passage {
    const int32_t *ids;
    int64_t first, count;
    double log_p; /* = the sum of their log-probabilities (natural logarithm) */
    bool greedy;  /* = each of them is the likeliest, the lowest id of equals: only where asked for */
    /* NULL, or what is filled in of each scored token: its log-probability (count - first); the `tops` likeliest in its
     * place (count - first, tops), the likeliest first; tops is the vocabulary at most */
    double *log_ps;
    struct gp_likely *top; /* sampler.h */
    int64_t tops;
} gp_passage;

/* Scores spans of any lengths, several at a time. 0; -1 when an id or a length does not fit the model, or when logits
 * are not finite: the log_p of that span is then NaN, and of no other. */
GP_API int gp_model_score(gp_model *m, gp_passage *spans, int64_t count, bool greedy);

/* The same, which may take minutes: fn is told after each pass through the model how many spans are scored. */
typedef void gp_scored_fn(void *self, int64_t scored);
GP_API int gp_model_score_watched(gp_model *m, gp_passage *spans, int64_t count, bool greedy, gp_scored_fn *fn,
                                  void *self);

/* Logits (B,T,V) into the host's memory. */
GP_API int gp_model_logits(gp_model *m, const gp_batch *batch, float *logits);

/* The same forward pass plus the gradients of the mean loss over counted targets; gradients are zeroed first.
 */
GP_API int gp_model_gradients(gp_model *m, const gp_batch *batch, double *loss);

/* Decoding. A cache for B samples; then prefill fills row b with a prompt of T tokens, and decode adds one
 * token to every row at its own position; both leave logits (B,V) for gp_model_sample. */
GP_API int gp_model_plan_cache(gp_model *m, int64_t B, int64_t T_prompt);
GP_API int gp_model_prefill(gp_model *m, int64_t b, const int32_t *ids, int64_t T);
GP_API int gp_model_decode(gp_model *m, const int32_t *ids, const int32_t *positions);

/* How a next token is drawn: these in their order, which is that of transformers, but for the penalty, which comes
 * first and is gp_model_penalize's. */
typedef struct gp_sampling {
    double temperature; /* 0: the largest logit */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all (Holtzman et al. 2020) */
    double min_p;       /* 0: all (Nguyen et al. 2024) */
    uint64_t seed;
    double repetition_penalty; /* 0 or 1: none (Keskar et al. 2019) */
    int64_t vocab;             /* ids from this one on are padding and never drawn; 0: the model's vocabulary */
} gp_sampling;

/* Draws ids (B) from the logits; samples[b] and positions[b] key the random number. An id is -1 where logits of its row
 * are not finite. */
GP_API void gp_model_sample(gp_model *m, const gp_sampling *how, const int32_t *samples, const int32_t *positions,
                            int32_t *ids);

/* Makes row b less likely to repeat what was there: the logit of each of the ids (once, however often it is among them)
 * is divided by the penalty where it is positive and multiplied where it is negative. */
GP_API void gp_model_penalize(gp_model *m, int64_t b, const int32_t *ids, int64_t count, double penalty);

/* Row `to` becomes what row `from` is, its cache and its logits: one prompt read once for many samples. */
GP_API void gp_model_copy_row(gp_model *m, int64_t from, int64_t to);

/* The logits of row b after prefill or decode, into the host's memory (V). */
GP_API void gp_model_last_logits(gp_model *m, int64_t b, float *logits);

#ifdef __cplusplus
}
#endif
#endif
