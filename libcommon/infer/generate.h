/* generate.h: what the sampler's files share. */
#ifndef GP_INFER_GENERATE_H
#define GP_INFER_GENERATE_H

#include "base/base.h"
#include "gptpipe/sampler.h"

/* held.c. What may be handed out of text, whose bytes come token by token: not half a UTF-8 character, and nothing that
 * may become a stop text. A stop text in it: *stop, and what lies before it. */
size_t gp_text_sure(const char *text, size_t n, char *const *stops, const char **stop);

/* held.c. n, but for a UTF-8 character at the end whose rest is not there. */
size_t gp_text_whole(const char *text, size_t n);

/* likely.c. The log-probability of id by logits (V), and the `most` likeliest of the ids below vocab, the likeliest
 * first. */
gp_likely gp_log_probability(const float *logits, int64_t V, int32_t id, gp_likely *top, int64_t most, int64_t vocab);

#endif
