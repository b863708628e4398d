/* cloze_read.c: lines of JSON into questions, as those who publish numbers make them. */
#include "io/cloze.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "data/jsonl.h"
#include "text/unicode.h"

void gp_question_release(gp_question *q)
{
    free(q->context);
    for (int64_t i = 0; i < q->endings; i++)
        free(q->ending[i]);
    *q = (gp_question){0};
}

static double characters(const char *s)
{
    double n = 0;
    for (size_t left = strlen(s), length; left; s += length, left -= length, n++) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s, left, &c);
    }
    return n;
}

/* ---- lambada -------------------------------------------------------------------------------------------- */

static int read_lambada(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    size_t n;
    const char *text = gp_jsonl_string(line, "text", &n, file, number);
    const char *blank = text ? strrchr(text, ' ') : NULL;
    if (!text)
        return -1;
    if (!blank || !blank[1])
        return fail("%s: line %lld: its text has no last word behind a blank", file, (long long)number);
    *q = (gp_question){.context = gp_strndup(text, (size_t)(blank - text)), .endings = 1};
    q->ending[0] = gp_strdup(blank);
    q->characters[0] = characters(blank + 1);
    return 0;
}

/* ---- hellaswag: utils.py of the harness's task, step by step ---------------------------------------------- */

/* Without the white space at both ends, fresh. */
static char *strip(const char *s)
{
    size_t n = strlen(s), begin = n, end = 0;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s + i, n - i, &c);
        if (gp_class_of(c) == GP_SPACE)
            continue;
        begin = begin < i ? begin : i;
        end = i + length;
    }
    return begin < end ? gp_strndup(s + begin, end - begin) : gp_strdup("");
}

/* Each `what` becomes `by`; frees s. */
static char *replace(char *s, const char *what, const char *by)
{
    gp_buf b = {0};
    const char *at = s, *hit;
    for (; (hit = strstr(at, what)); at = hit + strlen(what)) {
        gp_buf_add(&b, at, (size_t)(hit - at));
        gp_buf_puts(&b, by);
    }
    gp_buf_puts(&b, at);
    free(s);
    return b.data;
}

/* Without the shortest "[...]" of a line, from left to right: WikiHow's marks. Frees s. */
static char *drop_brackets(char *s)
{
    gp_buf b = {0};
    for (const char *at = s; *at; at++) {
        size_t inside = *at == '[' ? strcspn(at, "]\n") : 0;
        if (inside && at[inside] == ']')
            at += inside;
        else
            gp_buf_add(&b, at, 1);
    }
    gp_buf_puts(&b, "");
    free(s);
    return b.data;
}

static char *preprocess(const char *s)
{
    return replace(drop_brackets(replace(strip(s), " [title]", ". ")), "  ", " ");
}

/* Python's str.capitalize: the first character as a title's, the others small. */
static char *capitalize(const char *s)
{
    gp_buf b = {0};
    char put[4];
    for (size_t i = 0, n = strlen(s), length; i < n; i += length) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)s + i, n - i, &c);
        if (c < GP_BAD_BYTE)
            c = (uint32_t)(i ? utf8proc_tolower((int32_t)c) : utf8proc_totitle((int32_t)c));
        gp_buf_add(&b, put, gp_utf8_put(put, c));
    }
    gp_buf_puts(&b, "");
    return b.data;
}

/* "label": 2 or "2" */
static int read_label(gp_question *q, const json_t *line, const char *file, int64_t number)
{
    const json_t *label = json_object_get(line, "label");
    char *end = NULL;
    if (json_is_string(label) && json_string_length(label))
        q->label = strtol(json_string_value(label), &end, 10);
    else if (json_is_integer(label))
        q->label = json_integer_value(label);
    else
        q->label = -1;
    if ((end && *end) || q->label < 0 || q->label >= q->endings)
        return fail("%s: line %lld: its \"label\" does not tell which of the %lld endings is right", file,
                    (long long)number, (long long)q->endings);
    return 0;
}

/* Endings, each made by `make` and with `blank` before it, and the label. */
static int read_endings(gp_question *q, const json_t *line, char *(*make)(const char *), const char *blank,
                        const char *file, int64_t number)
{
    const json_t *endings = json_object_get(line, "endings");
    int64_t n = (int64_t)json_array_size(endings);
    if (n < 1 || n > GP_MOST_ENDINGS)
        return fail("%s: line %lld: its \"endings\" are no array of 1 to %d texts", file, (long long)number,
                    GP_MOST_ENDINGS);
    for (q->endings = 0; q->endings < n;) {
        const char *text = json_string_value(json_array_get(endings, (size_t)q->endings));
        if (!text)
            return fail("%s: line %lld: ending %lld is not a string", file, (long long)number,
                        (long long)q->endings + 1);
        char *made = make(text);
        q->characters[q->endings] = characters(made);
        q->ending[q->endings++] = gp_format("%s%s", blank, made);
        free(made);
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
    size_t n;
    const char *activity = gp_jsonl_string(line, "activity_label", &n, file, number);
    const char *a = activity ? gp_jsonl_string(line, "ctx_a", &n, file, number) : NULL;
    const char *b = a ? gp_jsonl_string(line, "ctx_b", &n, file, number) : NULL;
    if (!b)
        return -1;
    char *second = capitalize(b), *whole = gp_format("%s: %s %s", activity, a, second);
    *q = (gp_question){.context = preprocess(whole)};
    free(second);
    free(whole);
    return finish(q, read_endings(q, line, preprocess, " ", file, number));
}

static int read_plain(gp_question *q, const json_t *line, const char *context, const char *blank,
                      const char *file, int64_t number)
{
    size_t n;
    const char *text = gp_jsonl_string(line, context, &n, file, number);
    if (!text)
        return -1;
    *q = (gp_question){.context = gp_strdup(text)};
    return finish(q, read_endings(q, line, gp_strdup, blank, file, number));
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
    {"lambada", read_lambada, true},
    {"hellaswag", read_hellaswag, false},
    {"hellaswag-raw", read_hellaswag_raw, false},
    {"choices", read_choices, false},
    {0},
};
