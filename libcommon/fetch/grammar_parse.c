/* grammar_parse.c: text to gp_grammar; see grammar.h and, for the notation, data/stories.grammar.
 *
 * First the lines are split into rules and alternatives, and these at their brackets; then names are resolved, since a
 * rule may be used before its definition.
 */
#include "fetch/grammar.h"

#include <stdlib.h>
#include <string.h>

typedef struct parser {
    gp_grammar *g;
    const char *where;
    int line;
} parser;

/* Appends a zeroed element to a growing array. */
#define PUSH(array, count)                                                                                             \
    ((array) = gp_grow((array), (count), sizeof *(array)), memset(&(array)[(count)++], 0, sizeof *(array)))

static bool same(const char *name, const char *s, size_t n)
{
    return strlen(name) == n && !memcmp(name, s, n);
}

/* A name may be written with a capital where it is used: "Hero" finds "hero". */
static bool same_folded(const char *name, const char *s, size_t n)
{
    return strlen(name) == n && n && *name == (*s >= 'A' && *s <= 'Z' ? *s + 32 : *s) &&
           !memcmp(name + 1, s + 1, n - 1);
}

int gp_grammar_rule(const gp_grammar *g, const char *name, size_t n)
{
    for (int r = 0; r < g->rule_count; r++)
        if (same_folded(g->rules[r].name, name, n))
            return r;
    return -1;
}

static int find_slot(const gp_grammar *g, const char *name, size_t n)
{
    for (int s = 0; s < g->slot_count; s++)
        if (same_folded(g->slots[s].name, name, n))
            return s;
    return -1;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    s[n] = 0;
    return s;
}

/* "name" or "name: form form ...", at the start of a line. */
static int parse_rule(parser *p, char *line)
{
    char *forms = strchr(line, ':'), *save = NULL;
    if (forms)
        *forms++ = 0;
    line = trim(line);
    if (gp_grammar_rule(p->g, line, strlen(line)) >= 0)
        return fail("%s:%d: rule %s is defined twice", p->where, p->line, line);
    gp_rule *rule = PUSH(p->g->rules, p->g->rule_count);
    rule->name = line;
    rule->first = p->g->alternative_count;
    for (char *f = forms ? strtok_r(forms, " \t", &save) : NULL; f; f = strtok_r(NULL, " \t", &save)) {
        if (rule->forms == GP_GRAMMAR_FORMS)
            return fail("%s:%d: rule %s has more than %d forms", p->where, p->line, line, GP_GRAMMAR_FORMS);
        rule->form_name[rule->forms++] = f;
    }
    if (!rule->forms)
        rule->forms = 1;
    return 0;
}

/* Splits one form at its brackets. */
static int parse_form(parser *p, gp_form *form, const char *text)
{
    form->first = p->g->piece_count;
    while (*text) {
        gp_grammar_piece *piece = PUSH(p->g->pieces, p->g->piece_count);
        size_t n = strcspn(text, "<");
        piece->home = p->g->rule_count - 1;
        piece->line = p->line;
        piece->slot = -1;
        piece->text = text;
        if (!n) {
            n = strcspn(++text, ">");
            if (!text[n])
                return fail("%s:%d: a < is never closed", p->where, p->line);
            piece->kind = GP_PIECE_DRAW; /* or RECALL: known when all rules are */
            piece->text = text;
            piece->capital = *text >= 'A' && *text <= 'Z';
        }
        piece->length = (int)n;
        text += n + (piece->kind != GP_PIECE_TEXT);
    }
    form->count = p->g->piece_count - form->first;
    return 0;
}

/* "W", the weight in both classes, or "W/W", that in each; returns what follows, or NULL. */
static char *parse_weights(char *line, int64_t weight[GP_GRAMMAR_CLASSES])
{
    char *end = line;
    for (int c = 0; c < GP_GRAMMAR_CLASSES; c++) {
        if (c && *end != '/') {
            weight[c] = weight[0];
            continue;
        }
        char *digits = c ? end + 1 : line;
        weight[c] = strtol(digits, &end, 10);
        if (end == digits || weight[c] < 1 || weight[c] > 1000000)
            return NULL;
    }
    return *end == ' ' ? end : NULL;
}

/* "  WEIGHT text | form | form" */
static int parse_alternative(parser *p, char *line)
{
    if (!p->g->rule_count)
        return fail("%s:%d: an alternative before the first rule", p->where, p->line);
    gp_rule *rule = p->g->rules + p->g->rule_count - 1;
    int64_t weight[GP_GRAMMAR_CLASSES];
    line = trim(line);
    char *text = parse_weights(line, weight);
    if (!text)
        return fail("%s:%d: found \"%.40s\", expected a weight from 1 to 1000000 and a text", p->where, p->line, line);
    gp_alternative *a = PUSH(p->g->alternatives, p->g->alternative_count);
    a->line = p->line;
    rule->count++;
    for (int c = 0; c < GP_GRAMMAR_CLASSES; c++) {
        a->weight[c] = weight[c];
        rule->total_weight[c] += weight[c];
    }
    int forms = 0;
    for (char *next = text; next; forms++) {
        char *form = next;
        next = strchr(form, '|');
        if (next)
            *next++ = 0;
        if (forms < rule->forms && parse_form(p, a->form + forms, trim(form)))
            return -1;
    }
    if (forms != rule->forms)
        return fail("%s:%d: found %d forms, rule %s has %d", p->where, p->line, forms, rule->name, rule->forms);
    return 0;
}

static int parse_lines(parser *p)
{
    for (char *line = p->g->text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        p->line++;
        if (*line == '#' || !*trim(line))
            continue;
        bool indented = *line == ' ' || *line == '\t';
        if (indented ? parse_alternative(p, line) : parse_rule(p, line))
            return -1;
    }
    return p->g->rule_count ? 0 : fail("%s: no rules found", p->where);
}

/* <slot=rule>: declares the slot, for recalls before and after it. */
static int define_slot(parser *p, gp_grammar_piece *piece)
{
    gp_grammar *g = p->g;
    const char *equals = memchr(piece->text, '=', (size_t)piece->length);
    if (!equals)
        return 0;
    size_t n = (size_t)(equals - piece->text), rest = (size_t)piece->length - n - 1;
    int slot = find_slot(g, piece->text, n), rule = gp_grammar_rule(g, equals + 1, rest);
    if (rule < 0)
        return fail("%s:%d: <%.*s>: there is no rule %.*s", p->where, p->line, piece->length, piece->text, (int)rest,
                    equals + 1);
    if (gp_grammar_rule(g, piece->text, n) >= 0)
        return fail("%s:%d: <%.*s>: %.*s is a rule's name", p->where, p->line, piece->length, piece->text, (int)n,
                    piece->text);
    if (slot < 0) {
        if (g->slot_count == GP_GRAMMAR_SLOTS)
            return fail("%s:%d: more than %d remembered names", p->where, p->line, GP_GRAMMAR_SLOTS);
        slot = g->slot_count++;
        char *name = g->text + (piece->text - g->text);
        name[n] = 0; /* over the '=' */
        *name = (char)(piece->capital ? *name + 32 : *name);
        g->slots[slot] = (gp_slot){name, rule};
    } else if (g->slots[slot].rule != rule) {
        return fail("%s:%d: %s is filled by two rules, %s and %s", p->where, p->line, g->slots[slot].name,
                    g->rules[g->slots[slot].rule].name, g->rules[rule].name);
    }
    piece->slot = slot;
    piece->rule = rule;
    return 0;
}

/* <rule>, <slot> or <slot.form>, once all slots are known. */
static int resolve(parser *p, gp_grammar_piece *piece)
{
    const gp_grammar *g = p->g;
    const char *name = piece->text, *dot = memchr(name, '.', (size_t)piece->length);
    size_t n = dot ? (size_t)(dot - name) : (size_t)piece->length;
    piece->slot = find_slot(g, name, n);
    if (piece->slot < 0) {
        piece->rule = dot ? -1 : gp_grammar_rule(g, name, n);
        return piece->rule >= 0 ? 0
                                : fail("%s:%d: <%.*s> is neither a rule nor a remembered name", p->where, p->line,
                                       piece->length, name);
    }
    const gp_rule *rule = g->rules + g->slots[piece->slot].rule;
    piece->kind = GP_PIECE_RECALL;
    for (piece->form = 0; dot && piece->form < rule->forms; piece->form++)
        if (rule->form_name[piece->form] && same(rule->form_name[piece->form], dot + 1, (size_t)piece->length - n - 1))
            return 0;
    return dot ? fail("%s:%d: <%.*s>: rule %s has no such form", p->where, p->line, piece->length, name, rule->name)
               : 0;
}

static int look_up_names(parser *p)
{
    gp_grammar *g = p->g;
    for (int r = 0; r < g->rule_count; r++)
        if (!g->rules[r].count)
            return fail("%s: rule %s has no alternatives", p->where, g->rules[r].name);
    for (gp_grammar_piece *piece = g->pieces, *end = piece + g->piece_count; piece < end; piece++) {
        p->line = piece->line;
        if (piece->kind != GP_PIECE_TEXT && define_slot(p, piece))
            return -1;
    }
    for (gp_grammar_piece *piece = g->pieces, *end = piece + g->piece_count; piece < end; piece++) {
        p->line = piece->line;
        if (piece->kind != GP_PIECE_TEXT && piece->slot < 0 && resolve(p, piece))
            return -1;
    }
    for (gp_grammar_piece *piece = g->pieces, *end = piece + g->piece_count; piece < end; piece++)
        for (int s = 0; s < g->slot_count; s++)
            if (piece->kind == GP_PIECE_DRAW && piece->home == g->slots[s].rule)
                return fail("%s:%d: <%.*s>: what is recalled cannot draw anew", p->where, piece->line, piece->length,
                            piece->text);
    return 0;
}

/* A recursive rule might never end. state: 1 while a rule is being visited, 2 afterwards. */
static int check_recursion(parser *p, int r, char *state)
{
    const gp_grammar *g = p->g;
    const gp_rule *rule = g->rules + r;
    if (state[r])
        return state[r] == 1 ? fail("%s: rule %s is recursive", p->where, rule->name) : 0;
    state[r] = 1;
    for (const gp_alternative *a = g->alternatives + rule->first, *end = a + rule->count; a < end; a++) {
        const gp_grammar_piece *piece = g->pieces + a->form[0].first;
        for (int i = 0; i < a->form[0].count; i++)
            if (piece[i].kind == GP_PIECE_DRAW && check_recursion(p, piece[i].rule, state))
                return -1;
    }
    state[r] = 2;
    return 0;
}

int gp_grammar_parse(gp_grammar *g, const char *text, const char *where)
{
    parser p = {g, where, 0};
    *g = (gp_grammar){.text = gp_strdup(text)};
    if (parse_lines(&p) || look_up_names(&p))
        return -1;
    char *state = gp_calloc((size_t)g->rule_count, 1);
    int rc = check_recursion(&p, 0, state);
    free(state);
    return rc;
}

void gp_grammar_release(gp_grammar *g)
{
    free(g->text);
    free(g->rules);
    free(g->alternatives);
    free(g->pieces);
    *g = (gp_grammar){0};
}
