/* gguf_tokenizer.c: tokenizer.ggml.* as a tokenizer.json. Its tokens are written as in GPT-2's vocabulary files, so
 * they go from one to the other as they are. */
#include "base/json_write.h"
#include "base/utf8.h"
#include "checkpoint/gguf/gguf_tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* The lists of a file. */
typedef struct token_lists {
    const gp_gguf *g;
    const gp_gguf_pair *tokens, *types, *merges; /* types may be NULL */
    int64_t bos;                                 /* put before each text, or -1 */
} token_lists;

static const gp_gguf_pair *find_array(const gp_gguf *g, const char *key, bool strings)
{
    const gp_gguf_pair *p = gp_gguf_find(g, key);
    bool whole = p && p->type == GP_GGUF_ARRAY &&
                 (strings ? p->item == GP_GGUF_STRING : p->item == GP_GGUF_INT32 || p->item == GP_GGUF_UINT32);
    return whole ? p : NULL;
}

static int find_lists(token_lists *l)
{
    const gp_gguf *g = l->g;
    const char *path = g->path;
    bool adds = false;
    l->tokens = find_array(g, "tokenizer.ggml.tokens", true);
    l->merges = find_array(g, "tokenizer.ggml.merges", true);
    l->types = find_array(g, "tokenizer.ggml.token_type", false);
    if (!l->tokens || !l->merges)
        return fail("%s: its tokenizer: tokenizer.ggml.%s is missing, expected an array of strings", path,
                    l->tokens ? "merges" : "tokens");
    if (!l->types && gp_gguf_find(g, "tokenizer.ggml.token_type"))
        return fail("%s: its tokenizer: tokenizer.ggml.token_type is not an array of INT32", path);
    if (l->types && l->types->count != l->tokens->count)
        return fail("%s: its tokenizer has %lld token types, expected %lld, one for each token", path,
                    (long long)l->types->count, (long long)l->tokens->count);
    l->bos = -1;
    if (gp_gguf_bool(g, "tokenizer.ggml.add_bos_token", &adds) < 0 ||
        (adds && gp_gguf_integer(g, "tokenizer.ggml.bos_token_id", &l->bos) < 0))
        return -1;
    if (l->bos >= l->tokens->count)
        return fail("%s: its tokenizer: tokenizer.ggml.bos_token_id is %lld, expected less than %lld", path,
                    (long long)l->bos, (long long)l->tokens->count);
    return 0;
}

static int64_t type_of(const token_lists *l, int64_t id)
{
    int64_t type = GP_GGUF_NORMAL;
    if (l->types)
        gp_gguf_integer_at(l->types->data + 4 * id, l->types->item, &type);
    return type;
}

/* Appends "added_tokens": those that are no words of the model. */
static void put_added(gp_buf *b, const token_lists *l)
{
    const char *at = l->tokens->data, *comma = "";
    gp_buf_puts(b, "\"added_tokens\":[");
    for (int64_t id = 0; id < l->tokens->count; id++) {
        size_t n;
        const char *text = gp_gguf_next_string(&at, &n);
        int64_t type = type_of(l, id);
        if (type != GP_GGUF_CONTROL && type != GP_GGUF_USER_DEFINED)
            continue;
        gp_buf_printf(b, "%s{\"id\":%lld,\"content\":", comma, (long long)id);
        gp_json_quote_minimal(b, text, n);
        gp_buf_printf(b,
                      ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":%s}",
                      type == GP_GGUF_CONTROL ? "true" : "false");
        comma = ",";
    }
    gp_buf_puts(b, "],");
}

static void put_template(gp_buf *b, const token_lists *l)
{
    const char *at = l->tokens->data, *text = "";
    size_t n = 0;
    if (l->bos < 0) {
        gp_buf_puts(b, "\"post_processor\":null,");
        return;
    }
    for (int64_t id = 0; id <= l->bos; id++)
        text = gp_gguf_next_string(&at, &n);
    gp_buf_printf(b,
                  "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"bos\","
                  "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"SpecialToken\":{\"id\":"
                  "\"bos\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\","
                  "\"type_id\":1}}],\"special_tokens\":{\"bos\":{\"id\":\"bos\",\"ids\":[%lld],\"tokens\":[",
                  (long long)l->bos);
    gp_json_quote_minimal(b, text, n);
    gp_buf_puts(b, "]}}},");
}

/* Appends the vocabulary; what fills it up to the model's size is left out. */
static void put_vocab(gp_buf *b, const token_lists *l)
{
    const char *at = l->tokens->data, *comma = "";
    for (int64_t id = 0; id < l->tokens->count; id++) {
        size_t n;
        const char *text = gp_gguf_next_string(&at, &n);
        if (type_of(l, id) == GP_GGUF_UNUSED)
            continue;
        gp_buf_puts(b, comma);
        gp_json_quote_minimal(b, text, n);
        gp_buf_printf(b, ":%lld", (long long)id);
        comma = ",";
    }
}

static void put_merges(gp_buf *b, const token_lists *l)
{
    const char *at = l->merges->data;
    for (int64_t i = 0; i < l->merges->count; i++) {
        size_t n;
        const char *text = gp_gguf_next_string(&at, &n);
        gp_buf_puts(b, i ? "," : "");
        gp_json_quote_minimal(b, text, n);
    }
}

static int check_texts(const token_lists *l, const gp_gguf_pair *p, const char *what)
{
    const char *at = p->data;
    for (int64_t i = 0; i < p->count; i++) {
        size_t n;
        const char *text = gp_gguf_next_string(&at, &n);
        if (!gp_is_utf8(text, n))
            return fail("%s: its tokenizer: %s %lld is not UTF-8", l->g->path, what, (long long)i);
    }
    return 0;
}

static char *to_json(const token_lists *l, size_t *length)
{
    gp_buf b = {0};
    gp_buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,");
    put_added(&b, l);
    gp_buf_puts(&b, "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                    "\"trim_offsets\":true,\"use_regex\":true},");
    put_template(&b, l);
    gp_buf_puts(&b, "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":"
                    "true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                    "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    put_vocab(&b, l);
    gp_buf_puts(&b, "},\"merges\":[");
    put_merges(&b, l);
    gp_buf_puts(&b, "]}}");
    *length = b.len;
    return b.data;
}

/* Whether a name of the pre-split is one of GPT-2's (llama.cpp: LLAMA_VOCAB_PRE_TYPE_GPT2). Files from before there
 * were names, of April 2024 and older, have none. */
static bool is_gpt2_split(const char *name, size_t length)
{
    static const char *const names[] = {"", "gpt-2", "gpt2", "phi-2", "roberta-bpe"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (length == strlen(names[i]) && !memcmp(name, names[i], length))
            return true;
    return false;
}

int gp_gguf_tokenizer(const gp_gguf *g, char **text, size_t *length)
{
    token_lists l = {.g = g};
    const char *json = "", *model = "", *split = "";
    size_t json_length = 0, model_length = 0, split_length = 0;
    *text = NULL;
    if (gp_gguf_text(g, "tokenizer.huggingface.json", &json, &json_length) < 0 ||
        gp_gguf_text(g, "tokenizer.ggml.model", &model, &model_length) < 0 ||
        gp_gguf_text(g, "tokenizer.ggml.pre", &split, &split_length) < 0)
        return -1;
    if (json_length) {
        *length = json_length;
        *text = gp_strndup(json, json_length);
        return 0;
    }
    if (!model_length || (model_length == 4 && !memcmp(model, "none", 4)))
        return 0;
    if (model_length != 4 || memcmp(model, "gpt2", 4))
        return fail("%s: its tokenizer is %s (tokenizer.ggml.model), only gpt2, byte-level BPE, is supported", g->path,
                    gp_printable_bytes(model, gp_min((int64_t)model_length, 60)));
    if (!is_gpt2_split(split, split_length))
        return fail("%s: its tokenizer splits text as %s (tokenizer.ggml.pre), only gpt-2 is supported", g->path,
                    gp_printable_bytes(split, gp_min((int64_t)split_length, 60)));
    if (find_lists(&l) || check_texts(&l, l.tokens, "token") || check_texts(&l, l.merges, "merge"))
        return -1;
    *text = to_json(&l, length);
    return 0;
}
