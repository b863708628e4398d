/* samples.h: prints samples while they are generated: text, or one JSON object a line.
 *
 *     gp_samples *s = gp_samples_open(stdout, &(gp_samples_options){.prompts = &prompts, .samples = 3, .echo = true});
 *     rc = gp_generate_all(model, tokenizer, prompts.items, prompts.count, &how, gp_samples_print, s, NULL);
 *     gp_samples_close(s);
 *
 * Samples arrive interleaved; they are printed one after the other: the first incomplete one streams, later ones are
 * buffered in memory. An object:
 *
 *     {"prompt": "Once", "sample": 0, "text": " upon", "finish": "length", "ids": [2402], "logprobs": [-0.7],
 *      "top": [[{"id": 2402, "text": " upon", "logprob": -0.7}, ...]]}
 *
 * "id" comes first if the prompt has a name. "prompt_ids" replaces "prompt" if it was given as ids. "stop" is the stop
 * text that ended the sample. "ids" are all sampled ids, including those of a stop text, which "text" does not
 * contain.
 */
#ifndef GPTPIPE_SAMPLES_H
#define GPTPIPE_SAMPLES_H

#include <stdio.h>

#include "gptpipe/lines.h"
#include "gptpipe/prompts.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_samples_options {
    const gp_prompts *prompts;
    const gp_tokenizer *tokenizer; /* for the text of alternatives; may be NULL */
    int64_t samples, first_sample; /* as in gp_generation */
    const char *dtype;             /* for JSON: gp_backend_dtype; or NULL */
    const char *cache_dtype;       /* for JSON: gp_backend_cache; or NULL */
    bool json;
    bool drafts;             /* JSON with "draft": passes of the model, tokens drafted and of these accepted */
    bool echo;               /* print the prompt before each continuation; text only */
    const gp_lines *abandon; /* Ctrl-C in these makes gp_samples_print return 1, which ends the generation; or NULL */
} gp_samples_options;

typedef struct gp_samples gp_samples;

/* out and everything that o points to must outlive it. */
GP_API gp_samples *gp_samples_open(FILE *out, const gp_samples_options *o);

/* A gp_token_fn; self is the gp_samples. -1 when writing to out fails. */
GP_API int gp_samples_print(void *self, const gp_token_event *d);
GP_API void gp_samples_close(gp_samples *s);

#ifdef __cplusplus
}
#endif
#endif
