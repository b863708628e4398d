/* score.h: what the files that score share. */
#ifndef GP_INFER_SCORE_H
#define GP_INFER_SCORE_H

#include "base/base.h"
#include "gptpipe/sampler.h"
#include "gptpipe/score.h"

/* , "name": x; null where x is not finite */
void gp_put_number(FILE *out, const char *name, double x);

/* samples.c: [{"id": 2402, "text": " upon", "logprob": -0.7}, ...]; no text where there is no tokenizer */
void gp_put_likely(gp_buf *b, const gp_tokenizer *t, const gp_likely *top, int64_t tops);

/* The ids of a text by the options; whole: with what the tokenizer puts around it. */
int gp_score_encode(const gp_tokenizer *t, const gp_score_options *o, const gp_buf *text, bool whole, int32_t **ids,
                    int64_t *count);

#endif
