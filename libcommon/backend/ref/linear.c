/* linear.c: y = act(x W + bias), its gradients, and activations as separate ops. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <math.h>
#include <string.h>

static const double sqrt_half = 0.70710678118654752440, sqrt_2_over_pi = 0.79788456080286535588;
static const double one_over_sqrt_2pi = 0.39894228040143267794, cubic = 0.044715;

/* GELU (Hendrycks & Gimpel 2016): x Phi(x), exactly by erf, or GPT-2's approximation
 * x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); ReLU: max(x, 0), and NaN stays NaN. */
static double act_value(gp_act act, double x)
{
    switch (act) {
    case GP_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt_2_over_pi * (x + cubic * x * x * x)));
    case GP_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x * sqrt_half));
    case GP_ACT_RELU:
        return x < 0 ? 0 : x;
    case GP_ACT_TANH:
        return tanh(x);
    default:
        return x;
    }
}

/* d act / d x */
static double act_slope(gp_act act, double x)
{
    switch (act) {
    case GP_ACT_GELU_TANH: {
        double t = tanh(sqrt_2_over_pi * (x + cubic * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt_2_over_pi * (1 + 3 * cubic * x * x);
    }
    case GP_ACT_GELU_ERF:
        return 0.5 * (1 + erf(x * sqrt_half)) + x * one_over_sqrt_2pi * exp(-0.5 * x * x);
    case GP_ACT_RELU:
        return x > 0;
    case GP_ACT_TANH:
        return 1 - tanh(x) * tanh(x);
    default:
        return 1;
    }
}

/* y = act(x W + bias)      x (N,I), W (I,O), bias (O); y, pre (N,O)
 * bf16: y and pre are rounded. GELU by tanh, which on a GPU is in the product's epilogue, is applied to the sum before
 * rounding; the others, separate kernels, to the rounded pre. */
void gp_ref_linear_forward(gp_backend *be, const gp_linear_op *op)
{
    int64_t N = rows_of(op->x), I = columns_of(op->x), O = columns_of(op->y);
    real *y = reals(op->y), *pre = op->pre ? reals(op->pre) : y;
    if (op->norm)
        gp_ref_norm_forward(be, op->norm);
    BUG_ON(I * O != gp_tensor_count(&op->w->w) || N * O != gp_tensor_count(op->y));
    gp_ref_multiply(be, &(gp_ref_product){
                            .rows = N,
                            .columns = O,
                            .depth = I,
                            .a = {reals(op->x), I, 1},
                            .b = weight_matrix(be, op->w),
                            .weight = weight_in_format(op->w),
                            .bias = weight_bias(be, op->w, op->bias),
                            .out = pre,
                        });
    if (op->act == GP_ACT_NONE && pre == y && !be->rounds)
        return;
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < N * O; i++) {
        double sum = pre[i];
        pre[i] = (real)stored(be, sum);
        y[i] = (real)stored(be, act_value(op->act, op->act == GP_ACT_GELU_TANH ? sum : pre[i]));
    }
}

/* dx = (dy W^T) in_act'(in_pre);  dW += x^T dy;  dbias += column sums of dy
 * bf16: dx is rounded, and, except with GELU by tanh, also dy W^T before it is multiplied by the slope. */
void gp_ref_linear_backward(gp_backend *be, const gp_linear_op *op)
{
    const real *dy = reals(op->dy);
    int64_t N = rows_of(op->dy), O = columns_of(op->dy), I = gp_tensor_count(&op->w->w) / O;
    if (op->dx) {
        gp_ref_matrix w = weight_matrix(be, op->w);
        BUG_ON(gp_tensor_count(op->dx) != N * I);
        gp_ref_multiply(be, &(gp_ref_product){
                                .rows = N,
                                .columns = I,
                                .depth = O,
                                .a = {dy, O, 1},
                                .b = {w.at, w.column, w.row},
                                .out = reals(op->dx),
                            });
        if (op->in_act != GP_ACT_GELU_TANH)
            gp_ref_store(be, reals(op->dx), N * I);
        if (op->in_act != GP_ACT_NONE)
            gp_ref_act_backward(be, op->in_act, op->dx, op->dx, op->in_pre);
    }
    if (op->dw) {
        BUG_ON(gp_tensor_count(op->x) != N * I || gp_tensor_count(op->dw) != I * O);
        if (op->first_dw)
            memset(op->dw->data, 0, (size_t)(I * O) * sizeof(real));
        gp_ref_weight_grad(be, op->w, reals(op->x), dy, N, reals(op->dw));
    }
    if (op->dbias)
        gp_ref_add_rows(be, dy, N, O, reals(op->dbias));
}

/* y = act(pre), elementwise; y may be pre. bf16: y is rounded. */
void gp_ref_act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre)
{
    int64_t n = gp_tensor_count(y);
    real *out = reals(y);
    const real *x = reals(pre);
    BUG_ON(gp_tensor_count(pre) != n);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < n; i++)
        out[i] = (real)stored(be, act_value(act, x[i]));
}

/* dx = dy act'(pre), elementwise; dx may be dy. bf16: dx is rounded. */
void gp_ref_act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre)
{
    int64_t n = gp_tensor_count(dx);
    real *out = reals(dx);
    const real *in = reals(dy), *x = reals(pre);
    BUG_ON(gp_tensor_count(dy) != n || gp_tensor_count(pre) != n);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < n; i++)
        out[i] = (real)stored(be, in[i] * act_slope(act, x[i]));
}

/* x is rounded where the format's products do so. */
void gp_ref_linear_decode(gp_backend *be, const gp_linear_op *op)
{
    gp_linear_op with = *op;
    gp_tensor x = gp_ref_decode_input(be, op->norm, op->w, op->x);
    with.norm = NULL;
    with.x = &x;
    gp_ref_linear_forward(be, &with);
    gp_ref_decode_done(op->x, &x);
}
