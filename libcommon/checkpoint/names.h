/* names.h: what formats call the roles of the table of parameters, and in which pieces they store a row. */
#ifndef GP_CHECKPOINT_NAMES_H
#define GP_CHECKPOINT_NAMES_H

#include "model/params.h"

enum { GP_PIECES = 3, GP_TENSOR_NAME = 88 }; /* pieces of a row, bytes of a name: at most */

/* One external tensor: columns [first, first + columns) of the row (of its last dim), transposed or not. */
typedef struct gp_piece {
    char name[GP_TENSOR_NAME];
    bool transposed; /* stored outside as (columns, dim[0]) */
    int64_t first, columns;
} gp_piece;

/* A tensor that is no row of the table: a buffer, a second name of a parameter, or part of a head that is not computed
 * here, or not with this configuration (a BertForMaskedLM's pooler). */
typedef struct gp_extra_tensor {
    const char *name;  /* '@' at its begin: under the prefix; '#' is a number */
    const char *shape; /* one letter a dim, P = any, 1 = 1; NULL = any shape */
    gp_role same_as;   /* a second name of this parameter, which the format's writer ties; GP_ROLES: of none */
    bool carried;      /* conversions between formats with the same names keep it */
} gp_extra_tensor;

/* The names of one format for one family: a pattern a role, in which '#' is the layer, '@' the prefix, and '|' stands
 * between the pieces of a row that are tensors of their own, of equal width. NULL: as in base, or, without one, the
 * format has no such tensor. */
typedef struct gp_naming {
    const char *prefix; /* of the tensors that a model without its head has */
    const struct gp_naming *base;
    bool linear_out_in;            /* a linear's weight is stored (out, in) */
    bool leading_one;              /* and may have a dim of 1 before these (TensorFlow's conv1d) */
    const char *activation;        /* the module that applies it, as traces call it */
    const gp_extra_tensor *extras; /* up to one without a name; NULL: those of base */
    const gp_role *order;          /* in which rows are written, all layers of a role together, up to GP_ROLES; NULL: in
                                      the order of the table */
    const char *name[GP_ROLES];
} gp_naming;

/* Hugging Face's, which our own files have too. */
const gp_naming *gp_hf_naming(const gp_config *c);

/* nanoGPT's, llm.c's, and those of OpenAI's TensorFlow code. */
const gp_naming *gp_nanogpt_naming(void);
const gp_naming *gp_llmc_naming(void);
const gp_naming *gp_tensorflow_naming(void);

/* llama.cpp's: of its gpt2 and its bert. */
const gp_naming *gp_gguf_naming(const gp_config *c);

/* Tensors beside those of the table, up to one without a name. */
const gp_extra_tensor *gp_naming_extras(const gp_naming *n);

const char *gp_naming_pattern(const gp_naming *n, gp_role role);

/* The first name of a pattern, up to '|', in a layer. What follows it is returned, NULL at the end. */
const char *gp_naming_expand(const gp_naming *n, const char *pattern, int64_t layer, char name[GP_TENSOR_NAME]);

/* The pieces of a row, their number returned. */
int gp_naming_pieces(const gp_naming *n, const gp_param *row, gp_piece piece[GP_PIECES]);

/* The external shape of a piece: dims into dim[2], their number returned. */
int gp_piece_shape(const gp_param *row, const gp_piece *piece, int64_t dim[2]);

#endif
