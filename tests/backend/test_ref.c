/* test_ref.c: ref's ops against the numbers of PyTorch (tests/reference/ops.py made them, in float64). */
#include "backend/backend.h"
#include "reference/ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static gp_backend *be;
static gp_arena pool;

static int open_ref(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "fp32", 2);
    if (!be)
        return -1;
    gp_backend_plan(be, &(gp_shape){.B = 2, .T = 5, .C = 24, .H = 2, .V = 11, .inner = 96, .train = true});
    pool = (gp_arena){.name = "test"};
    gp_arena_take(&pool, 1 << 20);
    gp_arena_allocate(&pool, gp_backend_memory(be));
    return 0;
}

static int close_ref(void **state)
{
    (void)state;
    gp_arena_release(&pool);
    gp_backend_close(be);
    return 0;
}

/* A tensor that holds a copy of `values`, or NaN where there are none; unused sizes are 0. */
static gp_tensor tensor(const float *values, int d0, int d1, int d2)
{
    gp_tensor t = gp_tensor_view(NULL, GP_F32, 1 + (d1 > 0) + (d2 > 0), d0, d1, d2);
    gp_arena_tensor(&pool, &t);
    for (int64_t i = 0; i < gp_tensor_count(&t); i++)
        ((float *)t.data)[i] = values ? values[i] : NAN;
    return t;
}

static gp_tensor zeros(int d0, int d1, int d2)
{
    gp_tensor t = tensor(NULL, d0, d1, d2);
    memset(t.data, 0, (size_t)gp_tensor_bytes(&t));
    return t;
}

/* No number is off by more than 1e-6 of the largest: what fp32 storage costs. */
static void expect_numbers(const char *name, const float *got, const float *want, int64_t count)
{
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)want[i]));
        worst = isnan(got[i]) ? INFINITY : fmax(worst, fabs((double)got[i] - want[i]));
    }
    if (!(worst <= 1e-6 * largest))
        fail_msg("%s: differs by %g where the largest is %g", name, worst, largest);
}

#define EXPECT(t, want)                                                                                                \
    do {                                                                                                               \
        assert_int_equal(gp_tensor_count(t), sizeof(want) / sizeof(want)[0]);                                          \
        expect_numbers(#want, (t)->data, want, gp_tensor_count(t));                                                    \
    } while (0)

static void embeddings(void **state)
{
    (void)state;
    gp_tensor wte = tensor(embed_wte, 5, 3, 0), wpe = tensor(embed_wpe, 4, 3, 0), wtt = tensor(embed_wtt, 2, 3, 0);
    gp_tensor y = tensor(NULL, 2, 4, 3), dy = tensor(embed_dy, 2, 4, 3);
    gp_tensor dwte = zeros(5, 3, 0), dwpe = zeros(4, 3, 0), dwtt = zeros(2, 3, 0);
    gp_embed_op op = {.tokens = embed_tokens,
                      .positions = embed_positions,
                      .types = embed_types,
                      .pad_token = 0,
                      .pad_position = 1,
                      .wte = &wte,
                      .wpe = &wpe,
                      .wtt = &wtt,
                      .y = &y,
                      .dy = &dy,
                      .dwte = &dwte,
                      .dwpe = &dwpe,
                      .dwtt = &dwtt};
    be->ops->embed_forward(be, &op);
    be->ops->embed_backward(be, &op);
    EXPECT(&y, embed_y);
    EXPECT(&dwte, embed_dwte);
    EXPECT(&dwpe, embed_dwpe);
    EXPECT(&dwtt, embed_dwtt);
}

static void layer_norm_of_a_sum(void **state)
{
    (void)state;
    gp_tensor residual = tensor(norm_residual, 2, 3, 17), branch = tensor(norm_branch, 2, 3, 17);
    gp_tensor gamma = tensor(norm_gamma, 17, 0, 0), beta = tensor(norm_beta, 17, 0, 0);
    gp_tensor sum = tensor(NULL, 2, 3, 17), y = tensor(NULL, 2, 3, 17), dy = tensor(norm_dy, 2, 3, 17);
    gp_tensor mean = tensor(NULL, 6, 0, 0), rstd = tensor(NULL, 6, 0, 0), dsum = tensor(NULL, 2, 3, 17);
    gp_tensor dbranch = tensor(NULL, 2, 3, 17), dgamma = zeros(17, 0, 0), dbeta = zeros(17, 0, 0);
    gp_norm_op op = {.residual = &residual,
                     .branch = &branch,
                     .gamma = &gamma,
                     .beta = &beta,
                     .eps = 1e-5f,
                     .sum = &sum,
                     .y = &y,
                     .mean = &mean,
                     .rstd = &rstd,
                     .dy = &dy,
                     .dsum = &dsum,
                     .dbranch = &dbranch,
                     .dgamma = &dgamma,
                     .dbeta = &dbeta};
    be->ops->norm_forward(be, &op);
    be->ops->norm_backward(be, &op);
    EXPECT(&y, norm_y);
    EXPECT(&mean, norm_mean);
    EXPECT(&rstd, norm_rstd);
    EXPECT(&dsum, norm_dsum);
    EXPECT(&dbranch, norm_dsum);
    EXPECT(&dgamma, norm_dgamma);
    EXPECT(&dbeta, norm_dbeta);
}

/* y = gelu(x W + bias) and its gradients, with W stored either way. */
static void linear_case(bool transposed, gp_act act, const float *y_want, const float *dx_want, const float *dw_want,
                        const float *dbias_want)
{
    gp_weight w = {.w = transposed ? tensor(NULL, 5, 7, 0) : tensor(linear_w, 7, 5, 0), .transposed = transposed};
    for (int i = 0; transposed && i < 35; i++)
        ((float *)w.w.data)[i % 5 * 7 + i / 5] = linear_w[i];
    gp_tensor x = tensor(linear_x, 3, 7, 0), bias = tensor(linear_bias, 5, 0, 0), dy = tensor(linear_dy, 3, 5, 0);
    gp_tensor y = tensor(NULL, 3, 5, 0), pre = tensor(NULL, 3, 5, 0), dpre = tensor(NULL, 3, 5, 0);
    gp_tensor dx = tensor(NULL, 3, 7, 0), dbias = zeros(5, 0, 0);
    gp_tensor dw = transposed ? zeros(5, 7, 0) : zeros(7, 5, 0);
    gp_linear_op op = {.x = &x,
                       .w = &w,
                       .bias = &bias,
                       .act = act,
                       .y = &y,
                       .pre = &pre,
                       .dy = &dpre,
                       .dx = &dx,
                       .dw = &dw,
                       .dbias = &dbias};
    be->ops->weight_open(be, &w, 3);
    be->ops->linear_forward(be, &op);
    be->ops->act_backward(be, act, &dpre, &dy, &pre);
    be->ops->linear_backward(be, &op);
    expect_numbers("y", y.data, y_want, 15);
    expect_numbers("dx", dx.data, dx_want, 21);
    expect_numbers("dbias", dbias.data, dbias_want, 5);
    float plain[35];
    for (int i = 0; i < 35; i++)
        plain[i] = ((float *)dw.data)[transposed ? i % 5 * 7 + i / 5 : i];
    expect_numbers("dw", plain, dw_want, 35);
    op.pre = NULL; /* only inferring */
    be->ops->linear_forward(be, &op);
    expect_numbers("y alone", y.data, y_want, 15);
    be->ops->weight_close(be, &w);
}

static void linear_and_an_activation(void **state)
{
    (void)state;
    for (int transposed = 0; transposed < 2; transposed++) {
        linear_case(transposed, GP_ACT_GELU_TANH, linear_gelu_tanh_y, linear_gelu_tanh_dx, linear_gelu_tanh_dw,
                    linear_gelu_tanh_dbias);
        linear_case(transposed, GP_ACT_GELU_ERF, linear_gelu_erf_y, linear_gelu_erf_dx, linear_gelu_erf_dw,
                    linear_gelu_erf_dbias);
        linear_case(transposed, GP_ACT_RELU, linear_relu_y, linear_relu_dx, linear_relu_dw, linear_relu_dbias);
        linear_case(transposed, GP_ACT_TANH, linear_tanh_y, linear_tanh_dx, linear_tanh_dw, linear_tanh_dbias);
    }
}

/* An activation alone, far into both tails: x times the 1 by 1 identity. */
static void activations_everywhere(void **state)
{
    (void)state;
    enum { N = ARRAY_LEN(act_x) };
    static const struct {
        gp_act act;
        const float *y, *slope;
    } wanted[] = {{GP_ACT_GELU_TANH, act_gelu_tanh, act_gelu_tanh_slope},
                  {GP_ACT_GELU_ERF, act_gelu_erf, act_gelu_erf_slope},
                  {GP_ACT_RELU, act_relu, act_relu_slope},
                  {GP_ACT_TANH, act_tanh, act_tanh_slope}};
    const float one[] = {1};
    gp_weight w = {.w = tensor(one, 1, 1, 0)};
    gp_tensor x = tensor(act_x, N, 1, 0), y = tensor(NULL, N, 1, 0), dx = tensor(NULL, N, 1, 0);
    gp_tensor ones = tensor(NULL, N, 1, 0), alone = tensor(NULL, N, 1, 0);
    for (int i = 0; i < N; i++)
        ((float *)ones.data)[i] = 1;
    for (size_t k = 0; k < ARRAY_LEN(wanted); k++) {
        gp_act act = wanted[k].act;
        be->ops->linear_forward(be, &(gp_linear_op){.x = &x, .w = &w, .act = act, .y = &y});
        be->ops->act_forward(be, act, &alone, &x);
        assert_memory_equal(alone.data, y.data, (size_t)gp_tensor_bytes(&y));
        be->ops->act_backward(be, act, &dx, &ones, &x);
        for (int i = 0; i < N; i++) {
            double want = wanted[k].y[i], slope = wanted[k].slope[i];
            assert_true(fabs(((float *)y.data)[i] - want) <= 2e-7 * fabs(want) + 1e-15);
            assert_true(fabs(((float *)dx.data)[i] - slope) <= 2e-7 * fabs(slope) + 1e-15);
        }
    }
}

static void attention_case(bool causal, const int32_t *lengths, const float *out_want, const float *lse_want,
                           const float *dqkv_want)
{
    gp_tensor qkv = tensor(attention_qkv, 2, 5, 18), dout = tensor(attention_dout, 2, 5, 6);
    gp_tensor out = tensor(NULL, 2, 5, 6), lse = tensor(NULL, 2, 2, 5), dqkv = tensor(NULL, 2, 5, 18);
    gp_attention_op op = {.heads = 2,
                          .causal = causal,
                          .lengths = lengths,
                          .qkv = &qkv,
                          .out = &out,
                          .lse = &lse,
                          .dout = &dout,
                          .dqkv = &dqkv};
    be->ops->attention_forward(be, &op);
    be->ops->attention_backward(be, &op);
    expect_numbers("out", out.data, out_want, 60);
    expect_numbers("lse", lse.data, lse_want, 20);
    expect_numbers("dqkv", dqkv.data, dqkv_want, 180);
}

static void attention(void **state)
{
    (void)state;
    attention_case(true, NULL, attention_causal_out, attention_causal_lse, attention_causal_dqkv);
    attention_case(false, NULL, attention_full_out, attention_full_lse, attention_full_dqkv);
    attention_case(false, attention_lengths, attention_padded_out, attention_padded_lse, attention_padded_dqkv);
    attention_case(true, attention_lengths, attention_causal_padded_out, attention_causal_padded_lse,
                   attention_causal_padded_dqkv);
}

static void cross_entropy(void **state)
{
    (void)state;
    gp_weight w = {.w = tensor(head_w, 11, 5, 0), .transposed = true};
    gp_tensor x = tensor(head_x, 6, 5, 0), bias = tensor(head_bias, 11, 0, 0), logits = tensor(NULL, 6, 11, 0);
    gp_tensor losses = tensor(NULL, 6, 0, 0), dx = tensor(NULL, 6, 5, 0);
    gp_tensor dw = zeros(11, 5, 0), dbias = zeros(11, 0, 0);
    gp_step step = {.scale = 0.25f}; /* 4 of the 6 targets count */
    gp_head_op op = {.x = &x,
                     .w = &w,
                     .bias = &bias,
                     .targets = head_targets,
                     .step = &step,
                     .losses = &losses,
                     .train = true,
                     .dx = &dx,
                     .dw = &dw,
                     .dbias = &dbias,
                     .logits = &logits};
    be->ops->head_logits(be, &op);
    be->ops->head_loss(be, &op);
    EXPECT(&logits, head_logits);
    EXPECT(&losses, head_losses);
    EXPECT(&dx, head_dx);
    EXPECT(&dw, head_dw);
    EXPECT(&dbias, head_dbias);
    assert_true(fabs(step.loss - head_loss[0]) < 1e-6);
    op.train = false;
    be->ops->head_loss(be, &op);
    assert_true(fabs(step.loss - 2 * (double)head_loss[0]) < 2e-6); /* the loss accumulates over micro-batches */
    EXPECT(&dw, head_dw);
}

/* The mean of a batch divides by the sum of its targets' weights. */
static double mean_scale(const int32_t *targets, int64_t N, const float *weight)
{
    double sum = 0;
    for (int64_t n = 0; n < N; n++)
        sum += targets[n] == -100 ? 0 : weight ? (double)weight[targets[n]] : 1;
    return 1 / sum;
}

typedef struct classes {
    int N, C, V;
    const int32_t *targets;
    const float *x, *w, *bias, *weight; /* weight: NULL without */
    float smoothing;
    const float *losses, *loss, *dx, *dw, *dbias; /* PyTorch's */
} classes;

static void classes_case(const classes *c)
{
    gp_weight w = {.w = tensor(c->w, c->V, c->C, 0), .transposed = true};
    gp_tensor x = tensor(c->x, c->N, c->C, 0), bias = tensor(c->bias, c->V, 0, 0),
              weight = tensor(c->weight, c->V, 0, 0);
    gp_tensor losses = tensor(NULL, c->N, 0, 0), dx = tensor(NULL, c->N, c->C, 0);
    gp_tensor dw = zeros(c->V, c->C, 0), dbias = zeros(c->V, 0, 0);
    gp_step step = {.scale = (float)mean_scale(c->targets, c->N, c->weight)};
    be->ops->head_loss(be, &(gp_head_op){.x = &x,
                                         .w = &w,
                                         .bias = &bias,
                                         .targets = c->targets,
                                         .class_weights = c->weight ? &weight : NULL,
                                         .smoothing = c->smoothing,
                                         .step = &step,
                                         .losses = &losses,
                                         .train = true,
                                         .dx = &dx,
                                         .dw = &dw,
                                         .dbias = &dbias});
    expect_numbers("losses", losses.data, c->losses, c->N);
    expect_numbers("dx", dx.data, c->dx, c->N * c->C);
    expect_numbers("dw", dw.data, c->dw, c->V * c->C);
    expect_numbers("dbias", dbias.data, c->dbias, c->V);
    assert_true(fabs(step.loss - c->loss[0]) < 1e-6);
}

static void class_weights_and_label_smoothing(void **state)
{
    (void)state;
#define CLASSES(N, C, V, prefix, how, weight, smoothing)                                                               \
    &(classes){N,                                                                                                      \
               C,                                                                                                      \
               V,                                                                                                      \
               prefix##_targets,                                                                                       \
               prefix##_x,                                                                                             \
               prefix##_w,                                                                                             \
               prefix##_bias,                                                                                          \
               weight,                                                                                                 \
               smoothing,                                                                                              \
               prefix##_##how##_losses,                                                                                \
               prefix##_##how##_loss,                                                                                  \
               prefix##_##how##_dx,                                                                                    \
               prefix##_##how##_dw,                                                                                    \
               prefix##_##how##_dbias}
    classes_case(CLASSES(6, 5, 11, classes, weighted, classes_weight, 0));
    classes_case(CLASSES(6, 5, 11, classes, smoothed, NULL, 0.1f));
    classes_case(CLASSES(6, 5, 11, classes, both, classes_weight, 0.1f));
    classes_case(CLASSES(1, 4, 2, labels, both, labels_weight, 0.1f));
}

static void adamw_with_clipping(void **state)
{
    (void)state;
    float p0[7], p1[3], g0[7], g1[3], m0[7] = {0}, m1[3] = {0}, v0[7] = {0}, v1[3] = {0};
    memcpy(p0, adamw_start0, sizeof p0);
    memcpy(p1, adamw_start1, sizeof p1);
    const gp_segment segments[] = {{p0, g0, m0, v0, 7, 0.1f, GP_F32, 0, 1}, {p1, g1, m1, v1, 3, 0, GP_F32, 7, 1}};
    gp_step step = {.max_norm = 3};
    const gp_adamw_op op = {segments, 2, 0.9f, 0.95f, 1e-3f, &step};
    for (int t = 0; t < 5; t++) {
        memcpy(g0, adamw_grads0 + 7 * t, sizeof g0);
        memcpy(g1, adamw_grads1 + 3 * t, sizeof g1);
        step.lr = adamw_lr[t];
        step.bias1 = (float)(1 - pow(0.9, t + 1));
        step.bias2 = (float)(1 - pow(0.95, t + 1));
        be->ops->grad_norm(be, segments, 2, &step);
        be->ops->adamw(be, &op);
        expect_numbers("norm", &step.grad_norm, adamw_norms + t, 1);
        expect_numbers("decayed", p0, adamw_after0 + 7 * t, 7);
        expect_numbers("not decayed", p1, adamw_after1 + 3 * t, 3);
        assert_memory_equal(g0, adamw_grads0 + 7 * t, sizeof g0); /* gradients are left as they are */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings),
        cmocka_unit_test(layer_norm_of_a_sum),
        cmocka_unit_test(linear_and_an_activation),
        cmocka_unit_test(activations_everywhere),
        cmocka_unit_test(attention),
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(class_weights_and_label_smoothing),
        cmocka_unit_test(adamw_with_clipping),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
