/* text.c: see gptpipe/text.h. */
#include "gptpipe/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/jsonl.h"
#include "data/labels.h"
#include "data/tokens_format.h"
#include "data/sidecar.h"
#include "data/spool.h"

/* One input. If mapped, `map` is the whole file; otherwise it is read through buffer[0, filled). */
typedef struct text_input {
    gp_input in;
    bool mapped, at_end;
    gp_map map;
    char *buffer;
    size_t capacity, filled;
    size_t at;      /* consumed bytes of the map or the buffer */
    int64_t offset; /* consumed bytes of the input */
    int64_t lines;  /* consumed lines of JSON Lines */
    size_t read;    /* bytes read from a pipe so far */
} text_input;

enum { PART = 1 << 18 };

struct gp_text {
    text_input *sources;
    int count, current;
    int64_t done; /* consumed bytes of all sources */
    gp_text_info info;
    char *name, *entropy, *bayes, sha256[65];
    gp_sidecar sidecar;
    char *jsonl;        /* the member that is the text, or NULL */
    char *pair, *label; /* other members, or NULL */
    gp_labels labels;
    bool collecting; /* the first pass, which finds the labels */
    json_t *line;    /* owns the texts of the last part */
    char *where;     /* "NAME: line 3", for messages */
};

/* ---- opening --------------------------------------------------------------------------------------------- */

/* Refuses a token stream, which the user must have confused with its text. */
static int check_text(const text_input *s, const char *data, size_t n)
{
    bool tok = n >= 8 && !memcmp(data, GP_TOK_MAGIC, 8);
    bool llmc = n >= GP_LLMC_HEADER_SIZE && gp_get32(data) == GP_LLMC_MAGIC && gp_get32(data + 4) == GP_LLMC_VERSION;
    if (!tok && !llmc)
        return 0;
    return fail("%s: is a token stream already (%s), expected text: %stokenize --info describes it, --decode prints "
                "its text",
                s->in.name, tok ? "tok" : "llm.c's", gp_tool_prefix());
}

static int open_source(gp_text *t, text_input *s, const char *path, bool twice)
{
    if (gp_input_open(&s->in, path))
        return -1;
    s->mapped = s->in.mapped || twice;
    if (!s->mapped)
        s->buffer = gp_malloc(s->capacity = PART);
    else if (s->in.mapped ? gp_map_fd(&s->map, s->in.fd, s->in.name) : gp_input_spool(&s->in, INT64_MAX, &s->map))
        return -1;
    if (s->mapped && check_text(s, s->map.data, s->map.size))
        return -1;
    gp_sidecar sidecar = {0};
    if (s->in.mapped && strcmp(path, "-") && gp_sidecar_read(&sidecar, path, &s->map))
        return -1;
    if (t->jsonl) /* lines are documents */
        gp_sidecar_drop_documents(&sidecar);
    if (t->count == 0) {
        t->sidecar = sidecar;
    } else {
        gp_sidecar_join(&t->sidecar, &sidecar);
        gp_sidecar_release(&sidecar);
    }
    return 0;
}

/* Fills in t->info from all sources. */
static void describe(gp_text *t)
{
    gp_buf name = {0};
    gp_sha256 h;
    bool whole = true;
    gp_sha256_begin(&h);
    for (int i = 0; i < t->count; i++) {
        const text_input *s = &t->sources[i];
        const char *slash = strrchr(s->in.name, '/');
        gp_buf_printf(&name, "%s%s", i ? ", " : "", slash ? slash + 1 : s->in.name);
        whole = whole && s->mapped;
        t->info.bytes += (int64_t)s->map.size;
        gp_sha256_add(&h, s->map.data, s->map.size);
    }
    gp_sha256_end_hex(&h, t->sha256, 32);
    t->info.sha256 = whole ? t->sha256 : NULL;
    t->info.bytes = whole ? t->info.bytes : -1;
    t->info.name = t->name = name.data;
    t->info.files = t->count;
    t->info.jsonl = t->jsonl != NULL;
    t->info.text = t->jsonl;
    t->info.pair = t->pair;
    t->info.label = t->label;
    t->info.bayes = t->bayes =
        t->sidecar.bayes ? json_dumps(t->sidecar.bayes, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    t->info.separator = t->sidecar.separator;
    t->info.separator_length = t->sidecar.separator_length;
    t->info.entropy_documents = (int64_t)json_array_size(t->sidecar.nats);
    t->info.entropy = t->entropy = t->sidecar.nats ? gp_text_entropy(t, 0, t->info.entropy_documents) : NULL;
}

char *gp_text_entropy(const gp_text *t, int64_t first, int64_t count)
{
    if (!t->sidecar.nats)
        return NULL;
    json_t *nats = json_array(), *chars = json_array();
    for (int64_t i = first; i < first + count; i++) {
        json_array_append(nats, json_array_get(t->sidecar.nats, (size_t)i));
        json_array_append(chars, json_array_get(t->sidecar.chars, (size_t)i));
    }
    json_t *entropy = json_pack("{s:o, s:o}", "nats", nats, "chars", chars);
    char *text = json_dumps(entropy, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(entropy);
    return text;
}

/* The names of the labels: those given, or those of a first pass. */
static int open_labels(gp_text *t, const char *names)
{
    gp_text_part part;
    int rc = names ? gp_labels_parse(&t->labels, names) : 0;
    t->collecting = !names;
    while (t->collecting && (rc = gp_text_next(t, NULL, 0, &part)) > 0)
        ;
    if (!rc && t->collecting)
        rc = gp_labels_sort(&t->labels, t->info.name);
    if (!rc && t->collecting)
        gp_text_rewind(t);
    t->collecting = false;
    t->info.labels = (const char *const *)t->labels.names;
    t->info.label_count = t->labels.count;
    return rc;
}

gp_text *gp_text_open(const gp_list *paths, const gp_text_options *o)
{
    int count = paths && paths->count ? paths->count : 1;
    gp_text *t = gp_calloc(1, sizeof *t);
    bool twice = o->twice || (o->label && !o->labels);
    BUG_ON((o->label && !o->jsonl) || (o->pair && !o->jsonl));
    t->jsonl = o->jsonl ? gp_strdup(o->jsonl) : NULL;
    t->label = o->label ? gp_strdup(o->label) : NULL;
    t->pair = o->pair ? gp_strdup(o->pair) : NULL;
    t->sources = gp_calloc((size_t)count, sizeof *t->sources);
    for (int i = 0; i < count; i++) {
        int rc = open_source(t, &t->sources[i], paths && paths->count ? paths->items[i] : "-", twice);
        t->count++;
        if (rc) {
            gp_text_close(t);
            return NULL;
        }
    }
    describe(t);
    if (t->label && open_labels(t, o->labels)) {
        gp_text_close(t);
        return NULL;
    }
    return t;
}

void gp_text_close(gp_text *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->count; i++) {
        gp_map_close(&t->sources[i].map);
        gp_input_close(&t->sources[i].in);
        free(t->sources[i].buffer);
    }
    gp_sidecar_release(&t->sidecar);
    json_decref(t->line);
    gp_labels_release(&t->labels);
    free(t->jsonl);
    free(t->label);
    free(t->pair);
    free(t->where);
    free(t->sources);
    free(t->name);
    free(t->entropy);
    free(t->bayes);
    free(t);
}

const gp_text_info *gp_text_get_info(const gp_text *t)
{
    return &t->info;
}

void gp_text_rewind(gp_text *t)
{
    for (int i = 0; i < t->count; i++) {
        BUG_ON(!t->sources[i].mapped);
        t->sources[i].at = 0;
        t->sources[i].offset = t->sources[i].lines = 0;
    }
    t->current = 0;
    t->done = 0;
}

/* ---- parts ----------------------------------------------------------------------------------------------- */

/* The available bytes that are not consumed yet. */
static const char *available(const text_input *s, size_t *n)
{
    *n = (s->mapped ? s->map.size : s->filled) - s->at;
    return (s->mapped ? s->map.data : s->buffer) + s->at;
}

/* Reads more into the buffer, after the bytes that are not consumed yet; a full buffer is doubled. */
static int refill(text_input *s)
{
    s->filled -= s->at;
    memmove(s->buffer, s->buffer + s->at, s->filled);
    s->at = 0;
    if (s->filled == s->capacity) {
        s->capacity *= 2;
        s->buffer = gp_realloc(s->buffer, s->capacity, 1);
    }
    ssize_t n = gp_read(s->in.fd, s->buffer + s->filled, s->capacity - s->filled, -1);
    if (n < 0)
        return fail_errno("%s: cannot be read", s->in.name);
    s->at_end = !n;
    s->filled += (size_t)n; /* a short read too: a pipe's bytes are processed as they arrive */
    s->read += (size_t)n;
    return s->filled == s->read ? check_text(s, s->buffer, s->filled) : 0; /* the buffer begins with the input */
}

/* Consumes `used` bytes for the part; last: they are the end of the source. */
static void consume(gp_text *t, gp_text_part *part, size_t used, bool last)
{
    text_input *s = &t->sources[t->current];
    part->begin = t->done;
    part->end = t->done += (int64_t)used;
    s->at += used;
    s->offset += (int64_t)used;
    part->file_ends = last;
    t->current += last;
}

static int next_part(gp_text *t, const char *separator, size_t length, gp_text_part *part)
{
    text_input *s = &t->sources[t->current];
    BUG_ON(length >= PART);
    const char *data, *found;
    size_t n;
    bool last;
    for (bool again = true;; again = false) {
        data = available(s, &n);
        found = length && n ? memmem(data, n, separator, length) : NULL;
        last = s->mapped || s->at_end;
        if (found || last || !again)
            break;
        if (refill(s))
            return -1;
    }
    *part = (gp_text_part){.data = data, .length = n, .offset = s->offset, .file = s->in.name, .label = -1};
    if (found) {
        part->length = (size_t)(found - data);
        part->separated = true;
    } else if (!last && length) { /* the last bytes may begin a separator */
        part->length = n >= length ? n - (length - 1) : 0;
    }
    size_t used = part->length + (found ? length : 0);
    consume(t, part, used, last && used == n);
    return 1;
}

/* The next line of a source, including its newline. */
static int next_line(text_input *s, const char **line, size_t *length)
{
    size_t n, searched = 0;
    for (;;) {
        const char *data = available(s, &n), *newline = NULL;
        if (n > searched)
            newline = memchr(data + searched, '\n', n - searched);
        searched = n;
        if (newline || s->mapped || s->at_end) {
            *line = data;
            *length = newline ? (size_t)(newline + 1 - data) : n;
            return 0;
        }
        if (refill(s))
            return -1;
    }
}

/* The texts and the label of t->line. */
static int read_item(gp_text *t, const char *file, int64_t number, gp_text_part *part)
{
    part->data = gp_jsonl_string(t->line, t->jsonl, &part->length, file, number);
    if (!part->data || (t->pair && !(part->pair = gp_jsonl_string(t->line, t->pair, &part->pair_length, file, number))))
        return -1;
    const json_t *value = t->label ? json_object_get(t->line, t->label) : NULL;
    if (t->collecting)
        return gp_labels_add(&t->labels, value, t->label, file, number);
    return t->label ? gp_label_read((const char *const *)t->labels.names, t->labels.count, value, t->label, file,
                                    number, &part->label)
                    : 0;
}

/* The next line that is not blank, or an empty part at the end of the file. */
static int next_object(gp_text *t, gp_text_part *part)
{
    text_input *s = &t->sources[t->current];
    const char *line;
    size_t length, rest, blank = 0;
    do {
        s->at += blank;
        s->offset += (int64_t)blank;
        t->done += (int64_t)blank;
        if (next_line(s, &line, &length))
            return -1;
        s->lines++;
        blank = length;
    } while (length && gp_jsonl_is_blank(line, length));
    json_decref(t->line);
    t->line = NULL;
    free(t->where);
    t->where = gp_format("%s: line %lld", s->in.name, (long long)s->lines);
    *part = (gp_text_part){.data = "", .file = t->where, .label = -1};
    if (length) {
        t->line = gp_jsonl_line(line, length, s->in.name, s->lines);
        part->separated = true;
        if (!t->line || read_item(t, s->in.name, s->lines, part))
            return -1;
    }
    available(s, &rest);
    consume(t, part, length, rest == length && (s->mapped || s->at_end));
    return 1;
}

int gp_text_next(gp_text *t, const char *separator, size_t length, gp_text_part *part)
{
    if (t->current == t->count)
        return 0;
    return t->jsonl ? next_object(t, part) : next_part(t, separator, length, part);
}
