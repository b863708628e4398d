/* gguf_tokenizer.h: tokenizers in GGUF's metadata: lists of tokens, their types, and merges under tokenizer.ggml.*, or
 * a tokenizer.json whole under tokenizer.huggingface.json. */
#ifndef GP_CHECKPOINT_GGUF_TOKENIZER_H
#define GP_CHECKPOINT_GGUF_TOKENIZER_H

#include "checkpoint/gguf/gguf.h"

/* tokenizer.ggml.token_type, as llama.cpp numbers it. */
enum {
    GP_GGUF_NORMAL = 1,
    GP_GGUF_CONTROL = 3,      /* a special token */
    GP_GGUF_USER_DEFINED = 4, /* another added token */
    GP_GGUF_UNUSED = 5,       /* a row of the model that no token has: [PADn] */
};

/* The tokenizer in the metadata as a tokenizer.json: *text (malloc), or NULL where there is none; -1 where it cannot be
 * used. */
int gp_gguf_tokenizer(const gp_gguf *g, char **text, size_t *length);

/* gguf_tokenizer_write.c: the tokenizer of a model; text: a tokenizer.json, or NULL. Ids that it lacks are written as
 * unused tokens. What the lists cannot express goes along as tokenizer.huggingface.json; a tokenizer that llama.cpp has
 * no form of, such as one by characters, only so. */
void gp_gguf_put_tokenizer(gp_gguf_writer *w, const gp_config *c, const char *text, size_t length);

#endif
