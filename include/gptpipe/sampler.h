/* sampler.h: generates continuations of prompts, several at a time; each is the same as if it were generated alone.
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

#include "gptpipe/choice.h"
#include "gptpipe/model.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_context gp_context;

typedef struct gp_generation {
    gp_sampling sampling;
    int64_t samples;         /* for each prompt; the random numbers of sample i depend on (seed, i) */
    int64_t first_sample;    /* number of the first sample */
    int64_t batch;           /* samples generated at a time; 0: all */
    int64_t max_tokens;      /* new tokens a sample; 0 is valid */
    char *const *stops;      /* texts that end a sample, themselves not emitted; NULL-terminated, or NULL */
    const int32_t *stop_ids; /* (stop_id_count) ids that end a sample, their text not emitted */
    int64_t stop_id_count;
    bool stop_at_end_of_text; /* the configuration's ids end a sample; without them the tokenizer's end-of-text */
    bool logprobs;            /* fill in log-probabilities of gp_token_event; gp_generate ignores them */
    int64_t top_logprobs;     /* with logprobs: also this many of the most likely tokens, up to GP_MAX_TOP_LOGPROBS */
    int64_t draft_tokens;     /* guess up to this many tokens from the text and verify them in one pass; 0: none */
    gp_context *context;      /* the only prompt is gp_context_prompt of it, with one sample; or NULL */
} gp_generation;

enum { GP_MAX_TOP_LOGPROBS = 100, GP_MAX_DRAFT_TOKENS = 15 };

/* How next tokens are guessed; "" is not at all. By n-grams: what followed when the last tokens occurred before. */
#define GP_DRAFTS(X)                                                                                                   \
    X(GP_DRAFT_NONE, "")                                                                                               \
    X(GP_DRAFT_NGRAM, "ngram")
typedef enum gp_draft_kind { GP_DRAFTS(GP_CHOICE_VALUE) } gp_draft_kind;

typedef struct gp_prompt {
    int32_t *ids; /* (count) at least one */
    int64_t count;
    char *text; /* that was encoded, or NULL; the sampler does not use text and name */
    size_t length;
    char *name; /* JSON by which the caller identifies the prompt, or NULL */
} gp_prompt;

/* Receives bytes of one sample, in order; samples interleave. A UTF-8 character is never split: one that is incomplete
 * at the end is dropped, while bytes that are not UTF-8 are passed on at once. done: the sample is complete, n may be
 * 0. A value other than 0 stops the generation and is returned by gp_generate. */
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

/* What came of drafts. */
typedef struct gp_draft_stats {
    int64_t passes;   /* of the model over new tokens, with a draft or without, after those over the prompt */
    int64_t verified; /* of these with a draft */
    int64_t drafted;  /* tokens */
    int64_t accepted; /* of these: tokens that were sampled */
} gp_draft_stats;

/* One step of one sample: the token sampled, and the text that is final now. Valid during the call. */
typedef struct gp_token_event {
    int64_t prompt, sample;      /* both from 0 */
    bool token;                  /* a token was sampled; false only if max_tokens is 0 */
    gp_token_logprob drawn;      /* it */
    const gp_token_logprob *top; /* (tops) the most likely ids of those that can be sampled, sorted */
    int64_t tops;
    const char *bytes; /* as gp_generate_fn has them */
    size_t n;
    gp_finish finish;     /* GP_FINISH_NONE, or why this was the last step of the sample */
    const char *stop;     /* the text of GP_FINISH_STOP_TEXT */
    gp_draft_stats draft; /* of this sample */
} gp_token_event;

/* Receives the steps of each sample in order; samples interleave. A value other than 0 stops the generation. */
typedef int gp_token_fn(void *self, const gp_token_event *d);

typedef struct gp_generate_stats {
    int64_t tokens;        /* sampled, over all samples */
    int64_t long_prompts;  /* prompts that did not fit the context: only their last half window was read */
    int64_t refills;       /* how often a sample ran past the context and continued over its last half window */
    double seconds;        /* total */
    double decode_seconds; /* of these, decoding tokens one at a time */
    /* Bytes read while decoding: in each step all weights that a token uses (without the position table, and without
     * the token table if the head is not tied to it), and the keys and values of the rows, 2 L C (position + 1) numbers
     * a row. */
    double decode_bytes;
    gp_draft_stats draft;  /* over all samples */
    double verify_seconds; /* of decode_seconds, passes with a draft */
} gp_generate_stats;

/* A conversation: lines of a user and answers of the model in turn. Its keys and values stay in the model's cache, so
 * only new tokens are processed:
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
 * The context contains answers without the stop text or end-of-text that ended them, and of an answer that fn stopped
 * what fn has received. The first line is encoded as by gp_prompts_add_text; a later one is put on a new line, if the
 * vocabulary has a newline; an empty one adds nothing, and the model continues. Past the model's context it continues
 * over the last half window, as any sample does. */
GP_API gp_context *gp_context_open(void);
GP_API void gp_context_close(gp_context *c); /* c may be NULL */
GP_API void gp_context_reset(gp_context *c); /* empties it */
/* special: as allow_special of gp_prompts. 0; or -1, and nothing was added. */
GP_API int gp_context_add(gp_context *c, const gp_tokenizer *t, const char *line, size_t length, bool special);
GP_API gp_prompt gp_context_prompt(const gp_context *c); /* the context owns its ids; valid until the next call */

/* 0; -1 on failure; the value by which fn stopped it. stats may be NULL. t NULL: the bytes are the ids in decimal,
 * separated by spaces. */
GP_API int gp_generate(gp_model *m, const gp_tokenizer *t, const int32_t *prompt, int64_t count,
                       const gp_generation *how, gp_generate_fn *fn, void *self, gp_generate_stats *stats);

/* The same for several prompts of any lengths. A sample begins as soon as another is complete, in the order of the
 * prompts. */
GP_API int gp_generate_all(gp_model *m, const gp_tokenizer *t, const gp_prompt *prompts, int64_t count,
                           const gp_generation *how, gp_token_fn *fn, void *self, gp_generate_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
