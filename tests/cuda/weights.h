/* weights.h: weights for tests of both sides (sides.h), opened and with their slots filled. */
#ifndef GPTPIPE_WEIGHTS_H
#define GPTPIPE_WEIGHTS_H

#include "sides.h"

typedef struct pair_weight {
    gp_weight on[SIDES];
} pair_weight;

/* To be called again when the numbers have changed. */
static inline void weight_tell(sides *s, pair_weight *w)
{
    for (int k = 0; k < SIDES; k++) {
        gp_weight *list = &w->on[k];
        OP(s, k, weights_changed, &list, 1);
    }
}

static inline void weight_open(sides *s, pair_weight *w, const pair *numbers, const pair *bias, bool transposed)
{
    for (int k = 0; k < SIDES; k++) {
        w->on[k] = (gp_weight){
            .w = numbers->on[k], .bias = bias ? &bias->on[k] : NULL, .transposed = transposed, .trains = true};
        OP(s, k, weight_open, &w->on[k], 8);
        size_t bytes = OP(s, k, weight_bytes, &w->on[k]);
        w->on[k].slot = bytes ? sides_take(s, k, bytes) : NULL;
    }
    weight_tell(s, w);
}

static inline void weight_close(sides *s, pair_weight *w)
{
    for (int k = 0; k < SIDES; k++)
        OP(s, k, weight_close, &w->on[k]);
}

#endif
