/* ids.h: where an encoder puts its ids: a small buffer that is handed on when it is full. */
#ifndef GP_TEXT_IDS_H
#define GP_TEXT_IDS_H

#include "gptpipe/tokenizer.h"
#include "base/base.h"

enum { GP_IDS = 8192 };

typedef struct gp_ids {
    gp_ids_fn *fn;
    void *self;
    int rc; /* what fn returned last */
    int64_t count;
    int32_t ids[GP_IDS];
} gp_ids;

/* Hands on what is there. What fn returned; once that is not 0, nothing more is handed on. */
int gp_ids_flush(gp_ids *o);

/* Room for n <= GP_IDS more. Where it is not 0, encoding stops. */
static inline int gp_ids_room(gp_ids *o, int64_t n)
{
    return o->count + n <= GP_IDS ? o->rc : gp_ids_flush(o);
}

static inline void gp_ids_put(gp_ids *o, int32_t id)
{
    o->ids[o->count++] = id;
}

#endif
