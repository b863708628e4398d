/* labelled.c: see labelled.h. */
#include "gptpipe/labelled.h"

#include <stdlib.h>
#include <string.h>

#include "base/batch.h"
#include "base/rng.h"

enum { CHUNK = 32 }; /* batches that are sorted by length together */

typedef struct labelled {
    gp_source source;
    const gp_tokenizer *t;
    gp_labelled_options o;
    gp_labelled_item *items; /* (count) */
    int32_t *lengths;        /* (count) tokens of the rows, after truncation */
    float *class_weights;    /* (labels), or NULL */
    int64_t count, truncated;
    bool pairs;
} labelled;

/* ---- items of streams ------------------------------------------------------------------------------------- */

int gp_labelled_match(const gp_tokens *s, const gp_tokens *like)
{
    const gp_tokens_info *info = gp_tokens_get_info(s), *other = gp_tokens_get_info(like);
    if (!info->items)
        return fail("%s: has no labels; make it with tokenize --jsonl FIELD --label FIELD", info->name);
    if (info->pairs != other->pairs)
        return fail("%s: its items are %s, those of %s %s", info->name, info->pairs ? "pairs" : "single texts",
                    other->name, other->pairs ? "pairs" : "single texts");
    for (int64_t i = 0; i < gp_max(info->labels, other->labels); i++) {
        const char *a = i < info->labels ? gp_tokens_label_name(s, i) : "missing",
                   *b = i < other->labels ? gp_tokens_label_name(like, i) : "missing";
        if (strcmp(a, b))
            return fail("%s: its label %lld is %s, that of %s is %s; tokenize both with the same --labels", info->name,
                        (long long)i, a, other->name, b);
    }
    return 0;
}

/* Documents of the span: [*first, last), which is returned. */
static int64_t documents_of(const gp_span *span, int64_t *first)
{
    int64_t documents = gp_tokens_get_info(span->tokens)->documents, last = 0;
    *first = 0;
    GP_LOWER_BOUND(*first, documents, i, gp_tokens_document(span->tokens, i) < span->first)
    last = *first;
    GP_LOWER_BOUND(last, documents, i, gp_tokens_document(span->tokens, i) < span->last)
    return last;
}

static int add_span(const gp_span *span, const gp_tokens *first, gp_labelled_item **items, int64_t *count)
{
    int64_t i, last;
    if (gp_labelled_match(span->tokens, first))
        return -1;
    last = documents_of(span, &i);
    *items = gp_realloc(*items, (size_t)(*count + last - i + 1), sizeof **items);
    for (; i < last; i++) {
        if (gp_tokens_item(span->tokens, i).label < 0)
            return fail("%s: item %lld has no label", gp_tokens_get_info(span->tokens)->name, (long long)i);
        (*items)[(*count)++] = (gp_labelled_item){.tokens = span->tokens, .index = i};
    }
    return 0;
}

int64_t gp_labelled_find(const gp_stream_set *sets, int count, gp_labelled_item **items)
{
    int64_t n = 0;
    *items = NULL;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < sets[i].count; k++)
            if (add_span(&sets[i].spans[k], sets[0].spans[0].tokens, items, &n)) {
                free(*items);
                *items = NULL;
                return -1;
            }
    return n;
}

int64_t gp_labelled_hold_out(gp_labelled_item *items, int64_t count, double fraction, gp_labelled_item *held_out)
{
    int64_t held = gp_max(1, gp_min(count - 1, (int64_t)(fraction * (double)count + 0.5))), kept = 0, moved = 0;
    if (count < 2)
        return fail("%lld labelled item%s cannot be split into a training and a validation part", (long long)count,
                    gp_plural(count));
    for (int64_t i = 0; i < count; i++) {
        bool out = (int64_t)gp_random_permute((uint64_t)i, (uint64_t)count, 0, GP_RNG_ITEMS, 0, 0) < held;
        if (out)
            held_out[moved++] = items[i];
        else
            items[kept++] = items[i];
    }
    return kept;
}

/* ---- batches ---------------------------------------------------------------------------------------------- */

typedef struct sorted_row {
    int32_t length;
    int64_t item;
} sorted_row;

static int by_length(const void *a, const void *b)
{
    const sorted_row *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* Where a batch is: in a chunk of `count` items, those of the epoch from `first` on, the `rows` items from `at` on once
 * the chunk is sorted. */
typedef struct batch_place {
    uint64_t epoch;
    int64_t first, count, at, rows;
} batch_place;

static batch_place place_of(const labelled *s, int64_t n)
{
    batch_place p = {.epoch = (uint64_t)(n / s->source.batches)};
    int64_t k = n % s->source.batches, B = s->o.B, chunk = k / CHUNK;
    int64_t batches = gp_min(CHUNK, s->source.batches - chunk * CHUNK);
    p.first = chunk * CHUNK * B;
    p.count = gp_min(batches * B, s->count - p.first);
    p.at = B * (int64_t)gp_random_permute((uint64_t)(k % CHUNK), (uint64_t)batches, s->o.seed, GP_RNG_ITEMS,
                                          (uint32_t)(chunk + 1) * 8, p.epoch);
    p.rows = gp_min(B, p.count - p.at);
    return p;
}

/* The items of batch n, in *rows, which the caller frees; returns their number. */
static int64_t rows_of(const labelled *s, int64_t n, sorted_row **rows)
{
    batch_place p = place_of(s, n);
    sorted_row *all = gp_malloc((size_t)p.count * sizeof *all);
    for (int64_t i = 0; i < p.count; i++) {
        uint64_t item =
            gp_random_permute((uint64_t)(p.first + i), (uint64_t)s->count, s->o.seed, GP_RNG_ITEMS, 0, p.epoch);
        all[i] = (sorted_row){.length = s->lengths[item], .item = (int64_t)item};
    }
    qsort(all, (size_t)p.count, sizeof *all, by_length);
    memmove(all, all + p.at, (size_t)p.rows * sizeof *all);
    *rows = all;
    return p.rows;
}

/* Assembles an item into a row of T ids. types may be NULL. */
static int fill_row(const labelled *s, int64_t i, int64_t T, int32_t *ids, int32_t *types)
{
    const gp_labelled_item *which = &s->items[i];
    gp_token_item item = gp_tokens_item(which->tokens, which->index);
    int32_t *text = gp_malloc((size_t)(item.first + item.second + 1) * sizeof *text);
    int64_t length = -1;
    if (!gp_tokens_read(which->tokens, item.begin, item.first + item.second, text))
        length = gp_tokenizer_assemble(s->t, text, item.first, s->pairs ? text + item.first : NULL, item.second, T,
                                       s->o.truncate, ids, types);
    free(text);
    for (int64_t t = length; t < T && length >= 0; t++) {
        ids[t] = s->o.pad;
        if (types)
            types[t] = 0;
    }
    return length < 0 ? -1 : 0;
}

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    const labelled *s = (const labelled *)self;
    int32_t *ids = gp_batch_fill(batch->inputs), *types = gp_batch_fill(batch->types),
            *lengths = gp_batch_fill(batch->lengths), *labels = gp_batch_fill(batch->labels);
    int64_t *items = gp_batch_fill(batch->items);
    sorted_row *rows;
    BUG_ON(n < 0);
    int rc = 0;
    batch->B = rows_of(s, n, &rows);
    batch->T = rows[batch->B - 1].length; /* they are sorted */
    for (int64_t r = 0; r < batch->B && !rc; r++) {
        const gp_labelled_item *which = &s->items[rows[r].item];
        items[r] = rows[r].item;
        lengths[r] = rows[r].length;
        labels[r] = gp_tokens_item(which->tokens, which->index).label;
        rc = fill_row(s, rows[r].item, batch->T, ids + r * batch->T, types ? types + r * batch->T : NULL);
    }
    free(rows);
    return rc;
}

static double weigh(const gp_source *self, int64_t n)
{
    const labelled *s = (const labelled *)self;
    sorted_row *rows;
    double sum = 0;
    if (!s->class_weights)
        return (double)place_of(s, n).rows;
    int64_t count = rows_of(s, n, &rows);
    for (int64_t r = 0; r < count; r++) {
        const gp_labelled_item *which = &s->items[rows[r].item];
        sum += (double)s->class_weights[gp_tokens_item(which->tokens, which->index).label];
    }
    free(rows);
    return sum;
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

static void close_labelled(gp_source *self)
{
    labelled *s = (labelled *)self;
    free(s->items);
    free(s->lengths);
    free(s->class_weights);
    free(s);
}

/* Special tokens around a text or a pair, checking that the model has the types that a pair needs; -1 on failure. */
static int64_t special_tokens(const labelled *s, const char *name)
{
    static const int32_t text[1];
    int32_t ids[64], types[64] = {0};
    int64_t n =
        gp_tokenizer_assemble(s->t, text, 1, s->pairs ? text : NULL, 1, ARRAY_LEN(ids), GP_TRUNCATE_NONE, ids, types);
    for (int64_t i = 0; i < n; i++)
        if (types[i] && types[i] >= s->o.types)
            return fail("%s: its items are pairs of texts, which the tokenizer marks by token types, and the model has "
                        "%lld types",
                        name, (long long)s->o.types);
    return n < 0 ? -1 : n - 1 - s->pairs;
}

static int measure(labelled *s)
{
    const char *name = gp_tokens_get_info(s->items[0].tokens)->name;
    int64_t special = special_tokens(s, name), longest = 0;
    if (special < 0)
        return -1;
    if (special >= s->o.T)
        return fail(
            "rows of %lld tokens have no place for a text beside the %lld tokens that the tokenizer puts around "
            "it",
            (long long)s->o.T, (long long)special);
    s->lengths = gp_malloc((size_t)s->count * sizeof *s->lengths);
    for (int64_t i = 0; i < s->count; i++) {
        const gp_labelled_item *which = &s->items[i];
        gp_token_item item = gp_tokens_item(which->tokens, which->index);
        int64_t length = item.first + item.second + special;
        if (length > s->o.T && s->o.truncate == GP_TRUNCATE_NONE)
            return fail("%s: item %lld has %lld tokens with those around it, more than the %lld of a row; --truncate "
                        "head or head+tail shortens it",
                        gp_tokens_get_info(which->tokens)->name, (long long)which->index, (long long)length,
                        (long long)s->o.T);
        s->truncated += length > s->o.T;
        s->lengths[i] = (int32_t)gp_min(length, s->o.T);
        if (!length)
            return fail("%s: item %lld has no tokens, and the tokenizer puts none around it",
                        gp_tokens_get_info(which->tokens)->name, (long long)which->index);
        longest = gp_max(longest, s->lengths[i]);
    }
    s->source.tokens = s->o.B * longest;
    return 0;
}

gp_source *gp_labelled_open(const gp_tokenizer *t, const gp_labelled_item *items, int64_t count,
                            const gp_labelled_options *o)
{
    int64_t bytes;
    if (o->B < 1 || o->T < 1 || !gp_mul(o->B, o->T, &bytes) || !gp_mul(bytes, 4, &bytes))
        return fail("invalid batch size: %lld rows of %lld tokens", (long long)o->B, (long long)o->T), NULL;
    if (!count)
        return fail("there are no labelled items"), NULL;
    const gp_tokens_info *info = gp_tokens_get_info(items[0].tokens);
    labelled *s = gp_calloc(1, sizeof *s);
    *s = (labelled){.t = t, .o = *o, .count = count, .pairs = info->pairs};
    s->source = (gp_source){.rows = gp_min(o->B, count),
                            .batches = (count + o->B - 1) / o->B,
                            .members = GP_BATCH_LENGTHS | GP_BATCH_LABELS | GP_BATCH_ITEMS |
                                       (o->types > 1 ? GP_BATCH_TYPES : 0),
                            .fill = fill,
                            .weight = weigh,
                            .close = close_labelled};
    s->items = gp_malloc((size_t)count * sizeof *s->items);
    memcpy(s->items, items, (size_t)count * sizeof *s->items);
    if (o->class_weights) {
        s->class_weights = gp_malloc((size_t)info->labels * sizeof *s->class_weights);
        memcpy(s->class_weights, o->class_weights, (size_t)info->labels * sizeof *s->class_weights);
    }
    if (!measure(s))
        return &s->source;
    close_labelled(&s->source);
    return NULL;
}

int64_t gp_labelled_truncated(const gp_source *self)
{
    return ((const labelled *)self)->truncated;
}

int64_t gp_labelled_tokens(const gp_source *self)
{
    const labelled *s = (const labelled *)self;
    int64_t sum = 0;
    for (int64_t i = 0; i < s->count; i++)
        sum += s->lengths[i];
    return sum;
}
