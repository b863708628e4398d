/* tokenizer.h: text to ids and back. char (one id a character of the text it was built from), bytes (256
 * ids), and byte-level BPE with GPT-2's pre-split, exactly.
 *
 *     gp_tokenizer *t = gp_tokenizer_open("gpt2");     // or "bytes", a FILE, a DIR
 *     int32_t *ids; int64_t n;
 *     gp_tokenizer_encode(t, "Hello world", 11, false, &ids, &n);   // 15496 995
 *     free(ids);
 *     gp_tokenizer_close(t);
 *
 * (Sennrich et al. 2016; Radford et al. 2019.) Any bytes round-trip, invalid UTF-8 included. Special tokens are
 * not found in text unless that is asked for: a literal <|endoftext|> is text.
 */
#ifndef GPTPIPE_TOKENIZER_H
#define GPTPIPE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_tokenizer gp_tokenizer;

/* name: "bytes"; "gpt2" (vocab.bpe and encoder.json from $GPTPIPE_DATA, ./data, or the mirror
 * $FETCH_DATA_MIRROR); a file, known by what is in it: a tokenizer.json (docs/formats.md tells which) or a .tiktoken;
 * encoder.json, vocab.bpe, vocab.json or merges.txt, beside which its other half must be; or a folder that holds one of
 * these. A .tiktoken's ranks are its ids, its pre-split is GPT-2's (a file made for another one is refused), and
 * <|endoftext|> is the id behind the last rank, or 50256 where that one alone is left out (p50k_base). NULL on failure.
 * A tokenizer does not change once it is made: threads may share it. */
GP_API gp_tokenizer *gp_tokenizer_open(const char *name);

/* From tokenizer.json text, as token streams and checkpoints carry it. `where` names it in messages. */
GP_API gp_tokenizer *gp_tokenizer_from_json(const char *json, size_t length, const char *where);

/* One id a character (Unicode code point) of texts, in code point order; then one for each byte that stood where no
 * character could be decoded. Add each text whole, then build (which frees c). */
typedef struct gp_charset gp_charset;
GP_API gp_charset *gp_charset_new(void);
GP_API void gp_charset_add(gp_charset *c, const char *text, size_t length);
GP_API gp_tokenizer *gp_charset_build(gp_charset *c); /* NULL when there was no text */

/* A byte-level BPE with GPT-2's pre-split, trained from texts (Sennrich et al. 2016):
 *
 *     gp_bpe_trainer *b = gp_bpe_trainer_new(8192);
 *     gp_bpe_trainer_add(b, part, n);       // parts of any size
 *     gp_bpe_trainer_end(b);                // the document ends here; what is added next begins another one
 *     gp_tokenizer *t = gp_bpe_trainer_build(b);
 *
 * Id 0 is <|endoftext|>, 1 to 256 are the bytes in the order of GPT-2's alphabet, then come the merges, each of the
 * pair of neighbours with the highest count in all pieces (a tie goes to the lower ids, left before right). Ids and
 * merges are those of Hugging Face's tokenizers: BpeTrainer(vocab_size, special_tokens=["<|endoftext|>"],
 * initial_alphabet=ByteLevel.alphabet()) with ByteLevel(add_prefix_space=False), trained from an iterator over the
 * documents (from a file it takes each line alone). Bytes that are no UTF-8, which that package cannot be given, are
 * counted as they are.
 *
 * Memory: 30 bytes for each byte of the different pieces or so. A piece may be of any length; it costs time
 * proportional to it. A literal <|endoftext|> is text. */
typedef struct gp_bpe_trainer gp_bpe_trainer;
GP_API gp_bpe_trainer *gp_bpe_trainer_new(int64_t vocab_size); /* 257 to 1048576, or NULL */
GP_API void gp_bpe_trainer_add(gp_bpe_trainer *b, const char *text, size_t length);
GP_API void gp_bpe_trainer_end(gp_bpe_trainer *b);

/* Frees b. The vocabulary is smaller than asked when the text has no more pairs to merge. NULL when there was no text,
 * or 2 GB of different pieces. */
GP_API gp_tokenizer *gp_bpe_trainer_build(gp_bpe_trainer *b);
GP_API void gp_bpe_trainer_free(gp_bpe_trainer *b);

GP_API void gp_tokenizer_close(gp_tokenizer *t);

GP_API int64_t gp_tokenizer_vocab_size(const gp_tokenizer *t);
GP_API const char *gp_tokenizer_kind(const gp_tokenizer *t); /* "char", "bytes", "bpe" */

/* SHA-256 over the pre-split's name ("char", "bytes", "gpt2": GPT-2's with the classes of Unicode 16.0) and a zero
 * byte, then per id in order u32 length and bytes, then the special ids, u32 each, then settings of a tokenizer.json
 * that give other ids, where it has any: the first 16 bytes. */
GP_API void gp_tokenizer_fingerprint(const gp_tokenizer *t, uint8_t fingerprint[16]);

/* A warning to show, such as that a folder's files disagree; NULL: nothing. Valid until close. */
GP_API const char *gp_tokenizer_warning(const gp_tokenizer *t);

/* The ids that a tokenizer.json puts before and after each text (its post_processor, such as a beginning-of-text
 * token), or NULL and 0. gp_tokenizer_encode leaves them out, as the `tokenizers` package does with
 * add_special_tokens=False. */
GP_API const int32_t *gp_tokenizer_prefix(const gp_tokenizer *t, int64_t *count);
GP_API const int32_t *gp_tokenizer_suffix(const gp_tokenizer *t, int64_t *count);

/* Hugging Face's tokenizer.json, one line, which the `tokenizers` package loads. The caller frees. */
GP_API char *gp_tokenizer_to_json(const gp_tokenizer *t);

/* Writes that to a file, which appears whole. */
GP_API int gp_tokenizer_save(const gp_tokenizer *t, const char *path);

/* Ids of text; the caller frees *ids. Added tokens that are not special are found in it. -1 when the vocabulary lacks a
 * character or a byte (the message has its offset).
 * special: each name of a special token in the text becomes its id, and the text before and after it is encoded
 * separately, as by tiktoken with allowed_special="all" and by transformers by default. Of names that begin at the same
 * position, the longest is taken (tiktoken takes one or another); lstrip, rstrip, single_word and normalized of a
 * tokenizer.json apply. Only for text that nobody else could have written. */
GP_API int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                               int64_t *count);

/* The ids that transformers feeds a model for a text: special tokens' names are these tokens (special false: text), and
 * what gp_tokenizer_prefix and _suffix give stands around them. */
GP_API int gp_tokenizer_encode_whole(const gp_tokenizer *t, const char *text, size_t length, bool special,
                                     int32_t **ids, int64_t *count);

/* The bytes of one id (not a copy), their number in *length; NULL when id is out of range. Those of a special id
 * are its name. */
GP_API const char *gp_tokenizer_bytes(const gp_tokenizer *t, int32_t id, size_t *length);

/* Writes the bytes of `count` ids to text, one after the other, *length of them. Gives the number of ids that were
 * done: it stops before one that is out of range (gp_tokenizer_bytes gives NULL for it) or needs more than what is left
 * of `room`. */
GP_API int64_t gp_tokenizer_decode(const gp_tokenizer *t, const int32_t *ids, int64_t count, char *text, size_t room,
                                   size_t *length);

/* Where the first name of a special token is in text; length where there is none. */
GP_API size_t gp_tokenizer_find_special(const gp_tokenizer *t, const char *text, size_t length);

/* Whether it is a special token or another added one, found in text by its name. */
GP_API bool gp_tokenizer_is_added(const gp_tokenizer *t, int32_t id);

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
/* From here on, what is fed is taken as gp_tokenizer_encode does with special. Call it between texts. */
GP_API void gp_encoder_allow_special(gp_encoder *e);
GP_API int gp_encoder_feed(gp_encoder *e, const char *text, size_t length); /* 0, -1, or what fn returned */
GP_API int gp_encoder_end(gp_encoder *e); /* the text ends here; what is fed next begins another one */
/* Both in one, for the last part of a text or all of it: it need not be looked at as if more came. */
GP_API int gp_encoder_finish(gp_encoder *e, const char *text, size_t length);
GP_API void gp_encoder_close(gp_encoder *e);

#ifdef __cplusplus
}
#endif
#endif
