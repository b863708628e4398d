/* prompts.h: prompts to continue: text, ids, or a file of prompts.
 *
 *     gp_prompts p = {0};
 *     if (gp_prompts_add_text(&p, tokenizer, "Once", 4) ||
 *         gp_prompts_add_file(&p, tokenizer, "prompts.jsonl", "prompt", 50257))
 *         ...gp_error()...
 *     gp_generate_all(model, tokenizer, p.items, p.count, ...);
 *     gp_prompts_release(&p);
 */
#ifndef GPTPIPE_PROMPTS_H
#define GPTPIPE_PROMPTS_H

#include "gptpipe/options.h"
#include "gptpipe/sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_prompts {
    gp_prompt *items;
    int64_t count;
    bool allow_special; /* names of special tokens in texts are these tokens, as in transformers; or else text */
    bool special_text;  /* set where such a name was encoded as text */
    const char *why;    /* there is no tokenizer: NULL, the checkpoint has none; not copied */
} gp_prompts;           /* zero at first, but for allow_special and why */

/* A text gets the ids around it that the tokenizer puts there (gp_tokenizer_prefix). Empty text begins after these, or
 * after an end-of-text token, or a newline where the tokenizer has none. t NULL, which a checkpoint
 * without a tokenizer gives, is a failure that says what to do. 0 or -1, here and below. */
GP_API int gp_prompts_add_text(gp_prompts *p, const gp_tokenizer *t, const char *text, size_t length);

/* "1,2,3" */
GP_API int gp_prompts_add_ids(gp_prompts *p, const char *list);

/* All of stdin; echo's newline at its end is not part of it. */
GP_API int gp_prompts_add_stdin(gp_prompts *p, const gp_tokenizer *t);

/* JSON Lines, one object a prompt: its member `field` is the text, or an array of ids below vocab_size; its member
 * "id", any JSON value, becomes the prompt's name. path "-" is stdin. */
GP_API int gp_prompts_add_file(gp_prompts *p, const gp_tokenizer *t, const char *path, const char *field,
                               int64_t vocab_size);

GP_API void gp_prompts_release(gp_prompts *p);

/* Stop texts as people type them, \n, \t, \\ and \xHH replaced: a NULL-terminated list, or NULL when one of them is
 * empty or wrong. The caller frees it by gp_stops_free. */
GP_API char **gp_stops_parse(const gp_list *typed);
GP_API void gp_stops_free(char **stops);

/* Ids out of "1,2,3", at least one. The caller frees *ids. */
GP_API int gp_ids_parse(const char *list, int32_t **ids, int64_t *count);

#ifdef __cplusplus
}
#endif
#endif
