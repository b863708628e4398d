/* template.c: see template.h; what a model reads for a text or a pair: gptpipe/encoding.h. */
#include "text/template.h"

#include <stdlib.h>
#include <string.h>

#include "gptpipe/encoding.h"
#include "text/text.h"

/* ---- templates ------------------------------------------------------------------------------------------- */

void gp_template_list_add(gp_template_list *l, int32_t id, int32_t type)
{
    l->tokens = gp_realloc(l->tokens, (size_t)l->count + 1, sizeof *l->tokens);
    l->tokens[l->count++] = (gp_template_token){.id = id, .type = type};
}

/* Sets before and after from single. */
static void split_single(gp_template *t)
{
    const gp_template_list *l = &t->single;
    free(t->before);
    free(t->after);
    t->before = t->after = NULL;
    t->before_count = t->after_count = 0;
    for (int64_t i = 0, text = l->count; i < l->count; i++) {
        int32_t **ids = i < text ? &t->before : &t->after;
        int64_t *count = i < text ? &t->before_count : &t->after_count;
        if (l->tokens[i].id == GP_TEMPLATE_A) {
            text = i;
            continue;
        }
        *ids = gp_realloc(*ids, (size_t)*count + 1, sizeof **ids);
        (*ids)[(*count)++] = l->tokens[i].id;
    }
}

/* Adds the tokens of `outer`, with the n tokens of A and the m tokens of B in place of these texts. */
static void wrap(gp_template_list *l, const gp_template_list *outer, const gp_template_token *a, int64_t n,
                 const gp_template_token *b, int64_t m)
{
    for (int64_t i = 0; i < outer->count; i++) {
        const gp_template_token *p = &outer->tokens[i], *of = p->id == GP_TEMPLATE_A   ? a
                                                              : p->id == GP_TEMPLATE_B ? b
                                                                                       : p;
        int64_t count = p->id == GP_TEMPLATE_A ? n : p->id == GP_TEMPLATE_B ? m : 1;
        for (int64_t k = 0; k < count; k++)
            gp_template_list_add(l, of[k].id, p->type);
    }
}

void gp_template_wrap(gp_template *t, const gp_template *outer)
{
    static const gp_template_token texts[] = {{GP_TEMPLATE_A, 0}, {GP_TEMPLATE_B, 0}};
    gp_template all = {0};
    bool empty = !t->single.count;
    wrap(&all.single, &outer->single, empty ? texts : t->single.tokens, empty ? 1 : t->single.count, NULL, 0);
    if (empty)
        wrap(&all.pair, &outer->pair, texts, 1, texts + 1, 1);
    else if (t->second)
        wrap(&all.pair, &outer->pair, t->pair.tokens, t->second, t->pair.tokens + t->second, t->pair.count - t->second);
    all.second = empty ? outer->second : 0;
    split_single(&all);
    gp_template_release(t);
    *t = all;
}

void gp_template_cls_sep(gp_template *t, int32_t cls, int32_t sep, bool roberta)
{
    const int32_t single[] = {cls, GP_TEMPLATE_A, sep}, pair[] = {cls, GP_TEMPLATE_A, sep, sep, GP_TEMPLATE_B, sep};
    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        gp_template_list_add(&t->single, single[i], 0);
    for (size_t i = 0; i < ARRAY_LEN(pair); i++)
        if (roberta || i != 3)
            gp_template_list_add(&t->pair, pair[i], !roberta && i > 3);
    t->second = 3;
    split_single(t);
}

void gp_template_bos_eos(gp_template *t, int32_t bos, int32_t eos)
{
    for (int pair = 0; pair < 2; pair++) {
        gp_template_list *l = pair ? &t->pair : &t->single;
        for (int text = 0; text <= pair; text++) {
            if (bos >= 0)
                gp_template_list_add(l, bos, text);
            gp_template_list_add(l, text ? GP_TEMPLATE_B : GP_TEMPLATE_A, text);
            if (eos >= 0)
                gp_template_list_add(l, eos, text);
        }
    }
    split_single(t);
}

void gp_template_release(gp_template *t)
{
    free(t->single.tokens);
    free(t->pair.tokens);
    free(t->before);
    free(t->after);
    *t = (gp_template){0};
}

/* ---- assembling ------------------------------------------------------------------------------------------ */

/* How many tokens of each text remain in `room`. As in `tokenizers` (truncate_encodings in truncation.rs), the longer
 * text is cut first, and of two that are cut to the same length the second keeps the odd token; of equal lengths, the
 * second. */
static void longest_first(int64_t room, int64_t *na, int64_t *nb)
{
    int64_t shorter = gp_min(*na, *nb), longer = gp_max(shorter, room - shorter);
    bool swap = *na > *nb;
    if (*na + *nb <= room)
        return;
    if (shorter + longer > room) {
        shorter = room / 2;
        longer = room - shorter;
    }
    *na = swap ? longer : shorter;
    *nb = swap ? shorter : longer;
}

/* Writes `kept` of the n ids of a text. */
static void put_text(const int32_t *text, int64_t n, int64_t kept, gp_truncation how, int32_t *ids)
{
    int64_t head = how == GP_TRUNCATE_HEAD_TAIL && kept < n ? (kept + 3) / 4 : kept;
    for (int64_t i = 0; i < kept; i++)
        ids[i] = i < head ? text[i] : text[n - kept + i];
}

int64_t gp_tokenizer_assemble(const gp_tokenizer *t, const int32_t *a, int64_t na, const int32_t *b, int64_t nb,
                              int64_t max, gp_truncation how, int32_t *ids, int32_t *types)
{
    static const gp_template_token plain[] = {{GP_TEMPLATE_A, 0}, {GP_TEMPLATE_B, 1}};
    const gp_template_list *list = b ? &t->template.pair : &t->template.single;
    const gp_template_token *tokens = list->count ? list->tokens : plain;
    int64_t count = list->count ? list->count : b ? 2 : 1, special = count - (b ? 2 : 1), at = 0;
    int64_t kept_a = na, kept_b = b ? nb : 0;
    if (b && !list->count && t->template.single.count)
        return fail("the tokenizer's post_processor has no template for pairs of texts");
    if (special > max)
        return fail("%lld tokens have no room for the %lld that the tokenizer puts around a text", (long long)max,
                    (long long)special);
    if (how == GP_TRUNCATE_NONE && special + kept_a + kept_b > max)
        return fail("%lld tokens, more than %lld", (long long)(special + kept_a + kept_b), (long long)max);
    longest_first(max - special, &kept_a, &kept_b);
    for (int64_t i = 0; i < count; i++) {
        int64_t n = tokens[i].id == GP_TEMPLATE_A ? kept_a : tokens[i].id == GP_TEMPLATE_B ? kept_b : 1;
        if (tokens[i].id == GP_TEMPLATE_A)
            put_text(a, na, n, how, ids + at);
        else if (tokens[i].id == GP_TEMPLATE_B)
            put_text(b, nb, n, how, ids + at);
        else
            ids[at] = tokens[i].id;
        for (int64_t k = 0; k < n && types; k++)
            types[at + k] = tokens[i].type;
        at += n;
    }
    return at;
}
