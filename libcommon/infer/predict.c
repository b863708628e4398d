/* predict.c: see gptpipe/predict.h. Lines are read in chunks: as many as have arrived, up to limits. What a chunk's
 * texts give does not depend on where it ends, so neither does the output. */
#include "infer/predict.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_python.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "cli/progress.h"
#include "data/jsonl.h"
#include "gptpipe/safetensors.h"
#include "text/text.h"

/* Limits of a chunk: texts, bytes of them, and bytes that a result may take, roughly. */
enum { CHUNK_TEXTS = 1024, CHUNK_BYTES = 1 << 22, CHUNK_RESULTS = 1 << 26, TOKEN_RESULT = 100 };

enum { DEFAULT_TOKENS = 5 };

typedef struct run {
    gp_predictor p;
    gp_line_reader r;
    gp_encoder *encoder;
    gp_buf coded;      /* its ids */
    const char *jsonl; /* the member that is the text, or NULL: each line is one, */
    bool is_text;      /* which is sure */
    int64_t max_texts; /* of a chunk */
    char *failed;      /* why the lines after the chunk cannot be read, or NULL */
    gp_progress progress;
    int64_t texts, tokens;
    double began;
    gp_predict_stats *stats; /* or NULL */
    FILE *out;               /* JSON */
    gp_out vectors;          /* or embeddings, and the ids as elements of an array */
    gp_buf ids;
    bool has_ids;
} run;

/* ---- what is predicted ----------------------------------------------------------------------------------- */

const char *gp_predict_task_name(gp_predict_task task)
{
    static const char *const names[] = {GP_PREDICT_TASKS(GP_CHOICE_NAME)};
    return names[task];
}

gp_predict_task gp_predict_task_of(const gp_config *c)
{
    static const gp_predict_task tasks[] = {[GP_HEAD_LM] = GP_PREDICT_NEXT,
                                            [GP_HEAD_MLM] = GP_PREDICT_FILL_MASK,
                                            [GP_HEAD_NONE] = GP_PREDICT_EMBED,
                                            [GP_HEAD_CLASSIFY] = GP_PREDICT_CLASSIFY};
    return tasks[c->head];
}

/* Of an added token the model may have no row. */
static int check_row(const gp_predictor *p, int32_t id)
{
    int64_t V = gp_model_config(p->m)->vocab_size;
    return id < V ? 0 : gp_tokenizer_no_row(p->t, id, V);
}

static int check_task(const gp_predictor *p)
{
    const gp_config *c = gp_model_config(p->m);
    if (!p->t)
        return fail("the checkpoint has no tokenizer: texts cannot be read");
    for (int64_t id = c->vocab_size; id < gp_tokenizer_vocab_size(p->t); id++)
        if (!gp_tokenizer_is_added(p->t, (int32_t)id)) /* of added tokens, texts that have one are refused */
            return fail("the tokenizer has %lld ids, more than the model's vocabulary of %lld",
                        (long long)gp_tokenizer_vocab_size(p->t), (long long)c->vocab_size);
    if (p->task != GP_PREDICT_EMBED && p->task != gp_predict_task_of(c))
        return fail("task %s: the model's head does not compute it, but %s (or embed, which needs no head)",
                    gp_predict_task_name(p->task), gp_predict_task_name(gp_predict_task_of(c)));
    if (p->task == GP_PREDICT_FILL_MASK && p->mask < 0)
        return fail("the tokenizer has no mask token, such as [MASK] or <mask>");
    if (p->task == GP_PREDICT_FILL_MASK && p->mask >= c->vocab_size)
        return check_row(p, p->mask);
    for (int64_t i = 0; i < p->o.target_count; i++)
        if (p->o.targets[i] < 0 || p->o.targets[i] >= c->vocab_size)
            return fail("target id %d is outside the model's vocabulary of %lld", p->o.targets[i],
                        (long long)c->vocab_size);
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static void release_text(gp_predict_text *text)
{
    free(text->id);
    free(text->ids);
    free(text->types);
    free(text->places);
    free(text->embedding);
    free(text->problem);
    gp_buf_release(&text->result);
}

/* Encodes a text, or a pair (b not NULL), with its special tokens. */
static int encode(run *s, gp_predict_text *text, const char *a, size_t na, const char *b, size_t nb)
{
    const gp_config *c = gp_model_config(s->p.m);
    int64_t context = gp_config_context(c), first;
    s->coded.len = 0;
    if (gp_encoder_finish(s->encoder, a, na))
        return -1;
    first = (int64_t)(s->coded.len / sizeof(int32_t));
    if (b && gp_encoder_finish(s->encoder, b, nb))
        return -1;
    gp_buf_reserve(&s->coded, 0); /* not NULL, even if empty */
    const int32_t *ids = (const int32_t *)(const void *)s->coded.data;
    text->ids = gp_calloc((size_t)context, sizeof *text->ids);
    text->types = gp_calloc((size_t)context, sizeof *text->types);
    text->count =
        gp_tokenizer_assemble(s->p.t, ids, first, b ? ids + first : NULL, (int64_t)(s->coded.len / sizeof *ids) - first,
                              context, s->p.o.truncate, text->ids, text->types);
    if (text->count <= 0)
        return text->count ? gp_fail_in("the %s does not fit the model", b ? "pair" : "text")
                           : fail("the text is empty: at least one token is needed");
    for (int64_t i = 0; i < text->count; i++) {
        if (text->types[i] && text->types[i] >= c->types)
            return fail("a pair of texts, for a model without token types");
        if (check_row(&s->p, text->ids[i]))
            return -1;
    }
    return 0;
}

static int read_object(run *s, gp_predict_text *text, const char *line, size_t n)
{
    const char *name = s->r.in.name;
    json_t *object = gp_jsonl_line(line, n, name, text->number);
    size_t na = 0, nb = 0;
    const char *a = object ? gp_jsonl_string(object, s->jsonl, &na, name, text->number) : NULL, *b = NULL;
    const json_t *id = object ? json_object_get(object, "id") : NULL;
    const json_t *pair = object ? json_object_get(object, "text_pair") : NULL;
    int rc = a ? 0 : -1;
    if (!rc && pair && !json_is_null(pair)) {
        b = gp_jsonl_string(object, "text_pair", &nb, name, text->number);
        rc = b ? 0 : -1;
        b = nb ? b : NULL; /* an empty one is none, as in transformers */
    }
    if (!rc && id && !(text->id = gp_json_dump_python(id)))
        rc = fail("%s: line %lld: its \"id\" is not finite and cannot be written as JSON", name,
                  (long long)text->number);
    if (!rc && (encode(s, text, a, na, b, nb) || gp_predict_prepare(&s->p, text)))
        rc = gp_fail_in("%s: line %lld", name, (long long)text->number);
    json_decref(object);
    return rc;
}

static int read_text(run *s, gp_predict_text *text, const char *line, size_t n)
{
    text->number = s->r.number;
    if (s->jsonl)
        return read_object(s, text, line, n);
    if (encode(s, text, line, n, NULL, 0) || gp_predict_prepare(&s->p, text))
        return gp_fail_in("%s: line %lld", s->r.in.name, (long long)text->number);
    return 0;
}

/* What a line seems to be. */
typedef enum line_kind { BLANK, TEXT, OBJECT, OTHER_OBJECT /* without "text" */, BROKEN_OBJECT } line_kind;

static line_kind kind_of(const char *line, size_t n)
{
    size_t at = gp_json_blanks_end(line, n, gp_utf8_mark(line, n));
    if (at == n || line[at] != '{')
        return at == n ? BLANK : TEXT;
    size_t next = gp_json_blanks_end(line, n, at + 1);
    json_t *object = gp_json_load_python(line + at, n - at, 0, NULL);
    line_kind kind = json_object_get(object, "text") ? OBJECT : json_is_object(object) ? OTHER_OBJECT : TEXT;
    json_decref(object);
    bool quoted = next < n && (line[next] == '"' || line[next] == '\'');
    return kind == TEXT && quoted ? BROKEN_OBJECT : kind;
}

/* Whether the input is JSON Lines, by its first line that is not blank, unless an option says it. */
static int find_jsonl(run *s, const char *line, size_t n)
{
    static const char *const refused[] = {[OTHER_OBJECT] = "is a JSON object without the member \"text\"",
                                          [BROKEN_OBJECT] = "begins like a JSON object and is none"};
    line_kind kind = s->jsonl || s->is_text ? BLANK : kind_of(line, n);
    if (kind == BLANK)
        return 0;
    const char *why = kind == OBJECT && s->r.number > 1 ? "is a JSON object after blank lines" : refused[kind];
    if (why)
        return fail("%s: line %lld %s: --jsonl names the member that is the text, --lines takes lines as texts",
                    s->r.in.name, (long long)s->r.number, why);
    s->jsonl = kind == OBJECT ? "text" : NULL;
    s->is_text = kind == TEXT;
    return 0;
}

/* Reads the texts of a chunk. What cannot be read ends it, and is kept as s->failed. */
static void read_chunk(run *s)
{
    gp_predictor *p = &s->p;
    const char *line;
    size_t n, bytes = 0;
    int rc = 0;
    p->count = 0;
    while (p->count < s->max_texts && bytes < CHUNK_BYTES &&
           (rc = gp_line_reader_next(&s->r, !p->count, &line, &n)) > 0) {
        rc = find_jsonl(s, line, n);
        if (rc)
            break;
        if (s->jsonl && gp_jsonl_is_blank(line, n))
            continue;
        gp_predict_text *text = &p->texts[p->count];
        *text = (gp_predict_text){0};
        rc = read_text(s, text, line, n);
        if (rc) {
            release_text(text);
            break;
        }
        bytes += n;
        p->count++;
    }
    if (rc < 0)
        s->failed = gp_strdup(gp_error());
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static int write_text(run *s, gp_predict_text *text)
{
    if (text->problem)
        return fail("%s: line %lld: %s", s->r.in.name, (long long)text->number, text->problem);
    s->tokens += text->count;
    s->texts++;
    if (s->p.json) {
        gp_json_write(&text->result, s->out, "\n");
        return 0;
    }
    s->has_ids |= text->id != NULL;
    gp_buf_printf(&s->ids, "%s%s", s->texts > 1 ? ", " : "", text->id ? text->id : "null");
    return gp_out_write(&s->vectors, text->embedding,
                        (size_t)gp_model_config(s->p.m)->channels * sizeof *text->embedding);
}

static int write_chunk(run *s)
{
    int rc = 0;
    gp_progress_clear(&s->progress);
    for (int64_t i = 0; i < s->p.count && !rc; i++)
        rc = write_text(s, &s->p.texts[i]);
    if (s->p.json && (fflush(s->out) || ferror(s->out)) && !rc)
        rc = fail("the results cannot be written: the pipe was closed or the disk failed");
    gp_progress_set(&s->progress, s->r.size ? s->r.done : s->texts, NULL);
    return rc;
}

/* ---- a file ---------------------------------------------------------------------------------------------- */

static int predict_all(run *s)
{
    gp_predictor *p = &s->p;
    int rc;
    gp_progress_begin(&s->progress, "predict", s->r.size ? GP_PROGRESS_BYTES : "text", 0, s->r.size, p->o.quiet);
    do {
        read_chunk(s);
        rc = gp_predict_run(p, p->texts, p->count) || write_chunk(s) ? -1 : 0;
        for (int64_t i = 0; i < p->count; i++)
            release_text(&p->texts[i]);
        if (!rc && s->failed)
            rc = fail("%s", s->failed);
    } while (p->count && !rc);
    gp_progress_end(&s->progress);
    if (s->stats)
        *s->stats = (gp_predict_stats){s->texts, s->tokens, gp_now() - s->began};
    return rc;
}

static int open_run(run *s, gp_model *m, const gp_tokenizer *t, const char *path, const gp_predict_options *o)
{
    gp_predictor *p = &s->p;
    const gp_config *c = gp_model_config(m);
    p->m = m;
    p->t = t;
    p->o = *o;
    p->task = o->task == GP_PREDICT_BY_HEAD ? gp_predict_task_of(c) : o->task;
    p->top_k = o->top_k ? o->top_k : DEFAULT_TOKENS;
    s->jsonl = o->jsonl;
    s->is_text = o->lines;
    s->began = gp_now();
    int64_t result = p->task == GP_PREDICT_EMBED ? 16 * c->channels : gp_min(p->top_k, c->vocab_size) * TOKEN_RESULT;
    s->max_texts = gp_max(1, gp_min(CHUNK_TEXTS, CHUNK_RESULTS / result));
    p->texts = gp_calloc((size_t)s->max_texts, sizeof *p->texts);
    p->mask = t ? gp_tokenizer_mask(t) : -1;
    p->pad = t ? gp_tokenizer_pad(t) : -1;
    if (check_task(p) || gp_line_reader_open(&s->r, path))
        return -1;
    s->encoder = gp_encoder_open(t, gp_ids_collect, &s->coded);
    gp_encoder_allow_special(s->encoder);
    return 0;
}

static void close_run(run *s)
{
    gp_line_reader_close(&s->r);
    gp_encoder_close(s->encoder);
    gp_buf_release(&s->coded);
    free(s->p.texts);
    free(s->failed);
    gp_buf_release(&s->ids);
}

int gp_predict_file(gp_model *m, const gp_tokenizer *t, const char *path, const gp_predict_options *o, FILE *out,
                    gp_predict_stats *stats)
{
    run s = {.p.json = true, .out = out, .stats = stats};
    int rc = open_run(&s, m, t, path, o) || predict_all(&s) ? -1 : 0;
    close_run(&s);
    return rc;
}

/* Writes what was spooled, whose number of rows is known only now. */
static int write_vectors(run *s, const char *out_path)
{
    gp_map map;
    gp_tensor x = {.dtype = GP_F32, .ndim = 2, .dim = {s->texts, gp_model_config(s->p.m)->channels}};
    if (!s->texts)
        return fail("%s: has no text", s->r.in.name);
    if (gp_out_map(&s->vectors, &map, "the embeddings"))
        return -1;
    gp_safetensors_writer *w = gp_safetensors_create(out_path);
    if (w && s->has_ids) {
        char *ids = gp_format("[%s]", s->ids.data);
        gp_safetensors_add_metadata(w, "ids", ids, strlen(ids));
        free(ids);
    }
    if (w) {
        gp_safetensors_declare(w, "embeddings", &x);
        gp_safetensors_write(w, map.data, (int64_t)map.size);
    }
    int rc = w ? gp_safetensors_finish(w) : -1;
    gp_map_close(&map);
    return rc;
}

int gp_predict_embeddings(gp_model *m, const gp_tokenizer *t, const char *path, const gp_predict_options *o,
                          const char *out_path, gp_predict_stats *stats)
{
    run s = {.stats = stats};
    gp_predict_options embed = *o;
    embed.task = GP_PREDICT_EMBED;
    if (gp_out_open_spool(&s.vectors))
        return -1;
    int rc = open_run(&s, m, t, path, &embed) || predict_all(&s) || write_vectors(&s, out_path) ? -1 : 0;
    gp_out_abandon(&s.vectors);
    close_run(&s);
    return rc;
}
