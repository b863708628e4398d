/* grammar_check.h: what the tests know about a grammar without drawing from it: which texts it derives and in how
 * many ways, its entropy, its longest text, and the proof that no text has two derivations. */
#ifndef GRAMMAR_CHECK_H
#define GRAMMAR_CHECK_H

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "fetch/grammar.h"

/* What is still to be read: pieces, then whatever stood after the slot that they came from. */
typedef struct item {
    const gp_grammar_piece *piece, *end;
    const struct item *next;
} item;

static inline item item_of(const gp_grammar *g, gp_form f, const item *next)
{
    return (item){g->pieces + f.first, g->pieces + f.first + f.count, next};
}

/* ---- All derivations of one text, by trying everything. */

typedef struct reading {
    const gp_grammar *g;
    const char *text;
    const gp_alternative *bound[GP_GRAMMAR_SLOTS], *hero; /* hero: what slot 0 held in the derivation found */
    bool *used;                                           /* one an alternative, or NULL */
    int class;                                            /* whose weights count in nats */
    int derivations;
    double nats;
} reading;

static bool text_matches(const reading *r, int at, int capital_at, const gp_grammar_piece *p)
{
    if (strncmp(r->text + at + 1, p->text + 1, (size_t)p->length - 1))
        return false;
    return r->text[at] == (at == capital_at ? (char)toupper(p->text[0]) : p->text[0]);
}

static void read_on(reading *r, int at, int capital_at, const item *rest, double nats)
{
    while (rest && rest->piece == rest->end)
        rest = rest->next;
    if (!rest) {
        if (!r->text[at]) {
            r->derivations++;
            r->nats = nats;
            r->hero = r->bound[0];
        }
        return;
    }
    const gp_grammar_piece *p = rest->piece;
    item after = {p + 1, rest->end, rest->next};
    capital_at = p->capital ? at : capital_at;
    if (p->kind == GP_PIECE_TEXT) {
        if (text_matches(r, at, capital_at, p))
            read_on(r, at + p->length, capital_at, &after, nats);
        return;
    }
    if (p->kind == GP_PIECE_RECALL) {
        if (r->bound[p->slot]) {
            item inside = item_of(r->g, r->bound[p->slot]->form[p->form], &after);
            read_on(r, at, capital_at, &inside, nats);
        }
        return;
    }
    const gp_rule *rule = r->g->rules + p->rule;
    const gp_alternative *before = p->slot >= 0 ? r->bound[p->slot] : NULL;
    for (const gp_alternative *a = r->g->alternatives + rule->first, *end = a + rule->count; a < end; a++) {
        int found = r->derivations;
        item inside = item_of(r->g, a->form[0], &after);
        if (p->slot >= 0)
            r->bound[p->slot] = a;
        double p = (double)a->weight[r->class] / (double)rule->total_weight[r->class];
        read_on(r, at, capital_at, &inside, nats - log(p));
        if (r->used && r->derivations > found)
            r->used[a - r->g->alternatives] = true;
    }
    if (p->slot >= 0)
        r->bound[p->slot] = before;
}

/* The number of derivations of text; r->nats is -log of the probability of the last one. */
static inline int count_derivations(reading *r, const gp_grammar *g, const char *text)
{
    gp_grammar_piece start = {.kind = GP_PIECE_DRAW, .rule = 0, .slot = -1};
    item all = {&start, &start + 1, NULL};
    *r = (reading){.g = g, .text = text, .used = r->used, .class = r->class};
    read_on(r, 0, -1, &all, 0);
    return r->derivations;
}

/* ---- The proof that no text has two derivations.
 *
 * If no text of one alternative of a rule begins a text of another alternative of it, and that holds for all rules,
 * then a reader from left to right is never in doubt: by induction every rule is a prefix code, and a sequence of
 * prefix codes is read in one way only. Two alternatives are compared by walking through all pairs of their texts
 * at once, a pair being dropped where the texts first differ. */

typedef struct side {
    const item *rest;
    const char *text; /* what is left of the current run of text */
    int length;
    bool capital; /* the next character is made one */
    const gp_alternative *own[GP_GRAMMAR_SLOTS];
} side;

/* outer: what slots hold that were filled before the two alternatives begin, the same for both. */
typedef struct walk_state {
    side s[2];
    const gp_alternative *outer[GP_GRAMMAR_SLOTS];
} walk_state;

static bool clash(const gp_grammar *g, walk_state w);

static bool clash_inside(const gp_grammar *g, walk_state w, int k, gp_form form, const item *after)
{
    item inside = item_of(g, form, after);
    w.s[k].rest = &inside;
    return clash(g, w);
}

/* Side k needs its next characters: one pair for each way to go on. */
static bool clash_expanded(const gp_grammar *g, walk_state w, int k)
{
    side *s = &w.s[k];
    const gp_grammar_piece *p = s->rest->piece;
    item after = {p + 1, s->rest->end, s->rest->next};
    s->capital |= p->capital;
    if (p->kind == GP_PIECE_TEXT) {
        s->rest = &after;
        s->text = p->text;
        s->length = p->length;
        return clash(g, w);
    }
    const gp_alternative *known = p->kind != GP_PIECE_RECALL ? NULL
                                  : s->own[p->slot]          ? s->own[p->slot]
                                                             : w.outer[p->slot];
    if (known)
        return clash_inside(g, w, k, known->form[p->form], &after);
    const gp_rule *rule = g->rules + (p->kind == GP_PIECE_DRAW ? p->rule : g->slots[p->slot].rule);
    for (const gp_alternative *a = g->alternatives + rule->first, *end = a + rule->count; a < end; a++) {
        if (p->kind == GP_PIECE_RECALL)
            w.outer[p->slot] = a;
        else if (p->slot >= 0)
            s->own[p->slot] = a;
        if (clash_inside(g, w, k, a->form[p->kind == GP_PIECE_RECALL ? p->form : 0], &after))
            return true;
    }
    return false;
}

static char next_character(side *s)
{
    char c = *s->text++;
    s->length--;
    c = s->capital ? (char)toupper(c) : c;
    s->capital = false;
    return c;
}

/* Does a text of one side begin a text of the other? */
static bool clash(const gp_grammar *g, walk_state w)
{
    for (;;) {
        for (int k = 0; k < 2; k++) {
            side *s = &w.s[k];
            while (!s->length && s->rest && s->rest->piece == s->rest->end)
                s->rest = s->rest->next;
            if (!s->length && !s->rest)
                return true;
        }
        for (int k = 0; k < 2; k++)
            if (!w.s[k].length)
                return clash_expanded(g, w, k);
        if (next_character(&w.s[0]) != next_character(&w.s[1]))
            return false;
    }
}

static inline bool same_piece(const gp_grammar_piece *a, const gp_grammar_piece *b)
{
    return a->kind == b->kind && a->capital == b->capital && a->rule == b->rule && a->slot == b->slot &&
           a->form == b->form &&
           (a->kind != GP_PIECE_TEXT || (a->length == b->length && !memcmp(a->text, b->text, (size_t)a->length)));
}

static inline bool alternatives_clash(const gp_grammar *g, const gp_alternative *a, const gp_alternative *b)
{
    item x = item_of(g, a->form[0], NULL), y = item_of(g, b->form[0], NULL);
    /* What both begin with is read the same way, so what it fills is common to both. */
    while (x.piece < x.end && y.piece < y.end && same_piece(x.piece, y.piece))
        x.piece++, y.piece++;
    return clash(g, (walk_state){.s = {{.rest = &x}, {.rest = &y}}});
}

/* ---- Sums over the grammar. */

typedef struct totals {
    double nats;   /* the mean of -log P in class 0: the entropy */
    int longest;   /* no text is longer */
    uint32_t sets; /* slots that are filled in every case */
    bool unfilled; /* some recall may come before its slot is filled */
} totals;

static totals total_rule(const gp_grammar *g, int rule, uint32_t filled);

static inline totals total_form(const gp_grammar *g, gp_form f, uint32_t filled)
{
    totals t = {.sets = filled};
    for (const gp_grammar_piece *p = g->pieces + f.first, *end = p + f.count; p < end; p++) {
        if (p->kind == GP_PIECE_TEXT) {
            t.longest += p->length;
        } else if (p->kind == GP_PIECE_DRAW) {
            totals inside = total_rule(g, p->rule, t.sets);
            t.nats += inside.nats;
            t.longest += inside.longest;
            t.unfilled |= inside.unfilled;
            t.sets |= inside.sets | (p->slot >= 0 ? 1u << p->slot : 0);
        } else {
            const gp_rule *rule = g->rules + g->slots[p->slot].rule;
            int most = 0;
            for (const gp_alternative *a = g->alternatives + rule->first, *e = a + rule->count; a < e; a++) {
                int n = total_form(g, a->form[p->form], t.sets).longest;
                most = n > most ? n : most;
            }
            t.longest += most;
            t.unfilled |= !(t.sets >> p->slot & 1);
        }
    }
    return t;
}

static inline totals total_rule(const gp_grammar *g, int r, uint32_t filled)
{
    const gp_rule *rule = g->rules + r;
    totals t = {.sets = ~0u};
    for (const gp_alternative *a = g->alternatives + rule->first, *end = a + rule->count; a < end; a++) {
        double p = (double)a->weight[0] / (double)rule->total_weight[0];
        totals inside = total_form(g, a->form[0], filled);
        t.nats += p * (inside.nats - log(p));
        t.longest = inside.longest > t.longest ? inside.longest : t.longest;
        t.sets &= inside.sets;
        t.unfilled |= inside.unfilled;
    }
    return t;
}

#endif
