/* tokenizer_folder.c: what lies beside a tokenizer in its folder: the same vocabulary once more, and what transformers is
 * told of it. Where files disagree, tokenizer.json is right, and the first difference is a remark. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/escape.h"
#include "text/reader.h"

enum { FILE_MOST = 1 << 28 };

/* Where dir has it; the caller frees. NULL: it does not. */
static char *find(const char *dir, const char *name)
{
    char *path = gp_path_join(dir, name);
    if (gp_exists(path) > 0)
        return path;
    free(path);
    return NULL;
}

/* A JSON object, or NULL, which is no failure here. */
static json_t *read_object(const char *dir, const char *name)
{
    char *path = find(dir, name);
    gp_buf text = {0};
    json_t *object = path && !gp_file_read_regular(&text, path, FILE_MOST) && text.len
                         ? gp_reader_parse(text.data, text.len, path)
                         : NULL;
    gp_buf_release(&text);
    free(path);
    return object;
}

/* ---- the same vocabulary once more ----------------------------------------------------------- */

static void add_token(gp_buf *b, const gp_tokenizer *t, int32_t id)
{
    size_t n = 0;
    const char *bytes = gp_tokenizer_bytes(t, id, &n);
    if (!bytes || !n) {
        gp_buf_puts(b, "nothing");
        return;
    }
    gp_buf_puts(b, "\"");
    gp_escape(b, bytes, gp_min((int64_t)n, 60));
    gp_buf_puts(b, "\"");
}

/* An added token may stand in tokenizer.json alone. */
static bool same_token(const gp_tokenizer *t, const gp_tokenizer *other, int32_t id)
{
    size_t n = 0, m = 0;
    const char *a = gp_tokenizer_bytes(t, id, &n), *b = gp_tokenizer_bytes(other, id, &m);
    if (!b || !m)
        return !a || !n || t->vocab.flags[id] & GP_TOKEN_NAMED;
    return a && n == m && !memcmp(a, b, n);
}

static bool same_merge(const gp_bpe *a, const gp_bpe *b, int64_t i)
{
    return i < a->count && i < b->count && a->list[i].left == b->list[i].left &&
           a->list[i].right == b->list[i].right;
}

static void add_merge(gp_buf *b, const gp_tokenizer *t, int64_t i)
{
    if (i >= t->bpe.count) {
        gp_buf_puts(b, "nothing");
        return;
    }
    add_token(b, t, t->bpe.list[i].left);
    gp_buf_puts(b, " + ");
    add_token(b, t, t->bpe.list[i].right);
}

static void compare(gp_tokenizer *t, const gp_tokenizer *other, const char *vocab, const char *merges)
{
    int64_t size = gp_max(t->vocab.size, other->vocab.size), count = gp_max(t->bpe.count, other->bpe.count),
            i = 0;
    gp_buf b = {0};
    while (i < size && same_token(t, other, (int32_t)i))
        i++;
    if (i < size) {
        gp_buf_printf(&b, "tokenizer.json and %s beside it disagree: id %lld is ", vocab, (long long)i);
        add_token(&b, t, (int32_t)i);
        gp_buf_puts(&b, " and ");
        add_token(&b, other, (int32_t)i);
    } else {
        for (i = 0; i < count && same_merge(&t->bpe, &other->bpe, i);)
            i++;
        if (i == count)
            return;
        gp_buf_printf(&b, "tokenizer.json and %s beside it disagree: merge %lld is ", merges,
                      (long long)i + 1);
        add_merge(&b, t, i);
        gp_buf_puts(&b, " and ");
        add_merge(&b, other, i);
    }
    gp_buf_puts(&b, "; tokenizer.json is taken");
    gp_tokenizer_add_remark(t, b.data);
}

static void compare_pair(gp_tokenizer *t, const char *dir, const char *vocab, const char *merges)
{
    char *a = find(dir, vocab), *b = find(dir, merges);
    gp_tokenizer *other = a && b && t->kind == GP_KIND_BPE ? gp_tokenizer_from_files(a, b) : NULL;
    if (other)
        compare(t, other, vocab, merges);
    else if (a && b && t->kind == GP_KIND_BPE)
        gp_tokenizer_add_remark(t,
                                gp_format("%s beside tokenizer.json cannot be read (%s)", vocab, gp_error()));
    gp_tokenizer_close(other);
    free(a);
    free(b);
}

/* ---- what transformers is told --------------------------------------------------------------- */

/* Remarks the first token that a file adds and t does not have as one. */
static bool check_added(gp_tokenizer *t, const char *file, const char *content, int64_t id)
{
    size_t n = 0;
    const char *bytes = content && id < t->vocab.size ? gp_tokenizer_bytes(t, (int32_t)id, &n) : NULL;
    if (!content ||
        (bytes && n == strlen(content) && !memcmp(bytes, content, n) && t->vocab.flags[id] & GP_TOKEN_NAMED))
        return true;
    gp_tokenizer_add_remark(
        t, gp_format("%s adds the token \"%.60s\" as %lld, which is not added here: its name is text", file,
                     content, (long long)id));
    return false;
}

static void check_lists(gp_tokenizer *t, const json_t *config, json_t *added)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, value)
    {
        if (!check_added(t, "tokenizer_config.json", json_string_value(json_object_get(value, "content")),
                         strtol(key, NULL, 10)))
            break;
    }
    json_object_foreach(added, key, value)
    {
        if (!check_added(t, "added_tokens.json", key, json_integer_value(value)))
            break;
    }
}

/* The id of "bos_token" or "eos_token", by default end-of-text as in transformers' GPT2Tokenizer; -1: it is no token. */
static int32_t find_token(const gp_tokenizer *t, const json_t *config, const char *key)
{
    const json_t *token = json_object_get(config, key), *content = json_object_get(token, "content");
    const char *name = json_string_value(content ? content : token);
    name = name ? name : GP_END_OF_TEXT;
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        if (n == strlen(name) && !memcmp(bytes, name, n))
            return id;
    }
    return -1;
}

/* Beside vocab.json transformers builds the template from these settings; tokenizer.json has its own. */
static void apply_or_remark(gp_tokenizer *t, const json_t *config, const char *setting, const char *token,
                            bool alone, int32_t **ids, int64_t *count)
{
    int32_t id = find_token(t, config, token);
    if (!json_is_true(json_object_get(config, setting)))
        return;
    if (alone && id >= 0) {
        *ids = gp_malloc(sizeof **ids);
        **ids = id;
        *count = 1;
    } else if (!*count) {
        gp_tokenizer_add_remark(
            t,
            gp_format(
                "tokenizer_config.json sets %s, which %s", setting,
                alone ? "names no token of the vocabulary"
                      : "the post_processor of tokenizer.json does not: it is left out, as in transformers"));
    }
}

static void check_prefix_space(gp_tokenizer *t, const json_t *config, bool alone)
{
    const json_t *set = json_object_get(config, "add_prefix_space");
    if (!json_is_boolean(set) || json_is_true(set) == t->prefix_space || t->kind != GP_KIND_BPE)
        return;
    if (alone)
        t->prefix_space = json_is_true(set);
    else
        gp_tokenizer_add_remark(
            t, gp_format("tokenizer_config.json sets add_prefix_space to %s, tokenizer.json does not; "
                         "tokenizer.json is taken",
                         json_is_true(set) ? "true" : "false"));
}

void gp_tokenizer_look_around(gp_tokenizer *t, const char *dir, bool alone)
{
    json_t *config = read_object(dir, "tokenizer_config.json"),
           *added = read_object(dir, "added_tokens.json");
    if (!alone) {
        compare_pair(t, dir, "vocab.json", "merges.txt");
        compare_pair(t, dir, "encoder.json", "vocab.bpe");
    }
    check_lists(t, config, added);
    check_prefix_space(t, config, alone);
    apply_or_remark(t, config, "add_bos_token", "bos_token", alone, &t->around.before,
                    &t->around.before_count);
    apply_or_remark(t, config, "add_eos_token", "eos_token", alone, &t->around.after, &t->around.after_count);
    json_decref(config);
    json_decref(added);
}
