/* tokenizer_config.c: the configuration in the folder of a vocabulary or a tokenizer.json, as AutoTokenizer of
 * transformers 5 reads it: tokenizer_config.json and, if that has no added_tokens_decoder, special_tokens_map.json and
 * added_tokens.json. The default tokens depend on the class, which follows from tokenizer_class or from the model_type
 * in config.json. added_tokens.c adds their tokens. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_python.h"
#include "text/files/reader.h"

/* The object in a file of the folder, {} if there is no such file; NULL on failure. */
static json_t *read_object(const char *dir, const char *name)
{
    char *path = gp_path_join(dir, name);
    gp_buf text = {0};
    json_error_t e;
    json_t *object = NULL;
    int exists = gp_exists(path);
    if (!exists)
        object = json_object();
    /* as Python, which writes 1000000000000000019884624838656 for a model_max_length that is not set */
    if (exists > 0 && !gp_file_read_regular(&text, path, GP_TOKENIZER_FILE_MAX))
        object = gp_reader_object(gp_json_load_python(text.data, text.len, JSON_ALLOW_NUL, &e), &e, path);
    gp_buf_release(&text);
    free(path);
    return object;
}

/* Models whose class in transformers 5 is BertTokenizer or RobertaTokenizer, or the same under another name. */
static const struct {
    const char *type, *name; /* model_type; what the name of the class begins with */
    gp_tokenizer_class kind;
} same_classes[] = {
    {"bert", "Bert", GP_CLASS_BERT},
    {"distilbert", "DistilBert", GP_CLASS_BERT},
    {"electra", "Electra", GP_CLASS_BERT},
    {"mobilebert", "MobileBert", GP_CLASS_BERT},
    {"convbert", "ConvBert", GP_CLASS_BERT},
    {"roberta", "Roberta", GP_CLASS_ROBERTA},
    {"roberta-prelayernorm", "Roberta", GP_CLASS_ROBERTA},
    {"bart", "Bart", GP_CLASS_ROBERTA},
    {"longformer", "Longformer", GP_CLASS_ROBERTA},
    {"led", "LED", GP_CLASS_ROBERTA},
    {"data2vec-text", "Roberta", GP_CLASS_ROBERTA},
    {"ibert", "Roberta", GP_CLASS_ROBERTA},
};

static bool is_class(const char *name, const char *prefix)
{
    static const char *const endings[] = {"Tokenizer", "TokenizerFast"};
    size_t n = strlen(prefix);
    return !strncmp(name, prefix, n) && gp_find_name(endings, ARRAY_LEN(endings), name + n) >= 0;
}

/* By tokenizer_class of either file, else by the model's type. */
static gp_tokenizer_class find_class(const json_t *config, const json_t *model)
{
    const json_t *own = json_object_get(config, "tokenizer_class"),
                 *of_model = json_object_get(model, "tokenizer_class");
    const char *name = json_string_value(json_is_string(own) ? own : of_model);
    const char *type = json_string_value(json_object_get(model, "model_type"));
    if (!name && !type)
        return GP_CLASS_UNKNOWN;
    if (name ? strstr(name, "GPT2Tokenizer") == name : !strcmp(type, "gpt2"))
        return GP_CLASS_GPT2;
    for (size_t i = 0; i < ARRAY_LEN(same_classes); i++)
        if (name ? is_class(name, same_classes[i].name) : !strcmp(type, same_classes[i].type))
            return same_classes[i].kind;
    return GP_CLASS_OTHER;
}

int gp_tokenizer_config_read(gp_tokenizer_config *b, const char *dir)
{
    *b = (gp_tokenizer_config){0};
    if (!dir)
        return 0;
    json_t *model = read_object(dir, "config.json");
    b->config = model ? read_object(dir, "tokenizer_config.json") : NULL;
    b->map = b->config ? read_object(dir, "special_tokens_map.json") : NULL;
    b->added = b->map ? read_object(dir, "added_tokens.json") : NULL;
    if (b->added)
        b->kind = find_class(b->config, model);
    json_decref(model);
    if (b->added)
        return 0;
    gp_tokenizer_config_release(b);
    return -1;
}

void gp_tokenizer_config_release(gp_tokenizer_config *b)
{
    json_decref(b->config);
    json_decref(b->map);
    json_decref(b->added);
    json_decref(b->named);
    free(b->warning);
    *b = (gp_tokenizer_config){0};
}

void gp_tokenizer_config_warn(gp_tokenizer_config *b, char *text)
{
    if (!b->warning)
        b->warning = text;
    else
        free(text);
}

const char *gp_tokenizer_config_named(const gp_tokenizer_config *b, const char *key)
{
    return json_string_value(json_object_get(json_object_get(b->named, key), "content"));
}

/* The id of "cls_token" or "sep_token", or -1. */
static int64_t id_of(const gp_tokenizer_config *b, const char *key, const json_t *tokens, const gp_words *vocab)
{
    const char *name = gp_tokenizer_config_named(b, key);
    size_t i;
    json_t *one;
    json_array_foreach (tokens, i, one)
        if (name && !strcmp(name, json_string_value(json_object_get(one, "content"))))
            return json_integer_value(json_object_get(one, "id"));
    int64_t word = name ? gp_words_find(vocab, name) : -1;
    return word >= 0 ? vocab->ids[word] : -1;
}

static bool are_equal(const gp_template_list *a, const gp_template_list *b)
{
    bool equal = a->count == b->count;
    for (int64_t i = 0; equal && i < a->count; i++)
        equal = a->tokens[i].id == b->tokens[i].id && a->tokens[i].type == b->tokens[i].type;
    return equal;
}

void gp_settings_class_template(gp_settings *s, gp_tokenizer_config *b, const json_t *tokens, const gp_words *vocab)
{
    gp_template own = {0};
    bool roberta = b->kind == GP_CLASS_ROBERTA;
    int64_t cls = id_of(b, "cls_token", tokens, vocab), sep = id_of(b, "sep_token", tokens, vocab);
    const json_t *trim = json_object_get(b->config, "trim_offsets");
    if (b->kind != (s->wordpiece ? GP_CLASS_BERT : GP_CLASS_ROBERTA) || cls < 0 || cls >= INT32_MAX || sep < 0 ||
        sep >= INT32_MAX)
        return;
    gp_template_cls_sep(&own, (int32_t)cls, (int32_t)sep, roberta);
    if (s->template.single.count &&
        (!are_equal(&own.single, &s->template.single) || !are_equal(&own.pair, &s->template.pair))) {
        gp_tokenizer_config_warn(b,
                                 gp_format("the post_processor of tokenizer.json is not that of the tokenizer's class, "
                                           "which transformers 5 uses; using that of the class"));
        b->changes = true;
    }
    gp_template_release(&s->template);
    s->template = own;
    if (roberta)
        s->trim = (gp_trim){.spaces = !json_is_false(trim), .keeps_prefix = s->prefix_space};
}

/* The classes of GPT-2 and RoBERTa take add_prefix_space from tokenizer_config.json, others from tokenizer.json. */
void gp_tokenizer_config_prefix_space(gp_tokenizer_config *b, bool *space)
{
    static const char *const words[] = {"false", "true"};
    const json_t *set = json_object_get(b->config, "add_prefix_space");
    bool value = json_is_true(set), used = json_is_boolean(set) && b->kind != GP_CLASS_OTHER;
    if (value == *space || (!json_is_boolean(set) && b->kind != GP_CLASS_GPT2 && b->kind != GP_CLASS_ROBERTA))
        return;
    gp_tokenizer_config_warn(
        b,
        gp_format("add_prefix_space is %s in tokenizer.json and %s in tokenizer_config.json; using %s", words[*space],
                  json_is_boolean(set) ? words[value] : "not set", used ? "tokenizer_config.json" : "tokenizer.json"));
    b->changes |= used;
    *space = used ? value : *space;
}
