/* torch_save.c: writes models as torch.save does: Hugging Face's pytorch_model.bin, in a folder with its config.json or
 * by itself, and nanoGPT's ckpt.pt. What their readers would compute otherwise is refused by name. */
#include "checkpoint/hf/hf.h"
#include "checkpoint/hf/hf_tensors.h"
#include "checkpoint/pieces.h"
#include "checkpoint/target.h"
#include "checkpoint/torch/torch.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

static int check_store(const char *path, gp_store store)
{
    return store == GP_STORE_Q8_0 ? fail("%s: PyTorch's files hold fp32, bf16 and fp16 numbers, not q8_0", path) : 0;
}

/* ---- pytorch_model.bin ----------------------------------------------------------------------------------- */

typedef struct bin_out {
    const gp_checkpoint *c;
    gp_store store;
    bool sharded;
    gp_torch_writer *w;
} bin_out;

/* Tied parameters have a second name in a module's state_dict; an index would have to list it. */
static void add_aliases(const bin_out *o)
{
    const gp_naming *n = gp_hf_naming(&o->c->config);
    char name[GP_TENSOR_NAME];
    for (const gp_extra_tensor *e = gp_naming_extras(n); e->name; e++) {
        bool tied = e->same_as == GP_HEAD_B || (e->same_as == GP_WTE && o->c->config.tied);
        if (!tied || o->sharded || !gp_config_predicts_tokens(&o->c->config))
            continue;
        gp_naming_expand(n, gp_naming_pattern(n, e->same_as), 0, name);
        gp_torch_alias(o->w, e->name, name);
    }
}

static int open_file(void *self, const char *path, gp_tensor_writer *w)
{
    bin_out *o = self;
    o->w = gp_torch_create(path, o->store, false, NULL, 0);
    if (!o->w)
        return -1;
    add_aliases(o);
    *w = gp_torch_tensor_writer(o->w);
    return 0;
}

static int close_file(void *self, bool failed)
{
    bin_out *o = self;
    gp_torch_writer *w = o->w;
    o->w = NULL;
    if (w && failed)
        gp_torch_abort(w);
    return w && !failed ? gp_torch_finish(w) : 0;
}

static int write_weights(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    static const gp_hf_file_type type = {"pytorch_model", ".bin", open_file, close_file};
    bin_out out = {.c = c, .store = o->store, .sharded = o->shard_bytes};
    gp_tensor_writer w;
    gp_hf_out *files = gp_hf_out_open(&w, path, o->store, o->shard_bytes, &type, &out);
    int rc = gp_hf_write_tensors(&w, c);
    return gp_hf_out_close(files, rc != 0);
}

/* A file by itself says nothing but shapes; heads and activation come with --heads and --activation. */
static int check_bare(const gp_checkpoint *c, const char *path)
{
    const gp_config *k = &c->config;
    gp_config plain = gp_config_defaults(GP_GPT2);
    const char *setting = k->family != GP_GPT2            ? "its model_type"
                          : k->head != GP_HEAD_LM         ? "its architecture and labels"
                          : k->norm_eps != plain.norm_eps ? "its layer_norm_epsilon"
                          : k->scores_unscaled            ? "its scale_attn_weights"
                          : k->scores_by_layer            ? "its scale_attn_by_inverse_layer_idx"
                                                          : NULL;
    if (setting)
        return fail(
            "%s: a state_dict has no place for %s; write it into a folder, which has a config.json: end the name "
            "in /",
            path, setting);
    return 0;
}

int gp_torch_save(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    int folder = gp_hf_is_folder(path);
    if (folder < 0 || check_store(path, o->store))
        return -1;
    if (o->shard_bytes && !folder)
        return fail("%s: shards are written into a folder: end the name in /", path);
    if (folder)
        return gp_hf_write_folder(c, path, o, "pytorch_model.bin", write_weights);
    return check_bare(c, path) ? -1 : write_weights(c, path, o);
}

/* ---- ckpt.pt --------------------------------------------------------------------------------------------- */

/* nanoGPT's GPT has its settings in its code; its nn.GELU is the exact one. */
static const gp_target nanogpt = {
    .name = "nanoGPT", .activation = GP_ACT_GELU_ERF, .norm_eps = 1e-5, .tied = true, .inner_4c = true};

static gp_torch_writer *create_nanogpt(const gp_checkpoint *c, const char *path, gp_store store)
{
    const gp_config *k = &c->config;
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = {
        {"n_layer", k->layers},       {"n_head", k->heads},          {"n_embd", k->channels},
        {"block_size", k->positions}, {"vocab_size", k->vocab_size},
    };
    enum { SIZES = ARRAY_LEN(sizes) };
    gp_torch_entry args[SIZES + 2];
    for (int i = 0; i < SIZES; i++)
        args[i] =
            (gp_torch_entry){.name = (char *)(uintptr_t)sizes[i].name, .type = GP_TORCH_INT, .whole = sizes[i].value};
    args[SIZES] = (gp_torch_entry){.name = (char[]){"bias"}, .type = GP_TORCH_BOOL, .whole = k->bias};
    args[SIZES + 1] = (gp_torch_entry){.name = (char[]){"dropout"}, .type = GP_TORCH_REAL, .real = k->dropout_resid};
    return gp_torch_create(path, store, true, args, SIZES + 2);
}

int gp_nanogpt_save(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    const gp_naming *n = gp_nanogpt_naming();
    if (check_store(path, o->store) || gp_target_check(&nanogpt, &c->config, path))
        return -1;
    if (o->shard_bytes)
        return fail("%s: nanoGPT's checkpoint is one file, without shards", path);
    gp_torch_writer *out = create_nanogpt(c, path, o->store);
    if (!out)
        return -1;
    gp_tensor_writer w = gp_torch_tensor_writer(out);
    gp_torch_alias(out, "lm_head.weight", "transformer.wte.weight");
    int rc = gp_pieces_declare(&w, &c->params, n);
    if (!rc)
        rc = gp_pieces_write(&w, &c->params, n, c->path, c->read, c->self);
    if (!rc)
        return gp_torch_finish(out);
    gp_torch_abort(out);
    return -1;
}
