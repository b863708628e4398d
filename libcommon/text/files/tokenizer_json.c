/* tokenizer_json.c: reads Hugging Face's tokenizer.json. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text/files/reader.h"

/* ---- added tokens ---------------------------------------------------------------------------------------- */

static int get_flags(const json_t *token, const char *name, uint8_t *flags, const char *where)
{
    static const struct {
        const char *key;
        uint8_t flag;
    } known[] = {{"lstrip", GP_TOKEN_LSTRIP},
                 {"rstrip", GP_TOKEN_RSTRIP},
                 {"single_word", GP_TOKEN_SINGLE_WORD},
                 {"normalized", GP_TOKEN_NORMALIZED}};
    *flags = json_is_true(json_object_get(token, "special")) ? GP_TOKEN_SPECIAL : GP_TOKEN_ADDED;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const json_t *value = json_object_get(token, known[i].key);
        if (value && !json_is_boolean(value))
            return fail("%s: %s of added token \"%.60s\" is not true or false", where, known[i].key, name);
        if (json_is_true(value))
            *flags |= known[i].flag;
    }
    return 0;
}

/* `tokenizers` ignores the ids of added tokens: those that are not in the vocabulary are numbered from its size on. A
 * file with other ids is rejected. */
int gp_reader_add_tokens(gp_reader *r, const json_t *added, const json_t *vocab, json_t *names)
{
    size_t i;
    json_t *token;
    int64_t next = (int64_t)json_object_size(vocab);
    json_array_foreach (added, i, token) {
        const json_t *content = json_object_get(token, "content");
        const char *name = json_string_value(content);
        uint8_t flags;
        if (!name || strlen(name) != json_string_length(content))
            return fail("%s: added token %zu has no content", r->where, i);
        int32_t id = gp_reader_id(json_object_get(token, "id"), name, r->where);
        if (id < 0 || get_flags(token, name, &flags, r->where))
            return -1;
        const json_t *known = json_object_get(vocab, name), *before = json_object_get(names, name);
        if (!*name) /* ignored by tokenizers too */
            continue;
        if (before && json_integer_value(before) != flags)
            return fail("%s: added token \"%.60s\" appears twice, with different flags", r->where, name);
        if (before)
            continue;
        if (known && json_integer_value(known) != id)
            return fail("%s: \"%.60s\" is %lld in the vocabulary and %d among the added tokens", r->where, name,
                        (long long)json_integer_value(known), id);
        if (!known && id != next++)
            return fail("%s: added token \"%.60s\" has id %d, but tokenizers would number it %lld", r->where, name, id,
                        (long long)next - 1);
        if (!known)
            gp_token_list_add(&r->list, id, name, strlen(name))->flags =
                flags | GP_TOKEN_UNINDEXED | GP_TOKEN_NOT_IN_MODEL;
        json_object_set_new(names, name, json_integer(flags));
    }
    return 0;
}

/* ---- char and bytes -------------------------------------------------------------------------------------- */

/* The vocabulary of a model without merges: characters, and bytes as <0x00> to <0xFF>. */
static gp_tokenizer *read_chars(gp_reader *r, json_t *vocab, const json_t *names)
{
    const char *name;
    json_t *value;
    json_object_foreach (vocab, name, value) {
        size_t n = strlen(name);
        const char *bytes = name;
        char raw;
        int32_t id = gp_reader_id(value, name, r->where);
        const json_t *flags = json_object_get(names, name);
        if (id < 0)
            return NULL;
        if (!flags && n == 6 && !strncmp(name, "<0x", 3) && isxdigit((uint8_t)name[3]) && isxdigit((uint8_t)name[4]) &&
            name[5] == '>') {
            raw = (char)strtoul(name + 3, NULL, 16);
            bytes = &raw;
            n = 1;
        }
        gp_token_list_add(&r->list, id, bytes, n)->flags = (uint8_t)json_integer_value(flags);
    }
    return gp_tokenizer_from_chars(&r->list, r->where);
}

/* ---- byte-level BPE -------------------------------------------------------------------------------------- */

static int add_merges(gp_reader *r, const json_t *merges)
{
    size_t i;
    json_t *merge;
    json_array_foreach (merges, i, merge) {
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        const char *line = json_string_value(merge);
        size_t n = json_string_length(merge);
        if (line && gp_reader_is_version(line, n))
            continue;
        if (json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right)
                ? gp_reader_add_merge(r, json_string_value(left), json_string_length(left), json_string_value(right),
                                      json_string_length(right))
                : gp_reader_add_line(r, line ? line : "", n))
            return -1;
    }
    return 0;
}

static void set_model(gp_reader *r, const gp_settings *s, const json_t *vocab)
{
    gp_bpe *b = &r->t->bpe;
    const json_t *unknown = s->unknown ? json_object_get(vocab, s->unknown) : NULL;
    b->ignore_merges = s->ignore_merges;
    b->words = b->ignore_merges ? &r->t->vocab : NULL;
    b->missing.fuse = s->fuse;
    b->missing.byte_fallback = s->byte_fallback;
    b->missing.name = s->unknown ? gp_strdup(s->unknown) : NULL;
    if (unknown)
        b->missing.unknown = (int32_t)json_integer_value(unknown);
    r->t->prefix_space = s->prefix_space;
}

static gp_tokenizer *read_bpe(gp_reader *r, const gp_settings *s, json_t *vocab, const json_t *merges,
                              const json_t *names)
{
    if (gp_reader_add_vocab(r, vocab, names, s->ignore_merges) || gp_reader_start(r, (int64_t)json_array_size(merges)))
        return NULL;
    set_model(r, s, vocab);
    return add_merges(r, merges) ? NULL : gp_reader_finish(r);
}

/* ---- the whole file -------------------------------------------------------------------------------------- */

static int check_template(const gp_tokenizer *t, const gp_template *a, const char *where)
{
    for (int pair = 0; pair < 2; pair++) {
        const gp_template_list *l = pair ? &a->pair : &a->single;
        for (int64_t i = 0; i < l->count; i++) {
            int32_t id = l->tokens[i].id;
            size_t n = 0;
            if (id >= 0 && (!gp_tokenizer_bytes(t, id, &n) || !n))
                return fail("%s: its post_processor adds id %d, which is not in the vocabulary", where, id);
        }
    }
    return 0;
}

/* Applies the configuration in the folder as if it were part of the tokenizer.json. */
static int apply_config(gp_tokenizer_config *b, gp_settings *s, json_t *root, const json_t *vocab)
{
    json_t *tokens = json_object_get(root, "added_tokens");
    if (s->wordpiece ? b->kind == GP_CLASS_GPT2 || b->kind == GP_CLASS_ROBERTA
                     : !s->splits) /* not GPT2Tokenizer of transformers, which always splits */
        b->kind = GP_CLASS_OTHER;
    if (!tokens)
        json_object_set_new(root, "added_tokens", tokens = json_array());
    if (gp_tokenizer_config_add_tokens(b, tokens, vocab))
        return -1;
    if (!s->wordpiece)
        gp_tokenizer_config_prefix_space(b, &s->prefix_space);
    else if (b->kind == GP_CLASS_BERT)
        gp_settings_apply_bert(s, b);
    gp_settings_class_template(s, b, tokens, vocab);
    return 0;
}

/* merges: of a BPE; NULL: a WordPiece. */
static gp_tokenizer *read_root(json_t *root, json_t *vocab, const json_t *merges, gp_tokenizer_config *config,
                               const char *where)
{
    gp_settings s;
    gp_reader r = {.where = where};
    gp_tokenizer *t = NULL;
    json_t *names = json_object();
    gp_alphabet_init(&r.alphabet);
    if (merges ? gp_settings_read(&s, root, where) : gp_settings_read_wordpiece(&s, root, where))
        goto out;
    if (config && apply_config(config, &s, root, vocab)) {
        gp_fail_in("%s", where);
        gp_template_release(&s.template);
        goto out;
    }
    if (!s.wordpiece && !s.splits && json_array_size(merges))
        fail("%s: has merges but no pre_tokenizer; only ByteLevel (GPT-2's split) is supported", where);
    else if (!gp_reader_add_tokens(&r, json_object_get(root, "added_tokens"), vocab, names))
        t = s.wordpiece ? gp_reader_wordpiece(&r, &s, vocab, names)
            : s.splits  ? read_bpe(&r, &s, vocab, merges, names)
                        : read_chars(&r, vocab, names);
    if (t && check_template(t, &s.template, where)) {
        gp_tokenizer_close(t);
        t = NULL;
    }
    if (t) {
        t->template = s.template;
        t->trim = s.trim;
    } else {
        gp_template_release(&s.template);
    }
out:
    json_decref(names);
    gp_reader_release(&r);
    return t;
}

/* A model without a type is BPE if it has a vocabulary and merges, or WordPiece, as in tokenizers. */
static gp_tokenizer *read_text(const char *json, size_t length, const char *where, gp_tokenizer_config *config)
{
    json_t *root = gp_reader_parse(json, length, where), *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges"), *type = json_object_get(model, "type");
    const char *name = json_string_value(type);
    bool pieces =
        type ? name && !strcmp(name, "WordPiece") : json_object_get(model, "max_input_chars_per_word") != NULL;
    bool pairs = type ? name && !strcmp(name, "BPE") : !pieces;
    gp_tokenizer *t = NULL;
    if (!root)
        return NULL;
    if (json_is_object(vocab) && (pieces || (pairs && json_is_array(merges))))
        t = read_root(root, vocab, pieces ? NULL : merges, config, where);
    else
        fail(
            "%s: is not a tokenizer.json with a BPE model (type, vocab, merges) or a WordPiece model (type, vocab)%s%s",
            where, name ? ": its model is " : "", name ? name : "");
    json_decref(root);
    return t;
}

gp_tokenizer *gp_tokenizer_from_json(const char *json, size_t length, const char *where)
{
    return read_text(json, length, where, NULL);
}

gp_tokenizer *gp_tokenizer_from_json_in(const char *dir, const char *json, size_t length, const char *where,
                                        bool *changes)
{
    gp_tokenizer_config config;
    *changes = false;
    if (gp_tokenizer_config_read(&config, dir))
        return NULL;
    gp_tokenizer *t = read_text(json, length, where, &config);
    if (t) {
        gp_tokenizer_check_folder(t, dir, &config, true);
        *changes = config.changes;
    }
    gp_tokenizer_config_release(&config);
    return t;
}
