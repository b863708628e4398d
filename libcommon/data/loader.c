/* loader.c: see loader.h. */
#include "gptpipe/loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/batch.h"
#include "data/mixture.h"
#include "data/order.h"

struct gp_loader {
    gp_source source;
    gp_loader_options o;
    int count;
    gp_order *orders; /* (count) one for each set */
    uint64_t *shares; /* (count) gp_mixture_shares */
};

static int open_sets(gp_loader *l, const gp_stream_set *sets, int count)
{
    const gp_loader_options *o = &l->o;
    int64_t spans = 0;
    if (o->B < 1 || o->T < 1)
        return fail("invalid batch size: %lld rows of %lld tokens", (long long)o->B, (long long)o->T);
    l->orders = gp_calloc((size_t)count, sizeof *l->orders);
    for (int i = 0; i < count; i++) {
        if (gp_order_open(&l->orders[i], o->order, &sets[i], o->T, count > 1 ? 1 : o->B, o->seed, spans))
            return count > 1 ? gp_fail_in("%s", sets[i].name) : -1;
        l->count++;
        spans += sets[i].count;
    }
    l->shares = gp_mixture_shares(sets, count);
    return l->shares ? 0 : -1;
}

void gp_loader_close(gp_loader *l)
{
    if (!l)
        return;
    for (int i = 0; i < l->count; i++)
        gp_order_close(&l->orders[i]);
    free(l->orders);
    free(l->shares);
    free(l);
}

static void close_source(gp_source *self)
{
    gp_loader_close((gp_loader *)self);
}

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    const gp_loader *l = (const gp_loader *)self;
    int64_t T = l->o.T;
    int32_t *in = gp_batch_fill(batch->inputs), *out = gp_batch_fill(batch->targets);
    batch->B = l->o.B;
    batch->T = T;
    for (int64_t b = 0; b < l->o.B; b++, in += T, out += T) {
        gp_place place = gp_loader_place(l, n, b);
        const gp_tokens *tokens = l->orders[place.set].set->spans[place.span].tokens;
        if (gp_tokens_read(tokens, place.start, T, in) || gp_tokens_read(tokens, place.start + T, 1, out + T - 1))
            return -1;
        memcpy(out, in + 1, (size_t)(T - 1) * sizeof *in);
    }
    return 0;
}

gp_loader *gp_loader_open(const gp_stream_set *sets, int count, const gp_loader_options *options)
{
    gp_loader *l = gp_calloc(1, sizeof *l);
    l->o = *options;
    if (open_sets(l, sets, count)) {
        gp_loader_close(l);
        return NULL;
    }
    l->source = (gp_source){.rows = options->B,
                            .tokens = options->B * options->T,
                            .batches = gp_loader_epoch(l) / options->B,
                            .members = GP_BATCH_TARGETS,
                            .fill = fill,
                            .close = close_source};
    return l;
}

gp_source *gp_loader_source(gp_loader *l)
{
    return &l->source;
}

int64_t gp_loader_epoch(const gp_loader *l)
{
    int64_t sum = 0;
    for (int i = 0; i < l->count; i++)
        sum += gp_order_epoch(&l->orders[i]);
    return sum;
}

int gp_loader_unread(const gp_loader *l)
{
    int sum = 0;
    for (int i = 0; i < l->count; i++)
        sum += gp_order_unread(&l->orders[i]);
    return sum;
}

gp_place gp_loader_place(const gp_loader *l, int64_t n, int64_t b)
{
    BUG_ON(n < 0 || b < 0 || b >= l->o.B);
    int64_t row = n * l->o.B + b;
    int set = gp_mixture_deal(l->shares, l->count, &row);
    gp_place place = gp_order_place(&l->orders[set], row);
    place.set = set;
    return place;
}
