/* model.h: a transformer that runs forward, backward, and token by token.
 *
 *     gp_model *m = gp_model_create(&config, be, true);    // zero weights; true: with gradients
 *     gp_model_init(m, 1337);                              // or gp_checkpoint_load
 *     gp_model_plan(m, B, T);                              // memory for batches up to (B,T)
 *     gp_batch batch = {.B = B, .T = T, .inputs = inputs, .targets = targets};
 *     double loss;
 *     gp_model_evaluate(m, &batch, &loss, NULL);
 *     gp_model_free(m);
 *
 * Token by token, where gp_generate_all (sampler.h) is not enough:
 *
 *     gp_model_plan_cache(m, 1, T);
 *     gp_model_prefill(m, 0, ids, T);                      // the prompt
 *     for (int32_t id, sample = 0, at = T; at < limit; at++) {
 *         gp_model_sample(m, &sampling, &sample, &at, &id); // from the logits of the last token
 *         gp_model_decode(m, &id, &at);
 *     }
 *
 * Nothing is allocated between gp_model_plan and gp_model_free.
 */
#ifndef GPTPIPE_MODEL_H
#define GPTPIPE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/backend.h"
#include "gptpipe/batch.h"
#include "gptpipe/config.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_model gp_model;

/* A model with all weights zero. c has passed gp_config_check; be outlives it. */
GP_API gp_model *gp_model_create(const gp_config *c, gp_backend *be, bool trains);
GP_API void gp_model_free(gp_model *m);

/* Fresh weights by (seed, config): normal(0, 0.02), residual projections 0.02 / sqrt(2L), norms 1, biases 0.
 */
GP_API void gp_model_init(gp_model *m, uint64_t seed);

GP_API const gp_config *gp_model_config(const gp_model *m);

/* What the backward pass recomputes instead of storing (activation recomputation): nothing; the outputs of norms and of
 * GELU, from their inputs; or all of a block, from its input. Each layer stores 16, 10 and 1 tensors of (B,T,C)
 * respectively. The gradients are the same bits; on a GPU, where products have a GELU of their own and store what
 * goes into it rounded, those of norms are the same to within that. Takes effect at the next plan. */
#define GP_RECOMPUTES(X)                                                                                               \
    X(GP_RECOMPUTE_NONE, "none")                                                                                       \
    X(GP_RECOMPUTE_NORMS, "norms")                                                                                     \
    X(GP_RECOMPUTE_BLOCK, "block")
typedef enum gp_recompute { GP_RECOMPUTES(GP_CHOICE_VALUE) GP_RECOMPUTE_LEVELS } gp_recompute;
GP_API void gp_model_set_recompute(gp_model *m, gp_recompute level);
GP_API const char *gp_recompute_name(gp_recompute level); /* "none", "norms", "block" */

/* Bytes that training over (B,T) takes besides weights, gradients and moments: activations and workspace; and the
 * largest number of rows of T tokens that fits in `bytes`, 0 if none does. Computed, without allocating. */
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

/* Adds T tokens to each of rows row .. row + rows - 1, ids (rows,T), from positions (rows) on: the cache of each
 * row before its position stays, from there on it is replaced. Leaves the logits after each row's last token for
 * gp_model_sample; logits (rows,T,V), unless NULL, receives those after every token, by which drafted tokens are
 * verified.
 *
 * Up to 16 tokens have the bits of gp_model_decode, however they are grouped. More are read as a prompt is, in pieces
 * that begin at multiples of 4096 positions, the last of which may be one of up to 16: so what follows a prefill, which
 * is cut at the same places, has the same bits at once and piece by piece. */
GP_API int gp_model_append(gp_model *m, int64_t row, int64_t rows, const int32_t *ids, int64_t T,
                           const int32_t *positions, float *logits);

/* How the next token is sampled: temperature and filters in this order, which is that of transformers, except that the
 * penalty is applied first, by gp_model_penalize. */
typedef struct gp_sampling {
    double temperature; /* 0: the largest logit */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all (Holtzman et al. 2020) */
    double min_p;       /* 0: all (Nguyen et al. 2024) */
    uint64_t seed;
    double repetition_penalty; /* 0 or 1: none (Keskar et al. 2019) */
    int64_t vocab;             /* ids from this one on are padding and never sampled; 0: the model's vocabulary */
} gp_sampling;

/* Samples ids (B) from the logits; samples[b] and positions[b] key the random number. An id is -1 where logits of
 * its row are not finite. */
GP_API void gp_model_sample(gp_model *m, const gp_sampling *how, const int32_t *samples, const int32_t *positions,
                            int32_t *ids);

/* Makes row b less likely to repeat earlier tokens: the logit of each of the ids (once, however often it is among them)
 * is divided by the penalty where it is positive and multiplied where it is negative. */
GP_API void gp_model_penalize(gp_model *m, int64_t b, const int32_t *ids, int64_t count, double penalty);

/* Copies the cache and logits of row `from` to row `to`: one prompt is prefilled once for many samples. */
GP_API void gp_model_copy_row(gp_model *m, int64_t from, int64_t to);

/* The logits of row b after prefill or decode, into the host's memory (V). */
GP_API void gp_model_last_logits(gp_model *m, int64_t b, float *logits);

#ifdef __cplusplus
}
#endif
#endif
