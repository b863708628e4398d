/* encoding.h: what a model reads for a text or a pair of texts: ids with the special tokens that the tokenizer puts
 * around them, token types, truncation; and where in the text each token is.
 *
 *     int32_t ids[512], types[512];
 *     int64_t n = gp_tokenizer_assemble(t, a, na, b, nb, 512, GP_TRUNCATE_HEAD, ids, types);
 *     // BERT: [CLS] a [SEP] b [SEP], types 0 0 0 1 1
 */
#ifndef GPTPIPE_ENCODING_H
#define GPTPIPE_ENCODING_H

#include "gptpipe/choice.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What remains of a text that is too long: none (too long is an error), its head, or its head and its tail. Head and
 * tail (Sun et al. 2019, How to Fine-Tune BERT for Text Classification, 5.1) are a quarter of the tokens that remain,
 * rounded up, and the rest: with two special tokens, 128 and 382 of BERT's 512. */
/* clang-format off */
#define GP_TRUNCATIONS(X) X(GP_TRUNCATE_NONE, "none") X(GP_TRUNCATE_HEAD, "head") X(GP_TRUNCATE_HEAD_TAIL, "head+tail")
/* clang-format on */
typedef enum gp_truncation { GP_TRUNCATIONS(GP_CHOICE_VALUE) } gp_truncation;

/* ids (max) and types (max; may be NULL) of what a model reads for text a (na ids), or the pair a, b (nb ids; b NULL:
 * no pair): the texts between the special tokens of the post_processor, and the types that it gives them. Without a
 * post_processor a pair is the two texts, of types 0 and 1, as in `tokenizers`.
 *
 * What is longer than max is truncated. Of a pair, the longer text is cut until both are equally long, then both: the
 * lengths are those of transformers' fast tokenizers with truncation="longest_first" (truncation.rs of `tokenizers`;
 * when both are cut to an odd sum, the longer text, or the second of equal ones, keeps one token more).
 *
 * Returns the number of ids; -1 with a message if they are more than max and `how` is GP_TRUNCATE_NONE, if max has no
 * room for the special tokens, or if the post_processor's template is for single texts only. */
GP_API int64_t gp_tokenizer_assemble(const gp_tokenizer *t, const int32_t *a, int64_t na, const int32_t *b, int64_t nb,
                                     int64_t max, gp_truncation how, int32_t *ids, int32_t *types);

/* gp_tokenizer_encode with where in the text each token is: from byte offsets[2 i] to offsets[2 i + 1]. The caller
 * frees *ids and *offsets. They are the offsets of the `tokenizers` package, in bytes: a token that has a part of a
 * character has the offsets of all of it; those of added tokens include the white space that they strip; and where
 * the post_processor says so (trim_offsets), spaces at the ends of a token are left out. */
GP_API int gp_tokenizer_encode_offsets(const gp_tokenizer *t, const char *text, size_t length, bool special,
                                       int32_t **ids, int64_t **offsets, int64_t *count);

#ifdef __cplusplus
}
#endif
#endif
