/* corpus.h: between text and token streams: what tokenize does.
 *
 *     gp_text *text = gp_text_open(&files, false);
 *     gp_tokenizer *t = gp_tokenizer_open("gpt2");
 *     gp_corpus_counts n;
 *     gp_corpus_encode(text, t, "train.tok", &(gp_corpus_options){0}, &n);
 *
 *     gp_tokens *s = gp_tokens_open("train.tok", NULL);
 *     gp_corpus_decode(s, t, stdout);                     // the text again, byte by byte
 *
 * Where a separator is known, each text that it ends is a document; otherwise each file is. A tokenizer without an
 * end-of-text id keeps the separator as text. One that has it writes end-of-text in the separator's place, or
 * between files where there is no separator; decoding gives the separator back for it, or nothing. So the text comes
 * back exactly in either case.
 */
#ifndef GPTPIPE_CORPUS_H
#define GPTPIPE_CORPUS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/error.h"
#include "gptpipe/text.h"
#include "gptpipe/tokenizer.h"
#include "gptpipe/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_corpus_options {
    const char *separator; /* UTF-8; NULL: what the text's sidecars say; "" for none */
    size_t separator_length;
    const char *format; /* of the stream: tok (NULL), llmc, raw16 */
} gp_corpus_options;

typedef struct gp_corpus_counts {
    int64_t bytes, tokens, documents;
} gp_corpus_counts;

/* A character vocabulary of all of text, which must be files or opened to be read twice, and of the separator. NULL on
 * failure. */
GP_API gp_tokenizer *gp_corpus_build_char(gp_text *text, const gp_corpus_options *o);

/* Writes the text as a token stream to a file or "-". 0; -1 on failure, and then no file is left. */
GP_API int gp_corpus_encode(gp_text *text, const gp_tokenizer *t, const char *out, const gp_corpus_options *o,
                            gp_corpus_counts *counts);

/* The tokenizer that a stream carries; NULL when it has none. The caller closes it. `where` names the stream in
 * messages. */
GP_API gp_tokenizer *gp_corpus_tokenizer(const gp_tokens *s, const char *where);

/* Writes the stream's text to out (NULL: nowhere) and gives its bytes; -1 when an id has no text. Whether out took
 * it all, ferror tells. */
GP_API int64_t gp_corpus_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
