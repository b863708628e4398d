/* test_gradients.c: embed, select, dropout and norm backward against central differences. */
#include "gradients.h"

/* ---- embed ----------------------------------------------------------------------------------------------- */

static double embed_loss(const void *p)
{
    const gp_embed_op *op = p;
    be.ops->embed_forward(&be, op);
    return weighted(op->y, op->dy);
}

static const int32_t tokens[] = {0, 3, 1, 3, 6, 0, 3, 3, 2}, positions[] = {1, 2, 3, 1, 1, 2, 0, 1, 2};
static const int32_t types[] = {0, 0, 1, 1, 1, 1, 0, 0, 0};

static void embed_case(int C, bool with_types, int pad_token, int pad_position, double p)
{
    plan(3, 3, C, 1, 7);
    param wte = random_param(7, C), wpe = random_param(4, C), wtt = random_param(2, C);
    gp_tensor y = random_tensor(3, 3, C), dy = random_tensor(3, 3, C);
    gp_embed_op op = {.tokens = tokens,
                      .positions = positions,
                      .pad_token = pad_token,
                      .pad_position = pad_position,
                      .drop = dropout(p),
                      .wte = &wte.value,
                      .wpe = &wpe.value,
                      .y = &y,
                      .dy = &dy,
                      .dwte = &wte.grad,
                      .dwpe = &wpe.grad};
    if (with_types) {
        op.types = types;
        op.wtt = &wtt.value;
        op.dwtt = &wtt.grad;
    }
    be.ops->embed_backward(&be, &op);
    check_rows("dwte", &wte.value, &wte.grad, &wte.before, pad_token, embed_loss, &op);
    check_rows("dwpe", &wpe.value, &wpe.grad, &wpe.before, pad_position, embed_loss, &op);
    if (with_types)
        check_param("dwtt", &wtt, embed_loss, &op);
    op.types = NULL; /* all 0: the second row of wtt plays no part */
    if (with_types) {
        memcpy(wtt.grad.data, wtt.before.data, (size_t)gp_tensor_bytes(&wtt.grad));
        be.ops->embed_backward(&be, &op);
        check_param("dwtt with types NULL", &wtt, embed_loss, &op);
    }
}

static void embed_sums_the_rows_of_each_id(void **state)
{
    (void)state;
    embed_case(5, false, -1, -1, 0);
    embed_case(17, true, -1, -1, 0);
}

static void embed_leaves_padding_rows_alone(void **state)
{
    (void)state;
    embed_case(3, true, 3, 1, 0);
}

static void embed_drops_the_same_elements_backward(void **state)
{
    (void)state;
    embed_case(17, true, -1, -1, 0.4);
}

/* ---- select ---------------------------------------------------------------------------------------------- */

static double select_loss(const void *p)
{
    const gp_select_op *op = p;
    be.ops->select_forward(&be, op);
    return weighted(op->y, op->dy);
}

/* Rows in any order, -1 among them; a (2,3,C) tensor has six. */
static void select_copies_rows_and_their_gradients(void **state)
{
    static const int32_t rows[] = {4, -1, 0, 5, -1}, number[] = {2, -1, -1, -1, 0, 3}; /* number[r]: n of row r */
    enum { C = 7, COUNT = ARRAY_LEN(rows), N = ARRAY_LEN(number) };
    (void)state;
    gp_tensor x = random_tensor(2, 3, C), dy = random_tensor(COUNT, C, 0), dx = unwritten(&x), y = unwritten(&dy);
    gp_select_op op = {.x = &x, .rows = rows, .y = &y, .dy = &dy, .dx = &dx};
    be.ops->select_forward(&be, &op);
    be.ops->select_backward(&be, &op);
    for (int n = 0; n < COUNT; n++)
        for (int c = 0; c < C; c++)
            assert_true(numbers(&y)[n * C + c] == (rows[n] < 0 ? 0 : numbers(&x)[rows[n] * C + c]));
    for (int r = 0; r < N; r++)
        for (int c = 0; c < C; c++)
            assert_true(numbers(&dx)[r * C + c] == (number[r] < 0 ? 0 : numbers(&dy)[number[r] * C + c]));
    check("dx", &x, &dx, select_loss, &op);
}

/* ---- dropout alone --------------------------------------------------------------------------------------- */

typedef struct dropout_case {
    gp_tensor x, y, dy;
    gp_dropout drop;
} dropout_case;

static double dropout_loss(const void *p)
{
    const dropout_case *c = p;
    gp_tensor y = c->y;
    memcpy(y.data, c->x.data, (size_t)gp_tensor_bytes(&y));
    be.ops->dropout(&be, &y, c->drop);
    return weighted(&y, &c->dy);
}

static void dropout_is_its_own_backward(void **state)
{
    (void)state;
    dropout_case c = {random_tensor(2, 3, 17), random_tensor(2, 3, 17), random_tensor(2, 3, 17), dropout(0.3)};
    gp_tensor dx = unwritten(&c.dy);
    memcpy(dx.data, c.dy.data, (size_t)gp_tensor_bytes(&dx));
    be.ops->dropout(&be, &dx, c.drop);
    check("dx", &c.x, &dx, dropout_loss, &c);
}

/* ---- norm ------------------------------------------------------------------------------------------------ */

typedef struct norm_case {
    gp_norm_op op;
    gp_tensor dy; /* of y in all: dy + dy2 */
    gp_tensor dcarry;
} norm_case;

static double norm_loss(const void *p)
{
    const norm_case *c = p;
    be.ops->norm_forward(&be, &c->op);
    double loss = weighted(c->op.y, &c->dy);
    return c->op.sum ? loss + weighted(c->op.sum, &c->dcarry) : loss;
}

enum { BRANCH = 1, CARRY = 2, SECOND = 4, BETA = 8, ON_CARRY = 16, ON_SECOND = 32, ON_SUM = 64 };

static void norm_check(int T, int C, double p, int with)
{
    gp_tensor residual = random_tensor(2, T, C), branch = random_tensor(2, T, C), sum = random_tensor(2, T, C);
    gp_tensor y = random_tensor(2, T, C), mean = random_tensor(2 * T, 0, 0), rstd = random_tensor(2 * T, 0, 0);
    gp_tensor dy = random_tensor(2, T, C), dy2 = random_tensor(2, T, C), dcarry = random_tensor(2, T, C);
    param gamma = random_param(C, 0), beta = random_param(C, 0);
    norm_case c = {.op = {.residual = &residual,
                          .gamma = &gamma.value,
                          .eps = 1e-5f,
                          .drop = dropout(p),
                          .y = &y,
                          .mean = &mean,
                          .rstd = &rstd,
                          .dy = &dy,
                          .dgamma = &gamma.grad},
                   .dy = unwritten(&dy),
                   .dcarry = unwritten(&dcarry)};
    for (int64_t i = 0; i < gp_tensor_count(&dy); i++) { /* dsum may overwrite dy2 and dcarry */
        numbers(&c.dy)[i] = numbers(&dy)[i] + (with & SECOND ? numbers(&dy2)[i] : 0);
        numbers(&c.dcarry)[i] = with & CARRY ? numbers(&dcarry)[i] : 0;
    }
    gp_tensor dsum = unwritten(&dy), dbranch = unwritten(&dy);
    c.op.dsum = with & ON_CARRY ? &dcarry : with & ON_SECOND ? &dy2 : &dsum;
    c.op.dcarry = with & CARRY ? &dcarry : NULL;
    c.op.dy2 = with & SECOND ? &dy2 : NULL;
    if (with & BETA) {
        c.op.beta = &beta.value;
        c.op.dbeta = &beta.grad;
    }
    if (with & BRANCH) {
        c.op.branch = &branch;
        c.op.sum = &sum;
        c.op.dbranch = with & ON_SUM ? c.op.dsum : &dbranch;
    }
    be.ops->norm_forward(&be, &c.op);
    be.ops->norm_backward(&be, &c.op);
    check("dsum", &residual, c.op.dsum, norm_loss, &c);
    check_param("dgamma", &gamma, norm_loss, &c);
    if (with & BETA)
        check_param("dbeta", &beta, norm_loss, &c);
    if (with & BRANCH)
        check("dbranch", &branch, c.op.dbranch, norm_loss, &c);
}

static void norm_alone(void **state)
{
    (void)state;
    norm_check(1, 3, 0, BETA);
    norm_check(3, 17, 0, 0);
    norm_check(1, 65, 0, BETA);
}

static void norm_with_a_branch(void **state)
{
    (void)state;
    norm_check(3, 17, 0, BRANCH | BETA);
    norm_check(3, 17, 0.3, BRANCH | BETA);
}

static void norm_adds_the_gradients_of_later_readers(void **state)
{
    (void)state;
    norm_check(3, 5, 0.3, BRANCH | BETA | CARRY);
    norm_check(3, 5, 0.3, BRANCH | BETA | SECOND);
    norm_check(3, 5, 0.3, BRANCH | BETA | CARRY | SECOND);
}

static void norm_may_write_on_what_it_read(void **state)
{
    (void)state;
    norm_check(3, 5, 0.3, BRANCH | BETA | CARRY | ON_CARRY);
    norm_check(3, 5, 0.3, BRANCH | BETA | SECOND | ON_SECOND);
    norm_check(3, 5, 0, BRANCH | BETA | CARRY | ON_CARRY | ON_SUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(embed_sums_the_rows_of_each_id, setup, teardown),
        cmocka_unit_test_setup_teardown(embed_leaves_padding_rows_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(embed_drops_the_same_elements_backward, setup, teardown),
        cmocka_unit_test_setup_teardown(select_copies_rows_and_their_gradients, setup, teardown),
        cmocka_unit_test_setup_teardown(dropout_is_its_own_backward, setup, teardown),
        cmocka_unit_test_setup_teardown(norm_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(norm_with_a_branch, setup, teardown),
        cmocka_unit_test_setup_teardown(norm_adds_the_gradients_of_later_readers, setup, teardown),
        cmocka_unit_test_setup_teardown(norm_may_write_on_what_it_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
