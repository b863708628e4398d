/* tokens.h: the token stream, files (.tok) and pipes alike; docs/formats.md has its bytes.
 *
 *     gp_tokens *s = gp_tokens_open("train.tok", NULL);        // "-" is stdin, spooled and checked
 *     const gp_tokens_info *info = gp_tokens_get_info(s);
 *     int32_t ids[256];
 *     gp_tokens_read(s, 1000, 256, ids);                       // ids[i] = token 1000 + i
 *     gp_tokens_close(s);
 *
 *     gp_tokens_writer *w = gp_tokens_create("out.tok", &(gp_tokens_info){.vocab_size = 65, ...});
 *     gp_tokens_write(w, ids, n);
 *     gp_tokens_end_document(w);
 *     gp_tokens_finish(w);                                     // renamed into place whole
 */
#ifndef GPTPIPE_TOKENS_H
#define GPTPIPE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gptpipe/choice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* raw16: uint16 ids and nothing else. */
#define GP_STREAM_FORMATS(X)                                                                                           \
    X(GP_STREAM_ANY, "")                                                                                               \
    X(GP_STREAM_TOK, "tok")                                                                                            \
    X(GP_STREAM_LLMC, "llmc")                                                                                          \
    X(GP_STREAM_RAW16, "raw16")
typedef enum gp_stream_format { GP_STREAM_FORMATS(GP_CHOICE_VALUE) } gp_stream_format;
GP_API const char *gp_stream_format_name(gp_stream_format format);

typedef struct gp_tokens_info {
    const char *name;        /* the path, or "stdin"; gp_tokens_create ignores it */
    int64_t vocab_size;      /* every id is below it */
    int64_t count;           /* tokens */
    int64_t documents;       /* 0: no index */
    int width;               /* bytes a token: 2 or 4 */
    gp_stream_format format; /* GP_STREAM_ANY makes gp_tokens_create write a .tok */
    uint8_t fingerprint[16]; /* of the tokenizer; zeros if unknown (llmc, raw16) */
    const char *metadata;    /* a JSON object (gp_tokens_describe makes it); "{}" if the stream has none */
    bool items;              /* documents are labelled items; see gp_tokens_item */
    bool pairs;              /* items are pairs of texts; gp_tokens_create ignores it */
    int64_t labels;          /* number of label names; gp_tokens_create ignores it */
} gp_tokens_info;

typedef struct gp_tokens gp_tokens;

/* Opens and checks a stream: the sizes, magic and trailer of a .tok, the header of llm.c's .bin. "-" is stdin.
 * A file is mapped; a pipe is read to its end into the file `spool`, which remains, flushed to disk, or, if that is
 * NULL, into an unlinked temporary file, and its CRC and ids are verified. NULL on failure. */
GP_API gp_tokens *gp_tokens_open(const char *path, const char *spool);

/* The same in a given format; GP_STREAM_ANY: detected from the content.
 * vocab_size: required by raw16, optional for llmc (0: GPT-2's 50257); a .tok records its own. */
GP_API gp_tokens *gp_tokens_open_as(const char *path, gp_stream_format format, int64_t vocab_size, const char *spool);
GP_API void gp_tokens_close(gp_tokens *s);
GP_API const gp_tokens_info *gp_tokens_get_info(const gp_tokens *s);

/* Checks the CRC and that every id is below vocab_size. 0 or -1. */
GP_API int gp_tokens_verify(const gp_tokens *s);

/* Reads `count` ids from `first` on. -1 if one is >= vocab_size (the message has its position) or the range is out of
 * bounds. */
GP_API int gp_tokens_read(const gp_tokens *s, int64_t first, int64_t count, int32_t *ids);

/* Start of document i, 0 <= i <= documents; that of i = documents is count. Requires an index. */
GP_API int64_t gp_tokens_document(const gp_tokens *s, int64_t i);

/* A labelled item: document i is the tokens of its text, or of its two texts, and the stream's separator. */
typedef struct gp_token_item {
    int64_t begin;         /* the first token */
    int64_t first, second; /* tokens of the texts; second is 0 where info.pairs is not set */
    int32_t label;         /* below info.labels; -1: none */
} gp_token_item;

/* Item i, 0 <= i < documents, of a stream with info.items. */
GP_API gp_token_item gp_tokens_item(const gp_tokens *s, int64_t i);

/* The name of a label, 0 <= label < info.labels; valid as long as the stream. */
GP_API const char *gp_tokens_label_name(const gp_tokens *s, int64_t label);

/* The members of the JSON Lines that the items were made of: their text, its pair (NULL: none) and their label. */
GP_API void gp_tokens_item_members(const gp_tokens *s, const char **text, const char **pair, const char **label);

/* The token at which the validation part begins when the last `fraction` (between 0 and 1) is held out: with an index,
 * the nearest start of a document. -1 if a part would be empty. */
GP_API int64_t gp_tokens_split(const gp_tokens *s, double fraction);

/* One member of the metadata as JSON text ("tokenizer" is a tokenizer.json for gp_tokenizer_from_json), or NULL if it
 * is missing. The caller frees. */
GP_API char *gp_tokens_member(const gp_tokens *s, const char *name);

/* The separator that ends a document: its ids, and the text that they stand for in the decoded text ("" if they were
 * only inserted between documents). The caller frees *text and *ids. 0, or -1 if the stream has no separator. */
GP_API int gp_tokens_separator(const gp_tokens *s, char **text, size_t *length, int32_t **ids, int64_t *count);

/* The content of the metadata; NULL or 0 leaves a member out. tokenizer, entropy and bayes must be JSON and are
 * copied verbatim. */
typedef struct gp_tokens_description {
    const char *tokenizer;              /* tokenizer.json's text */
    const char *source, *source_sha256; /* a name for people, 64 hexadecimal digits */
    const char *separator;              /* the text that ends a document; may be empty */
    size_t separator_length;
    const int32_t *separator_ids;
    int64_t separator_count;
    const char *entropy;             /* JSON: {"nats": [document 0, ...], "chars": [...]} */
    const char *bayes;               /* JSON: {"accuracy": A, "loss": L} */
    const char *text, *pair, *label; /* of items: members of the JSON Lines; label NULL: there are no items */
    const char *const *labels;       /* (label_count) the names of label 0, 1, ... */
    int label_count;
} gp_tokens_description;

/* The metadata as JSON text, for gp_tokens_create. The caller frees. */
GP_API char *gp_tokens_describe(const gp_tokens_description *about);

typedef struct gp_tokens_writer gp_tokens_writer;

/* Writes a stream to stdout ("-") or to a file, which appears under its name only when finished. Of info, vocab_size,
 * fingerprint, metadata (NULL: none) and format are used. NULL on failure. */
GP_API gp_tokens_writer *gp_tokens_create(const char *path, const gp_tokens_info *info);
GP_API int gp_tokens_write(gp_tokens_writer *w, const int32_t *ids, int64_t count);
GP_API int64_t gp_tokens_written(const gp_tokens_writer *w);

/* The next id begins a document. Calling this gives the stream an index; empty documents are not in it. */
GP_API int gp_tokens_end_document(gp_tokens_writer *w);

/* The same in a stream with info.items: the document is an item, of which `first` tokens are its text (or the first of
 * a pair) and the separator, if there is one, the last. label -1: none. -1 also where it has no tokens. */
GP_API int gp_tokens_end_item(gp_tokens_writer *w, int32_t label, int64_t first);
GP_API int64_t gp_tokens_documents_written(const gp_tokens_writer *w);

/* Flushes everything to disk, so that finish only has to rename the file: several streams can appear together. */
GP_API int gp_tokens_prepare(gp_tokens_writer *w);
GP_API int gp_tokens_finish(gp_tokens_writer *w); /* prepares if need be; frees w, also on failure */
GP_API void gp_tokens_abort(gp_tokens_writer *w); /* frees w, leaves no file */

#ifdef __cplusplus
}
#endif
#endif
