/* tokenizer_merges.c: reads vocabularies and merges as Hugging Face writes them; and tokenizers of a vocabulary file
 * and a file of merges. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/files/reader.h"

enum { MAX_UNMADE = 16 }; /* RoBERTa's vocabulary has three words that no merge makes; a truncated file has thousands */

json_t *gp_reader_object(json_t *root, const json_error_t *e, const char *where)
{
    if (json_is_object(root))
        return root;
    if (root)
        fail("%s: is JSON, but not an object", where);
    else
        fail("%s: is not JSON: line %d: %s", where, e->line, e->text);
    json_decref(root);
    return NULL;
}

json_t *gp_reader_parse(const char *text, size_t length, const char *where)
{
    json_error_t e;
    return gp_reader_object(gp_json_load(text, length, GP_READER_JSON, &e), &e, where);
}

int32_t gp_reader_number(int64_t id, const char *name, size_t n, const char *where)
{
    if (id >= 0 && id < INT32_MAX)
        return (int32_t)id;
    fail("%s: the id of \"%.*s\" is not a number from 0 to %d", where, (int)gp_min((int64_t)n, 60), name,
         INT32_MAX - 1);
    return -1;
}

int32_t gp_reader_id(const json_t *value, const char *name, const char *where)
{
    return gp_reader_number(json_is_integer(value) ? json_integer_value(value) : -1, name, strlen(name), where);
}

/* ---- byte-level BPE -------------------------------------------------------------------------------------- */

void gp_reader_release(gp_reader *r)
{
    gp_token_list_release(&r->list);
    gp_tokenizer_close(r->t);
    gp_buf_release(&r->decoded);
    free(r->made);
}

/* Adds an added token, whose name is literal. If the name represents other bytes in GPT-2's alphabet, no merge may make
 * it, and it is not found by its bytes. */
static int add_name(gp_reader *r, int32_t id, const char *name, size_t n, const gp_buf *bytes, uint8_t flags,
                    bool ignore_merges)
{
    bool same = bytes->len == n && !memcmp(bytes->data, name, n);
    if (!same && bytes->len && (ignore_merges || bytes->len == 1))
        return fail("%s: added token \"%.*s\" is a word in GPT-2's alphabet too, which is not supported", r->where,
                    (int)gp_min((int64_t)n, 60), name);
    gp_token_list_add(&r->list, id, name, n)->flags = flags | (same ? 0 : GP_TOKEN_UNINDEXED);
    return 0;
}

int gp_reader_add_vocab(gp_reader *r, const gp_words *vocab, bool ignore_merges)
{
    gp_buf bytes = {0};
    int rc = 0;
    for (int64_t i = 0; i < vocab->names.size && !rc; i++) {
        size_t n;
        const char *name = gp_vocab_bytes(&vocab->names, (int32_t)i, &n);
        int32_t id = gp_words_id(vocab, i, r->where);
        uint8_t flags = vocab->names.flags[i];
        bytes.len = 0;
        if (id < 0)
            rc = -1;
        else if (!gp_alphabet_decode(&r->alphabet, &bytes, name, n) || flags)
            rc = add_name(r, id, name, n, &bytes, flags, ignore_merges);
        else
            gp_token_list_add(&r->list, id, bytes.data, bytes.len);
    }
    gp_buf_release(&bytes);
    return rc;
}

int gp_reader_start(gp_reader *r, int64_t merges)
{
    gp_tokenizer *t = r->t = gp_calloc(1, sizeof *t);
    t->kind = GP_KIND_BPE;
    if (gp_vocab_build(&t->vocab, r->list.tokens, r->list.count, &r->list.bytes, r->where) ||
        gp_bpe_init(&t->bpe, &t->vocab, merges, r->where))
        return -1;
    r->made = gp_calloc((size_t)t->vocab.size, 1);
    for (int i = 0; i < 256; i++)
        if (t->bpe.byte_id[i] >= 0)
            r->made[t->bpe.byte_id[i]] = 1;
    return 0;
}

int gp_reader_end_merges(gp_reader *r)
{
    gp_bpe *b = &r->t->bpe;
    int64_t first = b->count;
    const char *bytes = r->decoded.data;
    if (!r->pending)
        return 0;
    memset(r->decoded.data + r->decoded.len, 0, GP_VOCAB_PAD);
    for (int64_t i = 0; i < r->pending; bytes += r->parts[i++].length)
        r->parts[i].bytes = bytes;
    if (gp_bpe_add(b, &r->t->vocab, r->parts, r->pending, r->where))
        return -1;
    for (int64_t i = first; i < b->count; i++)
        r->made[b->list[i].id] = 1;
    r->pending = 0;
    r->decoded.len = 0;
    return 0;
}

int gp_reader_add_merge(gp_reader *r, const char *left, size_t left_length, const char *right, size_t right_length)
{
    gp_buf *d = &r->decoded;
    size_t at = d->len, middle;
    gp_buf_reserve(d, left_length + right_length + GP_VOCAB_PAD);
    bool known = gp_alphabet_decode(&r->alphabet, d, left, left_length);
    middle = d->len;
    if (!known || !gp_alphabet_decode(&r->alphabet, d, right, right_length))
        return gp_reader_end_merges(r) /* an earlier one may fail too */
                   ? -1
                   : fail("%s: merge %lld, \"%.*s %.*s\", is not two parts in GPT-2's alphabet", r->where,
                          (long long)r->t->bpe.count + 1, (int)gp_min((int64_t)left_length, 60), left,
                          (int)gp_min((int64_t)right_length, 60), right);
    r->parts[r->pending++] = (gp_bpe_parts){.left = middle - at, .length = d->len - at};
    return r->pending == GP_BPE_BATCH ? gp_reader_end_merges(r) : 0;
}

int gp_reader_add_line(gp_reader *r, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    if (!space && gp_reader_end_merges(r))
        return -1;
    if (!space)
        return fail("%s: merge %lld, \"%.*s\", is not two parts in GPT-2's alphabet with a space between", r->where,
                    (long long)r->t->bpe.count + 1, (int)gp_min((int64_t)n, 60), line);
    return gp_reader_add_merge(r, line, (size_t)(space - line), space + 1, n - (size_t)(space - line) - 1);
}

bool gp_reader_is_version(const char *line, size_t n)
{
    static const char version[] = "#version";
    return n >= sizeof version - 1 && !memcmp(line, version, sizeof version - 1);
}

gp_tokenizer *gp_reader_finish(gp_reader *r)
{
    gp_tokenizer *t = r->t;
    if (gp_bpe_init_missing(&t->bpe, &t->vocab, r->where))
        return NULL;
    r->t = NULL;
    gp_tokenizer_find_added(t);
    return t;
}

/* ---- a vocabulary file and its merges -------------------------------------------------------------------- */

/* Adds the lines of a merges file, except its version and empty lines; a byte-order mark may precede them. */
static int add_merges(gp_reader *r, const gp_buf *text)
{
    const char *end = text->data + text->len, *next;
    for (const char *p = text->data + gp_utf8_mark(text->data, text->len); p < end; p = next) {
        size_t n = gp_line_length(p, end, &next);
        if (n && !gp_reader_is_version(p, n) && gp_reader_add_line(r, p, n))
            return -1;
    }
    return gp_reader_end_merges(r);
}

static bool looks_special(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] < '!' || name[i] > '~')
            return false;
    return n > 2 && name[0] == '<' && name[n - 1] == '>';
}

/* Ids that are neither bytes nor made by merges are special if their name looks so (<...>), unless the configuration
 * names the special tokens (known). Many others mean that merges are missing. */
static int find_specials(gp_reader *r, const char *vocab_path, bool known)
{
    gp_vocab *v = &r->t->vocab;
    int64_t unmade = 0;
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if (r->made[id] || v->flags[id] & GP_TOKEN_NAMED)
            continue;
        if (looks_special(bytes, n) && !known)
            v->flags[id] |= GP_TOKEN_SPECIAL;
        unmade += n && !looks_special(bytes, n);
    }
    if (unmade > MAX_UNMADE)
        return fail("%s: %lld tokens of %s are made by no merge: it is truncated, or belongs to another vocabulary",
                    r->where, (long long)unmade, vocab_path);
    return 0;
}

static gp_tokenizer *read_both(gp_reader *r, gp_words *vocab, const gp_buf *merges, const char *merges_path,
                               gp_tokenizer_config *config)
{
    const char *vocab_path = r->where;
    bool known = config->kind == GP_CLASS_GPT2 || config->kind == GP_CLASS_ROBERTA; /* the class: it splits as GPT-2 */
    json_t *tokens = json_array();
    gp_tokenizer *t = NULL;
    int64_t lines = 1;
    for (size_t i = 0; i < merges->len; i++)
        lines += merges->data[i] == '\n';
    if ((config->config && gp_tokenizer_config_add_tokens(config, tokens, vocab)) ||
        gp_reader_add_tokens(r, tokens, vocab) || gp_reader_add_vocab(r, vocab, false) || gp_reader_start(r, lines))
        goto out;
    r->where = merges_path;
    if (!add_merges(r, merges) && !find_specials(r, vocab_path, known) &&
        (known || !gp_reader_check_split(&r->t->vocab, r->made, vocab_path)))
        t = gp_reader_finish(r);
    if (t) {
        gp_settings s = {.prefix_space = json_is_true(json_object_get(config->config, "add_prefix_space"))};
        gp_settings_class_template(&s, config, tokens, vocab);
        t->prefix_space = s.prefix_space;
        t->template = s.template;
        t->trim = s.trim;
    }
out:
    json_decref(tokens);
    return t;
}

gp_tokenizer *gp_tokenizer_from_files(const char *vocab_path, const char *merges_path, const char *dir)
{
    gp_reader r = {.where = vocab_path};
    gp_buf text = {0}, merges = {0};
    gp_words vocab = {0};
    gp_tokenizer *t = NULL;
    gp_tokenizer_config config;
    gp_alphabet_init(&r.alphabet);
    if (gp_tokenizer_config_read(&config, dir))
        return NULL;
    if (!gp_file_read_regular(&text, vocab_path, GP_TOKENIZER_FILE_MAX) &&
        !gp_file_read_regular(&merges, merges_path, GP_TOKENIZER_FILE_MAX) &&
        !gp_words_parse(&vocab, text.data, text.len, vocab_path))
        t = read_both(&r, &vocab, &merges, merges_path, &config);
    if (t && dir)
        gp_tokenizer_check_folder(t, dir, &config, false);
    gp_words_release(&vocab);
    gp_buf_release(&text);
    gp_buf_release(&merges);
    gp_tokenizer_config_release(&config);
    gp_reader_release(&r);
    return t;
}
