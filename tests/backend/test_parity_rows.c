/* Backend cpu against ref: norm, embedding, select, dropout, linear and the activations. */
#include "parity.h"

/* ---- norm ------------------------------------------------------------------------------------------------ */

typedef struct norm_case {
    int64_t B, T, C;
    bool branch, own_sum, beta, dropout;
} norm_case;

static const norm_case norm_cases[] = {
    {1, 1, 1, true, true, true, false},     {2, 3, 17, true, true, true, true},   {1, 17, 63, false, true, true, false},
    {3, 5, 65, false, false, false, false}, {2, 2, 128, true, true, false, true}, {1, 3, 769, true, true, true, true},
};

/* Inputs shared, outputs by backend. */
typedef struct norm_run {
    gp_tensor sum, y, mean, rstd, dsum, dbranch, dgamma, dbeta;
} norm_run;

static norm_run norm_outputs(parity *p, const norm_case *c, const gp_tensor *start)
{
    norm_run r = {.sum = RANDOM(p, c->B, c->T, c->C),
                  .y = RANDOM(p, c->B, c->T, c->C),
                  .mean = RANDOM(p, c->B * c->T),
                  .rstd = RANDOM(p, c->B * c->T),
                  .dsum = RANDOM(p, c->B, c->T, c->C),
                  .dbranch = RANDOM(p, c->B, c->T, c->C)};
    r.dgamma = parity_copy(p, start);
    r.dbeta = parity_copy(p, start);
    return r;
}

static gp_norm_op norm_op(const norm_case *c, norm_run *r, const gp_tensor x[2], const gp_tensor p[2])
{
    return (gp_norm_op){.residual = &x[0],
                        .branch = c->branch ? &x[1] : NULL,
                        .gamma = &p[0],
                        .beta = c->beta ? &p[1] : NULL,
                        .eps = 1e-5f,
                        .sum = c->own_sum ? &r->sum : NULL,
                        .y = &r->y,
                        .mean = &r->mean,
                        .rstd = &r->rstd,
                        .dgamma = &r->dgamma,
                        .dbeta = c->beta ? &r->dbeta : NULL,
                        .dsum = &r->dsum,
                        .dbranch = c->branch ? &r->dbranch : NULL};
}

static void norm_agrees(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(norm_cases); i++) {
        const norm_case *c = &norm_cases[i];
        gp_step step = parity_step();
        gp_tensor x[2] = {RANDOM(p, c->B, c->T, c->C), RANDOM(p, c->B, c->T, c->C)};
        gp_tensor params[2] = {RANDOM(p, c->C), RANDOM(p, c->C)}, start = RANDOM(p, c->C);
        norm_run ref = norm_outputs(p, c, &start), cpu = norm_outputs(p, c, &start);
        gp_norm_op a = norm_op(c, &ref, x, params), b = norm_op(c, &cpu, x, params);
        a.drop = b.drop = (gp_dropout){c->dropout ? 0.3f : 0, 5, &step};
        parity_plan(p, c->B, c->T, c->C, 1, 2, true);
        p->ref->ops->norm_forward(p->ref, &a);
        p->cpu->ops->norm_forward(p->cpu, &b);
        if (c->own_sum)
            ASSERT_NEAR(cpu.sum, ref.sum, parity_close);
        ASSERT_NEAR(cpu.y, ref.y, parity_close);
        ASSERT_NEAR(cpu.mean, ref.mean, parity_close);
        ASSERT_NEAR(cpu.rstd, ref.rstd, parity_close);
        parity_forget(p);
    }
}

/* Every mixture of optional gradients, written where the model writes them: over dcarry or over dy2. */
static void norm_backward_agrees(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(norm_cases) * 4; i++) {
        const norm_case *c = &norm_cases[i / 4];
        bool carry = i & 1, second = i & 2;
        gp_step step = parity_step();
        gp_tensor x[2] = {RANDOM(p, c->B, c->T, c->C), RANDOM(p, c->B, c->T, c->C)};
        gp_tensor params[2] = {RANDOM(p, c->C), RANDOM(p, c->C)}, start = RANDOM(p, c->C);
        gp_tensor dy = RANDOM(p, c->B, c->T, c->C), other = RANDOM(p, c->B, c->T, c->C);
        gp_tensor extra = RANDOM(p, c->B, c->T, c->C);
        norm_run ref = norm_outputs(p, c, &start), cpu = norm_outputs(p, c, &start);
        gp_norm_op a = norm_op(c, &ref, x, params), b = norm_op(c, &cpu, x, params);
        parity_plan(p, c->B, c->T, c->C, 1, 2, true);
        p->ref->ops->norm_forward(p->ref, &a);
        p->cpu->ops->norm_forward(p->cpu, &b);
        a.drop = b.drop = (gp_dropout){c->dropout ? 0.3f : 0, 5, &step};
        a.dy = b.dy = &dy;
        ref.dsum = parity_copy(p, &extra);
        cpu.dsum = parity_copy(p, &extra);
        a.dcarry = carry ? &ref.dsum : NULL;
        b.dcarry = carry ? &cpu.dsum : NULL;
        a.dy2 = !second ? NULL : carry ? &other : &ref.dsum;
        b.dy2 = !second ? NULL : carry ? &other : &cpu.dsum;
        if (c->branch && !c->dropout && second)
            a.dbranch = &ref.dsum, b.dbranch = &cpu.dsum;
        p->ref->ops->norm_backward(p->ref, &a);
        p->cpu->ops->norm_backward(p->cpu, &b);
        ASSERT_NEAR(cpu.dsum, ref.dsum, parity_close);
        ASSERT_NEAR(cpu.dgamma, ref.dgamma, parity_close);
        ASSERT_NEAR(cpu.dbeta, ref.dbeta, parity_close);
        if (a.dbranch)
            ASSERT_NEAR(*b.dbranch, *a.dbranch, parity_close);
        parity_forget(p);
    }
}

/* ---- embedding and dropout ------------------------------------------------------------------------------- */

static void embedding_agrees(void **state)
{
    parity *p = *state;
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {2, 3, 17, 5}, {3, 17, 65, 97}, {2, 9, 1100, 11}};
    for (size_t i = 0; i < ARRAY_LEN(shapes) * 4; i++) {
        int64_t B = shapes[i / 4][0], T = shapes[i / 4][1], C = shapes[i / 4][2], V = shapes[i / 4][3];
        bool types = i & 1, dropout = i & 2;
        gp_step step = parity_step();
        gp_tensor wte = RANDOM(p, V, C), wpe = RANDOM(p, T, C), wtt = RANDOM(p, 2, C), dy = RANDOM(p, B, T, C);
        gp_tensor y_ref = RANDOM(p, B, T, C), y_cpu = RANDOM(p, B, T, C);
        gp_embed_op a = {.tokens = parity_ids(p, B * T, V),
                         .positions = parity_ids(p, B * T, T),
                         .types = types ? parity_ids(p, B * T, 2) : NULL,
                         .pad_token = V > 5 ? 3 : -1,
                         .pad_position = T > 5 ? 1 : -1,
                         .drop = {dropout ? 0.25f : 0, 3, &step},
                         .wte = &wte,
                         .wpe = &wpe,
                         .wtt = i & 3 ? &wtt : NULL,
                         .dy = &dy};
        gp_embed_op b = a;
        gp_tensor da[3] = {parity_copy(p, &wte), parity_copy(p, &wpe), parity_copy(p, &wtt)};
        gp_tensor db[3] = {parity_copy(p, &wte), parity_copy(p, &wpe), parity_copy(p, &wtt)};
        a.y = &y_ref, a.dwte = &da[0], a.dwpe = &da[1], a.dwtt = a.wtt ? &da[2] : NULL;
        b.y = &y_cpu, b.dwte = &db[0], b.dwpe = &db[1], b.dwtt = b.wtt ? &db[2] : NULL;
        parity_plan(p, B, T, C, 1, V, true);
        p->ref->ops->embed_forward(p->ref, &a);
        p->cpu->ops->embed_forward(p->cpu, &b);
        p->ref->ops->embed_backward(p->ref, &a);
        p->cpu->ops->embed_backward(p->cpu, &b);
        ASSERT_NEAR(y_cpu, y_ref, parity_close);
        for (int k = 0; k < 3; k++)
            ASSERT_NEAR(db[k], da[k], parity_close);
        parity_forget(p);
    }
}

/* All rows or none of a batch, one, and some in any order; -1 after them, as a padded list ends. */
static void select_is_the_same(void **state)
{
    parity *p = *state;
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {2, 3, 17, 4}, {3, 17, 65, 64}, {5, 9, 7, 1}, {2, 40, 33, 80}};
    for (size_t i = 0; i < ARRAY_LEN(shapes) * 2; i++) {
        int64_t B = shapes[i / 2][0], T = shapes[i / 2][1], C = shapes[i / 2][2], count = shapes[i / 2][3];
        int32_t *rows = parity_ids(p, count, 1);
        for (int64_t n = 0; n < count; n++)
            rows[n] = i % 2 || n >= B * T ? -1 : (int32_t)(B * T - 1 - n);
        gp_tensor x = RANDOM(p, B, T, C), dy = RANDOM(p, count, C);
        gp_tensor y_ref = RANDOM(p, count, C), y_cpu = RANDOM(p, count, C);
        gp_tensor dx_ref = RANDOM(p, B, T, C), dx_cpu = RANDOM(p, B, T, C);
        gp_select_op a = {.x = &x, .rows = rows, .y = &y_ref, .dy = &dy, .dx = &dx_ref}, b = a;
        b.y = &y_cpu, b.dx = &dx_cpu;
        p->ref->ops->select_forward(p->ref, &a);
        p->cpu->ops->select_forward(p->cpu, &b);
        p->ref->ops->select_backward(p->ref, &a);
        p->cpu->ops->select_backward(p->cpu, &b);
        assert_true(parity_same_bits(&y_cpu, &y_ref));
        assert_true(parity_same_bits(&dx_cpu, &dx_ref));
        parity_forget(p);
    }
}

/* Dropout is defined to the bit: the same elements are kept, whatever strips they are drawn in. */
static void dropout_is_the_same(void **state)
{
    parity *p = *state;
    static const int64_t shapes[][3] = {{1, 1, 1}, {2, 3, 5}, {1, 7, 63}, {2, 3, 257}, {1, 2, 2051}};
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        gp_step step = parity_step();
        gp_tensor a = RANDOM(p, shapes[i][0], shapes[i][1], shapes[i][2]), b = parity_copy(p, &a);
        gp_tensor before = parity_copy(p, &a);
        p->ref->ops->dropout(p->ref, &a, (gp_dropout){0.4f, 9, &step});
        p->cpu->ops->dropout(p->cpu, &b, (gp_dropout){0.4f, 9, &step});
        assert_true(parity_same_bits(&a, &b));
        p->cpu->ops->dropout(p->cpu, &before, (gp_dropout){0, 9, &step});
        parity_forget(p);
    }
}

/* ---- linear ---------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    int64_t rows, I, O;
    bool transposed, bias;
    gp_act act;
} linear_case;

static const linear_case linear_cases[] = {
    {1, 1, 1, false, false, GP_ACT_NONE},        {3, 17, 5, false, true, GP_ACT_GELU_TANH},
    {63, 65, 97, true, false, GP_ACT_NONE},      {65, 128, 33, false, false, GP_ACT_GELU_ERF},
    {17, 63, 65, true, true, GP_ACT_GELU_TANH},  {128, 64, 256, false, true, GP_ACT_GELU_ERF},
    {1, 768, 31, false, true, GP_ACT_GELU_TANH}, {33, 31, 130, false, true, GP_ACT_RELU},
    {1, 64, 64, false, true, GP_ACT_TANH},       {17, 33, 33, true, true, GP_ACT_TANH},
    {70, 96, 131, true, true, GP_ACT_RELU},      {67, 97, 64, false, true, GP_ACT_NONE},
};

/* A weight of its own for each backend, with its slot. */
static gp_weight open_weight(parity *p, gp_backend *be, const gp_tensor *w, bool transposed, int64_t rows)
{
    gp_weight weight = {.w = *w, .transposed = transposed, .trains = true};
    be->ops->weight_open(be, &weight, rows);
    size_t bytes = be->ops->weight_bytes(be, &weight);
    weight.slot = bytes ? parity_take(p, bytes) : NULL;
    be->ops->weights_changed(be, (gp_weight *[]){&weight}, 1);
    return weight;
}

static void linear_forward_agrees(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(linear_cases) * 2; i++) {
        const linear_case *c = &linear_cases[i / 2];
        gp_tensor w = c->transposed ? RANDOM(p, c->O, c->I) : RANDOM(p, c->I, c->O);
        gp_tensor x = RANDOM(p, c->rows, c->I), bias = RANDOM(p, c->O);
        gp_tensor y_ref = RANDOM(p, c->rows, c->O), y_cpu = RANDOM(p, c->rows, c->O);
        gp_tensor pre_ref = RANDOM(p, c->rows, c->O), pre_cpu = RANDOM(p, c->rows, c->O);
        gp_weight w_ref = open_weight(p, p->ref, &w, c->transposed, c->rows);
        gp_weight w_cpu = open_weight(p, p->cpu, &w, c->transposed, c->rows);
        gp_linear_op a = {.x = &x, .w = &w_ref, .bias = c->bias ? &bias : NULL, .act = c->act, .y = &y_ref};
        gp_linear_op b = a;
        b.w = &w_cpu, b.y = &y_cpu;
        if (i % 2)
            a.pre = &pre_ref, b.pre = &pre_cpu;
        parity_plan(p, 1, c->rows, gp_max(c->I, c->O), 1, 2, true);
        p->ref->ops->linear_forward(p->ref, &a);
        p->cpu->ops->linear_forward(p->cpu, &b);
        ASSERT_NEAR(y_cpu, y_ref, p->tolerance);
        if (i % 2)
            ASSERT_NEAR(pre_cpu, pre_ref, p->tolerance);
        p->ref->ops->weight_close(p->ref, &w_ref);
        p->cpu->ops->weight_close(p->cpu, &w_cpu);
        parity_forget(p);
    }
}

static void fill(gp_tensor *t, float x)
{
    for (int64_t i = 0; i < gp_tensor_count(t); i++)
        ((float *)t->data)[i] = x;
}

static void linear_backward_agrees(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(linear_cases) * 3; i++) {
        const linear_case *c = &linear_cases[i / 3];
        gp_tensor w = c->transposed ? RANDOM(p, c->O, c->I) : RANDOM(p, c->I, c->O);
        gp_tensor x = RANDOM(p, c->rows, c->I), dy = RANDOM(p, c->rows, c->O), pre = RANDOM(p, c->rows, c->I);
        gp_tensor dx_ref = RANDOM(p, c->rows, c->I), dx_cpu = RANDOM(p, c->rows, c->I), start = RANDOM(p, c->O);
        gp_tensor dw_ref = parity_copy(p, &w), dw_cpu = parity_copy(p, &w);
        gp_tensor db_ref = parity_copy(p, &start), db_cpu = parity_copy(p, &start);
        gp_weight w_ref = open_weight(p, p->ref, &w, c->transposed, c->rows);
        gp_weight w_cpu = open_weight(p, p->cpu, &w, c->transposed, c->rows);
        gp_linear_op a = {.x = &x, .w = &w_ref, .dy = &dy, .dx = &dx_ref, .dw = &dw_ref, .in_act = c->act};
        a.in_pre = c->act == GP_ACT_NONE ? NULL : &pre;
        a.dbias = c->bias ? &db_ref : NULL;
        gp_linear_op b = a;
        b.w = &w_cpu, b.dx = &dx_cpu, b.dw = &dw_cpu, b.dbias = c->bias ? &db_cpu : NULL;
        if (i % 3 == 1)
            a.dx = b.dx = NULL;
        if (i % 3 == 2)
            a.dw = a.dbias = b.dw = b.dbias = NULL;
        if (i % 3 == 1) { /* whatever the gradient was before is not read */
            a.first_dw = b.first_dw = true;
            fill(&dw_ref, NAN), fill(&dw_cpu, NAN);
        }
        parity_plan(p, 1, c->rows, gp_max(c->I, c->O), 1, 2, true);
        p->ref->ops->linear_backward(p->ref, &a);
        p->cpu->ops->linear_backward(p->cpu, &b);
        if (a.dx)
            ASSERT_NEAR(dx_cpu, dx_ref, p->tolerance);
        ASSERT_NEAR(dw_cpu, dw_ref, p->tolerance);
        ASSERT_NEAR(db_cpu, db_ref, parity_close);
        p->ref->ops->weight_close(p->ref, &w_ref);
        p->cpu->ops->weight_close(p->cpu, &w_cpu);
        parity_forget(p);
    }
}

/* A slot made for one batch serves any other, and follows the weight after weights_changed alone. */
static void weights_serve_other_batches_and_follow_changes(void **state)
{
    parity *p = *state;
    gp_tensor w = RANDOM(p, 65, 33);
    gp_weight w_ref = open_weight(p, p->ref, &w, false, 63), w_cpu = open_weight(p, p->cpu, &w, false, 63);
    parity_plan(p, 1, 130, 65, 1, 2, true);
    for (int64_t rows = 1; rows < 130; rows += 43) {
        for (int64_t i = 0; i < 65 * 33; i++)
            ((float *)w.data)[i] += 0.5f;
        p->ref->ops->weights_changed(p->ref, (gp_weight *[]){&w_ref}, 1);
        p->cpu->ops->weights_changed(p->cpu, (gp_weight *[]){&w_cpu}, 1);
        gp_tensor x = RANDOM(p, rows, 65), y_ref = RANDOM(p, rows, 33), y_cpu = RANDOM(p, rows, 33);
        gp_tensor dx_ref = RANDOM(p, rows, 65), dx_cpu = RANDOM(p, rows, 65);
        p->ref->ops->linear_forward(p->ref, &(gp_linear_op){.x = &x, .w = &w_ref, .y = &y_ref});
        p->cpu->ops->linear_forward(p->cpu, &(gp_linear_op){.x = &x, .w = &w_cpu, .y = &y_cpu});
        ASSERT_NEAR(y_cpu, y_ref, p->tolerance);
        p->ref->ops->linear_backward(p->ref, &(gp_linear_op){.w = &w_ref, .dy = &y_ref, .dx = &dx_ref});
        p->cpu->ops->linear_backward(p->cpu, &(gp_linear_op){.w = &w_cpu, .dy = &y_ref, .dx = &dx_cpu});
        ASSERT_NEAR(dx_cpu, dx_ref, p->tolerance);
    }
    p->ref->ops->weight_close(p->ref, &w_ref);
    p->cpu->ops->weight_close(p->cpu, &w_cpu);
}

/* Over the whole range of floats that matters, tails included. */
static void activations_agree(void **state)
{
    parity *p = *state;
    gp_tensor x = RANDOM(p, 40001), dy = RANDOM(p, 40001), a = parity_copy(p, &x), b = parity_copy(p, &x);
    for (int64_t i = 0; i < 40001; i++)
        ((float *)x.data)[i] = (float)(i - 20000) * 1e-3f;
    for (gp_act act = GP_ACT_NONE; act <= GP_ACT_TANH; act++) {
        p->ref->ops->act_forward(p->ref, act, &a, &x);
        p->cpu->ops->act_forward(p->cpu, act, &b, &x);
        ASSERT_NEAR(b, a, parity_close);
        p->ref->ops->act_backward(p->ref, act, &a, &dy, &x);
        p->cpu->ops->act_backward(p->cpu, act, &b, &dy, &x);
        ASSERT_NEAR(b, a, parity_close);
        p->cpu->ops->copy(p->cpu, b.data, dy.data, (size_t)gp_tensor_bytes(&dy));
        p->cpu->ops->act_backward(p->cpu, act, &b, &b, &x); /* in place */
        ASSERT_NEAR(b, a, parity_close);
    }
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(norm_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(norm_backward_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(embedding_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(select_is_the_same, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(dropout_is_the_same, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(linear_forward_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(linear_backward_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(weights_serve_other_batches_and_follow_changes, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(activations_agree, parity_setup, parity_teardown),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("rows", group);
}
