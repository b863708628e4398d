/* config_json.c: Hugging Face's config.json, and end ids from generation_config.json. A setting that changes what
 * transformers computes is either supported or refused by name; keys that do not affect the results are ignored. */
#include "base/json_python.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *class; /* model_type; prefix of its classes */
} families[] = {
    [GP_GPT2] = {"gpt2", "GPT2"},
    [GP_BERT] = {"bert", "Bert"},
    [GP_ROBERTA] = {"roberta", "Roberta"},
};
static const char known_families[] = "supported are gpt2, bert and roberta";

typedef struct key {
    const char *name[2]; /* in gpt2; in bert and roberta; NULL = does not exist there */
    const char *alias;   /* another name in gpt2, from transformers' attribute_map */
    size_t offset;
    enum { OPTIONAL, NOT_NULL, NEEDED } need;
    bool shapes; /* it determines the shape of a tensor */
} key;

/* clang-format off */
static const key integers[] = {
    {{"vocab_size", "vocab_size"}, NULL, offsetof(gp_config, vocab_size), NEEDED, true},
    {{"n_layer", "num_hidden_layers"}, "num_hidden_layers", offsetof(gp_config, layers), NEEDED, true},
    {{"n_head", "num_attention_heads"}, "num_attention_heads", offsetof(gp_config, heads), NEEDED, false},
    {{"n_embd", "hidden_size"}, "hidden_size", offsetof(gp_config, channels), NEEDED, true},
    {{"n_positions", "max_position_embeddings"}, "max_position_embeddings", offsetof(gp_config, positions), NEEDED, true},
    {{"n_inner", "intermediate_size"}, NULL, offsetof(gp_config, inner), OPTIONAL, true},
    {{NULL, "type_vocab_size"}, NULL, offsetof(gp_config, types), NEEDED, true},
    {{"pad_token_id", "pad_token_id"}, NULL, offsetof(gp_config, pad_id), OPTIONAL, false},
    {{"bos_token_id", "bos_token_id"}, NULL, offsetof(gp_config, bos_id), OPTIONAL, false},
};

static const key reals[] = {
    {{"layer_norm_epsilon", "layer_norm_eps"}, NULL, offsetof(gp_config, norm_eps), NOT_NULL, false},
    {{"embd_pdrop", "hidden_dropout_prob"}, NULL, offsetof(gp_config, dropout_embd), OPTIONAL, false},
    {{"attn_pdrop", "attention_probs_dropout_prob"}, NULL, offsetof(gp_config, dropout_attn), OPTIONAL, false},
    {{"resid_pdrop", "hidden_dropout_prob"}, NULL, offsetof(gp_config, dropout_resid), OPTIONAL, false},
    {{"initializer_range", "initializer_range"}, NULL, offsetof(gp_config, init_std), OPTIONAL, false},
};

/* Booleans, written to config.json if they are not the default; inverse: config.json has the opposite. */
static const struct flag {
    const char *name;
    size_t offset;
    bool inverse, gpt2_only, always; /* always: written even if it is the default */
} flags[] = {
    {"tie_word_embeddings", offsetof(gp_config, tied), false, false, true},
    {"gptpipe_bias", offsetof(gp_config, bias), false, false, false},
    {"gptpipe_no_end", offsetof(gp_config, no_end), false, false, false}, /* together with an eos_token_id of null */
    {"scale_attn_weights", offsetof(gp_config, scores_unscaled), true, true, false},
    {"scale_attn_by_inverse_layer_idx", offsetof(gp_config, scores_by_layer), false, true, false},
};

/* Settings that change what transformers computes, or which tensors exist, and are not supported here. null is
 * harmless, and so are the value `harmless` and a list of it. (reorder_and_upcast_attn only reorders products;
 * chunk_size_feed_forward, use_cache, n_ctx, summary_* and dtype change nothing.) */
static const struct refused {
    const char *name;
    enum { IN_ALL, IN_GPT2, IN_BERT } family;
    const char *harmless; /* as JSON */
} refused[] = {
    {"add_cross_attention", IN_ALL, "false"},
    {"is_encoder_decoder", IN_ALL, "false"},
    {"is_decoder", IN_BERT, "false"}, /* GPT-2 is one, whatever this says */
    {"is_causal", IN_GPT2, "true"},
    {"is_causal", IN_BERT, "false"},
    {"position_embedding_type", IN_ALL, "\"absolute\""},
    {"sliding_window", IN_ALL, "null"},
    {"attention_chunk_size", IN_ALL, "null"},
    {"layer_types", IN_ALL, "\"full_attention\""},
    {"per_layer_config", IN_ALL, "{}"},
    {"pruned_heads", IN_ALL, "{}"},
    {"quantization_config", IN_ALL, "{}"},
};

static const char *const activations[] = {GP_ACTIVATIONS(GP_CHOICE_NAME)};

/* Other names that transformers has for these. */
static const struct alias {
    const char *name;
    gp_act act;
} aliases[] = {
    {"gelu_python", GP_ACT_GELU_ERF},
    {"gelu_pytorch_tanh", GP_ACT_GELU_TANH}, {"gelu_python_tanh", GP_ACT_GELU_TANH}, {"gelu_fast", GP_ACT_GELU_TANH},
    {"gelu_accurate", GP_ACT_GELU_TANH},
};
/* clang-format on */

const char *gp_family_name(gp_family family)
{
    return families[family].name;
}

const char *gp_act_name(gp_act act)
{
    return activations[act];
}

const char *gp_config_shown(const json_t *v, char text[64])
{
    char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    snprintf(text, 64, "%s", s ? s : "something else");
    free(s);
    return text;
}

static const char *name_of(const gp_config *c, const key *k)
{
    return k->name[c->family != GP_GPT2];
}

/* The member under its name or its alias; *name is set to the one found. If both exist, the alias wins, because
 * transformers sets it last. */
static json_t *find(const gp_config *c, json_t *root, const key *k, const char **name)
{
    json_t *alias = c->family == GP_GPT2 && k->alias ? json_object_get(root, k->alias) : NULL;
    *name = alias ? k->alias : name_of(c, k);
    return alias ? alias : *name ? json_object_get(root, *name) : NULL;
}

static int read_integer(gp_config *c, json_t *root, const key *k, const char *where)
{
    const char *name;
    json_t *v = find(c, root, k, &name);
    if (!name || ((!v || json_is_null(v)) && k->need == OPTIONAL))
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
    const char *name;
    json_t *v = find(c, root, k, &name);
    if (!v || (json_is_null(v) && k->need == OPTIONAL))
        return 0;
    if (!json_is_number(v))
        return fail("%s: \"%s\" is not a number", where, name);
    *(double *)((char *)c + k->offset) = json_number_value(v);
    return 0;
}

/* With pad_token_id null BERT's embedding has no padding row. RoBERTa needs it, because positions start after it. */
static int read_padding(gp_config *c, json_t *root, const char *where)
{
    json_t *v = json_object_get(root, "pad_token_id");
    if (c->family == GP_GPT2 || !v)
        return 0;
    if (json_is_null(v) && c->family == GP_BERT)
        c->pad_id = -1;
    else if (json_is_null(v) || json_integer_value(v) < 0)
        return fail("%s: \"pad_token_id\" is %s, expected an id", where, json_is_null(v) ? "null" : "negative");
    return 0;
}

static int read_activation(gp_config *c, json_t *root, const char *where)
{
    const char *name = c->family == GP_GPT2 ? "activation_function" : "hidden_act";
    char text[64];
    const json_t *v = json_object_get(root, name);
    const char *value = json_string_value(v);
    int found = value ? gp_find_name(activations, ARRAY_LEN(activations), value) : -1;
    if (!v)
        return 0;
    for (size_t i = 0; value && found < 0 && i < ARRAY_LEN(aliases); i++)
        if (!strcmp(value, aliases[i].name))
            found = (int)aliases[i].act;
    if (found <= GP_ACT_NONE)
        return fail("%s: %s is %s; gelu, gelu_new, gelu_pytorch_tanh and relu are supported", where, name,
                    gp_config_shown(v, text));
    c->activation = (gp_act)found;
    return 0;
}

static bool is_harmless(const json_t *v, const char *harmless)
{
    char text[64];
    for (size_t i = 0; i < json_array_size(v); i++)
        if (strcmp(gp_config_shown(json_array_get(v, i), text), harmless))
            return false;
    return json_is_array(v) || !strcmp(gp_config_shown(v, text), harmless);
}

static int read_refused(const gp_config *c, json_t *root, const char *where)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct refused *r = &refused[i];
        char text[64];
        const json_t *v = json_object_get(root, r->name);
        if (!v || json_is_null(v) || (r->family && (r->family == IN_GPT2) != (c->family == GP_GPT2)))
            continue;
        if (!is_harmless(v, r->harmless))
            return fail("%s: %s is %s, which is not supported", where, r->name, gp_config_shown(v, text));
    }
    return 0;
}

static int read_flags(gp_config *c, json_t *root, const char *where)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        char text[64];
        const json_t *v = json_object_get(root, flags[i].name);
        if (!v || (flags[i].gpt2_only && c->family != GP_GPT2))
            continue;
        if (!json_is_boolean(v))
            return fail("%s: %s is %s, expected true or false", where, flags[i].name, gp_config_shown(v, text));
        *(bool *)((char *)c + flags[i].offset) = json_is_true(v) != flags[i].inverse;
    }
    return 0;
}

/* eos_token_id: an id, a list of ids, or null. Ids outside the vocabulary are ignored. */
static int read_ends(gp_config *c, const json_t *v, const char *where)
{
    char text[64];
    size_t count = json_is_array(v) ? json_array_size(v) : 1;
    c->end_count = 0;
    if (!v || json_is_null(v))
        return 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
        json_int_t x = json_integer_value(id);
        if (!json_is_integer(id))
            return fail("%s: \"eos_token_id\" is %s, expected an id or a list of ids", where, gp_config_shown(v, text));
        if (x < 0 || x >= c->vocab_size)
            continue;
        if (c->end_count == GP_MAX_ENDS)
            return fail("%s: \"eos_token_id\" has more than %d ids", where, GP_MAX_ENDS);
        c->ends[c->end_count++] = (int32_t)x;
    }
    return 0;
}

/* In transformers' GPT2Config the default is 50256. */
static int read_config_ends(gp_config *c, json_t *root, const char *where)
{
    enum { DEFAULT_END = 50256 };
    json_t *v = json_object_get(root, "eos_token_id");
    if (v || c->family != GP_GPT2 || c->vocab_size <= DEFAULT_END)
        return read_ends(c, v, where);
    c->ends[0] = DEFAULT_END;
    c->end_count = 1;
    return 0;
}

/* From model_type, or the class in "architectures", or keys that only one family has. */
static int read_family(gp_family *family, json_t *root, const char *where)
{
    const json_t *v = json_object_get(root, "model_type");
    const char *type = json_string_value(v),
               *class = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    char text[64];
    bool given = v && !json_is_null(v);
    for (size_t i = 0; i < ARRAY_LEN(families) && given == !!type; i++)
        if (type ? !strcmp(type, families[i].name)
                 : class && !strncmp(class, families[i].class, strlen(families[i].class))) {
            *family = (gp_family)i;
            return 0;
        }
    if (given)
        return fail("%s: model_type is %s; %s", where, gp_config_shown(v, text), known_families);
    if (!class && json_object_get(root, "n_embd")) {
        *family = GP_GPT2;
        return 0;
    }
    return fail("%s: \"model_type\" is missing; %s", where, known_families);
}

static int read_all(gp_config *c, json_t *root, const char *where)
{
    for (size_t i = 0; i < ARRAY_LEN(integers); i++)
        if (read_integer(c, root, &integers[i], where))
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(reals); i++)
        if (read_real(c, root, &reals[i], where))
            return -1;
    if (read_padding(c, root, where) || read_config_ends(c, root, where) || read_flags(c, root, where) ||
        read_refused(c, root, where) || read_activation(c, root, where) || gp_config_read_head(c, root, where))
        return -1;
    if (c->inner < 0 && c->channels > 0 && c->channels <= 1 << 20)
        c->inner = 4 * c->channels;
    if (c->family == GP_ROBERTA && c->pad_id > INT32_MAX)
        return fail("%s: padding id is %lld, expected -1 to %d", where, (long long)c->pad_id, INT32_MAX);
    if (c->family == GP_ROBERTA)
        c->position_offset = c->pad_id + 1;
    return gp_config_check(c, where);
}

int gp_config_from_json(gp_config *c, const char *json, size_t length, const char *where)
{
    json_error_t error;
    gp_family family = GP_GPT2;
    int rc = -1;
    json_t *root = gp_json_load_python(json, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return fail("%s: is not JSON: line %d: %s", where, error.line, error.text);
    if (!json_is_object(root)) {
        fail("%s: is not a JSON object", where);
    } else if (!read_family(&family, root, where)) {
        *c = gp_config_defaults(family);
        c->inner = -1;
        rc = read_all(c, root, where);
    }
    json_decref(root);
    return rc;
}

int gp_config_ends_from_json(gp_config *c, const char *json, size_t length, const char *where)
{
    json_error_t error;
    json_t *root = gp_json_load_python(json, length, 0, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return 1;
    }
    int rc = read_ends(c, json_object_get(root, "eos_token_id"), where);
    c->no_end = !c->end_count; /* as in transformers' generate, config.json does not matter then */
    json_decref(root);
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static json_t *id_or_null(int64_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static json_t *ends_to_json(const gp_config *c)
{
    if (c->end_count < 2)
        return id_or_null(c->end_count ? c->ends[0] : -1);
    json_t *list = json_array();
    for (int i = 0; i < c->end_count; i++)
        json_array_append_new(list, json_integer(c->ends[i]));
    return list;
}

static json_t *to_json(const gp_config *c)
{
    bool gpt = c->family == GP_GPT2;
    gp_config defaults = gp_config_defaults(c->family);
    json_t *root = json_object();
    gp_config_write_head(c, root);
    json_object_set_new(root, "model_type", json_string(gp_family_name(c->family)));
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        const key *k = &integers[i];
        int64_t v = *(const int64_t *)((const char *)c + k->offset);
        if (k->name[!gpt])
            json_object_set_new(root, k->name[!gpt], id_or_null(v));
    }
    json_object_set_new(root, "eos_token_id", ends_to_json(c));
    for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
        const key *k = &reals[i];
        double v = *(const double *)((const char *)c + k->offset);
        json_object_set_new(root, k->name[!gpt], json_real(v));
    }
    if (gpt)
        json_object_set_new(root, "n_ctx", json_integer(c->positions));
    json_object_set_new(root, gpt ? "activation_function" : "hidden_act", json_string(gp_act_name(c->activation)));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *f = &flags[i];
        bool v = *(const bool *)((const char *)c + f->offset);
        if (f->always || v != *(const bool *)((const char *)&defaults + f->offset))
            json_object_set_new(root, f->name, json_boolean(v != f->inverse));
    }
    json_object_set_new(root, "dtype", json_string("float32"));
    return root;
}

char *gp_config_to_json(const gp_config *c)
{
    json_t *root = to_json(c);
    char *text = gp_json_dump(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    return text;
}

/* ---- comparing ------------------------------------------------------------------------------------------- */

static bool is_size(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(integers); i++)
        for (int family = 0; integers[i].shapes && family < 2; family++)
            if (integers[i].name[family] && !strcmp(integers[i].name[family], name))
                return true;
    return !strcmp(name, "model_type");
}

/* Appends the members of a that are different in b or missing from it; with only_missing, only the missing ones. */
static bool differ(const json_t *a, const json_t *b, bool only_missing, bool *sizes, gp_buf *text)
{
    enum { MAX = 300 };
    const char *name;
    json_t *v;
    bool any = false;
    json_object_foreach ((json_t *)(uintptr_t)a, name, v) {
        char one[64], two[64];
        const json_t *w = json_object_get(b, name);
        if ((only_missing && w) || (w && json_equal(v, (json_t *)(uintptr_t)w)))
            continue;
        any = true;
        *sizes |= is_size(name);
        gp_config_shown(v, one);
        snprintf(two, sizeof two, "%s", "nothing");
        if (w)
            gp_config_shown(w, two);
        if (text->len < MAX)
            gp_buf_printf(text, "%s%s is %s and %s", text->len ? ", " : "", name, only_missing ? two : one,
                          only_missing ? one : two);
    }
    return any;
}

bool gp_config_differ(const gp_config *a, const gp_config *b, bool *sizes, gp_buf *text)
{
    char *texts[] = {gp_config_to_json(a), gp_config_to_json(b)};
    json_t *x = gp_json_load(texts[0], strlen(texts[0]), 0, NULL),
           *y = gp_json_load(texts[1], strlen(texts[1]), 0, NULL);
    *sizes = false;
    bool one = differ(x, y, false, sizes, text), other = differ(y, x, true, sizes, text);
    json_decref(x);
    json_decref(y);
    free(texts[0]);
    free(texts[1]);
    return one || other;
}
