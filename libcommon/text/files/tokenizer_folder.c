/* tokenizer_folder.c: checks a tokenizer.json against other files of the vocabulary in its folder, and applies bos and
 * eos settings for transformers. If files disagree, tokenizer.json takes precedence, and a warning has the first
 * difference.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/files/reader.h"

/* The path of a file in dir, which the caller frees; NULL if it does not exist. */
static char *find(const char *dir, const char *name)
{
    char *path = gp_path_join(dir, name);
    if (gp_exists(path) > 0)
        return path;
    free(path);
    return NULL;
}

/* ---- other files of the vocabulary ----------------------------------------------------------------------- */

static void add_token(gp_buf *b, const gp_tokenizer *t, int32_t id)
{
    size_t n = 0;
    const char *bytes = gp_tokenizer_bytes(t, id, &n);
    if (bytes && n)
        gp_buf_printf(b, "\"%s\"", gp_printable_bytes(bytes, gp_min((int64_t)n, 60)));
    else
        gp_buf_puts(b, "missing");
}

/* An added token may be in tokenizer.json only. */
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
        gp_buf_puts(b, "missing");
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
        gp_buf_printf(&b, "tokenizer.json and %s disagree: id %lld is ", vocab, (long long)i);
        add_token(&b, t, (int32_t)i);
        gp_buf_puts(&b, " and ");
        add_token(&b, other, (int32_t)i);
    } else {
        for (i = 0; i < count && same_merge(&t->bpe, &other->bpe, i);)
            i++;
        if (i == count)
            return;
        gp_buf_printf(&b, "tokenizer.json and %s disagree: merge %lld is ", merges, (long long)i + 1);
        add_merge(&b, t, i);
        gp_buf_puts(&b, " and ");
        add_merge(&b, other, i);
    }
    gp_buf_puts(&b, "; using tokenizer.json");
    gp_warning_add(&t->warning, b.data);
}

static void compare_pair(gp_tokenizer *t, const char *dir, const char *vocab, const char *merges)
{
    char *a = find(dir, vocab), *b = find(dir, merges);
    gp_tokenizer *other = a && b && t->kind == GP_KIND_BPE ? gp_tokenizer_from_files(a, b, NULL) : NULL;
    if (other)
        compare(t, other, vocab, merges);
    else if (a && b && t->kind == GP_KIND_BPE)
        gp_warning_add(&t->warning, gp_format("%s cannot be read (%s); using tokenizer.json", vocab, gp_error()));
    gp_tokenizer_close(other);
    free(a);
    free(b);
}

static void compare_vocab_txt(gp_tokenizer *t, const char *dir)
{
    char *path = t->kind == GP_KIND_WORDPIECE ? find(dir, "vocab.txt") : NULL;
    gp_buf text = {0};
    gp_tokenizer *other = path && !gp_file_read_regular(&text, path, GP_TOKENIZER_FILE_MAX)
                              ? gp_tokenizer_from_vocab_txt(text.data, text.len, "vocab.txt", NULL)
                              : NULL;
    if (other)
        compare(t, other, "vocab.txt", "vocab.txt");
    else if (path)
        gp_warning_add(&t->warning, gp_format("vocab.txt cannot be read (%s); using tokenizer.json", gp_error()));
    gp_tokenizer_close(other);
    gp_buf_release(&text);
    free(path);
}

/* ---- bos and eos ----------------------------------------------------------------------------------------- */

/* The id of "bos_token" or "eos_token", or -1. */
static int32_t find_token(const gp_tokenizer *t, const gp_tokenizer_config *b, const char *key)
{
    const char *name = json_string_value(json_object_get(json_object_get(b->named, key), "content"));
    if (!name && b->kind == GP_CLASS_UNKNOWN && !json_object_get(b->config, key))
        name = GP_END_OF_TEXT_NAME;
    for (int32_t id = 0; id < t->vocab.size && name; id++)
        if (gp_vocab_is(&t->vocab, id, name))
            return id;
    return -1;
}

/* The id of the token that a setting puts around a text, or -1. */
static int32_t apply_setting(gp_tokenizer *t, const gp_tokenizer_config *b, const char *setting, const char *token,
                             bool from_json, int64_t count)
{
    int32_t id = find_token(t, b, token);
    if (!json_is_true(json_object_get(b->config, setting)))
        return -1;
    if (!from_json && id >= 0)
        return id;
    if (!count) {
        const char *problem = from_json
                                  ? "which the post_processor of tokenizer.json does not; ignored, as in transformers"
                                  : "but its token is not in the vocabulary";
        gp_warning_add(&t->warning, gp_format("tokenizer_config.json sets %s, %s", setting, problem));
    }
    return -1;
}

/* For a vocab.json, transformers builds the template from these settings; a tokenizer.json has its own, and so have the
 * classes of BERT and RoBERTa. */
static void apply_settings(gp_tokenizer *t, const gp_tokenizer_config *b, bool from_json)
{
    if (!from_json && (b->kind == GP_CLASS_BERT || b->kind == GP_CLASS_ROBERTA))
        return;
    int64_t before = t->template.before_count, after = t->template.after_count;
    int32_t bos = apply_setting(t, b, "add_bos_token", "bos_token", from_json, before);
    int32_t eos = apply_setting(t, b, "add_eos_token", "eos_token", from_json, after);
    if (bos >= 0 || eos >= 0)
        gp_template_bos_eos(&t->template, bos, eos);
}

void gp_tokenizer_check_folder(gp_tokenizer *t, const char *dir, gp_tokenizer_config *b, bool from_json)
{
    if (from_json) {
        compare_pair(t, dir, "vocab.json", "merges.txt");
        compare_pair(t, dir, "encoder.json", "vocab.bpe");
        compare_vocab_txt(t, dir);
    }
    if (b->warning)
        gp_warning_add(&t->warning, gp_strdup(b->warning));
    apply_settings(t, b, from_json);
}
