/* corpus.h: text to token streams and back: the work of tokenize.
 *
 *     gp_text *text = gp_text_open(&files, &(gp_text_options){0});
 *     gp_tokenizer *t = gp_corpus_tokenizer_open("gpt2");
 *     gp_corpus_counts n;
 *     gp_corpus_encode(text, t, "train.tok", &(gp_corpus_options){0}, &n);
 *
 *     gp_tokens *s = gp_tokens_open("train.tok", NULL);
 *     gp_corpus_decode(s, t, stdout);                     // the text again, byte by byte
 *
 * If a separator is given, it ends documents; of JSON Lines, each line is a document; otherwise each file is one. A
 * tokenizer without an end-of-text id encodes the separator as text. With one, end-of-text replaces the separator, or
 * is put between files if there is no separator; decoding turns it back into the separator, or nothing. So plain text
 * is restored exactly in either case. Each document of JSON Lines gets a separator after it (a blank line, unless
 * another is given), so that the decoded text has the same documents.
 */
#ifndef GPTPIPE_CORPUS_H
#define GPTPIPE_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/encoding.h"
#include "gptpipe/error.h"
#include "gptpipe/text.h"
#include "gptpipe/tokenizer.h"
#include "gptpipe/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_corpus_options {
    const char *separator; /* UTF-8; NULL: that of the text's sidecars; "": none */
    size_t separator_length;
    gp_stream_format format;
    const char *val;     /* path of the validation stream; NULL: OUT-val, with OUT's suffix */
    double val_fraction; /* of the text's bytes, for validation, 0 to below 1. The validation part begins at the nearest
                          * document; in a text without documents, between two characters */
    int64_t shard_size;  /* tokens; 0: one stream. Otherwise NAME_000000.tok, ... are written: each ends with the
                          * document that reaches the size, or, without documents, exactly at the size */
    int threads;         /* that encode; 0: one per core, up to 16. The ids do not depend on it */
    bool allow_special;  /* encode names of special tokens in the text as their ids (gp_encoder_allow_special) */
    bool quiet;          /* no progress */
} gp_corpus_options;

typedef struct gp_corpus_counts {
    int64_t bytes, tokens, documents;  /* of everything written */
    int64_t val_tokens, val_documents; /* of these, in the validation part */
    int files;                         /* streams written */
    const char *special;               /* the file in which a special token's name was first encoded as text, or NULL */
    int64_t special_offset;            /* of that name, in bytes */
    const char *label; /* a label that occurs in only one of the training and the validation part, or NULL */
} gp_corpus_counts;

/* Builds a character vocabulary of the whole text and its separator. The text must be files or opened to be read twice.
 * NULL on failure. */
GP_API gp_tokenizer *gp_corpus_build_char(gp_text *text, const gp_corpus_options *o);

/* Trains a byte-level BPE of at most vocab_size ids on the documents of the text, which must be files or opened to be
 * read twice; separators become end-of-text, so they are not counted. NULL on failure. */
GP_API gp_tokenizer *gp_corpus_train_bpe(gp_text *text, int64_t vocab_size, const gp_corpus_options *o);

/* The same for a WordPiece of at most vocab_size ids: gp_bpe_trainer_new_wordpiece. */
GP_API gp_tokenizer *gp_corpus_train_wordpiece(gp_text *text, int64_t vocab_size, bool cased,
                                               const gp_corpus_options *o);

/* Writes the text as a token stream to a file or "-". With val_fraction the text must be files or opened to be read
 * twice. 0; -1 on failure, and then no file is left. */
GP_API int gp_corpus_encode(gp_text *text, const gp_tokenizer *t, const char *out, const gp_corpus_options *o,
                            gp_corpus_counts *counts);

/* A tokenizer as found by gp_tokenizer_open, or that of a token stream. GPT-2's two files are downloaded to
 * $GPTPIPE_DATA or data/ if they are missing (from $FETCH_DATA_MIRROR if that is set). NULL on failure; the caller
 * closes it. */
GP_API gp_tokenizer *gp_corpus_tokenizer_open(const char *name);

/* The tokenizer in a stream's metadata; NULL if it has none. The caller closes it. `where` names the stream in
 * messages. */
GP_API gp_tokenizer *gp_corpus_tokenizer(const gp_tokens *s, const char *where);

/* Opens a stream and its tokenizer: the one in its metadata, or the named one, whose fingerprint must match the
 * stream's if that is known. format and vocab_size are as in gp_tokens_open_as, but vocab_size 0 means that of the
 * named tokenizer. need: fail if there is no tokenizer; otherwise *t may become NULL. The caller closes both, also on
 * failure. */
GP_API int gp_corpus_open(const char *path, gp_stream_format format, int64_t vocab_size, const char *tokenizer,
                          bool need, gp_tokens **s, gp_tokenizer **t);

/* Writes the stream's text to out, unless that is NULL, and returns its length in bytes; -1 if an id has no text, or
 * writing fails. An end-of-text id inside a document, or in a stream without an index, becomes its name. Labelled items
 * are written as JSON Lines with the members that they were made of; the length is that of their texts. */
GP_API int64_t gp_corpus_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out);

/* Verifies a stream completely and describes it, as text or one JSON object. t is NULL if the tokenizer is not known.
 * 0 or -1. */
GP_API int gp_corpus_print_info(const gp_tokens *s, const gp_tokenizer *t, bool json, FILE *out);

/* Shows the tokens of a text. colour: the text, with neighbouring tokens on different backgrounds; otherwise a line for
 * each token: id, tab, text, with \n for a newline and \xNN for a byte that is not part of a character. Of o, only the
 * separator and allow_special are used. 0 or -1. */
GP_API int gp_corpus_show(gp_text *text, const gp_tokenizer *t, const gp_corpus_options *o, bool colour, FILE *out);

/* Shows what a model reads for each document, or pair of texts, as one JSON object a line: "ids", "tokens" (their
 * text), "types", "texts" (0 and 1 for the tokens of the first and second text, null for those that the tokenizer
 * puts around them), and "offsets", [start, end] in bytes of its text, [0, 0] for the latter. 0 or -1. */
typedef struct gp_show_options {
    int64_t max;            /* tokens, with those around; 0: all */
    gp_truncation truncate; /* of what has more */
    bool special;           /* encode names of special tokens as their ids */
} gp_show_options;
GP_API int gp_corpus_show_json(gp_text *text, const gp_tokenizer *t, const gp_corpus_options *o,
                               const gp_show_options *how, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
