/* Backend cpu against ref: decoding one token after another; and what the cpu backend promises by itself: the
 * same bits for a row alone and among others, the same bits twice, NaN that stays. */
#include "parity.h"

/* ---- decode ---------------------------------------------------------------------------------------------- */

typedef struct decode_case {
    int64_t B, I, O;
    bool transposed;
    gp_act act;
} decode_case;

static const decode_case decode_cases[] = {
    {1, 1, 1, false, GP_ACT_NONE},       {3, 17, 5, false, GP_ACT_GELU_TANH},    {5, 65, 63, true, GP_ACT_NONE},
    {4, 129, 97, true, GP_ACT_GELU_ERF}, {7, 63, 513, false, GP_ACT_NONE},       {2, 768, 1023, true, GP_ACT_NONE},
    {6, 65, 129, false, GP_ACT_RELU},    {3, 65, 65, false, GP_ACT_TANH},        {1, 129, 700, false, GP_ACT_NONE},
    {1, 2049, 70, true, GP_ACT_NONE},    {9, 131, 450, false, GP_ACT_GELU_TANH}, {64, 77, 515, false, GP_ACT_NONE},
    {17, 1500, 33, true, GP_ACT_NONE},
};

/* Weights are read as they are stored, so decoding agrees in fp32 whatever the backend's dtype. */
static void decode_agrees_and_rows_are_independent(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(decode_cases); i++) {
        const decode_case *c = &decode_cases[i];
        gp_tensor w = c->transposed ? RANDOM(p, c->O, c->I) : RANDOM(p, c->I, c->O);
        gp_tensor x = RANDOM(p, c->B, c->I), bias = RANDOM(p, c->O);
        gp_tensor ref = RANDOM(p, c->B, c->O), cpu = RANDOM(p, c->B, c->O), alone = RANDOM(p, 1, c->O);
        gp_tensor pre_ref = RANDOM(p, c->B, c->O), pre_cpu = RANDOM(p, c->B, c->O);
        gp_weight weight = {.w = w, .transposed = c->transposed};
        parity_plan(p, c->B, 1, c->O, 1, 1, false);
        gp_linear_op a = {
            .x = &x, .w = &weight, .bias = i % 2 ? &bias : NULL, .act = c->act, .y = &ref, .pre = &pre_ref};
        gp_linear_op b = a;
        b.y = &cpu, b.pre = &pre_cpu;
        p->ref->ops->linear_decode(p->ref, &a);
        p->cpu->ops->linear_decode(p->cpu, &b);
        ASSERT_NEAR(cpu, ref, parity_close);
        ASSERT_NEAR(pre_cpu, pre_ref, parity_close);
        for (int64_t row = 0; row < c->B; row++) {
            gp_tensor x1 = {(float *)x.data + row * c->I, GP_F32, 2, {1, c->I}};
            b.x = &x1, b.y = &alone, b.pre = NULL;
            p->cpu->ops->linear_decode(p->cpu, &b);
            assert_memory_equal(alone.data, (float *)cpu.data + row * c->O, (size_t)c->O * sizeof(float));
        }
        parity_forget(p);
    }
}

/* Each format at odd numbers of inputs, in blocks of 32 and strips of 1024: ref's numbers, and a row's own bits. */
static void formats_agree_and_rows_are_independent(void **state)
{
    static const int64_t shapes[][3] = {{1, 1, 1},   {2, 31, 3},    {3, 33, 7},   {1, 64, 65},
                                        {64, 97, 5}, {5, 1055, 10}, {1, 2049, 9}, {17, 768, 33}}; /* B, I, O */
    parity *p = *state;
    for (size_t i = 0; i < 4 * ARRAY_LEN(shapes); i++) {
        const int64_t *s = shapes[i / 4], rows = s[0], I = s[1], O = s[2];
        gp_weight_format format = GP_WEIGHTS_BF16 + (gp_weight_format)(i % 4);
        size_t bytes = gp_weight_row_bytes(format, I);
        gp_tensor numbers = RANDOM(p, O, I), x = RANDOM(p, rows, I), bias = RANDOM(p, O);
        gp_tensor ref = RANDOM(p, rows, O), cpu = RANDOM(p, rows, O), alone = RANDOM(p, 1, O);
        gp_weight w = {.w = numbers, .format = format, .slot = parity_take(p, (size_t)O * bytes)};
        w.w.data = NULL, w.w.dim[0] = I, w.w.dim[1] = O;
        for (int64_t o = 0; o < O; o++)
            gp_weight_encode(format, (float *)numbers.data + o * I, I, (char *)w.slot + (size_t)o * bytes);
        p->cpu->weight_format = format;
        parity_plan(p, rows, 1, gp_max(I, O), 1, 1, false);
        gp_linear_op a = {.x = &x, .w = &w, .bias = &bias, .act = GP_ACT_GELU_TANH, .y = &ref}, b = a;
        b.y = &cpu;
        p->ref->ops->linear_decode(p->ref, &a);
        p->cpu->ops->linear_decode(p->cpu, &b);
        ASSERT_NEAR(cpu, ref, parity_close);
        for (int64_t row = 0; row < rows; row++) {
            gp_tensor x1 = {(float *)x.data + row * I, GP_F32, 2, {1, I}};
            b.x = &x1, b.y = &alone;
            p->cpu->ops->linear_decode(p->cpu, &b);
            assert_memory_equal(alone.data, (float *)cpu.data + row * O, (size_t)O * sizeof(float));
        }
        parity_forget(p);
    }
}

static void head_decode_agrees(void **state)
{
    parity *p = *state;
    gp_tensor w = RANDOM(p, 1003, 65), x = RANDOM(p, 3, 65), ref = RANDOM(p, 3, 1003), cpu = RANDOM(p, 3, 1003);
    gp_weight weight = {.w = w, .transposed = true};
    p->ref->ops->head_decode(p->ref, &(gp_head_op){.x = &x, .w = &weight, .logits = &ref});
    p->cpu->ops->head_decode(p->cpu, &(gp_head_op){.x = &x, .w = &weight, .logits = &cpu});
    ASSERT_NEAR(cpu, ref, parity_close);
}

/* In bf16. */
static gp_tensor narrowed(parity *p, const gp_tensor *t)
{
    gp_tensor n = *t;
    n.dtype = GP_BF16;
    n.data = parity_take(p, (size_t)gp_tensor_bytes(&n));
    gp_from_f32(n.data, GP_BF16, t->data, gp_tensor_count(t));
    return n;
}

static gp_tensor widened(parity *p, const gp_tensor *t)
{
    gp_tensor w = parity_shape(p, t->ndim, t->dim);
    gp_to_f32(w.data, t->data, t->dtype, gp_tensor_count(t));
    return w;
}

/* With caches in fp32, and in bf16, which ref rounds to. */
static void attention_decode_agrees_and_rows_are_independent(void **state)
{
    parity *p = *state;
    static const int64_t heads[][3] = {{1, 1, 1}, {2, 5, 66}, {3, 16, 64}, {1, 64, 200}, {2, 33, 130}}; /* H, D, P */
    for (size_t i = 0; i < 2 * ARRAY_LEN(heads); i++) {
        bool narrow = i >= ARRAY_LEN(heads);
        const int64_t *head = heads[i % ARRAY_LEN(heads)], B = 4, H = head[0], D = head[1], P = head[2];
        gp_tensor qkv = RANDOM(p, B, 1, 3 * H * D), k = RANDOM(p, B, H, P, D), v = RANDOM(p, B, H, P, D);
        if (narrow)
            k = narrowed(p, &k), v = narrowed(p, &v);
        gp_kv kv_ref = {widened(p, &k), widened(p, &v)}, kv_cpu = {k, v};
        p->ref->rounds_cache = narrow;
        gp_tensor ref = RANDOM(p, B, 1, H * D), cpu = RANDOM(p, B, 1, H * D), alone = RANDOM(p, 1, 1, H * D);
        int32_t *positions = parity_ids(p, B, P);
        positions[0] = 0;
        positions[1] = (int32_t)P - 1;
        double divisor = i % 2 ? 3.7 : 0;
        parity_plan(p, B, P, H * D, H, 2, false);
        gp_attention_cached_op a = {(int)H, positions, &qkv, &kv_ref, &ref, divisor},
                               b = {(int)H, positions, &qkv, &kv_cpu, &cpu, divisor};
        p->ref->ops->attention_cached(p->ref, &a);
        p->cpu->ops->attention_cached(p->cpu, &b);
        p->ref->rounds_cache = false;
        ASSERT_NEAR(cpu, ref, parity_close);
        gp_tensor keys = widened(p, &kv_cpu.k), values = widened(p, &kv_cpu.v);
        assert_true(parity_same_bits(&keys, &kv_ref.k) && parity_same_bits(&values, &kv_ref.v));
        for (int64_t row = 0, size = H * P * D * gp_dtype_size(k.dtype); row < B; row++) {
            gp_tensor qkv1 = {(float *)qkv.data + row * 3 * H * D, GP_F32, 3, {1, 1, 3 * H * D}};
            gp_kv kv1 = {{(char *)k.data + row * size, k.dtype, 4, {1, H, P, D}},
                         {(char *)v.data + row * size, v.dtype, 4, {1, H, P, D}}};
            p->cpu->ops->attention_cached(
                p->cpu, &(gp_attention_cached_op){(int)H, positions + row, &qkv1, &kv1, &alone, divisor});
            assert_memory_equal(alone.data, (float *)cpu.data + row * H * D, (size_t)(H * D) * sizeof(float));
        }
        parity_forget(p);
    }
}

/* Rows at different positions, across strips of keys: ref's numbers, and cpu's bits of decoding one after another. */
static void appended_tokens_agree_and_have_the_bits_of_decoded_ones(void **state)
{
    enum { ROWS = 3, MAX = 20 };
    parity *p = *state;
    static const int64_t heads[][3] = {{1, 1, 21}, {2, 5, 66}, {3, 16, 90}, {1, 64, 200}, {2, 33, 130}}; /* H, D, P */
    for (int i = 0; i < (int)ARRAY_LEN(heads) * MAX; i++) {
        int64_t H = heads[i / MAX][0], D = heads[i / MAX][1], P = heads[i / MAX][2], C = H * D, n = 1 + i % MAX;
        int32_t first[ROWS] = {0, (int32_t)(P - n) / 2, (int32_t)(P - n)}, at[ROWS * MAX];
        gp_tensor qkv = RANDOM(p, ROWS, n, 3 * C), k = RANDOM(p, ROWS, H, P, D), v = RANDOM(p, ROWS, H, P, D);
        gp_tensor ref = RANDOM(p, ROWS, n, C), cpu = RANDOM(p, ROWS, n, C), alone = RANDOM(p, 1, 1, C);
        gp_kv kv_ref = {parity_copy(p, &k), parity_copy(p, &v)}, kv_cpu = {parity_copy(p, &k), parity_copy(p, &v)};
        for (int64_t r = 0; r < ROWS * n; r++)
            at[r] = first[r / n] + (int32_t)(r % n);
        parity_plan(p, ROWS, P, C, H, 2, false);
        gp_attention_cached_op a = {(int)H, at, &qkv, &kv_ref, &ref, 3.7}, b = {(int)H, at, &qkv, &kv_cpu, &cpu, 3.7};
        p->ref->ops->attention_cached(p->ref, &a);
        p->cpu->ops->attention_cached(p->cpu, &b);
        ASSERT_NEAR(cpu, ref, parity_close);
        for (int64_t r = 0; r < ROWS * n; r++) { /* in a cache of the row's own */
            gp_tensor qkv1 = {(float *)qkv.data + r * 3 * C, GP_F32, 3, {1, 1, 3 * C}};
            gp_kv kv1 = {{(float *)k.data + r / n * H * P * D, GP_F32, 4, {1, H, P, D}},
                         {(float *)v.data + r / n * H * P * D, GP_F32, 4, {1, H, P, D}}};
            p->cpu->ops->attention_cached(p->cpu, &(gp_attention_cached_op){(int)H, at + r, &qkv1, &kv1, &alone, 3.7});
            assert_memory_equal(alone.data, (float *)cpu.data + r * C, (size_t)C * sizeof(float));
        }
        assert_true(parity_same_bits(&kv_cpu.k, &k) && parity_same_bits(&kv_cpu.v, &v));
        assert_true(parity_same_bits(&kv_ref.k, &k) && parity_same_bits(&kv_ref.v, &v));
        parity_forget(p);
    }
}

/* ---- promises -------------------------------------------------------------------------------------------- */

enum { B = 3, T = 65, C = 66, H = 3, V = 97 };

/* Forward and backward of attention, norm, a linear and the head on one set of numbers. */
typedef struct pass {
    gp_tensor out, lse, dqkv, y, mean, rstd, dsum, dgamma, dbeta, dx, dw, dbias, losses;
} pass;

static pass run_pass(parity *p, const gp_tensor *qkv, const gp_tensor *x, const gp_tensor *vocab, gp_step *step)
{
    gp_backend *be = p->cpu;
    const gp_backend_ops *ops = be->ops;
    pass r = {.out = RANDOM(p, B, T, C), .lse = RANDOM(p, B, H, T), .dqkv = RANDOM(p, B, T, 3 * C)};
    r.y = RANDOM(p, B, T, C), r.mean = RANDOM(p, B * T), r.rstd = RANDOM(p, B * T), r.dsum = RANDOM(p, B, T, C);
    r.dx = RANDOM(p, B, T, C), r.losses = RANDOM(p, B * T);
    r.dw = parity_shape(p, 2, (int64_t[]){V, C}), r.dbias = parity_shape(p, 1, (int64_t[]){V});
    r.dgamma = parity_shape(p, 1, (int64_t[]){C}), r.dbeta = parity_shape(p, 1, (int64_t[]){C});
    memset(r.dw.data, 0, (size_t)gp_tensor_bytes(&r.dw));
    memset(r.dbias.data, 0, (size_t)gp_tensor_bytes(&r.dbias));
    memset(r.dgamma.data, 0, (size_t)gp_tensor_bytes(&r.dgamma));
    memset(r.dbeta.data, 0, (size_t)gp_tensor_bytes(&r.dbeta));
    gp_tensor gamma = {vocab->data, GP_F32, 1, {C}};
    int32_t targets[B * T];
    for (int i = 0; i < B * T; i++)
        targets[i] = i % V;
    gp_attention_op attention = {H, true, NULL, {0.1f, 2, step}, qkv, &r.out, &r.lse, x, &r.dqkv, 0};
    gp_norm_op norm = {.residual = &r.out, .gamma = &gamma, .eps = 1e-5f, .y = &r.y, .mean = &r.mean, .rstd = &r.rstd};
    norm.dy = x, norm.dsum = &r.dsum, norm.dgamma = &r.dgamma, norm.dbeta = &r.dbeta;
    gp_weight w = {.w = *vocab, .transposed = true, .trains = true};
    ops->weight_open(be, &w, B * T);
    size_t bytes = ops->weight_bytes(be, &w);
    w.slot = bytes ? parity_take(p, bytes) : NULL;
    ops->weights_changed(be, (gp_weight *[]){&w}, 1);
    gp_head_op head = {.x = &r.y, .w = &w, .targets = targets, .step = step, .losses = &r.losses, .train = true};
    head.dx = &r.dx, head.dw = &r.dw, head.dbias = &r.dbias;
    ops->attention_forward(be, &attention);
    ops->norm_forward(be, &norm);
    ops->head_loss(be, &head);
    ops->norm_backward(be, &norm);
    ops->attention_backward(be, &attention);
    ops->weight_close(be, &w);
    return r;
}

static void two_runs_give_the_same_bits(void **state)
{
    parity *p = *state;
    gp_tensor qkv = RANDOM(p, B, T, 3 * C), x = RANDOM(p, B, T, C), vocab = RANDOM(p, V, C);
    gp_step first = parity_step(), second = parity_step();
    parity_plan(p, B, T, C, H, V, true);
    pass a = run_pass(p, &qkv, &x, &vocab, &first), b = run_pass(p, &qkv, &x, &vocab, &second);
    assert_true(first.loss == second.loss);
    const gp_tensor *ta = (const gp_tensor *)&a, *tb = (const gp_tensor *)&b;
    for (size_t i = 0; i < sizeof a / sizeof *ta; i++)
        assert_true(parity_same_bits(&ta[i], &tb[i]));
}

/* A row's sums depend on I alone: not on the rows beside it (above), and not on the threads either, which divide the
 * inputs or the outputs. */
static void any_number_of_threads_decodes_the_same_bits(void **state)
{
    enum { MAX_ROWS = 9, THREADS = 8 };
    parity *p = *state;
    for (int i = 0; i < 2 * THREADS * 2; i++) {
        bool transposed = i % 2;
        int64_t rows = i / 2 % 2 ? MAX_ROWS : 3; /* more than are divided by inputs, and fewer */
        gp_tensor w = transposed ? RANDOM(p, 513, 129) : RANDOM(p, 129, 513), x = RANDOM(p, rows, 129);
        gp_tensor one = RANDOM(p, rows, 513), many = RANDOM(p, rows, 513);
        gp_weight weight = {.w = w, .transposed = transposed};
        gp_backend *be = gp_backend_open("cpu", "fp32", 1 + i / 4);
        gp_cpu *cpu = be->state;
        gp_backend_plan(be, &(gp_shape){.B = (int)rows, .T = 1, .C = 513, .H = 1, .V = 1, .cache = 1});
        cpu->split_ps = INT64_MAX;
        be->ops->linear_decode(be, &(gp_linear_op){.x = &x, .w = &weight, .y = &one});
        cpu->split_ps = 0;
        be->ops->linear_decode(be, &(gp_linear_op){.x = &x, .w = &weight, .y = &many});
        assert_true(parity_same_bits(&one, &many));
        gp_backend_close(be);
        parity_forget(p);
    }
}

/* The threads that attend to `count` cached positions. */
static int attending(const gp_backend *be, int64_t C, gp_dtype dtype, int32_t count)
{
    int32_t position = count - 1;
    gp_tensor qkv = {.dtype = GP_F32, .ndim = 3, .dim = {1, 1, 3 * C}};
    gp_kv kv = {.k = {.dtype = dtype}, .v = {.dtype = dtype}};
    gp_attention_cached_op op = {.positions = &position, .qkv = &qkv, .kv = &kv};
    return gp_cpu_team(be, gp_cpu_cached_ps(&op));
}

/* Waking a thread takes 10 us and more, so a token of a tiny model is one thread's work; a GPT-2's is not, nor is its
 * attention, once the keys and values take as long to read. */
static void small_work_stays_on_one_thread(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("cpu", "fp32", 2);
    assert_int_equal(gp_cpu_team(be, 128 * 512 * (int64_t)GP_PS_DECODE), 1);
    assert_int_equal(gp_cpu_team(be, 768 * 3072 * (int64_t)GP_PS_DECODE), 2);
    assert_int_equal(attending(be, 128, GP_F32, 256), 1);
    assert_int_equal(attending(be, 768, GP_F32, 60), 1);
    assert_int_equal(attending(be, 768, GP_F32, 200), 2);
    assert_int_equal(attending(be, 768, GP_BF16, 60), 1);
    assert_int_equal(attending(be, 768, GP_BF16, 300), 2);
    gp_backend_close(be);
}

static void nan_stays_nan(void **state)
{
    parity *p = *state;
    gp_tensor qkv = RANDOM(p, B, T, 3 * C), x = RANDOM(p, B, T, C), vocab = RANDOM(p, V, C);
    gp_step step = parity_step();
    parity_plan(p, B, T, C, H, V, true);
    ((float *)qkv.data)[(T + 40) * 3 * C + C + 1] = NAN; /* one number of one key */
    pass r = run_pass(p, &qkv, &x, &vocab, &step);
    const gp_tensor *t = (const gp_tensor *)&r;
    for (size_t i = 0; i < sizeof r / sizeof *t; i++)
        if (t[i].data != r.dbeta.data) /* the sum of dy, which has none */
            assert_true(parity_any_nan(&t[i]));
    gp_segment s = {r.dw.data, r.dw.data, r.dw.data, r.dw.data, V * C, 0, GP_F32, 0, 1};
    p->cpu->ops->grad_norm(p->cpu, &s, 1, &step);
    assert_int_equal(step.skip, 1);
    gp_tensor pre = RANDOM(p, 67), dy = RANDOM(p, 67), dx = RANDOM(p, 67);
    ((float *)pre.data)[33] = NAN;
    for (gp_act act = GP_ACT_GELU_TANH; act <= GP_ACT_GELU_ERF; act++) {
        p->cpu->ops->act_backward(p->cpu, act, &dx, &dy, &pre);
        assert_true(isnan(((float *)dx.data)[33]));
    }
    for (gp_act act = GP_ACT_NONE; act <= GP_ACT_TANH; act++) {
        p->cpu->ops->act_forward(p->cpu, act, &dx, &pre);
        assert_true(isnan(((float *)dx.data)[33]));
    }
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(decode_agrees_and_rows_are_independent, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(formats_agree_and_rows_are_independent, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(head_decode_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(attention_decode_agrees_and_rows_are_independent, parity_setup,
                                        parity_teardown),
        cmocka_unit_test_setup_teardown(appended_tokens_agree_and_have_the_bits_of_decoded_ones, parity_setup,
                                        parity_teardown),
        cmocka_unit_test_setup_teardown(two_runs_give_the_same_bits, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(any_number_of_threads_decodes_the_same_bits, parity_setup, parity_teardown),
        cmocka_unit_test(small_work_stays_on_one_thread),
        cmocka_unit_test_setup_teardown(nan_stays_nan, parity_setup, parity_teardown),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("decode", group);
}
