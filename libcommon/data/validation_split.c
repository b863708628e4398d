/* validation_split.c: where training data ends and validation data begins, in tokens: in one stream (gp_tokens_split),
 * and in every set of a mixture (--val-fraction of train). tokenize splits texts: corpus/validation_split.c. */
#include <math.h>
#include <string.h>

#include "data/mixture.h"

int64_t gp_tokens_split(const gp_tokens *s, double fraction)
{
    const gp_tokens_info *info = gp_tokens_get_info(s);
    int64_t n = info->count, documents = info->documents;
    if (!(fraction > 0 && fraction < 1))
        return fail("a validation fraction of %g is not between 0 and 1", fraction);
    int64_t at = (int64_t)llround((1 - fraction) * (double)n);
    if (documents) {
        int64_t low = 0; /* the first document that starts at or after `at` */
        GP_LOWER_BOUND(low, documents, i, gp_tokens_document(s, i) < at);
        if (low && at - gp_tokens_document(s, low - 1) < gp_tokens_document(s, low) - at)
            low--;
        low = gp_max(1, gp_min(low, documents - 1));
        at = gp_tokens_document(s, low);
    }
    if (at < 1 || at >= n)
        return fail("%s: its %lld tokens in %lld document%s cannot be split into %g for training and %g for "
                    "validation; give a separate validation stream",
                    info->name, (long long)n, (long long)(documents ? documents : 1),
                    gp_plural(documents ? documents : 1), 1 - fraction, fraction);
    return at;
}

/* How many tokens of one stream among several go to training, about `target`. A stream that cannot be divided goes to
 * the side that would get the larger part of it. */
static int64_t split_span(const gp_span *span, int64_t target)
{
    int64_t count = span->last - span->first;
    if (target <= 0 || target >= count)
        return gp_max(0, gp_min(target, count));
    int64_t split = gp_tokens_split(span->tokens, 1 - (double)target / (double)count);
    return split >= 0 ? split : target < count - target ? 0 : count;
}

static int hold_out(gp_stream_set *set, double fraction, gp_stream_set *held)
{
    int64_t target = (int64_t)llround((1 - fraction) * (double)gp_stream_set_tokens(set));
    int count = set->count;
    held->spans = gp_calloc((size_t)count, sizeof *held->spans);
    for (int i = 0; i < count; i++) {
        gp_span *span = &set->spans[i];
        int64_t length = span->last - span->first;
        int64_t split = count == 1 ? gp_tokens_split(span->tokens, fraction) : split_span(span, target);
        if (split < 0)
            return -1;
        if (split < length)
            held->spans[held->count++] = (gp_span){span->tokens, span->first + split, span->last};
        span->last = span->first + split;
        if (!split)
            set->count = (int)gp_min(set->count, i);
        target -= length;
    }
    if (!set->count || !held->count)
        return fail("%s: it cannot be split into %g for training and %g for validation", set->name, 1 - fraction,
                    fraction);
    return 0;
}

int gp_mixture_hold_out(gp_mixture *m, double fraction, gp_mixture *held)
{
    *held = (gp_mixture){.sets = gp_calloc((size_t)m->count, sizeof *held->sets)};
    for (int i = 0; i < m->count; i++) {
        gp_stream_set *set = &held->sets[held->count++];
        set->name = gp_strdup(m->sets[i].name);
        if (hold_out(&m->sets[i], fraction, set))
            return -1;
    }
    return 0;
}
