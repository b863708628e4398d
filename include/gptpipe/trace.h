/* trace.h: every intermediate tensor of one forward pass in a safetensors file: the raw material of the pages that
 * pipelines/explain.sh makes, and of parity checks.
 *
 *     gp_trace_write("trace.safetensors", model, tokenizer, ids, count, true);
 *
 * Tensors, all with a first dim of 1 for the batch:
 *     hidden.0 ... hidden.L   embedding, then after each block, the last after the final norm, as
 *                             transformers' output_hidden_states numbers them (1,T,C)
 *     attentions.0 ...        attention probabilities (1,H,T,T), as output_attentions numbers them
 *     context.0 ...           what the output projection reads (1,T,C)
 *     logits                  (1,T,V)
 *     <module>                the output of that module of transformers: transformer.h.0.ln_1,
 *                             transformer.h.0.attn.c_attn, ... (mlp.c_fc before, mlp.act after the activation)
 *     tokens                  the ids, I32 (1,T)
 *     lens.ids                the GP_TRACE_LENS most likely tokens after each layer, sorted, of a model that predicts
 *                             tokens: of hidden.0 ... hidden.L through final norm and head, I32 (1,L+1,T,10)
 *     lens.probabilities      theirs, F32 (1,L+1,T,10)
 *     weight.<parameter>      the parameters, if all of them take less than GP_TRACE_WEIGHTS bytes
 *     loss, grad.<parameter>  with gradients: the mean next-token loss and what it gives each parameter
 *
 * Metadata: gptpipe.trace, the version of this list; gptpipe.config, the model's config.json; with a tokenizer,
 * gptpipe.texts, a JSON array of the text of each id (gp_tokenizer_bytes; what is not valid UTF-8 becomes U+FFFD).
 */
#ifndef GPTPIPE_TRACE_H
#define GPTPIPE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/model.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called with a tensor, an fp32 copy of the host's; it and its name are valid during the call. */
typedef void gp_trace_fn(void *self, const char *name, const gp_tensor *t);

/* Called with the logits (B,T,V) of hidden.0 ... hidden.(L-1) through final norm and head, if the model predicts
 * tokens. */
typedef void gp_lens_fn(void *self, int64_t layer, const gp_tensor *logits);

/* gp_model_logits; fn is called with every intermediate tensor of the pass, named as above. lens may be NULL. */
GP_API int gp_trace_logits(gp_model *m, const gp_batch *batch, float *logits, gp_trace_fn *fn, gp_lens_fn *lens,
                           void *self);

/* Calls fn with each parameter (or its gradient) under its Hugging Face name and shape. */
GP_API void gp_trace_parameters(gp_model *m, bool gradients, gp_trace_fn *fn, void *self);

#define GP_TRACE_VERSION "1"
enum { GP_TRACE_LENS = 10, GP_TRACE_WEIGHTS = 16 << 20 };

/* path "-" is stdout. t: the tokenizer of ids, or NULL. gradients: m was created to train, is causal, and count is 2 or
 * more. 0 or -1. */
GP_API int gp_trace_write(const char *path, gp_model *m, const gp_tokenizer *t, const int32_t *ids, int64_t count,
                          bool gradients);

#ifdef __cplusplus
}
#endif
#endif
