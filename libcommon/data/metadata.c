/* metadata.c: what a token stream says about itself, as JSON. */
#include "gptpipe/tokens.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static json_t *load(const gp_tokens *s)
{
    json_error_t e;
    json_t *root = json_loads(gp_tokens_get_info(s)->metadata, JSON_ALLOW_NUL, &e);
    if (!json_is_object(root)) {
        fail("the token stream's metadata is not a JSON object: %s", root ? "it is something else" : e.text);
        json_decref(root);
        return NULL;
    }
    return root;
}

char *gp_tokens_member(const gp_tokens *s, const char *name)
{
    json_t *root = load(s), *member = json_object_get(root, name);
    char *text = NULL;
    if (member)
        text = json_dumps(member, JSON_COMPACT | JSON_ENCODE_ANY);
    else if (root)
        fail("the token stream's metadata has no %s", name);
    json_decref(root);
    return text;
}

int gp_tokens_separator(const gp_tokens *s, char **text, size_t *length, int32_t **ids, int64_t *count)
{
    json_t *root = load(s), *separator = json_object_get(root, "separator");
    json_t *t = json_object_get(separator, "text"), *list = json_object_get(separator, "ids");
    size_t n = json_array_size(list);
    int rc = -1;
    if (!root)
        return -1;
    if (!n) {
        fail("the token stream does not say what separates its documents");
        goto out;
    }
    *ids = gp_malloc(n * sizeof **ids);
    for (size_t i = 0; i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (!json_is_integer(json_array_get(list, i)) || id < 0 || id >= gp_tokens_get_info(s)->vocab_size) {
            fail("the token stream's metadata has a separator whose ids are not ids of its vocabulary");
            free(*ids);
            goto out;
        }
        (*ids)[i] = (int32_t)id;
    }
    *count = (int64_t)n;
    *length = json_string_length(t);
    *text = gp_strndup(t ? json_string_value(t) : "", *length);
    rc = 0;
out:
    json_decref(root);
    return rc;
}

/* text parsed into member `name` of root; nothing when text is NULL. */
static int put_json(json_t *root, const char *name, const char *text)
{
    json_error_t e;
    json_t *member = text ? json_loads(text, JSON_ALLOW_NUL, &e) : NULL;
    if (text && !member)
        return fail("%s for a token stream's metadata is not JSON: %s", name, e.text);
    if (member)
        json_object_set_new(root, name, member);
    return 0;
}

char *gp_tokens_describe(const gp_tokens_about *about)
{
    json_t *root = json_object(), *source = json_object();
    char *text = NULL;
    if (put_json(root, "tokenizer", about->tokenizer))
        goto out;
    if (about->source)
        json_object_set_new(source, "name", json_string(about->source));
    if (about->source_sha256)
        json_object_set_new(source, "sha256", json_string(about->source_sha256));
    if (json_object_size(source))
        json_object_set(root, "source", source);
    if (about->separator) {
        json_t *separator = json_object(), *ids = json_array();
        json_t *string = json_stringn(about->separator, about->separator_length);
        if (!string)
            string = json_string("");
        json_object_set_new(separator, "text", string);
        for (int64_t i = 0; i < about->separator_count; i++)
            json_array_append_new(ids, json_integer(about->separator_ids[i]));
        json_object_set_new(separator, "ids", ids);
        json_object_set_new(root, "separator", separator);
    }
    if (!put_json(root, "entropy", about->entropy))
        text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
out:
    json_decref(source);
    json_decref(root);
    return text;
}
