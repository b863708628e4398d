/* char_map.c: see char_map.h. BertNormalizer applies clean_text, handle_chinese_chars, strip_accents and lowercase in
 * this order; BertPreTokenizer then splits. */
#include "text/wordpiece/char_map.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode/bert.h"

static uint32_t entry(gp_char_kind kind, unsigned order, uint32_t c)
{
    return (uint32_t)kind | order << 3 | c << (3 + GP_ORDER_BITS);
}

/* The entry of a character of the normalized text. */
static uint32_t final_entry(uint32_t c, unsigned order, bool isolated)
{
    uint32_t class = gp_bert_class(c);
    return class & GP_IS_WHITE
               ? entry(GP_CHAR_SPLITS, 0, c)
               : entry(isolated || class & GP_IS_PUNCTUATION ? GP_CHAR_ISOLATED : GP_CHAR_IN_WORD, order, c);
}

/* Appends c in lower case. */
static void add_lower(uint32_t *all, int *count, uint32_t c, unsigned order, bool isolated, bool lowercase)
{
    if (lowercase && c == 0x130) {
        all[(*count)++] = final_entry('i', order, isolated);
        c = 0x307;
    } else if (lowercase) {
        c = gp_case_map(gp_bert_lower, (size_t)gp_bert_lower_count, c);
    }
    all[(*count)++] = final_entry(c, order, isolated);
}

static uint32_t entry_of(gp_char_map *m, const gp_bert_switches *s, uint32_t c)
{
    bool strip = gp_bert_strips(s);
    uint32_t class = gp_bert_class(c), all[4];
    int count = 0;
    if (s->clean_text && class & GP_IS_DELETED)
        return entry(GP_CHAR_REMOVED, GP_ORDER_NONE, 0);
    if ((s->clean_text && class & GP_IS_BLANK) || class & GP_IS_WHITE)
        return entry(GP_CHAR_SPLITS, 0, 0);
    if (strip && class & (GP_IS_MARK | GP_IS_STARTING_MARK))
        return entry(GP_CHAR_REMOVED, class & GP_IS_MARK ? GP_ORDER_NONE : 0, 0);
    if (strip && gp_is_hangul(c))
        return entry(GP_CHAR_HANGUL, 0, 0);
    bool isolated = s->handle_chinese_chars && class & GP_IS_CJK;
    const gp_bert_long *l = strip ? gp_bert_stripped_of(c) : NULL;
    for (int i = 0; l && i < 3 && l->to[i]; i++)
        add_lower(all, &count, l->to[i], gp_bert_order_of(l->to[i]), isolated, s->lowercase);
    if (!l)
        add_lower(all, &count, c, strip ? gp_bert_order_of(c) : 0, isolated, s->lowercase);
    if (count == 1)
        return gp_entry_char(all[0]) == c ? all[0] & ((1u << (3 + GP_ORDER_BITS)) - 1) : all[0];
    m->sequences = gp_realloc(m->sequences, m->sequence_count + (size_t)count, sizeof *m->sequences);
    memcpy(m->sequences + m->sequence_count, all, (size_t)count * sizeof *all);
    m->sequence_count += (size_t)count;
    return entry(GP_CHAR_SEVERAL, (unsigned)count, (uint32_t)m->sequence_count - (uint32_t)count);
}

/* Marks the pages that have characters of different entries, or that become other characters. */
static void find_mixed(bool mixed[0x110000 / GP_CHAR_PAGE])
{
    memset(mixed, 0, 0x110000 / GP_CHAR_PAGE);
    mixed[GP_HANGUL_FIRST / GP_CHAR_PAGE] = mixed[GP_HANGUL_LAST / GP_CHAR_PAGE] = true;
    for (int i = 0; i < gp_bert_classes_count; i++)
        mixed[(gp_bert_classes[i] >> 8) / GP_CHAR_PAGE] = true;
    for (int i = 0; i < gp_bert_stripped_count; i++)
        mixed[gp_bert_stripped[i].c / GP_CHAR_PAGE] = true;
    for (int i = 0; i < gp_bert_orders_count; i++)
        for (uint32_t c = gp_bert_orders[i].first; c <= gp_bert_orders[i].last; c++)
            mixed[c / GP_CHAR_PAGE] = true;
    for (int i = 0; i < gp_bert_lower_count; i++)
        for (uint32_t c = gp_bert_lower[i].first; c <= gp_bert_lower[i].last; c += gp_bert_lower[i].step)
            mixed[c / GP_CHAR_PAGE] = true;
}

static uint32_t *add_page(gp_char_map *m)
{
    m->pages = gp_realloc(m->pages, m->page_count + 1, sizeof *m->pages);
    return m->pages[m->page_count++];
}

void gp_char_map_init(gp_char_map *m, const gp_bert_switches *s)
{
    enum { SAME = 16 };
    bool mixed[0x110000 / GP_CHAR_PAGE];
    uint32_t same[SAME] = {0}; /* the entries of pages with one entry only */
    uint16_t page_of[SAME];
    int count = 0;
    *m = (gp_char_map){0};
    find_mixed(mixed);
    for (uint32_t page = 0; page < 0x110000 / GP_CHAR_PAGE; page++) {
        uint32_t first = page * GP_CHAR_PAGE, e = mixed[page] ? 0 : entry_of(m, s, first);
        int k = 0;
        while (k < count && same[k] != e)
            k++;
        if (!mixed[page] && k < count) {
            m->page[page] = page_of[k];
            continue;
        }
        m->page[page] = (uint16_t)m->page_count;
        uint32_t *to = add_page(m);
        for (uint32_t i = 0; i < GP_CHAR_PAGE; i++)
            to[i] = mixed[page] ? entry_of(m, s, first + i) : e;
        if (!mixed[page] && count < SAME) {
            same[count] = e;
            page_of[count++] = m->page[page];
        }
    }
}

void gp_char_map_release(gp_char_map *m)
{
    free(m->pages);
    free(m->sequences);
    m->pages = NULL;
    m->sequences = NULL;
}
