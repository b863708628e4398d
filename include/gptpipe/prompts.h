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
    bool allow_special; /* encode names of special tokens in texts as these tokens, as transformers does */
    bool special_text;  /* out: such a name was encoded as text */
    const char *why;    /* for the error if there is no tokenizer; NULL: the checkpoint has none; not copied */
} gp_prompts;           /* zero-initialize; allow_special and why may be set */

/* Adds a text with the ids that the tokenizer puts around it (gp_tokenizer_prefix). An empty text becomes these ids, or
 * end-of-text, or a newline if the tokenizer has neither. Fails, with advice, if t is NULL: the checkpoint has no
 * tokenizer. 0 or -1, here and below. */
GP_API int gp_prompts_add_text(gp_prompts *p, const gp_tokenizer *t, const char *text, size_t length);

/* "1,2,3" */
GP_API int gp_prompts_add_ids(gp_prompts *p, const char *list);

/* All of stdin, without a newline at its end. */
GP_API int gp_prompts_add_stdin(gp_prompts *p, const gp_tokenizer *t);

/* JSON Lines, an object for each prompt: its member `field` is the text, or an array of ids below vocab_size; its
 * member "id", any JSON value, becomes the prompt's name. path "-" is stdin. */
GP_API int gp_prompts_add_file(gp_prompts *p, const gp_tokenizer *t, const char *path, const char *field,
                               int64_t vocab_size);

GP_API void gp_prompts_release(gp_prompts *p);

/* Stop texts from the command line, with the escapes \n, \t, \\ and \xHH: a NULL-terminated list, or NULL if one of
 * them is empty or invalid. The caller frees it with gp_stops_free. */
GP_API char **gp_stops_parse(const gp_list *typed);
GP_API void gp_stops_free(char **stops);

/* Parses ids such as "1,2,3", at least one. The caller frees *ids. */
GP_API int gp_ids_parse(const char *list, int32_t **ids, int64_t *count);

#ifdef __cplusplus
}
#endif
#endif
