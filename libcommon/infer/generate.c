/* generate.c: prompts in, tokens and bytes out. Rows of the cache are lanes: when a sample is complete, the next one
 * takes its row, and the others do not wait for that.
 *
 * Rows continue themselves (model.h, gp_rows), and the host reads what they drew some steps later where the backend
 * works ahead. So of a sample that ends by what was drawn a few more draws are under way, which nobody looks at. */
#include "model/nonfinite.h"
#include "model/model.h"
#include "infer/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps that may be under way while the host looks at what was drawn: it takes some microseconds, a step some
 * hundred. */
enum { WORKS_AHEAD = 3 };
_Static_assert((int)WORKS_AHEAD < (int)GP_DRAWS_PENDING, "a step more is under way when the oldest is read");

/* One continuation, in one row of the cache. */
typedef struct row {
    int64_t prompt, number; /* of which prompt, and which of its samples */
    int32_t *ids;           /* (most) prompt and what was drawn, all of it */
    int64_t count, most, drawn;
    int64_t start;  /* ids[start] sits at position 0 of the cache, */
    int64_t cached; /* which has so many of them before the row is filled */
    gp_buf text;    /* bytes not handed out yet: half a character, or what may become a stop text */
    bool live;      /* false: the row has nothing to do */
    bool ended;     /* by its last id, which is not part of the text */
    bool filled;    /* the cache holds the prompt */
    int64_t serial; /* of the sample, among all */
    int64_t issued; /* draws, of which the host has read `drawn` */
    int64_t place;  /* where the next id goes in the cache */
} row;

typedef struct run {
    gp_model *m;
    const gp_tokenizer *t;
    const gp_generation *how;
    gp_sampling sampling;
    const gp_prompt *prompts;
    gp_token_fn *fn;
    void *self;
    int64_t context, B, tops;
    int64_t next, total;   /* samples begun, and of all prompts */
    row *rows;             /* (B) */
    int64_t issued, read;  /* steps */
    int64_t behind;        /* how many may be under way when the next is issued */
    int64_t *took_part;    /* (GP_DRAWS_PENDING,B) serials of the samples that a step drew for; -1: none */
    gp_token_logprob *top; /* (tops) */
    gp_generate_stats stats;
} run;

/* Tells one step, with what is sure of the text; at the end, all of it but a character whose rest never came. A row
 * that is complete is free. */
static int tell(run *r, row *s, gp_token_event *d)
{
    gp_buf_reserve(&s->text, 0); /* so that it has an address */
    size_t n = gp_text_sure(s->text.data, s->text.len, r->how->stops, &d->stop);
    if (d->stop)
        d->finish = GP_FINISH_STOP_TEXT;
    else if (d->finish)
        n = gp_text_whole(s->text.data, s->text.len);
    d->prompt = s->prompt;
    d->sample = s->number;
    d->bytes = s->text.data;
    d->n = n;
    s->live = !d->finish;
    int rc = r->fn(r->self, d);
    memmove(s->text.data, s->text.data + n, s->text.len - n);
    s->text.len -= n;
    return rc;
}

static void add_bytes(run *r, row *s, int32_t id)
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

static void append(row *s, int32_t id)
{
    if (s->count == s->most) {
        s->most += s->most / 2 + 64;
        s->ids = gp_realloc(s->ids, (size_t)s->most, sizeof *s->ids);
    }
    s->ids[s->count++] = id;
    s->drawn++;
}

/* Gives a free row the next sample, if there is one. */
static int begin(run *r, row *s)
{
    s->live = false;
    while (r->next < r->total && !s->live) {
        const gp_prompt *p = &r->prompts[r->next / r->how->samples];
        s->serial = r->next;
        s->prompt = r->next / r->how->samples;
        s->number = r->how->first_sample + r->next % r->how->samples;
        r->next++;
        s->count = s->drawn = s->issued = s->start = s->cached = 0;
        s->text.len = 0;
        s->filled = s->ended = false;
        if (s->most < p->count)
            s->ids = gp_realloc(s->ids, (size_t)(s->most = p->count), sizeof *s->ids);
        memcpy(s->ids, p->ids, (size_t)p->count * sizeof *s->ids);
        s->count = p->count;
        s->live = true;
        if (r->how->context)
            s->cached = gp_context_cached(r->how->context, r->m, &s->start);
        r->stats.long_prompts += s->count - s->start > r->context && s->number == r->how->first_sample;
        int rc = r->how->max_tokens ? 0 : tell(r, s, &(gp_token_event){.finish = GP_FINISH_LENGTH});
        if (rc)
            return rc;
    }
    return 0;
}

/* Which sample it is of whose next token nothing is known. */
static int fail_not_finite(run *r, const row *s)
{
    int64_t T = gp_min(s->count - s->start, r->context);
    gp_model_fail_not_finite(r->m, s->ids + s->count - T, T, s->count);
    if (r->total == 1)
        return -1;
    return gp_fail_in("prompt %lld, sample %lld", (long long)s->prompt + 1, (long long)s->number + 1);
}

/* ---- the host's side of a draw --------------------------------------------------------------------------- */

/* The likeliest ids, in order: by logit, then the lower id. */
static void sort_top(run *r, const gp_candidate *from, double log_sum)
{
    for (int64_t n = 0; n < r->tops; n++) {
        gp_token_logprob x = {from[n].id, from[n].logit - log_sum};
        int64_t i = n;
        for (;
             i > 0 && (x.log_p > r->top[i - 1].log_p || (!(x.log_p < r->top[i - 1].log_p) && x.id < r->top[i - 1].id));
             i--)
            r->top[i] = r->top[i - 1];
        r->top[i] = x;
    }
}

/* A row's next draw has come. */
static int take(run *r, int64_t b)
{
    row *s = &r->rows[b];
    const gp_draw *draw = gp_rows_sampled(r->m, b, s->drawn);
    double log_sum = draw->max + log(draw->sum);
    if (draw->id < 0)
        return fail_not_finite(r, s);
    if (r->how->logprobs)
        sort_top(r, gp_rows_top(r->m, b, s->drawn), log_sum);
    append(s, draw->id);
    r->stats.tokens++;
    gp_token_event d = {.token = true,
                        .drawn = {draw->id, r->how->logprobs ? draw->logit - log_sum : 0},
                        .top = r->top,
                        .tops = r->tops,
                        .finish = gp_finish_of(r->how, gp_model_config(r->m), r->t, s->drawn, draw->id)};
    s->ended = d.finish == GP_FINISH_END_OF_TEXT || d.finish == GP_FINISH_STOP_ID;
    if (!s->ended)
        add_bytes(r, s, draw->id);
    return tell(r, s, &d);
}

/* Reads the oldest step that was not read; of samples that are complete, nothing. */
static int read_step(run *r)
{
    double began = gp_now();
    const int64_t *serial = r->took_part + r->read % GP_DRAWS_PENDING * r->B;
    gp_rows_wait(r->m, r->read++);
    r->stats.decode_seconds += gp_now() - began;
    int rc = 0;
    for (int64_t b = 0; b < r->B && !rc; b++)
        if (r->rows[b].live && serial[b] == r->rows[b].serial)
            rc = take(r, b);
    return rc;
}

/* Until no more than `most` steps are not read. */
static int read_steps(run *r, int64_t most)
{
    int rc = 0;
    while (r->issued - r->read > most && !rc)
        rc = read_step(r);
    return rc;
}

/* A step is about to be issued for rows `first` to first + count - 1, those of them that take part. */
static void note_step(run *r, int64_t first, int64_t count, const bool *takes_part)
{
    int64_t *serial = r->took_part + r->issued++ % GP_DRAWS_PENDING * r->B;
    for (int64_t b = 0; b < r->B; b++) {
        row *s = &r->rows[b];
        bool in = b >= first && b < first + count && (!takes_part || takes_part[b]);
        serial[b] = in ? s->serial : -1;
        s->issued += in;
    }
}

/* ---- rows are filled ------------------------------------------------------------------------------------- */

/* Puts a row's ids, or the last half window of them when they do not fit, into the cache: as far as they are not there,
 * but the last, whose logits are wanted. */
static int fill(run *r, int64_t b)
{
    row *s = &r->rows[b];
    int64_t T = s->count - s->start;
    int32_t cached = (int32_t)gp_min(s->cached, T - 1);
    s->cached = 0;
    if (T > r->context) {
        s->start = s->count - gp_max(r->context / 2, 1);
        T = s->count - s->start;
        cached = 0;
    }
    const int32_t *ids = s->ids + s->start;
    return cached ? gp_model_append(r->m, b, 1, ids + cached, T - cached, &cached, NULL)
                  : gp_model_prefill(r->m, b, ids, T);
}

/* A row that wants more and has no room left in the cache. */
static bool is_past(const run *r, const row *s)
{
    return s->live && s->filled && s->issued < r->how->max_tokens && s->place >= r->context;
}

static bool any_past(const run *r)
{
    for (int64_t b = 0; b < r->B; b++)
        if (is_past(r, &r->rows[b]))
            return true;
    return false;
}

/* Fills row b if it has begun or is past the context. *same: a row that was just filled with its prompt, and nothing
 * else. Says in *fresh whether it did. */
static int fill_row(run *r, int64_t b, int64_t *same, bool *fresh)
{
    row *s = &r->rows[b];
    bool past = is_past(r, s);
    *fresh = s->live && (!s->filled || past);
    if (!*fresh)
        return 0;
    r->stats.refills += past;
    if (!past && *same >= 0 && r->rows[*same].prompt == s->prompt) {
        gp_model_copy_row(r->m, *same, b);
        s->start = r->rows[*same].start;
    } else {
        if (fill(r, b))
            return -1;
        *same = past ? *same : b;
    }
    s->filled = true;
    s->place = s->count - s->start;
    gp_rows_set(r->m, b, s->number, s->drawn, s->place);
    gp_rows_see(r->m, b, s->ids, s->count);
    return 0;
}

/* Fills the rows that have begun, or that ran past the context, and draws from what their last ids say. Samples of one
 * prompt that begin together read it once. */
static int fill_rows(run *r)
{
    int64_t same = -1;
    int rc = any_past(r) ? read_steps(r, 0) : 0; /* what is to be read again has to be known */
    bool *fresh = gp_calloc((size_t)r->B + 1, sizeof *fresh);
    for (int64_t b = 0; b < r->B && !rc; b++)
        rc = fill_row(r, b, &same, &fresh[b]);
    for (int64_t b = 0, first = 0; b < r->B && !rc; first = ++b) {
        while (fresh[b])
            b++;
        if (b == first)
            continue;
        note_step(r, first, b - first, NULL);
        gp_rows_draw(r->m, first, b - first);
        rc = read_steps(r, r->behind);
    }
    free(fresh);
    return rc;
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

/* A step for all rows that want one; the others are idle. *issued: whether there was any. */
static int step(run *r, bool *issued)
{
    bool *takes_part = gp_calloc((size_t)r->B, sizeof *takes_part);
    int64_t read = 0;
    for (int64_t b = 0; b < r->B; b++) {
        row *s = &r->rows[b];
        takes_part[b] = s->live && s->issued < r->how->max_tokens && s->place < r->context;
        if (takes_part[b])
            read += ++s->place;
        else
            gp_rows_idle(r->m, b);
    }
    *issued = read > 0;
    if (read) {
        double began = gp_now();
        note_step(r, 0, r->B, takes_part);
        gp_rows_step(r->m);
        r->stats.decode_seconds += gp_now() - began;
        r->stats.decode_bytes += gp_model_decode_bytes(r->m, read);
    }
    free(takes_part);
    return read_steps(r, r->behind);
}

static int begin_rows(run *r)
{
    int rc = 0;
    for (int64_t b = 0; b < r->B && !rc; b++)
        if (!r->rows[b].live)
            rc = begin(r, &r->rows[b]);
    return rc;
}

static bool any_live(const run *r)
{
    for (int64_t b = 0; b < r->B; b++)
        if (r->rows[b].live)
            return true;
    return false;
}

static int generate(run *r)
{
    int rc = begin_rows(r);
    while (!rc && any_live(r)) {
        bool issued = false;
        rc = fill_rows(r);
        if (!rc)
            rc = step(r, &issued);
        if (!rc && !issued) /* what ends the rest is under way */
            rc = read_steps(r, gp_max(r->issued - r->read - 1, 0));
        if (!rc)
            rc = begin_rows(r);
    }
    return rc;
}

/* ---- what is asked for ----------------------------------------------------------------------------------- */

/* What was handed out is the context from here on: without an id that ended it, and what was held back as the beginning
 * of a stop text or of a character. */
static void keep_context(run *r, bool whole)
{
    const row *s = &r->rows[0];
    int64_t count = s->count - s->ended;
    size_t rest = s->text.len, n = 0;
    for (; r->t && rest > 0 && count > s->count - s->drawn; count--, rest -= n < rest ? n : rest)
        gp_tokenizer_bytes(r->t, s->ids[count - 1], &n);
    gp_context_keep(r->how->context, r->m, s->ids, count, s->start, whole ? gp_min(s->place, count - s->start) : 0);
}

int gp_generate_all(gp_model *m, const gp_tokenizer *t, const gp_prompt *prompts, int64_t count,
                    const gp_generation *how, gp_token_fn *fn, void *self, gp_generate_stats *stats)
{
    const gp_config *c = gp_model_config(m);
    run r = {.m = m, .t = t, .how = how, .sampling = how->sampling, .prompts = prompts, .fn = fn, .self = self};
    if (stats)
        *stats = r.stats;
    if (count < 1 || gp_prompts_check(c, prompts, count))
        return count < 1 ? fail("there is no prompt") : -1;
    if (how->samples < 1 || how->max_tokens < 0 || !gp_mul(count, how->samples, &r.total) || r.total > INT32_MAX)
        return fail("cannot generate %lld samples of %lld prompts, %lld tokens each", (long long)how->samples,
                    (long long)count, (long long)how->max_tokens);
    for (int64_t i = 0; i < how->stop_id_count; i++)
        if (how->stop_ids[i] < 0 || how->stop_ids[i] >= c->vocab_size)
            return fail("stop id %d is outside the model's vocabulary of %lld", how->stop_ids[i],
                        (long long)c->vocab_size);
    BUG_ON(how->top_logprobs < 0 || how->top_logprobs > GP_MAX_TOP_LOGPROBS);
    if (!r.sampling.vocab)
        r.sampling.vocab = t ? gp_min(gp_tokenizer_vocab_size(t), c->vocab_size) : c->vocab_size;
    r.tops = how->logprobs ? gp_min(how->top_logprobs, r.sampling.vocab) : 0;
    r.context = gp_config_context(c);
    r.B = how->batch ? gp_min(how->batch, r.total) : r.total;
    BUG_ON(how->context && r.total != 1);
    bool cached = how->context && gp_context_cached(how->context, m, &(int64_t){0}) > 0;
    if (how->max_tokens && !cached && gp_model_plan_cache(m, r.B, r.context))
        return -1;
    if (how->max_tokens)
        gp_rows_plan(m, &r.sampling, how->logprobs, r.tops);
    r.behind = m->be->later ? WORKS_AHEAD : 0;
    r.rows = gp_calloc((size_t)r.B, sizeof *r.rows);
    r.took_part = gp_calloc((size_t)(r.B * GP_DRAWS_PENDING), sizeof *r.took_part);
    r.top = gp_calloc((size_t)r.tops + 1, sizeof *r.top);
    double began = gp_now();
    int rc = generate(&r);
    r.stats.seconds = gp_now() - began;
    if (how->context && r.rows[0].filled)
        keep_context(&r, rc >= 0);
    for (int64_t b = 0; b < r.B; b++) {
        free(r.rows[b].ids);
        gp_buf_release(&r.rows[b].text);
    }
    free(r.rows);
    free(r.took_part);
    free(r.top);
    if (stats)
        *stats = r.stats;
    return rc;
}

/* ---- one prompt, bytes alone ----------------------------------------------------------------------------- */

typedef struct plain {
    gp_generate_fn *fn;
    void *self;
} plain;

static int pass_on(void *self, const gp_token_event *d)
{
    const plain *p = self;
    return d->n || d->finish ? p->fn(p->self, d->sample, d->bytes, d->n, d->finish != GP_FINISH_NONE) : 0;
}

int gp_generate(gp_model *m, const gp_tokenizer *t, const int32_t *prompt, int64_t count, const gp_generation *how,
                gp_generate_fn *fn, void *self, gp_generate_stats *stats)
{
    gp_prompt p = {.ids = (int32_t *)prompt, .count = count};
    return gp_generate_all(m, t, &p, 1, how, pass_on, &(plain){fn, self}, stats);
}
