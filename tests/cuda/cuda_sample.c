/* The CUDA backend against ref: sampling. Both draw the same id of the same logits, always. */
#include "sides.h"

/* Settings of one draw from each of B rows. */
typedef struct sample_case {
    int64_t B, V;
    int vocab;
    double scale; /* of the logits */
    float temperature;
    int top_k;
    float top_p, min_p;
} sample_case;

static gp_sample_op op_of(const sample_case *c, const gp_tensor *logits, int32_t *const ids[3])
{
    return (gp_sample_op){.logits = logits,
                          .vocab = c->vocab,
                          .temperature = c->temperature,
                          .top_p = c->top_p,
                          .min_p = c->min_p,
                          .top_k = c->top_k,
                          .seed = 0x123456789abcdefu,
                          .samples = ids[0],
                          .positions = ids[1],
                          .ids = ids[2]};
}

/* Draws on both sides; on each the B ids are at drawn[side]. */
static void draw(sides *s, const sample_case *c, const pair *logits, int32_t *drawn[SIDES])
{
    pair_ids samples = sides_random_ids(s, c->B, 1000), positions = sides_random_ids(s, c->B, 1 << 20);
    size_t bytes = (size_t)c->B * sizeof(int32_t);
    sides_plan(s,
               &(gp_shape){.B = (int)c->B, .T = 1, .C = 1, .H = 1, .V = (int)c->V, .inner = 1, .cache = 1});
    for (int k = 0; k < SIDES; k++) {
        int32_t *ids[] = {samples.on[k], positions.on[k], sides_take(s, k, bytes)};
        gp_sample_op op = op_of(c, ON(*logits, k), ids);
        OP(s, k, sample, &op);
        drawn[k] = gp_malloc(bytes);
        OP(s, k, download, drawn[k], ids[2], bytes);
    }
}

static void assert_same_draws(sides *s, const sample_case *c, const pair *logits)
{
    int32_t *drawn[SIDES];
    draw(s, c, logits, drawn);
    for (int64_t b = 0; b < c->B; b++)
        if (drawn[DEVICE][b] != drawn[REF][b])
            fail_msg(
                "row %lld of %lld, V %lld, vocab %d, temperature %g, top_k %d, top_p %g, min_p %g: drawn %d, "
                "expected %d",
                (long long)b, (long long)c->B, (long long)c->V, c->vocab, (double)c->temperature, c->top_k,
                (double)c->top_p, (double)c->min_p, drawn[DEVICE][b], drawn[REF][b]);
    for (int k = 0; k < SIDES; k++)
        free(drawn[k]);
}

static void agrees(sides *s, const sample_case *c)
{
    pair logits = sides_random(s, FP32, c->scale, 2, (int64_t[]){c->B, c->V});
    assert_same_draws(s, c, &logits);
    sides_forget(s);
}

static void draws_agree(void **state)
{
    static const sample_case cases[] = {{1, 1, 1, 1, 1, 0, 1, 0},
                                        {3, 1, 1, 1, 0, 1, 0.5f, 0.5f},
                                        {9, 2, 2, 1, 1, 0, 1, 0},
                                        {9, 17, 17, 2, 1, 0, 1, 0},
                                        {9, 65, 64, 2, 0.7f, 5, 0.9f, 0},
                                        {9, 1003, 1000, 3, 1, 0, 1, 0},
                                        {7, 2049, 2049, 3, 1, 50, 1, 0},
                                        {7, 5000, 4097, 1, 1, 0, 0.9f, 0},
                                        {3, 6145, 6145, 3, 1.3f, 300, 0.95f, 0.001f},
                                        {1, 50304, 50257, 3, 1, 0, 1, 0},
                                        {1, 50257, 50257, 3, 0.8f, 40, 0.9f, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        agrees(*state, &cases[i]);
}

/* Many settings, drawn too: each of them often off. */
static void draws_agree_whatever_is_asked_for(void **state)
{
    for (uint64_t i = 0; i < 40; i++) {
        uint64_t r = gp_random64(11, GP_RNG_DATA, 97, i);
        static const float temperatures[] = {0.01f, 0.5f, 1, 1, 1.7f, 30};
        static const float top_ps[] = {1, 1, 0, 1e-6f, 0.3f, 0.9f, 0.999f, 0.9999999f};
        static const float min_ps[] = {0, 0, 0, 1e-3f, 0.1f, 1, 2};
        static const int top_ks[] = {0, 0, 1, 2, 7, 39, 40, 1000};
        agrees(*state, &(sample_case){.B = 10,
                                      .V = 40,
                                      .vocab = 40,
                                      .scale = i % 3 ? 3 : 60,
                                      .temperature = temperatures[r % ARRAY_LEN(temperatures)],
                                      .top_k = top_ks[(r >> 8) % ARRAY_LEN(top_ks)],
                                      .top_p = top_ps[(r >> 16) % ARRAY_LEN(top_ps)],
                                      .min_p = min_ps[(r >> 24) % ARRAY_LEN(min_ps)]});
    }
}

/* One row of given logits, repeated B times. */
static pair rows_of(sides *s, int64_t B, int64_t V, const float *row)
{
    pair logits = EMPTY(s, FP32, B, V);
    float *all = gp_malloc((size_t)(B * V) * sizeof *all);
    for (int64_t i = 0; i < B * V; i++)
        all[i] = row[i % V];
    for (int k = 0; k < SIDES; k++)
        sides_write(s, k, ON(logits, k), all);
    free(all);
    return logits;
}

/* How often each id is drawn from one row, on the device and, the same, on ref. */
static void count_draws(sides *s, sample_case c, const float *row, int *counts)
{
    pair logits = rows_of(s, c.B, c.V, row);
    int32_t *drawn[SIDES];
    draw(s, &c, &logits, drawn);
    for (int64_t b = 0; b < c.B; b++) {
        assert_int_equal(drawn[DEVICE][b], drawn[REF][b]);
        assert_in_range(drawn[DEVICE][b], 0, c.vocab - 1);
        counts[drawn[DEVICE][b]]++;
    }
    for (int k = 0; k < SIDES; k++)
        free(drawn[k]);
    sides_forget(s);
}

/* Logits of a few values, so that limits fall among equals: top_k keeps all of them, top_p the lowest ids. */
static void ties_go_to_the_lowest_ids(void **state)
{
    static const float row[] = {1, 2, 0.0f, 2, 1, -0.0f, 2, 1, 0, 2};
    int counts[ARRAY_LEN(row)] = {0};
    sample_case c = {.B = 60, .V = 10, .vocab = 10, .temperature = 0, .top_p = 1};
    count_draws(*state, c, row, counts);
    assert_int_equal(counts[1], 60);

    memset(counts, 0, sizeof counts);
    c.temperature = 1, c.top_k = 6;
    count_draws(*state, c, row, counts);
    assert_true(counts[0] && counts[4] && counts[7]); /* the fifth to the seventh logit are all 1 */
    assert_int_equal(counts[2] + counts[5] + counts[8], 0);

    memset(counts, 0, sizeof counts);
    c.top_k = 0, c.top_p = 0.5f; /* 4 e^2 of 4 e^2 + 3 e + 3: three of the four are 0.54 of all */
    count_draws(*state, c, row, counts);
    assert_true(counts[1] && counts[3] && counts[6]);
    assert_int_equal(counts[1] + counts[3] + counts[6], 60);

    memset(counts, 0, sizeof counts);
    c.B = 400;
    c.top_p = 0.97f; /* of the zeros the first two: one is 0.024 of all, and all but them are 0.929 */
    count_draws(*state, c, row, counts);
    assert_true(counts[2] && counts[5]);
    assert_int_equal(counts[8], 0);
}

/* Of four equal logits each is 0.25: two of them are 0.5, and no third is taken. */
static void top_p_exactly_on_a_sum_takes_no_more(void **state)
{
    static const float row[] = {-2, -2, -2, -2};
    for (int most = 1; most <= 3; most++) {
        int counts[ARRAY_LEN(row)] = {0};
        sample_case c = {.B = 60, .V = 4, .vocab = 4, .temperature = 1, .top_p = 0.25f * (float)most};
        count_draws(*state, c, row, counts);
        for (int v = 0; v < 4; v++)
            assert_int_equal(counts[v] > 0, v < most);
    }
}

static void equal_logits_agree_in_many_slices(void **state)
{
    sides *s = *state;
    enum { V = 9000 };
    float *row = gp_malloc(V * sizeof *row);
    for (int i = 0; i < V; i++)
        row[i] = (float)(i % 3);
    static const sample_case cases[] = {{3, V, V, 0, 1, 0, 1, 0},
                                        {3, V, V, 0, 1, 0, 0.5f, 0},
                                        {3, V, V, 0, 1, 100, 0.5f, 0},
                                        {3, V, 7001, 0, 1, 3500, 0.95f, 0.2f}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        pair logits = rows_of(s, cases[i].B, V, row);
        assert_same_draws(s, &cases[i], &logits);
        sides_forget(s);
    }
    free(row);
}

static void min_p_keeps_the_most_probable_whatever_it_is(void **state)
{
    static const float row[] = {0, 1, 3, 2.9f, 3};
    int counts[ARRAY_LEN(row)] = {0};
    sample_case c = {.B = 20, .V = 5, .vocab = 5, .temperature = 1, .top_p = 1, .min_p = 1};
    count_draws(*state, c, row, counts);
    assert_true(counts[2] && counts[4] && counts[2] + counts[4] == 20);
    memset(counts, 0, sizeof counts);
    c.min_p = 2;
    count_draws(*state, c, row, counts);
    assert_int_equal(counts[2], 20);
}

static void an_id_behind_vocab_is_never_drawn(void **state)
{
    static const float row[] = {0, 1, 0.5f, 50, 60};
    int counts[ARRAY_LEN(row)] = {0};
    sample_case c = {.B = 20, .V = 5, .vocab = 3, .temperature = 1, .top_p = 1};
    count_draws(*state, c, row, counts);
    c.temperature = 0;
    count_draws(*state, c, row, counts);
    c.temperature = 1, c.top_k = 4, c.top_p = 0.99f;
    count_draws(*state, c, row, counts);
    assert_int_equal(counts[3] + counts[4], 0);
}

/* What a caller forbids. */
static void a_logit_of_minus_infinity_is_never_drawn(void **state)
{
    static const float row[] = {-INFINITY, 1, -INFINITY, 0, -INFINITY};
    int counts[ARRAY_LEN(row)] = {0};
    sample_case c = {.B = 20, .V = 5, .vocab = 5, .temperature = 1, .top_p = 1};
    count_draws(*state, c, row, counts);
    c.top_p = 0.999f;
    count_draws(*state, c, row, counts);
    c.top_k = 4;
    count_draws(*state, c, row, counts);
    assert_true(counts[1] && counts[3] && counts[1] + counts[3] == 60);
}

/* NaN of either sign, inf, and nothing but -inf: by each road through the kernels. */
static void logits_that_are_not_finite_give_no_id(void **state)
{
    sides *s = *state;
    static const float rows[][3] = {
        {NAN, NAN, NAN}, {1, NAN, 0}, {1, 0, -NAN}, {-INFINITY, -INFINITY, -INFINITY}, {INFINITY, 0, 1}};
    static const sample_case how[] = {{.vocab = 3, .temperature = 1, .top_k = 2, .top_p = 0.9f},
                                      {.vocab = 3, .temperature = 1, .top_p = 1},
                                      {.vocab = 3, .temperature = 0, .top_p = 1}};
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(how); i++) {
        pair logits = rows_of(s, 1, 3, rows[i / ARRAY_LEN(how)]);
        pair_ids zero = sides_random_ids(s, 1, 1);
        int32_t *id = sides_take(s, DEVICE, sizeof *id),
                drawn = 7, *const ids[] = {zero.on[DEVICE], zero.on[DEVICE], id};
        gp_sample_op op = op_of(&how[i % ARRAY_LEN(how)], ON(logits, DEVICE), ids);
        sides_plan(s, &(gp_shape){.B = 1, .T = 1, .C = 1, .H = 1, .V = 3, .inner = 1, .cache = 1});
        OP(s, DEVICE, sample, &op);
        OP(s, DEVICE, download, &drawn, id, sizeof drawn);
        assert_int_equal(drawn, -1);
        sides_forget(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(draws_agree),
        SIDES_TEST(draws_agree_whatever_is_asked_for),
        SIDES_TEST(ties_go_to_the_lowest_ids),
        SIDES_TEST(top_p_exactly_on_a_sum_takes_no_more),
        SIDES_TEST(equal_logits_agree_in_many_slices),
        SIDES_TEST(min_p_keeps_the_most_probable_whatever_it_is),
        SIDES_TEST(an_id_behind_vocab_is_never_drawn),
        SIDES_TEST(a_logit_of_minus_infinity_is_never_drawn),
        SIDES_TEST(logits_that_are_not_finite_give_no_id),
    };
    return sides_run("cuda sample", "fp32", tests,
                     ARRAY_LEN(tests)); /* logits are fp32, whatever products are */
}
