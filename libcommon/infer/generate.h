/* generate.h: what the sampler's files share. */
#ifndef GP_INFER_GENERATE_H
#define GP_INFER_GENERATE_H

#include "base/base.h"
#include "gptpipe/sampler.h"

/* stop.c. What may be handed out of text, whose bytes come token by token: not half a UTF-8 character, and nothing that
 * may become a stop text. A stop text in it: *stop, and what lies before it. */
size_t gp_text_sure(const char *text, size_t n, char *const *stops, const char **stop);

/* context.c. How many ids of the context, from *start on, row 0 of m's cache holds; 0: none. And what it holds from
 * here on: ids (count) are the context, ids[start] is at position 0. */
int64_t gp_context_cached(const gp_context *c, const gp_model *m, int64_t *start);
void gp_context_keep(gp_context *c, const gp_model *m, const int32_t *ids, int64_t count, int64_t start,
                     int64_t cached);

/* prompts.c. 0 where each has an id, and all ids are the model's. */
int gp_prompts_check(const gp_config *c, const gp_prompt *prompts, int64_t count);

/* stop.c. Why a sample ends with this id, of which `drawn` were drawn with it; t may be NULL. */
gp_finish gp_finish_of(const gp_generation *how, const gp_config *c, const gp_tokenizer *t, int64_t drawn, int32_t id);

/* stop.c. n, but for a UTF-8 character at the end whose rest is not there. */
size_t gp_text_whole(const char *text, size_t n);

/* candidates.c. The log-probability of id by logits (V), and the `most` likeliest of the ids below vocab, the likeliest
 * first. */
gp_token_logprob gp_log_probability(const float *logits, int64_t V, int32_t id, gp_token_logprob *top, int64_t most,
                                    int64_t vocab);

#endif
