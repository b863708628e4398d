/* tokenizer.h: text to ids and back. char (one id a character of the text it was built from), bytes (256
 * ids), and byte-level BPE with GPT-2's pre-split, exactly.
 *
 *     gp_tokenizer *t = gp_tokenizer_open("gpt2");     // or "bytes", a FILE, a DIR
 *     int32_t *ids; int64_t n;
 *     gp_tokenizer_encode(t, "Hello world", 11, &ids, &n);   // 15496 995
 *     free(ids);
 *     gp_tokenizer_close(t);
 *
 * (Sennrich et al. 2016; Radford et al. 2019.) Any bytes round-trip, invalid UTF-8 included.
 */
#ifndef GPTPIPE_TOKENIZER_H
#define GPTPIPE_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_tokenizer gp_tokenizer;

/* name: "bytes"; "gpt2" (vocab.bpe and encoder.json from ./data, $GPTPIPE_DATA, or the mirror
 * $FETCH_DATA_MIRROR); a tokenizer.json; a folder that holds one, or encoder.json + vocab.bpe, or vocab.json +
 * merges.txt. NULL on failure. */
GP_API gp_tokenizer *gp_tokenizer_open(const char *name);

/* From tokenizer.json text, as token streams and checkpoints carry it. `where` names it in messages. */
GP_API gp_tokenizer *gp_tokenizer_from_json(const char *json, size_t length, const char *where);

/* One id a character (Unicode code point; an invalid byte counts as one character), in code point order,
 * invalid bytes last. */
GP_API gp_tokenizer *gp_tokenizer_build_char(const char *text, size_t length);

GP_API void gp_tokenizer_close(gp_tokenizer *t);

GP_API int64_t gp_tokenizer_vocab_size(const gp_tokenizer *t);
GP_API const char *gp_tokenizer_kind(const gp_tokenizer *t); /* "char", "bytes", "bpe" */

/* SHA-256 over the pre-split's name and a zero byte, then per id in order u32 length and bytes, then the
 * special ids: the first 16 bytes. */
GP_API void gp_tokenizer_fingerprint(const gp_tokenizer *t, uint8_t fingerprint[16]);

/* Hugging Face's tokenizer.json, one line, which the `tokenizers` package loads. The caller frees. */
GP_API char *gp_tokenizer_to_json(const gp_tokenizer *t);

/* Ids of text; the caller frees *ids. -1 when a char vocabulary lacks a character (its offset is told). */
GP_API int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, int32_t **ids, int64_t *count);

/* The bytes of one id (not a copy), their number in *length; NULL when id is out of range. */
GP_API const char *gp_tokenizer_bytes(const gp_tokenizer *t, int32_t id, size_t *length);

/* The end-of-text id, or -1 (char and bytes have none). */
GP_API int32_t gp_tokenizer_end_of_text(const gp_tokenizer *t);

#ifdef __cplusplus
}
#endif
#endif
