/* head.c: logits, cross-entropy and their gradients, a chunk of rows at a time. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64 /* of a chunk */, NOT_COUNTED = -100 };

size_t gp_ref_head_workspace(const gp_shape *shape)
{
    return (size_t)gp_min(ROWS, (int64_t)shape->B * shape->T) * (size_t)shape->V * sizeof(real);
}

/* logits = x W^T + bias      x (rows,C), W (V,C), or stored as (C,V), bias (V); logits (rows,V)
 * bf16: those of head_logits are fp32 and not rounded. */
static void logits_of(gp_backend *be, const gp_head_op *op, const real *x, int64_t rows, int64_t V, real *logits)
{
    int64_t C = columns_of(op->x);
    BUG_ON(gp_tensor_count(&op->w->w) != V * C);
    gp_ref_multiply(be, &(gp_ref_product){
                            .rows = rows,
                            .columns = V,
                            .depth = C,
                            .a = {x, C, 1},
                            .b = weight_matrix(be, op->w),
                            .weight = weight_in_format(op->w),
                            .bias = weight_bias(be, op->w, op->bias),
                            .out = logits,
                        });
}

void gp_ref_head_logits(gp_backend *be, const gp_head_op *op)
{
    if (op->norm)
        gp_ref_norm_forward(be, op->norm);
    logits_of(be, op, reals(op->x), rows_of(op->x), columns_of(op->logits), reals(op->logits));
}

/* The loss of one row of logits (V): own (-log p[target]) + each (sum over v of w[v] (-log p[v])),
 * own = (1 - smoothing) w[target], each = smoothing / V, w all 1 without class weights. With `train` row becomes scale
 * times its gradient, ((own + each sum w) p[v] - own onehot[v] - each w[v]). For target -100 both are 0. bf16: the
 * gradient is rounded. */
static double cross_entropy(const gp_backend *be, const gp_head_op *op, real *row, int64_t V, int32_t target)
{
    const real *weights = reals(op->class_weights);
    bool counted = target != NOT_COUNTED;
    BUG_ON(counted && (target < 0 || target >= V));
    if (!counted) {
        for (int64_t v = 0; op->train && v < V; v++)
            row[v] = 0;
        return 0;
    }
    double max = -INFINITY, sum = 0, all = 0, spread = 0, scale = op->step->scale;
    double own = (1 - (double)op->smoothing) * (weights ? (double)weights[target] : 1);
    double each = (double)op->smoothing / (double)V;
    for (int64_t v = 0; v < V; v++)
        max = row[v] > max ? row[v] : max;
    for (int64_t v = 0; v < V; v++)
        sum += exp(row[v] - max);
    double lse = max + log(sum);
    for (int64_t v = 0; each > 0 && v < V; v++) {
        double w = weights ? (double)weights[v] : 1;
        all += w;
        spread += w * (lse - row[v]);
    }
    double loss = own * (lse - row[target]) + each * spread;
    for (int64_t v = 0; op->train && v < V; v++) {
        double w = weights ? (double)weights[v] : 1;
        double d = (own + each * all) * (exp(row[v] - max) / sum) - own * (v == target) - each * w;
        row[v] = (real)stored(be, scale * d);
    }
    return loss;
}

/* d (rows,V), x and dx (rows,C):  dx = d W,  dW += d^T x,  dbias += column sums of d */
static void head_grads(gp_backend *be, const gp_head_op *op, const real *d, const real *x, int64_t rows, int64_t V,
                       real *dx)
{
    int64_t C = columns_of(op->x);
    gp_ref_matrix w = weight_matrix(be, op->w);
    gp_ref_multiply(be, &(gp_ref_product){
                            .rows = rows,
                            .columns = C,
                            .depth = V,
                            .a = {d, V, 1},
                            .b = {w.at, w.column, w.row},
                            .out = dx,
                        });
    gp_ref_store(be, dx, rows * C);
    gp_ref_weight_grad(be, op->w, x, d, rows, reals(op->dw));
    if (op->dbias)
        gp_ref_add_rows(be, d, rows, V, reals(op->dbias));
}

/* losses[n]: see cross_entropy;  step->loss += step->scale * their sum
 * x, dx (N,C); the workspace contains ROWS rows of logits, which are overwritten by their gradient
 * bf16: the logits are rounded before the loss, then their gradient, and dx. */
void gp_ref_head_loss(gp_backend *be, const gp_head_op *op)
{
    int64_t N = rows_of(op->x), C = columns_of(op->x), V = op->w->w.dim[op->w->transposed ? 0 : 1];
    const real *x = reals(op->x);
    real *losses = reals(op->losses), *dx = op->train ? reals(op->dx) : NULL, *logits = (real *)be->workspace;
    BUG_ON(op->class_weights && gp_tensor_count(op->class_weights) != V);
    BUG_ON((size_t)(gp_min(N, ROWS) * V) * sizeof *logits > be->workspace_size);
    if (op->train && op->first_dw)
        memset(op->dw->data, 0, (size_t)(V * C) * sizeof(real));
    double sum = 0;
    for (int64_t n0 = 0; n0 < N; n0 += ROWS) {
        int64_t rows = gp_min(ROWS, N - n0);
        logits_of(be, op, x + n0 * C, rows, V, logits);
        gp_ref_store(be, logits, rows * V);
#pragma omp parallel for schedule(static) num_threads(be->threads)
        for (int64_t r = 0; r < rows; r++)
            losses[n0 + r] = (real)cross_entropy(be, op, logits + r * V, V, op->targets[n0 + r]);
        for (int64_t r = 0; r < rows; r++)
            sum += losses[n0 + r];
        if (op->train)
            head_grads(be, op, logits, x + n0 * C, rows, V, dx + n0 * C);
    }
    op->step->loss += (double)op->step->scale * sum;
}

void gp_ref_head_decode(gp_backend *be, const gp_head_op *op)
{
    gp_head_op with = *op;
    gp_tensor x = gp_ref_decode_input(be, op->norm, op->w, op->x);
    with.norm = NULL;
    with.x = &x;
    gp_ref_head_logits(be, &with);
    gp_ref_decode_done(op->x, &x);
}
