/* grammar.h: a weighted grammar whose choices can be repeated by name, and the generation of texts from it.
 *
 * data/stories.grammar explains the notation. A grammar may have two classes of texts (negative and positive reviews),
 * which differ in the weights of some alternatives: data/reviews.grammar. The parsed form is open: the tests walk it to
 * count derivations and to prove that there is only one.
 */
#ifndef GP_FETCH_GRAMMAR_H
#define GP_FETCH_GRAMMAR_H

#include "base/base.h"
#include "gptpipe/reviews.h"

enum { GP_GRAMMAR_FORMS = 6, GP_GRAMMAR_SLOTS = 16, GP_GRAMMAR_CLASSES = 2 };

typedef enum gp_piece_kind { GP_PIECE_TEXT, GP_PIECE_DRAW, GP_PIECE_RECALL } gp_piece_kind;

/* Plain text, or the content of < and >. */
typedef struct gp_grammar_piece {
    gp_piece_kind kind;
    bool capital;     /* the first letter it writes becomes a capital */
    int rule;         /* DRAW */
    int slot;         /* RECALL, and DRAW where the choice is remembered; else -1 */
    int form;         /* RECALL */
    const char *text; /* TEXT; else the inside of the brackets */
    int length;
    int home, line; /* the rule and the line that it belongs to */
} gp_grammar_piece;

typedef struct gp_form {
    int first, count; /* pieces */
} gp_form;

typedef struct gp_alternative {
    int64_t weight[GP_GRAMMAR_CLASSES];
    gp_form form[GP_GRAMMAR_FORMS]; /* as many as the rule has; a choice writes form 0 */
    int line;
} gp_alternative;

typedef struct gp_rule {
    const char *name;
    const char *form_name[GP_GRAMMAR_FORMS];
    int forms;
    int first, count; /* alternatives */
    /* In class c an alternative has probability weight[c] / total_weight[c]. */
    int64_t total_weight[GP_GRAMMAR_CLASSES];
} gp_rule;

typedef struct gp_slot {
    const char *name;
    int rule; /* that fills it */
} gp_slot;

typedef struct gp_grammar {
    char *text; /* which names and texts point into */
    gp_rule *rules;
    gp_alternative *alternatives;
    gp_grammar_piece *pieces;
    int rule_count, alternative_count, piece_count;
    gp_slot slots[GP_GRAMMAR_SLOTS];
    int slot_count;
} gp_grammar;

/* Parses text (`where` names it in messages). Rule 0, the first, is the start. 0 or -1; release either way. */
int gp_grammar_parse(gp_grammar *g, const char *text, const char *where);
void gp_grammar_release(gp_grammar *g);

/* The rule of that name (n bytes), or -1. */
int gp_grammar_rule(const gp_grammar *g, const char *name, size_t n);

/* Generates text number i of `seed` in class c into text (max + 1 bytes, NUL-terminated); returns its length, or -1
 * where it would be longer than max. nats[k] is -log P(text | class k), for both classes. The text depends on the
 * grammar, c, seed and i alone. */
int gp_grammar_draw(const gp_grammar *g, int c, uint64_t seed, int64_t i, char *text, int max,
                    double nats[GP_GRAMMAR_CLASSES]);

/* ---- classification (grammar_bayes.c) -------------------------------------------------------------------- */

/* A value of the likelihood ratio P(text | class 1) / P(text | class 0), a reduced fraction, and the probability in
 * each class that a text has it. */
typedef struct gp_likelihood_ratio {
    uint64_t numerator, denominator;
    double p[GP_GRAMMAR_CLASSES];
} gp_likelihood_ratio;

/* The distribution of the likelihood ratio over the texts of a grammar, whose texts must have one derivation each.
 * Returns the number of its values, sorted by the ratio, into *values, which the caller frees; or -1 where a ratio does
 * not fit 64 bits or there are more than 65536 values. */
int gp_grammar_ratios(const gp_grammar *g, gp_likelihood_ratio **values);

/* The limit of classifying texts of the two classes, each with probability 1/2, summed over ratios r:
 *
 *     accuracy = sum 1/2 max(P(r | 0), P(r | 1))
 *     loss     = sum 1/2 (P(r | 0) log 1/P(0 | r) + P(r | 1) log 1/P(1 | r))
 *
 * 0 or -1, as gp_grammar_ratios. */
int gp_grammar_bayes(const gp_grammar *g, gp_bayes *limit);

#endif
