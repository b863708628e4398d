/* tokenizer.h: text to ids and back. char (one id a character of the text it was built from), bytes (256
 * ids), and byte-level BPE with GPT-2's pre-split, exactly.
 *
 *     gp_tokenizer *t = gp_tokenizer_open("gpt2");     // or "bytes", a FILE, a DIR
 *     int32_t *ids; int64_t n;
 *     gp_tokenizer_encode(t, "Hello world", 11, &ids, &n);   // 15496 995
 *     free(ids);
 *     gp_tokenizer_close(t);
 *
 * (Sennrich et al. 2016; Radford et al. 2019.) Any bytes round-trip, invalid UTF-8 included. Special tokens are
 * never found in text: a literal <|endoftext|> is text.
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

/* name: "bytes"; "gpt2" (vocab.bpe and encoder.json from $GPTPIPE_DATA, ./data, or the mirror
 * $FETCH_DATA_MIRROR); a tokenizer.json; a folder that holds one, or encoder.json + vocab.bpe, or vocab.json +
 * merges.txt. NULL on failure. A tokenizer does not change once it is made: threads may share it. */
GP_API gp_tokenizer *gp_tokenizer_open(const char *name);

/* From tokenizer.json text, as token streams and checkpoints carry it. `where` names it in messages. */
GP_API gp_tokenizer *gp_tokenizer_from_json(const char *json, size_t length, const char *where);

/* One id a character (Unicode code point) of the text, in code point order; then one for each byte that stood
 * where no character could be decoded. */
GP_API gp_tokenizer *gp_tokenizer_build_char(const char *text, size_t length);

/* The same for the characters of several texts: add each of them whole, then build (which frees c). */
typedef struct gp_charset gp_charset;
GP_API gp_charset *gp_charset_new(void);
GP_API void gp_charset_add(gp_charset *c, const char *text, size_t length);
GP_API gp_tokenizer *gp_charset_build(gp_charset *c); /* NULL when there was no text */

GP_API void gp_tokenizer_close(gp_tokenizer *t);

GP_API int64_t gp_tokenizer_vocab_size(const gp_tokenizer *t);
GP_API const char *gp_tokenizer_kind(const gp_tokenizer *t); /* "char", "bytes", "bpe" */

/* SHA-256 over the pre-split's name ("char", "bytes", "gpt2") and a zero byte, then per id in order u32 length and
 * bytes, then the special ids, u32 each: the first 16 bytes. */
GP_API void gp_tokenizer_fingerprint(const gp_tokenizer *t, uint8_t fingerprint[16]);

/* Hugging Face's tokenizer.json, one line, which the `tokenizers` package loads. The caller frees. */
GP_API char *gp_tokenizer_to_json(const gp_tokenizer *t);

/* Ids of text; the caller frees *ids. -1 when a char vocabulary lacks a character (its offset is told). */
GP_API int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, int32_t **ids,
                               int64_t *count);

/* The bytes of one id (not a copy), their number in *length; NULL when id is out of range. Those of a special id
 * are its name. */
GP_API const char *gp_tokenizer_bytes(const gp_tokenizer *t, int32_t id, size_t *length);

/* The end-of-text id, or -1 (char and bytes have none). */
GP_API int32_t gp_tokenizer_end_of_text(const gp_tokenizer *t);

/* Text that does not fit in memory: feed it in parts of any size, the ids come out through fn as soon as no later
 * byte can change them, the same as from one call of gp_tokenizer_encode. Memory: a few MB, and 5 bytes a byte
 * at most of the longest piece that cannot be split (a run of letters, of spaces, ...). */
typedef int gp_ids_fn(void *self, const int32_t *ids, int64_t count); /* not 0: stop, and return that */
typedef struct gp_encoder gp_encoder;

GP_API gp_encoder *gp_encoder_open(const gp_tokenizer *t, gp_ids_fn *fn, void *self);
/* What messages call the text that is fed next, and the offset at which it begins (NULL and 0 at first). */
GP_API void gp_encoder_place(gp_encoder *e, const char *name, int64_t offset);
GP_API int gp_encoder_feed(gp_encoder *e, const char *text, size_t length); /* 0, -1, or what fn returned */
GP_API int gp_encoder_end(gp_encoder *e); /* the text ends here; what is fed next begins another one */
GP_API void gp_encoder_close(gp_encoder *e);

#ifdef __cplusplus
}
#endif
#endif
