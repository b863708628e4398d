/* offsets.c: see offsets.h. The tokens of a text are its bytes in order, so a token begins where the one before it
 * ends; only where a byte-level BPE lacks some bytes has it tokens that are not the text's bytes. A token that has
 * some bytes of a character is given all of them, as in `tokenizers`, whose offsets are those of characters. */
#include "text/offsets.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "gptpipe/encoding.h"
#include "text/unicode/unicode.h"

void gp_offsets_release(gp_offsets *o)
{
    gp_buf_release(&o->ids);
    gp_buf_release(&o->ranges);
}

void gp_offsets_put(gp_offsets *o, int64_t start, int64_t end)
{
    gp_buf_add(&o->ranges, (int64_t[]){start, end}, 2 * sizeof(int64_t));
}

/* The start of the character that has byte `at` of the text, and *end, its end. */
static size_t char_at(const gp_offsets *o, size_t at, size_t *end)
{
    uint32_t c;
    for (size_t back = 0; back <= 3 && back <= at; back++) {
        size_t start = at - back;
        if ((o->text[start] & 0xC0) == 0x80)
            continue;
        *end = start + gp_utf8_last(o->text + start, o->length - start, &c);
        if (*end > at)
            return start;
        break;
    }
    *end = at + 1; /* not UTF-8 */
    return at;
}

/* Adds the range from start to end, which is not empty, with all of their characters. */
static void put_chars(gp_offsets *o, int64_t start, int64_t end)
{
    size_t last;
    start = (int64_t)char_at(o, (size_t)start, &last);
    char_at(o, (size_t)end - 1, &last);
    gp_offsets_put(o, start, (int64_t)last);
}

/* ---- a vocabulary in which bytes are missing ------------------------------------------------------------- */

/* A piece of the pre-tokenization in the units that `tokenizers` counts: the bytes of its characters in GPT-2's
 * alphabet. Tokens are counted off in the order of ids, which is not always that of the bytes (bpe_missing.c). */
typedef struct units {
    gp_buf byte_of; /* uint32_t, for each unit */
    gp_buf unknown; /* uint32_t: how many units each unknown token stands for */
    size_t next;    /* of unknown */
} units;

static uint32_t unit_count(uint8_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) ? 1 : 2;
}

static void units_init(units *u, const gp_bpe *b, const uint8_t *p, size_t n)
{
    bool pending = false;
    u->byte_of.len = u->unknown.len = u->next = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count = unit_count(p[i]);
        for (uint32_t k = 0; k < count; k++)
            gp_buf_add(&u->byte_of, &i, sizeof i);
        if (b->byte_id[p[i]] >= 0)
            pending = false;
        else if (b->missing.fallback[p[i]][0] < 0 && pending && b->missing.fuse)
            ((uint32_t *)(void *)u->unknown.data)[u->unknown.len / sizeof count - 1] += count;
        else if (b->missing.fallback[p[i]][0] < 0)
            gp_buf_add(&u->unknown, &count, sizeof count);
        pending |= b->missing.fallback[p[i]][0] < 0 && b->byte_id[p[i]] < 0;
    }
}

/* How many units a token has. */
static size_t token_units(units *u, const gp_tokenizer *t, int32_t id)
{
    size_t n, count = 0;
    const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
    if (id == t->bpe.missing.unknown && u->next < u->unknown.len / sizeof(uint32_t))
        return ((const uint32_t *)(const void *)u->unknown.data)[u->next++];
    if (n == 6 && !memcmp(bytes, "<0x", 3) && t->bpe.missing.byte_fallback)
        return 1;
    for (size_t i = 0; i < n; i++)
        count += unit_count((uint8_t)bytes[i]);
    return count;
}

/* Adds the ranges of the ids that the n bytes at p, which begin at `at` in the text, have; returns their number. */
static int64_t add_piece(gp_offsets *o, const gp_tokenizer *t, units *u, const uint8_t *p, size_t n, int64_t at,
                         int64_t min, const int32_t *ids, int64_t count)
{
    units_init(u, &t->bpe, p, n);
    const uint32_t *byte_of = (const uint32_t *)(const void *)u->byte_of.data;
    size_t from = 0, all = u->byte_of.len / sizeof *byte_of;
    bool whole = t->bpe.ignore_merges && count && gp_vocab_find(&t->vocab, (const char *)p, n) == ids[0];
    int64_t i = 0;
    for (; i < count && from < all; i++) {
        size_t length = whole ? all : token_units(u, t, ids[i]), to = from + length < all ? from + length : all;
        int64_t start = at + byte_of[from], end = at + byte_of[to - 1] + 1;
        put_chars(o, gp_max(start, min), gp_max(end, min + 1));
        from = to;
    }
    return i;
}

/* ---- all ------------------------------------------------------------------------------------------------- */

void gp_offsets_add(gp_offsets *o, const gp_tokenizer *t, const uint8_t *p, size_t n, int64_t at, bool prefixed,
                    const int32_t *ids, int64_t count)
{
    int64_t min = prefixed ? at + 1 : at; /* the space in front takes the place of what it precedes */
    if (t->kind == GP_KIND_BPE && t->bpe.missing.any) {
        units u = {0};
        for (size_t from = 0, length; from < n; from += length) {
            length = gp_pretokenize(p + from, n - from, false);
            int64_t some = add_piece(o, t, &u, p + from, length, at + (int64_t)from, min, ids, count);
            ids += some;
            count -= some;
        }
        gp_buf_release(&u.byte_of);
        gp_buf_release(&u.unknown);
        return;
    }
    for (int64_t i = 0, from = at; i < count; i++) {
        size_t length;
        gp_vocab_bytes(&t->vocab, ids[i], &length);
        put_chars(o, gp_max(from, min), gp_max(from + (int64_t)length, min + 1));
        from += (int64_t)length;
    }
}

/* ---- trimming -------------------------------------------------------------------------------------------- */

/* The number of spaces at the start and at the end of what `tokenizers` calls a token: the text of an added token, with
 * what it strips, and bytes in GPT-2's alphabet, where U+0120 is a space. */
static void count_spaces(const gp_offsets *o, const gp_tokenizer *t, int32_t id, const int64_t *range, int64_t *leading,
                         int64_t *trailing)
{
    size_t n;
    const uint8_t *bytes = (const uint8_t *)gp_vocab_bytes(&t->vocab, id, &n);
    bool literal = t->kind != GP_KIND_BPE || t->vocab.flags[id];
    if (literal) {
        bytes = o->text + range[0];
        n = (size_t)(range[1] - range[0]);
    }
    bool all = true;
    *leading = *trailing = 0;
    for (size_t at = 0, length; at < n; at += length) {
        uint32_t c = bytes[at];
        length = literal ? gp_utf8_last(bytes + at, n - at, &c) : 1;
        bool space = literal ? c == 0x120 || gp_class_of(c) == GP_SPACE : c == ' ';
        all &= space;
        *leading += all;
        *trailing = space ? *trailing + 1 : 0;
    }
}

/* Moves `at` by that many characters, but not beyond `end`. */
static int64_t forward(const gp_offsets *o, int64_t at, int64_t chars, int64_t end)
{
    for (size_t next; chars > 0 && at < end; chars--) {
        char_at(o, (size_t)at, &next);
        at = (int64_t)next;
    }
    return gp_min(at, end);
}

/* Moves `at` back by that many characters, but not beyond `start`; not at all if the text has not so many. */
static int64_t backward(const gp_offsets *o, int64_t at, int64_t chars, int64_t start)
{
    int64_t from = at;
    size_t end;
    for (; chars > 0 && from > 0; chars--)
        from = (int64_t)char_at(o, (size_t)from - 1, &end);
    return chars ? at : gp_max(from, start);
}

void gp_offsets_trim(gp_offsets *o, const gp_tokenizer *t)
{
    const int32_t *ids = (const int32_t *)(const void *)o->ids.data;
    int64_t *ranges = (int64_t *)(void *)o->ranges.data;
    for (size_t i = 0; t->trim.spaces && i < o->ids.len / sizeof *ids; i++) {
        int64_t *start = &ranges[2 * i], *end = start + 1, leading, trailing;
        count_spaces(o, t, ids[i], start, &leading, &trailing);
        if (leading == 1 && t->trim.keeps_prefix && (i == 0 || *start == 0))
            leading = 0;
        *start = forward(o, *start, leading, *end);
        *end = backward(o, *end, trailing, *start);
    }
}
