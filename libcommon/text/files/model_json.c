/* model_json.c: see model_json.h. */
#include "text/files/model_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_cut.h"
#include "base/utf8.h"
#include "text/files/reader.h"

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

/* Names and ids in the order of a file, of which words are made. */
typedef struct word_list {
    gp_token *tokens;
    int32_t *ids;
    int64_t count;
    gp_buf bytes;
} word_list;

/* Adds the name that was appended to l->bytes after its first `at` bytes. */
static void add_word(word_list *l, size_t at, int32_t id)
{
    l->tokens = gp_grow(l->tokens, l->count, sizeof *l->tokens);
    l->ids = gp_grow(l->ids, l->count, sizeof *l->ids);
    l->tokens[l->count] = (gp_token){.id = (int32_t)l->count, .length = (uint32_t)(l->bytes.len - at), .at = at};
    l->ids[l->count++] = id;
}

/* Makes words of l, which is released. Fails if two names are equal. */
static int make_words(gp_words *w, word_list *l, const char *where)
{
    *w = (gp_words){.ids = l->ids};
    int rc = l->count ? gp_vocab_build(&w->names, l->tokens, l->count, &l->bytes, where) : 0;
    free(l->tokens);
    gp_buf_release(&l->bytes);
    if (rc)
        gp_words_release(w);
    return rc;
}

int gp_words_from_json(gp_words *w, json_t *object, const char *where)
{
    const char *name;
    json_t *value;
    word_list l = {0};
    json_object_foreach (object, name, value) {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        size_t at = l.bytes.len;
        gp_buf_puts(&l.bytes, name);
        add_word(&l, at, id >= 0 && id < INT32_MAX ? (int32_t)id : -1);
    }
    return make_words(w, &l, where);
}

bool gp_words_from_lines(gp_words *w, const char *text, size_t length)
{
    const char *end = text + length, *next;
    word_list l = {0};
    if (memchr(text, 0, length) || !gp_is_utf8(text, length))
        return false;
    for (const char *p = text; p < end && l.count <= GP_VOCAB_MAX; p = next) {
        size_t at = l.bytes.len;
        gp_buf_add(&l.bytes, p, gp_line_length(p, end, &next));
        add_word(&l, at, (int32_t)l.count);
    }
    bool few = l.count <= GP_VOCAB_MAX;
    if (!make_words(w, &l, "lines") && few)
        return true;
    gp_words_release(w);
    return false;
}

/* {"name": id, ...} */
static bool read_members(gp_json_cursor *c, word_list *l)
{
    if (gp_json_next(c) != '{')
        return false;
    gp_json_skip_blanks(c);
    if (c->at < c->end && *c->at == '}')
        return c->at++, true;
    gp_buf_reserve(&l->bytes, (size_t)(c->end - c->at));
    for (char after = ','; after == ',';) {
        size_t at = l->bytes.len;
        int32_t id = gp_json_read_quoted(c, &l->bytes) && gp_json_next(c) == ':' ? read_id(c) : -1;
        if (id < 0)
            return false;
        add_word(l, at, id);
        after = gp_json_next(c);
        if (after == '}')
            return true;
    }
    return false;
}

static bool read_words(gp_json_cursor *c, gp_words *w)
{
    word_list l = {0};
    bool whole = read_members(c, &l);
    if (make_words(w, &l, "a vocabulary") || !whole)
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
    m->list[m->count++] = (gp_merge_text){at, (uint32_t)left, (uint32_t)(m->text.len - at), line};
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
