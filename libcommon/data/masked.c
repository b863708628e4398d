/* masked.c: see masked.h. */
#include "gptpipe/masked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/batch.h"
#include "base/rng.h"

/* Flags of an id. */
enum { ELIGIBLE = 1, CONTINUES = 2 };

typedef struct masked {
    gp_source source;
    const gp_source *inner;
    gp_masking how;
    int64_t T, window; /* tokens a row; those of the inner source */
    const int32_t *prefix, *suffix;
    int64_t before, after;
    int32_t mask;
    uint8_t *flags; /* (vocab) */
    int64_t vocab;
    int32_t *ordinary; /* (ordinary_count) the eligible ids */
    int64_t ordinary_count;
    gp_batch scratch; /* of weigh */
} masked;

gp_masking gp_masking_defaults(void)
{
    return (gp_masking){.probability = 0.15, .mask_replace = 0.8, .random_replace = 0.1};
}

int64_t gp_masked_affixes(const gp_tokenizer *t)
{
    int64_t before, after;
    gp_tokenizer_prefix(t, &before);
    gp_tokenizer_suffix(t, &after);
    return before + after;
}

/* ---- which tokens ---------------------------------------------------------------------------------------- */

/* The chosen tokens of a row are marked by the complement of their id, which is negative. */
static int32_t id_of(int32_t id)
{
    return id < 0 ? ~id : id;
}

static unsigned flags_of(const masked *m, int32_t id)
{
    id = id_of(id);
    return id < m->vocab ? m->flags[id] : 0;
}

/* Two draws for place i of a row: to choose it, and to replace it. */
static gp_philox draw(const masked *m, uint64_t row, int64_t i, bool replaces)
{
    return gp_philox4x32(m->how.seed, (uint32_t)row, (uint32_t)(row >> 32), (uint32_t)(2 * i + replaces), GP_RNG_MASK);
}

static uint64_t draw_below(const masked *m, uint64_t row, int64_t i, int64_t n)
{
    gp_philox r = draw(m, row, i, false);
    return gp_scale_below((uint64_t)r.v[0] << 32 | r.v[1], (uint64_t)n);
}

/* k of the row's n eligible tokens: selection sampling (Knuth, The Art of Computer Programming, 3.4.2, algorithm S). */
static void choose_tokens(const masked *m, uint64_t row, int32_t *ids, int64_t n, int64_t k)
{
    for (int64_t t = 0; k > 0; t++) {
        if (!(flags_of(m, ids[t]) & ELIGIBLE))
            continue;
        if (draw_below(m, row, t, n--) < (uint64_t)k) {
            ids[t] = ~ids[t];
            k--;
        }
    }
}

/* The number of tokens of the word that begins at t. */
static int64_t word_length(const masked *m, const int32_t *ids, int64_t t)
{
    int64_t n = 1;
    while (t + n < m->T && flags_of(m, ids[t + n]) == (ELIGIBLE | CONTINUES))
        n++;
    return n;
}

static void mark(int32_t *ids, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        ids[t] = ~ids[t];
}

/* Words in a random order, as long as they fit into k tokens. starts (T) is scratch memory. */
static void choose_words(const masked *m, uint64_t row, int32_t *ids, int64_t k, int32_t *starts)
{
    int64_t words = 0, left = k;
    for (int64_t t = 0; t < m->T; t += flags_of(m, ids[t]) & ELIGIBLE ? word_length(m, ids, t) : 1)
        if (flags_of(m, ids[t]) & ELIGIBLE)
            starts[words++] = (int32_t)t;
    for (int64_t i = 0; i < words && left > 0; i++) { /* Fisher-Yates, as far as needed */
        int64_t j = i + (int64_t)draw_below(m, row, i, words - i), start = starts[j], n = word_length(m, ids, start);
        starts[j] = starts[i];
        starts[i] = (int32_t)start;
        if (n > left)
            continue;
        mark(ids + start, n);
        left -= n;
    }
    if (left == k) /* no word is as short as that */
        mark(ids + starts[0], word_length(m, ids, starts[0]));
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static int32_t replacement(const masked *m, uint64_t row, int64_t t, int32_t id)
{
    gp_philox r = draw(m, row, t, true);
    double u = (double)(((uint64_t)r.v[0] << 32 | r.v[1]) >> 11) * 0x1p-53;
    if (u < m->how.mask_replace)
        return m->mask;
    if (u < m->how.mask_replace + m->how.random_replace)
        return m->ordinary[gp_scale_below((uint64_t)r.v[2] << 32 | r.v[3], (uint64_t)m->ordinary_count)];
    return id;
}

/* Masks one row (T) and returns the number of its targets. */
static int64_t mask_row(const masked *m, uint64_t row, int32_t *ids, int32_t *targets)
{
    int64_t n = 0, count = 0;
    for (int64_t t = 0; t < m->T; t++)
        n += flags_of(m, ids[t]) & ELIGIBLE;
    int64_t k = gp_min(n, gp_max(1, llround(m->how.probability * (double)n)));
    if (n && m->how.whole_words)
        choose_words(m, row, ids, k, targets);
    else
        choose_tokens(m, row, ids, n, k);
    for (int64_t t = 0; t < m->T; t++) {
        bool chosen = ids[t] < 0;
        targets[t] = chosen ? ~ids[t] : -100;
        if (chosen)
            ids[t] = replacement(m, row, t, targets[t]);
        count += chosen;
    }
    return count;
}

/* Fills batch n and returns the number of its targets; -1 on failure. */
static int64_t fill_rows(const masked *m, int64_t n, gp_batch *batch)
{
    int32_t *ids = gp_batch_fill(batch->inputs), *targets = gp_batch_fill(batch->targets);
    int64_t count = 0;
    if (gp_source_fill(m->inner, n, batch))
        return -1;
    BUG_ON(batch->T != m->window);
    batch->T = m->T;
    for (int64_t b = batch->B - 1; b >= 0; b--) { /* the last row first: it moves the farthest */
        int32_t *row = ids + b * m->T;
        memmove(row + m->before, ids + b * m->window, (size_t)m->window * sizeof *ids);
        for (int64_t t = 0; t < m->before; t++)
            row[t] = m->prefix[t];
        for (int64_t t = 0; t < m->after; t++)
            row[m->before + m->window + t] = m->suffix[t];
        count += mask_row(m, (uint64_t)(n * m->source.rows + b), row, targets + b * m->T);
    }
    return count;
}

static int fill(const gp_source *self, int64_t n, gp_batch *batch)
{
    return fill_rows((const masked *)self, n, batch) < 0 ? -1 : 0;
}

static double weigh(const gp_source *self, int64_t n)
{
    const masked *m = (const masked *)self;
    gp_batch batch = m->scratch;
    return (double)fill_rows(m, n, &batch);
}

/* ---- entropy --------------------------------------------------------------------------------------------- */

enum { PIECE = 1 << 16, MAX_PIECES = 1 << 8 };

/* Counts the eligible ids of every stride-th piece of a span; *piece: pieces of the set before it. */
static int count_span(const masked *m, const gp_span *s, int64_t stride, int64_t *piece, int32_t *ids, int64_t *counts)
{
    for (int64_t at = s->first; at < s->last; at += PIECE, ++*piece) {
        int64_t n = gp_min(PIECE, s->last - at);
        if (*piece % stride)
            continue;
        if (gp_tokens_read(s->tokens, at, n, ids))
            return -1;
        for (int64_t i = 0; i < n; i++)
            if (flags_of(m, ids[i]) & ELIGIBLE)
                counts[ids[i]]++;
    }
    return 0;
}

/* Adds weight times the frequency of each id to p (vocab). */
static int add_frequencies(const masked *m, const gp_stream_set *set, double weight, double *p)
{
    int64_t pieces = 0, at = 0, sum = 0, *counts = gp_calloc((size_t)m->vocab, sizeof *counts);
    int32_t *ids = gp_malloc(PIECE * sizeof *ids);
    int rc = 0;
    for (int i = 0; i < set->count; i++)
        pieces += (set->spans[i].last - set->spans[i].first + PIECE - 1) / PIECE;
    for (int i = 0; i < set->count && !rc; i++)
        rc = count_span(m, &set->spans[i], (pieces + MAX_PIECES - 1) / MAX_PIECES, &at, ids, counts);
    for (int64_t id = 0; id < m->vocab; id++)
        sum += counts[id];
    for (int64_t id = 0; id < m->vocab && sum; id++)
        p[id] += weight * (double)counts[id] / (double)sum;
    free(ids);
    free(counts);
    return rc;
}

int gp_masked_entropy(const gp_source *self, const gp_stream_set *sets, int count, double *nats)
{
    const masked *m = (const masked *)self;
    double *p = gp_calloc((size_t)m->vocab, sizeof *p), sum = 0;
    int rc = 0;
    for (int i = 0; i < count && !rc; i++)
        rc = add_frequencies(m, &sets[i], count > 1 ? sets[i].weight : 1, p);
    for (int64_t id = 0; id < m->vocab; id++)
        sum += p[id];
    *nats = 0;
    for (int64_t id = 0; id < m->vocab; id++)
        if (p[id] > 0)
            *nats -= p[id] / sum * log(p[id] / sum);
    free(p);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static void close_masked(gp_source *self)
{
    masked *m = (masked *)self;
    gp_batch_close(&m->scratch);
    free(m->flags);
    free(m->ordinary);
    free(m);
}

static int check(const gp_masking *how)
{
    if (!(how->probability > 0 && how->probability <= 1))
        return fail("mlm_probability is %g, expected above 0 and at most 1", how->probability);
    if (!(how->mask_replace >= 0 && how->random_replace >= 0 && how->mask_replace + how->random_replace <= 1 + 1e-12))
        return fail("mask_replace_prob %g and random_replace_prob %g: expected probabilities that add up to at most 1",
                    how->mask_replace, how->random_replace);
    return 0;
}

/* Special and added tokens are not eligible, nor are ids that the vocabulary does not use. */
static void list_eligible(masked *m, const gp_tokenizer *t)
{
    m->vocab = gp_tokenizer_vocab_size(t);
    m->flags = gp_calloc((size_t)m->vocab, sizeof *m->flags);
    m->ordinary = gp_calloc((size_t)m->vocab, sizeof *m->ordinary);
    int32_t unknown = gp_tokenizer_unknown(t);
    for (int32_t id = 0; id < m->vocab; id++) {
        size_t length = 0;
        gp_tokenizer_bytes(t, id, &length);
        if (!length || gp_tokenizer_is_special(t, id) || gp_tokenizer_is_added(t, id) || id == unknown)
            continue;
        m->flags[id] = (uint8_t)(ELIGIBLE | (gp_tokenizer_continues_word(t, id) ? CONTINUES : 0));
        m->ordinary[m->ordinary_count++] = id;
    }
}

gp_source *gp_masked_open(const gp_source *inner, const gp_tokenizer *t, const gp_masking *how)
{
    if (check(how))
        return NULL;
    BUG_ON(inner->members & (GP_BATCH_TYPES | GP_BATCH_LENGTHS) || inner->tokens % inner->rows);
    masked *m = gp_calloc(1, sizeof *m);
    *m = (masked){.inner = inner, .how = *how, .window = inner->tokens / inner->rows, .mask = gp_tokenizer_mask(t)};
    m->prefix = gp_tokenizer_prefix(t, &m->before);
    m->suffix = gp_tokenizer_suffix(t, &m->after);
    m->T = m->before + m->window + m->after;
    m->source = (gp_source){.rows = inner->rows,
                            .tokens = inner->rows * m->T,
                            .batches = inner->batches,
                            .members = inner->members | GP_BATCH_TARGETS,
                            .fill = fill,
                            .weight = weigh,
                            .close = close_masked};
    list_eligible(m, t);
    m->scratch = gp_batch_open(&m->source);
    if (m->mask >= 0 && m->ordinary_count)
        return &m->source;
    if (m->mask < 0)
        fail("the tokenizer (%s) has no mask token, [MASK] or <mask>, which masked language modelling needs",
             gp_tokenizer_kind(t));
    else
        fail("the tokenizer has only special and added tokens: none can be masked");
    close_masked(&m->source);
    return NULL;
}
