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
                 {"normalized", GP_TOKEN_NORMALIZED},
                 {"special", GP_TOKEN_SPECIAL}};
    *flags = json_is_true(json_object_get(token, "special")) ? 0 : GP_TOKEN_ADDED;
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
static int add_tokens(gp_reader *r, const json_t *added, gp_words *vocab, json_t *names)
{
    size_t i;
    json_t *token;
    int64_t next = vocab->names.size;
    json_array_foreach (added, i, token) {
        const json_t *content = json_object_get(token, "content");
        const char *name = json_string_value(content);
        uint8_t flags;
        if (!name || strlen(name) != json_string_length(content))
            return fail("%s: added token %zu has no content", r->where, i);
        int32_t id = gp_reader_id(json_object_get(token, "id"), name, r->where);
        if (id < 0 || get_flags(token, name, &flags, r->where))
            return -1;
        const json_t *before = json_object_get(names, name);
        int64_t known = gp_words_find(vocab, name);
        if (!*name) /* ignored by tokenizers too */
            continue;
        if (before && json_integer_value(before) != flags)
            return fail("%s: added token \"%.60s\" appears twice, with different flags", r->where, name);
        if (before)
            continue;
        if (known >= 0 && gp_words_id(vocab, known, r->where) < 0)
            return -1;
        if (known >= 0 && vocab->ids[known] != id)
            return fail("%s: \"%.60s\" is %d in the vocabulary and %d among the added tokens", r->where, name,
                        vocab->ids[known], id);
        if (known < 0 && id != next++)
            return fail("%s: added token \"%.60s\" has id %d, but tokenizers would number it %lld", r->where, name, id,
                        (long long)next - 1);
        if (known >= 0)
            vocab->names.flags[known] = flags;
        else
            gp_token_list_add(&r->list, id, name, strlen(name))->flags =
                flags | GP_TOKEN_UNINDEXED | GP_TOKEN_NOT_IN_MODEL;
        json_object_set_new(names, name, json_integer(flags));
    }
    return 0;
}

int gp_reader_add_tokens(gp_reader *r, const json_t *added, gp_words *vocab)
{
    json_t *names = json_object(); /* of those before, with their flags */
    int rc = add_tokens(r, added, vocab, names);
    json_decref(names);
    return rc;
}

/* ---- char and bytes -------------------------------------------------------------------------------------- */

/* The vocabulary of a model without merges: characters, and bytes as <0x00> to <0xFF>. */
static gp_tokenizer *read_chars(gp_reader *r, const gp_words *vocab)
{
    for (int64_t i = 0; i < vocab->names.size; i++) {
        size_t n;
        const char *name = gp_vocab_bytes(&vocab->names, (int32_t)i, &n), *bytes = name;
        char raw;
        int32_t id = gp_words_id(vocab, i, r->where);
        uint8_t flags = vocab->names.flags[i];
        if (id < 0)
            return NULL;
        if (!flags && n == 6 && !strncmp(name, "<0x", 3) && isxdigit((uint8_t)name[3]) && isxdigit((uint8_t)name[4]) &&
            name[5] == '>') {
            raw = (char)strtoul(name + 3, NULL, 16);
            bytes = &raw;
            n = 1;
        }
        gp_token_list_add(&r->list, id, bytes, n)->flags = flags;
    }
    return gp_tokenizer_from_chars(&r->list, r->where);
}

/* ---- byte-level BPE -------------------------------------------------------------------------------------- */

static int add_merges(gp_reader *r, const gp_merge_texts *merges)
{
    const char *text = merges->text.data;
    for (int64_t i = 0; i < merges->count; text += merges->list[i++].length) {
        gp_merge_text m = merges->list[i];
        if (m.line && gp_reader_is_version(text, m.length))
            continue;
        if (m.line ? gp_reader_add_line(r, text, m.length)
                   : gp_reader_add_merge(r, text, m.left, text + m.left, m.length - m.left))
            return -1;
    }
    return gp_reader_end_merges(r);
}

static void set_model(gp_reader *r, const gp_settings *s, const gp_words *vocab)
{
    gp_bpe *b = &r->t->bpe;
    int64_t unknown = s->unknown ? gp_words_find(vocab, s->unknown) : -1;
    b->ignore_merges = s->ignore_merges;
    b->words = b->ignore_merges ? &r->t->vocab : NULL;
    b->missing.fuse = s->fuse;
    b->missing.byte_fallback = s->byte_fallback;
    b->missing.name = s->unknown ? gp_strdup(s->unknown) : NULL;
    if (unknown >= 0)
        b->missing.unknown = vocab->ids[unknown];
    r->t->prefix_space = s->prefix_space;
}

static gp_tokenizer *read_bpe(gp_reader *r, const gp_settings *s, const gp_words *vocab, const gp_merge_texts *merges)
{
    if (gp_reader_add_vocab(r, vocab, s->ignore_merges) || gp_reader_start(r, merges->count))
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
static int apply_config(gp_tokenizer_config *b, gp_settings *s, json_t *root, const gp_words *vocab)
{
    json_t *tokens = json_object_get(root, "added_tokens");
    if (s->wordpiece ? b->kind == GP_CLASS_GPT2 || b->kind == GP_CLASS_ROBERTA
                     : !s->splits) /* not GPT2Tokenizer of transformers, which always splits */
        b->kind = GP_CLASS_OTHER;
    if (!tokens)
        json_object_set_new(root, "added_tokens", tokens = json_array());
    if (gp_tokenizer_config_add_tokens(b, tokens, vocab))
        return -1;
    if (s->wordpiece)
        gp_settings_clean_text(s, b);
    if (!s->wordpiece)
        gp_tokenizer_config_prefix_space(b, &s->prefix_space);
    else if (b->kind == GP_CLASS_BERT)
        gp_settings_apply_bert(s, b);
    gp_settings_class_template(s, b, tokens, vocab);
    return 0;
}

/* bpe: it has merges; else it is a WordPiece. */
static gp_tokenizer *read_model(gp_model_json *m, bool bpe, gp_tokenizer_config *config, const char *where)
{
    json_t *root = m->root;
    gp_settings s;
    gp_reader r = {.where = where};
    gp_tokenizer *t = NULL;
    gp_alphabet_init(&r.alphabet);
    if (bpe ? gp_settings_read(&s, root, where) : gp_settings_read_wordpiece(&s, root, where))
        goto out;
    if (config && apply_config(config, &s, root, &m->vocab)) {
        gp_fail_in("%s", where);
        gp_template_release(&s.template);
        goto out;
    }
    if (!s.wordpiece && !s.splits && m->merges.count)
        fail("%s: has merges but no pre_tokenizer; only ByteLevel (GPT-2's split) is supported", where);
    else if (!gp_reader_add_tokens(&r, json_object_get(root, "added_tokens"), &m->vocab))
        t = s.wordpiece ? gp_reader_wordpiece(&r, &s, &m->vocab)
            : s.splits  ? read_bpe(&r, &s, &m->vocab, &m->merges)
                        : read_chars(&r, &m->vocab);
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
    gp_reader_release(&r);
    return t;
}

/* A model without a type is BPE if it has a vocabulary and merges, or WordPiece, as in tokenizers. */
static gp_tokenizer *read_text(const char *json, size_t length, const char *where, gp_tokenizer_config *config)
{
    gp_model_json m;
    if (gp_model_json_parse(&m, json, length, where))
        return NULL;
    const json_t *version = json_object_get(m.root, "version"), *added = json_object_get(m.root, "added_tokens");
    const json_t *model = json_object_get(m.root, "model"), *vocab = json_object_get(model, "vocab"),
                 *merges = json_object_get(model, "merges"), *type = json_object_get(model, "type");
    const char *name = json_string_value(type);
    bool pieces =
        type ? name && !strcmp(name, "WordPiece") : json_object_get(model, "max_input_chars_per_word") != NULL;
    bool pairs = type ? name && !strcmp(name, "BPE") : !pieces;
    gp_tokenizer *t = NULL;
    if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0")))
        fail("%s: is a tokenizer.json of another version than \"1.0\", the one that tokenizers reads", where);
    else if (added && !json_is_array(added))
        fail("%s: its added_tokens are not a list", where);
    else if (json_is_object(vocab) && (pieces || (pairs && json_is_array(merges))))
        t = read_model(&m, !pieces, config, where);
    else
        fail(
            "%s: is not a tokenizer.json with a BPE model (type, vocab, merges) or a WordPiece model (type, vocab)%s%s",
            where, name ? ": its model is " : "", name ? name : "");
    gp_model_json_release(&m);
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
