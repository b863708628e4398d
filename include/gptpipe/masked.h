/* masked.h: windows of tokens with some of them masked, for masked language modelling (Devlin et al. 2018, 3.1).
 *
 *     gp_masking how = gp_masking_defaults();
 *     gp_loader_options o = {.B = 12, .T = 128 - gp_masked_affixes(t), .order = GP_ORDER_RANDOM, .seed = 1};
 *     gp_loader *l = gp_loader_open(&set, 1, &o);
 *     gp_source *s = gp_masked_open(gp_loader_source(l), t, &how); // rows of 128 tokens
 *     gp_batch batch = gp_batch_open(s);
 *     gp_source_fill(s, 0, &batch);      // batch.targets[i] is what stood at batch.inputs[i], or -100: not masked
 *     gp_batch_close(&batch);
 *     gp_source_close(s);
 *     gp_loader_close(l);
 *
 * A row is a window between the ids that the tokenizer puts around a text ([CLS] and [SEP]; <s> and </s>). Of its n
 * eligible tokens, which are all but special and added ones, k = max(1, round(probability * n)) are targets, every set
 * of k being equally likely. A target becomes the mask token with probability mask_replace, any eligible id of the
 * vocabulary with probability random_replace, and stays as it is otherwise: 80%, 10% and 10% by default.
 *
 * whole_words: words are drawn, as in BERT's create_pretraining_data.py and transformers' DataCollatorForWholeWordMask.
 * In a random order, a word whose tokens do not make more than k targets is masked with all its tokens; so a row has k
 * targets or a few less, but at least one word. What a word is, gp_tokenizer_continues_word says.
 *
 * A row without eligible tokens has no target. Masks are a function of (seed, row number n * B + b), so they are the
 * same in micro-batches of any size, and those of a resumed run. */
#ifndef GPTPIPE_MASKED_H
#define GPTPIPE_MASKED_H

#include <stdbool.h>
#include <stdint.h>

#include "gptpipe/batch.h"
#include "gptpipe/loader.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_masking {
    uint64_t seed;
    double probability;                  /* transformers' mlm_probability: 0.15 */
    double mask_replace, random_replace; /* mask_replace_prob, random_replace_prob: 0.8 and 0.1; at most 1 together */
    bool whole_words;
} gp_masking;

GP_API gp_masking gp_masking_defaults(void); /* seed 0 */

/* Number of ids that t puts before and after a row. */
GP_API int64_t gp_masked_affixes(const gp_tokenizer *t);

/* A source of inputs and targets. inner gives rows of equal length, without types or lengths; the caller owns it and
 * the tokenizer, and both must outlive the source. NULL if t has no mask token or no id that could be masked, or the
 * probabilities are out of range. */
GP_API gp_source *gp_masked_open(const gp_source *inner, const gp_tokenizer *t, const gp_masking *how);

/* The entropy of single tokens, -sum p log p in nats over the ids that a source of gp_masked_open can mask, where p is
 * the frequency of an id among those in the sets, each set counted by its weight if there are several. A model that
 * knows nothing but these frequencies has this loss; one that reads the tokens around a mask is below it. Of a set of
 * more than 2^24 tokens, pieces of 2^16 tokens at even distances are counted, at most 2^24 tokens. 0, or -1 where a
 * stream cannot be read. */
GP_API int gp_masked_entropy(const gp_source *masked, const gp_stream_set *sets, int count, double *nats);

#ifdef __cplusplus
}
#endif
#endif
