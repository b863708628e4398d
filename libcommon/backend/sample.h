/* sample.h: what the host's backends share when they draw tokens. Weights are integers, whose sums do not depend on the
 * order in which they are added; so plain loops and vectors draw the same ids. Files that include this are compiled
 * without contraction of products and sums (-ffp-contract=off), for the same bits of a weight. */
#ifndef GP_BACKEND_SAMPLE_H
#define GP_BACKEND_SAMPLE_H

#include <math.h>
#include <string.h>

#include "backend/backend.h"

/* Weights of a row's ids: exp((logit - max) / temperature) in fixed point. */
typedef struct gp_draw_weights {
    double max;    /* the largest logit */
    double rate;   /* log2(e) / temperature */
    double one;    /* a weight of 1: a power of two, for which no sum of a row overflows and a weight has 51 bits */
    int64_t least; /* min_p: smaller weights are 0 */
} gp_draw_weights;

static inline gp_draw_weights gp_draw_weights_of(double max, double temperature, double min_p, int64_t count)
{
    int bits = 0;
    while (INT64_C(1) << bits < count)
        bits++;
    double one = ldexp(1, bits > 11 ? 62 - bits : 51);
    return (gp_draw_weights){max, 1.4426950408889634 / temperature, one, (int64_t)ceil(min_p * one)};
}

/* round(2^y one), y = (logit - max) rate; 0 below one 2^-64 and for NaN. y = n + f with |f| <= 1/2; 2^f by a Chebyshev
 * polynomial (4e-14), exactly 1 at 0; 2^n by its exponent bits. */
static inline int64_t gp_draw_weight(const gp_draw_weights *w, double logit)
{
    const double round = 0x1.8p52, whole = 0x1p52; /* adding them leaves an integer in the low bits */
    double y = (logit - w->max) * w->rate, power, x;
    int64_t n, bits;
    y = y >= -64 ? y : -64;
    double shifted = y + round, f = y - (shifted - round);
    double q = 0x1.b63880a30e9ffp-24;
    q = q * f + 0x1.63d136366db24p-20;
    q = q * f + 0x1.ffcb9515a8016p-17;
    q = q * f + 0x1.4308ac85aa947p-13;
    q = q * f + 0x1.5d87fe86fe88ep-10;
    q = q * f + 0x1.3b2ab7181b755p-7;
    q = q * f + 0x1.c6b08d7047e52p-5;
    q = q * f + 0x1.ebfbdff823cedp-3;
    q = q * f + 0x1.62e42fefa39efp-1;
    memcpy(&n, &shifted, sizeof n);
    n = (int64_t)((uint64_t)(n + 1023) << 52);
    memcpy(&power, &n, sizeof power);
    x = (1 + f * q) * power * w->one + whole;
    memcpy(&bits, &x, sizeof bits);
    return bits & ((INT64_C(1) << 52) - 1);
}

/* The weight, or 0 if it is below min_p. */
static inline int64_t gp_draw_weight_kept(const gp_draw_weights *w, double logit)
{
    int64_t weight = gp_draw_weight(w, logit);
    return weight < w->least ? 0 : weight;
}

/* top_p: ids are kept until their weights reach this, of a positive total. */
static inline int64_t gp_draw_share(double top_p, int64_t total)
{
    double share = ceil(top_p * (double)total);
    return share < 1 ? 1 : share < (double)total ? (int64_t)share : total;
}

/* Inverse transform sampling: the id at which the cumulative weights reach this is drawn. */
static inline int64_t gp_draw_place(double uniform, int64_t total)
{
    int64_t passed = (int64_t)(uniform * (double)total);
    return passed < total ? passed + 1 : total;
}

/* The logit of an id that the row has. */
static inline float gp_sample_penalized(const gp_sample_op *op, double logit)
{
    return (float)(logit < 0 ? logit * op->penalty : logit / op->penalty);
}

/* The place of row b's draw among those that go to the host. */
static inline int64_t gp_sample_place(const gp_sample_op *op, int64_t b)
{
    return b * op->ring + op->positions[b] % op->ring;
}

/* Stores row b's draw, and prepares the row's next step. V: columns of the logits. */
static inline void gp_sample_finish(const gp_sample_op *op, int64_t b, int64_t V, const gp_draw *draw)
{
    op->draws[gp_sample_place(op, b)] = *draw;
    op->ids[b] = draw->id < 0 ? 0 : draw->id;
    op->positions[b]++;
    op->places[b] += op->places[b] < op->last_place;
    if (op->seen && draw->id >= 0)
        op->seen[b * V + draw->id] = 1;
}

#endif
