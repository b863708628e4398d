/* config.c: presets, defaults and checks of configurations. Hugging Face's config.json is in config_json.c. */
#include "gptpipe/config.h"
#include "base/base.h"
#include "model/config.h"

#include <string.h>

static const struct preset {
    gp_family family;
    int layers, heads, channels, context, vocab_size;
} presets[] = {
    [GP_PRESET_NANO] = {GP_GPT2, 4, 4, 128, 256, 256},
    [GP_PRESET_GPT2] = {GP_GPT2, 12, 12, 768, 1024, 50257},
    [GP_PRESET_GPT2_MEDIUM] = {GP_GPT2, 24, 16, 1024, 1024, 50257},
    [GP_PRESET_GPT2_LARGE] = {GP_GPT2, 36, 20, 1280, 1024, 50257},
    [GP_PRESET_GPT2_XL] = {GP_GPT2, 48, 25, 1600, 1024, 50257},
    [GP_PRESET_BERT_NANO] = {GP_BERT, 2, 4, 128, 128, 4096},
    [GP_PRESET_BERT_BASE] = {GP_BERT, 12, 12, 768, 512, 30522},
    [GP_PRESET_ROBERTA_NANO] = {GP_ROBERTA, 2, 4, 128, 128, 4096},
    [GP_PRESET_ROBERTA_BASE] = {GP_ROBERTA, 12, 12, 768, 512, 50265},
};

gp_config gp_config_defaults(gp_family family)
{
    bool gpt = family == GP_GPT2;
    return (gp_config){
        .family = family,
        .pad_id = gpt                 ? -1
                  : family == GP_BERT ? 0
                                      : 1,
        .bos_id = -1,
        .position_offset = family == GP_ROBERTA ? 2 : 0,
        .pad_positions = family == GP_ROBERTA,
        .causal = gpt,
        .post_norm = !gpt,
        .activation = gpt ? GP_ACT_GELU_TANH : GP_ACT_GELU_ERF,
        .bias = true,
        .tied = true,
        .head = gpt ? GP_HEAD_LM : GP_HEAD_MLM,
        .head_last = gpt,
        .head_dense = !gpt,
        .head_dense_drops = family == GP_ROBERTA,
        .head_bias = !gpt,
        .norm_eps = gpt ? 1e-5 : 1e-12,
        .init_std = 0.02,
    };
}

gp_config gp_config_of_preset(gp_preset preset)
{
    const struct preset *p = &presets[preset];
    BUG_ON(!p->layers);
    gp_config c = gp_config_defaults(p->family);
    c.layers = p->layers;
    c.heads = p->heads;
    c.channels = p->channels;
    c.inner = 4 * p->channels;
    c.positions = p->context + c.position_offset;
    c.vocab_size = p->vocab_size;
    c.types = p->family == GP_GPT2 ? 0 : p->family == GP_BERT ? 2 : 1;
    if (p->family == GP_ROBERTA)
        c.norm_eps = 1e-5; /* as Liu et al. trained it; transformers' default is BERT's */
    return c;
}

int gp_config_preset(gp_config *c, const char *name)
{
    static const char *const names[] = {GP_PRESETS(GP_CHOICE_NAME)};
    int preset = gp_find_name(names, ARRAY_LEN(names), name);
    if (preset <= GP_PRESET_NONE)
        return fail("preset %s is unknown", name);
    *c = gp_config_of_preset((gp_preset)preset);
    return 0;
}

int64_t gp_config_padding(const gp_config *c)
{
    return c->family == GP_GPT2 ? -1 : c->pad_id;
}

gp_act gp_config_head_activation(const gp_config *c)
{
    return c->family == GP_ROBERTA ? GP_ACT_GELU_ERF : c->activation;
}

bool gp_config_predicts_tokens(const gp_config *c)
{
    return c->head == GP_HEAD_LM || c->head == GP_HEAD_MLM;
}

const char *gp_config_label(const gp_config *c, int64_t label)
{
    const char *name = c->label_names;
    BUG_ON(label < 0 || label >= c->labels);
    while (label--)
        name += strlen(name) + 1;
    return name;
}

const char *gp_label_unnamed(int64_t label, char text[GP_LABEL_UNNAMED])
{
    snprintf(text, GP_LABEL_UNNAMED, "LABEL_%lld", (long long)label);
    return text;
}

int gp_config_classify(gp_config *c, int64_t labels, const char *const *names, const char *where)
{
    size_t at = 0;
    if (labels < 2)
        return fail("%s: %lld labels, expected at least 2", where, (long long)labels);
    for (int64_t i = 0; i < labels; i++) {
        char unnamed[GP_LABEL_UNNAMED];
        const char *name = names ? names[i] : gp_label_unnamed(i, unnamed);
        size_t n = strlen(name) + 1;
        if (n > GP_LABEL_NAMES - at)
            return fail("%s: the names of its %lld labels take more than %d bytes", where, (long long)labels,
                        GP_LABEL_NAMES);
        memcpy(c->label_names + at, name, n);
        at += n;
    }
    memset(c->label_names + at, 0, GP_LABEL_NAMES - at);
    c->labels = labels;
    c->head = GP_HEAD_CLASSIFY;
    return 0;
}

int64_t gp_config_context(const gp_config *c)
{
    return c->positions - c->position_offset;
}

static int check_range(const char *where, const char *what, int64_t value, int64_t min, int64_t max)
{
    if (value >= min && value <= max)
        return 0;
    return fail("%s: %s is %lld, expected %lld to %lld", where, what, (long long)value, (long long)min, (long long)max);
}

int gp_config_check(const gp_config *c, const char *where)
{
    /* The bounds keep every product of two dims and the sum of all below 2^62. */
    if (check_range(where, "vocabulary size", c->vocab_size, 1, 1 << 28) ||
        check_range(where, "number of layers", c->layers, 1, 4096) ||
        check_range(where, "number of channels", c->channels, 1, 1 << 20) ||
        check_range(where, "number of heads", c->heads, 1, c->channels) ||
        check_range(where, "MLP width", c->inner, 1, 1 << 22) ||
        check_range(where, "number of positions", c->positions, 1, 1 << 24) ||
        check_range(where, "number of token types", c->types, 0, 1 << 20) ||
        check_range(where, "position offset", c->position_offset, 0, c->positions - 1) ||
        check_range(where, "padding id", gp_config_padding(c), -1, c->vocab_size - 1) ||
        (c->head == GP_HEAD_CLASSIFY && check_range(where, "number of labels", c->labels, 2, GP_LABEL_NAMES)))
        return -1;
    if (c->channels % c->heads)
        return fail("%s: %lld channels do not divide into %lld heads", where, (long long)c->channels,
                    (long long)c->heads);
    if (c->activation == GP_ACT_NONE)
        return fail("%s: the MLP has no activation", where);
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return fail("%s: layer norm epsilon is %g, expected 0 < epsilon < 1", where, c->norm_eps);
    double p[] = {c->dropout_embd, c->dropout_attn, c->dropout_resid, c->dropout_head};
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        if (!(p[i] >= 0 && p[i] < 1))
            return fail("%s: dropout is %g, expected 0 <= p < 1", where, p[i]);
    if (c->post_norm && !c->bias)
        return fail("%s: post-norm models without biases are not supported", where);
    return 0;
}
