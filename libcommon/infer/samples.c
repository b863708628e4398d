/* samples.c: see samples.h. */
#include "gptpipe/samples.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "infer/score.h"

/* A sample that is not completely printed. */
typedef struct pending_sample {
    gp_buf text;               /* not printed yet */
    gp_buf ids, logprobs, top; /* for JSON: the elements of the arrays */
    gp_finish finish;
    const char *stop;
    gp_draft_stats draft;
} pending_sample;

struct gp_samples {
    FILE *out;
    gp_samples_options o;
    pending_sample **list; /* (total), NULL before its first step and after its last */
    int64_t current, total;
    bool begun; /* part of the current sample is printed */
};

gp_samples *gp_samples_open(FILE *out, const gp_samples_options *o)
{
    gp_samples *s = gp_calloc(1, sizeof *s);
    s->out = out;
    s->o = *o;
    s->total = o->prompts->count * o->samples;
    s->list = gp_calloc((size_t)s->total, sizeof *s->list);
    return s;
}

static void free_pending(pending_sample *w)
{
    gp_buf_release(&w->text);
    gp_buf_release(&w->ids);
    gp_buf_release(&w->logprobs);
    gp_buf_release(&w->top);
    free(w);
}

void gp_samples_close(gp_samples *s)
{
    if (!s)
        return;
    for (int64_t i = s->current; i < s->total; i++)
        if (s->list[i])
            free_pending(s->list[i]);
    free(s->list);
    free(s);
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void begin_text(const gp_samples *s, const gp_prompt *p)
{
    char *prompt = p->name ? gp_strdup(p->name) : gp_format("%lld", (long long)(s->current / s->o.samples) + 1);
    long long sample = s->o.first_sample + s->current % s->o.samples + 1;
    if (s->current)
        fputc('\n', s->out);
    if (s->o.prompts->count > 1 && s->o.samples > 1)
        fprintf(s->out, "--- prompt %s, sample %lld ---\n", prompt, sample);
    else if (s->o.prompts->count > 1)
        fprintf(s->out, "--- prompt %s ---\n", prompt);
    else if (s->o.samples > 1)
        fprintf(s->out, "--- sample %lld ---\n", sample);
    if (s->o.echo && p->length)
        fwrite(p->text, 1, p->length, s->out);
    free(prompt);
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

void gp_put_logprobs(gp_buf *b, const gp_tokenizer *t, const gp_token_logprob *top, int64_t tops)
{
    gp_json_open(b, NULL, '[');
    for (int64_t i = 0; i < tops; i++) {
        size_t n = 0;
        const char *bytes = t ? gp_tokenizer_bytes(t, top[i].id, &n) : NULL;
        gp_json_open(b, NULL, '{');
        gp_json_put(b, MEMBER("id", top[i].id));
        if (bytes)
            gp_json_bytes(b, "text", bytes, n);
        gp_json_put(b, FIXED("logprob", top[i].log_p, 6));
        gp_json_close(b, '}');
    }
    gp_json_close(b, ']');
}

void gp_put_ids(gp_buf *b, const char *key, const int32_t *ids, int64_t count)
{
    gp_json_open(b, key, '[');
    for (int64_t i = 0; i < count; i++)
        gp_json_put(b, MEMBER(NULL, ids[i]));
    gp_json_close(b, ']');
}

/* Writes an array from the text of its elements. */
static void put_array(gp_buf *b, const char *key, const gp_buf *elements)
{
    gp_json_open(b, key, '[');
    gp_buf_add(b, elements->data, elements->len);
    gp_json_close(b, ']');
}

static void print_object(const gp_samples *s, const gp_prompt *p, const pending_sample *w)
{
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    if (p->name)
        gp_json_put(&b, RAW("id", p->name));
    if (p->text)
        gp_json_bytes(&b, "prompt", p->text, p->length);
    else
        gp_put_ids(&b, "prompt_ids", p->ids, p->count);
    if (s->o.dtype)
        gp_json_put(&b, MEMBER("dtype", s->o.dtype));
    if (s->o.cache_dtype)
        gp_json_put(&b, MEMBER("cache_dtype", s->o.cache_dtype));
    gp_json_put(&b, MEMBER("sample", s->o.first_sample + s->current % s->o.samples));
    gp_json_bytes(&b, "text", w->text.data, w->text.len);
    gp_json_put(&b, MEMBER("finish", gp_finish_name(w->finish)));
    if (w->stop)
        gp_json_put(&b, MEMBER("stop", w->stop));
    put_array(&b, "ids", &w->ids);
    put_array(&b, "logprobs", &w->logprobs);
    if (w->top.len && strchr(w->top.data, '{'))
        put_array(&b, "top", &w->top);
    if (s->o.drafts) {
        gp_json_open(&b, "draft", '{');
        gp_json_put(&b, MEMBER("passes", w->draft.passes));
        gp_json_put(&b, MEMBER("drafted", w->draft.drafted));
        gp_json_put(&b, MEMBER("accepted", w->draft.accepted));
        gp_json_close(&b, '}');
    }
    gp_json_close(&b, '}');
    gp_json_write(&b, s->out, "\n");
}

/* ---- in order -------------------------------------------------------------------------------------------- */

/* Prints the current sample as far as it is known, and complete ones after it. */
static int flush(gp_samples *s)
{
    for (pending_sample *w; s->current < s->total && (w = s->list[s->current]); s->current++, s->begun = false) {
        const gp_prompt *p = &s->o.prompts->items[s->current / s->o.samples];
        if (!s->o.json) {
            if (!s->begun)
                begin_text(s, p);
            s->begun = true;
            if (w->text.len)
                fwrite(w->text.data, 1, w->text.len, s->out);
            w->text.len = 0;
        }
        if (!w->finish)
            break;
        if (s->o.json)
            print_object(s, p, w);
        else
            fputc('\n', s->out);
        free_pending(w);
        s->list[s->current] = NULL;
    }
    if (fflush(s->out) || ferror(s->out))
        return fail("the samples cannot be written: the pipe was closed or the disk failed");
    return s->o.abandon && gp_lines_interrupted(s->o.abandon);
}

int gp_samples_print(void *self, const gp_token_event *d)
{
    gp_samples *s = self;
    int64_t i = d->prompt * s->o.samples + d->sample - s->o.first_sample;
    BUG_ON(i < s->current || i >= s->total);
    if (!s->list[i])
        s->list[i] = gp_calloc(1, sizeof **s->list);
    pending_sample *w = s->list[i];
    if (d->n)
        gp_buf_add(&w->text, d->bytes, d->n);
    if (d->token && s->o.json) {
        gp_json_put(&w->ids, MEMBER(NULL, d->drawn.id));
        gp_json_put(&w->logprobs, FIXED(NULL, d->drawn.log_p, 6));
        gp_put_logprobs(&w->top, s->o.tokenizer, d->top, d->tops);
    }
    w->finish = d->finish;
    w->stop = d->stop;
    w->draft = d->draft;
    return i == s->current ? flush(s) : 0;
}
