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
    sides_plan(s, &(gp_shape){.B = (int)c->B, .T = 1, .C = 1, .H = 1, .V = (int)c->V, .inner = 1, .cache = 1});
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
            fail_msg("row %lld of %lld, V %lld, vocab %d, temperature %g, top_k %d, top_p %g, min_p %g: drawn %d, "
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

/* ---- rows that are continued ----------------------------------------------------------------------------- */

enum { ROWS = 5, RING = 3, LAST_PLACE = 9, TOPS = 7 };

/* What one side's rows are between steps. */
typedef struct lanes {
    int32_t *samples, *positions, *ids, *places;
    uint8_t *seen;
    gp_draw *draws;
    gp_candidate *top;
} lanes;

static lanes lanes_of(sides *s, int k, const sample_case *c, const uint8_t *seen)
{
    static const int32_t samples[ROWS] = {4, -1, 0, 9, 1}, positions[ROWS] = {0, 5, 1, 2, 8},
                         places[ROWS] = {0, 3, 7, 8, 9};
    gp_backend *be = s->be[k];
    size_t ids = ROWS * sizeof(int32_t), draws = ROWS * RING;
    lanes l = {.samples = sides_take(s, k, ids),
               .positions = sides_take(s, k, ids),
               .ids = sides_take(s, k, ids),
               .places = sides_take(s, k, ids),
               .seen = seen ? sides_take(s, k, (size_t)(ROWS * c->V)) : NULL,
               .draws = be->ops->alloc_host(be, draws * sizeof(gp_draw)),
               .top = be->ops->alloc_host(be, draws * TOPS * sizeof(gp_candidate))};
    be->ops->upload(be, l.samples, samples, ids);
    be->ops->upload(be, l.positions, positions, ids);
    be->ops->upload(be, l.places, places, ids);
    if (seen)
        be->ops->upload(be, l.seen, seen, (size_t)(ROWS * c->V));
    return l;
}

/* One step on one side, and what it left: ids, positions, places, and what was seen. */
static void step_lanes(sides *s, int k, const sample_case *c, const gp_tensor *logits, lanes *l, int tops,
                       int32_t left[3][ROWS], uint8_t *seen)
{
    gp_backend *be = s->be[k];
    int32_t *ids[] = {l->samples, l->positions, l->ids}, *state[] = {l->ids, l->positions, l->places};
    gp_sample_op op = op_of(c, logits, ids);
    op.seen = l->seen;
    op.penalty = 1.7;
    op.draws = l->draws;
    op.ring = RING;
    op.places = l->places;
    op.last_place = LAST_PLACE;
    op.log_probabilities = tops > 0;
    op.top = l->top;
    op.tops = tops;
    be->ops->sample(be, &op);
    for (int i = 0; i < 3; i++)
        be->ops->download(be, left[i], state[i], sizeof left[i]);
    if (l->seen)
        be->ops->download(be, seen, l->seen, (size_t)(ROWS * c->V));
}

static int by_id(const void *a, const void *b)
{
    return ((const gp_candidate *)a)->id - ((const gp_candidate *)b)->id;
}

/* The draw at `at` of the rings: the same id, and the log-probability as near as double allows. */
static void assert_same_draw(const lanes l[SIDES], int64_t at, int tops)
{
    const gp_draw *a = &l[REF].draws[at], *b = &l[DEVICE].draws[at];
    assert_int_equal(a->id, b->id);
    if (!tops || a->id < 0)
        return;
    assert_true(fabs(a->logit - a->max - log(a->sum) - (b->logit - b->max - log(b->sum))) < 1e-9);
    for (int k = 0; k < SIDES; k++)
        qsort(l[k].top + at * tops, (size_t)tops, sizeof *l[k].top, by_id);
    assert_memory_equal(l[REF].top + at * tops, l[DEVICE].top + at * tops, (size_t)tops * sizeof *l[REF].top);
}

/* Several steps from the same logits: what was drawn is penalized the next time. */
static void continue_rows(sides *s, const sample_case *c, const pair *logits, bool penalizes, int tops)
{
    uint8_t *seen = gp_calloc((size_t)(2 * ROWS * c->V), 1), *now[SIDES] = {seen, seen + ROWS * c->V};
    lanes l[SIDES];
    for (int64_t i = 0; i < ROWS * c->V; i++)
        seen[i] = i % 3 == 0;
    for (int k = 0; k < SIDES; k++)
        l[k] = lanes_of(s, k, c, penalizes ? seen : NULL);
    for (int step = 0; step < 4; step++) {
        int32_t left[SIDES][3][ROWS];
        for (int k = 0; k < SIDES; k++)
            step_lanes(s, k, c, ON(*logits, k), &l[k], tops, left[k], now[k]);
        assert_memory_equal(left[REF], left[DEVICE], sizeof left[REF]);
        assert_memory_equal(now[REF], now[DEVICE], (size_t)(penalizes * ROWS * c->V));
        assert_int_equal(left[DEVICE][1][1], 5); /* the idle row's */
        assert_int_equal(left[DEVICE][1][0], step + 1);
        assert_int_equal(left[DEVICE][2][0], step + 1);
        assert_int_equal(left[DEVICE][2][4], LAST_PLACE);
        for (int b = 0; b < ROWS; b++)
            if (b != 1)
                assert_same_draw(l, b * RING + (left[REF][1][b] - 1) % RING, tops);
        if (penalizes && l[REF].draws[step % RING].id >= 0)
            assert_int_equal(now[DEVICE][l[REF].draws[step % RING].id], 1);
    }
    for (int k = 0; k < SIDES; k++) {
        OP(s, k, free_host, l[k].draws, ROWS * RING * sizeof(gp_draw));
        OP(s, k, free_host, l[k].top, ROWS * RING * TOPS * sizeof(gp_candidate));
    }
    free(seen);
}

static void continued_rows_agree(void **state)
{
    static const sample_case cases[] = {
        {ROWS, 20, 18, 2, 0, 0, 1, 0},         {ROWS, 2100, 2049, 2, 0, 0, 1, 0},
        {ROWS, 2100, 2049, 1, 1, 0, 1, 0},     {ROWS, 4100, 4097, 3, 0.8f, 40, 1, 0},
        {ROWS, 300, 300, 3, 1.2f, 0, 0.9f, 0}, {ROWS, 300, 200, 3, 0.9f, 30, 0.9f, 0.02f}};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int how = 0; how < 4; how++) {
            pair logits = sides_random(s, FP32, cases[i].scale, 2, (int64_t[]){ROWS, cases[i].V});
            continue_rows(s, &cases[i], &logits, how % 2, how / 2 * TOPS);
            sides_forget(s);
        }
}

/* The likeliest where equals stand at the limit: the lowest ids; and where some are not finite, none is drawn and the
 * state of the rows is fit for the next step. */
static void continued_rows_agree_on_ties_and_after_what_is_not_finite(void **state)
{
    sides *s = *state;
    enum { V = 40 };
    float row[V];
    for (int bad = 0; bad < 2; bad++)
        for (int how = 0; how < 3; how++) {
            sample_case c = {ROWS, V, V, 1, how ? 1 : 0, how == 2 ? 5 : 0, how ? 0.8f : 1, 0};
            for (int i = 0; i < V; i++)
                row[i] = bad && i == 7 ? NAN : (float)(i % 4);
            pair logits = rows_of(s, ROWS, V, row);
            continue_rows(s, &c, &logits, false, bad ? 0 : TOPS);
            if (bad)
                continue_rows(s, &c, &logits, false, TOPS);
            sides_forget(s);
        }
}

/* As op says: where x is negative it is multiplied. A greedy choice among the first ids, for each number of them. */
static void the_penalty_is_exact(void **state)
{
    sides *s = *state;
    static const float row[] = {-3, -1.5f, -0.9f, 0.25f, 0.5f, 0.3f, 0.6f, 1, 1.7f, 1.0000001f};
    static const uint8_t seen[ROWS * 10] = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
    /* behind 1.7: -5.1 -1.5 -1.53 0.25 0.294.. 0.3 0.353.. 1 1 1.0000001 */
    static const int expected[] = {0, 1, 1, 3, 4, 5, 6, 7, 7, 9};
    pair logits = rows_of(s, ROWS, 10, row);
    for (int n = 1; n <= 10; n++)
        for (int k = 0; k < SIDES; k++) {
            sample_case c = {ROWS, 10, n, 1, 0, 0, 1, 0};
            int32_t left[3][ROWS];
            uint8_t now[ROWS * 10];
            lanes l = lanes_of(s, k, &c, seen);
            step_lanes(s, k, &c, ON(logits, k), &l, 0, left, now);
            assert_int_equal(left[0][0], expected[n - 1]);
            OP(s, k, free_host, l.draws, ROWS * RING * sizeof(gp_draw));
            OP(s, k, free_host, l.top, ROWS * RING * TOPS * sizeof(gp_candidate));
        }
    sides_forget(s);
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
        SIDES_TEST(continued_rows_agree),
        SIDES_TEST(continued_rows_agree_on_ties_and_after_what_is_not_finite),
        SIDES_TEST(the_penalty_is_exact),
    };
    return sides_run("cuda sample", "fp32", tests, ARRAY_LEN(tests)); /* logits are fp32, whatever products are */
}
