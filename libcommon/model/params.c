/* params.c: the table of parameters. */
#include "model/params.h"
#include "model/config.h"
#include "backend/backend.h"
#include "base/rng.h"
#include "base/threads.h"

#include <stdlib.h>
#include <string.h>

typedef enum dim { D_NONE, D_C, D_3C, D_INNER, D_V, D_P, D_TYPES, D_LABELS } dim;
typedef enum when { W_ALWAYS, W_PRE, W_POST, W_TYPES, W_UNTIED, W_MLM, W_DENSE, W_CLASS, W_CLASS_BIAS } when;

typedef struct spec {
    gp_role role;
    const char *name;
    when exists;
    dim d0, d1;
    gp_init init;
    bool is_bias; /* does not exist if the config has no biases */
} spec;

static const spec before_layers[] = {
    {GP_WTE, "wte.weight", W_ALWAYS, D_V, D_C, GP_INIT_NORMAL, false},
    {GP_WPE, "wpe.weight", W_ALWAYS, D_P, D_C, GP_INIT_NORMAL, false},
    {GP_WTT, "wtt.weight", W_TYPES, D_TYPES, D_C, GP_INIT_NORMAL, false},
    {GP_EMBED_NORM_GAMMA, "embed_norm.weight", W_POST, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_EMBED_NORM_BETA, "embed_norm.bias", W_POST, D_C, D_NONE, GP_INIT_ZERO, true},
};

static const spec in_layer[] = {
    {GP_NORM1_GAMMA, "norm1.weight", W_PRE, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_NORM1_BETA, "norm1.bias", W_PRE, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_QKV_W, "qkv.weight", W_ALWAYS, D_C, D_3C, GP_INIT_NORMAL, false},
    {GP_QKV_B, "qkv.bias", W_ALWAYS, D_3C, D_NONE, GP_INIT_ZERO, true},
    {GP_PROJ_W, "proj.weight", W_ALWAYS, D_C, D_C, GP_INIT_RESIDUAL, false},
    {GP_PROJ_B, "proj.bias", W_ALWAYS, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_NORM1_GAMMA, "norm1.weight", W_POST, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_NORM1_BETA, "norm1.bias", W_POST, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_NORM2_GAMMA, "norm2.weight", W_PRE, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_NORM2_BETA, "norm2.bias", W_PRE, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_FC_W, "fc.weight", W_ALWAYS, D_C, D_INNER, GP_INIT_NORMAL, false},
    {GP_FC_B, "fc.bias", W_ALWAYS, D_INNER, D_NONE, GP_INIT_ZERO, true},
    {GP_OUT_W, "out.weight", W_ALWAYS, D_INNER, D_C, GP_INIT_RESIDUAL, false},
    {GP_OUT_B, "out.bias", W_ALWAYS, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_NORM2_GAMMA, "norm2.weight", W_POST, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_NORM2_BETA, "norm2.bias", W_POST, D_C, D_NONE, GP_INIT_ZERO, true},
};

static const spec after_layers[] = {
    {GP_FINAL_NORM_GAMMA, "final_norm.weight", W_PRE, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_FINAL_NORM_BETA, "final_norm.bias", W_PRE, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_MLM_W, "mlm.weight", W_MLM, D_C, D_C, GP_INIT_NORMAL, false},
    {GP_MLM_B, "mlm.bias", W_MLM, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_MLM_GAMMA, "mlm_norm.weight", W_MLM, D_C, D_NONE, GP_INIT_ONE, false},
    {GP_MLM_BETA, "mlm_norm.bias", W_MLM, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_HEAD_W, "head.weight", W_UNTIED, D_V, D_C, GP_INIT_NORMAL, false},
    {GP_HEAD_B, "head.bias", W_MLM, D_V, D_NONE, GP_INIT_ZERO, true},
    {GP_DENSE_W, "dense.weight", W_DENSE, D_C, D_C, GP_INIT_NORMAL, false},
    {GP_DENSE_B, "dense.bias", W_DENSE, D_C, D_NONE, GP_INIT_ZERO, true},
    {GP_CLASS_W, "classifier.weight", W_CLASS, D_LABELS, D_C, GP_INIT_NORMAL, false},
    {GP_CLASS_B, "classifier.bias", W_CLASS_BIAS, D_LABELS, D_NONE, GP_INIT_ZERO, true},
};

static int64_t dim_size(dim d, const gp_config *c)
{
    const int64_t size[] = {
        [D_NONE] = 1,          [D_C] = c->channels,  [D_3C] = 3 * c->channels, [D_INNER] = c->inner,
        [D_V] = c->vocab_size, [D_P] = c->positions, [D_TYPES] = c->types,     [D_LABELS] = c->labels};
    return size[d];
}

static bool present(const spec *s, const gp_config *c)
{
    bool classifies = c->head == GP_HEAD_CLASSIFY;
    const bool exists[] = {[W_ALWAYS] = true,
                           [W_PRE] = !c->post_norm,
                           [W_POST] = c->post_norm,
                           [W_TYPES] = c->types > 0,
                           [W_UNTIED] = !c->tied && gp_config_predicts_tokens(c),
                           [W_MLM] = c->head == GP_HEAD_MLM,
                           [W_DENSE] = classifies && c->head_dense,
                           [W_CLASS] = classifies,
                           [W_CLASS_BIAS] = classifies && c->head_bias};
    return exists[s->exists] && (c->bias || !s->is_bias);
}

static void add(gp_params *p, const spec *s, const gp_config *c, bool layered)
{
    enum { ALIGN = 16 }; /* elements: 64 bytes */
    if (!present(s, c))
        return;
    gp_param *row = &p->rows[p->count];
    *row = (gp_param){
        .role = s->role, .name = s->name, .in_layer = layered, .init = s->init, .ndim = s->d1 == D_NONE ? 1 : 2};
    row->dim[0] = dim_size(s->d0, c);
    row->dim[1] = dim_size(s->d1, c);
    row->count = row->dim[0] * row->dim[1];
    row->decays = row->ndim == 2;
    row->offset = p->total;
    row->index = p->per_index[s->role]++; /* rows of a role are in the order of layers */
    if (!row->index)
        p->first[s->role] = p->count;
    p->total += (int64_t)gp_round_up((size_t)row->count, ALIGN);
    p->parameters += row->count;
    p->count++;
}

void gp_params_list(gp_params *p, const gp_config *c)
{
    *p = (gp_params){0};
    size_t max = ARRAY_LEN(before_layers) + (size_t)c->layers * ARRAY_LEN(in_layer) + ARRAY_LEN(after_layers);
    p->rows = gp_calloc(max, sizeof *p->rows);
    for (size_t i = 0; i < ARRAY_LEN(before_layers); i++)
        add(p, &before_layers[i], c, false);
    int before = p->count;
    for (int layer = 0; layer < c->layers; layer++)
        for (size_t i = 0; i < ARRAY_LEN(in_layer); i++)
            add(p, &in_layer[i], c, true);
    p->layer_rows = c->layers ? (p->count - before) / (int)c->layers : 0;
    for (size_t i = 0; i < ARRAY_LEN(after_layers); i++)
        add(p, &after_layers[i], c, false);
    gp_params_store(p, GP_F32, GP_F32);
}

static bool is_table(const gp_param *row)
{
    return row->role == GP_WTE || row->role == GP_WPE || row->role == GP_WTT;
}

/* Where each row is in memory. */
static void place(gp_params *p)
{
    p->bytes = 0;
    for (int i = 0; i < p->count; i++) {
        gp_param *row = &p->rows[i];
        bool ids = row->role == GP_WTE || row->role == GP_HEAD_W || row->role == GP_CLASS_W;
        int64_t padded = row->format == GP_WEIGHTS_FP32 ? row->count : 0;
        row->dtype = row->ndim != 2 ? GP_F32 : is_table(row) ? p->table_dtype : p->matrix_dtype;
        if (padded && ids && row->dtype == GP_BF16)
            padded = (int64_t)gp_round_up((size_t)row->dim[0], GP_PAD_ROWS) * row->dim[1];
        row->at = p->bytes;
        p->bytes += (int64_t)gp_round_up((size_t)(padded * gp_dtype_size(row->dtype)), 64);
    }
}

void gp_params_store(gp_params *p, gp_dtype matrices, gp_dtype tables)
{
    p->matrix_dtype = matrices;
    p->table_dtype = tables;
    place(p);
}

void gp_params_store_weights(gp_params *p, const gp_config *c, gp_weight_format format)
{
    for (int i = 0; i < p->count; i++) {
        gp_param *row = &p->rows[i];
        bool is_head = row->role == GP_WTE && c->tied && gp_config_predicts_tokens(c);
        if (row->ndim == 2 && (!is_table(row) || is_head))
            row->format = format;
    }
    place(p);
}

void gp_params_release(gp_params *p)
{
    free(p->rows);
    *p = (gp_params){0};
}

const gp_param *gp_params_row(const gp_params *p, gp_role role, int64_t index)
{
    return index < p->per_index[role] ? &p->rows[p->first[role] + index * p->layer_rows] : NULL;
}

const gp_param *gp_params_norm(const gp_params *p, int64_t site, bool beta)
{
    bool post = p->per_index[GP_EMBED_NORM_GAMMA] > 0;
    int64_t nth = site - post; /* of those in layers */
    int gamma = nth % 2 ? GP_NORM2_GAMMA : GP_NORM1_GAMMA;
    if (nth < 0)
        return gp_params_row(p, beta ? GP_EMBED_NORM_BETA : GP_EMBED_NORM_GAMMA, 0);
    if (nth == 2 * p->per_index[GP_NORM1_GAMMA])
        return gp_params_row(p, beta ? GP_FINAL_NORM_BETA : GP_FINAL_NORM_GAMMA, 0);
    return gp_params_row(p, (gp_role)(gamma + beta), nth / 2);
}

const char *gp_param_name(const gp_param *row, char text[GP_PARAM_NAME])
{
    if (row->in_layer)
        snprintf(text, GP_PARAM_NAME, "layer.%d.%s", row->index, row->name);
    else
        snprintf(text, GP_PARAM_NAME, "%s", row->name);
    return text;
}

/* ---- initialization -------------------------------------------------------------------------------------- */

/* Each row is divided into `shares` equal parts, each filled by one thread. */
typedef struct initialization {
    const gp_params *p;
    const gp_config *c;
    uint64_t seed;
    float *flat;
    int64_t shares;
} initialization;

/* Normal random numbers come in pairs. */
void gp_params_init_elements(const gp_param *row, int i, const gp_config *c, uint64_t seed, int64_t first,
                             int64_t count, float *w)
{
    float std = (float)c->init_std;
    int64_t end = first + count;
    bool drawn = row->init == GP_INIT_NORMAL || row->init == GP_INIT_RESIDUAL;
    if (row->init == GP_INIT_RESIDUAL)
        std /= sqrtf(2.0f * (float)c->layers);
    for (int64_t k = first / 2; 2 * k < end; k++) {
        float pair[2];
        if (drawn)
            gp_random_normal2(seed, GP_RNG_INIT, (uint32_t)i, (uint64_t)k, pair);
        for (int64_t e = gp_max(2 * k, first); e < gp_min(2 * k + 2, end); e++)
            w[e - first] = drawn ? std * pair[e % 2] : row->init == GP_INIT_ONE ? 1 : 0;
    }
}

static void fill_row(const initialization *f, int i, int64_t share)
{
    const gp_param *row = &f->p->rows[i];
    int64_t pairs = (row->count + 1) / 2, first = 2 * (pairs * share / f->shares),
            end = gp_min(2 * (pairs * (share + 1) / f->shares), row->count);
    gp_params_init_elements(row, i, f->c, f->seed, first, end - first, f->flat + row->offset + first);
}

static void fill_share(void *self, int64_t share)
{
    const initialization *f = self;
    for (int i = 0; i < f->p->count; i++)
        fill_row(f, i, share);
}

/* transformers' padding_idx: that row of the token table is zero, and, if padding has its own position, so is that row
 * of the position table. */
static void clear_padding(const gp_params *p, const gp_config *c, float *flat)
{
    int64_t padding = gp_config_padding(c);
    for (int i = 0; i < p->count && padding >= 0; i++) {
        const gp_param *row = &p->rows[i];
        if (row->role == GP_WTE || (row->role == GP_WPE && c->pad_positions))
            memset(flat + row->offset + padding * c->channels, 0, (size_t)c->channels * sizeof *flat);
    }
}

void gp_params_init(const gp_params *p, const gp_config *c, uint64_t seed, float *flat, int threads)
{
    enum { SHARE = 1 << 18 }; /* approximate numbers in a share */
    initialization f = {p, c, seed, flat, 1 + p->total / SHARE};
    memset(flat, 0, (size_t)p->total * sizeof *flat); /* including the gaps */
    gp_parallel(threads, f.shares, fill_share, &f);
    clear_padding(p, c, flat);
}
