/* samples.c: see samples.h. */
#include "gptpipe/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "gptpipe/output.h"
#include "infer/score.h"

/* One sample that has not been printed whole. */
typedef struct waiting {
    gp_buf text;               /* not printed yet */
    gp_buf ids, logprobs, top; /* of JSON: the insides of the arrays */
    gp_finish finish;
    const char *stop;
} waiting;

struct gp_samples {
    FILE *out;
    gp_samples_options o;
    waiting **list; /* (total), NULL before its first step and after its last */
    int64_t current, total;
    bool begun; /* the current sample's beginning is printed */
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

static void free_waiting(waiting *w)
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
            free_waiting(s->list[i]);
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

static void put_string(FILE *out, const char *s, size_t n)
{
    char *quoted = gp_json_quote(n ? s : "", n);
    fputs(quoted, out);
    free(quoted);
}

/* JSON knows no infinity. */
static void put_log(gp_buf *b, double x)
{
    if (isfinite(x))
        gp_buf_printf(b, "%.6f", x);
    else
        gp_buf_puts(b, "null");
}

void gp_put_likely(gp_buf *b, const gp_tokenizer *t, const gp_likely *top, int64_t tops)
{
    gp_buf_puts(b, "[");
    for (int64_t i = 0; i < tops; i++) {
        size_t n = 0;
        gp_buf_printf(b, "%s{\"id\": %d, ", i ? ", " : "", top[i].id);
        const char *bytes = t ? gp_tokenizer_bytes(t, top[i].id, &n) : NULL;
        if (bytes) {
            char *quoted = gp_json_quote(bytes, n);
            gp_buf_printf(b, "\"text\": %s, ", quoted);
            free(quoted);
        }
        gp_buf_puts(b, "\"logprob\": ");
        put_log(b, top[i].log_p);
        gp_buf_puts(b, "}");
    }
    gp_buf_puts(b, "]");
}

static void add_token(const gp_samples *s, waiting *w, const gp_drawn *d)
{
    const char *comma = w->ids.len ? ", " : "";
    gp_buf_printf(&w->ids, "%s%d", comma, d->drawn.id);
    gp_buf_puts(&w->logprobs, comma);
    put_log(&w->logprobs, d->drawn.log_p);
    gp_buf_puts(&w->top, comma);
    gp_put_likely(&w->top, s->o.tokenizer, d->top, d->tops);
}

static void print_object(const gp_samples *s, const gp_prompt *p, const waiting *w)
{
    FILE *out = s->out;
    fputc('{', out);
    if (p->name)
        fprintf(out, "\"id\": %s, ", p->name);
    if (p->text) {
        fputs("\"prompt\": ", out);
        put_string(out, p->text, p->length);
    } else {
        fputs("\"prompt_ids\": [", out);
        for (int64_t i = 0; i < p->count; i++)
            fprintf(out, "%s%d", i ? ", " : "", p->ids[i]);
        fputc(']', out);
    }
    fprintf(out, ", \"sample\": %lld, \"text\": ", (long long)(s->o.first_sample + s->current % s->o.samples));
    put_string(out, w->text.data, w->text.len);
    fprintf(out, ", \"finish\": \"%s\"", gp_finish_name(w->finish));
    if (w->stop) {
        fputs(", \"stop\": ", out);
        put_string(out, w->stop, strlen(w->stop));
    }
    fprintf(out, ", \"ids\": [%s], \"logprobs\": [%s]", w->ids.len ? w->ids.data : "",
            w->logprobs.len ? w->logprobs.data : "");
    if (w->top.len && strchr(w->top.data, '{'))
        fprintf(out, ", \"top\": [%s]", w->top.data);
    fputs("}\n", out);
}

/* ---- in order -------------------------------------------------------------------------------------------- */

/* Prints what may be printed by now. */
static int flush(gp_samples *s)
{
    for (waiting *w; s->current < s->total && (w = s->list[s->current]); s->current++, s->begun = false) {
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
        free_waiting(w);
        s->list[s->current] = NULL;
    }
    if (fflush(s->out) || ferror(s->out))
        return fail("the samples cannot be written: the reader or the disk is gone");
    return s->o.abandon && gp_lines_interrupted(s->o.abandon);
}

int gp_samples_print(void *self, const gp_drawn *d)
{
    gp_samples *s = self;
    int64_t i = d->prompt * s->o.samples + d->sample - s->o.first_sample;
    BUG_ON(i < s->current || i >= s->total);
    if (!s->list[i])
        s->list[i] = gp_calloc(1, sizeof **s->list);
    waiting *w = s->list[i];
    if (d->n)
        gp_buf_add(&w->text, d->bytes, d->n);
    if (d->token && s->o.json)
        add_token(s, w, d);
    w->finish = d->finish;
    w->stop = d->stop;
    return i == s->current ? flush(s) : 0;
}
