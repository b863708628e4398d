/* generate.c: prompts in, tokens and bytes out. Each sample occupies a row of the cache; when it is complete the next
 * sample takes the row, while the others continue.
 *
 * Rows continue on the device (model.h, gp_rows), and where the backend works ahead the host reads sampled tokens some
 * steps later. When a token ends a sample, a few more draws of that row are already pending; they are ignored. */
#include "model/nonfinite.h"
#include "model/model.h"
#include "infer/generate.h"
#include "text/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps that may be pending on the device: the host takes microseconds to process a step, which takes the device some
 * hundred. */
enum { WORKS_AHEAD = 3 };
_Static_assert((int)WORKS_AHEAD < (int)GP_DRAWS_PENDING, "one more step is pending when the oldest is read");

/* The counts of all samples are the sums of those of each. */
static void add_drafts(gp_draft_stats *sum, const gp_draft_stats *one)
{
    sum->passes += one->passes;
    sum->verified += one->verified;
    sum->drafted += one->drafted;
    sum->accepted += one->accepted;
}

/* Reports one step with the text that is final by now; at the end, all of it but an incomplete character. A complete
 * sample frees its row. */
static int report(gp_generate_run *r, gp_sample_row *s, gp_token_event *d)
{
    gp_buf_reserve(&s->text, 0); /* data is not NULL from here on */
    size_t n = gp_text_sure(s->text.data, s->text.len, r->how->stops, &d->stop);
    if (d->stop)
        d->finish = GP_FINISH_STOP_TEXT;
    else if (d->finish)
        n = gp_text_whole(s->text.data, s->text.len);
    d->prompt = s->prompt;
    d->sample = s->number;
    d->bytes = s->text.data;
    d->n = n;
    d->draft = s->draft;
    s->live = !d->finish;
    if (d->finish)
        add_drafts(&r->stats.draft, &s->draft);
    int rc = r->fn(r->self, d);
    memmove(s->text.data, s->text.data + n, s->text.len - n);
    s->text.len -= n;
    return rc;
}

static void add_bytes(gp_generate_run *r, gp_sample_row *s, int32_t id)
{
    size_t n = 0;
    if (!r->t) {
        gp_buf_printf(&s->text, s->drawn > 1 ? " %d" : "%d", id);
        return;
    }
    if (!gp_tokenizer_bytes(r->t, id, &n))
        return;
    gp_buf_reserve(&s->text, n + 1); /* with a space, in a tokenizer of words */
    gp_tokenizer_decode_part(r->t, s->count == 1, &id, 1, s->text.data + s->text.len, n + 1, &n);
    s->text.len += n;
}

static void append(gp_sample_row *s, int32_t id)
{
    if (s->count == s->capacity) {
        s->capacity += s->capacity / 2 + 64;
        s->ids = gp_realloc(s->ids, (size_t)s->capacity, sizeof *s->ids);
    }
    s->ids[s->count++] = id;
    s->drawn++;
}

/* Starts the next sample, if any, in a free row. */
static int begin(gp_generate_run *r, gp_sample_row *s)
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
        s->guess = -1;
        s->draft = (gp_draft_stats){0};
        memset(s->trust, 0, sizeof s->trust);
        if (s->capacity < p->count)
            s->ids = gp_realloc(s->ids, (size_t)(s->capacity = p->count), sizeof *s->ids);
        memcpy(s->ids, p->ids, (size_t)p->count * sizeof *s->ids);
        s->count = p->count;
        s->live = true;
        if (r->how->context)
            s->cached = gp_context_cached(r->how->context, r->m, &s->start);
        r->stats.long_prompts += s->count - s->start > r->context && s->number == r->how->first_sample;
        int rc = r->how->max_tokens ? 0 : report(r, s, &(gp_token_event){.finish = GP_FINISH_LENGTH});
        if (rc)
            return rc;
    }
    return 0;
}

/* Reports which sample has logits that are not finite. */
static int fail_not_finite(gp_generate_run *r, const gp_sample_row *s)
{
    int64_t T = gp_min(s->count - s->start, r->context);
    gp_model_fail_not_finite(r->m, s->ids + s->count - T, T, s->count);
    if (r->total == 1)
        return -1;
    return gp_fail_in("prompt %lld, sample %lld", (long long)s->prompt + 1, (long long)s->number + 1);
}

/* ---- reading sampled tokens ------------------------------------------------------------------------------ */

/* The most likely ids, sorted by logit; of equals, the lower id first. */
static void sort_top(gp_generate_run *r, const gp_candidate *from, double log_sum)
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

/* Takes a row's next draw. */
static int take(gp_generate_run *r, int64_t b)
{
    gp_sample_row *s = &r->rows[b];
    const gp_draw *draw = gp_rows_sampled(r->m, b, s->drawn);
    double log_sum = draw->max + log(draw->sum);
    if (draw->id < 0)
        return fail_not_finite(r, s);
    if (r->how->logprobs)
        sort_top(r, gp_rows_top(r->m, b, s->drawn), log_sum);
    append(s, draw->id);
    r->stats.tokens++;
    s->draft.accepted += draw->id == s->guess;
    gp_token_event d = {.token = true,
                        .drawn = {draw->id, r->how->logprobs ? draw->logit - log_sum : 0},
                        .top = r->top,
                        .tops = r->tops,
                        .finish = gp_finish_of(r->how, gp_model_config(r->m), r->t, s->drawn, draw->id)};
    s->ended = d.finish == GP_FINISH_END_OF_TEXT || d.finish == GP_FINISH_STOP_ID;
    if (!s->ended)
        add_bytes(r, s, draw->id);
    return report(r, s, &d);
}

/* Waits for the oldest pending step and takes the draws of samples that are not complete. */
static int read_step(gp_generate_run *r)
{
    double began = gp_now();
    const int64_t *serial = r->participants + r->read % GP_DRAWS_PENDING * r->B;
    gp_rows_wait(r->m, r->read++);
    r->stats.decode_seconds += gp_now() - began;
    int rc = 0;
    for (int64_t b = 0; b < r->B && !rc; b++)
        if (r->rows[b].live && serial[b] == r->rows[b].serial)
            rc = take(r, b);
    return rc;
}

int gp_generate_read_steps(gp_generate_run *r, int64_t max)
{
    int rc = 0;
    while (r->issued - r->read > max && !rc)
        rc = read_step(r);
    return rc;
}

void gp_generate_note_step(gp_generate_run *r, int64_t first, int64_t count, const bool *takes_part)
{
    int64_t *serial = r->participants + r->issued++ % GP_DRAWS_PENDING * r->B;
    for (int64_t b = 0; b < r->B; b++) {
        gp_sample_row *s = &r->rows[b];
        bool in = b >= first && b < first + count && (!takes_part || takes_part[b]);
        serial[b] = in ? s->serial : -1;
        s->issued += in;
    }
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

/* Issues a step for all rows that need another token; *issued: whether there was any. */
static int step(gp_generate_run *r, bool *issued)
{
    int rc = r->how->draft_tokens ? gp_generate_verify(r, issued) : 0;
    if (rc || *issued)
        return rc;
    bool *takes_part = gp_calloc((size_t)r->B, sizeof *takes_part);
    int64_t read = 0;
    for (int64_t b = 0; b < r->B; b++) {
        gp_sample_row *s = &r->rows[b];
        takes_part[b] = s->live && s->issued < r->how->max_tokens && s->place < r->context;
        s->draft.passes += takes_part[b];
        if (takes_part[b])
            read += ++s->place;
        else
            gp_rows_idle(r->m, b);
    }
    *issued = read > 0;
    if (read) {
        double began = gp_now();
        gp_generate_note_step(r, 0, r->B, takes_part);
        gp_rows_step(r->m);
        r->stats.decode_seconds += gp_now() - began;
        r->stats.decode_bytes += gp_model_decode_bytes(r->m, read);
    }
    free(takes_part);
    return gp_generate_read_steps(r, r->max_pending);
}

static int begin_rows(gp_generate_run *r)
{
    int rc = 0;
    for (int64_t b = 0; b < r->B && !rc; b++)
        if (!r->rows[b].live)
            rc = begin(r, &r->rows[b]);
    return rc;
}

static bool any_live(const gp_generate_run *r)
{
    for (int64_t b = 0; b < r->B; b++)
        if (r->rows[b].live)
            return true;
    return false;
}

static int generate(gp_generate_run *r)
{
    int rc = begin_rows(r);
    while (!rc && any_live(r)) {
        bool issued = false;
        rc = gp_generate_fill_rows(r);
        if (!rc)
            rc = step(r, &issued);
        if (!rc && !issued) /* the last tokens of all live rows are pending */
            rc = gp_generate_read_steps(r, gp_max(r->issued - r->read - 1, 0));
        if (!rc)
            rc = begin_rows(r);
    }
    return rc;
}

/* ---- the interface --------------------------------------------------------------------------------------- */

/* The context becomes the prompt and the text that was emitted: without an id that ended it, and without bytes held
 * back as the beginning of a stop text or of a character. */
static void keep_context(gp_generate_run *r, bool whole)
{
    const gp_sample_row *s = &r->rows[0];
    int64_t count = s->count - s->ended;
    size_t held_back = s->text.len, n = 0;
    for (; r->t && held_back > 0 && count > s->count - s->drawn; count--, held_back -= n < held_back ? n : held_back)
        gp_tokenizer_bytes(r->t, s->ids[count - 1], &n);
    gp_context_keep(r->how->context, r->m, s->ids, count, s->start, whole ? gp_min(s->place, count - s->start) : 0);
}

int gp_generate_all(gp_model *m, const gp_tokenizer *t, const gp_prompt *prompts, int64_t count,
                    const gp_generation *how, gp_token_fn *fn, void *self, gp_generate_stats *stats)
{
    const gp_config *c = gp_model_config(m);
    gp_generate_run r = {
        .m = m, .t = t, .how = how, .sampling = how->sampling, .prompts = prompts, .fn = fn, .self = self};
    if (stats)
        *stats = r.stats;
    if (count < 1 || gp_prompts_check(c, prompts, count))
        return count < 1 ? fail("no prompt was given") : -1;
    if (how->samples < 1 || how->max_tokens < 0 || !gp_mul(count, how->samples, &r.total) || r.total > INT32_MAX)
        return fail("cannot generate %lld samples of %lld prompts, %lld tokens each", (long long)how->samples,
                    (long long)count, (long long)how->max_tokens);
    for (int64_t i = 0; i < how->stop_id_count; i++)
        if (how->stop_ids[i] < 0 || how->stop_ids[i] >= c->vocab_size)
            return fail("stop id %d is outside the model's vocabulary of %lld", how->stop_ids[i],
                        (long long)c->vocab_size);
    BUG_ON(how->draft_tokens < 0 || how->draft_tokens > GP_MAX_DRAFT_TOKENS);
    BUG_ON(how->top_logprobs < 0 || how->top_logprobs > GP_MAX_TOP_LOGPROBS);
    if (!r.sampling.vocab)
        r.sampling.vocab = t ? gp_min(gp_tokenizer_vocab_size(t), c->vocab_size) : c->vocab_size;
    r.tops = how->logprobs ? gp_min(how->top_logprobs, r.sampling.vocab) : 0;
    r.context = gp_config_context(c);
    r.B = how->draft_tokens ? 1 : how->batch ? gp_min(how->batch, r.total) : r.total;
    BUG_ON(how->context && r.total != 1);
    bool cached = how->context && gp_context_cached(how->context, m, &(int64_t){0}) > 0;
    if (how->max_tokens && !cached && gp_model_plan_cache(m, r.B, r.context))
        return -1;
    if (how->max_tokens)
        gp_rows_plan(m, &r.sampling, how->logprobs, r.tops);
    r.max_pending = m->be->later && !how->draft_tokens ? WORKS_AHEAD : 0;
    r.rows = gp_calloc((size_t)r.B, sizeof *r.rows);
    r.participants = gp_calloc((size_t)(r.B * GP_DRAWS_PENDING), sizeof *r.participants);
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
    free(r.participants);
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

static int forward_bytes(void *self, const gp_token_event *d)
{
    const plain *p = self;
    return d->n || d->finish ? p->fn(p->self, d->sample, d->bytes, d->n, d->finish != GP_FINISH_NONE) : 0;
}

int gp_generate(gp_model *m, const gp_tokenizer *t, const int32_t *prompt, int64_t count, const gp_generation *how,
                gp_generate_fn *fn, void *self, gp_generate_stats *stats)
{
    gp_prompt p = {.ids = (int32_t *)prompt, .count = count};
    return gp_generate_all(m, t, &p, 1, how, forward_bytes, &(plain){fn, self}, stats);
}
