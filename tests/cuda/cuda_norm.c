/* The CUDA backend against ref: residual, dropout and layer norm. */
#include "sides.h"

/* Where the gradient of the sum is written. */
enum { APART, ON_CARRY, ON_DY2 };

typedef struct norm_case {
    int64_t B, T, C;
    bool branch, own_sum, beta, dropout;
    /* backward */
    bool dy2, carry;
    int dsum;
    bool dbranch, branch_on_sum;
} norm_case;

static const norm_case cases[] = {
    /* plain path: rows that are no whole packs */
    {1, 1, 1, true, true, true, false, false, true, ON_CARRY, true, true},
    {2, 3, 17, true, true, true, true, false, true, ON_CARRY, true, false},
    {1, 17, 63, false, true, true, false, true, false, ON_DY2, true, true},
    {3, 5, 65, false, false, false, false, false, false, APART, false, false},
    {1, 3, 769, true, true, true, true, true, true, APART, true, false},
    /* a warp a row */
    {1, 5, 8, true, true, true, true, false, true, ON_CARRY, true, false},
    {2, 2, 128, true, true, false, true, true, false, ON_DY2, true, false},
    {1, 6, 264, false, true, true, false, false, true, APART, false, false},
    {2, 3, 520, true, true, true, true, true, true, ON_CARRY, true, false},
    {2, 3, 768, true, true, true, false, false, true, ON_CARRY, true, true},
    /* a block a row */
    {1, 3, 1024, true, true, false, true, false, false, APART, true, false},
    {2, 2, 1600, true, true, true, true, true, true, ON_DY2, true, false},
    {1, 2, 2048, false, false, true, false, false, true, APART, true, false},
    /* more than registers hold */
    {1, 2, 2056, true, true, true, true, true, true, ON_CARRY, true, false},
    /* more rows than the device has teams at once */
    {2, 801, 8, true, true, true, true, false, true, ON_CARRY, true, false},
    {1, 401, 1032, false, false, true, false, false, true, ON_CARRY, false, false},
};

static void norm_forward_agrees(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const norm_case *c = &cases[i];
        pair x = RANDOM(s, ACT, c->B, c->T, c->C), branch = RANDOM(s, ACT, c->B, c->T, c->C);
        pair gamma = RANDOM(s, FP32, c->C), beta = RANDOM(s, FP32, c->C);
        pair sum = EMPTY(s, ACT, c->B, c->T, c->C), y = EMPTY(s, ACT, c->B, c->T, c->C);
        pair mean = EMPTY(s, FP32, c->B * c->T), rstd = EMPTY(s, FP32, c->B * c->T);
        pair_step step = sides_step(s, sides_any_step());
        for (int k = 0; k < SIDES; k++)
            OP(s, k, norm_forward,
               &(gp_norm_op){.residual = ON(x, k),
                             .branch = c->branch ? ON(branch, k) : NULL,
                             .gamma = ON(gamma, k),
                             .beta = c->beta ? ON(beta, k) : NULL,
                             .eps = 1e-5f,
                             .drop = {c->dropout ? 0.3f : 0, 5, step.on[k]},
                             .sum = c->own_sum ? ON(sum, k) : NULL,
                             .y = ON(y, k),
                             .mean = ON(mean, k),
                             .rstd = ON(rstd, k)});
        if (c->own_sum)
            NEAR(s, sum, s->tolerance);
        NEAR(s, y, s->tolerance);
        NEAR(s, mean, s->tolerance);
        NEAR(s, rstd, s->tolerance);
        sides_forget(s);
    }
}

/* What norm_backward reads and writes. */
typedef struct norm_grads {
    pair x, gamma, mean, rstd, dy, dy2, carry, dsum, dbranch, dgamma, dbeta;
    pair_step step;
} norm_grads;

/* mean and rstd as forward leaves them, near those of rows of normal numbers. */
static norm_grads make_grads(sides *s, const norm_case *c)
{
    norm_grads g = {.x = RANDOM(s, ACT, c->B, c->T, c->C),
                    .gamma = RANDOM(s, FP32, c->C),
                    .mean = RANDOM(s, FP32, c->B * c->T),
                    .rstd = RANDOM(s, FP32, c->B * c->T),
                    .dy = RANDOM(s, ACT, c->B, c->T, c->C),
                    .dy2 = RANDOM(s, ACT, c->B, c->T, c->C),
                    .carry = RANDOM(s, ACT, c->B, c->T, c->C),
                    .dsum = EMPTY(s, ACT, c->B, c->T, c->C),
                    .dbranch = EMPTY(s, ACT, c->B, c->T, c->C),
                    .dgamma = RANDOM(s, FP32, c->C),
                    .dbeta = RANDOM(s, FP32, c->C),
                    .step = sides_step(s, sides_any_step())};
    if (c->dsum == ON_CARRY)
        g.dsum = g.carry;
    if (c->dsum == ON_DY2)
        g.dsum = g.dy2;
    if (c->branch_on_sum)
        g.dbranch = g.dsum;
    return g;
}

static void differentiate(sides *s, int k, const norm_case *c, norm_grads *g)
{
    OP(s, k, norm_backward,
       &(gp_norm_op){.residual = ON(g->x, k),
                     .sum = c->own_sum ? ON(g->x, k) : NULL,
                     .gamma = ON(g->gamma, k),
                     .eps = 1e-5f,
                     .drop = {c->dropout ? 0.3f : 0, 5, g->step.on[k]},
                     .mean = ON(g->mean, k),
                     .rstd = ON(g->rstd, k),
                     .dy = ON(g->dy, k),
                     .dy2 = c->dy2 ? ON(g->dy2, k) : NULL,
                     .dcarry = c->carry ? ON(g->carry, k) : NULL,
                     .dsum = ON(g->dsum, k),
                     .dbranch = c->dbranch ? ON(g->dbranch, k) : NULL,
                     .dgamma = ON(g->dgamma, k),
                     .dbeta = c->beta ? ON(g->dbeta, k) : NULL});
}

static void plan(sides *s, const norm_case *c)
{
    sides_plan(
        s,
        &(gp_shape){.B = (int)c->B, .T = (int)c->T, .C = (int)c->C, .H = 1, .V = 8, .inner = (int)c->C, .train = true});
}

static void norm_backward_agrees(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const norm_case *c = &cases[i];
        plan(s, c);
        norm_grads g = make_grads(s, c);
        for (int k = 0; k < SIDES; k++)
            differentiate(s, k, c, &g);
        NEAR(s, g.dsum, s->tolerance);
        if (c->dbranch)
            NEAR(s, g.dbranch, s->tolerance);
        NEAR(s, g.dgamma, s->tolerance);
        NEAR(s, g.dbeta, s->tolerance);
        sides_forget(s);
    }
}

static void norm_gradients_have_the_same_bits_every_time(void **state)
{
    sides *s = *state;
    const norm_case c = {2, 801, 8, true, true, true, true, false, true, APART, true, false};
    plan(s, &c);
    norm_grads g = make_grads(s, &c), again = g;
    again.dgamma = sides_copy(s, &g.dgamma);
    again.dbeta = sides_copy(s, &g.dbeta);
    differentiate(s, DEVICE, &c, &g);
    differentiate(s, DEVICE, &c, &again);
    float *a = sides_read(s, DEVICE, ON(g.dgamma, DEVICE)), *b = sides_read(s, DEVICE, ON(again.dgamma, DEVICE));
    assert_memory_equal(a, b, (size_t)c.C * sizeof *a);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(norm_forward_agrees),
        SIDES_TEST(norm_backward_agrees),
        SIDES_TEST(norm_gradients_have_the_same_bits_every_time),
    };
    return sides_main("cuda norm", tests);
}
