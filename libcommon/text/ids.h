/* ids.h: the input and output buffers of encoders. */
#ifndef GP_TEXT_IDS_H
#define GP_TEXT_IDS_H

#include "gptpipe/tokenizer.h"
#include "base/base.h"

enum { GP_IDS = 8192 };

/* An output buffer, passed to fn when it is full. */
typedef struct gp_ids {
    gp_ids_fn *fn;
    void *self;
    int rc; /* the last result of fn */
    int64_t count;
    int32_t ids[GP_IDS];
} gp_ids;

/* Passes the ids to fn, unless an earlier call returned an error. Returns fn's result. */
int gp_ids_flush(gp_ids *o);

/* Makes space for n <= GP_IDS more ids. If the result is not 0, encoding must stop. */
static inline int gp_ids_reserve(gp_ids *o, int64_t n)
{
    return o->count + n <= GP_IDS ? o->rc : gp_ids_flush(o);
}

static inline void gp_ids_put(gp_ids *o, int32_t id)
{
    o->ids[o->count++] = id;
}

/* Input that is fed in parts: the bytes that wait for later ones. */
typedef struct gp_pending {
    gp_buf bytes;
    size_t threshold; /* they are not processed again before there are so many, so that time is linear */
} gp_pending;

/* Processes text that more bytes may follow. Returns how many of the n bytes are done, or -1. */
typedef int64_t gp_process_fn(void *self, const char *text, size_t n);

/* Feeds a part to `process`, after the pending bytes. 0 or -1. */
int gp_pending_feed(gp_pending *p, const char *text, size_t length, gp_process_fn *process, void *self);

#endif
