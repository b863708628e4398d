/* sampler.c: prompts in, bytes out. */
#include "base/base.h"
#include "gptpipe/sampler.h"

#include <stdlib.h>
#include <string.h>

/* One continuation. */
typedef struct sample {
    int64_t number; /* which of all samples */
    int32_t *ids;   /* prompt and what was drawn, all of it */
    int64_t count, drawn;
    int64_t start; /* ids[start] sits at position 0 of the cache */
    gp_buf text;   /* bytes not handed out yet: half a character, or what may become a stop text */
    bool done;
} sample;

typedef struct run {
    gp_model *m;
    const gp_tokenizer *t;
    const gp_generation *how;
    gp_generate_fn *fn;
    void *self;
    int64_t context, B;
    sample *s;                          /* (B) */
    int32_t *ids, *positions, *numbers; /* (B) */
    gp_generated stats;
} run;

/* How many bytes at the end of text begin a UTF-8 character whose rest has not come yet. */
static size_t unfinished_utf8(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)text[n - back];
        if (c < 0x80)
            return 0;
        if (c >= 0xc0) {
            size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            return length > back ? back : 0;
        }
    }
    return 0;
}

/* Where a stop text begins in text, or n. *held: how many bytes at the end might yet become one. */
static size_t find_stop(const char *const *stops, const char *text, size_t n, size_t *held)
{
    size_t at = n;
    *held = 0;
    for (; stops && *stops; stops++) {
        size_t length = strlen(*stops);
        const char *hit = length ? memmem(text, n, *stops, length) : NULL;
        if (hit && (size_t)(hit - text) < at)
            at = (size_t)(hit - text);
        for (size_t k = length ? length - 1 : 0; k > *held; k--)
            if (k <= n && !memcmp(text + n - k, *stops, k))
                *held = k;
    }
    return at;
}

/* Hands out what is sure. At the end, everything. */
static int emit(run *r, sample *s, bool done)
{
    gp_buf_reserve(&s->text, 0); /* so that it has an address */
    size_t held, n = s->text.len;
    size_t stop = find_stop(r->how->stops, s->text.data, n, &held);
    if (stop < n) {
        n = stop;
        done = true;
    } else if (!done) {
        size_t half = unfinished_utf8(s->text.data, n);
        n -= half > held ? half : held;
    }
    s->done = done;
    int rc = n || done ? r->fn(r->self, s->number, s->text.data, n, done) : 0;
    memmove(s->text.data, s->text.data + n, s->text.len - n);
    s->text.len -= n;
    return rc;
}

static void add_bytes(run *r, sample *s, int32_t id)
{
    size_t n = 0;
    if (!r->t) {
        gp_buf_printf(&s->text, s->drawn > 1 ? " %d" : "%d", id);
        return;
    }
    const char *bytes = gp_tokenizer_bytes(r->t, id, &n);
    if (bytes)
        gp_buf_add(&s->text, bytes, n);
}

/* Puts a sample's ids, or the last half window of them when they do not fit, into its row of the cache. */
static int fill(run *r, int64_t b)
{
    sample *s = &r->s[b];
    if (s->count - s->start > r->context)
        s->start = s->count - gp_max(r->context / 2, 1);
    double begin = gp_now();
    int rc = gp_model_prefill(r->m, b, s->ids + s->start, s->count - s->start);
    r->stats.prefill_seconds += gp_now() - begin;
    return rc;
}

/* Draws one id for every row and appends it to those still going. */
static int draw(run *r)
{
    for (int64_t b = 0; b < r->B; b++) {
        r->numbers[b] = (int32_t)r->s[b].number;
        r->positions[b] = (int32_t)r->s[b].drawn; /* keys the random number: how many were drawn before */
    }
    gp_model_sample(r->m, &r->how->sampling, r->numbers, r->positions, r->ids);
    int32_t end = r->t && r->how->stop_at_end_of_text ? gp_tokenizer_end_of_text(r->t) : -1;
    for (int64_t b = 0; b < r->B; b++) {
        sample *s = &r->s[b];
        if (s->done)
            continue;
        s->ids[s->count++] = r->ids[b];
        s->drawn++;
        r->stats.tokens++;
        bool ended = end >= 0 && r->ids[b] == end;
        if (!ended)
            add_bytes(r, s, r->ids[b]);
        int rc = emit(r, s, ended || s->drawn >= r->how->max_tokens);
        if (rc)
            return rc;
    }
    return 0;
}

/* Runs the newest id of every row through the model; rows past the context start over on their last half. */
static int advance(run *r)
{
    bool refill = false;
    for (int64_t b = 0; b < r->B; b++) {
        sample *s = &r->s[b];
        int64_t position = s->count - 1 - s->start;
        bool past = position >= r->context;
        refill |= past && !s->done;
        r->ids[b] = s->ids[s->count - 1];
        r->positions[b] = past ? 0 : (int32_t)position; /* a row that is done, or about to be filled anew */
    }
    double begin = gp_now();
    if (gp_model_decode(r->m, r->ids, r->positions))
        return -1;
    r->stats.decode_seconds += gp_now() - begin;
    for (int64_t b = 0; refill && b < r->B; b++) {
        sample *s = &r->s[b];
        if (s->done || s->count - 1 - s->start < r->context)
            continue;
        r->stats.refills++;
        if (fill(r, b))
            return -1;
    }
    return 0;
}

static bool all_done(const run *r)
{
    for (int64_t b = 0; b < r->B; b++)
        if (!r->s[b].done)
            return false;
    return true;
}

static int generate_batch(run *r, const int32_t *prompt, int64_t count, int64_t first)
{
    int rc = 0;
    for (int64_t b = 0; b < r->B; b++) {
        sample *s = &r->s[b];
        *s = (sample){.number = first + b, .count = count};
        s->ids = gp_malloc((size_t)(count + r->how->max_tokens) * sizeof *s->ids);
        memcpy(s->ids, prompt, (size_t)count * sizeof *s->ids);
    }
    for (int64_t b = 0; b < r->B && !rc; b++)
        rc = r->how->max_tokens ? fill(r, b) : emit(r, &r->s[b], true);
    while (!rc && !all_done(r)) {
        rc = draw(r);
        if (!rc && !all_done(r))
            rc = advance(r);
    }
    for (int64_t b = 0; b < r->B; b++) {
        free(r->s[b].ids);
        gp_buf_release(&r->s[b].text);
    }
    return rc;
}

int gp_generate(gp_model *m, const gp_tokenizer *t, const int32_t *prompt, int64_t count,
                const gp_generation *how, gp_generate_fn *fn, void *self, gp_generated *stats)
{
    int64_t most = how->batch && how->batch < how->samples ? how->batch : how->samples;
    run r = {.m = m, .t = t, .how = how, .fn = fn, .self = self, .B = most};
    int rc = 0;
    if (count < 1)
        return fail("the prompt is empty: at least one token is needed");
    if (how->samples < 1 || how->max_tokens < 0)
        return fail("%lld samples of %lld tokens cannot be drawn", (long long)how->samples,
                    (long long)how->max_tokens);
    r.context = gp_config_context(gp_model_config(m));
    r.s = gp_calloc((size_t)most, sizeof *r.s);
    r.ids = gp_calloc((size_t)most, sizeof *r.ids);
    r.positions = gp_calloc((size_t)most, sizeof *r.positions);
    r.numbers = gp_calloc((size_t)most, sizeof *r.numbers);
    int64_t planned = -1;
    for (int64_t first = 0; first < how->samples && !rc; first += r.B) {
        r.B = gp_min(most, how->samples - first);
        if (r.B != planned)
            rc = gp_model_plan_cache(m, r.B, r.context);
        planned = r.B;
        if (!rc)
            rc = generate_batch(&r, prompt, count, first);
    }
    free(r.s);
    free(r.ids);
    free(r.positions);
    free(r.numbers);
    if (stats)
        *stats = r.stats;
    return rc;
}
