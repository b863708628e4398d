/* gguf_config.c: the configuration in the metadata: "gpt2.block_count" and so on. */
#include "checkpoint/gguf/gguf.h"
#include "model/config.h"

#include <string.h>

enum { MAX_KEY = 96 };

/* An architecture that is read: llama.cpp's name of it. */
static const struct arch {
    const char *name;
    gp_family family;
} archs[] = {{"gpt2", GP_GPT2}, {"bert", GP_BERT}};

static const char *key_of(char key[MAX_KEY], const struct arch *a, const char *name)
{
    snprintf(key, MAX_KEY, "%s.%s", a->name, name);
    return key;
}

static int require(const gp_gguf *g, const struct arch *a, const char *name, int64_t *v)
{
    char key[MAX_KEY];
    int found = gp_gguf_integer(g, key_of(key, a, name), v);
    return found ? found : fail("%s: its metadata have no %s", g->path, key);
}

/* Rows of a table, 0 where there is none. */
static int64_t rows_of(const gp_container *k, const char *name)
{
    int64_t i = gp_container_find(k, name);
    return i >= 0 && k->tensors[i].ndim == 2 ? k->tensors[i].dim[0] : 0;
}

static int read_sizes(gp_config *c, const gp_container *k, const struct arch *a)
{
    const gp_gguf *g = gp_gguf_of(k);
    char key[MAX_KEY];
    if (require(g, a, "context_length", &c->positions) < 0 || require(g, a, "embedding_length", &c->channels) < 0 ||
        require(g, a, "block_count", &c->layers) < 0 || require(g, a, "attention.head_count", &c->heads) < 0)
        return -1;
    int inner = gp_gguf_integer(g, key_of(key, a, "feed_forward_length"), &c->inner);
    if (!inner && (c->channels < 1 || !gp_mul(4, c->channels, &c->inner)))
        return fail("%s: %s.embedding_length is %lld", k->path, a->name, (long long)c->channels);
    c->vocab_size = rows_of(k, "token_embd.weight");
    c->types = rows_of(k, "token_types.weight");
    if (!c->vocab_size)
        return fail("%s: tensor token_embd.weight is missing", k->path);
    return inner < 0 ? -1 : 0;
}

static int read_epsilon(gp_config *c, const gp_gguf *g, const struct arch *a)
{
    char key[MAX_KEY];
    int found = gp_gguf_real(g, key_of(key, a, "attention.layer_norm_epsilon"), &c->norm_eps);
    return found ? found : fail("%s: its metadata have no %s", g->path, key);
}

/* ids as llama.cpp has them: those that the model lacks are none. */
static int read_ids(gp_config *c, const gp_gguf *g)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
    int64_t id = -1;
    if (gp_gguf_integer(g, "tokenizer.ggml.bos_token_id", &id) < 0)
        return -1;
    c->bos_id = id >= 0 && id < c->vocab_size ? id : -1;
    c->end_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        id = -1;
        if (gp_gguf_integer(g, ends[i], &id) < 0)
            return -1;
        if (id >= 0 && id < c->vocab_size && !(c->end_count && c->ends[0] == id))
            c->ends[c->end_count++] = (int32_t)id;
    }
    return 0;
}

/* Whether a key's value is what the model computes anyway. Those that are not here must be known ones. */
static int check_value(const gp_config *c, const gp_gguf *g, const gp_gguf_pair *p, const char *name)
{
    char key[MAX_KEY];
    int64_t v = 0;
    bool causal;
    snprintf(key, sizeof key, "%.*s", (int)p->key_length, p->key);
    if (!strcmp(name, "attention.causal")) {
        if (gp_gguf_bool(g, key, &causal) < 0)
            return -1;
        return causal == c->causal
                   ? 0
                   : fail("%s: %s is %s, which is not supported", g->path, key, causal ? "true" : "false");
    }
    int64_t head = c->heads > 0 ? c->channels / c->heads : 0;
    int64_t expected = !strcmp(name, "attention.head_count_kv") ? c->heads
                       : !strncmp(name, "attention.", 10)       ? head
                                                                : c->vocab_size;
    if (gp_gguf_integer(g, key, &v) < 0)
        return -1;
    return v == expected ? 0
                         : fail("%s: %s is %lld, which is not supported (expected %lld)", g->path, key, (long long)v,
                                (long long)expected);
}

/* The other keys of the architecture: what would change the numbers is refused by name. */
static int check_keys(const gp_config *c, const gp_gguf *g, const struct arch *a)
{
    static const char *const read[] = {"context_length",      "embedding_length",     "block_count",
                                       "feed_forward_length", "attention.head_count", "attention.layer_norm_epsilon",
                                       "pooling_type",        "tensor_data_layout"};
    static const char *const checked[] = {"attention.causal", "attention.head_count_kv", "attention.key_length",
                                          "attention.value_length", "vocab_size"};
    size_t n = strlen(a->name);
    for (int64_t i = 0; i < g->pair_count; i++) {
        const gp_gguf_pair *p = &g->pairs[i];
        char name[MAX_KEY];
        if (p->key_length <= n || memcmp(p->key, a->name, n) || p->key[n] != '.')
            continue;
        int length = snprintf(name, sizeof name, "%.*s", (int)(p->key_length - n - 1), p->key + n + 1);
        if (length < MAX_KEY - (int)n - 1 && gp_find_name(checked, ARRAY_LEN(checked), name) >= 0) {
            if (check_value(c, g, p, name))
                return -1;
        } else if (gp_find_name(read, ARRAY_LEN(read), name) < 0 && strncmp(name, "rope.", 5)) {
            return fail("%s: metadata key %.*s is not supported", g->path, (int)p->key_length, p->key);
        }
    }
    return 0;
}

int gp_gguf_config(gp_config *c, const gp_container *k)
{
    const gp_gguf *g = gp_gguf_of(k);
    const struct arch *a = NULL;
    const char *name = NULL;
    size_t length = 0;
    int found = gp_gguf_text(g, "general.architecture", &name, &length);
    if (found < 0)
        return -1;
    if (!found)
        return fail("%s: its metadata have no general.architecture", k->path);
    for (size_t i = 0; i < ARRAY_LEN(archs); i++)
        if (length == strlen(archs[i].name) && !memcmp(name, archs[i].name, length))
            a = &archs[i];
    if (!a)
        return fail("%s: its architecture is %.*s; gpt2 and bert are supported", k->path,
                    (int)gp_min((int64_t)length, 60), name);
    *c = gp_config_defaults(a->family);
    if (read_sizes(c, k, a) || read_epsilon(c, g, a) < 0 || read_ids(c, g) || check_keys(c, g, a))
        return -1;
    return gp_config_check(c, k->path);
}
