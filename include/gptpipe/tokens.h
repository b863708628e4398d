/* tokens.h: the token stream, files (.tok) and pipes alike; docs/formats.md has its bytes.
 *
 *     gp_tokens *s = gp_tokens_open("train.tok", NULL);        // "-" is stdin, spooled and checked
 *     const gp_tokens_info *info = gp_tokens_get_info(s);
 *     int32_t ids[256];
 *     gp_tokens_read(s, 1000, 256, ids);                 // ids[i] = token 1000 + i
 *     gp_tokens_close(s);
 *
 *     gp_tokens_writer *w = gp_tokens_create("out.tok", &(gp_tokens_info){.vocab_size = 65, ...});
 *     gp_tokens_write(w, ids, n);  gp_tokens_end_document(w);  gp_tokens_finish(w);   // renamed into place whole
 */
#ifndef GPTPIPE_TOKENS_H
#define GPTPIPE_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_tokens_info {
    int64_t vocab_size;
    int64_t count;              /* tokens */
    int64_t documents;          /* 0: no index */
    int width;                  /* bytes a token: 2 or 4 */
    uint8_t fingerprint[16];    /* of the tokenizer; zeros where unknown (raw streams) */
    const char *metadata;       /* JSON object: "tokenizer" (a tokenizer.json object), "source" {name, sha256},
                                 * "separator" {"ids": [...]}, "entropy" {nats: [...], chars: [...]} of stories */
} gp_tokens_info;

typedef struct gp_tokens gp_tokens;

/* Opens and checks a stream: .tok (magic, sizes, trailer; the CRC too on a pipe), llm.c's .bin, or raw16 with
 * vocab_size given. format NULL: recognised from the content. spool: where the bytes of a pipe are kept (a path,
 * fsynced and kept), or NULL for an unlinked temporary file. NULL on failure. */
GP_API gp_tokens *gp_tokens_open_as(const char *path, const char *format, int64_t vocab_size, const char *spool);
GP_API gp_tokens *gp_tokens_open(const char *path, const char *spool);
GP_API void gp_tokens_close(gp_tokens *s);
GP_API const gp_tokens_info *gp_tokens_get_info(const gp_tokens *s);

/* Checks the CRC and that every id is below vocab_size. 0 or -1. */
GP_API int gp_tokens_verify(const gp_tokens *s);

/* count ids from `first` on. -1 when one is >= vocab_size (its place is told) or the range is outside. */
GP_API int gp_tokens_read(const gp_tokens *s, int64_t first, int64_t count, int32_t *ids);

/* Start of document i (0 <= i <= documents; the last is count). Only with an index. */
GP_API int64_t gp_tokens_document(const gp_tokens *s, int64_t i);

/* Writes a stream. path "-" is stdout, streamed; a file appears under its name only when finished. info: vocab_size,
 * fingerprint and metadata are used. */
typedef struct gp_tokens_writer gp_tokens_writer;
GP_API gp_tokens_writer *gp_tokens_create(const char *path, const gp_tokens_info *info);
GP_API int gp_tokens_write(gp_tokens_writer *w, const int32_t *ids, int64_t count);
GP_API int gp_tokens_end_document(gp_tokens_writer *w); /* the next id begins a document */
GP_API int gp_tokens_finish(gp_tokens_writer *w);       /* frees w, also on failure */
GP_API void gp_tokens_abandon(gp_tokens_writer *w);     /* frees w, leaves no file */

#ifdef __cplusplus
}
#endif
#endif
