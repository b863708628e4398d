/* tokenizer_json_settings.c: reads the normalizer, pre_tokenizer, post_processor and model settings of a
 * tokenizer.json. Many settings are equivalent to GPT-2's; others that would change the ids are rejected by name. */
#include <stdlib.h>
#include <string.h>

#include "text/files/reader.h"

static bool is(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "without a type";
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
        return fail("%s: has a normalizer, %s; only tokenizers without one are supported", where, type_of(normalizer));
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
    return fail("%s: its pre_tokenizer is %s; only ByteLevel (GPT-2's split) is supported", where, type_of(p));
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

void gp_template_release(gp_template *t)
{
    free(t->before);
    free(t->after);
    *t = (gp_template){0};
}

/* Inserts an id at an index of the ids before or after the text. */
static int put_id(gp_template *t, bool before, size_t index, const json_t *value, const char *where)
{
    int32_t **ids = before ? &t->before : &t->after;
    int64_t *count = before ? &t->before_count : &t->after_count;
    int32_t id = gp_reader_id(value, "its post_processor", where);
    if (id < 0)
        return -1;
    *ids = gp_realloc(*ids, (size_t)*count + 1, sizeof **ids);
    memmove(*ids + index + 1, *ids + index, ((size_t)*count - index) * sizeof **ids);
    (*ids)[index] = id;
    ++*count;
    return 0;
}

/* Adds the ids of a TemplateProcessing for one text, around those of earlier processors. */
static int add_template(gp_template *t, const json_t *p, const char *where)
{
    const json_t *pieces = json_object_get(p, "single"), *tokens = json_object_get(p, "special_tokens");
    bool after = false;
    size_t i, k, index = 0;
    json_t *piece, *id;
    json_array_foreach (pieces, i, piece) {
        const json_t *special = json_object_get(piece, "SpecialToken"), *text = json_object_get(piece, "Sequence");
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *ids = name ? json_object_get(json_object_get(tokens, name), "ids") : NULL;
        if (text && !after && is(json_object_get(text, "id"), "A")) {
            after = true;
            continue;
        }
        if (!json_is_array(ids))
            return fail("%s: its post_processor's template for one text has a piece that is not supported", where);
        json_array_foreach (ids, k, id) {
            if (put_id(t, !after, after ? (size_t)t->after_count : index++, id, where))
                return -1;
        }
    }
    return after ? 0 : fail("%s: its post_processor's template for one text does not contain the text", where);
}

/* Of BERT and RoBERTa: ["[CLS]", id] before, ["[SEP]", id] after. */
static int add_pair(gp_template *t, const json_t *p, const char *where)
{
    return put_id(t, true, 0, json_array_get(json_object_get(p, "cls"), 1), where) ||
                   put_id(t, false, (size_t)t->after_count, json_array_get(json_object_get(p, "sep"), 1), where)
               ? -1
               : 0;
}

static int add_post_processor(gp_template *t, const json_t *p, const char *where)
{
    const json_t *type = json_object_get(p, "type"), *list = json_object_get(p, "processors");
    size_t i;
    json_t *one;
    if (!p || is(type, "ByteLevel")) /* which only changes offsets */
        return 0;
    if (is(type, "TemplateProcessing"))
        return add_template(t, p, where);
    if (is(type, "BertProcessing") || is(type, "RobertaProcessing"))
        return add_pair(t, p, where);
    if (!is(type, "Sequence") || !json_is_array(list))
        return fail("%s: its post_processor is %s, which is not supported", where, type_of(p));
    json_array_foreach (list, i, one)
        if (add_post_processor(t, one, where))
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

int gp_settings_read(gp_settings *s, const json_t *root, const char *where)
{
    *s = (gp_settings){0};
    int rc = check_normalizer(get(root, "normalizer"), where) || read_model(s, json_object_get(root, "model"), where) ||
             read_split(s, get(root, "pre_tokenizer"), where) ||
             add_post_processor(&s->template, get(root, "post_processor"), where);
    if (rc)
        gp_template_release(&s->template);
    return rc ? -1 : 0;
}
