/* tokenizer_beside.c: the settings that stand beside a vocabulary or a tokenizer.json, as AutoTokenizer of
 * transformers 5 takes them: tokenizer_config.json and, where that has no added_tokens_decoder,
 * special_tokens_map.json and added_tokens.json. Which tokens a class has of itself follows from tokenizer_class, or
 * config.json's model_type. Their added tokens: added_tokens.c. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_python.h"
#include "text/files/reader.h"

enum { FILE_MAX = 1 << 28 };

/* The object in a file of the folder, {} where there is none; NULL on failure. */
static json_t *read_object(const char *dir, const char *name)
{
    char *path = gp_path_join(dir, name);
    gp_buf text = {0};
    json_error_t e;
    json_t *object = NULL;
    int there = gp_exists(path);
    if (!there)
        object = json_object();
    if (there <= 0 || gp_file_read_regular(&text, path, FILE_MAX))
        goto out;
    /* Python wrote it: model_max_length is 1000000000000000019884624838656 where none was set */
    object = gp_json_load_python(text.data ? text.data : "", text.len, JSON_ALLOW_NUL, &e);
    if (!object)
        fail("%s: is not JSON: line %d: %s", path, e.line, e.text);
    else if (!json_is_object(object)) {
        fail("%s: holds JSON that is not an object", path);
        json_decref(object);
        object = NULL;
    }
out:
    gp_buf_release(&text);
    free(path);
    return object;
}

static bool begins(const char *text, const char *with)
{
    return text && !strncmp(text, with, strlen(with));
}

/* Without tokenizer_class it is that of the model, and without a model nothing is known. */
static gp_beside_class find_class(const json_t *config, const json_t *model)
{
    const json_t *own = json_object_get(config, "tokenizer_class"),
                 *of_model = json_object_get(model, "tokenizer_class");
    const char *name = json_string_value(json_is_string(own) ? own : of_model);
    const char *type = json_string_value(json_object_get(model, "model_type"));
    if (name)
        return begins(name, "GPT2Tokenizer") ? GP_CLASS_GPT2 : GP_CLASS_OTHER;
    if (type)
        return !strcmp(type, "gpt2") ? GP_CLASS_GPT2 : GP_CLASS_OTHER;
    return GP_CLASS_UNKNOWN;
}

int gp_beside_read(gp_beside *b, const char *dir)
{
    *b = (gp_beside){0};
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
    gp_beside_release(b);
    return -1;
}

void gp_beside_release(gp_beside *b)
{
    json_decref(b->config);
    json_decref(b->map);
    json_decref(b->added);
    json_decref(b->named);
    free(b->warning);
    *b = (gp_beside){0};
}

void gp_beside_warn(gp_beside *b, char *text)
{
    if (!b->warning)
        b->warning = text;
    else
        free(text);
}

/* GPT-2's class has add_prefix_space from tokenizer_config.json; other classes what the tokenizer.json has. */
void gp_beside_prefix_space(gp_beside *b, bool *space)
{
    static const char *const words[] = {"false", "true"};
    const json_t *set = json_object_get(b->config, "add_prefix_space");
    bool wanted = json_is_true(set), taken = json_is_boolean(set) && b->kind != GP_CLASS_OTHER;
    if (wanted == *space || (!json_is_boolean(set) && b->kind != GP_CLASS_GPT2))
        return;
    gp_beside_warn(
        b, gp_format("add_prefix_space is %s in tokenizer.json and %s in tokenizer_config.json; that of %s is taken",
                     words[*space], json_is_boolean(set) ? words[wanted] : "not set",
                     taken ? "tokenizer_config.json" : "tokenizer.json"));
    b->changes |= taken;
    *space = taken ? wanted : *space;
}
