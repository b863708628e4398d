/* tokens_metadata.c: the metadata of a token stream, as JSON. */
#include "data/tokens_metadata.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/json.h"
#include "base/json_write.h"

json_t *gp_tokens_metadata(const gp_tokens *s)
{
    json_error_t e;
    const gp_tokens_info *info = gp_tokens_get_info(s);
    json_t *root = gp_json_load(info->metadata, strlen(info->metadata), JSON_ALLOW_NUL, &e);
    if (!json_is_object(root)) {
        fail("%s: its metadata is not a JSON object: %s", info->name, root ? "it is something else" : e.text);
        json_decref(root);
        return NULL;
    }
    return root;
}

char *gp_tokens_member(const gp_tokens *s, const char *name)
{
    json_t *root = gp_tokens_metadata(s), *member = json_object_get(root, name);
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
    json_t *root = gp_tokens_metadata(s), *separator = json_object_get(root, "separator");
    json_t *t = json_object_get(separator, "text"), *list = json_object_get(separator, "ids");
    size_t n = json_array_size(list);
    int rc = -1;
    if (!root)
        return -1;
    if (!n) {
        fail("the token stream's metadata has no document separator");
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

/* Appends ,"name": before a member's value. These bytes go into the file, so they are compact. */
static void begin_member(gp_buf *b, const char *name)
{
    gp_buf_printf(b, "%s\"%s\":", b->data[b->len - 1] == '{' ? "" : ",", name);
}

static void put_text(gp_buf *b, const char *name, const char *text)
{
    if (!text)
        return;
    begin_member(b, name);
    gp_json_quote(b, text, strlen(text));
}

static void put_source(gp_buf *b, const gp_tokens_description *about)
{
    begin_member(b, "source");
    gp_buf_puts(b, "{");
    put_text(b, "name", about->source);
    put_text(b, "sha256", about->source_sha256);
    gp_buf_puts(b, "}");
}

static void put_separator(gp_buf *b, const gp_tokens_description *about)
{
    begin_member(b, "separator");
    gp_buf_puts(b, "{\"text\":");
    gp_json_quote(b, about->separator, about->separator_length);
    gp_buf_puts(b, ",\"ids\":[");
    for (int64_t i = 0; i < about->separator_count; i++)
        gp_buf_printf(b, "%s%d", i ? "," : "", about->separator_ids[i]);
    gp_buf_puts(b, "]}");
}

static void put_items(gp_buf *b, const gp_tokens_description *about)
{
    begin_member(b, "items");
    gp_buf_puts(b, "{");
    put_text(b, "text", about->text);
    put_text(b, "pair", about->pair);
    put_text(b, "label", about->label);
    begin_member(b, "labels");
    gp_buf_puts(b, "[");
    for (int i = 0; i < about->label_count; i++) {
        gp_buf_puts(b, i ? "," : "");
        gp_json_quote(b, about->labels[i], strlen(about->labels[i]));
    }
    gp_buf_puts(b, "]}");
}

/* Built as text, so that a tokenizer, megabytes of JSON, is not parsed and printed again. */
char *gp_tokens_describe(const gp_tokens_description *about)
{
    gp_buf b = {0};
    gp_buf_reserve(&b, (about->tokenizer ? strlen(about->tokenizer) : 0) + 1024);
    gp_buf_puts(&b, "{");
    if (about->source || about->source_sha256)
        put_source(&b, about);
    if (about->separator)
        put_separator(&b, about);
    if (about->label)
        put_items(&b, about);
    if (about->tokenizer) {
        begin_member(&b, "tokenizer");
        gp_buf_puts(&b, about->tokenizer);
    }
    if (about->entropy) {
        begin_member(&b, "entropy");
        gp_buf_puts(&b, about->entropy);
    }
    if (about->bayes) {
        begin_member(&b, "bayes");
        gp_buf_puts(&b, about->bayes);
    }
    gp_buf_puts(&b, "}");
    return b.data;
}
