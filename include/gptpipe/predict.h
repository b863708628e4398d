/* predict.h: what a model predicts for texts, a line each: JSON Lines out, in the order of the input.
 *
 *     gp_predict_options o = {.top_k = 3};
 *     gp_predict_file(model, tokenizer, "texts.txt", &o, stdout, NULL);     // "-": stdin
 *     gp_predict_embeddings(model, tokenizer, "texts.txt", &o, "vectors.safetensors", NULL);
 *
 * The numbers and the members of the JSON are those of transformers' pipelines.
 */
#ifndef GPTPIPE_PREDICT_H
#define GPTPIPE_PREDICT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/choice.h"
#include "gptpipe/encoding.h"
#include "gptpipe/model.h"
#include "gptpipe/options.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is predicted; by default what the model's head computes, or embeddings if it has none. A line's result:
 *   fill-mask  [{"score", "token", "token_str", "sequence"}, ...], the top_k most likely tokens at the mask, with their
 *              probability; an array of such arrays if the text has several masks
 *   classify   {"label", "score"}, the most likely label; with top_k an array of the top_k most likely
 *   embed      [0.1, ...], the C numbers of the last hidden states, pooled
 *   next       [{"score", "token", "token_str"}, ...], the top_k most likely tokens after the text */
#define GP_PREDICT_TASKS(X)                                                                                            \
    X(GP_PREDICT_BY_HEAD, "")                                                                                          \
    X(GP_PREDICT_FILL_MASK, "fill-mask")                                                                               \
    X(GP_PREDICT_CLASSIFY, "classify")                                                                                 \
    X(GP_PREDICT_EMBED, "embed")                                                                                       \
    X(GP_PREDICT_NEXT, "next")
typedef enum gp_predict_task { GP_PREDICT_TASKS(GP_CHOICE_VALUE) } gp_predict_task;

/* How an embedding is made of the hidden states of a text's tokens, special tokens included: their mean, that of the
 * first token, or that of the last one. */
#define GP_POOLINGS(X)                                                                                                 \
    X(GP_POOL_MEAN, "mean")                                                                                            \
    X(GP_POOL_CLS, "cls")                                                                                              \
    X(GP_POOL_LAST, "last")
typedef enum gp_pooling { GP_POOLINGS(GP_CHOICE_VALUE) } gp_pooling;

typedef struct gp_predict_options {
    gp_predict_task task;
    int64_t top_k;          /* 0: 5 tokens, or the one label */
    const int32_t *targets; /* (target_count) fill-mask, next: rank only these ids; NULL: all */
    int64_t target_count;
    gp_pooling pooling;
    bool normalize;         /* embed: divide by the Euclidean norm */
    gp_truncation truncate; /* of texts with more tokens than the model has positions */
    const char *jsonl; /* the member of JSON Lines that is the text; NULL: "text" if the first line is an object with
                          that member, an error if it is one without, else each line is a text */
    bool lines;        /* each line is a text, whatever the first looks like */
    bool quiet;        /* no progress */
} gp_predict_options;

typedef struct gp_predict_stats {
    int64_t texts, tokens; /* of the texts, special tokens included, padding not */
    double seconds;
} gp_predict_stats;

/* Predicts for each line of a file, or of stdin ("-"), and writes a line each. In JSON Lines, the member text_pair is
 * the second text of a pair unless it is empty, blank lines are skipped, and of an object with the member "id" the
 * result is {"id": ..., "result": ...}. Texts are encoded as transformers encodes them: names of special tokens become
 * these tokens.
 *
 * A line's result depends on no other line: it has the same bits alone and among others, on the same machine with the
 * same number of threads. -1 at the first line that cannot be predicted (no mask, more tokens than the model has
 * positions, invalid JSON); the results of all lines before it have been written then. stats may be NULL. */
GP_API int gp_predict_file(gp_model *m, const gp_tokenizer *t, const char *path, const gp_predict_options *o, FILE *out,
                           gp_predict_stats *stats);

/* The same, embeddings (N,C) of all lines, as the tensor "embeddings" of a safetensors file, which does not appear if
 * a line cannot be predicted; "-" is stdout. o->task is ignored. If any line has an "id", the metadata "ids" is a JSON
 * array of them, null for lines without. */
GP_API int gp_predict_embeddings(gp_model *m, const gp_tokenizer *t, const char *path, const gp_predict_options *o,
                                 const char *out_path, gp_predict_stats *stats);

/* The task that a model's head stands for; and a task's name. */
GP_API gp_predict_task gp_predict_task_of(const gp_config *c);
GP_API const char *gp_predict_task_name(gp_predict_task task);

/* The ids of tokens as the vocabulary writes them ("\u0120good", "##ing"), each once. Of a name that is not in it, the
 * first token of its encoding is taken, and *warning says so, as transformers does. -1 if that is empty. The caller
 * frees *ids and *warning, which is NULL if there is nothing to say. */
GP_API int gp_predict_targets(const gp_tokenizer *t, const gp_list *names, int32_t **ids, int64_t *count,
                              char **warning);

#ifdef __cplusplus
}
#endif
#endif
