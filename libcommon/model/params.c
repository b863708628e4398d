/* params.c: the table of parameters. */
#include "model/params.h"
#include "model/config.h"
#include "backend/backend.h"
#include "base/rng.h"
#include "base/threads.h"

#include <stdlib.h>
#include <string.h>

typedef enum dim { D_NONE, D_C, D_3C, D_INNER, D_V, D_P, D_TYPES } dim;
typedef enum when { W_ALWAYS, W_PRE, W_POST, W_TYPES, W_UNTIED, W_MLM } when;

/* Names: '#' is the layer, '@' the family ("bert", "roberta"). `roberta` NULL: as bert. Linears of the BERT
 * family are stored (out, in); its query, key and value are three tensors, separated by '|'. */
typedef struct spec {
    gp_role role;
    when exists;
    bool is_bias; /* left out where the config has no biases */
    dim d0, d1;
    gp_init init;
    const char *gpt2, *bert, *roberta;
} spec;

#define BERT_LAYER "@.encoder.layer.#."
#define QKV(part)                                                                                                      \
    BERT_LAYER "attention.self.query." part "|" BERT_LAYER "attention.self.key." part "|" BERT_LAYER                   \
               "attention.self.value." part

/* clang-format off */
static const spec before_layers[] = {
    {GP_WTE, W_ALWAYS, false, D_V, D_C, GP_INIT_NORMAL, "transformer.wte.weight", "@.embeddings.word_embeddings.weight", NULL},
    {GP_WPE, W_ALWAYS, false, D_P, D_C, GP_INIT_NORMAL, "transformer.wpe.weight", "@.embeddings.position_embeddings.weight", NULL},
    {GP_WTT, W_TYPES, false, D_TYPES, D_C, GP_INIT_NORMAL, "transformer.wtt.weight", "@.embeddings.token_type_embeddings.weight", NULL},
    {GP_NORM_GAMMA, W_POST, false, D_C, D_NONE, GP_INIT_ONE, NULL, "@.embeddings.LayerNorm.weight", NULL},
    {GP_NORM_BETA, W_POST, true, D_C, D_NONE, GP_INIT_ZERO, NULL, "@.embeddings.LayerNorm.bias", NULL},
};

static const spec in_layer[] = {
    {GP_NORM_GAMMA, W_PRE, false, D_C, D_NONE, GP_INIT_ONE, "transformer.h.#.ln_1.weight", NULL, NULL},
    {GP_NORM_BETA, W_PRE, true, D_C, D_NONE, GP_INIT_ZERO, "transformer.h.#.ln_1.bias", NULL, NULL},
    {GP_QKV_W, W_ALWAYS, false, D_C, D_3C, GP_INIT_NORMAL, "transformer.h.#.attn.c_attn.weight", QKV("weight"), NULL},
    {GP_QKV_B, W_ALWAYS, true, D_3C, D_NONE, GP_INIT_ZERO, "transformer.h.#.attn.c_attn.bias", QKV("bias"), NULL},
    {GP_PROJ_W, W_ALWAYS, false, D_C, D_C, GP_INIT_RESIDUAL, "transformer.h.#.attn.c_proj.weight", BERT_LAYER "attention.output.dense.weight", NULL},
    {GP_PROJ_B, W_ALWAYS, true, D_C, D_NONE, GP_INIT_ZERO, "transformer.h.#.attn.c_proj.bias", BERT_LAYER "attention.output.dense.bias", NULL},
    {GP_NORM_GAMMA, W_ALWAYS, false, D_C, D_NONE, GP_INIT_ONE, "transformer.h.#.ln_2.weight", BERT_LAYER "attention.output.LayerNorm.weight", NULL},
    {GP_NORM_BETA, W_ALWAYS, true, D_C, D_NONE, GP_INIT_ZERO, "transformer.h.#.ln_2.bias", BERT_LAYER "attention.output.LayerNorm.bias", NULL},
    {GP_FC_W, W_ALWAYS, false, D_C, D_INNER, GP_INIT_NORMAL, "transformer.h.#.mlp.c_fc.weight", BERT_LAYER "intermediate.dense.weight", NULL},
    {GP_FC_B, W_ALWAYS, true, D_INNER, D_NONE, GP_INIT_ZERO, "transformer.h.#.mlp.c_fc.bias", BERT_LAYER "intermediate.dense.bias", NULL},
    {GP_OUT_W, W_ALWAYS, false, D_INNER, D_C, GP_INIT_RESIDUAL, "transformer.h.#.mlp.c_proj.weight", BERT_LAYER "output.dense.weight", NULL},
    {GP_OUT_B, W_ALWAYS, true, D_C, D_NONE, GP_INIT_ZERO, "transformer.h.#.mlp.c_proj.bias", BERT_LAYER "output.dense.bias", NULL},
    {GP_NORM_GAMMA, W_POST, false, D_C, D_NONE, GP_INIT_ONE, NULL, BERT_LAYER "output.LayerNorm.weight", NULL},
    {GP_NORM_BETA, W_POST, true, D_C, D_NONE, GP_INIT_ZERO, NULL, BERT_LAYER "output.LayerNorm.bias", NULL},
};

static const spec after_layers[] = {
    {GP_NORM_GAMMA, W_PRE, false, D_C, D_NONE, GP_INIT_ONE, "transformer.ln_f.weight", NULL, NULL},
    {GP_NORM_BETA, W_PRE, true, D_C, D_NONE, GP_INIT_ZERO, "transformer.ln_f.bias", NULL, NULL},
    {GP_MLM_W, W_MLM, false, D_C, D_C, GP_INIT_NORMAL, NULL, "cls.predictions.transform.dense.weight", "lm_head.dense.weight"},
    {GP_MLM_B, W_MLM, true, D_C, D_NONE, GP_INIT_ZERO, NULL, "cls.predictions.transform.dense.bias", "lm_head.dense.bias"},
    {GP_MLM_GAMMA, W_MLM, false, D_C, D_NONE, GP_INIT_ONE, NULL, "cls.predictions.transform.LayerNorm.weight", "lm_head.layer_norm.weight"},
    {GP_MLM_BETA, W_MLM, true, D_C, D_NONE, GP_INIT_ZERO, NULL, "cls.predictions.transform.LayerNorm.bias", "lm_head.layer_norm.bias"},
    {GP_HEAD_W, W_UNTIED, false, D_V, D_C, GP_INIT_NORMAL, "lm_head.weight", "cls.predictions.decoder.weight", "lm_head.decoder.weight"},
    {GP_HEAD_B, W_MLM, true, D_V, D_NONE, GP_INIT_ZERO, NULL, "cls.predictions.bias", "lm_head.bias"},
};
/* clang-format on */

static int64_t dim_size(dim d, const gp_config *c)
{
    switch (d) {
    case D_NONE:
        return 1;
    case D_C:
        return c->channels;
    case D_3C:
        return 3 * c->channels;
    case D_INNER:
        return c->inner;
    case D_V:
        return c->vocab_size;
    case D_P:
        return c->positions;
    case D_TYPES:
        return c->types;
    }
    BUG_ON(true); /* no such dim */
    return 0;
}

static bool present(const spec *s, const gp_config *c)
{
    if (s->is_bias && !c->bias)
        return false;
    switch (s->exists) {
    case W_ALWAYS:
        return true;
    case W_PRE:
        return !c->post_norm;
    case W_POST:
        return c->post_norm;
    case W_TYPES:
        return c->types > 0;
    case W_UNTIED:
        return !c->tied;
    case W_MLM:
        return c->head == GP_HEAD_MLM;
    }
    return false;
}

/* One name out of the pattern, up to its end or '|'. Returns what follows, or NULL at the end. */
static const char *expand(char *out, size_t size, const char *pattern, const gp_config *c, int layer)
{
    size_t n = 0;
    for (; *pattern && *pattern != '|'; pattern++) {
        if (*pattern == '#')
            n += (size_t)snprintf(out + n, size - n, "%d", layer);
        else if (*pattern == '@')
            n += (size_t)snprintf(out + n, size - n, "%s", c->family == GP_BERT ? "bert" : "roberta");
        else
            n += (size_t)snprintf(out + n, size - n, "%c", *pattern);
        BUG_ON(n >= size);
    }
    return *pattern ? pattern + 1 : NULL;
}

static void name_pieces(gp_param *row, const spec *s, const gp_config *c, int layer)
{
    const char *pattern = s->gpt2;
    if (c->family != GP_GPT2)
        pattern = c->family == GP_ROBERTA && s->roberta ? s->roberta : s->bert;
    BUG_ON(!pattern);
    bool embedding = s->role == GP_WTE || s->role == GP_WPE || s->role == GP_WTT || s->role == GP_HEAD_W;
    do {
        gp_piece *piece = &row->piece[row->pieces++];
        pattern = expand(piece->name, sizeof piece->name, pattern, c, layer);
        piece->transposed = c->family != GP_GPT2 && row->ndim == 2 && !embedding;
    } while (pattern);
    int64_t columns = row->dim[row->ndim - 1] / row->pieces;
    for (int i = 0; i < row->pieces; i++) {
        row->piece[i].first = i * columns;
        row->piece[i].columns = columns;
    }
}

static void add(gp_params *p, const spec *s, const gp_config *c, int layer)
{
    enum { ALIGN = 16 }; /* elements: 64 bytes */
    if (!present(s, c))
        return;
    gp_param *row = &p->rows[p->count];
    *row = (gp_param){.role = s->role, .init = s->init, .ndim = s->d1 == D_NONE ? 1 : 2};
    row->dim[0] = dim_size(s->d0, c);
    row->dim[1] = dim_size(s->d1, c);
    row->count = row->dim[0] * row->dim[1];
    row->decays = row->ndim == 2;
    row->offset = p->total;
    row->index = p->per_index[s->role]++; /* rows of a role come in order of layer, or of norm site */
    if (!row->index)
        p->first[s->role] = p->count;
    name_pieces(row, s, c, layer);
    p->total += (int64_t)gp_round_up((size_t)row->count, ALIGN);
    p->parameters += row->count;
    p->count++;
}

void gp_params_list(gp_params *p, const gp_config *c)
{
    *p = (gp_params){0};
    size_t most = ARRAY_LEN(before_layers) + (size_t)c->layers * ARRAY_LEN(in_layer) + ARRAY_LEN(after_layers);
    p->rows = gp_calloc(most, sizeof *p->rows);
    for (size_t i = 0; i < ARRAY_LEN(before_layers); i++)
        add(p, &before_layers[i], c, 0);
    for (int layer = 0; layer < c->layers; layer++)
        for (size_t i = 0; i < ARRAY_LEN(in_layer); i++)
            add(p, &in_layer[i], c, layer);
    for (size_t i = 0; i < ARRAY_LEN(after_layers); i++)
        add(p, &after_layers[i], c, 0);
    gp_params_store(p, GP_F32, GP_F32);
}

void gp_params_store(gp_params *p, gp_dtype matrices, gp_dtype tables)
{
    p->matrix_dtype = matrices;
    p->table_dtype = tables;
    p->bytes = 0;
    for (int i = 0; i < p->count; i++) {
        gp_param *row = &p->rows[i];
        bool ids = row->role == GP_WTE || row->role == GP_HEAD_W;
        int64_t held = row->count;
        bool table = row->role == GP_WTE || row->role == GP_WPE || row->role == GP_WTT;
        row->dtype = row->ndim != 2 ? GP_F32 : table ? tables : matrices;
        if (ids && row->dtype == GP_BF16)
            held = (int64_t)gp_round_up((size_t)row->dim[0], GP_HELD_ROWS) * row->dim[1];
        row->at = p->bytes;
        p->bytes += (int64_t)gp_round_up((size_t)(held * gp_dtype_size(row->dtype)), 64);
    }
}

void gp_params_release(gp_params *p)
{
    free(p->rows);
    *p = (gp_params){0};
}

const gp_param *gp_params_row(const gp_params *p, gp_role role, int64_t index)
{
    if (index >= p->per_index[role])
        return NULL;
    for (int i = p->first[role]; i < p->count; i++)
        if (p->rows[i].role == role && p->rows[i].index == index)
            return &p->rows[i];
    return NULL;
}

/* ---- fresh weights --------------------------------------------------------------------------------------- */

/* A fresh vector, which is filled in so many equal shares of every row. */
typedef struct fresh {
    const gp_params *p;
    const gp_config *c;
    uint64_t seed;
    float *flat;
    int64_t shares;
} fresh;

/* Numbers are drawn in pairs. */
static void fill_row(const fresh *f, int i, int64_t share)
{
    const gp_param *row = &f->p->rows[i];
    float *w = f->flat + row->offset, std = (float)f->c->init_std;
    int64_t pairs = (row->count + 1) / 2, end = pairs * (share + 1) / f->shares;
    bool drawn = row->init == GP_INIT_NORMAL || row->init == GP_INIT_RESIDUAL;
    if (row->init == GP_INIT_RESIDUAL)
        std /= sqrtf(2.0f * (float)f->c->layers);
    for (int64_t k = pairs * share / f->shares; k < end; k++) {
        float pair[2];
        if (drawn)
            gp_random_normal2(f->seed, GP_RNG_INIT, (uint32_t)i, (uint64_t)k, pair);
        for (int64_t e = 2 * k; e < gp_min(2 * k + 2, row->count); e++)
            w[e] = drawn ? std * pair[e % 2] : row->init == GP_INIT_ONE ? 1 : 0;
    }
}

static void fill_share(void *self, int64_t share)
{
    const fresh *f = self;
    for (int i = 0; i < f->p->count; i++)
        fill_row(f, i, share);
}

/* transformers' padding_idx: that row of the token (RoBERTa: and position) table begins at zero */
static void clear_padding(const gp_params *p, const gp_config *c, float *flat)
{
    int64_t padding = gp_config_padding(c);
    for (int i = 0; i < p->count && padding >= 0; i++) {
        const gp_param *row = &p->rows[i];
        if (row->role == GP_WTE || (row->role == GP_WPE && c->family == GP_ROBERTA))
            memset(flat + row->offset + padding * c->channels, 0, (size_t)c->channels * sizeof *flat);
    }
}

void gp_params_init(const gp_params *p, const gp_config *c, uint64_t seed, float *flat, int threads)
{
    enum { NUMBERS = 1 << 18 }; /* of a share, about */
    fresh f = {p, c, seed, flat, 1 + p->total / NUMBERS};
    memset(flat, 0, (size_t)p->total * sizeof *flat); /* what is between rows too */
    gp_parallel(threads, f.shares, fill_share, &f);
    clear_padding(p, c, flat);
}

int gp_piece_shape(const gp_param *row, const gp_piece *piece, int64_t dim[2])
{
    dim[0] = row->ndim == 1 || piece->transposed ? piece->columns : row->dim[0];
    dim[1] = row->ndim == 1 ? 1 : piece->transposed ? row->dim[0] : piece->columns;
    return row->ndim;
}

/* Element (r, c) of the piece: in our row, and outside. */
typedef struct walk {
    int64_t rows, our_stride, out_row, out_column;
} walk;

static walk walk_of(const gp_param *row, const gp_piece *piece)
{
    int64_t rows = row->ndim == 1 ? 1 : row->dim[0];
    return (walk){rows, row->dim[row->ndim - 1], piece->transposed ? 1 : piece->columns, piece->transposed ? rows : 1};
}

void gp_piece_load(const gp_param *row, const gp_piece *piece, float *data, const float *external)
{
    walk w = walk_of(row, piece);
    for (int64_t r = 0; r < w.rows; r++)
        for (int64_t c = 0; c < piece->columns; c++)
            data[r * w.our_stride + piece->first + c] = external[r * w.out_row + c * w.out_column];
}

void gp_piece_store(const gp_param *row, const gp_piece *piece, const float *data, float *external)
{
    walk w = walk_of(row, piece);
    for (int64_t r = 0; r < w.rows; r++)
        for (int64_t c = 0; c < piece->columns; c++)
            external[r * w.out_row + c * w.out_column] = data[r * w.our_stride + piece->first + c];
}
