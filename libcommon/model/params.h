/* params.h: the table of parameters. Each tensor is a row: role, shape, initialization, weight decay. Initialization,
 * AdamW groups, checkpoints, converters, traces and counts are loops over it; no code tests a row's index. The names
 * and the layout of roles in file formats are in checkpoint/names.c.
 *
 * Gradients, moments and fp32 parameters are each one flat fp32 vector of `total` elements, with row i at
 * rows[i].offset (64-byte aligned; the gaps are zero and stay zero). If matrices are stored in bf16, row i of the
 * parameters is at byte rows[i].at. The weight of a linear layer is (in, out), as in Hugging Face's GPT-2. */
#ifndef GP_MODEL_PARAMS_H
#define GP_MODEL_PARAMS_H

#include "backend/weight_format.h"
#include "base/base.h"
#include "gptpipe/config.h"
#include "gptpipe/tensor.h"

typedef enum gp_role {
    GP_WTE,              /* token embedding (V,C) */
    GP_WPE,              /* position embedding (P,C) */
    GP_WTT,              /* token type embedding (types,C) */
    GP_EMBED_NORM_GAMMA, /* norms, each followed by its beta: post-norm models have one after the embedding, */
    GP_EMBED_NORM_BETA,
    GP_NORM1_GAMMA, /* all have two per layer, for attention and for the MLP, */
    GP_NORM1_BETA,
    GP_NORM2_GAMMA,
    GP_NORM2_BETA,
    GP_FINAL_NORM_GAMMA, /* pre-norm models have one before the head */
    GP_FINAL_NORM_BETA,
    GP_QKV_W, /* (C,3C): query, key, value side by side */
    GP_QKV_B,
    GP_PROJ_W, /* attention's output (C,C) */
    GP_PROJ_B,
    GP_FC_W, /* MLP in (C,inner) */
    GP_FC_B,
    GP_OUT_W, /* MLP out (inner,C) */
    GP_OUT_B,
    GP_HEAD_W, /* untied head (V,C); this and all that follow belong to the head */
    GP_HEAD_B, /* MLM's output bias (V) */
    GP_MLM_W,  /* MLM's transform (C,C) */
    GP_MLM_B,
    GP_MLM_GAMMA,
    GP_MLM_BETA,
    GP_DENSE_W, /* a classifier's dense layer (C,C) */
    GP_DENSE_B,
    GP_CLASS_W, /* and its product (labels,C) */
    GP_CLASS_B,
    GP_ROLES
} gp_role;

typedef enum gp_init { GP_INIT_NORMAL, GP_INIT_RESIDUAL, GP_INIT_ZERO, GP_INIT_ONE } gp_init;

typedef struct gp_param {
    gp_role role;
    const char *name; /* "qkv.weight"; gp_param_name adds the layer */
    bool in_layer;
    int index; /* layer */
    int ndim;
    int64_t dim[2];
    int64_t offset, count;   /* elements in the flat vector */
    gp_dtype dtype;          /* of the parameter as stored */
    gp_weight_format format; /* not fp32: it is stored in the slot of its weight alone (gp_weight) */
    int64_t at;              /* its byte offset; 4 * offset if all are fp32 */
    gp_init init;            /* residual: normal, with std / sqrt(2L) (Radford et al. 2019) */
    bool decays;             /* weight decay applies: tensors of two dimensions */
} gp_param;

typedef struct gp_params {
    gp_param *rows;
    int count;
    int64_t total;                            /* elements of the flat vector, including gaps */
    int64_t parameters;                       /* without gaps */
    int64_t bytes;                            /* of the parameters as stored, including gaps */
    gp_dtype matrix_dtype, table_dtype;       /* of rows of two dimensions, as stored; the others are fp32 */
    int first[GP_ROLES], per_index[GP_ROLES]; /* for gp_params_row: */
    int layer_rows;                           /* each layer has the same ones in the same order */
} gp_params;

/* c must have passed gp_config_check. All rows are stored in fp32. */
void gp_params_list(gp_params *p, const gp_config *c);

/* Sets the dtypes in which parameters are stored: of matrices, and of embedding tables. Vectors stay fp32: they are a
 * thousandth of a model, and bf16's eight bits would lose updates of a norm's gain first. A token table in bf16 is
 * padded with zeros to a multiple of GP_PAD_ROWS rows (gp_weight). */
void gp_params_store(gp_params *p, gp_dtype matrices, gp_dtype tables);

/* Sets the format of the matrices that products read, among them the token table that is the head too. */
void gp_params_store_weights(gp_params *p, const gp_config *c, gp_weight_format format);
void gp_params_release(gp_params *p);

/* The row of a role in a layer, and that of a norm site (block.c); NULL if the config has none. */
const gp_param *gp_params_row(const gp_params *p, gp_role role, int64_t index);
const gp_param *gp_params_norm(const gp_params *p, int64_t site, bool beta);

/* The name of a row in messages: "layer.3.qkv.weight". Returns text. */
enum { GP_PARAM_NAME = 48 };
const char *gp_param_name(const gp_param *row, char text[GP_PARAM_NAME]);

/* Whether a parameter belongs to the head: what changes when a model is given another one. */
static inline bool gp_role_is_head(gp_role role)
{
    return role >= GP_HEAD_W;
}

/* Elements [first, first + count) of a row, the i-th of the table, as gp_params_init makes them; but for the row of
 * padding. */
void gp_params_init_elements(const gp_param *row, int i, const gp_config *c, uint64_t seed, int64_t first,
                             int64_t count, float *w);

/* Initializes the flat vector. The weights depend only on seed and config, not on the number of threads. */
void gp_params_init(const gp_params *p, const gp_config *c, uint64_t seed, float *flat, int threads);

#endif
