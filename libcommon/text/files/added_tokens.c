/* added_tokens.c: adds the tokens in the configuration of a tokenizer (tokenizer_config.c) to those of its vocabulary
 * or tokenizer.json, as AutoTokenizer of transformers 5 does. */
#include <stdlib.h>
#include <string.h>

#include "text/files/reader.h"

/* The named special tokens, in the order in which transformers adds them. */
static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};

/* Their defaults in the classes of GPT-2, BERT and RoBERTa. */
static const char *const defaults[][ARRAY_LEN(named)] = {
    [GP_CLASS_GPT2] = {GP_END_OF_TEXT_NAME, GP_END_OF_TEXT_NAME, GP_END_OF_TEXT_NAME},
    [GP_CLASS_BERT] = {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    [GP_CLASS_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [GP_CLASS_OTHER] = {NULL}};

/* ---- one token ------------------------------------------------------------------------------------------- */

/* A token as in a tokenizer.json, without its id, from its name or an object; NULL if value is neither. */
static json_t *make_token(const json_t *value, bool special)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    bool object = json_is_object(value);
    const json_t *content = object ? json_object_get(value, "content") : value,
                 *set = json_object_get(value, "special"), *normalized = json_object_get(value, "normalized");
    if (!json_is_string(content))
        return NULL;
    special = set ? json_is_true(set) : special;
    json_t *token = json_pack("{s:O}", "content", content);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        json_object_set_new(token, flags[i], json_boolean(json_is_true(json_object_get(value, flags[i]))));
    json_object_set_new(token, "normalized",
                        json_boolean(json_is_boolean(normalized) ? json_is_true(normalized) : !special));
    json_object_set_new(token, "special", json_boolean(special));
    json_object_set_new(token, "object", json_boolean(object)); /* a name differs from an object with the same flags */
    return token;
}

static const char *content_of(const json_t *token)
{
    return json_string_value(json_object_get(token, "content"));
}

/* The token of that name in a list, or NULL. */
static json_t *find(const json_t *tokens, const char *content)
{
    size_t i;
    json_t *one;
    json_array_foreach (tokens, i, one)
        if (content_of(one) && !strcmp(content_of(one), content))
            return one;
    return NULL;
}

/* Adds a token to those of a tokenizer.json, or sets the flags of one that is there. Like tokenizers, it numbers a new
 * token by the vocabulary and the tokens before it, not by the id in a file (given; -1: none). A special token stays
 * special, except that GPT-2's class creates its tokens anew if there is an added_tokens_decoder. */
static int add_token(gp_tokenizer_config *b, json_t *tokens, const gp_words *vocab, const json_t *token,
                     json_int_t given)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    const char *content = content_of(token);
    int64_t word = gp_words_find(vocab, content);
    json_t *there = find(tokens, content);
    json_int_t next = vocab->names.size, id;
    size_t i;
    json_t *one;
    if (!*content) /* ignored by tokenizers too */
        return 0;
    bool anew = given >= 0 && b->kind == GP_CLASS_GPT2 && json_object_get(b->config, "added_tokens_decoder");
    for (i = 0; there && i < ARRAY_LEN(flags); i++) {
        json_t *flag = json_object_get(token, flags[i]);
        if (!anew && !strcmp(flags[i], "special") && json_is_true(json_object_get(there, flags[i])))
            continue;
        b->changes |= json_is_true(flag) != json_is_true(json_object_get(there, flags[i]));
        json_object_set(there, flags[i], flag);
    }
    json_array_foreach (tokens, i, one)
        next = gp_max(next, json_integer_value(json_object_get(one, "id")) + 1);
    if (!there && word >= 0 && gp_words_id(vocab, word, "the vocabulary") < 0)
        return -1;
    id = there ? json_integer_value(json_object_get(there, "id")) : word >= 0 ? vocab->ids[word] : next;
    if (given >= 0 && given != id)
        gp_tokenizer_config_warn(b,
                                 gp_format("the tokenizer's configuration gives the added token \"%.60s\" the id %lld; "
                                           "using %lld, the next unused id, as transformers does",
                                           content, (long long)given, (long long)id));
    if (there)
        return 0;
    if (id < 0 || id >= GP_VOCAB_MAX)
        return fail("added token \"%.60s\" would get id %lld, above the limit of %d", content, (long long)id,
                    GP_VOCAB_MAX - 1);
    json_t *copy = json_deep_copy(token);
    json_object_del(copy, "object");
    json_object_set_new(copy, "id", json_integer(id));
    b->changes = true;
    return json_array_append_new(tokens, copy);
}

/* ---- all tokens ------------------------------------------------------------------------------------------ */

/* The tokens of the configuration, before they are added. */
typedef struct lists {
    json_t *numbered; /* [{"given": id, "token": {...}}, ...] */
    json_t *named;    /* {"bos_token": {...}, ...}, with the defaults of the class, and names of a model */
    json_t *extra;    /* [{...}, ...] */
    json_t *special;  /* {"[PAD]": true, ...}: the tokens of added_tokens.json that are special. transformers reads that
                         file before it converts objects of tokenizer_config.json and old names, which are left out */
} lists;

static int bad_token(const char *key)
{
    return fail("%s in the tokenizer's configuration is not a token (a string, or an object with \"content\")", key);
}

static void put_special(lists *l, const json_t *value)
{
    const char *content = json_is_string(value) ? json_string_value(value) : content_of(value);
    if (content)
        json_object_set_new(l->special, content, json_true());
}

static int put_named(lists *l, const char *key, const json_t *value, bool special)
{
    json_t *token = make_token(value, special);
    return token ? json_object_set_new(l->named, key, token) : bad_token(key);
}

static int put_extra(lists *l, const json_t *value)
{
    json_t *token = make_token(value, true);
    return token ? json_array_append_new(l->extra, token) : bad_token("an item of extra_special_tokens");
}

/* Lists the named special tokens in their order: the seven in `named`, then those of the model. */
static int list_named(lists *l, const gp_tokenizer_config *b, bool legacy)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        json_t *set = json_object_get(b->config, named[i]), *mapped = legacy ? json_object_get(b->map, named[i]) : NULL;
        value = mapped ? mapped : set;
        if (value && !json_is_null(value)) {
            if (put_named(l, named[i], value, !json_is_object(value) || mapped))
                return -1;
            if (mapped || json_is_string(value))
                put_special(l, value);
        } else if (!value && defaults[b->kind][i]) {
            json_t *name = json_string(defaults[b->kind][i]);
            put_named(l, named[i], name, true);
            json_decref(name);
        }
    }
    for (int strings = 0; strings < 2; strings++) /* objects come first in transformers */
        json_object_foreach (b->config, key, value) {
            bool token = strings ? json_is_string(value) : json_is_object(value);
            bool other = gp_ends_with(key, "_token") && gp_find_name(named, ARRAY_LEN(named), key) < 0;
            if (other && token && put_named(l, key, value, strings))
                return -1;
        }
    json_t *extra = json_object_get(b->config, "extra_special_tokens");
    if (json_is_object(extra))
        json_object_foreach (extra, key, value)
            if (put_named(l, key, value, json_is_string(value)))
                return -1;
    return 0;
}

static int put_all_extra(lists *l, const json_t *list, bool strings_special, bool objects_special)
{
    size_t i;
    json_t *value;
    json_array_foreach (list, i, value) {
        if (put_extra(l, value))
            return -1;
        if (json_is_string(value) ? strings_special : objects_special)
            put_special(l, value);
    }
    return 0;
}

/* additional_special_tokens is the old name of extra_special_tokens: it applies if the latter is empty or not a list,
 * and in special_tokens_map.json only if the latter is not a list. */
static int list_extra(lists *l, const gp_tokenizer_config *b, bool legacy)
{
    const json_t *extra = json_object_get(b->config, "extra_special_tokens"),
                 *older = json_object_get(b->config, "additional_special_tokens"),
                 *mapped = legacy ? json_object_get(b->map, "extra_special_tokens") : NULL,
                 *older_mapped = legacy ? json_object_get(b->map, "additional_special_tokens") : NULL;
    bool renamed = older && !json_array_size(extra) && !json_object_size(extra), later = false;
    if (renamed)
        extra = older;
    else if ((later = !json_is_array(extra) && !json_is_array(mapped)))
        extra = older_mapped ? older_mapped : older;
    return put_all_extra(l, extra, !later, false) || (json_is_array(mapped) && put_all_extra(l, mapped, true, true))
               ? -1
               : 0;
}

static int compare_given(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "given"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "given"));
    return (x > y) - (x < y);
}

/* Lists the tokens that have an id, by their id. */
static int list_numbered(lists *l, const gp_tokenizer_config *b, const json_t *decoder)
{
    const char *key;
    json_t *value, *all = json_array();
    size_t i;
    int rc = 0;
    json_object_foreach (decoder ? (json_t *)(uintptr_t)decoder : b->added, key, value) {
        json_t *token = NULL;
        if (decoder) {
            token = json_is_object(value) ? make_token(value, false) : NULL;
        } else {
            json_t *content = json_string(key);
            token = make_token(content, json_object_get(l->special, key) != NULL);
            json_decref(content);
        }
        char *end = NULL;
        json_int_t given = decoder ? strtoll(key, &end, 10) : json_integer_value(value);
        if (!token || (decoder ? *end || !*key : !json_is_integer(value)) || given < 0)
            rc = fail("%s has \"%.60s\", which is not a token with its id",
                      decoder ? "added_tokens_decoder of tokenizer_config.json" : "added_tokens.json", key);
        else
            json_array_append_new(all, json_pack("{s:I, s:O}", "given", given, "token", token));
        json_decref(token);
        if (rc)
            break;
    }
    size_t n = json_array_size(all);
    json_t **sorted = gp_malloc((n + 1) * sizeof *sorted);
    for (i = 0; i < n; i++)
        sorted[i] = json_array_get(all, i);
    qsort(sorted, n, sizeof *sorted, compare_given);
    for (i = 0; i < n; i++)
        json_array_append(l->numbered, sorted[i]);
    free(sorted);
    json_decref(all);
    return rc;
}

static bool has_name(const lists *l, const char *content)
{
    const char *key;
    json_t *one;
    json_object_foreach (l->named, key, one)
        if (!strcmp(content_of(one), content))
            return true;
    return false;
}

/* Named tokens are special, whatever their flags. */
static void make_special(const lists *l, json_t *token)
{
    if (content_of(token) && has_name(l, content_of(token)))
        json_object_set_new(token, "special", json_true());
}

/* Adds a token to those pending, unless its name is among the tokens before, or an equal one is pending. Of several
 * that differ, the last one applies. */
static void put_pending(json_t *pending, const json_t *before, const json_t *token)
{
    size_t i;
    json_t *one;
    bool there = find(before, content_of(token));
    json_array_foreach (pending, i, one)
        there |= json_equal(one, token);
    if (!there)
        json_array_append_new(pending, json_deep_copy(token));
}

static int add_all(gp_tokenizer_config *b, lists *l, json_t *tokens, const gp_words *vocab)
{
    size_t i;
    const char *key;
    json_t *one;
    bool legacy = !json_object_get(b->config, "added_tokens_decoder"); /* tokens of a tokenizer.json take its place */
    json_array_foreach (tokens, i, one) {
        bool before = json_is_true(json_object_get(one, "special"));
        if (legacy)
            make_special(l, one);
        b->changes |= before != json_is_true(json_object_get(one, "special"));
    }
    json_array_foreach (l->numbered, i, one) {
        json_t *token = json_object_get(one, "token");
        make_special(l, token);
        if (add_token(b, tokens, vocab, token, json_integer_value(json_object_get(one, "given"))))
            return -1;
    }
    json_t *before = json_deep_copy(tokens), *pending = json_array();
    json_object_foreach (l->named, key, one)
        put_pending(pending, before, one);
    json_array_foreach (l->extra, i, one)
        put_pending(pending, before, one);
    int rc = 0;
    json_array_foreach (pending, i, one) {
        make_special(l, one);
        if (!rc)
            rc = add_token(b, tokens, vocab, one, -1);
    }
    json_decref(before);
    json_decref(pending);
    return rc;
}

static bool is_numbered(const lists *l, const char *content)
{
    size_t i;
    json_t *one;
    json_array_foreach (l->numbered, i, one)
        if (!strcmp(content_of(json_object_get(one, "token")), content))
            return true;
    return false;
}

/* In transformers 5, GPT-2's class has no added tokens of a tokenizer.json except those in an added_tokens_decoder. */
static void warn_of_others(gp_tokenizer_config *b, const lists *l, const json_t *tokens)
{
    size_t i;
    json_t *one;
    json_array_foreach (tokens, i, one) {
        const char *content = content_of(one);
        if (content && !is_numbered(l, content) && !find(l->extra, content) && !has_name(l, content))
            gp_tokenizer_config_warn(
                b, gp_format("\"%.60s\", an added token of tokenizer.json, is not in the added_tokens_decoder of "
                             "tokenizer_config.json; it is used, but transformers 5 ignores it",
                             content));
    }
}

/* Warns of tokens that no file names, which the class adds to a vocabulary that lacks them: its model has no rows for
 * them. before: the number of added tokens of the tokenizer.json. */
static void warn_of_defaults(gp_tokenizer_config *b, const lists *l, const json_t *tokens, size_t before,
                             const gp_words *vocab)
{
    bool legacy = !json_object_get(b->config, "added_tokens_decoder");
    gp_buf names = {0};
    json_int_t first = 0;
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        const char *name = defaults[b->kind][i];
        const json_t *token = name ? find(tokens, name) : NULL;
        bool given = json_object_get(b->config, named[i]) || (legacy && json_object_get(b->map, named[i]));
        bool there = given || !token || gp_words_find(vocab, name) >= 0 || is_numbered(l, name) || find(l->extra, name);
        for (size_t k = 0; k < before; k++)
            there |= json_array_get(tokens, k) == token;
        if (there)
            continue;
        json_int_t id = json_integer_value(json_object_get(token, "id"));
        first = names.len ? gp_min(first, id) : id;
        gp_buf_printf(&names, "%s%s", names.len ? ", " : "", name);
    }
    if (names.len)
        gp_tokenizer_config_warn(b, gp_format("the vocabulary lacks %s; added after it from id %lld on, as in "
                                              "transformers, for which its model has no rows",
                                              names.data, (long long)first));
    gp_buf_release(&names);
}

int gp_tokenizer_config_add_tokens(gp_tokenizer_config *b, json_t *tokens, const gp_words *vocab)
{
    size_t before = json_array_size(tokens);
    lists l = {.numbered = json_array(), .named = json_object(), .extra = json_array(), .special = json_object()};
    const json_t *decoder = json_object_get(b->config, "added_tokens_decoder");
    bool legacy = !decoder;
    int rc = -1;
    if (json_is_true(json_object_get(b->config, "split_special_tokens")))
        fail("tokenizer_config.json sets split_special_tokens, which is not supported");
    else if (!list_named(&l, b, legacy) && !list_extra(&l, b, legacy) && !list_numbered(&l, b, decoder)) {
        if (decoder && b->kind == GP_CLASS_GPT2)
            warn_of_others(b, &l, tokens);
        rc = add_all(b, &l, tokens, vocab);
        if (!rc && (b->kind == GP_CLASS_BERT || b->kind == GP_CLASS_ROBERTA))
            warn_of_defaults(b, &l, tokens, before, vocab);
    }
    json_decref(l.numbered);
    json_decref(b->named);
    b->named = l.named;
    json_decref(l.extra);
    json_decref(l.special);
    return rc;
}
