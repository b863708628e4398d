/* names.c: role x format. A format or a family more is one table more. */
#include "checkpoint/names.h"

static const gp_extra_tensor gpt2_extras[] = {
    {"@h.#.attn.bias", "11PP", GP_ROLES, false}, /* the causal mask, which old versions stored */
    {"@h.#.attn.masked_bias", NULL, GP_ROLES, false},
    {"lm_head.weight", NULL, GP_WTE, false},
    {"score.weight", NULL, GP_ROLES, true},      /* sequence classification */
    {"classifier.weight", NULL, GP_ROLES, true}, /* token classification */
    {"classifier.bias", NULL, GP_ROLES, true},
    {"qa_outputs.weight", NULL, GP_ROLES, true}, /* question answering */
    {"qa_outputs.bias", NULL, GP_ROLES, true},
    {"multiple_choice_head.summary.weight", NULL, GP_ROLES, true}, /* double heads */
    {"multiple_choice_head.summary.bias", NULL, GP_ROLES, true},
    {0},
};

static const gp_naming hf_gpt2 = {
    .prefix = "transformer.",
    .extras = gpt2_extras,
    .linear_out_in = false, /* Conv1D */
    .activation = "@h.#.mlp.act",
    .name =
        {
            [GP_WTE] = "@wte.weight",
            [GP_WPE] = "@wpe.weight",
            [GP_WTT] = "@wtt.weight",
            [GP_NORM1_GAMMA] = "@h.#.ln_1.weight",
            [GP_NORM1_BETA] = "@h.#.ln_1.bias",
            [GP_QKV_W] = "@h.#.attn.c_attn.weight",
            [GP_QKV_B] = "@h.#.attn.c_attn.bias",
            [GP_PROJ_W] = "@h.#.attn.c_proj.weight",
            [GP_PROJ_B] = "@h.#.attn.c_proj.bias",
            [GP_NORM2_GAMMA] = "@h.#.ln_2.weight",
            [GP_NORM2_BETA] = "@h.#.ln_2.bias",
            [GP_FC_W] = "@h.#.mlp.c_fc.weight",
            [GP_FC_B] = "@h.#.mlp.c_fc.bias",
            [GP_OUT_W] = "@h.#.mlp.c_proj.weight",
            [GP_OUT_B] = "@h.#.mlp.c_proj.bias",
            [GP_FINAL_NORM_GAMMA] = "@ln_f.weight",
            [GP_FINAL_NORM_BETA] = "@ln_f.bias",
            [GP_HEAD_W] = "lm_head.weight",
            [GP_CLASS_W] = "score.weight",
        },
};

#define BERT_QKV(part)                                                                                                 \
    "@encoder.layer.#.attention.self.query." part "|@encoder.layer.#.attention.self.key." part                         \
    "|@encoder.layer.#.attention.self.value." part

static const gp_extra_tensor bert_extras[] = {
    {"@embeddings.position_ids", "1P", GP_ROLES, false},
    {"cls.predictions.decoder.weight", NULL, GP_WTE, false},
    {"cls.predictions.decoder.bias", NULL, GP_HEAD_B, false},
    {"@pooler.dense.weight", NULL, GP_ROLES, true}, /* the next-sentence head */
    {"@pooler.dense.bias", NULL, GP_ROLES, true},
    {"cls.seq_relationship.weight", NULL, GP_ROLES, true},
    {"cls.seq_relationship.bias", NULL, GP_ROLES, true},
    {"classifier.weight", NULL, GP_ROLES, true},
    {"classifier.bias", NULL, GP_ROLES, true},
    {"qa_outputs.weight", NULL, GP_ROLES, true},
    {"qa_outputs.bias", NULL, GP_ROLES, true},
    {0},
};

static const gp_extra_tensor roberta_extras[] = {
    {"@embeddings.position_ids", "1P", GP_ROLES, false}, {"lm_head.decoder.weight", NULL, GP_WTE, false},
    {"lm_head.decoder.bias", NULL, GP_HEAD_B, false},    {"@pooler.dense.weight", NULL, GP_ROLES, true},
    {"@pooler.dense.bias", NULL, GP_ROLES, true},        {"classifier.dense.weight", NULL, GP_ROLES, true},
    {"classifier.dense.bias", NULL, GP_ROLES, true},     {"classifier.out_proj.weight", NULL, GP_ROLES, true},
    {"classifier.out_proj.bias", NULL, GP_ROLES, true},  {"classifier.weight", NULL, GP_ROLES, true},
    {"classifier.bias", NULL, GP_ROLES, true},           {"qa_outputs.weight", NULL, GP_ROLES, true},
    {"qa_outputs.bias", NULL, GP_ROLES, true},           {0},
};

static const gp_naming hf_bert = {
    .prefix = "bert.",
    .extras = bert_extras,
    .linear_out_in = true,
    .activation = "@encoder.layer.#.intermediate",
    .name =
        {
            [GP_WTE] = "@embeddings.word_embeddings.weight",
            [GP_WPE] = "@embeddings.position_embeddings.weight",
            [GP_WTT] = "@embeddings.token_type_embeddings.weight",
            [GP_EMBED_NORM_GAMMA] = "@embeddings.LayerNorm.weight",
            [GP_EMBED_NORM_BETA] = "@embeddings.LayerNorm.bias",
            [GP_QKV_W] = BERT_QKV("weight"),
            [GP_QKV_B] = BERT_QKV("bias"),
            [GP_PROJ_W] = "@encoder.layer.#.attention.output.dense.weight",
            [GP_PROJ_B] = "@encoder.layer.#.attention.output.dense.bias",
            [GP_NORM1_GAMMA] = "@encoder.layer.#.attention.output.LayerNorm.weight",
            [GP_NORM1_BETA] = "@encoder.layer.#.attention.output.LayerNorm.bias",
            [GP_FC_W] = "@encoder.layer.#.intermediate.dense.weight",
            [GP_FC_B] = "@encoder.layer.#.intermediate.dense.bias",
            [GP_OUT_W] = "@encoder.layer.#.output.dense.weight",
            [GP_OUT_B] = "@encoder.layer.#.output.dense.bias",
            [GP_NORM2_GAMMA] = "@encoder.layer.#.output.LayerNorm.weight",
            [GP_NORM2_BETA] = "@encoder.layer.#.output.LayerNorm.bias",
            [GP_MLM_W] = "cls.predictions.transform.dense.weight",
            [GP_MLM_B] = "cls.predictions.transform.dense.bias",
            [GP_MLM_GAMMA] = "cls.predictions.transform.LayerNorm.weight",
            [GP_MLM_BETA] = "cls.predictions.transform.LayerNorm.bias",
            [GP_HEAD_W] = "cls.predictions.decoder.weight",
            [GP_HEAD_B] = "cls.predictions.bias",
            [GP_DENSE_W] = "@pooler.dense.weight",
            [GP_DENSE_B] = "@pooler.dense.bias",
            [GP_CLASS_W] = "classifier.weight",
            [GP_CLASS_B] = "classifier.bias",
        },
};

static const gp_naming hf_roberta = {
    .prefix = "roberta.",
    .base = &hf_bert,
    .extras = roberta_extras,
    .linear_out_in = true,
    .activation = "@encoder.layer.#.intermediate",
    .name =
        {
            [GP_MLM_W] = "lm_head.dense.weight",
            [GP_MLM_B] = "lm_head.dense.bias",
            [GP_MLM_GAMMA] = "lm_head.layer_norm.weight",
            [GP_MLM_BETA] = "lm_head.layer_norm.bias",
            [GP_HEAD_W] = "lm_head.decoder.weight",
            [GP_HEAD_B] = "lm_head.bias",
            [GP_DENSE_W] = "classifier.dense.weight",
            [GP_DENSE_B] = "classifier.dense.bias",
            [GP_CLASS_W] = "classifier.out_proj.weight",
            [GP_CLASS_B] = "classifier.out_proj.bias",
        },
};

/* ---- GGUF: llama.cpp's names ------------------------------------------------------------------------------ */

static const gp_extra_tensor gguf_gpt2_extras[] = {
    {"output.weight", NULL, GP_WTE, false}, /* a copy of a tied embedding, which older converters wrote */
    {0},
};

static const gp_naming gguf_gpt2 = {
    .prefix = "",
    .linear_out_in = true,
    .extras = gguf_gpt2_extras,
    .name =
        {
            [GP_WTE] = "token_embd.weight",
            [GP_WPE] = "position_embd.weight",
            [GP_NORM1_GAMMA] = "blk.#.attn_norm.weight",
            [GP_NORM1_BETA] = "blk.#.attn_norm.bias",
            [GP_QKV_W] = "blk.#.attn_qkv.weight",
            [GP_QKV_B] = "blk.#.attn_qkv.bias",
            [GP_PROJ_W] = "blk.#.attn_output.weight",
            [GP_PROJ_B] = "blk.#.attn_output.bias",
            [GP_NORM2_GAMMA] = "blk.#.ffn_norm.weight",
            [GP_NORM2_BETA] = "blk.#.ffn_norm.bias",
            [GP_FC_W] = "blk.#.ffn_up.weight",
            [GP_FC_B] = "blk.#.ffn_up.bias",
            [GP_OUT_W] = "blk.#.ffn_down.weight",
            [GP_OUT_B] = "blk.#.ffn_down.bias",
            [GP_FINAL_NORM_GAMMA] = "output_norm.weight",
            [GP_FINAL_NORM_BETA] = "output_norm.bias",
            [GP_HEAD_W] = "output.weight",
        },
};

#define GGUF_BERT_QKV(part) "blk.#.attn_q." part "|blk.#.attn_k." part "|blk.#.attn_v." part

/* The masked-language head, which GGUF has no names for, is asked for under Hugging Face's. */
static const gp_naming gguf_bert = {
    .prefix = "",
    .base = &hf_bert,
    .linear_out_in = true,
    .name =
        {
            [GP_WTE] = "token_embd.weight",
            [GP_WPE] = "position_embd.weight",
            [GP_WTT] = "token_types.weight",
            [GP_EMBED_NORM_GAMMA] = "token_embd_norm.weight",
            [GP_EMBED_NORM_BETA] = "token_embd_norm.bias",
            [GP_QKV_W] = GGUF_BERT_QKV("weight"),
            [GP_QKV_B] = GGUF_BERT_QKV("bias"),
            [GP_PROJ_W] = "blk.#.attn_output.weight",
            [GP_PROJ_B] = "blk.#.attn_output.bias",
            [GP_NORM1_GAMMA] = "blk.#.attn_output_norm.weight",
            [GP_NORM1_BETA] = "blk.#.attn_output_norm.bias",
            [GP_FC_W] = "blk.#.ffn_up.weight",
            [GP_FC_B] = "blk.#.ffn_up.bias",
            [GP_OUT_W] = "blk.#.ffn_down.weight",
            [GP_OUT_B] = "blk.#.ffn_down.bias",
            [GP_NORM2_GAMMA] = "blk.#.layer_output_norm.weight",
            [GP_NORM2_BETA] = "blk.#.layer_output_norm.bias",
        },
};

const gp_naming *gp_gguf_naming(const gp_config *c)
{
    return c->family == GP_GPT2 ? &gguf_gpt2 : &gguf_bert;
}

const gp_naming *gp_hf_naming(const gp_config *c)
{
    static const gp_naming *const families[] = {[GP_GPT2] = &hf_gpt2, [GP_BERT] = &hf_bert, [GP_ROBERTA] = &hf_roberta};
    return families[c->family];
}

/* ---- nanoGPT: Hugging Face's names, and nn.Linear in place of Conv1D --------------------------------------- */

static const gp_naming nanogpt = {
    .prefix = "transformer.",
    .base = &hf_gpt2,
    .linear_out_in = true,
    .activation = "@h.#.mlp.gelu",
};

const gp_naming *gp_nanogpt_naming(void)
{
    return &nanogpt;
}

/* ---- llm.c: tensors of all layers at once, each with its layers' slices (llmc/llmc.h) ---------------------- */

static const gp_role llmc_order[] = {
    GP_WTE,    GP_WPE,    GP_NORM1_GAMMA,      GP_NORM1_BETA,      GP_QKV_W, GP_QKV_B,
    GP_PROJ_W, GP_PROJ_B, GP_NORM2_GAMMA,      GP_NORM2_BETA,      GP_FC_W,  GP_FC_B,
    GP_OUT_W,  GP_OUT_B,  GP_FINAL_NORM_GAMMA, GP_FINAL_NORM_BETA, GP_ROLES,
};

static const gp_naming llmc = {
    .prefix = "",
    .linear_out_in = true,
    .order = llmc_order,
    .name =
        {
            [GP_WTE] = "wte",
            [GP_WPE] = "wpe",
            [GP_NORM1_GAMMA] = "h.#.ln1w",
            [GP_NORM1_BETA] = "h.#.ln1b",
            [GP_QKV_W] = "h.#.qkvw",
            [GP_QKV_B] = "h.#.qkvb",
            [GP_PROJ_W] = "h.#.attprojw",
            [GP_PROJ_B] = "h.#.attprojb",
            [GP_NORM2_GAMMA] = "h.#.ln2w",
            [GP_NORM2_BETA] = "h.#.ln2b",
            [GP_FC_W] = "h.#.fcw",
            [GP_FC_B] = "h.#.fcb",
            [GP_OUT_W] = "h.#.fcprojw",
            [GP_OUT_B] = "h.#.fcprojb",
            [GP_FINAL_NORM_GAMMA] = "lnfw",
            [GP_FINAL_NORM_BETA] = "lnfb",
        },
};

const gp_naming *gp_llmc_naming(void)
{
    return &llmc;
}

/* ---- OpenAI's TensorFlow code: src/model.py ---------------------------------------------------------------- */

static const gp_naming tensorflow = {
    .prefix = "model/",
    .leading_one = true,
    .name =
        {
            [GP_WTE] = "@wte",
            [GP_WPE] = "@wpe",
            [GP_NORM1_GAMMA] = "@h#/ln_1/g",
            [GP_NORM1_BETA] = "@h#/ln_1/b",
            [GP_QKV_W] = "@h#/attn/c_attn/w",
            [GP_QKV_B] = "@h#/attn/c_attn/b",
            [GP_PROJ_W] = "@h#/attn/c_proj/w",
            [GP_PROJ_B] = "@h#/attn/c_proj/b",
            [GP_NORM2_GAMMA] = "@h#/ln_2/g",
            [GP_NORM2_BETA] = "@h#/ln_2/b",
            [GP_FC_W] = "@h#/mlp/c_fc/w",
            [GP_FC_B] = "@h#/mlp/c_fc/b",
            [GP_OUT_W] = "@h#/mlp/c_proj/w",
            [GP_OUT_B] = "@h#/mlp/c_proj/b",
            [GP_FINAL_NORM_GAMMA] = "@ln_f/g",
            [GP_FINAL_NORM_BETA] = "@ln_f/b",
        },
};

const gp_naming *gp_tensorflow_naming(void)
{
    return &tensorflow;
}

/* ---- patterns ---------------------------------------------------------------------------------------------- */

const gp_extra_tensor *gp_naming_extras(const gp_naming *n)
{
    static const gp_extra_tensor none[] = {{0}};
    return n->extras ? n->extras : n->base ? gp_naming_extras(n->base) : none;
}

const char *gp_naming_pattern(const gp_naming *n, gp_role role)
{
    return !n->name[role] && n->base ? gp_naming_pattern(n->base, role) : n->name[role];
}

const char *gp_naming_expand(const gp_naming *n, const char *pattern, int64_t layer, char name[GP_TENSOR_NAME])
{
    int at = 0;
    for (; *pattern && *pattern != '|'; pattern++) {
        size_t room = GP_TENSOR_NAME - (size_t)at;
        if (*pattern == '#')
            at += snprintf(name + at, room, "%lld", (long long)layer);
        else if (*pattern == '@')
            at += snprintf(name + at, room, "%s", n->prefix);
        else
            at += snprintf(name + at, room, "%c", *pattern);
        BUG_ON(at >= GP_TENSOR_NAME);
    }
    return *pattern ? pattern + 1 : NULL;
}

int gp_naming_pieces(const gp_naming *n, const gp_param *row, gp_piece piece[GP_PIECES])
{
    bool table = row->role == GP_WTE || row->role == GP_WPE || row->role == GP_WTT || row->role == GP_HEAD_W ||
                 row->role == GP_CLASS_W;
    const char *pattern = gp_naming_pattern(n, row->role);
    int count = 0;
    BUG_ON(!pattern);
    for (; pattern; count++) {
        BUG_ON(count == GP_PIECES);
        pattern = gp_naming_expand(n, pattern, row->index, piece[count].name);
        piece[count].transposed = n->linear_out_in && row->ndim == 2 && !table;
    }
    for (int i = 0; i < count; i++) {
        piece[i].columns = row->dim[row->ndim - 1] / count;
        piece[i].first = i * piece[i].columns;
    }
    return count;
}

int gp_piece_shape(const gp_param *row, const gp_piece *piece, int64_t dim[2])
{
    dim[0] = row->ndim == 1 || piece->transposed ? piece->columns : row->dim[0];
    dim[1] = row->ndim == 1 ? 1 : piece->transposed ? row->dim[0] : piece->columns;
    return row->ndim;
}
