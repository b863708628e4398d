/* torch_config.c: a configuration from what a file of torch.save has itself: nanoGPT's model_args, or the shapes of a
 * GPT-2. */
#include "base/json_write.h"
#include "model/config.h"
#include "checkpoint/torch/torch.h"

#include <stdlib.h>
#include <string.h>

/* ---- shapes ---------------------------------------------------------------------------------------------- */

/* "PREFIXh.0.ln_1.weight" of a GPT-2, whatever the prefix is. */
typedef struct names {
    const gp_checkpoint *c;
    const char *prefix;
    int prefix_size;
} names;

static const gp_stored *find(const names *n, const char *name)
{
    char *full = gp_format("%.*s%s", n->prefix_size, n->prefix, name);
    const gp_stored *found = NULL;
    for (int i = 0; i < n->c->file_count && !found; i++) {
        int64_t at = gp_container_find(n->c->files[i], full);
        found = at < 0 ? NULL : &n->c->files[i]->tensors[at];
    }
    free(full);
    return found;
}

/* Of the first tensor named wte.weight, or something before a dot and wte.weight. */
static bool find_prefix(names *n)
{
    static const char name[] = "wte.weight";
    for (int i = 0; i < n->c->file_count; i++) {
        const gp_container *k = n->c->files[i];
        for (int64_t t = 0; t < k->count; t++) {
            const char *full = k->tensors[t].name;
            size_t size = strlen(full), tail = sizeof name - 1;
            if (size < tail || strcmp(full + size - tail, name) != 0 || (size > tail && full[size - tail - 1] != '.'))
                continue;
            n->prefix = full;
            n->prefix_size = (int)(size - tail);
            return true;
        }
    }
    return false;
}

bool gp_torch_is_out_in(const gp_checkpoint *c)
{
    names n = {.c = c};
    const gp_stored *qkv = find_prefix(&n) ? find(&n, "h.0.attn.c_attn.weight") : NULL;
    return qkv && qkv->ndim == 2 && qkv->dim[0] == 3 * qkv->dim[1];
}

static int64_t count_layers(const names *n)
{
    enum { MAX_LAYERS = 1 << 16 };
    int64_t layers = 0;
    for (; layers < MAX_LAYERS; layers++) {
        char *name = gp_format("h.%lld.ln_1.weight", (long long)layers);
        bool there = find(n, name);
        free(name);
        if (!there)
            break;
    }
    return layers;
}

/* config.json's text of what the shapes say. */
static int read_shapes(gp_checkpoint *c, gp_buf *json, bool *out_in)
{
    names n = {.c = c};
    const gp_stored *wte = find_prefix(&n) ? find(&n, "wte.weight") : NULL, *wpe = wte ? find(&n, "wpe.weight") : NULL;
    const gp_stored *fc = wte ? find(&n, "h.0.mlp.c_fc.weight") : NULL;
    if (!wpe || !fc || wte->ndim != 2 || wpe->ndim != 2 || fc->ndim != 2)
        return fail(
            "%s: has no configuration, and no config.json lies beside it; the tensors are not those of a GPT-2, "
            "whose shapes would tell its sizes",
            c->path);
    if (c->options.heads <= 0 || !c->options.activation)
        return fail("%s: has no configuration, and no config.json lies beside it; its shapes do not tell the number of "
                    "heads and the activation: give them to convert-gpt2 by --heads and --activation",
                    c->path);
    *out_in = gp_torch_is_out_in(c);
    gp_json_put(json, MEMBER("vocab_size", wte->dim[0]), MEMBER("n_positions", wpe->dim[0]),
                MEMBER("n_embd", wte->dim[1]), MEMBER("n_layer", count_layers(&n)), MEMBER("n_head", c->options.heads),
                MEMBER("n_inner", fc->dim[!*out_in]), MEMBER("activation_function", gp_act_name(c->options.activation)),
                MEMBER("gptpipe_bias", (bool)(find(&n, "h.0.ln_1.bias") != NULL)));
    return 0;
}

/* ---- model_args ------------------------------------------------------------------------------------------ */

/* nanoGPT's GPTConfig, whose n_inner is 4 n_embd and whose activation is nn.GELU, the exact one. Without `bias`, a file
 * is from before there was that choice: it has biases. */
static const struct {
    const char *name, *json;
    gp_torch_value type;
    bool needed;
} args[] = {
    {"vocab_size", "vocab_size", GP_TORCH_INT, true}, {"block_size", "n_positions", GP_TORCH_INT, true},
    {"n_layer", "n_layer", GP_TORCH_INT, true},       {"n_head", "n_head", GP_TORCH_INT, true},
    {"n_embd", "n_embd", GP_TORCH_INT, true},         {"bias", "gptpipe_bias", GP_TORCH_BOOL, false},
    {"dropout", NULL, GP_TORCH_REAL, false},
};

static const gp_torch_entry *find_arg(const gp_torch_extras *e, const char *name)
{
    for (int64_t i = 0; i < e->arg_count; i++)
        if (!strcmp(e->args[i].name, name))
            return &e->args[i];
    return NULL;
}

/* What another model's args may say without being this one's: nothing. */
static int check_others(const gp_checkpoint *c, const gp_torch_extras *e)
{
    for (int64_t i = 0; i < e->arg_count; i++) {
        const gp_torch_entry *a = &e->args[i];
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(args); k++)
            known |= !strcmp(a->name, args[k].name);
        if (!known && a->type != GP_TORCH_NONE && !(a->type == GP_TORCH_BOOL && !a->whole))
            return fail("%s: its model_args have %s, which nanoGPT's GPT does not", c->path, a->name);
    }
    return 0;
}

static int read_args(const gp_checkpoint *c, const gp_torch_extras *e, gp_buf *json)
{
    for (size_t k = 0; k < ARRAY_LEN(args); k++) {
        const gp_torch_entry *a = find_arg(e, args[k].name);
        bool whole = a && a->type == GP_TORCH_INT; /* a dropout of 0 may be one */
        if (!a && !args[k].needed)
            continue;
        if (!a || (a->type != args[k].type && !(whole && args[k].type == GP_TORCH_REAL)))
            return fail("%s: its model_args have no %s that is %s", c->path, args[k].name,
                        args[k].type == GP_TORCH_BOOL ? "true or false" : "a number");
        if (args[k].type == GP_TORCH_INT)
            gp_json_put(json, MEMBER(args[k].json, a->whole));
        else if (args[k].type == GP_TORCH_BOOL)
            gp_json_put(json, MEMBER(args[k].json, (bool)a->whole));
        else
            gp_json_put(json, REAL("embd_pdrop", a->real, 17), REAL("attn_pdrop", a->real, 17),
                        REAL("resid_pdrop", a->real, 17));
    }
    gp_json_put(json, MEMBER("activation_function",
                             gp_act_name(c->options.activation ? c->options.activation : GP_ACT_GELU_ERF)));
    return check_others(c, e);
}

int gp_torch_config(gp_checkpoint *c, bool *out_in)
{
    const gp_torch_extras *e = gp_torch_extras_of(c->files[0]);
    gp_buf json = {0};
    gp_json_open(&json, NULL, '{');
    gp_json_put(&json, MEMBER("model_type", "gpt2"));
    *out_in = true;
    int rc = e->has_args ? read_args(c, e, &json) : read_shapes(c, &json, out_in);
    gp_json_close(&json, '}');
    if (!rc)
        rc = gp_config_from_json(&c->config, json.data, json.len, c->path);
    gp_buf_release(&json);
    return rc;
}
