/* tiktoken.c: reads .tiktoken files, in which each line has a token in base64, a space, and its rank, which is its id
 * too. The pre-tokenization is not in the file: it is assumed to be GPT-2's, and files made for another one are
 * rejected.
 *
 * tiktoken has no list of merges: it merges any adjacent tokens whose concatenation is a token, the lowest rank first,
 * the leftmost if there are several. This is equivalent to one merge per token. If no merge crosses the ends of a
 * token, its bytes are merged as they would be alone; so wherever a token arises, it is made of the same two parts as
 * in a text that consists of it, which are found by merging its bytes. A token whose bytes end up in more than two
 * parts would arise only as a whole piece, and parts must have lower ranks than the token; trained vocabularies satisfy
 * this, and others are rejected. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/files/reader.h"
#include "text/pretokenize.h"
#include "text/text.h"

enum {
    LONGEST = 1000,   /* bytes of a token (GPT-2's longest has 128), since finding its parts takes quadratic time */
    P50K_GAP = 50256, /* the id of end-of-text in p50k_base, which has further ranks after it */
    MAX_RANKS = 1 << 22,
};

/* ---- lines ----------------------------------------------------------------------------------------------- */

typedef struct token_line {
    const char *token; /* base64 */
    size_t length;
    int32_t rank;
} token_line;

/* Parses the n bytes at p; false if they are not base64, a space, and a number. */
static bool parse_line(const char *p, size_t n, token_line *l)
{
    const char *space = memchr(p, ' ', n);
    size_t at = space ? (size_t)(space - p) + 1 : n;
    int64_t rank = 0;
    *l = (token_line){.token = p, .length = at - (space != NULL)};
    if (at == n)
        return false;
    for (; at < n; at++) {
        if (p[at] < '0' || p[at] > '9' || rank > MAX_RANKS)
            return false;
        rank = 10 * rank + (p[at] - '0');
    }
    l->rank = (int32_t)gp_min(rank, MAX_RANKS);
    return l->rank < MAX_RANKS;
}

/* By the form of the first line; its base64 may be invalid. */
bool gp_is_tiktoken(const char *text, size_t length)
{
    const char *next;
    token_line l;
    size_t n = gp_line_length(text, text + length, &next);
    return parse_line(text, n, &l) && l.length % 4 == 0;
}

static int bad_line(const char *where, int64_t number, const char *p, size_t n)
{
    return fail("%s: line %lld is \"%s\", expected a token in base64, a space and its rank", where, (long long)number,
                gp_printable_bytes(p, gp_min((int64_t)n, 60)));
}

static int read_lines(gp_token_list *d, const char *text, size_t length, const char *where)
{
    const char *end = text + length, *next;
    uint8_t bytes[LONGEST + 5]; /* a multiple of 3 */
    int64_t number = 1;
    for (const char *p = text; p < end; p = next, number++) {
        token_line l;
        size_t n = gp_line_length(p, end, &next);
        if (!n)
            continue;
        if (!parse_line(p, n, &l))
            return bad_line(where, number, p, n);
        int64_t count = l.length <= sizeof bytes / 3 * 4 ? gp_base64_decode(bytes, l.token, l.length) : LONGEST + 1;
        if (count < 1)
            return bad_line(where, number, p, n);
        if (count > LONGEST)
            return fail("%s: line %lld has a token of more than %d bytes", where, (long long)number, LONGEST);
        gp_token_list_add(d, l.rank, (const char *)bytes, (size_t)count);
    }
    return 0;
}

/* ---- end-of-text ----------------------------------------------------------------------------------------- */

/* The id of <|endoftext|>: after the last rank, as in r50k_base (GPT-2's), or in the gap of p50k_base. */
static int32_t place_end_of_text(const gp_token_list *d)
{
    bool gap = d->count > P50K_GAP;
    for (int64_t i = 0; i < d->count; i++)
        gap = gap && d->tokens[i].id != P50K_GAP;
    return gap ? P50K_GAP : (int32_t)d->count;
}

/* ---- pre-tokenization ------------------------------------------------------------------------------------ */

/* Whether a token crosses the end of a piece of GPT-2's split, which no merge does. An incomplete character is
 * inconclusive, and 'l may be the beginning of 'll. */
static bool crosses(const char *bytes, size_t n)
{
    const uint8_t *p = (const uint8_t *)bytes;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        at += gp_utf8_last(p + at, n - at, &c);
        if (c >= GP_BAD_BYTE)
            return false;
    }
    size_t first = gp_pretokenize(p, n, true);
    return first > 0 && first < n;
}

int gp_reader_check_split(const gp_vocab *v, const uint8_t *made, const char *where)
{
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (!v->flags[id] && (!made || made[id]) && crosses(bytes, n))
            return fail(
                "%s: token %d, \"%s\", is impossible with GPT-2's pre-tokenization: the file was made for another "
                "one (as cl100k_base, o200k_base and Qwen's are), which is not supported",
                where, id, gp_printable_bytes(bytes, gp_min((int64_t)n, 60)));
    }
    return 0;
}

/* ---- merges ---------------------------------------------------------------------------------------------- */

/* The two parts into which the bytes of a token are merged before the token itself arises. false if there are more, or
 * one has a higher rank than the token, so that merging it would not be in order of rank. */
static bool find_parts(const gp_vocab *v, int32_t id, gp_pair *parts)
{
    size_t at[LONGEST + 1], n, count; /* the starts of the parts, and the end */
    int32_t rank[LONGEST];            /* of parts i and i + 1 together */
    const char *bytes = gp_vocab_bytes(v, id, &n);
    count = n;
    for (size_t i = 0; i <= n; i++)
        at[i] = i;
    for (size_t i = 0; i + 1 < count; i++)
        rank[i] = count == 2 ? -1 : gp_vocab_find(v, bytes + i, 2);
    while (count > 2) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (rank[i] >= 0 && (rank[best] < 0 || rank[i] < rank[best]))
                best = i;
        if (rank[best] < 0)
            return false;
        count--;
        memmove(&at[best + 1], &at[best + 2], (count - best) * sizeof *at);
        memmove(&rank[best], &rank[best + 1], (count - 1 - best) * sizeof *rank);
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < count && count > 2; i++)
            rank[i] = gp_vocab_find(v, bytes + at[i], at[i + 2] - at[i]);
    }
    *parts = (gp_pair){gp_vocab_find(v, bytes, at[1]), gp_vocab_find(v, bytes + at[1], n - at[1])};
    return parts->left >= 0 && parts->right >= 0 && (at[1] == 1 || parts->left < id) &&
           (n - at[1] == 1 || parts->right < id);
}

/* Finds the merges of all tokens except bytes, by rank. Returns their number, or -1. */
static int64_t find_merges(const gp_vocab *v, int32_t end_of_text, gp_pair *merges, const char *where)
{
    int64_t count = 0;
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (n == 1 || id == end_of_text)
            continue;
        if (!find_parts(v, id, &merges[count++]))
            return fail(
                "%s: token %d, \"%s\", is not made of two tokens of lower ranks: some are missing, or the ranks are "
                "not in the order of merges",
                where, id, gp_printable_bytes(bytes, gp_min((int64_t)n, 60)));
    }
    return count;
}

/* Ranks and end-of-text must be 0 to n - 1, each once. */
static int check_ranks(const gp_token_list *d, int32_t end_of_text, const char *where)
{
    int64_t count = d->count + 1, id = 0;
    uint8_t *uses = gp_calloc((size_t)count, sizeof *uses); /* 2: twice or more */
    uses[end_of_text] = 1;
    for (int64_t i = 0; i < d->count; i++)
        if (d->tokens[i].id < count)
            uses[d->tokens[i].id] = uses[d->tokens[i].id] ? 2 : 1;
    while (id < count && uses[id] == 1)
        id++;
    bool twice = id < count && uses[id];
    free(uses);
    return id == count ? 0
                       : fail("%s: its %lld ids are not 0 to %lld, each once: id %lld is %s", where, (long long)count,
                              (long long)count - 1, (long long)id, twice ? "given twice" : "missing");
}

gp_tokenizer *gp_tokenizer_from_tiktoken(const char *text, size_t length, const char *where)
{
    gp_token_list d = {0};
    gp_vocab v = {0};
    gp_pair *merges = NULL;
    gp_tokenizer *t = NULL;
    int64_t count;
    if (read_lines(&d, text, length, where))
        goto out;
    int32_t end_of_text = place_end_of_text(&d);
    if (check_ranks(&d, end_of_text, where))
        goto out;
    gp_token_list_add(&d, end_of_text, GP_END_OF_TEXT_NAME, strlen(GP_END_OF_TEXT_NAME))->flags = GP_TOKEN_SPECIAL;
    merges = gp_malloc((size_t)d.count * sizeof *merges);
    if (!gp_vocab_build(&v, d.tokens, d.count, &d.bytes, where) && !gp_reader_check_split(&v, NULL, where) &&
        (count = find_merges(&v, end_of_text, merges, where)) >= 0)
        t = gp_tokenizer_from_merges(&d, merges, count, end_of_text, where);
out:
    gp_vocab_release(&v);
    gp_token_list_release(&d);
    free(merges);
    return t;
}
