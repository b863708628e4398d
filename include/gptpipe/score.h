/* score.h: the likelihood of given text: perplexity of texts, and accuracy on questions with given endings.
 *
 *     gp_score_options o = {.stride = 512};
 *     gp_score_text(model, tokenizer, "wiki.txt", &o, stdout);
 *     gp_score_task(model, tokenizer, GP_TASK_LAMBADA, "lambada_test.jsonl", &o, stdout);
 *     gp_text_score s;
 *     gp_score_ids(model, tokenizer, ids, count, &o, &s); // perplexity: exp(-s.log_p / (double)s.scored)
 *
 * The first two print a report, or JSON Lines: an object for each item, then {"total": ...}. Probabilities are natural
 * logarithms (nats).
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

/* Implementations of attention; all passes are forward. They are the first values of gp_attention_by. */
#define GP_SCORE_ATTENTIONS(X) X(GP_ATTENTION_OWN, "own") X(GP_ATTENTION_CUDNN_FORWARD, "cudnn")

/* Texts are encoded as transformers encodes them for a model (gp_tokenizer_encode_whole): names of special tokens
 * become these tokens, and the ids that the tokenizer puts around a text are among its tokens, with 0 bytes.
 *
 * A text longer than the context is read in windows of the context's length, each `stride` tokens after the previous
 * one; a window scores the tokens that the previous ones did not. This is the sliding window of transformers' guide to
 * perplexity: the first token of the text has no context and is not scored; if the stride is the whole context, the
 * same is true of each window. */
typedef struct gp_score_options {
    int64_t stride;    /* 1 to the context; 0: half of it */
    bool from_end;     /* put end-of-text before each text, to score its first token, unless the tokenizer puts one */
    const char *jsonl; /* the file is JSON Lines, and texts are this member; NULL: the file is one text */
    bool json;         /* report as JSON, with the id and log-probability of each token of a text (or null) */
    int64_t top_logprobs;      /* with json: also this many of the most likely ids in its place */
    gp_attention_by attention; /* own: as the backend has it; where the other cannot, scoring fails */
    const char *dtype;         /* reported with the result: gp_backend_dtype; or NULL */
    bool quiet;                /* no progress */
    bool special_as_text;      /* encode names of special tokens as text */
    bool *special_text;        /* out, with special_as_text: whether there was such a name; or NULL */
} gp_score_options;

typedef struct gp_text_score {
    int64_t tokens, scored; /* tokens of the text; of these, scored */
    int64_t bytes;          /* of the scored tokens */
    double log_p;           /* sum of their log-probabilities (nats) */
} gp_text_score;

/* Scores the ids of one text. t NULL: bytes are 0. */
GP_API int gp_score_ids(gp_model *m, const gp_tokenizer *t, const int32_t *ids, int64_t count,
                        const gp_score_options *o, gp_text_score *score);

/* Scores a file, or stdin ("-"), and prints the report. 0 or -1. */
GP_API int gp_score_text(gp_model *m, const gp_tokenizer *t, const char *path, const gp_score_options *o, FILE *out);

/* Tasks: text is gp_score_text; the others have one question a line of JSON:
 *   lambada        "text": the last word is predicted from the text before it. Accuracy of the greedy prediction,
 *                  and perplexity of the word (EleutherAI's lm-evaluation-harness, lambada_openai)
 *   hellaswag      "activity_label", "ctx_a", "ctx_b", "endings", "label", made into questions as the same harness does
 *   hellaswag-raw  "ctx", "endings", "label" verbatim, joined by a space (llm.c)
 *   choices        "context", "endings", "label"; an ending includes the space before it, the harness's
 *                  target_delimiter, which is not counted in its characters
 * Context and ending are encoded as in the harness: as texts, with the ids that the tokenizer puts around one unless it
 * begins with that token's name already. An empty context is replaced by the token that the tokenizer puts first, or
 * end-of-text. A context of only white space, on which the harness fails, is refused unless the tokenizer puts a token
 * before it. An answer is correct if the ending of the label has the highest log-probability; acc_norm divides that by
 * the ending's characters, as the harness does, acc_token by its tokens, as llm.c's acc_norm does. */
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
