/* template.h: the tokens that a post_processor puts around a text or a pair of texts, and the types of all tokens. */
#ifndef GP_TEXT_TEMPLATE_H
#define GP_TEXT_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

/* Stands for a text in place of an id. */
enum { GP_TEMPLATE_A = -1, GP_TEMPLATE_B = -2 };

typedef struct gp_template_token {
    int32_t id; /* of a token, or GP_TEMPLATE_A, GP_TEMPLATE_B */
    int32_t type;
} gp_template_token;

typedef struct gp_template_list {
    gp_template_token *tokens;
    int64_t count;
} gp_template_list;

void gp_template_list_add(gp_template_list *l, int32_t id, int32_t type);

/* Without tokens: a text alone has type 0; the second text of a pair follows the first, and has type 1. */
typedef struct gp_template {
    gp_template_list single, pair; /* each text once; pair has no tokens if it is not known */
    int64_t second;                /* for gp_template_wrap: the tokens of pair from here on belong to B; 0: not known */
    int32_t *before, *after;       /* the ids of single, around A */
    int64_t before_count, after_count;
} gp_template;

/* How a post_processor changes the offsets of tokens of a byte-level BPE (tokenizers: process_offsets in
 * byte_level.rs). */
typedef struct gp_trim {
    bool spaces;       /* a token's offsets leave out spaces at its ends */
    bool keeps_prefix; /* but not a single space at the start of the first token */
} gp_trim;

/* Token i of those of single, then those of pair. */
static inline const gp_template_token *gp_template_at(const gp_template *t, int64_t i)
{
    return i < t->single.count ? &t->single.tokens[i] : &t->pair.tokens[i - t->single.count];
}

/* Puts another template around t, where a later processor of a sequence adds to what an earlier one gave. (In
 * `tokenizers` the earlier one must be BertProcessing or RobertaProcessing: pair is not known after another.) */
void gp_template_wrap(gp_template *t, const gp_template *outer);

/* Of an empty t: BERT's  cls A sep  and  cls A:0 sep:0 B:1 sep:1;  RoBERTa's  cls A sep sep B sep,  all of type 0. */
void gp_template_cls_sep(gp_template *t, int32_t cls, int32_t sep, bool roberta);

/* Of an empty t, as transformers does with add_bos_token and add_eos_token: bos and eos, unless -1, around each text,
 * with its type. */
void gp_template_bos_eos(gp_template *t, int32_t bos, int32_t eos);

void gp_template_release(gp_template *t);

#endif
