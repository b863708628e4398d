/* grammar_bayes.c: the exact limit of classifying the texts of a grammar's two classes; see grammar.h.
 *
 * A text has one derivation, so its likelihood ratio is a product over the choices made, of
 *
 *     (weight[1] / total_weight[1]) / (weight[0] / total_weight[0])
 *
 * which is 1 wherever the weights are the same for both classes. The ratio is a sufficient statistic for the class, and
 * its distribution follows from the rules: that of an alternative is the (multiplicative) convolution of those of the
 * rules that it draws from, scaled by the choice; that of a rule is the sum over its alternatives. Texts of the same
 * ratio are merged, so some dozen values stand for all texts.
 */
#include "fetch/grammar.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_VALUES = 1 << 16 };

typedef struct distribution {
    gp_likelihood_ratio *values;
    int count;
    bool known; /* of a rule: it has been computed */
} distribution;

typedef struct computation {
    const gp_grammar *g;
    distribution *rules; /* one a rule */
} computation;

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* *product = a b, where each is reduced: reduced too. */
static int multiply(gp_likelihood_ratio *product, const gp_likelihood_ratio *a, const gp_likelihood_ratio *b)
{
    uint64_t first = common_divisor(a->numerator, b->denominator),
             second = common_divisor(b->numerator, a->denominator);
    if (__builtin_mul_overflow(a->numerator / first, b->numerator / second, &product->numerator) ||
        __builtin_mul_overflow(a->denominator / second, b->denominator / first, &product->denominator))
        return fail("a likelihood ratio of the grammar has more than 64 bits");
    for (int c = 0; c < GP_GRAMMAR_CLASSES; c++)
        product->p[c] = a->p[c] * b->p[c];
    return 0;
}

/* Adds a value, to the one of the same ratio where there is one. */
static int add(distribution *d, const gp_likelihood_ratio *value)
{
    for (int i = 0; i < d->count; i++) {
        gp_likelihood_ratio *v = &d->values[i];
        if (v->numerator == value->numerator && v->denominator == value->denominator) {
            for (int c = 0; c < GP_GRAMMAR_CLASSES; c++)
                v->p[c] += value->p[c];
            return 0;
        }
    }
    if (d->count == MAX_VALUES)
        return fail("the grammar has more than %d likelihood ratios", MAX_VALUES);
    d->values = gp_grow(d->values, d->count, sizeof *d->values);
    d->values[d->count++] = *value;
    return 0;
}

/* *product = the distribution of the product of two independent ratios. */
static int convolve(distribution *product, const distribution *a, const distribution *b)
{
    gp_likelihood_ratio value;
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++)
            if (multiply(&value, a->values + i, b->values + j) || add(product, &value))
                return -1;
    return 0;
}

static int compute_rule(computation *k, int r);

/* Adds to *sum the distribution of an alternative: its choice, then what its first form draws. */
static int add_alternative(computation *k, const gp_rule *rule, const gp_alternative *a, distribution *sum)
{
    /* The choice as a product of (w1 / w0) and (t0 / t1), each reduced. */
    uint64_t w = common_divisor((uint64_t)a->weight[0], (uint64_t)a->weight[1]),
             t = common_divisor((uint64_t)rule->total_weight[0], (uint64_t)rule->total_weight[1]);
    gp_likelihood_ratio weights = {(uint64_t)a->weight[1] / w, (uint64_t)a->weight[0] / w, {1, 1}},
                        totals = {(uint64_t)rule->total_weight[0] / t, (uint64_t)rule->total_weight[1] / t, {1, 1}},
                        choice;
    if (multiply(&choice, &weights, &totals))
        return -1;
    for (int c = 0; c < GP_GRAMMAR_CLASSES; c++)
        choice.p[c] = (double)a->weight[c] / (double)rule->total_weight[c];
    distribution product = {0};
    int rc = add(&product, &choice);
    for (int i = 0; i < a->form[0].count && !rc; i++) {
        const gp_grammar_piece *p = k->g->pieces + a->form[0].first + i;
        if (p->kind != GP_PIECE_DRAW)
            continue;
        distribution next = {0};
        rc = compute_rule(k, p->rule) || convolve(&next, &product, k->rules + p->rule) ? -1 : 0;
        free(product.values);
        product = next;
    }
    for (int i = 0; i < product.count && !rc; i++)
        rc = add(sum, product.values + i);
    free(product.values);
    return rc;
}

static int compute_rule(computation *k, int r)
{
    const gp_rule *rule = k->g->rules + r;
    distribution *d = k->rules + r;
    if (d->known)
        return 0;
    for (int a = 0; a < rule->count; a++)
        if (add_alternative(k, rule, k->g->alternatives + rule->first + a, d))
            return -1;
    d->known = true;
    return 0;
}

static int compare_ratios(const void *a, const void *b)
{
    const gp_likelihood_ratio *x = a, *y = b;
    __extension__ typedef unsigned __int128 wide;
    wide left = (wide)x->numerator * y->denominator, right = (wide)y->numerator * x->denominator;
    return left < right ? -1 : left > right;
}

int gp_grammar_ratios(const gp_grammar *g, gp_likelihood_ratio **values)
{
    computation k = {g, gp_calloc((size_t)g->rule_count, sizeof(distribution))};
    int count = compute_rule(&k, 0) ? -1 : k.rules[0].count;
    *values = NULL;
    if (count > 0) {
        *values = k.rules[0].values;
        k.rules[0].values = NULL;
        qsort(*values, (size_t)count, sizeof **values, compare_ratios);
    }
    for (int r = 0; r < g->rule_count; r++)
        free(k.rules[r].values);
    free(k.rules);
    return count;
}

int gp_grammar_bayes(const gp_grammar *g, gp_bayes *limit)
{
    gp_likelihood_ratio *values;
    int count = gp_grammar_ratios(g, &values);
    if (count < 0)
        return -1;
    *limit = (gp_bayes){0};
    for (int i = 0; i < count; i++) {
        const double *p = values[i].p, both = p[0] + p[1];
        limit->accuracy += 0.5 * fmax(p[0], p[1]);
        for (int c = 0; c < GP_GRAMMAR_CLASSES; c++)
            limit->loss += 0.5 * p[c] * log(both / p[c]);
    }
    free(values);
    return 0;
}
