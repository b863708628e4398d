/* grammar.c: draws texts from a parsed grammar; see grammar.h. */
#include "fetch/grammar.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

/* One text being generated. */
typedef struct drawing {
    const gp_grammar *g;
    int class;
    uint64_t seed;
    int64_t index;
    uint32_t choices; /* made so far: the next one's random number */
    double nats[GP_GRAMMAR_CLASSES];
    const gp_alternative *remembered[GP_GRAMMAR_SLOTS];
    char *text;
    int length, max;
    bool full;
} drawing;

static const gp_alternative *choose(drawing *d, const gp_rule *rule)
{
    const gp_alternative *a = d->g->alternatives + rule->first;
    if (rule->count == 1)
        return a;
    int64_t at = (int64_t)gp_random_below(d->seed, GP_RNG_STORIES, d->choices++, (uint64_t)d->index,
                                          (uint64_t)rule->total_weight[d->class]);
    while (at >= a->weight[d->class])
        at -= a++->weight[d->class];
    for (int c = 0; c < GP_GRAMMAR_CLASSES; c++)
        d->nats[c] += log((double)rule->total_weight[c] / (double)a->weight[c]);
    return a;
}

static void append(drawing *d, const char *text, int length)
{
    if (d->full || length > d->max - d->length) {
        d->full = true;
        return;
    }
    memcpy(d->text + d->length, text, (size_t)length);
    d->length += length;
}

static void write_form(drawing *d, gp_form form)
{
    const gp_grammar_piece *p = d->g->pieces + form.first, *end = p + form.count;
    for (; p < end; p++) {
        int start = d->length;
        const gp_alternative *a;
        switch (p->kind) {
        case GP_PIECE_TEXT:
            append(d, p->text, p->length);
            break;
        case GP_PIECE_DRAW:
            a = choose(d, d->g->rules + p->rule);
            if (p->slot >= 0)
                d->remembered[p->slot] = a;
            write_form(d, a->form[0]);
            break;
        case GP_PIECE_RECALL:
            BUG_ON(!d->remembered[p->slot]); /* the tests prove that the grammar excludes this */
            write_form(d, d->remembered[p->slot]->form[p->form]);
            break;
        }
        char *first = d->text + start;
        if (p->capital && d->length > start && *first >= 'a' && *first <= 'z')
            *first = (char)(*first - 'a' + 'A');
    }
}

int gp_grammar_draw(const gp_grammar *g, int c, uint64_t seed, int64_t i, char *text, int max,
                    double nats[GP_GRAMMAR_CLASSES])
{
    drawing d = {.g = g, .class = c, .seed = seed, .index = i, .text = text, .max = max};
    write_form(&d, choose(&d, g->rules)->form[0]);
    if (d.full)
        return fail("text %lld of seed %llu is longer than %d characters", (long long)i, (unsigned long long)seed, max);
    text[d.length] = 0;
    memcpy(nats, d.nats, sizeof d.nats);
    return d.length;
}
