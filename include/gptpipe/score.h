/* score.h: how likely given text is: perplexity of texts, and questions whose answers are among given endings.
 *
 *     gp_score_options o = {.stride = 512};
 *     gp_score_text(model, tokenizer, "wiki.txt", &o, stdout);
 *     gp_score_task(model, tokenizer, GP_TASK_LAMBADA, "lambada_test.jsonl", &o, stdout);
 *     gp_text_score s;
 *     gp_score_ids(model, tokenizer, ids, count, &o, &s); // perplexity: exp(-s.log_p / (double)s.scored)
 *
 * The first two print a report, or JSON Lines: an object an item, and {"total": ...} last. Probabilities are printed as
 * natural logarithms (nats).
 */
#ifndef GPTPIPE_SCORE_H
#define GPTPIPE_SCORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/model.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Texts are encoded as transformers feeds them to a model (gp_tokenizer_encode_whole): names of special tokens in them
 * are these tokens, and what the tokenizer puts around a text counts among its tokens, but has no bytes.
 *
 * Of a text that is longer than the context, windows of the context's length are read, each `stride` tokens further
 * than the one before; in each those tokens are scored that none before it scored. This is the sliding window of
 * transformers' guide to perplexity: the first token of all has nothing before it and is not scored, and with the
 * stride at the context that is so in each window. */
typedef struct gp_score_options {
    int64_t stride; /* 1 to the context; 0: half of it */
    /* Put an end-of-text token before each text, so that its first token is scored too, where the tokenizer puts none
     * there. */
    bool from_end;
    const char *jsonl; /* texts are this member of lines of JSON; NULL: the file is one text */
    bool json;         /* of the report; of text it has each token's id and log-probability, null where it has none */
    int64_t top_logprobs; /* with json: and this many of the likeliest in its place */
    bool quiet;           /* no progress */
    bool special_as_text; /* names of special tokens are text, and *special_text is set where there was one (or NULL) */
    bool *special_text;
} gp_score_options;

typedef struct gp_text_score {
    int64_t tokens, scored; /* of the text; with a probability */
    int64_t bytes;          /* of the tokens scored */
    double log_p;           /* their sum */
} gp_text_score;

/* One text's ids. tokenizer NULL: bytes stay 0. */
GP_API int gp_score_ids(gp_model *m, const gp_tokenizer *t, const int32_t *ids, int64_t count,
                        const gp_score_options *o, gp_text_score *score);

/* A file, or "-". 0 or -1. */
GP_API int gp_score_text(gp_model *m, const gp_tokenizer *t, const char *path, const gp_score_options *o, FILE *out);

/* Tasks: text is gp_score_text; of the others each has one question a line of JSON:
 *   lambada        "text": the last word is predicted from the text before it. Accuracy of the greedy prediction,
 *                  and perplexity of the word (EleutherAI's lm-evaluation-harness, lambada_openai)
 *   hellaswag      "activity_label", "ctx_a", "ctx_b", "endings", "label", made into questions as the same harness does
 *   hellaswag-raw  "ctx", "endings", "label" as they are, a blank between (llm.c)
 *   choices        "context", "endings", "label"; an ending starts with its own blank, the harness's target_delimiter,
 *                  which is not counted in its characters
 * Context and ending are encoded as the harness does: as texts, with what the tokenizer puts around one unless it
 * begins with that token's name already. An empty context is an end-of-text token, or the one that the tokenizer puts
 * first; white space alone, to which the harness has no answer, is refused where the tokenizer puts nothing before it.
 * An answer is right when the ending of the label has the highest log-probability; acc_norm divides it by the ending's
 * characters first, as the harness does, acc_token by its tokens, as llm.c's acc_norm does. */
#define GP_SCORE_TASKS(X)                                                                                              \
    X(GP_TASK_TEXT, "text")                                                                                            \
    X(GP_TASK_LAMBADA, "lambada")                                                                                      \
    X(GP_TASK_HELLASWAG, "hellaswag")                                                                                  \
    X(GP_TASK_HELLASWAG_RAW, "hellaswag-raw")                                                                          \
    X(GP_TASK_CHOICES, "choices")
typedef enum gp_score_kind { GP_SCORE_TASKS(GP_CHOICE_VALUE) } gp_score_kind;
GP_API int gp_score_task(gp_model *m, const gp_tokenizer *t, gp_score_kind task, const char *path,
                         const gp_score_options *o, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
