/* tiktoken.c: tokenizers out of .tiktoken files: in each line a token in base64, a space, and its rank, which is its
 * id too. The pre-split is not in the file: GPT-2's is taken, and files that were made for another one are refused.
 *
 * tiktoken knows no pairs: it merges any two neighbours that together are a token, the lowest rank first, the
 * leftmost of equals. That comes to one pair a token. Where no merge crosses a token's ends, its bytes go as they go
 * alone; so wherever a token comes about, it is made of the same two parts as in a text that is this token and
 * nothing else, and these are found by merging its bytes. A token whose bytes come to more than two parts would be
 * one only where it is a whole piece, and parts must have lower ranks than what they make; no trained vocabulary is
 * otherwise, and others are refused. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/escape.h"
#include "text/pretokenize.h"
#include "text/text.h"

enum {
    LONGEST = 1000,   /* bytes of a token; GPT-2's longest has 128, and finding its parts is quadratic */
    P50K_GAP = 50256, /* where p50k_base leaves room for end-of-text, and goes on behind it */
    RANKS_MAX = 1 << 22,
};

/* ---- lines ----------------------------------------------------------------------------------------------- */

typedef struct token_line {
    const char *token; /* base64 */
    size_t length;
    int32_t rank;
} token_line;

/* Reads the n bytes at p: false when they are not base64, a space, and a number. */
static bool parse_line(const char *p, size_t n, token_line *l)
{
    const char *space = memchr(p, ' ', n);
    size_t at = space ? (size_t)(space - p) + 1 : n;
    int64_t rank = 0;
    *l = (token_line){.token = p, .length = at - (space != NULL)};
    if (at == n)
        return false;
    for (; at < n; at++) {
        if (p[at] < '0' || p[at] > '9' || rank > RANKS_MAX)
            return false;
        rank = 10 * rank + (p[at] - '0');
    }
    l->rank = (int32_t)gp_min(rank, RANKS_MAX);
    return l->rank < RANKS_MAX;
}

/* Bytes of the line at p, without what ends it; *next is where the next one begins. */
static size_t line_length(const char *p, const char *end, const char **next)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((newline ? newline : end) - p);
    *next = newline ? newline + 1 : end;
    return n && p[n - 1] == '\r' ? n - 1 : n;
}

/* Its first line is one, whether its base64 is good or not. */
bool gp_is_tiktoken(const char *text, size_t length)
{
    const char *next;
    token_line l;
    size_t n = line_length(text, text + length, &next);
    return parse_line(text, n, &l) && l.length % 4 == 0;
}

static int bad_line(const char *where, int64_t number, const char *p, size_t n)
{
    gp_buf found = {0};
    gp_escape(&found, p, gp_min((int64_t)n, 60));
    fail("%s: line %lld is \"%s\", expected a token in base64, a space and its rank", where, (long long)number,
         found.data);
    gp_buf_release(&found);
    return -1;
}

static int read_lines(gp_draft *d, const char *text, size_t length, const char *where)
{
    const char *end = text + length, *next;
    uint8_t bytes[LONGEST + 5]; /* a multiple of 3 */
    int64_t number = 1;
    for (const char *p = text; p < end; p = next, number++) {
        token_line l;
        size_t n = line_length(p, end, &next);
        if (!n)
            continue;
        if (!parse_line(p, n, &l))
            return bad_line(where, number, p, n);
        int64_t count = l.length <= sizeof bytes / 3 * 4 ? gp_base64_decode(bytes, l.token, l.length) : LONGEST + 1;
        if (count < 1)
            return bad_line(where, number, p, n);
        if (count > LONGEST)
            return fail("%s: line %lld has a token of more than %d bytes", where, (long long)number, LONGEST);
        gp_draft_add(d, l.rank, (const char *)bytes, (size_t)count);
    }
    return 0;
}

/* ---- end-of-text ----------------------------------------------------------------------------------------- */

/* The id that <|endoftext|> gets: the one behind the last rank, as in r50k_base (GPT-2's), or p50k_base's gap. */
static int32_t place_end_of_text(const gp_draft *d)
{
    bool gap = d->count > P50K_GAP;
    for (int64_t i = 0; i < d->count; i++)
        gap = gap && d->tokens[i].id != P50K_GAP;
    return gap ? P50K_GAP : (int32_t)d->count;
}

/* ---- the pre-split --------------------------------------------------------------------------------------- */

/* Whether a token goes over an end of a piece of GPT-2's split, which no merge does. A character that is cut says
 * nothing, and 'l may be the beginning of 'll. */
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

static int check_split(const gp_vocab *v, int32_t end_of_text, const char *where)
{
    int rc = 0;
    for (int32_t id = 0; id < v->size && !rc; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (id == end_of_text || !crosses(bytes, n))
            continue;
        gp_buf name = {0};
        gp_escape(&name, bytes, gp_min((int64_t)n, 60));
        rc = fail("%s: its token %d, \"%s\", cannot come out of GPT-2's pre-split: it was made for another one "
                  "(as cl100k_base and o200k_base are), which is not supported",
                  where, id, name.data);
        gp_buf_release(&name);
    }
    return rc;
}

/* ---- merges ---------------------------------------------------------------------------------------------- */

/* The two parts that a token's bytes come to when they are merged, short of the token itself. false when there are
 * more, or one of them has a higher rank: then a merge could make way for an earlier one. */
static bool find_parts(const gp_vocab *v, int32_t id, gp_pair *parts)
{
    size_t at[LONGEST + 1], n, count; /* where the parts begin, and the end */
    int32_t rank[LONGEST];            /* of what parts i and i + 1 make */
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

/* The merges of all tokens but bytes, by rank; gives how many, or -1. */
static int64_t find_merges(const gp_vocab *v, int32_t end_of_text, gp_pair *merges, const char *where)
{
    int64_t count = 0;
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (n == 1 || id == end_of_text)
            continue;
        if (!find_parts(v, id, &merges[count++])) {
            gp_buf name = {0};
            gp_escape(&name, bytes, gp_min((int64_t)n, 60));
            fail("%s: its token %d, \"%s\", is not made of two tokens before it: some are missing, or the "
                 "ranks are not in the order of merges",
                 where, id, name.data);
            gp_buf_release(&name);
            return -1;
        }
    }
    return count;
}

/* Ranks and end-of-text are 0 to n - 1, each once. */
static int check_ranks(const gp_draft *d, int32_t end_of_text, const char *where)
{
    int64_t count = d->count + 1, id = 0;
    uint8_t *seen = gp_calloc((size_t)count, sizeof *seen); /* 2: twice or more */
    seen[end_of_text] = 1;
    for (int64_t i = 0; i < d->count; i++)
        if (d->tokens[i].id < count)
            seen[d->tokens[i].id] = seen[d->tokens[i].id] ? 2 : 1;
    while (id < count && seen[id] == 1)
        id++;
    bool twice = id < count && seen[id];
    free(seen);
    return id == count ? 0
                       : fail("%s: its %lld ids are not 0 to %lld, each once: id %lld is %s", where, (long long)count,
                              (long long)count - 1, (long long)id, twice ? "given twice" : "missing");
}

gp_tokenizer *gp_tokenizer_from_tiktoken(const char *text, size_t length, const char *where)
{
    gp_draft d = {0};
    gp_vocab v = {0};
    gp_pair *merges = NULL;
    gp_tokenizer *t = NULL;
    int64_t count;
    if (read_lines(&d, text, length, where))
        goto out;
    int32_t end_of_text = place_end_of_text(&d);
    if (check_ranks(&d, end_of_text, where))
        goto out;
    gp_draft_add(&d, end_of_text, GP_END_OF_TEXT_NAME, strlen(GP_END_OF_TEXT_NAME));
    merges = gp_malloc((size_t)d.count * sizeof *merges);
    if (!gp_vocab_build(&v, d.tokens, d.count, &d.bytes, where) && !check_split(&v, end_of_text, where) &&
        (count = find_merges(&v, end_of_text, merges, where)) >= 0)
        t = gp_tokenizer_from_merges(&d, merges, count, end_of_text, where);
out:
    gp_vocab_release(&v);
    gp_draft_release(&d);
    free(merges);
    return t;
}
