/* The CUDA backend against ref: the head with its loss and gradients, and the logits alone. */
#include "sides.h"
#include "weights.h"

#include "backend/cuda/cuda.h"

typedef struct head_case {
    int64_t N, C, V;
    bool bias, train;
    int64_t chunk; /* rows of logits at once; 0: as it likes */
    bool weighted; /* by class */
    float smoothing;
} head_case;

/* Vocabularies below, at and past a pack and a warp; odd ones. Chunks that do not divide the rows. */
static const head_case cases[] = {
    {1, 1, 1, true, true, 0, false, 0},        {17, 33, 97, true, true, 0, false, 0},
    {3, 65, 63, false, true, 0, false, 0},     {63, 17, 65, false, false, 0, false, 0},
    {19, 31, 1003, true, true, 7, false, 0},   {200, 8, 64, true, true, 130, false, 0},
    {200, 3, 72, true, false, 64, false, 0},   {5, 8, 8, false, true, 1, false, 0},
    {3, 4, 5000, true, true, 2, false, 0},   /* every thread has several packs */
    {2, 2, 50257, false, true, 0, false, 0}, /* kept in shared memory: in fp32 all of it */
    {2, 2, 60001, false, true, 0, false, 0}, /* in fp32 too long for that */
    {1, 64, 2, true, true, 0, false, 0},     /* a classifier of one sample */
    {1, 64, 2, true, true, 0, true, 0.1f},     {1, 64, 2, true, false, 0, true, 0.1f},
    {33, 64, 3, true, true, 0, true, 0},       {17, 33, 97, true, true, 7, true, 0.25f},
    {2, 2, 60001, false, true, 0, true, 0.1f}, {3, 4, 5000, true, true, 0, false, 0.1f},
};

/* What an op of this file has on both sides. */
typedef struct head_run {
    pair x, w, bias, weights, losses, dx, dw, dbias;
    pair_ids targets;
    pair_step step;
    pair_weight weight;
    const head_case *c;
} head_run;

static void head_open(sides *s, head_run *r, const head_case *c)
{
    gp_step step = sides_any_step();
    step.loss = 0.25; /* of an earlier micro-batch */
    *r = (head_run){.x = RANDOM(s, ACT, c->N, c->C),
                    .w = RANDOM(s, TABLE, c->V, c->C),
                    .bias = RANDOM(s, FP32, c->V),
                    .weights = RANDOM(s, FP32, c->V),
                    .losses = EMPTY(s, FP32, c->N),
                    .dx = EMPTY(s, ACT, c->N, c->C),
                    .dw = sides_random(s, FP32, 0.01, 2, (int64_t[]){c->V, c->C}),
                    .dbias = sides_random(s, FP32, 0.01, 1, &c->V),
                    .step = sides_step(s, step),
                    .c = c};
    int32_t *targets = gp_malloc((size_t)c->N * sizeof *targets);
    for (int64_t n = 0; n < c->N; n++)
        targets[n] = n % 3 == 1 ? -100 : (int32_t)gp_random_below(7, GP_RNG_DATA, 97, s->drawn++, (uint64_t)c->V);
    r->targets = sides_ids(s, targets, c->N);
    free(targets);
    weight_open(s, &r->weight, &r->w, c->bias ? &r->bias : NULL, true);
    float *weights = sides_read(s, REF, ON(r->weights, REF));
    for (int64_t v = 0; v < c->V; v++)
        weights[v] = fabsf(weights[v]);
    for (int k = 0; k < SIDES; k++)
        sides_write(s, k, ON(r->weights, k), weights);
    free(weights);
    gp_cuda_head_rows(s->be[DEVICE], c->chunk);
    sides_plan(s,
               &(gp_shape){.B = 1, .T = (int)c->N, .C = (int)c->C, .H = 1, .V = (int)c->V, .inner = 1, .train = true});
}

static void head_close(sides *s, head_run *r)
{
    gp_cuda_head_rows(s->be[DEVICE], 0);
    weight_close(s, &r->weight);
    sides_forget(s);
}

static void loss_of(sides *s, head_run *r, int side)
{
    bool train = r->c->train, bias = r->c->bias;
    OP(s, side, head_loss,
       &(gp_head_op){.x = ON(r->x, side),
                     .w = &r->weight.on[side],
                     .bias = bias ? ON(r->bias, side) : NULL,
                     .targets = r->targets.on[side],
                     .class_weights = r->c->weighted ? ON(r->weights, side) : NULL,
                     .smoothing = r->c->smoothing,
                     .step = r->step.on[side],
                     .losses = ON(r->losses, side),
                     .train = train,
                     .dx = train ? ON(r->dx, side) : NULL,
                     .dw = train ? ON(r->dw, side) : NULL,
                     .first_dw = r->c->C % 2,
                     .dbias = train && bias ? ON(r->dbias, side) : NULL});
}

static void head_loss_agrees(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        head_run r;
        head_open(s, &r, &cases[i]);
        for (int k = 0; k < SIDES; k++)
            loss_of(s, &r, k);
        NEAR(s, r.losses, s->tolerance);
        double want = sides_step_of(s, &r.step, REF).loss, got = sides_step_of(s, &r.step, DEVICE).loss;
        if (!(fabs(got - want) <= s->tolerance * fabs(want)))
            fail_msg("case %zu: loss %.9g, expected %.9g", i, got, want);
        /* Where rows of x are no whole packs, cuBLASLt may add a bias to logits that it has rounded already (an H200's
         * does): one that dominates its row and is then a step of bf16 off, 2^-8 of it, moves that row's probabilities
         * by some percent. A wrong gradient is off by its own size. */
        double allowed = s->one > 0 && cases[i].bias && cases[i].C % 8 ? 4 * s->tolerance : s->tolerance;
        if (cases[i].train) {
            NEAR(s, r.dx, allowed);
            NEAR(s, r.dw, allowed);
        }
        NEAR(s, r.dbias, allowed);
        head_close(s, &r);
    }
}

/* Rows that are not counted have no loss and no gradient, to the bit. */
static void rows_that_are_not_counted_give_nothing(void **state)
{
    sides *s = *state;
    head_run r;
    head_open(s, &r, &(head_case){10, 8, 70, false, true, 0, false, 0});
    loss_of(s, &r, DEVICE);
    float *losses = sides_read(s, DEVICE, ON(r.losses, DEVICE)), *dx = sides_read(s, DEVICE, ON(r.dx, DEVICE));
    for (int64_t n = 0; n < 10; n++) {
        assert_true(n % 3 == 1 ? losses[n] == 0 : losses[n] > 0);
        for (int64_t c = 0; c < 8; c++)
            assert_true(n % 3 == 1 ? dx[n * 8 + c] == 0 : dx[n * 8 + c] != 0);
    }
    free(losses);
    free(dx);
    head_close(s, &r);
}

/* Uniform logits: log V. */
static void equal_logits_lose_the_logarithm_of_their_count(void **state)
{
    sides *s = *state;
    head_run r;
    head_open(s, &r, &(head_case){1, 4, 1003, false, false, 0, false, 0});
    float zeros[4] = {0};
    sides_write(s, DEVICE, ON(r.x, DEVICE), zeros);
    loss_of(s, &r, DEVICE);
    float *loss = sides_read(s, DEVICE, ON(r.losses, DEVICE));
    assert_float_equal(loss[0], 6.910750788, 1e-5);
    free(loss);
    head_close(s, &r);
}

/* exp of these overflows, or is 0, unless the largest is taken away first. */
static void large_logits_stay_finite(void **state)
{
    sides *s = *state;
    for (int smooth = 0; smooth < 2; smooth++) {
        head_run r;
        head_open(s, &r, &(head_case){4, 2, 1003, false, true, 0, smooth, smooth ? 0.1f : 0});
        for (int k = 0; k < SIDES; k++) {
            float x[] = {3008, 0, -3008, 100, 0, 4000, 512, 512}; /* bf16 has these */
            sides_write(s, k, ON(r.x, k), x);
            loss_of(s, &r, k);
        }
        NEAR(s, r.losses, s->tolerance);
        NEAR(s, r.dx, s->tolerance);
        NEAR(s, r.dw, s->tolerance);
        head_close(s, &r);
    }
}

static double loss_with(sides *s, int32_t target, float x, bool weighted)
{
    head_run r;
    head_open(s, &r, &(head_case){1, 1, 9, false, true, 0, weighted, weighted ? 0.1f : 0});
    OP(s, DEVICE, upload, r.targets.on[DEVICE], &target, sizeof target);
    sides_write(s, DEVICE, ON(r.x, DEVICE), &x);
    loss_of(s, &r, DEVICE);
    double loss = sides_step_of(s, &r.step, DEVICE).loss;
    head_close(s, &r);
    return loss;
}

/* The device has no other way to tell: the step is skipped then. */
static void a_loss_that_cannot_be_is_not_a_number(void **state)
{
    sides *s = *state;
    for (int weighted = 0; weighted < 2; weighted++) {
        assert_true(isfinite(loss_with(s, 8, 1, weighted)));
        assert_true(isnan(loss_with(s, 9, 1, weighted)));
        assert_true(isnan(loss_with(s, -1, 1, weighted)));
        assert_true(isnan(loss_with(s, 0, NAN, weighted)));
    }
}

static void assert_same_bits(sides *s, const pair *a, const pair *b)
{
    float *x = sides_read(s, DEVICE, ON(*a, DEVICE)), *y = sides_read(s, DEVICE, ON(*b, DEVICE));
    assert_memory_equal(x, y, (size_t)gp_tensor_count(ON(*a, DEVICE)) * sizeof *x);
    free(x);
    free(y);
}

static void the_loss_has_the_same_bits_twice(void **state)
{
    sides *s = *state;
    head_run r;
    head_open(s, &r, &(head_case){70, 24, 203, true, true, 32, false, 0});
    pair dw = sides_copy(s, &r.dw), dbias = sides_copy(s, &r.dbias);
    loss_of(s, &r, DEVICE);
    head_run again = r;
    again.dw = dw, again.dbias = dbias;
    again.losses = EMPTY(s, FP32, 70), again.dx = EMPTY(s, ACT, 70, 24);
    loss_of(s, &again, DEVICE);
    assert_same_bits(s, &r.losses, &again.losses);
    assert_same_bits(s, &r.dx, &again.dx);
    assert_same_bits(s, &r.dw, &again.dw);
    assert_same_bits(s, &r.dbias, &again.dbias);
    head_close(s, &r);
}

static void head_logits_agree(void **state)
{
    static const struct {
        int64_t B, T, C, V;
        bool bias;
    } shapes[] = {{1, 1, 1, 1, true},     {3, 5, 33, 97, true}, {2, 4, 16, 128, false},
                  {1, 70, 8, 1003, true}, {1, 1, 64, 2, true},  {1, 9, 64, 3, true}};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        int64_t B = shapes[i].B, T = shapes[i].T, C = shapes[i].C, V = shapes[i].V;
        pair x = RANDOM(s, ACT, B, T, C), w = RANDOM(s, FP32, V, C), bias = RANDOM(s, FP32, V);
        pair logits = EMPTY(s, FP32, B, T, V);
        pair_weight weight;
        weight_open(s, &weight, &w, shapes[i].bias ? &bias : NULL, true);
        sides_plan(s, &(gp_shape){.B = (int)B, .T = (int)T, .C = (int)C, .H = 1, .V = (int)V, .inner = 1});
        for (int k = 0; k < SIDES; k++)
            OP(s, k, head_logits,
               &(gp_head_op){.x = ON(x, k),
                             .w = &weight.on[k],
                             .bias = shapes[i].bias ? ON(bias, k) : NULL,
                             .logits = ON(logits, k)});
        NEAR(s, logits, s->tolerance);
        weight_close(s, &weight);
        sides_forget(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(head_loss_agrees),
        SIDES_TEST(rows_that_are_not_counted_give_nothing),
        SIDES_TEST(equal_logits_lose_the_logarithm_of_their_count),
        SIDES_TEST(large_logits_stay_finite),
        SIDES_TEST(a_loss_that_cannot_be_is_not_a_number),
        SIDES_TEST(the_loss_has_the_same_bits_twice),
        SIDES_TEST(head_logits_agree),
    };
    const struct CMUnitTest narrow[] = {SIDES_TEST(head_loss_agrees), SIDES_TEST(head_logits_agree)};
    return sides_main("cuda head", tests) + sides_run("cuda head", "narrow", narrow, ARRAY_LEN(narrow));
}
