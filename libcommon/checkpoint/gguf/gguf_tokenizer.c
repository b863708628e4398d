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
    int64_t bos, eos, sep; /* put before each text, after each, and between those of a pair; or -1 */
} token_lists;

static const gp_gguf_pair *find_array(const gp_gguf *g, const char *key, bool strings)
{
    const gp_gguf_pair *p = gp_gguf_find(g, key);
    bool whole = p && p->type == GP_GGUF_ARRAY &&
                 (strings ? p->item == GP_GGUF_STRING : p->item == GP_GGUF_INT32 || p->item == GP_GGUF_UINT32);
    return whole ? p : NULL;
}

/* The id of a token that add_NAME_token says is put around texts, else -1. gguf spells sep's key "seperator". */
static int find_added(const token_lists *l, const char *name, const char *key_name, int64_t *id)
{
    char key[64];
    bool adds = false;
    *id = -1;
    snprintf(key, sizeof key, "tokenizer.ggml.add_%s_token", name);
    if (gp_gguf_bool(l->g, key, &adds) < 0)
        return -1;
    snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", key_name);
    if (!adds || gp_gguf_integer(l->g, key, id) < 0)
        return adds ? -1 : 0;
    if (*id >= 0 && *id < l->tokens->count)
        return 0;
    return fail("%s: its tokenizer adds %s to texts, but %s is %s, expected 0 to %lld", l->g->path, name, key,
                gp_gguf_find(l->g, key) ? "another number" : "missing", (long long)l->tokens->count - 1);
}

static int find_lists(token_lists *l)
{
    const gp_gguf *g = l->g;
    const char *path = g->path;
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
    return find_added(l, "bos", "bos", &l->bos) || find_added(l, "eos", "eos", &l->eos) ||
                   find_added(l, "sep", "seperator", &l->sep)
               ? -1
               : 0;
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

/* Appends a text of a template with the tokens next to it: the one before it, unless that is -1, and eos. */
static void put_sequence(gp_buf *b, const token_lists *l, int64_t before, char name)
{
    static const char special[] = "{\"SpecialToken\":{\"id\":\"id %lld\",\"type_id\":0}}%s";
    if (before >= 0)
        gp_buf_printf(b, special, (long long)before, ",");
    gp_buf_printf(b, "{\"Sequence\":{\"id\":\"%c\",\"type_id\":0}}%s", name, l->eos >= 0 ? "," : "");
    if (l->eos >= 0)
        gp_buf_printf(b, special, (long long)l->eos, "");
}

static void put_special_token(gp_buf *b, const token_lists *l, long long id)
{
    const char *at = l->tokens->data, *text = "";
    size_t n = 0;
    for (int64_t i = 0; i <= id; i++)
        text = gp_gguf_next_string(&at, &n);
    gp_buf_printf(b, "\"id %lld\":{\"id\":\"id %lld\",\"ids\":[%lld],\"tokens\":[", id, id, id);
    gp_json_quote_minimal(b, text, n);
    gp_buf_puts(b, "]}");
}

/* bos A eos, and as llama.cpp joins two texts, bos A eos sep B eos: RoBERTa's, whose types are all 0. */
static void put_template(gp_buf *b, const token_lists *l)
{
    const int64_t ids[] = {l->bos, l->eos, l->sep};
    const char *comma = "";
    gp_buf_puts(b, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    put_sequence(b, l, l->bos, 'A');
    gp_buf_puts(b, "],\"pair\":[");
    put_sequence(b, l, l->bos, 'A');
    gp_buf_puts(b, ",");
    put_sequence(b, l, l->sep, 'B');
    gp_buf_puts(b, "],\"special_tokens\":{");
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        if (ids[i] < 0 || (i > 0 && ids[i] == ids[0]) || (i > 1 && ids[i] == ids[1]))
            continue;
        gp_buf_puts(b, comma);
        put_special_token(b, l, ids[i]);
        comma = ",";
    }
    gp_buf_puts(b, "}},");
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
    if (l->bos >= 0 || l->eos >= 0 || l->sep >= 0)
        put_template(&b, l);
    else
        gp_buf_puts(&b, "\"post_processor\":null,");
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
