/* top.c: the most likely ids of a row of logits. */
#include <math.h>
#include <stdlib.h>

#include "model/model.h"

static double log_sum(const float *logits, int64_t V)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++)
        max = logits[v] > max ? logits[v] : max;
    for (int64_t v = 0; v < V; v++)
        sum += exp(logits[v] - max);
    return max + log(sum);
}

static bool is_before(const gp_token_logprob *a, const gp_token_logprob *b)
{
    return a->log_p > b->log_p || (a->log_p == b->log_p && a->id < b->id);
}

static int compare(const void *a, const void *b)
{
    return is_before(b, a) - is_before(a, b);
}

/* Many: sorts all of them, as inserting would be quadratic. */
static void sort_all(const float *logits, double sum, const int32_t *from, int64_t count, gp_token_logprob *top,
                     int64_t n)
{
    gp_token_logprob *all = gp_calloc((size_t)count, sizeof *all);
    for (int64_t i = 0; i < count; i++) {
        int32_t id = from ? from[i] : (int32_t)i;
        all[i] = (gp_token_logprob){id, logits[id] - sum};
    }
    qsort(all, (size_t)count, sizeof *all, compare);
    for (int64_t i = 0; i < n; i++)
        top[i] = all[i];
    free(all);
}

void gp_find_top(const float *logits, int64_t V, const int32_t *from, int64_t count, gp_token_logprob *top, int64_t n)
{
    enum { INSERTED = 64 };
    double sum = log_sum(logits, V);
    int64_t found = 0;
    count = from ? count : V;
    if (n > INSERTED) {
        sort_all(logits, sum, from, count, top, n);
        return;
    }
    for (int64_t k = 0; k < count; k++) {
        int32_t id = from ? from[k] : (int32_t)k;
        gp_token_logprob new = {id, logits[id] - sum};
        if (found == n && !is_before(&new, &top[n - 1]))
            continue;
        int64_t i = found < n ? found++ : n - 1;
        for (; i > 0 && is_before(&new, &top[i - 1]); i--)
            top[i] = top[i - 1];
        top[i] = new;
    }
}
