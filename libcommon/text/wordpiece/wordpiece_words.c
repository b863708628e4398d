/* wordpiece_words.c: the words of a text, normalized; and the tokens of normalized text; see wordpiece.h. */
#include <string.h>

#include "base/utf8.h"
#include "text/unicode/bert.h"
#include "text/wordpiece/wordpiece_state.h"

typedef struct visit {
    gp_word_fn *fn;
    void *self;
} visit;

static int visit_words(const gp_wordpiece *w, struct gp_wordpiece_state *s, void *self)
{
    (void)w;
    const visit *v = self;
    for (size_t i = 0; i < s->ended; i++)
        v->fn(v->self, s->text + s->starts[i], (size_t)(s->ends[i] - s->starts[i]));
    return 0;
}

int64_t gp_wordpiece_words(const gp_wordpiece *w, struct gp_wordpiece_state *s, const uint8_t *p, size_t n, bool more,
                           gp_word_fn *fn, void *self)
{
    return gp_wordpiece_read(w, s, p, n, more, visit_words, &(visit){fn, self});
}

/* A token is its bytes without the prefix; an unknown word is all of it. */
static int place_word(const gp_wordpiece *w, const gp_vocab *v, const uint8_t *p, size_t start, size_t end,
                      gp_placed_fn *fn, void *self)
{
    int32_t ids[GP_WORD_CHARS_MAX];
    int count = start < end ? gp_wordpiece_encode_word(w, p + start, end - start, ids) : 0;
    for (int k = 0; k < count; k++) {
        size_t length;
        gp_vocab_bytes(v, ids[k], &length);
        length -= k ? strlen(w->prefix) : 0;
        length = count == 1 ? end - start : length;
        if (fn(self, ids[k], (int64_t)start, (int64_t)(start + length)))
            return -1;
        start += length;
    }
    return 0;
}

int64_t gp_wordpiece_place(const gp_wordpiece *w, const gp_vocab *v, const uint8_t *p, size_t from, size_t to,
                           bool more, gp_placed_fn *fn, void *self)
{
    size_t done = from;
    for (size_t at = from, length; at < to; at += length) {
        uint32_t c;
        length = gp_utf8_last(p + at, to - at, &c);
        uint32_t class = gp_bert_class(c);
        if (!(class & (GP_IS_WHITE | GP_IS_PUNCTUATION)))
            continue;
        if (place_word(w, v, p, done, at, fn, self) ||
            (!(class & GP_IS_WHITE) && place_word(w, v, p, at, at + length, fn, self)))
            return -1;
        done = at + length;
    }
    if (!more && place_word(w, v, p, done, to, fn, self))
        return -1;
    return (int64_t)((more ? done : to) - from);
}
