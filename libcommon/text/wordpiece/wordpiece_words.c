/* wordpiece_words.c: the words of a text, normalized, and the places of their tokens; see wordpiece.h. */
#include <stdlib.h>
#include <string.h>

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

typedef struct placing {
    const gp_vocab *vocab;
    gp_placed_fn *fn;
    void *self;
    int32_t ids[GP_WORD_CHARS_MAX];
} placing;

/* A token is its bytes without the prefix, from the first one's character to the last one's; an unknown word is all of
 * it. */
static int place_words(const gp_wordpiece *w, struct gp_wordpiece_state *s, void *self)
{
    placing *v = self;
    for (size_t i = 0; i < s->ended; i++) {
        size_t at = s->starts[i], end = s->ends[i];
        int count = gp_wordpiece_encode_word(w, s->text + at, end - at, v->ids);
        for (int k = 0; k < count; k++) {
            size_t length;
            gp_vocab_bytes(v->vocab, v->ids[k], &length);
            length -= k ? strlen(w->prefix) : 0;
            length = count == 1 ? end - at : length;
            v->fn(v->self, v->ids[k], s->origins[at].start, s->origins[at + length - 1].end);
            at += length;
        }
    }
    return 0;
}

void gp_wordpiece_place(const gp_wordpiece *w, struct gp_wordpiece_state *s, const gp_vocab *v, const uint8_t *p,
                        size_t n, int64_t place, gp_placed_fn *fn, void *self)
{
    if (!s->origins)
        s->origins = gp_calloc(sizeof s->text, sizeof *s->origins);
    s->place = place;
    gp_wordpiece_read(w, s, p, n, false, place_words, &(placing){.vocab = v, .fn = fn, .self = self});
}
