/* Backend cpu against ref: head and cross-entropy, the gradients' norm, AdamW. */
#include "parity.h"

/* ---- head and loss --------------------------------------------------------------------------------------- */

typedef struct head_case {
    int64_t rows, C, V;
    bool bias, train, transposed, weighted;
    float smoothing;
} head_case;

static const head_case head_cases[] = {
    {1, 1, 1, true, true, true, false, 0},         {17, 33, 97, true, true, true, false, 0},
    {3, 65, 63, false, true, true, false, 0},      {63, 17, 65, false, false, true, false, 0},
    {5, 8, 50257, true, true, true, false, 0},     {19, 31, 17, true, true, false, false, 0},
    {100, 3, 200003, false, true, true, false, 0}, /* more logits than are held at once */
    {1, 64, 2, true, true, true, false, 0},        /* a classifier of one sample */
    {1, 64, 2, true, true, true, true, 0.1f},      {1, 64, 2, true, false, true, true, 0.1f},
    {33, 64, 3, true, true, true, true, 0},        {17, 33, 97, true, true, true, true, 0.25f},
    {5, 8, 50257, true, true, true, false, 0.1f},
};

static gp_weight open_weight(parity *p, gp_backend *be, const gp_tensor *w, bool transposed, int64_t rows)
{
    gp_weight weight = {.w = *w, .transposed = transposed, .trains = true};
    be->ops->weight_open(be, &weight, rows);
    size_t bytes = be->ops->weight_bytes(be, &weight);
    weight.slot = bytes ? parity_take(p, bytes) : NULL;
    be->ops->weights_changed(be, (gp_weight *[]){&weight}, 1);
    return weight;
}

typedef struct head_run {
    gp_step step;
    gp_weight w;
    gp_tensor losses, dx, dw, dbias, logits;
} head_run;

static gp_head_op head_open(parity *p, gp_backend *be, const head_case *c, head_run *r, const gp_tensor *w,
                            const gp_tensor *start)
{
    *r = (head_run){.step = parity_step(),
                    .w = open_weight(p, be, w, c->transposed, c->rows),
                    .losses = RANDOM(p, c->rows),
                    .dx = RANDOM(p, c->rows, c->C)};
    r->step.loss = 0.25; /* of an earlier micro-batch */
    r->dw = parity_copy(p, w);
    r->dbias = parity_copy(p, start);
    return (gp_head_op){.w = &r->w,
                        .step = &r->step,
                        .losses = &r->losses,
                        .train = c->train,
                        .dx = c->train ? &r->dx : NULL,
                        .dw = c->train ? &r->dw : NULL,
                        .dbias = c->train && c->bias ? &r->dbias : NULL};
}

static void head_agrees(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(head_cases); i++) {
        const head_case *c = &head_cases[i];
        gp_tensor w = c->transposed ? RANDOM(p, c->V, c->C) : RANDOM(p, c->C, c->V);
        gp_tensor x = RANDOM(p, c->rows, c->C), bias = RANDOM(p, c->V), start = RANDOM(p, c->V);
        gp_tensor weights = RANDOM(p, c->V);
        int32_t *targets = parity_ids(p, c->rows, c->V);
        for (int64_t v = 0; v < c->V; v++)
            ((float *)weights.data)[v] = fabsf(((float *)weights.data)[v]);
        for (int64_t n = 1; n < c->rows; n += 3)
            targets[n] = -100;
        head_run ref, cpu;
        gp_head_op a = head_open(p, p->ref, c, &ref, &w, &start), b = head_open(p, p->cpu, c, &cpu, &w, &start);
        a.x = b.x = &x;
        a.targets = b.targets = targets;
        a.bias = b.bias = c->bias ? &bias : NULL;
        a.class_weights = b.class_weights = c->weighted ? &weights : NULL;
        a.smoothing = b.smoothing = c->smoothing;
        a.first_dw = b.first_dw = i % 2; /* whatever the gradient was before is not read */
        for (int64_t k = 0; k < c->V * c->C && i % 2; k++)
            ((float *)ref.dw.data)[k] = ((float *)cpu.dw.data)[k] = c->train ? NAN : 0;
        parity_plan(p, 1, c->rows, c->C, 1, c->V, true);
        p->ref->ops->head_loss(p->ref, &a);
        p->cpu->ops->head_loss(p->cpu, &b);
        ASSERT_NEAR(cpu.losses, ref.losses, p->tolerance);
        assert_true(fabs(cpu.step.loss - ref.step.loss) <= p->tolerance * fabs(ref.step.loss));
        if (c->train) {
            ASSERT_NEAR(cpu.dx, ref.dx, p->tolerance);
            ASSERT_NEAR(cpu.dw, ref.dw, p->tolerance);
        }
        ASSERT_NEAR(cpu.dbias, ref.dbias, p->tolerance);
        p->ref->ops->weight_close(p->ref, &ref.w);
        p->cpu->ops->weight_close(p->cpu, &cpu.w);
        parity_forget(p);
    }
}

static void head_logits_agree(void **state)
{
    static const int64_t shapes[][4] = {{3, 5, 33, 97}, {1, 1, 64, 2}, {1, 9, 64, 3}};
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        int64_t B = shapes[i][0], T = shapes[i][1], C = shapes[i][2], V = shapes[i][3];
        gp_tensor w = RANDOM(p, V, C), x = RANDOM(p, B, T, C), bias = RANDOM(p, V);
        gp_tensor ref = RANDOM(p, B, T, V), cpu = RANDOM(p, B, T, V);
        gp_weight w_ref = open_weight(p, p->ref, &w, true, B * T), w_cpu = open_weight(p, p->cpu, &w, true, B * T);
        parity_plan(p, B, T, C, 1, V, false);
        p->ref->ops->head_logits(p->ref, &(gp_head_op){.x = &x, .w = &w_ref, .bias = &bias, .logits = &ref});
        p->cpu->ops->head_logits(p->cpu, &(gp_head_op){.x = &x, .w = &w_cpu, .bias = &bias, .logits = &cpu});
        ASSERT_NEAR(cpu, ref, p->tolerance);
        p->ref->ops->weight_close(p->ref, &w_ref);
        p->cpu->ops->weight_close(p->cpu, &w_cpu);
        parity_forget(p);
    }
}

/* ---- update ---------------------------------------------------------------------------------------------- */

enum { SEGMENTS = 3 };

/* p, g, m, v of every segment; v is positive. */
static void open_segments(parity *p, gp_tensor t[SEGMENTS][4], gp_segment s[SEGMENTS],
                          const gp_tensor from[SEGMENTS][4])
{
    static const int64_t counts[SEGMENTS] = {1, 100003, 63};
    for (int i = 0; i < SEGMENTS; i++) {
        for (int k = 0; k < 4; k++)
            t[i][k] = from ? parity_copy(p, &from[i][k]) : RANDOM(p, counts[i]);
        for (int64_t n = 0; !from && n < counts[i]; n++)
            ((float *)t[i][3].data)[n] = fabsf(((float *)t[i][3].data)[n]);
        s[i] = (gp_segment){
            t[i][0].data, t[i][1].data, t[i][2].data, t[i][3].data, counts[i], i == 1 ? 0.1f : 0, GP_F32, 0, 1};
    }
}

static void update_agrees(void **state)
{
    parity *p = *state;
    gp_tensor ta[SEGMENTS][4], tb[SEGMENTS][4];
    gp_segment sa[SEGMENTS], sb[SEGMENTS];
    gp_step step_ref = parity_step();
    step_ref.lr = 1e-2f, step_ref.bias1 = 0.271f, step_ref.bias2 = 0.0199f;
    open_segments(p, ta, sa, NULL);
    open_segments(p, tb, sb, (const gp_tensor(*)[4])ta);
    gp_step step_cpu = step_ref;
    for (int i = 0; i < 3; i++) {
        p->ref->ops->grad_norm(p->ref, sa, SEGMENTS, &step_ref);
        p->cpu->ops->grad_norm(p->cpu, sb, SEGMENTS, &step_cpu);
        assert_float_equal(step_cpu.grad_norm, step_ref.grad_norm, 1e-5f * step_ref.grad_norm);
        assert_float_equal(step_cpu.clip_scale, step_ref.clip_scale, 1e-5f * step_ref.clip_scale);
        assert_int_equal(step_cpu.skip, 0);
        gp_adamw_op a = {sa, SEGMENTS, 0.9f, 0.99f, 1e-8f, &step_ref},
                    b = {sb, SEGMENTS, 0.9f, 0.99f, 1e-8f, &step_cpu};
        p->ref->ops->adamw(p->ref, &a);
        p->cpu->ops->adamw(p->cpu, &b);
    }
    for (int i = 0; i < SEGMENTS; i++)
        for (int k = 0; k < 4; k++)
            ASSERT_NEAR(tb[i][k], ta[i][k], parity_close);
}

static void skip_a_step(parity *p, gp_backend *be)
{
    gp_tensor t[SEGMENTS][4], before[SEGMENTS][4];
    gp_segment s[SEGMENTS], unused[SEGMENTS];
    gp_step step = parity_step();
    step.lr = 1e-2f, step.bias1 = step.bias2 = 0.5f;
    open_segments(p, t, s, NULL);
    s[1].g[77777] = NAN;
    open_segments(p, before, unused, (const gp_tensor(*)[4])t);
    be->ops->grad_norm(be, s, SEGMENTS, &step);
    assert_int_equal(step.skip, 1);
    be->ops->adamw(be, &(gp_adamw_op){s, SEGMENTS, 0.9f, 0.99f, 1e-8f, &step});
    for (int i = 0; i < SEGMENTS; i++)
        for (int k = 0; k < 4; k++)
            assert_true(parity_same_bits(&t[i][k], &before[i][k]));
    s[1].g[77777] = 0;
    be->ops->grad_norm(be, s, SEGMENTS, &step);
    assert_int_equal(step.skip, 1); /* the host has not heard of it yet */
    step.loss = INFINITY, step.skip = 0;
    be->ops->grad_norm(be, s, SEGMENTS, &step);
    assert_int_equal(step.skip, 1);
    step.loss = 1, step.max_norm = 0, step.skip = 0;
    be->ops->grad_norm(be, s, SEGMENTS, &step);
    assert_int_equal(step.skip, 0);
    assert_true(step.clip_scale == 1);
}

static void a_skipped_step_changes_nothing(void **state)
{
    parity *p = *state;
    skip_a_step(p, p->ref);
    skip_a_step(p, p->cpu);
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(head_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(head_logits_agree, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(update_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(a_skipped_step_changes_nothing, parity_setup, parity_teardown),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("loss", group);
}
