/* The CUDA backend against ref: embeddings, selected rows, and dropout. */
#include "sides.h"

typedef struct embed_case {
    int64_t B, T, C, V, P;
    int64_t kinds; /* of token types; 0: no such table */
    bool types, dropout;
    int pad; /* token and position; -1: none */
} embed_case;

static const embed_case cases[] = {
    {1, 1, 1, 1, 1, 0, false, false, -1},
    {2, 3, 7, 5, 3, 2, true, true, 1},
    {3, 5, 8, 4, 9, 2, true, true, 2},
    {1, 33, 40, 30, 40, 0, false, false, -1},
    {2, 16, 17, 3, 16, 2, false, true, 0}, /* types NULL: all 0 */
    {1, 9, 768, 100, 9, 0, false, true, -1},
    {1, 3, 1600, 100, 9, 1, false, false, -1},
    {2, 2, 2064, 10, 4, 0, false, true, -1},        /* more columns than a block has */
    {1, 260, 8, 1, 300, 0, false, false, -1},       /* one id over many chunks */
    {3, 400, 8, 7, 500, 2, true, true, -1},         /* more rows than one warp orders */
    {1, 700, 1, 70000, 70000, 0, false, false, -1}, /* ids beyond 16 bits */
};

typedef struct embed_data {
    pair_ids tokens, positions, types;
    pair wte, wpe, wtt, y, dy, dwte, dwpe, dwtt;
    pair_step step;
} embed_data;

static embed_data make_data(sides *s, const embed_case *c)
{
    int64_t kinds = c->kinds ? c->kinds : 1;
    return (embed_data){.tokens = sides_random_ids(s, c->B * c->T, c->V),
                        .positions = sides_random_ids(s, c->B * c->T, c->P),
                        .types = sides_random_ids(s, c->B * c->T, kinds),
                        .wte = RANDOM(s, TABLE, c->V, c->C),
                        .wpe = RANDOM(s, MATRIX, c->P, c->C),
                        .wtt = RANDOM(s, MATRIX, kinds, c->C),
                        .y = EMPTY(s, ACT, c->B, c->T, c->C),
                        .dy = RANDOM(s, ACT, c->B, c->T, c->C),
                        .dwte = RANDOM(s, FP32, c->V, c->C),
                        .dwpe = RANDOM(s, FP32, c->P, c->C),
                        .dwtt = RANDOM(s, FP32, kinds, c->C),
                        .step = sides_step(s, sides_any_step())};
}

static gp_embed_op op_of(embed_data *d, const embed_case *c, int side)
{
    return (gp_embed_op){.tokens = d->tokens.on[side],
                         .positions = d->positions.on[side],
                         .types = c->types ? d->types.on[side] : NULL,
                         .pad_token = c->pad,
                         .pad_position = c->pad,
                         .drop = {c->dropout ? 0.2f : 0, 3, d->step.on[side]},
                         .wte = ON(d->wte, side),
                         .wpe = ON(d->wpe, side),
                         .wtt = c->kinds ? ON(d->wtt, side) : NULL,
                         .y = ON(d->y, side),
                         .dy = ON(d->dy, side),
                         .dwte = ON(d->dwte, side),
                         .dwpe = ON(d->dwpe, side),
                         .dwtt = c->kinds ? ON(d->dwtt, side) : NULL};
}

static void plan(sides *s, const embed_case *c)
{
    sides_plan(
        s,
        &(gp_shape){
            .B = (int)c->B, .T = (int)c->T, .C = (int)c->C, .H = 1, .V = (int)c->V, .inner = (int)c->C, .train = true});
}

static void embed_forward_agrees(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        embed_data d = make_data(s, &cases[i]);
        for (int k = 0; k < SIDES; k++) {
            gp_embed_op op = op_of(&d, &cases[i], k);
            OP(s, k, embed_forward, &op);
        }
        NEAR(s, d.y, s->tolerance);
        sides_forget(s);
    }
}

static void embed_gradients_are_added(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        plan(s, &cases[i]);
        embed_data d = make_data(s, &cases[i]);
        for (int k = 0; k < SIDES; k++) {
            gp_embed_op op = op_of(&d, &cases[i], k);
            OP(s, k, embed_backward, &op);
        }
        NEAR(s, d.dwte, s->tolerance);
        NEAR(s, d.dwpe, s->tolerance);
        if (cases[i].kinds)
            NEAR(s, d.dwtt, s->tolerance);
        sides_forget(s);
    }
}

static void padding_gets_no_gradient(void **state)
{
    sides *s = *state;
    const embed_case c = {2, 40, 8, 3, 3, 0, false, false, 1};
    plan(s, &c);
    embed_data d = make_data(s, &c);
    pair *grads[] = {&d.dwte, &d.dwpe};
    float *before[] = {sides_read(s, DEVICE, ON(d.dwte, DEVICE)), sides_read(s, DEVICE, ON(d.dwpe, DEVICE))};
    gp_embed_op op = op_of(&d, &c, DEVICE);
    OP(s, DEVICE, embed_backward, &op);
    for (int i = 0; i < 2; i++) {
        float *after = sides_read(s, DEVICE, ON(*grads[i], DEVICE));
        size_t row = (size_t)c.C * sizeof *after;
        assert_memory_equal(after + c.C, before[i] + c.C, row);
        assert_memory_not_equal(after, before[i], row);
        assert_memory_not_equal(after + 2 * c.C, before[i] + 2 * c.C, row);
        free(after);
        free(before[i]);
    }
}

static void embed_gradients_have_the_same_bits_every_time(void **state)
{
    sides *s = *state;
    const embed_case c = {2, 700, 8, 5, 700, 0, false, true, -1};
    plan(s, &c);
    embed_data d = make_data(s, &c), again = d;
    again.dwte = sides_copy(s, &d.dwte);
    again.dwpe = sides_copy(s, &d.dwpe);
    gp_embed_op first = op_of(&d, &c, DEVICE), second = op_of(&again, &c, DEVICE);
    OP(s, DEVICE, embed_backward, &first);
    OP(s, DEVICE, embed_backward, &second);
    float *a = sides_read(s, DEVICE, first.dwte), *b = sides_read(s, DEVICE, second.dwte);
    assert_memory_equal(a, b, (size_t)(c.V * c.C) * sizeof *a);
    free(a);
    free(b);
}

/* In fp32 and in bf16, 1e8 + 1 - 1e8 is 0, and in any order that has 1 last it is 1. */
static void contributions_are_added_in_order_of_rows(void **state)
{
    enum { ROWS = 700 };
    sides *s = *state;
    const embed_case c = {1, ROWS, 1, 2, 1, 0, false, false, -1};
    int32_t tokens[ROWS];
    float dy[ROWS] = {[0] = 1e8f, [350] = 1, [ROWS - 1] = -1e8f}, zero[2] = {0};
    for (int n = 0; n < ROWS; n++)
        tokens[n] = dy[n] == 0;
    plan(s, &c);
    embed_data d = make_data(s, &c);
    d.tokens = sides_ids(s, tokens, ROWS);
    sides_write(s, DEVICE, ON(d.dy, DEVICE), dy);
    sides_write(s, DEVICE, ON(d.dwte, DEVICE), zero);
    gp_embed_op op = op_of(&d, &c, DEVICE);
    OP(s, DEVICE, embed_backward, &op);
    float *sum = sides_read(s, DEVICE, op.dwte);
    assert_true(sum[0] == 0);
    free(sum);
}

/* From the last row on, -1 where there are no more; rows that fill packs and rows that do not. */
static void select_agrees(void **state)
{
    static const int64_t shapes[][4] = {{1, 1, 1, 1},   {2, 3, 17, 4},   {3, 5, 8, 1},
                                        {1, 9, 776, 9}, {2, 20, 64, 64}, {1, 2, 64, 64}};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        int64_t B = shapes[i][0], T = shapes[i][1], C = shapes[i][2], count = shapes[i][3];
        int32_t list[64];
        for (int64_t n = 0; n < count; n++)
            list[n] = n < B * T ? (int32_t)(B * T - 1 - n) : -1;
        pair_ids rows = sides_ids(s, list, count);
        pair x = RANDOM(s, ACT, B, T, C), y = EMPTY(s, ACT, count, C), dy = RANDOM(s, ACT, count, C),
             dx = EMPTY(s, ACT, B, T, C);
        for (int k = 0; k < SIDES; k++) {
            gp_select_op op = {.x = ON(x, k), .rows = rows.on[k], .y = ON(y, k), .dy = ON(dy, k), .dx = ON(dx, k)};
            OP(s, k, select_forward, &op);
            OP(s, k, select_backward, &op);
        }
        assert_true(sides_error(s, &y) == 0 && sides_error(s, &dx) == 0); /* not one number in bf16 either */
        sides_forget(s);
    }
}

static void dropout_agrees(void **state)
{
    static const int64_t shapes[][3] = {{1, 1, 1}, {2, 3, 17}, {3, 5, 8}, {2, 2, 776}, {1, 4, 3}, {65536, 1, 1}};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        for (int p = 0; p < 2; p++) { /* none, and some */
            pair x = RANDOM(s, ACT, shapes[i][0], shapes[i][1], shapes[i][2]);
            pair_step step = sides_step(s, sides_any_step());
            for (int k = 0; k < SIDES; k++)
                OP(s, k, dropout, ON(x, k), (gp_dropout){p ? 0.4f : 0, 7, step.on[k]});
            NEAR(s, x, s->tolerance);
            sides_forget(s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(embed_forward_agrees),
        SIDES_TEST(embed_gradients_are_added),
        SIDES_TEST(padding_gets_no_gradient),
        SIDES_TEST(embed_gradients_have_the_same_bits_every_time),
        SIDES_TEST(contributions_are_added_in_order_of_rows),
        SIDES_TEST(select_agrees),
        SIDES_TEST(dropout_agrees),
    };
    const struct CMUnitTest narrow[] = {SIDES_TEST(embed_forward_agrees)};
    return sides_main("cuda embed", tests) + sides_run("cuda embed", "narrow", narrow, ARRAY_LEN(narrow));
}
