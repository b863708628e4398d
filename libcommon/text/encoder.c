/* encoder.c: text in parts of any size, ids out; and all at once. */
#include <stdlib.h>
#include <string.h>

#include "text/specials.h"
#include "text/text.h"

int gp_ids_flush(gp_ids *o)
{
    if (!o->rc && o->count)
        o->rc = o->fn(o->self, o->ids, o->count);
    o->count = 0;
    return o->rc;
}

struct gp_encoder {
    const gp_tokenizer *t;
    gp_bpe_state state;
    gp_buf pending; /* bytes whose ids later bytes may change */
    size_t wanted;  /* a long one is not looked at again before it has doubled: linear time */
    int64_t offset; /* of the first byte that is not done, for messages */
    const char *name;
    gp_specials specials; /* those that are looked for in text; none at first */
    gp_ids out;
};

gp_encoder *gp_encoder_open(const gp_tokenizer *t, gp_ids_fn *fn, void *self)
{
    gp_encoder *e = gp_calloc(1, sizeof *e);
    e->t = t;
    e->out.fn = fn;
    e->out.self = self;
    if (t->kind == GP_KIND_BPE)
        gp_bpe_state_init(&e->state);
    return e;
}

void gp_encoder_close(gp_encoder *e)
{
    if (!e)
        return;
    gp_bpe_state_release(&e->state);
    gp_buf_release(&e->pending);
    gp_specials_release(&e->specials);
    free(e);
}

void gp_encoder_allow_special(gp_encoder *e)
{
    gp_specials_release(&e->specials);
    gp_specials_init(&e->specials, &e->t->vocab);
}

/* How many of the n bytes, in which no special token is looked for, are done, or -1. */
static int64_t encode_plain(gp_encoder *e, const char *text, size_t n, bool more)
{
    const uint8_t *p = (const uint8_t *)text;
    int64_t done = e->t->kind == GP_KIND_BPE ? gp_bpe_encode(&e->t->bpe, &e->state, p, n, more, &e->out)
                                             : gp_chars_encode(&e->t->chars, p, n, more, e->offset, &e->out);
    e->offset += done > 0 ? done : 0;
    return done;
}

/* How many of the n bytes are done, or -1. A special token ends the text before it, and another one begins behind
 * it. */
static int64_t encode(gp_encoder *e, const char *text, size_t n, bool more)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0;
    while (e->specials.count) {
        int32_t id;
        size_t length, plain = gp_specials_find(&e->specials, p + at, n - at, more, &id, &length);
        int64_t done = encode_plain(e, text + at, plain, more && id < 0);
        if (done < 0)
            return -1;
        if (id < 0)
            return (int64_t)at + done;
        if (gp_ids_room(&e->out, 1))
            return -1;
        gp_ids_put(&e->out, id);
        e->offset += (int64_t)length;
        at += plain + length;
    }
    return encode_plain(e, text, n, more);
}

static int failed(const gp_encoder *e)
{
    if (e->out.rc)
        return e->out.rc;
    return e->name ? gp_fail_in(e->name) : -1;
}

void gp_encoder_place(gp_encoder *e, const char *name, int64_t offset)
{
    e->name = name;
    e->offset = offset - (int64_t)e->pending.len;
}

int gp_encoder_feed(gp_encoder *e, const char *text, size_t length)
{
    while (length) {
        size_t n = length;
        if (!e->pending.len) { /* straight from the caller's bytes */
            int64_t done = encode(e, text, n, true);
            if (done < 0)
                return failed(e);
            gp_buf_add(&e->pending, text + done, n - (size_t)done);
            e->wanted = e->pending.len < 4096 ? 0 : 2 * e->pending.len;
        } else {
            n = n < 1 << 18 ? n : 1 << 18;
            gp_buf_add(&e->pending, text, n);
            if (e->pending.len >= e->wanted) {
                int64_t done = encode(e, e->pending.data, e->pending.len, true);
                if (done < 0)
                    return failed(e);
                e->pending.len -= (size_t)done;
                memmove(e->pending.data, e->pending.data + done, e->pending.len);
                e->wanted = e->pending.len < 4096 ? 0 : 2 * e->pending.len;
            }
        }
        text += n;
        length -= n;
    }
    return 0;
}

static int finish(gp_encoder *e, const char *text, size_t length)
{
    if (encode(e, text, length, false) < 0 || gp_ids_flush(&e->out))
        return failed(e);
    e->pending.len = 0;
    e->offset = 0;
    return 0;
}

int gp_encoder_end(gp_encoder *e)
{
    return finish(e, e->pending.data, e->pending.len);
}

int gp_encoder_finish(gp_encoder *e, const char *text, size_t length)
{
    if (!e->pending.len)
        return finish(e, text, length);
    int rc = gp_encoder_feed(e, text, length);
    return rc ? rc : gp_encoder_end(e);
}

/* ---- all at once ----------------------------------------------------------------------------- */

typedef struct grown {
    int32_t *ids;
    int64_t count, capacity;
} grown;

static int collect(void *self, const int32_t *ids, int64_t count)
{
    grown *g = self;
    if (g->count + count > g->capacity) {
        g->capacity = gp_max(g->count + count, g->capacity + g->capacity / 2);
        g->ids = gp_realloc(g->ids, (size_t)g->capacity, sizeof *g->ids);
    }
    memcpy(g->ids + g->count, ids, (size_t)count * sizeof *ids);
    g->count += count;
    return 0;
}

static int encode_all(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                      int64_t *count)
{
    grown g = {.ids = gp_malloc(0)};
    gp_encoder *e = gp_encoder_open(t, collect, &g);
    if (special)
        gp_encoder_allow_special(e);
    int rc = encode(e, text, length, false) < 0 || gp_ids_flush(&e->out) ? -1 : 0;
    gp_encoder_close(e);
    if (rc) {
        free(g.ids);
        return rc;
    }
    *ids = g.ids;
    *count = g.count;
    return 0;
}

int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, int32_t **ids, int64_t *count)
{
    return encode_all(t, text, length, false, ids, count);
}

int gp_tokenizer_encode_special(const gp_tokenizer *t, const char *text, size_t length, int32_t **ids,
                                int64_t *count)
{
    return encode_all(t, text, length, true, ids, count);
}
