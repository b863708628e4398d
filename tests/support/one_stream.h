/* one_stream.h: a loader over a part of one token stream. */
#ifndef ONE_STREAM_H
#define ONE_STREAM_H

#include "gptpipe/loader.h"

/* Over tokens [first, last); last 0: to the end. Sets outlive their loaders, so those of the last eight stay. */
static inline gp_loader *open_range(const gp_tokens *tokens, int64_t first, int64_t last, const gp_loader_options *o)
{
    static struct {
        gp_span span;
        gp_stream_set set;
    } all[8];
    static int next;
    int i = next++ % 8;
    all[i].span = (gp_span){tokens, first, last ? last : gp_tokens_get_info(tokens)->count};
    all[i].set = (gp_stream_set){.name = "stream", .spans = &all[i].span, .count = 1};
    return gp_loader_open(&all[i].set, 1, o);
}

static inline gp_loader *open_stream(const gp_tokens *tokens, const gp_loader_options *o)
{
    return open_range(tokens, 0, 0, o);
}

static inline int64_t start_of(const gp_loader *l, int64_t n, int64_t b)
{
    return gp_loader_place(l, n, b).start;
}

/* Micro-batch n into arrays of (B,T). */
static inline int read_batch(gp_loader *l, int64_t n, int32_t *inputs, int32_t *targets)
{
    return gp_source_fill(gp_loader_source(l), n, &(gp_batch){.inputs = inputs, .targets = targets});
}

#endif
