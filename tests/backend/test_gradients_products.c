/* test_gradients_products.c: linear, attention and head backward against central differences. */
#include "gradients.h"

/* ---- linear and activations ------------------------------------------------------------------------------ */

typedef struct linear_case {
    gp_linear_op op;
    gp_tensor dy; /* of y */
} linear_case;

/* With in_act, x is itself in_act(in_pre), here written out again. */
static double linear_loss(const void *p)
{
    const linear_case *c = p;
    for (int64_t i = 0; c->op.in_act != GP_ACT_NONE && i < gp_tensor_count(c->op.in_pre); i++) {
        double v = numbers(c->op.in_pre)[i], tanh_of = sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v);
        numbers(c->op.x)[i] = c->op.in_act == GP_ACT_RELU       ? fmax(v, 0)
                              : c->op.in_act == GP_ACT_TANH     ? tanh(v)
                              : c->op.in_act == GP_ACT_GELU_ERF ? 0.5 * v * erfc(-v / sqrt(2))
                                                                : 0.5 * v * (1 + tanh(tanh_of));
    }
    be.ops->linear_forward(&be, &c->op);
    return weighted(c->op.y, &c->dy);
}

static void linear_check(int N, int I, int O, bool transposed, bool bias, gp_act act, gp_act in_act)
{
    param w = transposed ? random_param(O, I) : random_param(I, O), b = random_param(O, 0);
    gp_weight weight = {.w = w.value, .transposed = transposed, .trains = true};
    gp_tensor x = random_tensor(N, I, 0), in_pre = random_tensor(N, I, 0), y = random_tensor(N, O, 0);
    gp_tensor pre = random_tensor(N, O, 0), dpre = unwritten(&pre), dx = unwritten(&x);
    linear_case c = {.op = {.x = &x,
                            .w = &weight,
                            .act = act,
                            .y = &y,
                            .pre = &pre,
                            .dy = &dpre,
                            .dx = &dx,
                            .in_act = in_act,
                            .in_pre = &in_pre,
                            .dw = &w.grad},
                     .dy = random_tensor(N, O, 0)};
    if (bias) {
        c.op.bias = &b.value;
        c.op.dbias = &b.grad;
    }
    be.ops->weight_open(&be, &weight, N);
    linear_loss(&c);
    be.ops->act_backward(&be, act, &dpre, &c.dy, &pre);
    be.ops->linear_backward(&be, &c.op);
    check("dx", in_act == GP_ACT_NONE ? &x : &in_pre, &dx, linear_loss, &c);
    check_param("dw", &w, linear_loss, &c);
    if (bias)
        check_param("dbias", &b, linear_loss, &c);
    be.ops->weight_close(&be, &weight);
}

static void linear_of_odd_shapes(void **state)
{
    (void)state;
    linear_check(1, 1, 1, false, true, GP_ACT_NONE, GP_ACT_NONE);
    linear_check(3, 17, 5, false, true, GP_ACT_NONE, GP_ACT_NONE);
    linear_check(33, 35, 65, false, false, GP_ACT_NONE, GP_ACT_NONE); /* over every edge of a tile */
}

static void linear_of_a_transposed_weight(void **state)
{
    (void)state;
    linear_check(3, 17, 5, true, true, GP_ACT_NONE, GP_ACT_NONE);
    linear_check(33, 65, 3, true, false, GP_ACT_NONE, GP_ACT_NONE);
}

static void linear_with_an_activation_after_it(void **state)
{
    (void)state;
    linear_check(3, 5, 17, false, true, GP_ACT_GELU_TANH, GP_ACT_NONE);
    linear_check(3, 5, 17, false, true, GP_ACT_GELU_ERF, GP_ACT_NONE);
    linear_check(3, 5, 17, false, true, GP_ACT_RELU, GP_ACT_NONE);
    linear_check(3, 5, 17, false, true, GP_ACT_TANH, GP_ACT_NONE);
}

static void linear_with_an_activation_before_it(void **state)
{
    (void)state;
    linear_check(3, 17, 5, false, true, GP_ACT_NONE, GP_ACT_GELU_TANH);
    linear_check(3, 17, 5, true, true, GP_ACT_NONE, GP_ACT_GELU_ERF);
    linear_check(3, 17, 5, false, true, GP_ACT_NONE, GP_ACT_RELU);
    linear_check(3, 17, 5, false, true, GP_ACT_NONE, GP_ACT_TANH);
}

static void linear_gives_only_what_is_asked_for(void **state)
{
    (void)state;
    param w = random_param(5, 3), b = random_param(3, 0);
    gp_weight weight = {.w = w.value, .trains = true};
    gp_tensor x = random_tensor(2, 5, 0), dy = random_tensor(2, 3, 0), dx = unwritten(&x), same = unwritten(&x);
    be.ops->linear_backward(&be, &(gp_linear_op){.x = &x, .w = &weight, .dy = &dy, .dx = &dx});
    assert_memory_equal(w.grad.data, w.before.data, (size_t)gp_tensor_bytes(&w.grad));
    be.ops->linear_backward(
        &be, &(gp_linear_op){.x = &x, .w = &weight, .dy = &dy, .dx = &same, .dw = &w.grad, .dbias = &b.grad});
    assert_memory_equal(dx.data, same.data, (size_t)gp_tensor_bytes(&dx));
    param again = {.grad = unwritten(&w.grad)};
    memcpy(again.grad.data, w.before.data, (size_t)gp_tensor_bytes(&w.grad));
    be.ops->linear_backward(&be, &(gp_linear_op){.x = &x, .w = &weight, .dy = &dy, .dw = &again.grad});
    assert_memory_equal(again.grad.data, w.grad.data, (size_t)gp_tensor_bytes(&w.grad));
}

/* ---- attention ------------------------------------------------------------------------------------------- */

static double attention_loss(const void *p)
{
    const gp_attention_op *op = p;
    be.ops->attention_forward(&be, op);
    return weighted(op->out, op->dout);
}

static void attention_check(int T, int H, int D, bool causal, const int32_t *lengths, double p, double divisor)
{
    int C = H * D;
    plan(2, T, C, H, 1);
    gp_tensor qkv = random_tensor(2, T, 3 * C), out = random_tensor(2, T, C), lse = random_tensor(2, H, T);
    gp_tensor dout = random_tensor(2, T, C), dqkv = unwritten(&qkv);
    gp_attention_op op = {.heads = H,
                          .causal = causal,
                          .lengths = lengths,
                          .drop = dropout(p),
                          .qkv = &qkv,
                          .out = &out,
                          .lse = &lse,
                          .dout = &dout,
                          .dqkv = &dqkv,
                          .divisor = divisor};
    be.ops->attention_forward(&be, &op);
    be.ops->attention_backward(&be, &op);
    check("dqkv", &qkv, &dqkv, attention_loss, &op);
}

static void attention_causal(void **state)
{
    (void)state;
    attention_check(1, 1, 3, true, NULL, 0, 0);
    attention_check(5, 3, 7, true, NULL, 0, 0);
    attention_check(17, 1, 1, true, NULL, 0, 0);
    attention_check(5, 3, 7, true, NULL, 0, 1.3);
}

static void attention_in_both_directions(void **state)
{
    (void)state;
    attention_check(5, 2, 3, false, NULL, 0, 0);
}

static void attention_of_padded_rows(void **state)
{
    (void)state;
    attention_check(5, 2, 3, false, (const int32_t[]){3, 5}, 0, 0);
    attention_check(5, 2, 3, true, (const int32_t[]){1, 4}, 0, 0);
}

static void attention_with_dropout(void **state)
{
    (void)state;
    attention_check(5, 3, 4, true, NULL, 0.3, 0);
    attention_check(7, 2, 3, false, (const int32_t[]){3, 7}, 0.5, 0);
}

/* ---- head ------------------------------------------------------------------------------------------------ */

static double head_loss(const void *p)
{
    gp_head_op op = *(const gp_head_op *)p;
    op.train = false;
    step.loss = 0;
    be.ops->head_loss(&be, &op);
    return step.loss;
}

static void head_check(int N, int C, int V, bool transposed, bool bias, bool weighted, float smoothing)
{
    plan(1, N, C, 1, V);
    gp_tensor weights = random_tensor(V, 0, 0); /* 0 to 2: one class has no loss of its own */
    for (int v = 0; v < V; v++)
        numbers(&weights)[v] = v == 1 ? 0 : 1 + numbers(&weights)[v];
    param w = transposed ? random_param(V, C) : random_param(C, V), b = random_param(V, 0);
    gp_weight weight = {.w = w.value, .transposed = transposed, .trains = true};
    gp_tensor x = random_tensor(N, C, 0), dx = unwritten(&x), losses = random_tensor(N, 0, 0);
    int32_t targets[128];
    for (int n = 0; n < N; n++)
        targets[n] = n % 3 == 1 ? -100 : n * 7 % V;
    gp_head_op op = {.x = &x,
                     .w = &weight,
                     .targets = targets,
                     .class_weights = weighted ? &weights : NULL,
                     .smoothing = smoothing,
                     .step = &step,
                     .losses = &losses,
                     .train = true,
                     .dx = &dx,
                     .dw = &w.grad};
    if (bias) {
        op.bias = &b.value;
        op.dbias = &b.grad;
    }
    be.ops->head_loss(&be, &op);
    check("dx", &x, &dx, head_loss, &op);
    check_param("dw", &w, head_loss, &op);
    if (bias)
        check_param("dbias", &b, head_loss, &op);
    for (int n = 1; n < N; n += 3)
        assert_true(numbers(&losses)[n] == 0);
}

static void head_with_and_without_bias(void **state)
{
    (void)state;
    head_check(1, 1, 3, true, true, false, 0);
    head_check(5, 3, 17, true, false, false, 0);
    head_check(5, 17, 3, true, true, false, 0);
}

static void head_of_a_weight_not_transposed(void **state)
{
    (void)state;
    head_check(5, 3, 17, false, true, false, 0);
}

static void head_with_class_weights_and_label_smoothing(void **state)
{
    (void)state;
    head_check(5, 3, 17, true, true, true, 0);
    head_check(5, 3, 17, true, false, false, 0.1f);
    head_check(67, 3, 5, true, true, true, 0.25f);
    head_check(1, 64, 2, true, true, true, 0.1f); /* one row of two labels */
    head_check(3, 4, 2, false, true, true, 0.1f);
}

static void head_over_several_chunks(void **state)
{
    (void)state;
    head_check(67, 3, 5, true, true, false, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(linear_of_odd_shapes, setup, teardown),
        cmocka_unit_test_setup_teardown(linear_of_a_transposed_weight, setup, teardown),
        cmocka_unit_test_setup_teardown(linear_with_an_activation_after_it, setup, teardown),
        cmocka_unit_test_setup_teardown(linear_with_an_activation_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(linear_gives_only_what_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(attention_causal, setup, teardown),
        cmocka_unit_test_setup_teardown(attention_in_both_directions, setup, teardown),
        cmocka_unit_test_setup_teardown(attention_of_padded_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(attention_with_dropout, setup, teardown),
        cmocka_unit_test_setup_teardown(head_with_and_without_bias, setup, teardown),
        cmocka_unit_test_setup_teardown(head_of_a_weight_not_transposed, setup, teardown),
        cmocka_unit_test_setup_teardown(head_with_class_weights_and_label_smoothing, setup, teardown),
        cmocka_unit_test_setup_teardown(head_over_several_chunks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
