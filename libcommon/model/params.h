/* params.h: the table of parameters. One row a tensor: its role, its shape, how it begins, whether it decays.
 * Initialization, AdamW groups, checkpoints, converters, traces and counts are loops over it; no code tests a row's
 * index. What a file format calls a role, and in which pieces it stores it, is in checkpoint/names.c.
 *
 * All rows live in one flat fp32 vector of `total` elements, row i at rows[i].offset (64-byte aligned; the
 * gaps are zero and stay zero): gradients and moments do, and so do the parameters, unless their matrices are kept in
 * bf16; then row i is rows[i].at bytes behind their begin. A linear's weight is (in, out), as Hugging Face's GPT-2
 * stores it. */
#ifndef GP_MODEL_PARAMS_H
#define GP_MODEL_PARAMS_H

#include "base/base.h"
#include "gptpipe/config.h"
#include "gptpipe/tensor.h"

typedef enum gp_role {
    GP_WTE,              /* token embedding (V,C) */
    GP_WPE,              /* position embedding (P,C) */
    GP_WTT,              /* token type embedding (types,C) */
    GP_EMBED_NORM_GAMMA, /* norms, each followed by its beta: post-norm models have one behind the embedding, */
    GP_EMBED_NORM_BETA,
    GP_NORM1_GAMMA, /* all have two a layer, around attention and around the MLP, */
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
    GP_HEAD_W, /* untied head (V,C) */
    GP_HEAD_B, /* MLM's output bias (V) */
    GP_MLM_W,  /* MLM's transform (C,C) */
    GP_MLM_B,
    GP_MLM_GAMMA,
    GP_MLM_BETA,
    GP_ROLES
} gp_role;

typedef enum gp_init { GP_INIT_NORMAL, GP_INIT_RESIDUAL, GP_INIT_ZERO, GP_INIT_ONE } gp_init;

typedef struct gp_param {
    gp_role role;
    const char *name; /* "qkv.weight"; gp_param_name has the layer too */
    bool in_layer;
    int index; /* layer */
    int ndim;
    int64_t dim[2];
    int64_t offset, count; /* elements in the flat vector */
    gp_dtype dtype;        /* as the parameters are stored */
    int64_t at;            /* and where: bytes; 4 offset where all are fp32 */
    gp_init init;          /* residual: the normal's std over sqrt(2L) (Radford et al. 2019) */
    bool decays;           /* weight decay: tensors of two dimensions */
} gp_param;

typedef struct gp_params {
    gp_param *rows;
    int count;
    int64_t total;                            /* elements of the flat vector, gaps included */
    int64_t parameters;                       /* without gaps */
    int64_t bytes;                            /* of the parameters as they are stored, gaps included */
    gp_dtype matrix_dtype, table_dtype;       /* of rows of two dimensions, as stored; the others are fp32 */
    int first[GP_ROLES], per_index[GP_ROLES]; /* for gp_params_row */
} gp_params;

/* c has passed gp_config_check. All rows are stored in fp32. */
void gp_params_list(gp_params *p, const gp_config *c);

/* Matrices are stored in one dtype, the tables of which embedding takes rows in another, all else in fp32. Vectors are
 * a thousandth of a model, and an update of a norm's gain is the first to drown in eight bits: they are not worth it.
 * Behind a table of ids stored in bf16 are zeros up to a multiple of GP_PAD_ROWS rows (gp_weight). */
void gp_params_store(gp_params *p, gp_dtype matrices, gp_dtype tables);
void gp_params_release(gp_params *p);

/* The row of a role in a layer, and that of a norm site (block.c); NULL where the config has none. */
const gp_param *gp_params_row(const gp_params *p, gp_role role, int64_t index);
const gp_param *gp_params_norm(const gp_params *p, int64_t site, bool beta);

/* The model's own name of a row, for messages: "layer.3.qkv.weight". Returns text. */
enum { GP_PARAM_NAME = 48 };
const char *gp_param_name(const gp_param *row, char text[GP_PARAM_NAME]);

/* Fills the flat vector with fresh weights: depends on seed and config alone, not on the threads that do it. */
void gp_params_init(const gp_params *p, const gp_config *c, uint64_t seed, float *flat, int threads);

#endif
