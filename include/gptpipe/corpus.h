/* corpus.h: between text and token streams: what tokenize does.
 *
 *     gp_text *text = gp_text_open(&files, &(gp_text_options){0});
 *     gp_tokenizer *t = gp_corpus_tokenizer_open("gpt2");
 *     gp_corpus_counts n;
 *     gp_corpus_encode(text, t, "train.tok", &(gp_corpus_options){0}, &n);
 *
 *     gp_tokens *s = gp_tokens_open("train.tok", NULL);
 *     gp_corpus_decode(s, t, stdout);                     // the text again, byte by byte
 *
 * Where a separator is known, each text that it ends is a document; of JSON Lines, each line is one; otherwise each
 * file is. A tokenizer without an end-of-text id keeps the separator as text. One that has it writes end-of-text in
 * the separator's place, or between files where there is no separator; decoding gives the separator back for it, or
 * nothing. So plain text comes back exactly in either case. Documents of JSON Lines all get a separator behind them
 * (a blank line, unless one is named), so that decoding gives text with the same documents.
 */
#ifndef GPTPIPE_CORPUS_H
#define GPTPIPE_CORPUS_H

#include <stdbool.h>
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
    gp_stream_format format;
    const char *val;     /* the end of the text goes into a stream of its own here; NULL: it does not */
    double val_fraction; /* of the text's bytes, between 0 and 1. No document is cut: the part begins with the first
                          * one behind that place; a text without documents is cut there, between two characters */
    int64_t shard_size;  /* tokens; 0: one stream. Otherwise NAME_000000.tok, ... are written: each ends with the
                          * document that reaches the size, or with any token where there are no documents */
    int threads;         /* that encode; 0: one a core, up to 16. The ids are the same */
    bool allow_special;  /* names of special tokens in the text become their ids (gp_encoder_allow_special) */
    bool quiet;          /* no progress */
} gp_corpus_options;

typedef struct gp_corpus_counts {
    int64_t bytes, tokens, documents;  /* of all that was written */
    int64_t val_tokens, val_documents; /* of these, in the validation part */
    int files;                         /* streams written */
    const char *special;               /* the file in which a special token's name was first encoded as text, or NULL */
    int64_t special_offset;            /* where it is, in bytes */
} gp_corpus_counts;

/* A character vocabulary of all of text, which must be files or opened to be read twice, and of the separator. NULL on
 * failure. */
GP_API gp_tokenizer *gp_corpus_build_char(gp_text *text, const gp_corpus_options *o);

/* A byte-level BPE of at most vocab_size ids trained on all of text, document by document, under the same conditions;
 * its separators become end-of-text, so they are not counted. NULL on failure. */
GP_API gp_tokenizer *gp_corpus_train_bpe(gp_text *text, int64_t vocab_size, const gp_corpus_options *o);

/* Writes the text as a token stream to a file or "-". For val_fraction it must be files or opened to be read twice.
 * 0; -1 on failure, and then no file is left. */
GP_API int gp_corpus_encode(gp_text *text, const gp_tokenizer *t, const char *out, const gp_corpus_options *o,
                            gp_corpus_counts *counts);

/* A tokenizer as gp_tokenizer_open finds it, or the one that a token stream carries. GPT-2's two files are brought
 * into $GPTPIPE_DATA or data/ when they are not there (through $FETCH_DATA_MIRROR where that is set). NULL on failure;
 * the caller closes it. */
GP_API gp_tokenizer *gp_corpus_tokenizer_open(const char *name);

/* The tokenizer that a stream carries; NULL when it has none. The caller closes it. `where` names the stream in
 * messages. */
GP_API gp_tokenizer *gp_corpus_tokenizer(const gp_tokens *s, const char *where);

/* A stream and a tokenizer for it: the one that it carries, or the one that is named, which must be the one that it was
 * made with, where that is known. format and vocab_size as in gp_tokens_open_as, but 0 stands for the named
 * tokenizer's. need: having none is a failure; otherwise *t may become NULL. The caller closes both, on failure too. */
GP_API int gp_corpus_open(const char *path, gp_stream_format format, int64_t vocab_size, const char *tokenizer,
                          bool need, gp_tokens **s, gp_tokenizer **t);

/* Writes the stream's text to out (NULL: nowhere) and gives its bytes; -1 when an id has no text, or out does not take
 * it. An end-of-text id inside a document, or in a stream that does not know its documents, is its name. */
GP_API int64_t gp_corpus_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out);

/* Checks a stream whole and writes what it holds: for people, or as one JSON object. t may be NULL where the
 * tokenizer is not known. 0 or -1. */
GP_API int gp_corpus_print_info(const gp_tokens *s, const gp_tokenizer *t, bool json, FILE *out);

/* Shows how text falls into tokens. colour: the text itself, each token on a background that its neighbours do not
 * have; otherwise a line for each token: its id, a tab, its text, where a newline is \n and a byte that is no character
 * \xNN. Of o, the separator and
 * allow_special count. 0 or -1. */
GP_API int gp_corpus_show(gp_text *text, const gp_tokenizer *t, const gp_corpus_options *o, bool colour, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
