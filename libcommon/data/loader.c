/* loader.c: see loader.h. */
#include "gptpipe/loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/rng.h"

enum { ROUNDS = 6 };

/* The third word of a GP_RNG_DATA counter: one stream of numbers a use. 1 .. ROUNDS are the shuffle's. */
enum { STREAM_STARTS = 0, STREAM_OFFSETS = ROUNDS + 1 };

struct gp_loader {
    const gp_tokens *tokens;
    gp_loader_options o;
    int64_t count, windows;
    int64_t document, documents,
        separator; /* order documents: the first that may begin a row, how many; ids */
    int64_t (*start)(const gp_loader *l, int64_t n, int64_t b);
};

/* ---- orders ---------------------------------------------------------------------------------- */

static int64_t random_start(const gp_loader *l, int64_t n, int64_t b)
{
    uint64_t row = (uint64_t)(n * l->o.B + b), places = (uint64_t)(l->count - l->o.T);
    return (int64_t)gp_random_below(l->o.seed, GP_RNG_DATA, STREAM_STARTS, row, places);
}

/* A permutation of [0, n) keyed by (seed, epoch): a Feistel network over the smallest even number of bits
 * that holds n - 1, walked along its cycle until it lands inside (Black & Rogaway 2002). At most four walks
 * on average, no table. */
static uint64_t permute(uint64_t x, uint64_t n, uint64_t seed, uint64_t epoch)
{
    int half = 1;
    while (half < 31 && (uint64_t)1 << 2 * half < n)
        half++;
    uint32_t mask = ((uint32_t)1 << half) - 1;
    do {
        uint32_t left = (uint32_t)(x >> half), right = (uint32_t)x & mask;
        for (uint32_t round = 1; round <= ROUNDS; round++) {
            uint32_t f = gp_philox4x32(seed, right, (uint32_t)epoch, round, GP_RNG_DATA).v[0];
            uint32_t next = (left ^ f) & mask;
            left = right;
            right = next;
        }
        x = (uint64_t)left << half | right;
    } while (x >= n);
    return x;
}

static int64_t shuffle_start(const gp_loader *l, int64_t n, int64_t b)
{
    uint64_t row = (uint64_t)(n * l->o.B + b), windows = (uint64_t)l->windows, epoch = row / windows;
    uint64_t spare = (uint64_t)(l->count - 1 - l->windows * l->o.T);
    uint64_t offset = gp_random_below(l->o.seed, GP_RNG_DATA, STREAM_OFFSETS, epoch, spare + 1);
    return (int64_t)offset + (int64_t)permute(row % windows, windows, l->o.seed, epoch) * l->o.T;
}

/* Where document d begins, the separator before it included. */
static int64_t document_start(const gp_loader *l, int64_t d)
{
    return gp_tokens_document(l->tokens, d) - l->separator;
}

static int64_t documents_start(const gp_loader *l, int64_t n, int64_t b)
{
    uint64_t row = (uint64_t)(n * l->o.B + b);
    uint64_t d = gp_random_below(l->o.seed, GP_RNG_DATA, STREAM_STARTS, row, (uint64_t)l->documents);
    int64_t start = document_start(l, l->document + (int64_t)d) - l->o.first;
    bool bare = gp_random_below(l->o.seed, GP_RNG_DATA, STREAM_OFFSETS, row, 2);
    return bare ? start + l->separator : start;
}

static int64_t sequential_start(const gp_loader *l, int64_t n, int64_t b)
{
    int64_t batches = l->windows / l->o.B;
    if (!batches) /* not one whole micro-batch: wrap row by row */
        return (n * l->o.B + b) % l->windows * l->o.T;
    return (n % batches * l->o.B + b) * l->o.T;
}

/* ---- the loader ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int64_t (*start)(const gp_loader *l, int64_t n, int64_t b);
} orders[] = {{"random", random_start},
              {"shuffle", shuffle_start},
              {"sequential", sequential_start},
              {"documents", documents_start}};

/* The first document whose row begins at token `from` or later; documents are in order of their starts. */
static int64_t first_document(const gp_loader *l, int64_t from)
{
    int64_t low = 0, high = gp_tokens_get_info(l->tokens)->documents;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (document_start(l, middle) < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Which documents may begin a row: those with a separator before them and T tokens and a target behind it. */
static int set_up_documents(gp_loader *l)
{
    char *text = NULL;
    int32_t *ids = NULL;
    size_t length;
    if (l->start != documents_start)
        return 0;
    if (!gp_tokens_get_info(l->tokens)->documents ||
        gp_tokens_separator(l->tokens, &text, &length, &ids, &l->separator))
        return fail(
            "the token stream has no index of documents, which --order documents needs: tokenize with "
            "--separator");
    free(text);
    free(ids);
    l->document = first_document(l, l->o.first);
    l->documents = first_document(l, l->o.last - l->o.T - l->separator) - l->document;
    if (l->documents < 1)
        return fail("no document has %lld tokens from its separator to the end of the text",
                    (long long)l->o.T + 1);
    return 0;
}

static int set_up(gp_loader *l)
{
    int64_t all = gp_tokens_get_info(l->tokens)->count;
    gp_loader_options *o = &l->o;
    o->last = o->last ? o->last : all;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        if (o->order && !strcmp(o->order, orders[i].name))
            l->start = orders[i].start;
    if (!l->start)
        return fail("unknown data order %s (random, shuffle, sequential, documents)",
                    o->order ? o->order : "NULL");
    if (o->B < 1 || o->T < 1)
        return fail("batches of %lld rows of %lld tokens cannot be made", (long long)o->B, (long long)o->T);
    if (o->first < 0 || o->last > all || o->first > o->last)
        return fail("tokens %lld to %lld were asked for; the stream has %lld", (long long)o->first,
                    (long long)o->last, (long long)all);
    l->count = o->last - o->first;
    if (l->count - 1 < o->T)
        return fail(
            "the text is shorter than the context: %lld tokens, more than %lld are needed for a sequence of "
            "%lld and its last target; give more text or a smaller --seq-len",
            (long long)l->count, (long long)o->T, (long long)o->T);
    l->windows = (l->count - 1) / o->T;
    return set_up_documents(l);
}

gp_loader *gp_loader_open(const gp_tokens *tokens, const gp_loader_options *options)
{
    gp_loader *l = gp_calloc(1, sizeof *l);
    l->tokens = tokens;
    l->o = *options;
    if (set_up(l)) {
        free(l);
        return NULL;
    }
    return l;
}

void gp_loader_close(gp_loader *l)
{
    free(l);
}

int64_t gp_loader_windows(const gp_loader *l)
{
    return l->windows;
}

int64_t gp_loader_start(const gp_loader *l, int64_t n, int64_t b)
{
    BUG_ON(n < 0 || b < 0 || b >= l->o.B);
    return l->o.first + l->start(l, n, b);
}

int gp_loader_batch(const gp_loader *l, int64_t n, int32_t *inputs, int32_t *targets)
{
    int64_t T = l->o.T;
    for (int64_t b = 0; b < l->o.B; b++) {
        int64_t start = gp_loader_start(l, n, b);
        int32_t *in = inputs + b * T, *out = targets + b * T;
        if (gp_tokens_read(l->tokens, start, T, in) || gp_tokens_read(l->tokens, start + T, 1, out + T - 1))
            return -1;
        memcpy(out, in + 1, (size_t)(T - 1) * sizeof *in);
    }
    return 0;
}
