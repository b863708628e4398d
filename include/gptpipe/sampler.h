/* sampler.h: continues prompts, several samples at a time, each the same as if it were alone.
 *
 *     gp_generation how = {.sampling = {.temperature = 0.8, .top_k = 40, .top_p = 1, .seed = 1},
 *                          .samples = 3, .max_tokens = 200};
 *     gp_generate(model, tokenizer, ids, count, &how, print, NULL, NULL);
 *
 * where print receives bytes as they become whole characters:
 *
 *     static int print(void *self, int64_t sample, const char *bytes, size_t n, bool done) { ... return 0; }
 *
 * gp_generate_all takes several prompts, and reports each token with its log-probability.
 */
#ifndef GPTPIPE_SAMPLER_H
#define GPTPIPE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gptpipe/model.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_context gp_context;

typedef struct gp_generation {
    gp_sampling sampling;
    int64_t samples;         /* of each prompt; sample i draws its random numbers from (seed, i) */
    int64_t first_sample;    /* the number of the first of them */
    int64_t batch;           /* how many at a time; 0: all */
    int64_t max_tokens;      /* new tokens a sample; 0 is valid */
    char *const *stops;      /* texts that end a sample, themselves not emitted; NULL-terminated, or NULL */
    const int32_t *stop_ids; /* (stop_id_count) ids that end a sample, their text not emitted */
    int64_t stop_id_count;
    bool stop_at_end_of_text; /* the configuration's ids end a sample; without them the tokenizer's end-of-text */
    bool logprobs;            /* gp_token_event has log-probabilities; gp_generate has no use for them */
    int64_t top_logprobs;     /* with logprobs: and this many of the likeliest tokens, GP_MAX_TOP_LOGPROBS at most */
    gp_context *context;      /* of which the one prompt is all (gp_context_prompt), one sample of it; or NULL */
} gp_generation;

enum { GP_MAX_TOP_LOGPROBS = 100 };

/* The ids to continue, at least one. */
typedef struct gp_prompt {
    int32_t *ids;
    int64_t count;
    char *text; /* the text that was encoded; NULL where ids were given. The sampler does not read it, */
    size_t length;
    char *name; /* nor this: JSON by which the caller names the prompt, or NULL */
} gp_prompt;

/* Bytes of one sample, in order, never half a UTF-8 character: not at the end either, where one that its last token
 * leaves unfinished is dropped. (Bytes that can never become one pass through at once.) Samples interleave. done: this
 * sample is complete, n may be 0. A value other than 0 stops everything and is returned by gp_generate. */
typedef int gp_generate_fn(void *self, int64_t sample, const char *bytes, size_t n, bool done);

/* Why a sample ended. */
typedef enum gp_finish {
    GP_FINISH_NONE,
    GP_FINISH_LENGTH,      /* max_tokens were sampled */
    GP_FINISH_END_OF_TEXT, /* an end-of-text id was sampled */
    GP_FINISH_STOP_ID,     /* one of stop_ids was sampled */
    GP_FINISH_STOP_TEXT,   /* one of stops occurred, perhaps across tokens */
} gp_finish;

GP_API const char *gp_finish_name(gp_finish f); /* "length", "end_of_text", "stop_id", "stop_text" */

/* log_p: the model's own log-probability (natural logarithm) of this id next, before penalty, temperature and
 * filters, over its whole vocabulary. */
typedef struct gp_token_logprob {
    int32_t id;
    double log_p;
} gp_token_logprob;

/* One step of one sample: the token sampled, and the text that is final now. Valid during the call. */
typedef struct gp_token_event {
    int64_t prompt, sample; /* both from 0 */
    bool token;             /* false where max_tokens is 0 */
    gp_token_logprob drawn;
    const gp_token_logprob *top; /* (tops) the likeliest first, of those that can be sampled */
    int64_t tops;
    const char *bytes; /* as gp_generate_fn has them */
    size_t n;
    gp_finish finish; /* GP_FINISH_NONE, or why this was the last step of the sample */
    const char *stop; /* the text of GP_FINISH_STOP_TEXT */
} gp_token_event;

/* Steps of a sample come in order, samples interleave. As gp_generate_fn, not 0 stops everything. */
typedef int gp_token_fn(void *self, const gp_token_event *d);

typedef struct gp_generate_stats {
    int64_t tokens;        /* sampled, over all samples */
    int64_t long_prompts;  /* prompts that did not fit the context: only their last half window was read */
    int64_t refills;       /* how often a sample ran past the context and continued over its last half window */
    double seconds;        /* in all */
    double decode_seconds; /* of it, for tokens run through the model one at a time */
    /* bytes that were read in these: each time all weights that a token passes (every one but the position table, and
     * the token table where it is not the head), 4 bytes each; and the keys and values of the rows, 2 L C (position +
     * 1) numbers a row */
    double decode_bytes;
} gp_generate_stats;

/* A conversation: lines of a person and answers of the model in turn. Its keys and values stay in the model's
 * cache, and of a line only what is new is read:
 *
 *     gp_context *c = gp_context_open();
 *     how.context = c;
 *     while (...a line is typed...) {
 *         if (gp_context_add(c, tokenizer, line, length, true)) ...
 *         gp_prompt p = gp_context_prompt(c);
 *         gp_generate_all(model, tokenizer, &p, 1, &how, fn, self, NULL);   // the answer becomes part of the context
 *     }
 *     gp_context_close(c);
 *
 * The context is what was read and handed out: an answer without the stop text or end-of-text that ended it, and as
 * much of one that fn stopped as fn has had. The first line is a prompt as gp_prompts_add_text makes one; a later one
 * begins on a line of its own, where the vocabulary has a newline; an empty one adds nothing, and the model continues.
 * Past the model's context it continues over the last half window, as any sample does. */
GP_API gp_context *gp_context_open(void);
GP_API void gp_context_close(gp_context *c); /* NULL: nothing */
GP_API void gp_context_reset(gp_context *c); /* it is empty, as at first */
/* special: as allow_special of gp_prompts. 0; or -1, and nothing was added. */
GP_API int gp_context_add(gp_context *c, const gp_tokenizer *t, const char *line, size_t length, bool special);
GP_API gp_prompt gp_context_prompt(const gp_context *c); /* its ids stay the context's; until the next call */

/* 0; -1 on failure; what fn gave when it stopped. stats may be NULL. tokenizer NULL: bytes are the ids in
 * decimal, separated by blanks. */
GP_API int gp_generate(gp_model *m, const gp_tokenizer *t, const int32_t *prompt, int64_t count,
                       const gp_generation *how, gp_generate_fn *fn, void *self, gp_generate_stats *stats);

/* The same for several prompts, of any lengths: how->samples of each. A sample begins as soon as another is complete,
 * the first prompt's first. */
GP_API int gp_generate_all(gp_model *m, const gp_tokenizer *t, const gp_prompt *prompts, int64_t count,
                           const gp_generation *how, gp_token_fn *fn, void *self, gp_generate_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
