/* cloze_read.c: lines of JSON into questions, as the published evaluations build them. Texts may contain U+0000, so
 * they carry their length. Quotes are from EleutherAI's lm-evaluation-harness 0.4.13. */
#include "infer/cloze.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "data/jsonl.h"
#include "text/unicode/casing.h"

void gp_question_release(gp_question *q)
{
    gp_buf_release(&q->context);
    for (int64_t i = 0; i < q->endings; i++)
        gp_buf_release(&q->ending[i]);
    *q = (gp_question){0};
}

/* A member's text. 0 or -1. */
static int read_text(gp_buf *b, const json_t *line, const char *member, const char *file, int64_t number)
{
    size_t n;
    const char *text = gp_jsonl_string(line, member, &n, file, number);
    if (!text)
        return -1;
    gp_buf_add(b, text, n);
    return 0;
}

static double characters(const char *s, size_t left)
{
    double n = 0;
    for (size_t length; left; s += length, left -= length, n++) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s, left, &c);
    }
    return n;
}

/* ---- lambada: text.split(' ')[:-1]|join(' ') and ' '+text.split(' ')[-1] --------------------------------- */

static int read_lambada(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    size_t n;
    const char *text = gp_jsonl_string(line, "text", &n, file, number);
    const char *blank = text ? memrchr(text, ' ', n) : NULL;
    if (!text)
        return -1;
    if (!blank || blank + 1 == text + n)
        return fail("%s: line %lld: its text has no last word after a space", file, (long long)number);
    size_t before = (size_t)(blank - text);
    *q = (gp_question){.endings = 1};
    gp_buf_add(&q->context, text, before);
    gp_buf_add(&q->ending[0], blank, n - before);
    q->characters[0] = characters(blank + 1, n - before - 1);
    return 0;
}

/* ---- hellaswag: utils.py of the harness's task, step by step ----------------------------------------------
 *
 *     ctx = doc["ctx_a"] + " " + doc["ctx_b"].capitalize()
 *     "query": preprocess(doc["activity_label"] + ": " + ctx)
 *     "choices": [preprocess(ending) for ending in doc["endings"]]
 *
 *     def preprocess(text):
 *         text = text.strip()
 *         text = text.replace(" [title]", ". ")
 *         text = re.sub("\\[.*?\\]", "", text)
 *         text = text.replace("  ", " ")                                                                          */

/* text.strip() */
static gp_buf strip(const gp_buf *s)
{
    gp_buf b = {0};
    size_t begin = s->len, end = 0;
    for (size_t i = 0, length; i < s->len; i += length) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s->data + i, s->len - i, &c);
        if (gp_python_is_space(c))
            continue;
        begin = begin < i ? begin : i;
        end = i + length;
    }
    gp_buf_add(&b, begin < end ? s->data + begin : "", begin < end ? end - begin : 0);
    return b;
}

/* text.replace(what, by); releases s. */
static gp_buf replace(gp_buf s, const char *what, const char *by)
{
    gp_buf b = {0};
    const char *at = s.data, *end = s.data + s.len, *hit;
    for (; (hit = memmem(at, (size_t)(end - at), what, strlen(what))); at = hit + strlen(what)) {
        gp_buf_add(&b, at, (size_t)(hit - at));
        gp_buf_puts(&b, by);
    }
    gp_buf_add(&b, at, (size_t)(end - at));
    gp_buf_release(&s);
    return b;
}

/* re.sub("\\[.*?\\]", "", text): removes the shortest "[...]" within a line, from left to right. Releases s. */
static gp_buf drop_brackets(gp_buf s)
{
    gp_buf b = {0};
    size_t end = 0; /* there is no "]" or newline between i and end */
    gp_buf_reserve(&b, s.len);
    gp_buf_puts(&b, "");
    for (size_t i = 0; i < s.len; i++) {
        end = end < i ? i : end;
        while (s.data[i] == '[' && end < s.len && s.data[end] != ']' && s.data[end] != '\n')
            end++;
        if (s.data[i] == '[' && end < s.len && s.data[end] == ']')
            i = end;
        else
            gp_buf_add(&b, s.data + i, 1);
    }
    gp_buf_release(&s);
    return b;
}

static gp_buf preprocess(const gp_buf *s)
{
    return replace(drop_brackets(replace(strip(s), " [title]", ". ")), "  ", " ");
}

/* "label": 2 or "2" */
static int read_label(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    const json_t *label = json_object_get(line, "label");
    const char *text = json_string_value(label);
    char *end = NULL;
    errno = 0;
    q->label = -1;
    if (text && *text) {
        q->label = strtol(text, &end, 10);
        if (errno || end != text + json_string_length(label))
            q->label = -1;
    } else if (json_is_integer(label)) {
        q->label = json_integer_value(label);
    }
    if (q->label < 0 || q->label >= q->endings)
        return fail("%s: line %lld: its \"label\" is not the number of one of its %lld endings", file,
                    (long long)number, (long long)q->endings);
    return 0;
}

/* Bytes of white space at the beginning of an ending. It is not counted in the ending's characters, as the harness's
 * target_delimiter is not. */
static size_t leading_blanks(const gp_buf *s)
{
    size_t i = 0;
    for (size_t length; i < s->len; i += length) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s->data + i, s->len - i, &c);
        if (!gp_python_is_space(c))
            break;
    }
    return i;
}

/* Reads the endings, each processed by `make` (unless NULL) and with `blank` put before it, and the label. */
static int read_endings(gp_question *q, const json_t *line, gp_buf (*make)(const gp_buf *), const char *blank,
                        const char *file, int64_t number)
{
    const json_t *endings = json_object_get(line, "endings");
    int64_t n = (int64_t)json_array_size(endings);
    if (n < 1 || n > GP_MAX_ENDINGS)
        return fail("%s: line %lld: its \"endings\" are not an array of 1 to %d texts", file, (long long)number,
                    GP_MAX_ENDINGS);
    for (q->endings = 0; q->endings < n;) {
        const json_t *value = json_array_get(endings, (size_t)q->endings);
        if (!json_is_string(value))
            return fail("%s: line %lld: ending %lld is %s", file, (long long)number, (long long)q->endings + 1,
                        gp_jsonl_not_a_string(value));
        gp_buf text = {0}, made, *ending = &q->ending[q->endings];
        gp_buf_add(&text, json_string_value(value), json_string_length(value));
        made = make ? make(&text) : text;
        size_t own = *blank ? 0 : leading_blanks(&made);
        q->characters[q->endings++] = characters(made.data + own, made.len - own);
        gp_buf_puts(ending, blank);
        gp_buf_add(ending, made.data, made.len);
        if (make)
            gp_buf_release(&text);
        gp_buf_release(&made);
    }
    return read_label(q, line, file, number);
}

static int finish(gp_question *q, int rc)
{
    if (rc)
        gp_question_release(q);
    return rc;
}

static int read_hellaswag(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    gp_buf whole = {0}, second = {0};
    *q = (gp_question){0};
    int rc = read_text(&whole, line, "activity_label", file, number);
    gp_buf_puts(&whole, ": ");
    rc = rc ? rc : read_text(&whole, line, "ctx_a", file, number);
    gp_buf_puts(&whole, " ");
    rc = rc ? rc : read_text(&second, line, "ctx_b", file, number);
    if (!rc) {
        gp_python_capitalize(&whole, second.data, second.len);
        q->context = preprocess(&whole);
        rc = read_endings(q, line, preprocess, " ", file, number);
    }
    gp_buf_release(&whole);
    gp_buf_release(&second);
    return finish(q, rc);
}

static int read_plain(gp_question *q, const json_t *line, const char *context, const char *blank, const char *file,
                      int64_t number)
{
    *q = (gp_question){0};
    int rc = read_text(&q->context, line, context, file, number);
    return finish(q, rc ? rc : read_endings(q, line, NULL, blank, file, number));
}

static int read_hellaswag_raw(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    return read_plain(q, line, "ctx", " ", file, number);
}

static int read_choices(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    return read_plain(q, line, "context", "", file, number);
}

const gp_cloze_task gp_cloze_tasks[] = {
    [GP_TASK_LAMBADA] = {read_lambada, true},
    [GP_TASK_HELLASWAG] = {read_hellaswag, false},
    [GP_TASK_HELLASWAG_RAW] = {read_hellaswag_raw, false},
    [GP_TASK_CHOICES] = {read_choices, false},
};
