/* tokenizer_read.c: tokenizers out of Hugging Face's tokenizer.json, and out of a vocabulary file and its
 * merges. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/text.h"

enum {
    FILE_MOST = 1 << 28,
    STRAYS_MOST = 16, /* RoBERTa's vocabulary has three words that nothing makes; a cut file has thousands */
};

static json_t *parse(const char *text, size_t length, const char *where)
{
    json_error_t e;
    json_t *root = gp_json_load(text, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &e);
    if (!root)
        fail("%s: is not JSON: line %d: %s", where, e.line, e.text);
    else if (!json_is_object(root))
        fail("%s: holds JSON that is not an object", where);
    else
        return root;
    json_decref(root);
    return NULL;
}

/* The id in a JSON value, or -1 (said). */
static int32_t get_id(const json_t *value, const char *name, const char *where)
{
    json_int_t id = json_integer_value(value);
    if (json_is_integer(value) && id >= 0 && id < INT32_MAX)
        return (int32_t)id;
    fail("%s: the id of \"%.60s\" is not a number from 0 to %d", where, name, INT32_MAX - 1);
    return -1;
}

/* ---- char and bytes -------------------------------------------------------------------------- */

/* The vocabulary of a model without merges: characters, and bytes as <0x00> to <0xFF>. */
static gp_tokenizer *read_chars(json_t *vocab, const char *where)
{
    gp_draft d = {0};
    gp_tokenizer *t = NULL;
    const char *name;
    json_t *value;
    json_object_foreach(vocab, name, value)
    {
        size_t n = strlen(name);
        const char *bytes = name;
        char raw;
        int32_t id = get_id(value, name, where);
        if (id < 0)
            goto out;
        if (n == 6 && !strncmp(name, "<0x", 3) && isxdigit((uint8_t)name[3]) && isxdigit((uint8_t)name[4]) &&
            name[5] == '>') {
            raw = (char)strtoul(name + 3, NULL, 16);
            bytes = &raw;
            n = 1;
        }
        gp_draft_add(&d, id, bytes, n);
    }
    t = gp_tokenizer_from_chars(&d, where);
out:
    gp_draft_release(&d);
    return t;
}

/* ---- byte-level BPE -------------------------------------------------------------------------- */

/* What is needed while one is read. */
typedef struct reader {
    const char *where;
    gp_alphabet alphabet;
    gp_draft draft;
    gp_tokenizer *t;
    uint8_t *made; /* (vocabulary) 1: a byte or what a merge makes */
} reader;

static void reader_release(reader *r)
{
    gp_draft_release(&r->draft);
    gp_tokenizer_close(r->t);
    free(r->made);
}

/* apart: an object whose keys are left out, or NULL. */
static int add_vocab(reader *r, json_t *vocab, const json_t *apart)
{
    const char *name;
    json_t *value;
    gp_buf bytes = {0};
    int rc = -1;
    json_object_foreach(vocab, name, value)
    {
        int32_t id = get_id(value, name, r->where);
        if (id < 0)
            goto out;
        if (json_object_get(apart, name))
            continue;
        bytes.len = 0;
        if (gp_alphabet_decode(&r->alphabet, &bytes, name, strlen(name)))
            gp_draft_add(&r->draft, id, bytes.data, bytes.len);
        else
            gp_draft_add(&r->draft, id, name, strlen(name));
    }
    rc = 0;
out:
    gp_buf_release(&bytes);
    return rc;
}

/* The vocabulary is complete: makes the tables, ready for `merges` merges. */
static int start(reader *r, int64_t merges)
{
    gp_tokenizer *t = r->t = gp_calloc(1, sizeof *t);
    t->kind = GP_KIND_BPE;
    if (gp_vocab_build(&t->vocab, r->draft.tokens, r->draft.count, &r->draft.bytes, r->where) ||
        gp_bpe_init(&t->bpe, &t->vocab, merges, r->where))
        return -1;
    r->made = gp_calloc((size_t)t->vocab.size, 1);
    for (int i = 0; i < 256; i++)
        r->made[t->bpe.byte_id[i]] = 1;
    return 0;
}

/* One merge as files write it: two parts with one space between them. */
static int add_merge(reader *r, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    gp_buf left = {0}, right = {0};
    int rc = -1;
    if (!space || !gp_alphabet_decode(&r->alphabet, &left, line, (size_t)(space - line)) ||
        !gp_alphabet_decode(&r->alphabet, &right, space + 1, n - (size_t)(space - line) - 1))
        fail("%s: merge %lld, \"%.*s\", is not two parts in GPT-2's alphabet with a space between", r->where,
             (long long)r->t->bpe.count + 1, (int)gp_min((int64_t)n, 60), line);
    else
        rc = gp_bpe_add(&r->t->bpe, &r->t->vocab, left.data ? left.data : "", left.len,
                        right.data ? right.data : "", right.len, r->where);
    if (!rc)
        r->made[r->t->bpe.list[r->t->bpe.count - 1].id] = 1;
    gp_buf_release(&left);
    gp_buf_release(&right);
    return rc;
}

static gp_tokenizer *finish(reader *r)
{
    gp_tokenizer *t = r->t;
    r->t = NULL;
    t->end_of_text = gp_vocab_find(&t->vocab, GP_END_OF_TEXT, strlen(GP_END_OF_TEXT));
    if (t->end_of_text >= 0 && !t->vocab.special[t->end_of_text])
        t->end_of_text = -1;
    return t;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static bool given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) && !json_is_false(value) &&
           !(json_is_string(value) && !json_string_length(value));
}

/* What a tokenizer.json may ask for and this reader does not do would give other ids: it is refused. */
static int check_settings(const json_t *root, const json_t *model, const char *where)
{
    static const char *const unknown[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                          "ignore_merges"};
    const json_t *split = json_object_get(root, "pre_tokenizer");
    const char *type = json_string_value(json_object_get(split, "type"));
    if (given(root, "normalizer"))
        return fail("%s: has a normalizer; only tokenizers without one are known", where);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        if (given(model, unknown[i]))
            return fail("%s: its model sets %s, which is not known", where, unknown[i]);
    if (!given(root, "pre_tokenizer")) /* a character vocabulary */
        return json_array_size(json_object_get(model, "merges"))
                   ? fail("%s: has merges but no pre_tokenizer; only ByteLevel (GPT-2's split) is known",
                          where)
                   : 0;
    if (!type || strcmp(type, "ByteLevel"))
        return fail("%s: its pre_tokenizer is %s; only ByteLevel (GPT-2's split) is known", where,
                    type ? type : "without a type");
    if (given(split, "add_prefix_space"))
        return fail("%s: its pre_tokenizer sets add_prefix_space, which is not known", where);
    if (json_is_false(json_object_get(split, "use_regex")))
        return fail("%s: its pre_tokenizer does not split (use_regex is false); only GPT-2's split is known",
                    where);
    return 0;
}

/* Adds the special tokens, whose names are what they are, not GPT-2's alphabet, and collects these names. */
static int add_added(reader *r, const json_t *added, const json_t *vocab, json_t *names)
{
    size_t i;
    json_t *token;
    json_array_foreach(added, i, token)
    {
        const json_t *content = json_object_get(token, "content");
        const char *name = json_string_value(content);
        if (!name || !*name)
            return fail("%s: added token %zu has no content", r->where, i);
        int32_t id = get_id(json_object_get(token, "id"), name, r->where);
        if (id < 0)
            return -1;
        if (!json_is_true(json_object_get(token, "special")))
            return fail(
                "%s: added token \"%.60s\" is not special: it would be looked for in text before the split, "
                "which is not known",
                r->where, name);
        const json_t *known = json_object_get(vocab, name);
        if (known && json_integer_value(known) != id)
            return fail("%s: \"%.60s\" is %lld in the vocabulary and %d among the added tokens", r->where,
                        name, (long long)json_integer_value(known), id);
        gp_draft_add(&r->draft, id, name, json_string_length(content));
        json_object_set_new(names, name, json_true());
    }
    return 0;
}

static gp_tokenizer *read_bpe(const json_t *root, json_t *vocab, const json_t *merges, const char *where)
{
    reader r = {.where = where};
    const json_t *added = json_object_get(root, "added_tokens");
    gp_tokenizer *t = NULL;
    size_t i;
    json_t *merge, *names = json_object();
    gp_alphabet_init(&r.alphabet);
    if (add_added(&r, added, vocab, names) || add_vocab(&r, vocab, names) ||
        start(&r, (int64_t)json_array_size(merges)))
        goto out;
    json_array_foreach(merges, i, merge)
    {
        gp_buf line = {0};
        if (json_is_string(merge))
            gp_buf_add(&line, json_string_value(merge), json_string_length(merge));
        else if (json_array_size(merge) == 2 && json_is_string(json_array_get(merge, 0)) &&
                 json_is_string(json_array_get(merge, 1)))
            gp_buf_printf(&line, "%s %s", json_string_value(json_array_get(merge, 0)),
                          json_string_value(json_array_get(merge, 1)));
        int rc = add_merge(&r, line.data ? line.data : "", line.len);
        gp_buf_release(&line);
        if (rc)
            goto out;
    }
    json_array_foreach(added, i, merge) r.t->vocab.special[json_integer_value(json_object_get(merge, "id"))] =
        1;
    t = finish(&r);
out:
    json_decref(names);
    reader_release(&r);
    return t;
}

gp_tokenizer *gp_tokenizer_from_json(const char *json, size_t length, const char *where)
{
    json_t *root = parse(json, length, where), *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    const char *type = json_string_value(json_object_get(model, "type"));
    gp_tokenizer *t = NULL;
    if (!root)
        return NULL;
    if (!type || strcmp(type, "BPE") || !json_is_object(vocab) || !json_is_array(merges))
        fail("%s: is not a tokenizer.json with a BPE model (type, vocab, merges)%s%s", where,
             type ? ": its model is " : "", type ? type : "");
    else if (!check_settings(root, model, where))
        t = given(root, "pre_tokenizer") ? read_bpe(root, vocab, merges, where) : read_chars(vocab, where);
    json_decref(root);
    return t;
}

/* ---- a vocabulary file and its merges -------------------------------------------------------- */

static size_t line_length(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return newline ? (size_t)(newline - p) : (size_t)(end - p);
}

/* Every line of a merges file but the first (a version) and empty ones; editors on Windows put a byte-order mark first. */
static int add_merges(reader *r, const gp_buf *text)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const char *end = text->data + text->len;
    const char *begin = text->data + (text->len >= 3 && !memcmp(text->data, mark, 3) ? 3 : 0);
    for (const char *p = begin; p < end;) {
        size_t n = line_length(p, end), bare = n && p[n - 1] == '\r' ? n - 1 : n;
        bool version = p == begin && bare >= 8 && !memcmp(p, "#version", 8);
        if (bare && !version && add_merge(r, p, bare))
            return -1;
        p += n + 1;
    }
    return 0;
}

static bool looks_special(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] < '!' || name[i] > '~')
            return false;
    return n > 2 && name[0] == '<' && name[n - 1] == '>';
}

/* Ids that neither are bytes nor come from merges are special when they look it (<...>). Many others mean
 * that the merges are not all there. */
static int find_specials(reader *r, const char *vocab_path)
{
    gp_vocab *v = &r->t->vocab;
    int64_t strays = 0;
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (r->made[id])
            continue;
        v->special[id] = looks_special(bytes, n);
        strays += !v->special[id];
    }
    if (strays > STRAYS_MOST)
        return fail(
            "%s: %lld tokens of %s are made by no merge: it is cut short, or belongs to another vocabulary",
            r->where, (long long)strays, vocab_path);
    return 0;
}

gp_tokenizer *gp_tokenizer_from_files(const char *vocab_path, const char *merges_path)
{
    reader r = {.where = vocab_path};
    gp_buf text = {0}, merges = {0};
    json_t *vocab = NULL;
    gp_tokenizer *t = NULL;
    int64_t lines = 1;
    gp_alphabet_init(&r.alphabet);
    if (gp_file_read_regular(&text, vocab_path, FILE_MOST) ||
        gp_file_read_regular(&merges, merges_path, FILE_MOST) ||
        !(vocab = parse(text.data, text.len, vocab_path)))
        goto out;
    for (size_t i = 0; i < merges.len; i++)
        lines += merges.data[i] == '\n';
    if (add_vocab(&r, vocab, NULL) || start(&r, lines))
        goto out;
    r.where = merges_path;
    if (!add_merges(&r, &merges) && !find_specials(&r, vocab_path))
        t = finish(&r);
out:
    json_decref(vocab);
    gp_buf_release(&text);
    gp_buf_release(&merges);
    reader_release(&r);
    return t;
}
