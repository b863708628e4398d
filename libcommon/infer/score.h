/* score.h: shared by the files that score texts and questions. */
#ifndef GP_INFER_SCORE_H
#define GP_INFER_SCORE_H

#include "base/base.h"
#include "gptpipe/sampler.h"
#include "gptpipe/score.h"

/* samples.c, as JSON: "key": [464, 2402, ...]; [{"id": 2402, "text": " upon", "logprob": -0.7}, ...], without "text" if
 * there is no tokenizer. */
void gp_put_ids(gp_buf *b, const char *key, const int32_t *ids, int64_t count);
void gp_put_logprobs(gp_buf *b, const gp_tokenizer *t, const gp_token_logprob *top, int64_t tops);

/* Encodes a text by the options; whole: with the ids that the tokenizer puts around it. */
int gp_score_encode(const gp_tokenizer *t, const gp_score_options *o, const gp_buf *text, bool whole, int32_t **ids,
                    int64_t *count);

/* Whether texts can be scored with these options: -1 without a tokenizer, or where attention cannot be computed so. */
int gp_score_check(gp_model *m, const gp_tokenizer *t, const gp_score_options *o);

/* ids[first..count) are scored, each given all ids before it; 1 <= first < count, and the count - 1 ids that the model
 * reads fit its context. */
typedef struct gp_passage {
    const int32_t *ids;
    int64_t first, count;
    double log_p;          /* out: sum of their log-probabilities (nats) */
    bool greedy;           /* out, if requested: each of them is the most likely id, the lowest of equals */
    double *log_ps;        /* out: (count - first) their log-probabilities; or NULL */
    gp_token_logprob *top; /* out: (count - first, tops) the most likely ids in their place, sorted; or NULL */
    int64_t tops;          /* at most the vocabulary */
} gp_passage;

/* score_passages.c: scores passages of any lengths, several at a time. 0; -1 if an id or a length does not fit the
 * model, if attention cannot be computed so, or if logits are not finite: then the log_p of that passage alone is NaN.
 * fn, unless NULL, is called after each pass through the model with the number of passages scored so far. */
typedef void gp_scored_fn(void *self, int64_t scored);
int gp_score_passages(gp_model *m, gp_attention_by attention, gp_passage *passages, int64_t count, bool greedy,
                      gp_scored_fn *fn, void *self);

#endif
