/* tokenizer_folder.c: what lies beside a tokenizer in its folder: the same vocabulary once more, and what transformers
 * is told of it. Where files disagree, tokenizer.json is right, and the first difference is a remark. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/escape.h"
#include "text/files/reader.h"

/* Where dir has it; the caller frees. NULL: it does not. */
static char *find(const char *dir, const char *name)
{
    char *path = gp_path_join(dir, name);
    if (gp_exists(path) > 0)
        return path;
    free(path);
    return NULL;
}

/* ---- the same vocabulary once more ----------------------------------------------------------------------- */

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
    return i < a->count && i < b->count && a->list[i].left == b->list[i].left && a->list[i].right == b->list[i].right;
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
    int64_t size = gp_max(t->vocab.size, other->vocab.size), count = gp_max(t->bpe.count, other->bpe.count), i = 0;
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
        gp_buf_printf(&b, "tokenizer.json and %s beside it disagree: merge %lld is ", merges, (long long)i + 1);
        add_merge(&b, t, i);
        gp_buf_puts(&b, " and ");
        add_merge(&b, other, i);
    }
    gp_buf_puts(&b, "; tokenizer.json is taken");
    gp_tokenizer_add_warning(t, b.data);
}

static void compare_pair(gp_tokenizer *t, const char *dir, const char *vocab, const char *merges)
{
    char *a = find(dir, vocab), *b = find(dir, merges);
    gp_tokenizer *other = a && b && t->kind == GP_KIND_BPE ? gp_tokenizer_from_files(a, b, NULL) : NULL;
    if (other)
        compare(t, other, vocab, merges);
    else if (a && b && t->kind == GP_KIND_BPE)
        gp_tokenizer_add_warning(t, gp_format("%s beside tokenizer.json cannot be read (%s)", vocab, gp_error()));
    gp_tokenizer_close(other);
    free(a);
    free(b);
}

/* ---- what transformers is told --------------------------------------------------------------------------- */

/* The id of "bos_token" or "eos_token"; -1: it is no token. */
static int32_t find_token(const gp_tokenizer *t, const gp_beside *b, const char *key)
{
    const char *name = json_string_value(json_object_get(json_object_get(b->named, key), "content"));
    if (!name && b->kind == GP_CLASS_UNKNOWN && !json_object_get(b->config, key))
        name = GP_END_OF_TEXT_NAME;
    for (int32_t id = 0; id < t->vocab.size && name; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        if (n == strlen(name) && !memcmp(bytes, name, n))
            return id;
    }
    return -1;
}

/* Beside vocab.json transformers builds the template from these settings; tokenizer.json has its own. */
static void apply_or_warning(gp_tokenizer *t, const gp_beside *b, const char *setting, const char *token, bool alone,
                             int32_t **ids, int64_t *count)
{
    int32_t id = find_token(t, b, token);
    if (!json_is_true(json_object_get(b->config, setting)))
        return;
    if (alone && id >= 0) {
        *ids = gp_malloc(sizeof **ids);
        **ids = id;
        *count = 1;
    } else if (!*count) {
        gp_tokenizer_add_warning(
            t, gp_format("tokenizer_config.json sets %s, which %s", setting,
                         alone ? "names no token of the vocabulary"
                               : "the post_processor of tokenizer.json does not: it is left out, as in transformers"));
    }
}

void gp_tokenizer_look_around(gp_tokenizer *t, const char *dir, gp_beside *b, bool alone)
{
    if (!alone) {
        compare_pair(t, dir, "vocab.json", "merges.txt");
        compare_pair(t, dir, "encoder.json", "vocab.bpe");
    }
    if (b->warning)
        gp_tokenizer_add_warning(t, gp_strdup(b->warning));
    apply_or_warning(t, b, "add_bos_token", "bos_token", alone, &t->around.before, &t->around.before_count);
    apply_or_warning(t, b, "add_eos_token", "eos_token", alone, &t->around.after, &t->around.after_count);
}
