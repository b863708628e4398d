/* sampler.h: continues prompts, several samples at a time, each the same as if it were alone.
 *
 *     gp_generation how = {.sampling = {.temperature = 0.8, .top_k = 40, .top_p = 1, .seed = 1},
 *                          .samples = 3, .max_tokens = 200};
 *     gp_generate(model, tokenizer, ids, count, &how, print, NULL, NULL);
 *
 * where print receives bytes as they become whole characters:
 *
 *     static int print(void *self, int64_t sample, const char *bytes, size_t n, bool done) { ... return 0; }
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

typedef struct gp_generation {
    gp_sampling sampling;
    int64_t samples;          /* how many continuations; sample i draws its random numbers from (seed, i) */
    int64_t batch;            /* how many at a time; 0: all */
    int64_t max_tokens;       /* new tokens a sample; 0 is valid */
    const char *const *stops; /* texts that end a sample, themselves not emitted; NULL-terminated, or NULL */
    bool stop_at_end_of_text; /* the tokenizer's end-of-text id ends a sample */
} gp_generation;

/* Bytes of one sample, in order, never half a UTF-8 character (bytes that can never become one pass through
 * at once). Samples interleave. done: this sample is complete, n may be 0. A value other than 0 stops
 * everything and is returned by gp_generate. */
typedef int gp_generate_fn(void *self, int64_t sample, const char *bytes, size_t n, bool done);

typedef struct gp_generated {
    int64_t tokens;  /* drawn, over all samples */
    int64_t refills; /* how often a sample ran past the context and went on over its last half window */
    double prefill_seconds, decode_seconds;
} gp_generated;

/* 0; -1 on failure; what fn gave when it stopped. stats may be NULL. tokenizer NULL: bytes are the ids in
 * decimal, separated by blanks. */
GP_API int gp_generate(gp_model *m, const gp_tokenizer *t, const int32_t *prompt, int64_t count,
                       const gp_generation *how, gp_generate_fn *fn, void *self, gp_generated *stats);

#ifdef __cplusplus
}
#endif
#endif
