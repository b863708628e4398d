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
    const char *name;        /* the path, or "stdin"; of no use to gp_tokens_create */
    int64_t vocab_size;      /* every id is below it */
    int64_t count;           /* tokens */
    int64_t documents;       /* 0: no index */
    int width;               /* bytes a token: 2 or 4 */
    gp_stream_format format; /* of gp_tokens_create: any is tok */
    uint8_t fingerprint[16]; /* of the tokenizer; zeros where unknown (llmc, raw16) */
    const char *metadata;    /* a JSON object (gp_tokens_describe makes it); "{}" where there is none */
} gp_tokens_info;

typedef struct gp_tokens gp_tokens;

/* Opens and checks a stream: the sizes, magic and trailer of a .tok, the header of llm.c's .bin. "-" is stdin.
 * A file is mapped; a pipe is read to its end into `spool` (a path, flushed to disk and kept) or, where that is
 * NULL, into an unlinked temporary file, and its CRC and ids are checked too. NULL on failure. */
GP_API gp_tokens *gp_tokens_open(const char *path, const char *spool);

/* The same in this format; any: by content.
 * vocab_size: needed by raw16; llmc takes it too (0: GPT-2's 50257); a .tok brings its own. */
GP_API gp_tokens *gp_tokens_open_as(const char *path, gp_stream_format format, int64_t vocab_size, const char *spool);
GP_API void gp_tokens_close(gp_tokens *s);
GP_API const gp_tokens_info *gp_tokens_get_info(const gp_tokens *s);

/* Checks the CRC and that every id is below vocab_size. 0 or -1. */
GP_API int gp_tokens_verify(const gp_tokens *s);

/* count ids from `first` on. -1 when one is >= vocab_size (the message has its position) or the range is outside. */
GP_API int gp_tokens_read(const gp_tokens *s, int64_t first, int64_t count, int32_t *ids);

/* Start of document i, 0 <= i <= documents; the last one is count. Only with an index. */
GP_API int64_t gp_tokens_document(const gp_tokens *s, int64_t i);

/* Where the validation part begins when the last `fraction` (between 0 and 1) of the tokens is held out: at the
 * nearest start of a document where there is an index. -1 when a part would be empty. */
GP_API int64_t gp_tokens_split(const gp_tokens *s, double fraction);

/* One member of the metadata as JSON text ("tokenizer" is a tokenizer.json for gp_tokenizer_from_json), or NULL
 * when there is none. The caller frees. */
GP_API char *gp_tokens_member(const gp_tokens *s, const char *name);

/* What ends a document of this stream: its text, what those ids stand for in the decoded text ("" when they were
 * put in between), and its ids. *text and *ids are freed by the caller. 0, or -1 when the stream has none. */
GP_API int gp_tokens_separator(const gp_tokens *s, char **text, size_t *length, int32_t **ids, int64_t *count);

/* What the metadata says; NULL or 0 leaves a part out. tokenizer and entropy must be JSON; they go in as they are. */
typedef struct gp_tokens_description {
    const char *tokenizer;              /* tokenizer.json's text */
    const char *source, *source_sha256; /* a name for people, 64 hexadecimal digits */
    const char *separator;              /* the text that ends a document; may be empty */
    size_t separator_length;
    const int32_t *separator_ids;
    int64_t separator_count;
    const char *entropy; /* JSON: {"nats": [document 0, ...], "chars": [...]} */
} gp_tokens_description;

/* The metadata as JSON text, for gp_tokens_create. The caller frees. */
GP_API char *gp_tokens_describe(const gp_tokens_description *about);

typedef struct gp_tokens_writer gp_tokens_writer;

/* Writes a stream. path "-" is stdout, streamed; a file appears under its name only when finished. Of info,
 * vocab_size, fingerprint, metadata (NULL: none) and format (NULL: "tok") are used. NULL on failure. */
GP_API gp_tokens_writer *gp_tokens_create(const char *path, const gp_tokens_info *info);
GP_API int gp_tokens_write(gp_tokens_writer *w, const int32_t *ids, int64_t count);
GP_API int64_t gp_tokens_written(const gp_tokens_writer *w);

/* The next id begins a document. Once called, the stream gets an index; a document without ids gets no place. */
GP_API int gp_tokens_end_document(gp_tokens_writer *w);
GP_API int64_t gp_tokens_documents_written(const gp_tokens_writer *w);

/* All of it is safe on disk, and finish has only the name left to give: so several streams can appear together. */
GP_API int gp_tokens_prepare(gp_tokens_writer *w);
GP_API int gp_tokens_finish(gp_tokens_writer *w); /* prepares if need be; frees w, also on failure */
GP_API void gp_tokens_abort(gp_tokens_writer *w); /* frees w, leaves no file */

#ifdef __cplusplus
}
#endif
#endif
