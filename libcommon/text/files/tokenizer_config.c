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

/* By tokenizer_class of either file, else by the model's type. */
static gp_tokenizer_class find_class(const json_t *config, const json_t *model)
{
    const json_t *own = json_object_get(config, "tokenizer_class"),
                 *of_model = json_object_get(model, "tokenizer_class");
    const char *name = json_string_value(json_is_string(own) ? own : of_model);
    const char *type = json_string_value(json_object_get(model, "model_type"));
    /* whose class in transformers is BertTokenizer or the same under another name */
    static const char *const bert[] = {"Bert", "DistilBert", "Electra", "MobileBert", "ConvBert"};
    static const char *const types[] = {"bert", "distilbert", "electra", "mobilebert", "convbert"};
    static const char *const endings[] = {"Tokenizer", "TokenizerFast"};
    if (!name && !type)
        return GP_CLASS_UNKNOWN;
    if (name ? strstr(name, "GPT2Tokenizer") == name : !strcmp(type, "gpt2"))
        return GP_CLASS_GPT2;
    if (!name)
        return gp_find_name(types, ARRAY_LEN(types), type) >= 0 ? GP_CLASS_BERT : GP_CLASS_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(bert); i++)
        if (!strncmp(name, bert[i], strlen(bert[i])) &&
            gp_find_name(endings, ARRAY_LEN(endings), name + strlen(bert[i])) >= 0)
            return GP_CLASS_BERT;
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

/* GPT-2's class takes add_prefix_space from tokenizer_config.json, other classes from the tokenizer.json. */
void gp_tokenizer_config_prefix_space(gp_tokenizer_config *b, bool *space)
{
    static const char *const words[] = {"false", "true"};
    const json_t *set = json_object_get(b->config, "add_prefix_space");
    bool value = json_is_true(set), used = json_is_boolean(set) && b->kind != GP_CLASS_OTHER;
    if (value == *space || (!json_is_boolean(set) && b->kind != GP_CLASS_GPT2))
        return;
    gp_tokenizer_config_warn(
        b,
        gp_format("add_prefix_space is %s in tokenizer.json and %s in tokenizer_config.json; using %s", words[*space],
                  json_is_boolean(set) ? words[value] : "not set", used ? "tokenizer_config.json" : "tokenizer.json"));
    b->changes |= used;
    *space = used ? value : *space;
}
