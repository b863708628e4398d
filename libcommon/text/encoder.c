/* encoder.c: encodes text fed in parts of any size, or all at once. */
#include <stdlib.h>
#include <string.h>

#include "gptpipe/encoding.h"
#include "text/offsets.h"
#include "text/token_finder.h"
#include "text/text.h"
#include "text/wordpiece/normalize.h"

int gp_ids_flush(gp_ids *o)
{
    if (!o->rc && o->count)
        o->rc = o->fn(o->self, o->ids, o->count);
    o->count = 0;
    return o->rc;
}

int gp_pending_feed(gp_pending *p, const char *text, size_t length, gp_process_fn *process, void *self)
{
    for (size_t n; length; text += n, length -= n) {
        int64_t done;
        n = length;
        if (!p->bytes.len) { /* directly from the caller's bytes */
            done = process(self, text, n);
            if (done < 0)
                return -1;
            gp_buf_add(&p->bytes, text + done, n - (size_t)done);
        } else {
            n = n < 1 << 18 ? n : 1 << 18;
            gp_buf_add(&p->bytes, text, n);
            if (p->bytes.len < p->threshold)
                continue;
            done = process(self, p->bytes.data, p->bytes.len);
            if (done < 0)
                return -1;
            p->bytes.len -= (size_t)done;
            memmove(p->bytes.data, p->bytes.data + done, p->bytes.len);
        }
        p->threshold = p->bytes.len < 4096 ? 0 : 2 * p->bytes.len;
    }
    return 0;
}

/* The tokens that are searched for in the whole text, then those searched for between them, where it is normalized; and
 * the state at the start of the pending bytes: */
typedef struct level {
    gp_token_finder finder;
    bool word_before; /* the text before ends in a word character */
    size_t taken;     /* this many pending bytes are encoded, but may be part of a name */
    size_t searched;  /* no name begins in this many pending bytes */
} level;

enum { NORMALIZED = 1, LEVELS = 2 };

struct gp_encoder {
    const gp_tokenizer *t;
    gp_bpe_state state;
    struct gp_wordpiece_state *words; /* wordpiece */
    gp_normalized normalized;         /* wordpiece, where offsets are wanted or names are searched for in it */
    const gp_origin *origins;         /* of the normalized bytes that are being encoded; NULL: they are the text's */
    gp_pending pending;               /* bytes whose ids depend on later bytes */
    int64_t offset;                   /* of the first byte that is not encoded, for messages */
    const char *name;
    bool allow_special;
    bool inside; /* the text between two names has begun, so no space is put in front */
    level levels[LEVELS];
    gp_ids out;
    gp_offsets *offsets; /* of the ids, whose text is encoded at once; or NULL */
};

/* Searches for all added tokens if special tokens are allowed. Else for those that are not special, and for special
 * ones because they hide others that they overlap. */
static void init_finders(gp_encoder *e)
{
    const gp_vocab *v = &e->t->vocab;
    for (int k = 0; k < LEVELS; k++)
        gp_token_finder_release(&e->levels[k].finder);
    if (!e->allow_special && !e->t->has_added)
        return;
    gp_token_finder_init(&e->levels[0].finder, v, GP_TOKEN_NORMALIZED, 0, NULL);
    gp_token_finder_init(&e->levels[NORMALIZED].finder, v, GP_TOKEN_NORMALIZED, GP_TOKEN_NORMALIZED,
                         e->t->kind == GP_KIND_WORDPIECE ? &e->t->wordpiece.switches : NULL);
}

gp_encoder *gp_encoder_open(const gp_tokenizer *t, gp_ids_fn *fn, void *self)
{
    gp_encoder *e = gp_calloc(1, sizeof *e);
    e->t = t;
    e->out.fn = fn;
    e->out.self = self;
    if (t->kind == GP_KIND_BPE)
        gp_bpe_state_init(&e->state);
    if (t->kind == GP_KIND_WORDPIECE)
        e->words = gp_wordpiece_state_new();
    init_finders(e);
    return e;
}

void gp_encoder_close(gp_encoder *e)
{
    if (!e)
        return;
    gp_bpe_state_release(&e->state);
    gp_wordpiece_state_free(e->words);
    gp_normalized_release(&e->normalized);
    gp_buf_release(&e->pending.bytes);
    for (int k = 0; k < LEVELS; k++)
        gp_token_finder_release(&e->levels[k].finder);
    free(e);
}

void gp_encoder_allow_special(gp_encoder *e)
{
    e->allow_special = true;
    init_finders(e);
}

/* Adds an id, found from `start` to `end`: a gp_placed_fn. */
static int put_id(void *self, int32_t id, int64_t start, int64_t end)
{
    gp_encoder *e = self;
    if (e->offsets)
        gp_offsets_put(e->offsets, e->origins ? e->origins[start].start : start,
                       e->origins ? e->origins[end - 1].end : end);
    if (gp_ids_reserve(&e->out, 1))
        return -1;
    gp_ids_put(&e->out, id);
    return 0;
}

/* Encodes text without added tokens. Like the functions below, returns how many of the n bytes are done, or -1. at:
 * their offset. */
static int64_t encode_ids(gp_encoder *e, const uint8_t *p, size_t n, bool more, int64_t at)
{
    if (e->origins)
        return gp_wordpiece_place(&e->t->wordpiece, &e->t->vocab, p - at, (size_t)at, (size_t)at + n, more, put_id, e);
    if (e->t->kind == GP_KIND_WORDPIECE)
        return gp_wordpiece_encode(&e->t->wordpiece, e->words, p, n, more, &e->out);
    if (e->t->kind != GP_KIND_BPE)
        return gp_chars_encode(&e->t->chars, p, n, more, at, &e->out);
    int64_t done = gp_bpe_encode(&e->t->bpe, &e->state, p, n, more, &e->out), bad = e->state.unencodable;
    const char *unknown = e->t->bpe.missing.name;
    if (bad >= 0)
        fail("byte 0x%02x at offset %lld is not in the vocabulary%s%s; this tokenizer cannot encode all text", p[bad],
             (long long)(at + bad), unknown ? ", nor is its unk_token " : "", unknown ? unknown : "");
    e->state.unencodable = -1;
    return done;
}

/* encode_ids with offsets, if they are wanted. prefixed: the first byte is a space that the text does not have. */
static int64_t encode_plain(gp_encoder *e, const uint8_t *p, size_t n, bool more, int64_t at, bool prefixed)
{
    gp_offsets *o = e->offsets;
    if (!o || e->origins)
        return encode_ids(e, p, n, more, at);
    if (gp_ids_flush(&e->out))
        return -1;
    size_t before = o->ids.len;
    int64_t done = encode_ids(e, p, n, more, at);
    if (done < 0 || gp_ids_flush(&e->out))
        return -1;
    gp_offsets_add(o, e->t, p, n, at, prefixed, (const int32_t *)(const void *)(o->ids.data + before),
                   (int64_t)((o->ids.len - before) / sizeof(int32_t)));
    return done;
}

/* encode_plain with a space put in front of a text that does not begin with one, if the tokenizer does that. */
static int64_t encode_between(gp_encoder *e, const uint8_t *p, size_t n, bool more, int64_t at)
{
    if (!n)
        return 0;
    if (!e->t->prefix_space || e->inside || *p == ' ') {
        e->inside = true;
        return encode_plain(e, p, n, more, at, false);
    }
    gp_buf text = {0};
    gp_buf_add(&text, " ", 1);
    gp_buf_add(&text, p, n);
    int64_t done = encode_plain(e, (const uint8_t *)text.data, text.len, more, at - 1, true);
    gp_buf_release(&text);
    e->inside = done > 0;
    return done > 0 ? done - 1 : done;
}

/* Resets the state of the levels from k on, for a new text. */
static void begin_text(gp_encoder *e, int k)
{
    for (; k < LEVELS; k++) {
        level *l = &e->levels[k];
        l->word_before = false;
        l->taken = l->searched = 0;
    }
    e->inside = false;
}

static int64_t encode_level(gp_encoder *e, int k, const uint8_t *p, size_t n, bool more, int64_t offset);

/* Normalizes text, and encodes it with the added tokens of the last level. */
static int64_t encode_normalized(gp_encoder *e, const uint8_t *p, size_t n, bool more, int64_t offset)
{
    gp_normalized *t = &e->normalized;
    level *l = &e->levels[NORMALIZED];
    bool word_before = l->word_before;
    gp_normalize(t, &e->t->wordpiece.switches, p, n, more, offset);
    const uint8_t *bytes = (const uint8_t *)t->bytes.data;
    e->origins = (const gp_origin *)(const void *)t->origins.data;
    int64_t done = encode_level(e, NORMALIZED, bytes, t->bytes.len, more, 0), original;
    e->origins = NULL;
    if (done < 0 || !more)
        return done < 0 ? -1 : (int64_t)n;
    /* What is after the cut will be normalized again. Of that, some is encoded. */
    size_t cut = gp_normalized_cut(t, (size_t)done, &original);
    l->word_before = gp_ends_in_word(bytes, cut, word_before);
    l->taken += (size_t)done - cut;
    l->searched += (size_t)done - cut;
    return original - offset;
}

/* Encodes text with the added tokens of the levels after k. */
static int64_t encode_after(gp_encoder *e, int k, const uint8_t *p, size_t n, bool more, int64_t offset)
{
    if (k + 1 == LEVELS)
        return encode_between(e, p, n, more, offset);
    if (e->t->kind == GP_KIND_WORDPIECE && (e->offsets || e->levels[NORMALIZED].finder.count))
        return encode_normalized(e, p, n, more, offset);
    return encode_level(e, k + 1, p, n, more, offset);
}

/* Encodes text with the added tokens of the levels from k on. */
static int64_t encode_level(gp_encoder *e, int k, const uint8_t *p, size_t n, bool more, int64_t offset)
{
    level *l = &e->levels[k];
    /* the bytes before `from` are searched, those before `at` are encoded */
    size_t from = l->searched < n ? l->searched : n, at = l->taken < n ? l->taken : n, end;
    if (!l->finder.count && !at)
        return encode_after(e, k, p, n, more, offset);
    for (;;) {
        int32_t id;
        size_t length, found = from + gp_token_finder_find(&l->finder, p + from, n - from, more, &id, &length);
        size_t begin = end = found;
        gp_match match = GP_UNDECIDED;
        if (id >= 0) {
            end = found + length;
            match = e->t->vocab.flags[id] & GP_TOKEN_SPECIAL && !e->allow_special
                        ? GP_NO_MATCH
                        : gp_token_finder_check(&l->finder, id, p, n, more, l->word_before, at, &begin, &end);
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
            if (encode_after(e, k, p + at, begin - at, false, offset + (int64_t)at) < 0)
                return -1;
        }
        begin_text(e, k + 1);
        if (end > begin && put_id(e, id, offset + (int64_t)begin,
                                  offset + (int64_t)end)) /* else the token before, stripping, took all of it */
            return -1;
        at = end > begin || end > at ? end : at;
        from = found + length;
    }
    /* No further certain match: the text up to `end`, except white space that a name there may strip, has none. */
    size_t plain = more && l->finder.strips && end > at ? end - gp_trailing_spaces(p + at, end - at) : end;
    int64_t rest = plain > at ? encode_after(e, k, p + at, plain - at, more, offset + (int64_t)at) : 0;
    if (rest < 0)
        return -1;
    size_t done = at + (size_t)rest < end ? at + (size_t)rest : end;
    l->word_before = gp_ends_in_word(p, done, l->word_before);
    l->taken = at > done ? at - done : 0;
    l->searched = from > done ? from - done : 0;
    return (int64_t)done;
}

/* Encodes a long text in windows: what was searched for names is still in the processor's cache when it is encoded. */
static int64_t encode(gp_encoder *e, const char *text, size_t n, bool more)
{
    enum { WINDOW = 1 << 16 };
    const uint8_t *p = (const uint8_t *)(text ? text : ""); /* no arithmetic on NULL */
    size_t done = 0, window = e->offsets && e->t->kind != GP_KIND_WORDPIECE ? n : WINDOW;
    for (bool last = false; !last;) {
        last = n - done <= window;
        int64_t length = encode_level(e, 0, p + done, last ? n - done : window, more || !last, e->offset);
        if (length < 0) {
            begin_text(e, 0);
            return -1;
        }
        done += (size_t)length;
        e->offset += length;
        window = length ? WINDOW : 2 * window; /* nothing: it depends on more bytes than these */
    }
    if (!more)
        begin_text(e, 0);
    return (int64_t)done;
}

static int failed(const gp_encoder *e)
{
    if (e->out.rc)
        return e->out.rc;
    return e->name ? gp_fail_in("%s", e->name) : -1;
}

void gp_encoder_place(gp_encoder *e, const char *name, int64_t offset)
{
    e->name = name;
    e->offset = offset - (int64_t)e->pending.bytes.len;
}

static int64_t encode_part(void *self, const char *text, size_t n)
{
    return encode(self, text, n, true);
}

int gp_encoder_feed(gp_encoder *e, const char *text, size_t length)
{
    return gp_pending_feed(&e->pending, text, length, encode_part, e) ? failed(e) : 0;
}

static int finish(gp_encoder *e, const char *text, size_t length)
{
    if (encode(e, text, length, false) < 0 || gp_ids_flush(&e->out))
        return failed(e);
    e->pending.bytes.len = 0;
    e->offset = 0;
    return 0;
}

int gp_encoder_end(gp_encoder *e)
{
    return finish(e, e->pending.bytes.data, e->pending.bytes.len);
}

int gp_encoder_finish(gp_encoder *e, const char *text, size_t length)
{
    if (!e->pending.bytes.len)
        return finish(e, text, length);
    int rc = gp_encoder_feed(e, text, length);
    return rc ? rc : gp_encoder_end(e);
}

/* ---- all at once ----------------------------------------------------------------------------------------- */

int gp_ids_collect(void *self, const int32_t *ids, int64_t count)
{
    gp_buf_add(self, ids, (size_t)count * sizeof *ids);
    return 0;
}

/* Appends the ids of a text to ids, and their offsets to *offsets unless that is NULL. */
static int encode_all(const gp_tokenizer *t, const char *text, size_t length, bool special, gp_offsets *offsets,
                      gp_buf *ids)
{
    gp_encoder *e = gp_encoder_open(t, gp_ids_collect, ids);
    e->offsets = offsets;
    if (special)
        gp_encoder_allow_special(e);
    int rc = encode(e, text, length, false) < 0 || gp_ids_flush(&e->out) ? -1 : 0;
    gp_encoder_close(e);
    gp_buf_reserve(ids, 0); /* not NULL, even if empty */
    return rc;
}

int gp_tokenizer_encode(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                        int64_t *count)
{
    gp_buf all = {0};
    if (encode_all(t, text, length, special, NULL, &all)) {
        gp_buf_release(&all);
        return -1;
    }
    *ids = (int32_t *)(void *)all.data;
    *count = (int64_t)(all.len / sizeof **ids);
    return 0;
}

int gp_tokenizer_encode_offsets(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                                int64_t **offsets, int64_t *count)
{
    gp_offsets o = {.text = (const uint8_t *)text, .length = length};
    if (encode_all(t, text, length, special, &o, &o.ids)) {
        gp_offsets_release(&o);
        return -1;
    }
    gp_offsets_trim(&o, t);
    gp_buf_reserve(&o.ranges, 0);
    *ids = (int32_t *)(void *)o.ids.data;
    *offsets = (int64_t *)(void *)o.ranges.data;
    *count = (int64_t)(o.ids.len / sizeof **ids);
    return 0;
}

int gp_tokenizer_encode_whole(const gp_tokenizer *t, const char *text, size_t length, bool special, int32_t **ids,
                              int64_t *count)
{
    int32_t *inner;
    int64_t n;
    if (gp_tokenizer_encode(t, text, length, special, &inner, &n))
        return -1;
    int64_t room = t->template.before_count + n + t->template.after_count;
    *ids = gp_malloc((size_t)(room + 1) * sizeof **ids);
    *count = gp_tokenizer_assemble(t, inner, n, NULL, 0, room, GP_TRUNCATE_NONE, *ids, NULL);
    free(inner);
    return 0;
}
