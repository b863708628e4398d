/* encoder.c: text in parts of any size, ids out; and all at once. */
#include <stdlib.h>
#include <string.h>

#include "text/names.h"
#include "text/text.h"

int gp_ids_flush(gp_ids *o)
{
    if (!o->rc && o->count)
        o->rc = o->fn(o->self, o->ids, o->count);
    o->count = 0;
    return o->rc;
}

/* Names are looked for in all of the text; then others between them. What is known where the bytes that are pending
 * begin: */
typedef struct level {
    gp_names names;
    bool word_before; /* behind a word's character */
    size_t taken;     /* so many of them are done; more of them may begin a name */
    size_t passed;    /* no name begins in so many of them */
} level;

enum { LEVELS = 2 };

struct gp_encoder {
    const gp_tokenizer *t;
    gp_bpe_state state;
    gp_buf pending; /* bytes whose ids later bytes may change */
    size_t wanted;  /* a long one is not looked at again before it has doubled: linear time */
    int64_t offset; /* of the first byte that is not done, for messages */
    const char *name;
    bool allow_special;
    bool inside; /* the text between two names has begun: no space is put in front */
    level levels[LEVELS];
    gp_ids out;
};

/* Which names are looked for: all where those of special tokens are allowed; else those of other added tokens, and
 * special ones because they hide them. */
static void look_for(gp_encoder *e)
{
    const gp_vocab *v = &e->t->vocab;
    for (int k = 0; k < LEVELS; k++)
        gp_names_release(&e->levels[k].names);
    if (!e->allow_special && !e->t->adds)
        return;
    gp_names_init(&e->levels[0].names, v, GP_TOKEN_LATER, 0);
    gp_names_init(&e->levels[1].names, v, GP_TOKEN_LATER, GP_TOKEN_LATER);
}

gp_encoder *gp_encoder_open(const gp_tokenizer *t, gp_ids_fn *fn, void *self)
{
    gp_encoder *e = gp_calloc(1, sizeof *e);
    e->t = t;
    e->out.fn = fn;
    e->out.self = self;
    if (t->kind == GP_KIND_BPE)
        gp_bpe_state_init(&e->state);
    look_for(e);
    return e;
}

void gp_encoder_close(gp_encoder *e)
{
    if (!e)
        return;
    gp_bpe_state_release(&e->state);
    gp_buf_release(&e->pending);
    for (int k = 0; k < LEVELS; k++)
        gp_names_release(&e->levels[k].names);
    free(e);
}

void gp_encoder_allow_special(gp_encoder *e)
{
    e->allow_special = true;
    look_for(e);
}

/* A byte that a BPE's vocabulary lacks, and that nothing stands for. */
static int lacks(const gp_encoder *e, uint8_t byte, int64_t at)
{
    const char *unknown = e->t->bpe.lacking.name;
    return fail("byte 0x%02x at offset %lld is not in the vocabulary%s%s; this tokenizer cannot encode all text", byte,
                (long long)at, unknown ? ", nor is its unk_token " : "", unknown ? unknown : "");
}

/* How many of the n bytes, in which no name is looked for, are done, or -1. at: their offset, for messages. */
static int64_t encode_plain(gp_encoder *e, const uint8_t *p, size_t n, bool more, int64_t at)
{
    if (e->t->kind != GP_KIND_BPE)
        return gp_chars_encode(&e->t->chars, p, n, more, at, &e->out);
    int64_t done = gp_bpe_encode(&e->t->bpe, &e->state, p, n, more, &e->out);
    if (e->state.lacks >= 0)
        lacks(e, p[e->state.lacks], at + e->state.lacks);
    e->state.lacks = -1;
    return done;
}

/* The same with the space that is put in front of a text that does not begin with one. */
static int64_t encode_between(gp_encoder *e, const uint8_t *p, size_t n, bool more, int64_t at)
{
    if (!n)
        return 0;
    if (!e->t->prefix_space || e->inside || *p == ' ') {
        e->inside = true;
        return encode_plain(e, p, n, more, at);
    }
    gp_buf text = {0};
    gp_buf_add(&text, " ", 1);
    gp_buf_add(&text, p, n);
    int64_t done = encode_plain(e, (const uint8_t *)text.data, text.len, more, at - 1);
    gp_buf_release(&text);
    e->inside = done > 0;
    return done > 0 ? done - 1 : done;
}

static int put_id(gp_encoder *e, int32_t id)
{
    if (gp_ids_room(&e->out, 1))
        return -1;
    gp_ids_put(&e->out, id);
    return 0;
}

/* What levels k and below know is of a text that has ended. */
static void begin_text(gp_encoder *e, int k)
{
    for (; k < LEVELS; k++)
        e->levels[k] = (level){.names = e->levels[k].names};
    e->inside = false;
}

/* How many of the n bytes, in which names of levels k and below are looked for, are done, or -1. */
static int64_t encode_level(gp_encoder *e, int k, const uint8_t *p, size_t n, bool more, int64_t offset)
{
    if (k == LEVELS)
        return encode_between(e, p, n, more, offset);
    level *l = &e->levels[k];
    if (!p) /* an empty text: nothing is added to NULL */
        p = (const uint8_t *)"";
    /* names are looked for from `from` on, what is before `at` is done */
    size_t from = l->passed < n ? l->passed : n, at = l->taken < n ? l->taken : n, end;
    if (!l->names.count)
        return encode_level(e, k + 1, p, n, more, offset);
    for (;;) {
        int32_t id;
        size_t length, found = from + gp_names_find(&l->names, p + from, n - from, more, &id, &length);
        size_t begin = end = found;
        gp_match match = GP_UNDECIDED;
        if (id >= 0) {
            end = found + length;
            match = e->t->vocab.flags[id] & GP_TOKEN_SPECIAL && !e->allow_special
                        ? GP_NO_MATCH
                        : gp_names_check(&l->names, id, p, n, more, l->word_before, at, &begin, &end);
        }
        if (match == GP_NO_MATCH) {
            from = found + length;
            continue;
        }
        if (match == GP_UNDECIDED) {
            end = found;
            break;
        }
        if (begin > at) {
            if (encode_level(e, k + 1, p + at, begin - at, false, offset + (int64_t)at) < 0)
                return -1;
        }
        begin_text(e, k + 1);
        if (end > begin && put_id(e, id)) /* or the one before took all of it */
            return -1;
        at = end > begin || end > at ? end : at;
        from = found + length;
    }
    /* No name that is sure: what comes before `end`, but for white space that a name there may take, is the text
     * between. */
    size_t plain = more && l->names.strips && end > at ? end - gp_names_spaces_before(p + at, end - at) : end;
    int64_t rest = plain > at ? encode_level(e, k + 1, p + at, plain - at, more, offset + (int64_t)at) : 0;
    if (rest < 0)
        return -1;
    size_t done = at + (size_t)rest < end ? at + (size_t)rest : end;
    l->word_before = gp_names_word_before(p, done, l->word_before);
    l->taken = at > done ? at - done : 0;
    l->passed = from > done ? from - done : 0;
    return (int64_t)done;
}

/* How many of the n bytes are done, or -1. */
static int64_t encode(gp_encoder *e, const char *text, size_t n, bool more)
{
    int64_t done = encode_level(e, 0, (const uint8_t *)text, n, more, e->offset);
    e->offset += done > 0 ? done : 0;
    if (!more)
        begin_text(e, 0);
    return done;
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

/* ---- all at once ----------------------------------------------------------------------------------------- */

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

int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
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

int gp_tokenizer_encode_whole(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                              int64_t *count)
{
    const gp_template *a = &t->around;
    int32_t *inner;
    int64_t n;
    if (gp_tokenizer_encode(t, text, length, special, &inner, &n))
        return -1;
    *count = a->before_count + n + a->after_count;
    *ids = gp_malloc((size_t)(*count + 1) * sizeof **ids);
    for (int64_t i = 0; i < *count; i++)
        (*ids)[i] = i < a->before_count       ? a->before[i]
                    : i < a->before_count + n ? inner[i - a->before_count]
                                              : a->after[i - a->before_count - n];
    free(inner);
    return 0;
}
