/* order.c: see order.h. */
#include "data/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* The third word of a GP_RNG_DATA counter: each span has STREAMS of them, each for one use. The shuffle uses 1 ..
 * GP_PERMUTE_ROUNDS. */
enum { STREAM_STARTS = 0, STREAM_OFFSETS = GP_PERMUTE_ROUNDS + 1, STREAMS = 16 };

/* The span that contains unit u of the set: the last one that begins at or before it. */
static int find_span(const gp_order *o, int64_t u)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, o->set->count - 1, i, o->units[i + 1].before <= u);
    return (int)low;
}

static uint64_t draw(const gp_order *o, uint32_t which, int64_t row, int64_t n)
{
    return gp_random_below(o->seed, GP_RNG_DATA, o->stream + which, (uint64_t)row, (uint64_t)n);
}

/* ---- random: units are start positions ------------------------------------------------------------------- */

static void count_starts(const gp_order *o, const gp_span *span, gp_units *u)
{
    u->count = gp_max(0, span->last - span->first - o->T);
}

static gp_place random_place(const gp_order *o, int64_t row)
{
    int64_t at = (int64_t)draw(o, STREAM_STARTS, row, o->total);
    int i = find_span(o, at);
    return (gp_place){.span = i, .start = o->set->spans[i].first + at - o->units[i].before};
}

/* ---- shuffle: units are windows -------------------------------------------------------------------------- */

static int64_t windows_of(const gp_order *o, const gp_span *span)
{
    return gp_max(0, (span->last - span->first - 1) / o->T);
}

static void count_windows(const gp_order *o, const gp_span *span, gp_units *u)
{
    u->count = windows_of(o, span);
    u->spare = span->last - span->first - 1 - u->count * o->T;
}

static gp_place shuffle_place(const gp_order *o, int64_t row)
{
    uint64_t windows = (uint64_t)o->total, epoch = (uint64_t)row / windows;
    int64_t w = (int64_t)gp_random_permute((uint64_t)row % windows, windows, o->seed, GP_RNG_DATA, o->stream, epoch);
    int i = find_span(o, w);
    uint32_t stream = o->stream + (uint32_t)i * STREAMS + STREAM_OFFSETS;
    uint64_t offsets = (uint64_t)o->units[i].spare + 1;
    int64_t offset = (int64_t)gp_random_below(o->seed, GP_RNG_DATA, stream, epoch, offsets);
    return (gp_place){.span = i, .start = o->set->spans[i].first + offset + (w - o->units[i].before) * o->T};
}

/* ---- sequential: units are micro-batches ----------------------------------------------------------------- */

static void count_batches(const gp_order *o, const gp_span *span, gp_units *u)
{
    u->count = windows_of(o, span) / o->rows;
}

static gp_place sequential_place(const gp_order *o, int64_t row)
{
    int64_t batch = row / o->rows % o->total;
    int i = find_span(o, batch);
    int64_t window = (batch - o->units[i].before) * o->rows + row % o->rows;
    return (gp_place){.span = i, .start = o->set->spans[i].first + window * o->T};
}

/* ---- documents: units are documents ---------------------------------------------------------------------- */

/* Where document d begins, including the separator before it. */
static int64_t document_start(const gp_span *span, const gp_units *u, int64_t d)
{
    return gp_tokens_document(span->tokens, d) - u->separator;
}

/* The first document whose row begins at token `from` or later; documents are in order of their starts. */
static int64_t first_document(const gp_span *span, const gp_units *u, int64_t from)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, gp_tokens_get_info(span->tokens)->documents, i, document_start(span, u, i) < from);
    return low;
}

/* A document may begin a row if a separator precedes it and at least T tokens and a target follow the separator. */
static void count_documents(const gp_order *o, const gp_span *span, gp_units *u)
{
    u->document = first_document(span, u, span->first);
    u->count = gp_max(0, first_document(span, u, span->last - o->T - u->separator) - u->document);
}

static gp_place documents_place(const gp_order *o, int64_t row)
{
    int64_t d = (int64_t)draw(o, STREAM_STARTS, row, o->total);
    int i = find_span(o, d);
    const gp_units *u = &o->units[i];
    bool without_separator = draw(o, STREAM_OFFSETS, row, 2);
    int64_t start = document_start(&o->set->spans[i], u, u->document + d - u->before);
    return (gp_place){.span = i, .start = start + (without_separator ? u->separator : 0)};
}

static int find_separators(gp_order *o)
{
    for (int i = 0; i < o->set->count; i++) {
        const gp_tokens *tokens = o->set->spans[i].tokens;
        char *text = NULL;
        int32_t *ids = NULL;
        size_t length;
        if (!gp_tokens_get_info(tokens)->documents ||
            gp_tokens_separator(tokens, &text, &length, &ids, &o->units[i].separator))
            return fail("%s: has no index of documents, which --order documents needs: tokenize with --separator",
                        gp_tokens_get_info(tokens)->name);
        free(text);
        free(ids);
    }
    return 0;
}

/* ---- all orders ------------------------------------------------------------------------------------------ */

static const struct {
    void (*count)(const gp_order *o, const gp_span *span, gp_units *u);
    gp_place (*place)(const gp_order *o, int64_t row);
} orders[] = {[GP_ORDER_RANDOM] = {count_starts, random_place},
              [GP_ORDER_SHUFFLE] = {count_windows, shuffle_place},
              [GP_ORDER_SEQUENTIAL] = {count_batches, sequential_place},
              [GP_ORDER_DOCUMENTS] = {count_documents, documents_place}};

const char *gp_data_order_name(gp_data_order order)
{
    static const char *const names[] = {GP_DATA_ORDERS(GP_CHOICE_NAME)};
    return names[order];
}

static void count_units(gp_order *o, gp_data_order which)
{
    o->total = 0;
    for (int i = 0; i < o->set->count; i++) {
        orders[which].count(o, &o->set->spans[i], &o->units[i]);
        o->units[i].before = o->total;
        o->total += o->units[i].count;
    }
}

static int fail_short(const gp_order *o)
{
    int64_t longest = 0;
    for (int i = 0; i < o->set->count; i++)
        longest = gp_max(longest, o->set->spans[i].last - o->set->spans[i].first);
    if (o->place == documents_place && longest > o->T)
        return fail("no document has %lld tokens from its separator to the end of the text", (long long)o->T + 1);
    return fail("the text is shorter than the context: %lld tokens, more than %lld are needed for a sequence of "
                "%lld and its last target; give more text or a smaller --seq-len",
                (long long)longest, (long long)o->T, (long long)o->T);
}

int gp_order_open(gp_order *o, gp_data_order order, const gp_stream_set *set, int64_t T, int64_t rows, uint64_t seed,
                  int64_t first)
{
    *o = (gp_order){.set = set, .T = T, .rows = rows, .seed = seed, .stream = (uint32_t)first * STREAMS};
    o->place = orders[order].place;
    o->units = gp_calloc((size_t)set->count, sizeof *o->units);
    for (int i = 0; i < set->count; i++)
        o->windows += windows_of(o, &set->spans[i]);
    if (o->windows && o->place == documents_place && find_separators(o))
        goto out;
    count_units(o, order);
    if (!o->total && o->place == sequential_place) {
        o->rows = 1;
        count_units(o, order);
    }
    if (o->total)
        return 0;
    fail_short(o);
out:
    gp_order_close(o);
    return -1;
}

void gp_order_close(gp_order *o)
{
    free(o->units);
    *o = (gp_order){0};
}

gp_place gp_order_place(const gp_order *o, int64_t row)
{
    return o->place(o, row);
}

int64_t gp_order_epoch(const gp_order *o)
{
    return o->place == sequential_place ? o->total * o->rows : o->windows;
}

int gp_order_unread(const gp_order *o)
{
    int n = 0;
    for (int i = 0; i < o->set->count; i++)
        n += !o->units[i].count;
    return n;
}
