/* normalize.c: see normalize.h. The stages are those of BertNormalizer: clean_text, handle_chinese_chars, NFD and the
 * removal of marks, lowercase. NFD sorts combining characters by their canonical order. In `tokenizers` their origins
 * are not sorted with them: the k-th character of the run has that of the k-th character that was read, whichever that
 * is, and what a character is decomposed into after its first part has the origin before it. Marks that are removed
 * afterwards count among these. */
#include "text/wordpiece/normalize.h"

#include "base/utf8.h"
#include "text/unicode/bert.h"

enum { REMOVED = GP_BAD_BYTE };

typedef struct unit {
    uint32_t c; /* or REMOVED */
    uint8_t order;
    bool first; /* of what a character is decomposed into */
} unit;

static void put(gp_normalized *t, uint32_t c)
{
    char text[4];
    size_t n = gp_utf8_put(text, c);
    gp_buf_add(&t->bytes, text, n);
    for (size_t i = 0; i < n; i++)
        gp_buf_add(&t->origins, &t->last, sizeof t->last);
}

static void put_cased(gp_normalized *t, const gp_bert_switches *s, uint32_t c)
{
    if (s->lowercase && c == 0x130) {
        put(t, 'i');
        put(t, 0x307);
    } else if (s->lowercase) {
        put(t, gp_case_map(gp_bert_lower, (size_t)gp_bert_lower_count, c));
    } else {
        put(t, c);
    }
}

/* Appends the run in canonical order, which leaves equal ones as they are. */
static void end_run(gp_normalized *t, const gp_bert_switches *s)
{
    if (!t->run.len)
        return;
    const unit *run = (const unit *)(const void *)t->run.data, *end = run + t->run.len / sizeof *run;
    const gp_origin *next = (const gp_origin *)(const void *)t->consumed.data;
    for (; t->present; t->present &= t->present - 1) {
        unsigned order = (unsigned)__builtin_ctzll(t->present);
        for (const unit *u = run; u < end; u++) {
            if (u->order != order)
                continue;
            if (u->first)
                t->last = *next++;
            if (u->c != REMOVED)
                put_cased(t, s, u->c);
        }
    }
    t->run.len = t->consumed.len = 0;
}

static void add(gp_normalized *t, const gp_bert_switches *s, uint32_t c, unsigned order, bool first, gp_origin from)
{
    if (!order)
        end_run(t, s);
    gp_buf_add(&t->run, &(unit){c, (uint8_t)order, first}, sizeof(unit));
    if (first)
        gp_buf_add(&t->consumed, &from, sizeof from);
    t->present |= (uint64_t)1 << order;
}

static void add_decomposed(gp_normalized *t, const gp_bert_switches *s, uint32_t c, uint32_t class, gp_origin from)
{
    uint32_t jamo[3];
    if (class & (GP_IS_MARK | GP_IS_STARTING_MARK)) {
        add(t, s, REMOVED, class & GP_IS_MARK ? gp_bert_order_of(c) : 0, true, from);
        return;
    }
    const gp_bert_long *l = gp_bert_stripped_of(c);
    const uint32_t *to = gp_is_hangul(c) ? jamo : l ? l->to : &c;
    int n = gp_is_hangul(c) ? gp_hangul(c, jamo) : l ? 3 : 1;
    for (int i = 0; i < n && (!i || to[i]); i++)
        add(t, s, to[i], gp_bert_order_of(to[i]), !i, from);
}

static void add_char(gp_normalized *t, const gp_bert_switches *s, uint32_t c, gp_origin from)
{
    uint32_t class = gp_bert_class(c);
    if (s->clean_text && class & GP_IS_DELETED)
        return;
    if (s->clean_text && class & GP_IS_BLANK)
        c = ' ';
    bool spread = s->handle_chinese_chars && class & GP_IS_CJK;
    if (spread)
        add(t, s, ' ', 0, true, from);
    if (gp_bert_strips(s))
        add_decomposed(t, s, c, class, from);
    else
        add(t, s, c, 0, true, from);
    if (spread)
        add(t, s, ' ', 0, true, from);
}

void gp_normalize(gp_normalized *t, const gp_bert_switches *s, const uint8_t *p, size_t n, bool more, int64_t place)
{
    size_t at = 0;
    t->bytes.len = t->origins.len = t->run.len = t->consumed.len = 0;
    t->present = 0;
    t->place = place;
    t->last = (gp_origin){place, place};
    for (size_t length; at < n; at += length) {
        uint32_t c;
        length = gp_utf8(p + at, n - at, &c);
        if (!length && more)
            break;
        length = length ? length : 1;
        int64_t start = place + (int64_t)at;
        add_char(t, s, c < GP_BAD_BYTE ? c : 0xFFFD, (gp_origin){start, start + (int64_t)length});
    }
    gp_origin rest = {place + (int64_t)at, place + (int64_t)at};
    if (!more)
        end_run(t, s);
    else if (t->consumed.len)
        rest.end = rest.start = ((const gp_origin *)(const void *)t->consumed.data)->start;
    gp_buf_add(&t->origins, &rest, sizeof rest);
    gp_buf_reserve(&t->bytes, 0); /* not NULL, even if empty */
}

void gp_normalized_release(gp_normalized *t)
{
    gp_buf_release(&t->bytes);
    gp_buf_release(&t->origins);
    gp_buf_release(&t->run);
    gp_buf_release(&t->consumed);
}

size_t gp_normalized_cut(const gp_normalized *t, size_t end, int64_t *original)
{
    const uint8_t *text = (const uint8_t *)t->bytes.data;
    const gp_origin *origins = (const gp_origin *)(const void *)t->origins.data;
    for (; end && end < t->bytes.len; end--) {
        uint32_t c;
        if ((text[end] & 0xC0) == 0x80 || origins[end].start < origins[end - 1].end)
            continue;
        gp_utf8_last(text + end, t->bytes.len - end, &c);
        if (!gp_bert_order_of(c))
            break;
    }
    *original = end || !t->bytes.len ? origins[end].start : t->place;
    return end;
}
