/* config.c: presets, checks, and Hugging Face's config.json. */
#include "gptpipe/config.h"
#include "base/base.h"
#include "model/params.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct preset {
    const char *name;
    int layers, heads, channels, positions, vocab_size;
} presets[] = {
    {"nano", 4, 4, 128, 256, 256},
    {"gpt2", 12, 12, 768, 1024, 50257},
    {"gpt2-medium", 24, 16, 1024, 1024, 50257},
    {"gpt2-large", 36, 20, 1280, 1024, 50257},
    {"gpt2-xl", 48, 25, 1600, 1024, 50257},
};

static const char *const family_names[] = {[GP_GPT2] = "gpt2", [GP_BERT] = "bert", [GP_ROBERTA] = "roberta"};

static gp_config defaults(gp_family family)
{
    bool gpt = family == GP_GPT2;
    return (gp_config){
        .family = family,
        .pad_id = gpt                 ? -1
                  : family == GP_BERT ? 0
                                      : 1,
        .bos_id = -1,
        .eos_id = -1,
        .position_offset = family == GP_ROBERTA ? 2 : 0,
        .causal = gpt,
        .post_norm = !gpt,
        .gelu_erf = !gpt,
        .bias = true,
        .tied = true,
        .head = gpt ? GP_HEAD_LM : GP_HEAD_MLM,
        .norm_eps = gpt ? 1e-5 : 1e-12,
        .init_std = 0.02,
    };
}

const char *gp_config_presets(void)
{
    return "nano|gpt2|gpt2-medium|gpt2-large|gpt2-xl";
}

int gp_config_preset(gp_config *c, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
        const struct preset *p = &presets[i];
        if (strcmp(p->name, name))
            continue;
        *c = defaults(GP_GPT2);
        c->layers = p->layers;
        c->heads = p->heads;
        c->channels = p->channels;
        c->inner = 4 * p->channels;
        c->positions = p->positions;
        c->vocab_size = p->vocab_size;
        return 0;
    }
    return fail("preset %s is unknown; there are %s", name, gp_config_presets());
}

int64_t gp_config_context(const gp_config *c)
{
    return c->positions - c->position_offset;
}

static int in_range(const char *where, const char *what, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return 0;
    return fail("%s: %s is %lld, expected %lld to %lld", where, what, (long long)value, (long long)least,
                (long long)most);
}

int gp_config_check(const gp_config *c, const char *where)
{
    /* The bounds keep every product of two dims and the sum of all below 2^62. */
    if (in_range(where, "vocabulary size", c->vocab_size, 1, 1 << 28) ||
        in_range(where, "number of layers", c->layers, 1, 4096) ||
        in_range(where, "number of channels", c->channels, 1, 1 << 20) ||
        in_range(where, "number of heads", c->heads, 1, c->channels) ||
        in_range(where, "MLP width", c->inner, 1, 1 << 22) ||
        in_range(where, "number of positions", c->positions, 1, 1 << 24) ||
        in_range(where, "number of token types", c->types, 0, 1 << 20) ||
        in_range(where, "position offset", c->position_offset, 0, c->positions - 1) ||
        in_range(where, "padding id", c->pad_id, -1, c->vocab_size - 1))
        return -1;
    if (c->channels % c->heads)
        return fail("%s: %lld channels do not divide into %lld heads", where, (long long)c->channels,
                    (long long)c->heads);
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return fail("%s: layer norm epsilon is %g, expected something small above 0", where, c->norm_eps);
    double p[] = {c->dropout_embd, c->dropout_attn, c->dropout_resid};
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        if (!(p[i] >= 0 && p[i] < 1))
            return fail("%s: dropout is %g, expected 0 <= p < 1", where, p[i]);
    if (c->post_norm && !c->bias)
        return fail("%s: post-norm models without biases are not supported", where);
    return 0;
}

int64_t gp_config_parameters(const gp_config *c)
{
    gp_params params;
    gp_params_list(&params, c);
    int64_t n = params.parameters;
    gp_params_release(&params);
    return n;
}

double gp_config_flops(const gp_config *c, int64_t T)
{
    double C = (double)c->channels, inner = (double)c->inner;
    double block = C * 3 * C + C * C + 2 * C * inner; /* qkv, projection, MLP: multiply-adds a token */
    double attention = 2 * C * (double)T;             /* q k^T and p v */
    double head = C * (double)c->vocab_size + (c->head == GP_HEAD_MLM ? C * C : 0);
    return 2 * ((double)c->layers * (block + attention) + head);
}

/* ---- Hugging Face's config.json ---------------------------------------------------------------------- */

/* The three families call the same thing by different names. */
typedef struct key {
    const char *name[2]; /* gpt2's, bert's and roberta's; NULL = does not exist there */
    size_t offset;
    bool needed;
} key;

static const key integers[] = {
    {{"vocab_size", "vocab_size"}, offsetof(gp_config, vocab_size), true},
    {{"n_layer", "num_hidden_layers"}, offsetof(gp_config, layers), true},
    {{"n_head", "num_attention_heads"}, offsetof(gp_config, heads), true},
    {{"n_embd", "hidden_size"}, offsetof(gp_config, channels), true},
    {{"n_positions", "max_position_embeddings"}, offsetof(gp_config, positions), true},
    {{"n_inner", "intermediate_size"}, offsetof(gp_config, inner), false},
    {{NULL, "type_vocab_size"}, offsetof(gp_config, types), true},
    {{"pad_token_id", "pad_token_id"}, offsetof(gp_config, pad_id), false},
    {{"bos_token_id", "bos_token_id"}, offsetof(gp_config, bos_id), false},
    {{"eos_token_id", "eos_token_id"}, offsetof(gp_config, eos_id), false},
};

static const key reals[] = {
    {{"layer_norm_epsilon", "layer_norm_eps"}, offsetof(gp_config, norm_eps), false},
    {{"embd_pdrop", "hidden_dropout_prob"}, offsetof(gp_config, dropout_embd), false},
    {{"attn_pdrop", "attention_probs_dropout_prob"}, offsetof(gp_config, dropout_attn), false},
    {{"resid_pdrop", "hidden_dropout_prob"}, offsetof(gp_config, dropout_resid), false},
    {{"initializer_range", "initializer_range"}, offsetof(gp_config, init_std), false},
};

/* Settings of transformers that change what is computed, and the one value that this code computes. */
static const struct {
    const char *name;
    bool value;
} fixed_flags[] = {
    {"scale_attn_weights", true},   {"scale_attn_by_inverse_layer_idx", false},
    {"add_cross_attention", false}, {"is_decoder", false},
    {"is_encoder_decoder", false},
};

static int read_integer(gp_config *c, json_t *root, const key *k, const char *where)
{
    const char *name = k->name[c->family != GP_GPT2];
    json_t *v = name ? json_object_get(root, name) : NULL;
    if (!name || ((!v || json_is_null(v)) && !k->needed))
        return 0;
    if (!v)
        return fail("%s: \"%s\" is missing", where, name);
    if (!json_is_integer(v))
        return fail("%s: \"%s\" is not a whole number", where, name);
    *(int64_t *)((char *)c + k->offset) = json_integer_value(v);
    return 0;
}

static int read_real(gp_config *c, json_t *root, const key *k, const char *where)
{
    const char *name = k->name[c->family != GP_GPT2];
    json_t *v = json_object_get(root, name);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return fail("%s: \"%s\" is not a number", where, name);
    *(double *)((char *)c + k->offset) = json_number_value(v);
    return 0;
}

static int read_activation(gp_config *c, json_t *root, const char *where)
{
    const char *name = c->family == GP_GPT2 ? "activation_function" : "hidden_act";
    const char *value = json_string_value(json_object_get(root, name));
    if (!value)
        return 0;
    if (!strcmp(value, "gelu"))
        c->gelu_erf = true;
    else if (!strcmp(value, "gelu_new") || !strcmp(value, "gelu_pytorch_tanh"))
        c->gelu_erf = false;
    else
        return fail("%s: %s is \"%s\"; gelu, gelu_new and gelu_pytorch_tanh are supported", where, name,
                    value);
    return 0;
}

static int read_flags(gp_config *c, json_t *root, const char *where)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed_flags); i++) {
        json_t *v = json_object_get(root, fixed_flags[i].name);
        if (v && json_is_boolean(v) && json_is_true(v) != fixed_flags[i].value)
            return fail("%s: %s is %s, which is not supported", where, fixed_flags[i].name,
                        json_is_true(v) ? "true" : "false");
    }
    const char *kind = json_string_value(json_object_get(root, "position_embedding_type"));
    if (kind && strcmp(kind, "absolute"))
        return fail("%s: position_embedding_type is \"%s\"; only absolute is supported", where, kind);
    json_t *v = json_object_get(root, "tie_word_embeddings");
    if (json_is_boolean(v))
        c->tied = json_is_true(v);
    v = json_object_get(root, "gptpipe_bias");
    if (json_is_boolean(v))
        c->bias = json_is_true(v);
    return read_activation(c, root, where);
}

static int read_family(gp_family *family, json_t *root, const char *where)
{
    const char *type = json_string_value(json_object_get(root, "model_type"));
    if (!type)
        return fail("%s: \"model_type\" is missing; gpt2, bert and roberta are known", where);
    for (size_t i = 0; i < ARRAY_LEN(family_names); i++)
        if (!strcmp(type, family_names[i])) {
            *family = (gp_family)i;
            return 0;
        }
    return fail("%s: model_type is \"%s\"; gpt2, bert and roberta are known", where, type);
}

int gp_config_from_json(gp_config *c, const char *json, size_t length, const char *where)
{
    json_error_t error;
    gp_family family = GP_GPT2;
    int rc = -1;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return fail("%s: is not JSON: line %d: %s", where, error.line, error.text);
    if (!json_is_object(root)) {
        fail("%s: is not a JSON object", where);
        goto out;
    }
    if (read_family(&family, root, where))
        goto out;
    *c = defaults(family);
    for (size_t i = 0; i < ARRAY_LEN(integers); i++)
        if (read_integer(c, root, &integers[i], where))
            goto out;
    for (size_t i = 0; i < ARRAY_LEN(reals); i++)
        if (read_real(c, root, &reals[i], where))
            goto out;
    if (read_flags(c, root, where))
        goto out;
    if (!c->inner && c->channels > 0 && c->channels <= 1 << 20)
        c->inner = 4 * c->channels;
    if (family == GP_ROBERTA)
        c->position_offset = c->pad_id + 1;
    rc = gp_config_check(c, where);
out:
    json_decref(root);
    return rc;
}

static json_t *id_or_null(int64_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

char *gp_config_to_json(const gp_config *c)
{
    static const char *const architectures[] = {"GPT2LMHeadModel", "BertForMaskedLM", "RobertaForMaskedLM"};
    bool gpt = c->family == GP_GPT2;
    json_t *root = json_object();
    json_object_set_new(root, "architectures", json_pack("[s]", architectures[c->family]));
    json_object_set_new(root, "model_type", json_string(family_names[c->family]));
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        const key *k = &integers[i];
        int64_t v = *(const int64_t *)((const char *)c + k->offset);
        if (k->name[!gpt])
            json_object_set_new(root, k->name[!gpt], id_or_null(v));
    }
    for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
        const key *k = &reals[i];
        double v = *(const double *)((const char *)c + k->offset);
        json_object_set_new(root, k->name[!gpt], json_real(v));
    }
    if (gpt)
        json_object_set_new(root, "n_ctx", json_integer(c->positions));
    json_object_set_new(root, gpt ? "activation_function" : "hidden_act",
                        json_string(c->gelu_erf ? "gelu" : "gelu_new"));
    json_object_set_new(root, "tie_word_embeddings", json_boolean(c->tied));
    if (!c->bias)
        json_object_set_new(root, "gptpipe_bias", json_false());
    json_object_set_new(root, "dtype", json_string("float32"));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    if (!text)
        die("out of memory");
    return text;
}
