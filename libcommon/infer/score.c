/* score.c: perplexity of texts over a sliding window: see gptpipe/score.h. */
#include "gptpipe/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_write.h"
#include "cli/progress.h"
#include "gptpipe/text.h"
#include "infer/score.h"

/* ---- one text's ids -------------------------------------------------------------------------------------- */

static int64_t bytes_of(const gp_tokenizer *t, int32_t id)
{
    size_t n = 0;
    return t && gp_tokenizer_bytes(t, id, &n) ? (int64_t)n : 0;
}

/* Windows [begin, begin + context) of ids[0..count); each scores the tokens after the end of the previous one, but
 * never its own first token. Windows without such tokens are left out. Returns their number. */
static int64_t cut_windows(const int32_t *ids, int64_t count, int64_t context, int64_t stride, gp_passage *windows)
{
    int64_t n = 0;
    for (int64_t begin = 0, reached = 0; reached < count; begin += stride) {
        int64_t end = gp_min(begin + context, count), first = gp_max(reached - begin, 1);
        if (end - begin > first)
            windows[n++] = (gp_passage){.ids = ids + begin, .first = first, .count = end - begin};
        reached = end;
    }
    return n;
}

static void show_progress(void *progress, int64_t windows)
{
    gp_progress_set(progress, windows, NULL);
}

/* The scores of each token of a text. A token without a token before it has no probability: NAN. */
typedef struct token_scores {
    int32_t *ids; /* (count) */
    int64_t count;
    double *log_ps;        /* (count) */
    gp_token_logprob *top; /* (count,tops), NULL if tops is 0 */
    int64_t tops;
} token_scores;

static void release_scores(token_scores *e)
{
    free(e->ids);
    free(e->log_ps);
    free(e->top);
    *e = (token_scores){0};
}

/* Allocates for count tokens and one before them; gp_score_passages fills in the scores. */
static void open_scores(token_scores *e, const gp_model *m, int64_t count, int64_t tops)
{
    size_t n = (size_t)count + 1;
    e->tops = gp_min(tops, gp_model_config(m)->vocab_size);
    e->log_ps = gp_malloc(n * sizeof *e->log_ps);
    for (size_t i = 0; i < n; i++)
        e->log_ps[i] = NAN;
    if (e->tops && n > SIZE_MAX / sizeof *e->top / (size_t)e->tops)
        die("out of memory");
    e->top = e->tops ? gp_calloc(n * (size_t)e->tops, sizeof *e->top) : NULL;
}

/* ids[begin..end) are the text itself; the ids around them count as 0 bytes. */
static int score_ids(gp_model *m, const gp_tokenizer *t, const int32_t *ids, int64_t count, int64_t begin, int64_t end,
                     const gp_score_options *o, token_scores *e, gp_text_score *score)
{
    int64_t context = gp_config_context(gp_model_config(m)), stride = o->stride ? o->stride : gp_max(context / 2, 1);
    bool from_end = o->from_end && !begin;
    int32_t first = from_end && t ? gp_tokenizer_end_of_text(t) : -1; /* the id put before the text, or -1 */
    int64_t added = first >= 0;
    *score = (gp_text_score){.tokens = count};
    if (stride < 1 || stride > context)
        return fail("a stride of %lld does not fit the model's context of %lld: some tokens would not be scored",
                    (long long)stride, (long long)context);
    if (from_end && !added)
        return fail("the tokenizer has no end-of-text token to begin texts with");
    int32_t *all = gp_malloc((size_t)(count + 1) * sizeof *all);
    all[0] = first;
    memcpy(all + added, ids, (size_t)count * sizeof *all);
    int64_t n = count + added;
    gp_passage *window = gp_calloc((size_t)(n / stride + 2), sizeof *window);
    int64_t windows = cut_windows(all, n, context, stride, window);
    if (e)
        open_scores(e, m, count, o->top_logprobs);
    for (int64_t w = 0; e && w < windows; w++) {
        int64_t at = window[w].ids - all + window[w].first - added; /* its first scored token's index in the text */
        window[w].log_ps = e->log_ps + at;
        window[w].top = e->top ? e->top + at * e->tops : NULL;
        window[w].tops = e->tops;
    }
    gp_progress progress;
    gp_progress_begin(&progress, "score", "window", 0, windows, o->quiet || o->jsonl);
    int rc = gp_score_passages(m, o->attention, window, windows, false, show_progress, &progress);
    gp_progress_end(&progress);
    for (int64_t w = 0; w < windows && rc; w++)
        if (isnan(window[w].log_p) && windows > 1)
            gp_fail_in("the window from token %lld on", (long long)(window[w].ids - all - added));
    for (int64_t w = 0; w < windows && !rc; w++) {
        score->log_p += window[w].log_p;
        score->scored += window[w].count - window[w].first;
        for (int64_t k = window[w].first, at = window[w].ids - all - added; k < window[w].count; k++)
            score->bytes += at + k >= begin && at + k < end ? bytes_of(t, window[w].ids[k]) : 0;
    }
    free(window);
    free(all);
    return rc;
}

int gp_score_ids(gp_model *m, const gp_tokenizer *t, const int32_t *ids, int64_t count, const gp_score_options *o,
                 gp_text_score *score)
{
    return score_ids(m, t, ids, count, 0, count, o, NULL, score);
}

/* ---- a file ---------------------------------------------------------------------------------------------- */

static void put_members(const gp_text_score *s, gp_buf *b)
{
    gp_json_put(b, MEMBER("tokens", s->tokens), MEMBER("scored", s->scored), MEMBER("bytes", s->bytes),
                FIXED("logprob", s->log_p, 6), FIXED("perplexity", exp(-s->log_p / (double)s->scored), 6),
                FIXED("bits_per_byte", -s->log_p / (double)s->bytes / log(2), 6));
}

/* "ids": [...], "logprobs": [null, -0.7, ...], "top": [null, [{"id": 2402, ...}, ...], ...] */
static void put_tokens(const token_scores *e, const gp_tokenizer *t, gp_buf *b)
{
    gp_put_ids(b, "ids", e->ids, e->count);
    gp_json_open(b, "logprobs", '[');
    for (int64_t i = 0; i < e->count; i++)
        gp_json_put(b, FIXED(NULL, e->log_ps[i], 6));
    gp_json_close(b, ']');
    if (!e->tops)
        return;
    gp_json_open(b, "top", '[');
    for (int64_t i = 0; i < e->count; i++)
        if (isnan(e->log_ps[i]))
            gp_json_put(b, RAW(NULL, "null"));
        else
            gp_put_logprobs(b, t, e->top + i * e->tops, e->tops);
    gp_json_close(b, ']');
}

static void print_document(int64_t number, const gp_text_score *s, const token_scores *e, const gp_tokenizer *t,
                           FILE *out)
{
    gp_buf b = {0};
    if (e) {
        gp_json_open(&b, NULL, '{');
        gp_json_put(&b, MEMBER("document", number));
        put_members(s, &b);
        put_tokens(e, t, &b);
        gp_json_close(&b, '}');
        gp_json_write(&b, out, "\n");
    } else if (!s->scored) {
        fprintf(out, "document %lld: %lld token%s, nothing to score\n", (long long)number, (long long)s->tokens,
                gp_plural(s->tokens));
    } else {
        fprintf(out, "document %lld: %lld tokens, %.4f nats, perplexity %.4f\n", (long long)number,
                (long long)s->scored, -s->log_p, exp(-s->log_p / (double)s->scored));
    }
}

/* e: the tokens of a single text, or NULL for JSON Lines. */
static void print_total(const char *name, const gp_text_score *s, const gp_score_options *o, int64_t documents,
                        const token_scores *e, const gp_tokenizer *t, FILE *out)
{
    if (o->json) {
        gp_buf b = {0};
        gp_json_open(&b, NULL, '{');
        if (e)
            put_tokens(e, t, &b);
        gp_json_open(&b, "total", '{');
        if (o->jsonl)
            gp_json_put(&b, MEMBER("documents", documents));
        put_members(s, &b);
        if (o->dtype)
            gp_json_put(&b, MEMBER("dtype", o->dtype));
        gp_json_close(&b, '}');
        gp_json_close(&b, '}');
        gp_json_write(&b, out, "\n");
        return;
    }
    fprintf(out, "text        %s", gp_printable(name));
    if (o->jsonl)
        fprintf(out, ", %lld documents", (long long)documents);
    fprintf(out, "\ntokens      %lld, of which %lld are scored: %lld bytes\n", (long long)s->tokens,
            (long long)s->scored, (long long)s->bytes);
    fprintf(out, "log P       %.4f nats, %.4f a token\n", s->log_p, s->log_p / (double)s->scored);
    fprintf(out, "perplexity  %.4f a token\n", exp(-s->log_p / (double)s->scored));
    fprintf(out, "bits        %.4f a byte\n", -s->log_p / (double)s->bytes / log(2));
    if (o->dtype)
        fprintf(out, "dtype       %s\n", o->dtype);
}

int gp_score_encode(const gp_tokenizer *t, const gp_score_options *o, const gp_buf *text, bool whole, int32_t **ids,
                    int64_t *count)
{
    const char *data = text->len ? text->data : "";
    bool special = !o->special_as_text;
    if (!special && o->special_text && gp_tokenizer_find_special(t, data, text->len) < text->len)
        *o->special_text = true;
    return whole ? gp_tokenizer_encode_whole(t, data, text->len, special, ids, count)
                 : gp_tokenizer_encode(t, data, text->len, special, ids, count);
}

static int score_one(gp_model *m, const gp_tokenizer *t, const gp_buf *text, const gp_score_options *o, token_scores *e,
                     gp_text_score *score)
{
    release_scores(e);
    int64_t before, after;
    gp_tokenizer_prefix(t, &before);
    gp_tokenizer_suffix(t, &after);
    if (gp_score_encode(t, o, text, true, &e->ids, &e->count))
        return -1;
    return score_ids(m, t, e->ids, e->count, before, e->count - after, o, o->json ? e : NULL, score);
}

/* A text may arrive in parts, through a pipe; it is scored when it is complete. */
static int score_parts(gp_model *m, const gp_tokenizer *t, gp_text *text, const char *path, const gp_score_options *o,
                       FILE *out)
{
    gp_text_score all = {0}, one;
    gp_text_part part;
    gp_buf whole = {0};
    token_scores e = {0};
    gp_progress progress;
    int64_t documents = 0;
    const gp_text_info *info = gp_text_get_info(text);
    int rc;
    gp_progress_begin(&progress, "score", GP_PROGRESS_BYTES, 0, info->bytes, o->quiet || !o->jsonl);
    while ((rc = gp_text_next(text, NULL, 0, &part)) > 0) {
        gp_buf_add(&whole, part.data, part.length);
        if (!part.separated && (!part.file_ends || o->jsonl)) /* the part that ends JSON Lines is empty */
            continue;
        rc = score_one(m, t, &whole, o, &e, &one);
        if (rc) {
            gp_fail_in("%s", part.file);
            break;
        }
        whole.len = 0;
        all.tokens += one.tokens;
        all.scored += one.scored;
        all.bytes += one.bytes;
        all.log_p += one.log_p;
        documents++;
        gp_progress_clear(&progress);
        if (o->jsonl)
            print_document(documents, &one, o->json ? &e : NULL, t, out);
        gp_progress_set(&progress, part.end, NULL);
    }
    gp_progress_end(&progress);
    gp_buf_release(&whole);
    if (!rc && !all.scored)
        rc = fail("%s: nothing to score: a text needs two tokens", strcmp(path, "-") ? path : "stdin");
    if (!rc)
        print_total(info->name, &all, o, documents, o->jsonl ? NULL : &e, t, out);
    release_scores(&e);
    return rc;
}

int gp_score_text(gp_model *m, const gp_tokenizer *t, const char *path, const gp_score_options *o, FILE *out)
{
    if (gp_score_check(m, t, o))
        return -1;
    gp_list list = {.items = &path, .count = 1};
    gp_text *text = gp_text_open(&list, &(gp_text_options){.jsonl = o->jsonl});
    int rc = text ? score_parts(m, t, text, path, o, out) : -1;
    gp_text_close(text);
    return rc;
}
