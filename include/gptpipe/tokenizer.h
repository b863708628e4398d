/* tokenizer.h: text to token ids and back. There are four kinds: char (an id for each character of the text it was
 * built from), bytes (256 ids), byte-level BPE with GPT-2's pre-tokenization, and WordPiece, as BERT has it.
 *
 *     gp_tokenizer *t = gp_tokenizer_open("gpt2");     // or "bytes", a FILE, a DIR
 *     int32_t *ids; int64_t n;
 *     gp_tokenizer_encode(t, "Hello world", 11, false, &ids, &n);   // 15496 995
 *     char text[64]; size_t length;
 *     gp_tokenizer_decode(t, ids, n, text, sizeof text, &length);   // Hello world
 *     free(ids);
 *     gp_tokenizer_close(t);
 *
 * (Sennrich et al. 2016; Radford et al. 2019; Devlin et al. 2019.) Any bytes round-trip, including invalid UTF-8,
 * except by WordPiece, which normalizes text and leaves out its white space. Special tokens are not recognized in text
 * unless requested: a literal <|endoftext|> is text.
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

/* name: "bytes"; "gpt2" (vocab.bpe and encoder.json from $GPTPIPE_DATA, ./data, or the mirror $FETCH_DATA_MIRROR); a
 * tokenizer.json (see docs/formats.md), a vocab.txt or a .tiktoken file, recognized by its content; encoder.json,
 * vocab.bpe, vocab.json or merges.txt, with the matching file in the same folder; or a folder with one of these. The
 * settings of a vocab.txt are those of BertTokenizer and of a tokenizer_config.json in its folder. The ranks of a
 * .tiktoken file are its ids. Its pre-tokenization must be GPT-2's, and <|endoftext|> gets the id after the last rank,
 * or 50256 if that is the only unused one (p50k_base). NULL on failure. A tokenizer is immutable: threads may share
 * it. */
GP_API gp_tokenizer *gp_tokenizer_open(const char *name);

/* Parses the text of a tokenizer.json, which token streams and checkpoints contain. `where` names it in messages. */
GP_API gp_tokenizer *gp_tokenizer_from_json(const char *json, size_t length, const char *where);

/* A char tokenizer: an id for each character (Unicode code point) that occurs, in code point order, then one for each
 * byte that occurs outside valid UTF-8. Each call adds a complete text. */
typedef struct gp_charset gp_charset;
GP_API gp_charset *gp_charset_new(void);
GP_API void gp_charset_add(gp_charset *c, const char *text, size_t length);
GP_API gp_tokenizer *gp_charset_build(gp_charset *c); /* frees c; NULL if there was no text */

/* Trains a byte-level BPE with GPT-2's pre-tokenization (Sennrich et al. 2016):
 *
 *     gp_bpe_trainer *b = gp_bpe_trainer_new(8192);
 *     gp_bpe_trainer_add(b, part, n);       // parts of any size
 *     gp_bpe_trainer_end(b);                // ends a document
 *     gp_tokenizer *t = gp_bpe_trainer_build(b);
 *
 * Id 0 is <|endoftext|>, 1 to 256 are the bytes in the order of GPT-2's alphabet, then come the merges, each of the
 * adjacent pair with the highest count over all pieces (ties: the lower left id, then the lower right id). Ids and
 * merges are those of Hugging Face's tokenizers: BpeTrainer(vocab_size, special_tokens=["<|endoftext|>"],
 * initial_alphabet=ByteLevel.alphabet()) with ByteLevel(add_prefix_space=False), trained from an iterator over the
 * documents (from a file, that package takes each line as a document). Bytes that are not valid UTF-8, which that
 * package does not accept, are counted like others. A literal <|endoftext|> is text.
 *
 * Memory: about 30 bytes for each byte of the distinct pieces. Pieces may be of any length; time is linear in it. */
typedef struct gp_bpe_trainer gp_bpe_trainer;
GP_API gp_bpe_trainer *gp_bpe_trainer_new(int64_t vocab_size); /* NULL if not in 257 to 1048576 */

/* Trains a WordPiece instead (Schuster and Nakajima 2012; Devlin et al. 2019), with the normalization of BERT uncased,
 * or cased: BertNormalizer and BertPreTokenizer. Ids 0 to 4 are [PAD], [UNK], [CLS], [SEP] and [MASK]; then come the
 * 1,000 most frequent characters in code point order, the characters inside words, with "##" in front, and the merges,
 * of pairs that occur twice or more.
 *
 * The vocabulary is one that Hugging Face's tokenizers may make: WordPieceTrainer(vocab_size, limit_alphabet=1000,
 * min_frequency=2, special_tokens=[...]), the settings of BertWordPieceTokenizer.train. That package numbers the
 * characters inside words, and breaks ties by these numbers, in the order of a hash table that differs from run to run;
 * here it is the order in which they occur in the text. */
GP_API gp_bpe_trainer *gp_bpe_trainer_new_wordpiece(int64_t vocab_size, bool cased); /* NULL if above 1048576 */

GP_API void gp_bpe_trainer_add(gp_bpe_trainer *b, const char *text, size_t length);
GP_API void gp_bpe_trainer_end(gp_bpe_trainer *b);

/* Frees b. The vocabulary is smaller than requested if no pairs are left to merge. NULL if there was no text, more than
 * 2 GB of distinct pieces, or more characters than a WordPiece has room for. */
GP_API gp_tokenizer *gp_bpe_trainer_build(gp_bpe_trainer *b);
GP_API void gp_bpe_trainer_free(gp_bpe_trainer *b);

GP_API void gp_tokenizer_close(gp_tokenizer *t);

GP_API int64_t gp_tokenizer_vocab_size(const gp_tokenizer *t);
GP_API const char *gp_tokenizer_kind(const gp_tokenizer *t); /* "char", "bytes", "bpe", "wordpiece" */

/* The first 16 bytes of a SHA-256 over: the name of the pre-tokenization ("char", "bytes", "gpt2" for GPT-2's with
 * Unicode 16.0, or "bert") and a zero byte; for each id in order a u32 length and its bytes; the special ids, u32 each;
 * and any settings of a tokenizer.json that change the ids. */
GP_API void gp_tokenizer_fingerprint(const gp_tokenizer *t, uint8_t fingerprint[16]);

/* A warning to print, such as that files in a folder disagree, or NULL. Valid until close. */
GP_API const char *gp_tokenizer_warning(const gp_tokenizer *t);

/* The ids that the post_processor of a tokenizer.json puts before and after each text, such as a beginning-of-text
 * token, or NULL and 0. gp_tokenizer_encode leaves them out, as the `tokenizers` package does with
 * add_special_tokens=False. */
GP_API const int32_t *gp_tokenizer_prefix(const gp_tokenizer *t, int64_t *count);
GP_API const int32_t *gp_tokenizer_suffix(const gp_tokenizer *t, int64_t *count);

/* The tokenizer as Hugging Face's tokenizer.json, on one line. The caller frees. */
GP_API char *gp_tokenizer_to_json(const gp_tokenizer *t);

/* Writes that to a file, atomically. */
GP_API int gp_tokenizer_save(const gp_tokenizer *t, const char *path);

/* Encodes text; the caller frees *ids. Added tokens that are not special are recognized. -1 if a character or byte is
 * not in the vocabulary (the message has its offset).
 * special: each name of a special token in the text becomes its id, and the text before and after it is encoded
 * separately, as by tiktoken with allowed_special="all" and by transformers by default. Of names that begin at the same
 * position, the longest is taken (tiktoken takes any of them); lstrip, rstrip, single_word and normalized of a
 * tokenizer.json apply. Only for trusted text. */
GP_API int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                               int64_t *count);

/* The ids that transformers feeds to a model for a text: those of gp_tokenizer_encode between gp_tokenizer_prefix and
 * gp_tokenizer_suffix. */
GP_API int gp_tokenizer_encode_whole(const gp_tokenizer *t, const char *text, size_t length, bool special,
                                     int32_t **ids, int64_t *count);

/* The bytes of an id, owned by t, and their number in *length; NULL if id is out of range. Those of a special token are
 * its name; those of a token of WordPiece are as in the vocabulary: "##ing". */
GP_API const char *gp_tokenizer_bytes(const gp_tokenizer *t, int32_t id, size_t *length);

/* Decodes `count` ids into text, a buffer of `capacity` bytes, and sets *length. WordPiece puts spaces between words
 * and removes those before punctuation, as the decoder of `tokenizers` does. Returns the number of ids decoded, which
 * is less than count if an id is out of range (gp_tokenizer_bytes returns NULL for it) or the buffer is full. */
GP_API int64_t gp_tokenizer_decode(const gp_tokenizer *t, const int32_t *ids, int64_t count, char *text,
                                   size_t capacity, size_t *length);

/* The offset of the first name of a special token in text, or length. */
GP_API size_t gp_tokenizer_find_special(const gp_tokenizer *t, const char *text, size_t length);

/* Whether id is an added token, special or not, which is found in text by its name. */
GP_API bool gp_tokenizer_is_added(const gp_tokenizer *t, int32_t id);

/* Whether an added token is not in the vocabulary of the tokenizer's model, and so has an id after it: a language model
 * may have no row for it. transformers' classes of BERT and RoBERTa add what a vocabulary lacks of theirs so ([MASK],
 * ...). */
GP_API bool gp_tokenizer_is_appended(const gp_tokenizer *t, int32_t id);

/* Whether id is a special token, whose name is found in text only on request. */
GP_API bool gp_tokenizer_is_special(const gp_tokenizer *t, int32_t id);

/* Whether id continues the word that the id before it belongs to: of WordPiece, one with the prefix ##; of byte-level
 * BPE, any id but special ones whose bytes do not begin with a space; of char and bytes, none. */
GP_API bool gp_tokenizer_continues_word(const gp_tokenizer *t, int32_t id);

/* The end-of-text id, or -1 (char and bytes have none). That of WordPiece is [SEP], if it has no <|endoftext|>. */
GP_API int32_t gp_tokenizer_end_of_text(const gp_tokenizer *t);

/* The ids of the special tokens named [MASK] or <mask>, and [PAD] or <pad>; of the model's unk_token or, if it names
 * none, [UNK] or <unk>. -1 if there is none. */
GP_API int32_t gp_tokenizer_mask(const gp_tokenizer *t);
GP_API int32_t gp_tokenizer_pad(const gp_tokenizer *t);
GP_API int32_t gp_tokenizer_unknown(const gp_tokenizer *t);

/* Streaming encoder, for text that does not fit in memory. Text is fed in parts of any size; ids are passed to fn as
 * soon as later bytes cannot change them, and are those of a single gp_tokenizer_encode. Memory: a few MB, plus at most
 * 5 times the longest piece that cannot be split (a run of letters, of spaces, ...). */
typedef int gp_ids_fn(void *self, const int32_t *ids, int64_t count); /* not 0: stop, and return that */
typedef struct gp_encoder gp_encoder;

GP_API gp_encoder *gp_encoder_open(const gp_tokenizer *t, gp_ids_fn *fn, void *self);
/* Sets the name and offset of the text that is fed next, for messages (NULL and 0 at first). */
GP_API void gp_encoder_place(gp_encoder *e, const char *name, int64_t offset);
/* From now on encode special tokens as gp_tokenizer_encode does with `special`. Call it between texts. */
GP_API void gp_encoder_allow_special(gp_encoder *e);
GP_API int gp_encoder_feed(gp_encoder *e, const char *text, size_t length); /* 0, -1, or what fn returned */
GP_API int gp_encoder_end(gp_encoder *e);                                   /* ends a text */
/* Feeds the last part of a text, or all of it, and ends it. */
GP_API int gp_encoder_finish(gp_encoder *e, const char *text, size_t length);
GP_API void gp_encoder_close(gp_encoder *e);

#ifdef __cplusplus
}
#endif
#endif
