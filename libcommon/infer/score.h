/* score.h: what the files that score share. */
#ifndef GP_INFER_SCORE_H
#define GP_INFER_SCORE_H

#include "base/base.h"
#include "gptpipe/sampler.h"
#include "gptpipe/score.h"

/* samples.c, as JSON: "key": [464, 2402, ...]; [{"id": 2402, "text": " upon", "logprob": -0.7}, ...], without text
 * where there is no tokenizer. */
void gp_put_ids(gp_buf *b, const char *key, const int32_t *ids, int64_t count);
void gp_put_logprobs(gp_buf *b, const gp_tokenizer *t, const gp_token_logprob *top, int64_t tops);

/* The ids of a text by the options; whole: with what the tokenizer puts around it. */
int gp_score_encode(const gp_tokenizer *t, const gp_score_options *o, const gp_buf *text, bool whole, int32_t **ids,
                    int64_t *count);

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
    gp_token_logprob *top;
    int64_t tops;
} gp_passage;

/* score_ids.c: scores spans of any lengths, several at a time. 0; -1 when an id or a length does not fit the model, or
 * when logits are not finite: the log_p of that span is then NaN, and of no other. It may take minutes: fn, unless
 * NULL, is called after each pass through the model with the number of spans that are scored. */
typedef void gp_scored_fn(void *self, int64_t scored);
int gp_score_passages(gp_model *m, gp_passage *spans, int64_t count, bool greedy, gp_scored_fn *fn, void *self);

#endif
