/* added_tokens.c: the added tokens that the files beside a vocabulary or a tokenizer.json name, as AutoTokenizer of
 * transformers 5 adds them; the files: tokenizer_beside.c. */
#include <stdlib.h>
#include <string.h>

#include "text/files/reader.h"

/* The names of special tokens, in the order in which transformers adds them. */
static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { OWN_NAMES = 3 }; /* bos, eos, unk: GPT-2's class has end-of-text for them where nothing else is set */

/* ---- one token ------------------------------------------------------------------------------------------- */

/* A token as tokenizer.json has them, but for its id; from its name or an object. NULL: it is neither. */
static json_t *make_token(const json_t *value, bool special)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    bool whole = json_is_object(value);
    const json_t *content = whole ? json_object_get(value, "content") : value,
                 *set = whole ? json_object_get(value, "special") : NULL,
                 *normalized = whole ? json_object_get(value, "normalized") : NULL;
    if (!json_is_string(content))
        return NULL;
    special = set ? json_is_true(set) : special;
    json_t *token = json_pack("{s:O}", "content", content);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        json_object_set_new(token, flags[i], json_boolean(whole && json_is_true(json_object_get(value, flags[i]))));
    json_object_set_new(token, "normalized",
                        json_boolean(json_is_boolean(normalized) ? json_is_true(normalized) : !special));
    json_object_set_new(token, "special", json_boolean(special));
    json_object_set_new(token, "whole", json_boolean(whole)); /* a text differs from an object with its flags */
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

/* Adds a token to a tokenizer.json's, or gives one that is there its flags. tokenizers goes by what the vocabulary and
 * the tokens before it come to, not by the id in a file (given; -1: none). It never takes from a token that it is
 * special; but GPT-2's class makes its tokens anew where added_tokens_decoder is there. */
static int add_token(gp_beside *b, json_t *tokens, const json_t *vocab, const json_t *token, json_int_t given)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    const char *content = content_of(token);
    const json_t *word = json_object_get(vocab, content);
    json_t *there = find(tokens, content);
    json_int_t next = (json_int_t)json_object_size(vocab), id;
    size_t i;
    json_t *one;
    if (!*content) /* as tokenizers does */
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
    id = json_integer_value(there ? json_object_get(there, "id") : word);
    id = there || word ? id : next;
    if (given >= 0 && given != id)
        gp_beside_warn(b, gp_format("the files beside the vocabulary give the added token \"%.60s\" the id %lld; as in "
                                    "transformers it is %lld, by the tokens before it",
                                    content, (long long)given, (long long)id));
    if (there)
        return 0;
    if (id < 0 || id >= GP_VOCAB_MAX)
        return fail("added token \"%.60s\" would be %lld, beyond the ids that are known", content, (long long)id);
    json_t *copy = json_deep_copy(token);
    json_object_del(copy, "whole");
    json_object_set_new(copy, "id", json_integer(id));
    b->changes = true;
    return json_array_append_new(tokens, copy);
}

/* ---- all tokens ------------------------------------------------------------------------------------------ */

/* What is known of the tokens beside a vocabulary before they are added. */
typedef struct lists {
    json_t *numbered; /* [{"given": id, "token": {...}}, ...] */
    json_t *named;    /* {"bos_token": {...}, ...}, of GPT-2's class by default, and those of a model */
    json_t *extra;    /* [{...}, ...] */
    json_t *known;    /* {"[PAD]": true, ...}: special for added_tokens.json, which transformers reads before objects of
                         tokenizer_config.json and the older name in special_tokens_map.json are seen through */
} lists;

static int bad_token(const char *key)
{
    return fail("%s of the files beside the vocabulary is not a token (a text, or an object with \"content\")", key);
}

static void know(lists *l, const json_t *value)
{
    const char *content = json_is_string(value) ? json_string_value(value) : content_of(value);
    if (content)
        json_object_set_new(l->known, content, json_true());
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

static bool ends_in_token(const char *key)
{
    size_t n = strlen(key), m = strlen("_token");
    return n > m && !strcmp(key + n - m, "_token");
}

static bool is_named(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (!strcmp(key, named[i]))
            return true;
    return false;
}

/* The special tokens that have names, in their order: seven known ones, then a model's own. */
static int list_named(lists *l, const gp_beside *b, bool legacy)
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
                know(l, value);
        } else if (!value && b->kind == GP_CLASS_GPT2 && i < OWN_NAMES) {
            json_t *end = json_string(GP_END_OF_TEXT_NAME);
            put_named(l, named[i], end, true);
            json_decref(end);
        }
    }
    for (int texts = 0; texts < 2; texts++) /* transformers has those first that are objects */
        json_object_foreach (b->config, key, value) {
            bool token = texts ? json_is_string(value) : json_is_object(value);
            if (ends_in_token(key) && !is_named(key) && token && put_named(l, key, value, texts))
                return -1;
        }
    json_t *extra = json_object_get(b->config, "extra_special_tokens");
    if (json_is_object(extra))
        json_object_foreach (extra, key, value)
            if (put_named(l, key, value, json_is_string(value)))
                return -1;
    return 0;
}

static int put_all_extra(lists *l, const json_t *list, bool texts_known, bool objects_known)
{
    size_t i;
    json_t *value;
    json_array_foreach (list, i, value) {
        if (put_extra(l, value))
            return -1;
        if (json_is_string(value) ? texts_known : objects_known)
            know(l, value);
    }
    return 0;
}

/* additional_special_tokens is the older name of extra_special_tokens: it counts where that is no list, or an empty
 * one, and that of special_tokens_map.json where it is none at all. */
static int list_extra(lists *l, const gp_beside *b, bool legacy)
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

/* The tokens that have an id, by it. */
static int list_numbered(lists *l, const gp_beside *b, const json_t *decoder)
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
            token = make_token(content, json_object_get(l->known, key) != NULL);
            json_decref(content);
        }
        char *end = NULL;
        json_int_t given = decoder ? strtoll(key, &end, 10) : json_integer_value(value);
        if (!token || (decoder ? *end || !*key : !json_is_integer(value)) || given < 0)
            rc = fail("%s has \"%.60s\", which is no token with its id",
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

/* Tokens that have a name are special, whatever is said of them. */
static void make_special(const lists *l, json_t *token)
{
    if (content_of(token) && has_name(l, content_of(token)))
        json_object_set_new(token, "special", json_true());
}

/* One more to be added, unless a token of its name is there or the very same is pending. Of several that differ the
 * last counts. */
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

static int add_all(gp_beside *b, lists *l, json_t *tokens, const json_t *vocab)
{
    size_t i;
    const char *key;
    json_t *one;
    bool legacy = !json_object_get(b->config, "added_tokens_decoder"); /* a tokenizer.json's tokens are in its place */
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

/* transformers' GPT-2 class of version 5 has no other added tokens than those beside the tokenizer.json, where
 * added_tokens_decoder lists them. */
static void tell_of_others(gp_beside *b, const lists *l, const json_t *tokens)
{
    size_t i;
    json_t *one;
    json_array_foreach (tokens, i, one) {
        const char *content = content_of(one);
        if (content && !is_numbered(l, content) && !find(l->extra, content) && !has_name(l, content))
            gp_beside_warn(b,
                           gp_format("added_tokens_decoder of tokenizer_config.json lacks \"%.60s\", an added token of "
                                     "tokenizer.json: it stays one, where transformers 5 leaves it out",
                                     content));
    }
}

int gp_beside_add(gp_beside *b, json_t *tokens, const json_t *vocab)
{
    lists l = {.numbered = json_array(), .named = json_object(), .extra = json_array(), .known = json_object()};
    const json_t *decoder = json_object_get(b->config, "added_tokens_decoder");
    bool legacy = !decoder;
    int rc = -1;
    if (json_is_true(json_object_get(b->config, "split_special_tokens")))
        fail("tokenizer_config.json sets split_special_tokens, which is not supported");
    else if (!list_named(&l, b, legacy) && !list_extra(&l, b, legacy) && !list_numbered(&l, b, decoder)) {
        if (decoder && b->kind == GP_CLASS_GPT2)
            tell_of_others(b, &l, tokens);
        rc = add_all(b, &l, tokens, vocab);
    }
    json_decref(l.numbered);
    json_decref(b->named);
    b->named = l.named;
    json_decref(l.extra);
    json_decref(l.known);
    return rc;
}
