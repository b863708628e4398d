/* tokenizer_json_settings.c: reads the normalizer, pre_tokenizer, post_processor and model settings of a
 * tokenizer.json. Many settings are equivalent to GPT-2's; others that would change the ids are rejected by name. */
#include <stdlib.h>
#include <string.h>

#include "text/files/reader.h"

static bool is(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

const char *gp_json_type(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : object && !json_is_null(object) ? "without a type" : "missing";
}

static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

/* Reads a boolean member of `what`. */
static int get_flag(const json_t *object, const char *key, bool default_value, bool *flag, const char *what,
                    const char *where)
{
    const json_t *value = get(object, key);
    *flag = value ? json_is_true(value) : default_value;
    return value && !json_is_boolean(value) ? fail("%s: %s of its %s is not true or false", where, key, what) : 0;
}

/* ---- normalizer ------------------------------------------------------------------------------------------ */

static int check_normalizer(const json_t *normalizer, const char *where)
{
    size_t i;
    json_t *one;
    const json_t *list = json_object_get(normalizer, "normalizers");
    if (!normalizer)
        return 0;
    if (!is(json_object_get(normalizer, "type"), "Sequence") || !json_is_array(list))
        return fail("%s: has a normalizer, %s; only tokenizers without one are supported", where,
                    gp_json_type(normalizer));
    json_array_foreach (list, i, one)
        if (check_normalizer(one, where))
            return -1;
    return 0;
}

/* ---- pre_tokenizer --------------------------------------------------------------------------------------- */

/* The effect of the pre_tokenizers read so far. */
typedef struct split {
    bool any, bytes, gpt2, prefix_space;
} split;

/* Forms of GPT-2's regex: that of encoder.py, and those of versions of tiktoken. They are equivalent: the possessive
 * runs never need to backtrack, \s++$ matches what \s+(?!\S) matches at the end of a text, and the last \s is reached
 * only by a single space. */
static bool is_gpt2_regex(const char *pattern)
{
    static const char *const known[] = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
    };
    return gp_find_name(known, ARRAY_LEN(known), pattern) >= 0;
}

/* The matches of the regex cover the text, so removing everything else (Removed, inverted) is the same as Isolated. */
static int add_split(split *s, const json_t *p, const char *where)
{
    const json_t *behavior = json_object_get(p, "behavior"), *invert = json_object_get(p, "invert");
    const char *pattern = json_string_value(json_object_get(json_object_get(p, "pattern"), "Regex"));
    if (s->bytes)
        return fail("%s: its pre_tokenizer splits after ByteLevel, which is not supported", where);
    if (!pattern || !is_gpt2_regex(pattern))
        return fail("%s: its pre_tokenizer splits by \"%.200s\"; only GPT-2's regex is supported", where,
                    pattern ? pattern : "a text");
    if (!is(behavior, "Isolated") && !(is(behavior, "Removed") && json_is_true(invert)))
        return fail("%s: its Split's behavior is %s%s; only Isolated is supported", where,
                    json_is_string(behavior) ? json_string_value(behavior) : "missing",
                    json_is_true(invert) ? ", inverted" : "");
    s->gpt2 = true;
    return 0;
}

static int add_byte_level(split *s, const json_t *p, const char *where)
{
    bool regex, space;
    if (s->bytes)
        return fail("%s: its pre_tokenizer has ByteLevel twice, which is not supported", where);
    if (get_flag(p, "use_regex", true, &regex, "pre_tokenizer", where) ||
        get_flag(p, "add_prefix_space", false, &space, "pre_tokenizer", where))
        return -1;
    if (space && s->gpt2)
        return fail("%s: its pre_tokenizer sets add_prefix_space after a Split, for each piece, which is not supported",
                    where);
    s->bytes = true;
    s->prefix_space = space;
    s->gpt2 |= regex;
    return 0;
}

static int add_pre_tokenizer(split *s, const json_t *p, const char *where)
{
    const json_t *type = json_object_get(p, "type"), *list = json_object_get(p, "pretokenizers");
    size_t i;
    json_t *one;
    if (is(type, "Sequence") && json_is_array(list)) {
        json_array_foreach (list, i, one)
            if (add_pre_tokenizer(s, one, where))
                return -1;
        return 0;
    }
    s->any = true;
    if (is(type, "ByteLevel"))
        return add_byte_level(s, p, where);
    if (is(type, "Split"))
        return add_split(s, p, where);
    return fail("%s: its pre_tokenizer is %s; only ByteLevel (GPT-2's split) is supported", where, gp_json_type(p));
}

static int read_split(gp_settings *settings, const json_t *p, const char *where)
{
    split s = {0};
    if (p && add_pre_tokenizer(&s, p, where))
        return -1;
    if (s.any && !s.bytes)
        return fail("%s: its pre_tokenizer splits text but not into bytes; only ByteLevel is supported", where);
    if (s.any && !s.gpt2)
        return fail("%s: its pre_tokenizer does not split (use_regex is false); only GPT-2's split is supported",
                    where);
    settings->splits = s.any;
    settings->prefix_space = s.prefix_space;
    return 0;
}

/* ---- post_processor -------------------------------------------------------------------------------------- */

/* Adds a special token of a TemplateProcessing, which may have several ids. */
static int add_special(gp_template_list *l, const json_t *special, const json_t *tokens, int32_t type,
                       const char *where)
{
    const char *name = json_string_value(json_object_get(special, "id"));
    const json_t *ids = name ? json_object_get(json_object_get(tokens, name), "ids") : NULL;
    size_t i;
    json_t *value;
    if (!json_is_array(ids))
        return fail("%s: its post_processor's template has a piece that is not supported", where);
    json_array_foreach (ids, i, value) {
        int32_t id = gp_reader_id(value, "its post_processor", where);
        if (id < 0)
            return -1;
        gp_template_list_add(l, id, type);
    }
    return 0;
}

/* Reads "single" or "pair" of a TemplateProcessing: each text once. */
static int read_template(gp_template_list *l, const json_t *p, const char *key, const char *where)
{
    const json_t *pieces = json_object_get(p, key), *tokens = json_object_get(p, "special_tokens");
    int expected = strcmp(key, "pair") ? 1 : 2, seen[2] = {0}; /* of A and of B */
    size_t i;
    json_t *piece;
    json_array_foreach (pieces, i, piece) {
        const json_t *text = json_object_get(piece, "Sequence"), *special = json_object_get(piece, "SpecialToken");
        const json_t *type = json_object_get(text ? text : special, "type_id");
        if (type && (!json_is_integer(type) || json_integer_value(type) < 0 || json_integer_value(type) > INT32_MAX))
            return fail("%s: a type_id of its post_processor is not a number from 0 to %d", where, INT32_MAX);
        int which = is(json_object_get(text, "id"), "A") ? 0 : is(json_object_get(text, "id"), "B") ? 1 : 2;
        if (which < expected && !seen[which]++)
            gp_template_list_add(l, which ? GP_TEMPLATE_B : GP_TEMPLATE_A, (int32_t)json_integer_value(type));
        else if (add_special(l, special, tokens, (int32_t)json_integer_value(type), where))
            return -1;
    }
    return seen[0] + seen[1] == expected ? 0
                                         : fail("%s: its post_processor's template \"%s\" does not contain %s", where,
                                                key, expected == 1 ? "the text" : "both texts");
}

/* A "pair" that is missing, which `tokenizers` refuses, or that does not have each text once is none: then pairs are
 * refused, and single texts are not. */
static int add_template(gp_template *t, const json_t *p, const char *where)
{
    gp_template new = {0};
    int rc = read_template(&new.single, p, "single", where);
    if (!rc && get(p, "pair") && read_template(&new.pair, p, "pair", where))
        new.pair.count = 0;
    if (!rc)
        gp_template_wrap(t, &new);
    gp_template_release(&new);
    return rc ? -1 : 0;
}

/* BertProcessing, ["[CLS]", id] before, ["[SEP]", id] after each text, and RobertaProcessing. */
static int add_cls_sep(gp_template *t, const json_t *p, bool roberta, const char *where)
{
    int32_t cls = gp_reader_id(json_array_get(json_object_get(p, "cls"), 1), "its post_processor", where);
    int32_t sep =
        cls < 0 ? -1 : gp_reader_id(json_array_get(json_object_get(p, "sep"), 1), "its post_processor", where);
    if (sep < 0)
        return -1;
    gp_template new = {0};
    gp_template_cls_sep(&new, cls, sep, roberta);
    gp_template_wrap(t, &new);
    gp_template_release(&new);
    return 0;
}

/* ByteLevel and RobertaProcessing leave spaces out of offsets. */
static int add_trim(gp_trim *trim, const json_t *p, const char *where)
{
    gp_trim one;
    if (get_flag(p, "trim_offsets", true, &one.spaces, "post_processor", where) ||
        get_flag(p, "add_prefix_space", true, &one.keeps_prefix, "post_processor", where))
        return -1;
    if (one.spaces)
        *trim = one;
    return 0;
}

static int add_post_processor(gp_settings *s, const json_t *p, const char *where)
{
    const json_t *type = json_object_get(p, "type"), *list = json_object_get(p, "processors");
    bool roberta = is(type, "RobertaProcessing");
    size_t i;
    json_t *one;
    if (!p)
        return 0;
    if (is(type, "TemplateProcessing"))
        return add_template(&s->template, p, where);
    if ((is(type, "ByteLevel") || roberta) && add_trim(&s->trim, p, where))
        return -1;
    if (is(type, "ByteLevel"))
        return 0;
    if (roberta || is(type, "BertProcessing"))
        return add_cls_sep(&s->template, p, roberta, where);
    if (!is(type, "Sequence") || !json_is_array(list))
        return fail("%s: its post_processor is %s, which is not supported", where, gp_json_type(p));
    json_array_foreach (list, i, one)
        if (add_post_processor(s, one, where))
            return -1;
    return 0;
}

/* ---- model ----------------------------------------------------------------------------------------------- */

static int read_model(gp_settings *s, const json_t *model, const char *where)
{
    static const char *const unknown[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *dropout = get(model, "dropout"), *unk = get(model, "unk_token");
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        const json_t *value = get(model, unknown[i]);
        if (value && !is(value, ""))
            return fail("%s: its model sets %s, which is not supported", where, unknown[i]);
    }
    if (dropout && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return fail("%s: its model sets dropout, which makes ids random, and is not supported", where);
    if (unk && !json_is_string(unk))
        return fail("%s: its model's unk_token is not a string", where);
    s->unknown = json_string_value(unk);
    return get_flag(model, "ignore_merges", false, &s->ignore_merges, "model", where) ||
                   get_flag(model, "fuse_unk", false, &s->fuse, "model", where) ||
                   get_flag(model, "byte_fallback", false, &s->byte_fallback, "model", where)
               ? -1
               : 0;
}

int gp_settings_read_post_processor(gp_settings *s, const json_t *p, const char *where)
{
    int rc = add_post_processor(s, json_is_null(p) ? NULL : p, where);
    if (rc)
        gp_template_release(&s->template);
    return rc;
}

int gp_settings_read(gp_settings *s, const json_t *root, const char *where)
{
    *s = (gp_settings){0};
    int rc = check_normalizer(get(root, "normalizer"), where) || read_model(s, json_object_get(root, "model"), where) ||
             read_split(s, get(root, "pre_tokenizer"), where) ||
             gp_settings_read_post_processor(s, json_object_get(root, "post_processor"), where);
    return rc ? -1 : 0;
}
