/* profile.h: the time of each op, and its FLOPs and bytes.
 *
 *     gp_profile p;
 *     gp_profile_begin(&p, be);      // be->ops is now a table that times each call and forwards it
 *     ...a pass of a model...
 *     gp_profile_end(&p, be);        // be->ops is restored
 *     for (int i = 0; i < p.count; i++)
 *         printf("%s %s %g s\n", p.row[i].op, p.row[i].shape, p.row[i].seconds);
 *
 * Without profiling there is no overhead. One row per op and shape, so that the linears of a model are separate.
 * Asynchronous ops are timed by the device's clock, which is read at the end. */
#ifndef GP_BACKEND_PROFILE_H
#define GP_BACKEND_PROFILE_H

#include "backend/backend.h"

enum { GP_PROFILE_ROWS = 64, GP_PROFILE_MARKS = 256 };

/* The min cost of one call of an op, from its shapes: the FLOPs of its products (without elementwise work, what a
 * causal mask hides, and what backward recomputes), and the bytes if each tensor is read or written once. */
typedef struct gp_cost {
    double flops, bytes;
} gp_cost;

typedef struct gp_profile_row {
    const char *op;
    char shape[24]; /* "768 x 3072" of a product's weight, else "" */
    int64_t calls;
    double seconds;
    gp_cost cost; /* of all calls */
} gp_profile_row;

typedef struct gp_profile {
    const gp_backend_ops *inner; /* the backend's own table */
    gp_backend_ops table;        /* the same, with ops that are timed */
    int count;
    gp_profile_row row[GP_PROFILE_ROWS];
    struct {
        gp_mark *from, *to;
        int row;
    } mark[GP_PROFILE_MARKS]; /* around the ops whose times have not been read yet */
    int pending;              /* number of these */
} gp_profile;

void gp_profile_begin(gp_profile *p, gp_backend *be);
void gp_profile_end(gp_profile *p, gp_backend *be);

/* Adds a call to the row of an op and, for a product, its weight (else NULL); returns the index of the row. */
int gp_profile_add(gp_profile *p, const char *op, const gp_weight *w, double seconds, gp_cost cost);

/* cost.c: the cost of each op; for some, of the parts for which a backend may have separate kernels. */
enum {
    GP_PART_LOGITS = 1, /* the head's product */
    GP_PART_LOSS = 2,   /* the cross-entropy, and the logits' gradients */
    GP_PART_DX = 4,
    GP_PART_DW = 8,
    GP_PART_DBIAS = 16,
    GP_PART_ALL = 31
};
gp_cost gp_cost_embed(const gp_embed_op *op, bool backward);
gp_cost gp_cost_select(const gp_select_op *op, bool backward);
gp_cost gp_cost_norm(const gp_norm_op *op, bool backward);
gp_cost gp_cost_linear(const gp_backend *be, const gp_linear_op *op, bool backward);
gp_cost gp_cost_linear_backward(const gp_backend *be, const gp_linear_op *op, int parts);
gp_cost gp_cost_attention(const gp_attention_op *op, bool backward);
gp_cost gp_cost_attention_cached(gp_backend *be, const gp_attention_cached_op *op);
gp_cost gp_cost_head(const gp_backend *be, const gp_head_op *op, int parts);
gp_cost gp_cost_decode(const gp_backend *be, const gp_weight *w, const gp_tensor *x, const gp_tensor *y);
gp_cost gp_cost_with_norm(gp_cost c, const gp_norm_op *norm); /* norm may be NULL */
gp_cost gp_cost_grad_norm(const gp_segment *segments, int count);
gp_cost gp_cost_adamw(const gp_adamw_op *op);
gp_cost gp_cost_weights(gp_backend *be, gp_weight *const *w, int count);

/* Ops with a single cost: X(name, the type of its struct, the label of its row, its weight or NULL, its cost). */
#define GP_OPS_OF_ONE_COST(X)                                                                                          \
    X(embed_forward, gp_embed_op, "embed", NULL, gp_cost_embed(op, false))                                             \
    X(embed_backward, gp_embed_op, "embed backward", NULL, gp_cost_embed(op, true))                                    \
    X(select_forward, gp_select_op, "select", NULL, gp_cost_select(op, false))                                         \
    X(select_backward, gp_select_op, "select backward", NULL, gp_cost_select(op, true))                                \
    X(norm_forward, gp_norm_op, "norm", NULL, gp_cost_norm(op, false))                                                 \
    X(norm_backward, gp_norm_op, "norm backward", NULL, gp_cost_norm(op, true))                                        \
    X(attention_forward, gp_attention_op, "attention", NULL, gp_cost_attention(op, false))                             \
    X(attention_backward, gp_attention_op, "attention backward", NULL, gp_cost_attention(op, true))                    \
    X(head_logits, gp_head_op, "head", op->w, gp_cost_head(be, op, GP_PART_LOGITS))                                    \
    X(adamw, gp_adamw_op, "adamw", NULL, gp_cost_adamw(op))                                                            \
    X(sample, gp_sample_op, "sample", NULL, ((gp_cost){0, (double)gp_tensor_bytes(op->logits)}))

#endif
