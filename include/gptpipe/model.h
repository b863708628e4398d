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

/* Initializes the weights by (seed, config): normal(0, 0.02), residual projections normal(0, 0.02 / sqrt(2L)), norms 1,
 * biases 0. */
GP_API void gp_model_init(gp_model *m, uint64_t seed);

GP_API const gp_config *gp_model_config(const gp_model *m);

/* Activation recomputation: the backward pass recomputes nothing; the outputs of norms and GELU, from their inputs; or
 * a whole block, from its input. A layer stores 16, 10 or 1 tensors of (B,T,C) respectively. The gradients have the
 * same bits, except with `norms` on a GPU, where a product's fused GELU stores its input rounded: there they agree to
 * within that rounding. Takes effect at the next plan. */
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

/* Bytes by arena after planning. weights: without those that are read in a checkpoint's file. slots: copies of weights
 * packed for products. */
typedef struct gp_memory_use {
    int64_t weights, slots, gradients, activations, cache, workspace;
} gp_memory_use;
GP_API void gp_model_memory(const gp_model *m, gp_memory_use *use);

/* How losses are computed from now on: class_weights (V, or labels of a classifier), copied, or NULL: all 1; and label
 * smoothing, 0 <= smoothing < 1; as PyTorch's CrossEntropyLoss(weight, label_smoothing). The mean is over the weights.
 * The model has a head. */
GP_API void gp_model_set_loss(gp_model *m, const float *class_weights, double smoothing);

/* Mean loss over targets other than -100, or of a classifier over labels other than -1; losses (B*T, or B), unless
 * NULL, receives that of each (nats; -log p, without gp_model_set_loss), 0 where there is none. -1 if an id or a shape
 * does not fit the model, or the model has no head. */
GP_API int gp_model_evaluate(gp_model *m, const gp_batch *batch, double *loss, float *losses);

/* Computes logits (B,T,V), or of a classifier (B,labels), in host memory. -1 as above. */
GP_API int gp_model_logits(gp_model *m, const gp_batch *batch, float *logits);

/* Computes logits (n,V) of n rows of a batch's B*T, each b*T + t, in host memory: those of masked tokens cost a
 * fraction of all. 1 <= n <= B*T. -1 as above, and of a classifier. */
GP_API int gp_model_logits_at(gp_model *m, const gp_batch *batch, const int32_t *rows, int64_t n, float *logits);

/* Computes the output of the last norm (B,T,C), in host memory, whatever the head: transformers' last_hidden_state. */
GP_API int gp_model_hidden(gp_model *m, const gp_batch *batch, float *hidden);

/* As gp_model_evaluate, and computes the gradients of the mean loss; they are zeroed first. */
GP_API int gp_model_gradients(gp_model *m, const gp_batch *batch, double *loss);

/* Decoding. plan_cache allocates a cache for B rows; prefill fills row b with a prompt of T tokens; decode appends one
 * token to every row at positions[b]. Both compute logits (B,V) for gp_model_sample. */
GP_API int gp_model_plan_cache(gp_model *m, int64_t B, int64_t T_prompt);
GP_API int gp_model_prefill(gp_model *m, int64_t b, const int32_t *ids, int64_t T);
GP_API int gp_model_decode(gp_model *m, const int32_t *ids, const int32_t *positions);

/* Appends T tokens, ids (rows,T), to each of rows [row, row + rows), from positions (rows) on; what a row's cache had
 * from its position on is overwritten. Computes the logits after each row's last token for gp_model_sample; logits
 * (rows,T,V), unless NULL, receives those after every token, to verify drafted tokens.
 *
 * Up to 16 tokens have the same bits as gp_model_decode, however they are grouped. More are processed as a prompt is,
 * in chunks that begin at multiples of 4096 positions, the last of which may have up to 16 tokens: so a prompt has the
 * same bits whether it is processed at once or chunk by chunk. */
GP_API int gp_model_append(gp_model *m, int64_t row, int64_t rows, const int32_t *ids, int64_t T,
                           const int32_t *positions, float *logits);

/* Settings of sampling, applied in this order, as in transformers, but for the penalty, which comes first: the logit of
 * each id that the row has, once however often it occurs, is divided by it if positive and multiplied if negative. */
typedef struct gp_sampling {
    double temperature; /* 0: the largest logit */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all (Holtzman et al. 2020) */
    double min_p;       /* 0: all (Nguyen et al. 2024) */
    uint64_t seed;
    double repetition_penalty; /* 0 or 1: none (Keskar et al. 2019) */
    int64_t vocab;             /* ids from this one on are padding and never sampled; 0: the model's vocabulary */
} gp_sampling;

/* log_p: the model's log-probability (nats) of this id as the next token, over the whole vocabulary, before penalty,
 * temperature and filters. */
typedef struct gp_token_logprob {
    int32_t id;
    double log_p;
} gp_token_logprob;

/* Samples ids (B) from the logits; samples[b] and positions[b] key the random number. An id is -1 if a logit of its row
 * is not finite. */
GP_API void gp_model_sample(gp_model *m, const gp_sampling *how, const int32_t *samples, const int32_t *positions,
                            int32_t *ids);

/* Copies the cache and logits of row `from` to row `to`, so that one prefill serves several samples. */
GP_API void gp_model_copy_row(gp_model *m, int64_t from, int64_t to);

#ifdef __cplusplus
}
#endif
#endif
