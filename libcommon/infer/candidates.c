/* candidates.c: how likely a token was, and which were the likeliest. */
#include "infer/generate.h"

#include <math.h>

gp_token_logprob gp_log_probability(const float *logits, int64_t V, int32_t id, gp_token_logprob *top, int64_t most,
                                    int64_t vocab)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++)
        max = logits[v] > max ? logits[v] : max;
    for (int64_t v = 0; v < V; v++)
        sum += exp(logits[v] - max);
    double log_sum = max + log(sum);
    int64_t n = 0; /* of top, filled; the lower id goes first among equals */
    for (int64_t v = 0; v < vocab; v++) {
        double log_p = logits[v] - log_sum;
        if (n == most && (!n || !(log_p > top[n - 1].log_p)))
            continue;
        int64_t i = n < most ? n++ : n - 1;
        for (; i > 0 && log_p > top[i - 1].log_p; i--)
            top[i] = top[i - 1];
        top[i] = (gp_token_logprob){(int32_t)v, log_p};
    }
    return (gp_token_logprob){id, logits[id] - log_sum};
}
