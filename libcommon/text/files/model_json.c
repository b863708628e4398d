/* model_json.c: see model_json.h. */
#include "text/files/model_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_cut.h"
#include "base/utf8.h"
#include "text/files/reader.h"
#include "text/token_finder.h"

/* ---- a vocabulary ----------------------------------------------------------------------------------------- */

/* A number of up to nine digits, or -1. */
static int32_t read_id(gp_json_cursor *c)
{
    int32_t id = 0;
    int digits = 0;
    gp_json_skip_blanks(c);
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits < 10; digits++)
        id = digits < 9 ? id * 10 + (*c->at++ - '0') : -1;
    bool leading_zero = digits > 1 && c->at[-digits] == '0';
    return digits && digits < 10 && !leading_zero ? id : -1; /* what follows is the caller's to check */
}

void gp_words_release(gp_words *w)
{
    gp_vocab_release(&w->names);
    free(w->ids);
    *w = (gp_words){0};
}

/* Adds a name that was appended to the bytes of all after their first `at`. */
static void add_word(gp_words *w, size_t at, int32_t id)
{
    gp_vocab *v = &w->names;
    v->at = gp_grow(v->at, v->size, sizeof *v->at);
    w->ids = gp_grow(w->ids, v->size, sizeof *w->ids);
    v->at[v->size] = (uint32_t)at;
    w->ids[v->size++] = id;
}

/* Completes w by the bytes of all names, which it takes. Fails if two names are equal. */
static int end_words(gp_words *w, gp_buf *bytes, const char *where)
{
    gp_vocab *v = &w->names;
    gp_buf_reserve(bytes, GP_VOCAB_PAD);
    v->bytes = gp_realloc(bytes->data, bytes->len + GP_VOCAB_PAD, 1);
    memset(v->bytes + bytes->len, 0, GP_VOCAB_PAD);
    v->at = gp_grow(v->at, v->size, sizeof *v->at);
    v->at[v->size] = (uint32_t)bytes->len;
    int rc = gp_vocab_check_size(v->size, bytes->len, where);
    if (!rc && v->size)
        rc = gp_vocab_index(v, where);
    if (rc)
        gp_words_release(w);
    return rc;
}

int gp_words_from_json(gp_words *w, json_t *object, const char *where)
{
    const char *name;
    json_t *value;
    gp_buf bytes = {0};
    *w = (gp_words){0};
    json_object_foreach (object, name, value) {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        add_word(w, bytes.len, id >= 0 && id < INT32_MAX ? (int32_t)id : -1);
        gp_buf_puts(&bytes, name);
    }
    return end_words(w, &bytes, where);
}

size_t gp_words_line(const char *p, const char *end, const char **next)
{
    return gp_strip_spaces((const uint8_t *)p, 0, gp_line_length(p, end, next));
}

bool gp_words_from_lines(gp_words *w, const char *text, size_t length)
{
    const char *end = text + length, *next;
    gp_buf bytes = {0};
    if (memchr(text, 0, length) || !gp_is_utf8(text, length))
        return false;
    *w = (gp_words){0};
    for (const char *p = text; p < end && w->names.size <= GP_VOCAB_MAX; p = next) {
        add_word(w, bytes.len, (int32_t)w->names.size);
        gp_buf_add(&bytes, p, gp_words_line(p, end, &next));
    }
    bool few = w->names.size <= GP_VOCAB_MAX;
    if (!end_words(w, &bytes, "lines") && few)
        return true;
    gp_words_release(w);
    return false;
}

/* {"name": id, ...} */
static bool read_members(gp_json_cursor *c, gp_words *w, gp_buf *bytes)
{
    if (gp_json_next(c) != '{')
        return false;
    gp_json_skip_blanks(c);
    if (c->at < c->end && *c->at == '}')
        return c->at++, true;
    gp_buf_reserve(bytes, (size_t)(c->end - c->at));
    for (char after = ','; after == ',';) {
        size_t at = bytes->len;
        int32_t id = gp_json_read_quoted(c, bytes) && gp_json_next(c) == ':' ? read_id(c) : -1;
        if (id < 0)
            return false;
        add_word(w, at, id);
        after = gp_json_next(c);
        if (after == '}')
            return true;
    }
    return false;
}

static bool read_words(gp_json_cursor *c, gp_words *w)
{
    gp_buf bytes = {0};
    *w = (gp_words){0};
    bool whole = read_members(c, w, &bytes);
    if (end_words(w, &bytes, "a vocabulary") || !whole)
        return gp_words_release(w), false;
    return true;
}

int64_t gp_words_find(const gp_words *w, const char *name)
{
    return w->names.size ? gp_vocab_find(&w->names, name, strlen(name)) : -1;
}

int32_t gp_words_id(const gp_words *w, int64_t at, const char *where)
{
    size_t n;
    const char *name = gp_vocab_bytes(&w->names, (int32_t)at, &n);
    return gp_reader_number(w->ids[at], name, n, where);
}

/* ---- merges ----------------------------------------------------------------------------------------------- */

static void release_merges(gp_merge_texts *m)
{
    gp_buf_release(&m->text);
    free(m->list);
    *m = (gp_merge_texts){0};
}

/* Adds the merge that was appended to m->text after its first `at` bytes, of which `left` are its left part. */
static void add_merge(gp_merge_texts *m, size_t at, size_t left, bool line)
{
    m->list = gp_grow(m->list, m->count, sizeof *m->list);
    m->list[m->count++] = (gp_merge_text){(uint32_t)left, (uint32_t)(m->text.len - at) & INT32_MAX, line};
}

/* ["left", "right"] after its bracket. */
static bool read_pair(gp_json_cursor *c, gp_merge_texts *m)
{
    size_t at = m->text.len;
    if (!gp_json_read_quoted(c, &m->text))
        return false;
    size_t left = m->text.len - at;
    if (gp_json_next(c) != ',' || !gp_json_read_quoted(c, &m->text) || gp_json_next(c) != ']')
        return false;
    add_merge(m, at, left, false);
    return true;
}

static bool read_merge(gp_json_cursor *c, gp_merge_texts *m)
{
    size_t at = m->text.len;
    char first = gp_json_next(c);
    if (first == '[')
        return read_pair(c, m);
    if (first != '"' || !gp_json_read_string(c, &m->text))
        return false;
    add_merge(m, at, m->text.len - at, true);
    return true;
}

/* ["left right", ["left", "right"], ...] */
static bool read_merges(gp_json_cursor *c, gp_merge_texts *m)
{
    if (gp_json_next(c) != '[')
        return false;
    gp_json_skip_blanks(c);
    if (c->at < c->end && *c->at == ']')
        return c->at++, true;
    gp_buf_reserve(&m->text, (size_t)(c->end - c->at));
    for (char after = ','; after == ',';) {
        if (!read_merge(c, m))
            return false;
        after = gp_json_next(c);
        if (after == ']')
            return true;
    }
    return false;
}

/* Other values than strings and pairs of them become empty lines, which are no merges. */
static void merges_from_json(gp_merge_texts *m, const json_t *array)
{
    size_t i;
    json_t *merge;
    json_array_foreach (array, i, merge) {
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        bool pair = json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right);
        const json_t *first = pair ? left : merge;
        size_t at = m->text.len;
        gp_buf_add(&m->text, json_is_string(first) ? json_string_value(first) : "", json_string_length(first));
        size_t n = m->text.len - at;
        if (pair)
            gp_buf_add(&m->text, json_string_value(right), json_string_length(right));
        add_merge(m, at, n, !pair);
    }
}

/* ---- the whole text --------------------------------------------------------------------------------------- */

/* Reads a member of the model. One that is there twice is left, for jansson to report. */
static bool take_member(void *self, gp_json_cursor *c, const char *name, size_t n)
{
    gp_model_json *m = self;
    if (*c->at == '{' && n == 5 && !memcmp(name, "vocab", n) && !m->vocab.ids)
        return read_words(c, &m->vocab);
    if (*c->at == '[' && n == 6 && !memcmp(name, "merges", n) && !m->merges.list)
        return read_merges(c, &m->merges);
    return true;
}

void gp_model_json_release(gp_model_json *m)
{
    json_decref(m->root);
    gp_words_release(&m->vocab);
    release_merges(&m->merges);
    *m = (gp_model_json){0};
}

bool gp_model_json_cut(gp_model_json *m, const char *text, size_t length)
{
    *m = (gp_model_json){0};
    m->root = gp_json_load_cut(text, length, GP_READER_JSON, "model", take_member, m);
    const json_t *model = json_object_get(m->root, "model");
    if (m->root && !json_object_size(json_object_get(model, "vocab")) &&
        !json_array_size(json_object_get(model, "merges")))
        return true;
    gp_model_json_release(m); /* the rest has them too if their names have escape sequences */
    return false;
}

int gp_model_json_load(gp_model_json *m, const char *text, size_t length, const char *where)
{
    *m = (gp_model_json){.root = gp_reader_parse(text, length, where)};
    json_t *model = json_object_get(m->root, "model");
    merges_from_json(&m->merges, json_object_get(model, "merges"));
    if (m->root && !gp_words_from_json(&m->vocab, json_object_get(model, "vocab"), where))
        return 0;
    gp_model_json_release(m);
    return -1;
}

int gp_model_json_parse(gp_model_json *m, const char *text, size_t length, const char *where)
{
    return gp_model_json_cut(m, text, length) ? 0 : gp_model_json_load(m, text, length, where);
}

bool gp_words_cut(gp_words *w, const char *text, size_t length)
{
    gp_json_cursor c = {text, text + length};
    if (!read_words(&c, w))
        return false;
    gp_json_skip_blanks(&c);
    if (c.at == c.end)
        return true;
    gp_words_release(w);
    return false;
}

int gp_words_load(gp_words *w, const char *text, size_t length, const char *where)
{
    *w = (gp_words){0};
    json_t *object = gp_reader_parse(text, length, where);
    int rc = object ? gp_words_from_json(w, object, where) : -1;
    json_decref(object);
    return rc;
}

int gp_words_parse(gp_words *w, const char *text, size_t length, const char *where)
{
    return gp_words_cut(w, text, length) ? 0 : gp_words_load(w, text, length, where);
}
