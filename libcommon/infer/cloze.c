/* cloze.c: scores the endings of questions and counts correct answers. */
#include "infer/cloze.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "cli/progress.h"
#include "data/jsonl.h"
#include "infer/score.h"
#include "text/unicode/casing.h"

enum { AT_ONCE = 64 }; /* questions in memory */

typedef struct cloze_counts {
    int64_t items, correct, correct_norm, correct_token;
    double log_p; /* of all answers of a greedy task */
} cloze_counts;

typedef struct cloze {
    gp_model *m;
    const gp_tokenizer *t;
    const gp_cloze_task *task;
    const char *name; /* the task's */
    const gp_score_options *o;
    FILE *out;
    const char *file;
    gp_question question[AT_ONCE];
    gp_passage ending[AT_ONCE * GP_MAX_ENDINGS]; /* owns their ids */
    int64_t questions, endings;
    gp_progress progress;
    int64_t scored, read; /* bytes of the file: of scored questions; also of those in memory */
    cloze_counts n;
} cloze;

/* ---- encoding questions ---------------------------------------------------------------------------------- */

/* Python's len(s.rstrip()), in bytes. */
static size_t stripped_length(const gp_buf *s)
{
    size_t end = 0;
    for (size_t i = 0, length; i < s->len; i += length) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s->data + i, s->len - i, &c);
        if (!gp_python_is_space(c))
            end = i + length;
    }
    return end;
}

/* The token that replaces an empty context: the one that the tokenizer puts first, else end-of-text, else -1. */
static int32_t prefix_token(const gp_tokenizer *t)
{
    int64_t before;
    const int32_t *first = gp_tokenizer_prefix(t, &before);
    return before ? first[0] : gp_tokenizer_end_of_text(t);
}

/* The harness's tok_encode: as transformers encodes, but without ids around a text that begins with the prefix token's
 * name (models/huggingface.py, has_bos_prefix). */
static int encode_text(const cloze *z, const gp_buf *text, int32_t **ids, int64_t *count)
{
    size_t n = 0;
    const char *name = gp_tokenizer_bytes(z->t, prefix_token(z->t), &n);
    bool begins = name && n <= text->len && !memcmp(text->data, name, n);
    return gp_score_encode(z->t, z->o, text, !begins, ids, count);
}

/* An ending without a context: after the prefix token, unless it begins with that. */
static int encode_ending(const cloze *z, const gp_buf *ending, int32_t **whole, int64_t *n)
{
    int32_t prefix = prefix_token(z->t);
    if (prefix < 0)
        return fail("its context is empty, and the tokenizer has no end-of-text token to put before the ending");
    if (gp_score_encode(z->t, z->o, ending, false, whole, n))
        return -1;
    if (*n && (*whole)[0] == prefix)
        return 0;
    *whole = gp_realloc(*whole, (size_t)*n + 1, sizeof **whole);
    memmove(*whole + 1, *whole, (size_t)(*n)++ * sizeof **whole);
    (*whole)[0] = prefix;
    return 0;
}

/* The ids of context and ending together; those after the first *before, the number of ids of the context alone, are
 * scored. White space at the end of the context belongs to the ending. _encode_pair of lm-evaluation-harness 0.4.13
 * (api/model.py):
 *
 *     n_spaces = len(context) - len(context.rstrip())
 *     if n_spaces > 0:
 *         continuation = context[-n_spaces:] + continuation
 *         context = context[:-n_spaces]
 *     whole_enc = self.tok_encode(context + continuation)
 *     context_enc = self.tok_encode(context)
 *     continuation_enc = whole_enc[len(context_enc):]
 *
 * It is not called with an empty context, and context_enc must not be empty (models/huggingface.py:
 * assert len(context_enc) > 0). */
static int encode_pair(const cloze *z, const gp_buf *context, const gp_buf *ending, int32_t **whole, int64_t *n,
                       int64_t *before)
{
    int32_t *context_ids = NULL;
    gp_buf text = {0};
    *before = 1;
    if (!context->len)
        return encode_ending(z, ending, whole, n);
    gp_buf_add(&text, context->data, context->len);
    gp_buf_add(&text, ending->data, ending->len);
    int rc = encode_text(z, &text, whole, n);
    text.len = stripped_length(context);
    rc = rc ? rc : encode_text(z, &text, &context_ids, before);
    free(context_ids);
    gp_buf_release(&text);
    return !rc && !*before ? fail("its context is only white space, which belongs to the ending, so no "
                                  "token precedes the ending")
                           : rc;
}

static int encode(const cloze *z, const gp_buf *context, const gp_buf *ending, gp_passage *passage)
{
    int32_t *whole = NULL;
    int64_t n = 0, before, max = gp_config_context(gp_model_config(z->m)) + 1;
    int rc = encode_pair(z, context, ending, &whole, &n, &before);
    int64_t dropped = gp_max(n - max, 0);
    if (!rc && n <= before)
        rc = fail("an ending adds no token to its context");
    if (!rc && before - dropped < 1)
        rc = fail("an ending of %lld tokens does not fit the model's context", (long long)(n - before));
    if (!rc) { /* the beginning of a context that is too long is dropped */
        memmove(whole, whole + dropped, (size_t)(n - dropped) * sizeof *whole);
        *passage = (gp_passage){.ids = whole, .first = before - dropped, .count = n - dropped};
        whole = NULL;
    }
    free(whole);
    return rc;
}

static int add(cloze *z, const json_t *line, int64_t number)
{
    gp_question *q = &z->question[z->questions];
    if (z->task->read(q, line, z->file, number))
        return -1;
    q->line = number;
    z->questions++;
    for (int64_t i = 0; i < q->endings; i++) {
        if (encode(z, &q->context, &q->ending[i], &z->ending[z->endings]))
            return gp_fail_in("%s: line %lld", z->file, (long long)number);
        z->endings++;
    }
    return 0;
}

static void clear(cloze *z)
{
    for (int64_t i = 0; i < z->questions; i++)
        gp_question_release(&z->question[i]);
    for (int64_t i = 0; i < z->endings; i++)
        free((int32_t *)z->ending[i].ids);
    z->questions = z->endings = 0;
}

/* ---- answers --------------------------------------------------------------------------------------------- */

typedef enum normalization { PER_ENDING, PER_CHARACTER, PER_TOKEN } normalization;

static double score_of(const gp_question *q, const gp_passage *s, int64_t i, normalization by)
{
    double tokens = (double)(s[i].count - s[i].first);
    return s[i].log_p / (by == PER_CHARACTER ? q->characters[i] : by == PER_TOKEN ? tokens : 1);
}

/* The ending with the highest score, the first of equals. */
static int64_t best(const gp_question *q, const gp_passage *s, normalization by)
{
    int64_t at = 0;
    for (int64_t i = 1; i < q->endings; i++)
        if (score_of(q, s, i, by) > score_of(q, s, at, by))
            at = i;
    return at;
}

static void print_item(const cloze *z, const gp_question *q, const gp_passage *s)
{
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    gp_json_put(&b, MEMBER("item", z->n.items));
    gp_json_open(&b, "logprobs", '[');
    for (int64_t i = 0; i < q->endings; i++)
        gp_json_put(&b, FIXED(NULL, s[i].log_p, 6));
    gp_json_close(&b, ']');
    gp_json_open(&b, "tokens", '[');
    for (int64_t i = 0; i < q->endings; i++)
        gp_json_put(&b, MEMBER(NULL, s[i].count - s[i].first));
    gp_json_close(&b, ']');
    if (z->task->greedy)
        gp_json_put(&b, MEMBER("greedy", s->greedy));
    else
        gp_json_put(&b, MEMBER("label", q->label), MEMBER("best", best(q, s, PER_ENDING)),
                    MEMBER("best_norm", best(q, s, PER_CHARACTER)), MEMBER("best_token", best(q, s, PER_TOKEN)));
    gp_json_close(&b, '}');
    gp_json_write(&b, z->out, "\n");
}

static void show_progress(void *self, int64_t endings)
{
    cloze *z = self;
    double share = (double)endings / (double)z->endings;
    gp_progress_set(&z->progress, z->scored + (int64_t)(share * (double)(z->read - z->scored)), NULL);
}

/* Adds the ending whose logits were not finite, if that is why scoring failed, to the message. */
static int name_ending(const cloze *z)
{
    const gp_passage *s = z->ending;
    for (int64_t i = 0; i < z->questions; i++)
        for (int64_t k = 0; k < z->question[i].endings; k++, s++)
            if (isnan(s->log_p))
                gp_fail_in("%s: line %lld: ending %lld", z->file, (long long)z->question[i].line, (long long)k + 1);
    return -1;
}

static int score(cloze *z)
{
    if (gp_score_passages(z->m, z->o->attention, z->ending, z->endings, z->task->greedy, show_progress, z))
        return name_ending(z);
    gp_progress_clear(&z->progress);
    z->scored = z->read;
    const gp_passage *s = z->ending;
    for (int64_t i = 0; i < z->questions; s += z->question[i++].endings) {
        const gp_question *q = &z->question[i];
        z->n.items++;
        if (z->task->greedy) {
            z->n.correct += s->greedy;
            z->n.log_p += s->log_p;
        } else {
            z->n.correct += best(q, s, PER_ENDING) == q->label;
            z->n.correct_norm += best(q, s, PER_CHARACTER) == q->label;
            z->n.correct_token += best(q, s, PER_TOKEN) == q->label;
        }
        if (z->o->json)
            print_item(z, q, s);
    }
    clear(z);
    return 0;
}

/* ---- the report ------------------------------------------------------------------------------------------ */

/* A share and its standard error, that of a mean of n zeros and ones. */
static void put_share(const cloze *z, gp_buf *b, const char *name, int64_t correct, const char *note)
{
    double n = (double)z->n.items, share = (double)correct / n, error = n > 1 ? sqrt(share * (1 - share) / (n - 1)) : 0;
    if (z->o->json) {
        char key[32];
        snprintf(key, sizeof key, "%s_stderr", name);
        gp_json_put(b, FIXED(name, share, 6), FIXED(key, error, 6));
    } else {
        gp_buf_printf(b, "%-11s %.4f +- %.4f%s\n", name, share, error, note);
    }
}

static void print_total(const cloze *z)
{
    gp_buf b = {0};
    bool json = z->o->json;
    double perplexity = exp(-z->n.log_p / (double)z->n.items);
    if (json) {
        gp_json_open(&b, NULL, '{');
        gp_json_open(&b, "total", '{');
        gp_json_put(&b, MEMBER("task", z->name), MEMBER("items", z->n.items));
    } else {
        gp_buf_printf(&b, "task        %s, %lld item%s\n", z->name, (long long)z->n.items, gp_plural(z->n.items));
    }
    put_share(z, &b, "acc", z->n.correct, z->task->greedy ? "  the last word, written greedily" : "  by log P");
    if (z->task->greedy && json)
        gp_json_put(&b, FIXED("perplexity", perplexity, 6));
    else if (z->task->greedy)
        gp_buf_printf(&b, "perplexity  %.4f a last word\n", perplexity);
    else {
        put_share(z, &b, "acc_norm", z->n.correct_norm, "  by log P a character");
        put_share(z, &b, "acc_token", z->n.correct_token, "  by log P a token");
    }
    if (z->o->dtype && json)
        gp_json_put(&b, MEMBER("dtype", z->o->dtype));
    else if (z->o->dtype)
        gp_buf_printf(&b, "dtype       %s\n", z->o->dtype);
    gp_json_write(&b, z->out, json ? "}}\n" : "");
}

static int take_line(void *self, const json_t *line, int64_t number, size_t end)
{
    cloze *z = self;
    z->read = (int64_t)end;
    if (add(z, line, number))
        return -1;
    return z->questions == AT_ONCE ? score(z) : 0;
}

static int score_file(cloze *z, const gp_buf *text)
{
    gp_progress_begin(&z->progress, z->name, GP_PROGRESS_BYTES, 0, (int64_t)text->len, z->o->quiet);
    int rc = gp_jsonl_for_each(text, z->file, take_line, z);
    if (!rc && z->questions)
        rc = score(z);
    gp_progress_end(&z->progress);
    if (!rc && !z->n.items)
        rc = fail("%s: has no question: one JSON object a line is expected", z->file);
    return rc;
}

int gp_score_task(gp_model *m, const gp_tokenizer *t, gp_score_kind task, const char *path, const gp_score_options *o,
                  FILE *out)
{
    static const char *const names[] = {GP_SCORE_TASKS(GP_CHOICE_NAME)};
    if (task == GP_TASK_TEXT)
        return gp_score_text(m, t, path, o, out);
    if (gp_score_check(m, t, o))
        return -1;
    gp_buf text = {0};
    cloze *z = gp_calloc(1, sizeof *z);
    *z = (cloze){.m = m,
                 .t = t,
                 .task = &gp_cloze_tasks[task],
                 .name = names[task],
                 .o = o,
                 .out = out,
                 .file = strcmp(path, "-") ? path : "stdin"};
    int rc = gp_file_read(&text, path, (size_t)1 << 31);
    if (!rc)
        rc = score_file(z, &text);
    if (!rc)
        print_total(z);
    clear(z);
    free(z);
    gp_buf_release(&text);
    return rc;
}
