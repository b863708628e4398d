/* test_sampling.c: drawing tokens: which are left by each warper, how often, and that nothing else matters.
 */
#include "backend/backend.h"
#include "base/rng.h"
#include "reference/ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { V = sizeof sample_logits / sizeof sample_logits[0], MAX = 512, BIG = 50257 };

static gp_backend *be;

static int open_ref(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "auto", 2);
    if (!be)
        return -1;
    gp_backend_plan(be, &(gp_shape){.B = 1, .T = 1, .C = 1, .H = 1, .V = BIG, .inner = 4});
    return 0;
}

static int close_ref(void **state)
{
    (void)state;
    gp_backend_close(be);
    return 0;
}

/* One token from one row. */
static int32_t draw_one(gp_sample_op op, const float *logits, int width, int32_t sample, int32_t position)
{
    float *copy = malloc((size_t)width * sizeof *copy); /* an op's tensors are not const */
    int32_t id = -1;
    memcpy(copy, logits, (size_t)width * sizeof *copy);
    gp_tensor row = gp_tensor_view(copy, GP_F32, 2, 1, width);
    op.logits = &row;
    op.samples = &sample;
    op.positions = &position;
    op.ids = &id;
    be->ops->sample(be, &op);
    free(copy);
    return id;
}

/* Draws many and compares the counts with the probabilities that transformers gives: Pearson's chi-square
 * below the point that chance passes once in 10^5 (normal approximation of Wilson and Hilferty). */
static void expect_shares(gp_sample_op op, const float *expected)
{
    enum { BATCH = 128, ROUNDS = 160, DRAWS = BATCH * ROUNDS };
    static float logits[BATCH * V];
    int32_t samples[BATCH], positions[BATCH], ids[BATCH];
    int counts[V] = {0};
    gp_tensor rows = gp_tensor_view(logits, GP_F32, 2, BATCH, V);
    for (int b = 0; b < BATCH; b++)
        memcpy(logits + b * V, sample_logits, sizeof sample_logits);
    op.logits = &rows, op.vocab = V, op.seed = 42, op.samples = samples, op.positions = positions, op.ids = ids;
    for (int i = 0; i < ROUNDS; i++) {
        for (int b = 0; b < BATCH; b++) {
            samples[b] = b;
            positions[b] = i;
        }
        be->ops->sample(be, &op);
        for (int b = 0; b < BATCH; b++)
            counts[ids[b]]++;
    }
    double chi2 = 0, freedom = -1;
    for (int v = 0; v < V; v++) {
        if (expected[v] == 0) {
            assert_int_equal(counts[v], 0);
            continue;
        }
        double mean = (double)DRAWS * expected[v];
        chi2 += (counts[v] - mean) * (counts[v] - mean) / mean;
        freedom++;
    }
    double r = 2 / (9 * freedom), limit = freedom * pow(1 - r + 4.265 * sqrt(r), 3);
    if (chi2 > limit)
        fail_msg("chi-square %g with %g degrees of freedom, limit %g", chi2, freedom, limit);
}

static void shares_are_those_of_transformers(void **state)
{
    (void)state;
    expect_shares((gp_sample_op){.temperature = 1, .top_p = 1}, sample_plain);
    expect_shares((gp_sample_op){.temperature = 1.7f, .top_p = 1}, sample_hot);
    expect_shares((gp_sample_op){.temperature = 0.8f, .top_p = 1, .top_k = 5}, sample_top_k);
    expect_shares((gp_sample_op){.temperature = 1, .top_p = 0.8f}, sample_top_p);
    expect_shares((gp_sample_op){.temperature = 1.3f, .top_p = 1, .min_p = 0.1f}, sample_min_p);
    expect_shares((gp_sample_op){.temperature = 1.2f, .top_p = 0.7f, .top_k = 12, .min_p = 0.05f}, sample_all);
}

static void temperature_0_takes_the_largest_and_the_lowest_of_equals(void **state)
{
    (void)state;
    const float logits[] = {-1, 3, 2, 3, 3};
    for (int i = 0; i < 10; i++)
        assert_int_equal(draw_one((gp_sample_op){.vocab = 5, .top_p = 1}, logits, 5, i, i), 1);
}

static void top_k_1_and_a_tiny_top_p_take_the_largest(void **state)
{
    (void)state;
    const float logits[] = {-1, 2.9f, 2, 3, 2.9f};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(
            draw_one((gp_sample_op){.vocab = 5, .temperature = 5, .top_p = 1, .top_k = 1}, logits, 5, i, 0), 3);
        assert_int_equal(draw_one((gp_sample_op){.vocab = 5, .temperature = 5, .top_p = 1e-9f}, logits, 5, i, 0), 3);
        assert_int_equal(
            draw_one((gp_sample_op){.vocab = 5, .temperature = 5, .top_p = 1, .min_p = 1}, logits, 5, i, 0), 3);
    }
}

/* At min_p 1 all that are as likely as the likeliest, and none that is less so by the least that floats can tell. */
static void min_p_keeps_what_is_exactly_as_likely(void **state)
{
    (void)state;
    const float logits[] = {3, 3, nextafterf(3, 0), 3};
    bool seen[4] = {false};
    for (int i = 0; i < 300; i++)
        seen[draw_one((gp_sample_op){.vocab = 4, .temperature = 1, .top_p = 1, .min_p = 1}, logits, 4, i, 0)] = true;
    assert_true(seen[0] && seen[1] && !seen[2] && seen[3]);
}

static void top_k_keeps_what_equals_the_last(void **state)
{
    (void)state;
    const float logits[] = {1, 0, 1, 2, 1};
    bool seen[5] = {false};
    for (int i = 0; i < 500; i++)
        seen[draw_one((gp_sample_op){.vocab = 5, .temperature = 1, .top_p = 1, .top_k = 2}, logits, 5, i, 0)] = true;
    assert_true(seen[0] && !seen[1] && seen[2] && seen[3] && seen[4]);
}

static void top_p_takes_the_lower_ids_of_equals(void **state)
{
    (void)state;
    const float logits[] = {1, 1, 1, 1, 1};
    bool seen[5] = {false};
    for (int i = 0; i < 200; i++)
        seen[draw_one((gp_sample_op){.vocab = 5, .temperature = 1, .top_p = 0.3f}, logits, 5, i, 0)] = true;
    assert_true(seen[0] && seen[1] && !seen[2] && !seen[3] && !seen[4]);
}

/* Of four equal logits each is 0.25, to the last bit: two of them are 0.5, and no third is taken. */
static void top_p_exactly_on_a_sum_takes_no_more(void **state)
{
    (void)state;
    const float logits[] = {-2, -2, -2, -2};
    for (int most = 1; most <= 3; most++) {
        bool seen[4] = {false};
        gp_sample_op op = {.vocab = 4, .temperature = 1, .top_p = 0.25f * (float)most};
        for (int i = 0; i < 300; i++)
            seen[draw_one(op, logits, 4, i, 0)] = true;
        for (int v = 0; v < 4; v++)
            assert_int_equal(seen[v], v < most);
    }
}

/* Equal logits: an id is the share of the vocabulary at which the random number stands, that of Philox for (seed,
 * sample, position), whose words test_numbers.c holds to Random123's. None comes again, however far a sample gets. */
static void a_position_has_its_own_random_number(void **state)
{
    (void)state;
    enum { WIDE = 256 };
    static const int32_t places[] = {0, 1, 255, 256, 257, 511, 512, 65535, 65536, 65792, 1 << 24, INT32_MAX};
    static const float logits[WIDE];
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        for (size_t k = 0; k < ARRAY_LEN(places); k++) {
            gp_sample_op op = {.vocab = WIDE, .temperature = 1, .top_p = 1, .seed = UINT64_C(5) << 32 | 7};
            gp_philox r = gp_philox4x32(op.seed, (uint32_t)places[k], 0, (uint32_t)places[i], GP_RNG_SAMPLE);
            assert_int_equal(draw_one(op, logits, WIDE, places[i], places[k]), r.v[0] >> 24);
        }
}

static void limits_beyond_the_vocabulary_keep_all(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        gp_sample_op op = {.vocab = V, .temperature = 1, .top_p = 1};
        int32_t plain = draw_one(op, sample_logits, V, i, 0);
        op.top_k = V + 1;
        assert_int_equal(draw_one(op, sample_logits, V, i, 0), plain);
    }
}

static void padding_is_never_drawn(void **state)
{
    (void)state;
    const float logits[] = {1, 1, 1, 100, 100};
    const gp_sample_op ops[] = {{.top_p = 1},
                                {.temperature = 1, .top_p = 1},
                                {.temperature = 1, .top_p = 1, .top_k = 2},
                                {.temperature = 1, .top_p = 0.5f},
                                {.temperature = 1, .top_p = 1, .min_p = 0.5f}};
    for (size_t j = 0; j < sizeof ops / sizeof ops[0]; j++)
        for (int i = 0; i < 100; i++) {
            gp_sample_op op = ops[j];
            op.vocab = 3;
            assert_in_range(draw_one(op, logits, 5, i, 0), 0, 2);
        }
}

static void a_sample_is_the_same_alone_and_among_others(void **state)
{
    (void)state;
    enum { ROWS = 7 };
    static float logits[ROWS * MAX];
    int32_t samples[ROWS], positions[ROWS], ids[ROWS], other[ROWS];
    for (int i = 0; i < ROWS * MAX; i++)
        logits[i] = 4 * (float)gp_random_double(3, 100, 0, (uint64_t)i);
    for (int b = 0; b < ROWS; b++) {
        samples[b] = 10 + b * b;
        positions[b] = 3 * b;
    }
    gp_tensor rows = gp_tensor_view(logits, GP_F32, 2, ROWS, MAX);
    gp_sample_op op = {.logits = &rows,
                       .vocab = MAX,
                       .temperature = 1,
                       .top_p = 0.95f,
                       .top_k = 100,
                       .seed = 9,
                       .samples = samples,
                       .positions = positions,
                       .ids = ids};
    be->ops->sample(be, &op);
    for (int b = 0; b < ROWS; b++)
        assert_int_equal(draw_one(op, logits + b * MAX, MAX, samples[b], positions[b]), ids[b]);
    op.seed = 10, op.ids = other;
    be->ops->sample(be, &op);
    assert_memory_not_equal(ids, other, sizeof ids);
    op.seed = 9;
    for (int b = 0; b < ROWS; b++)
        positions[b]++;
    be->ops->sample(be, &op);
    assert_memory_not_equal(ids, other, sizeof ids);
}

/* Every warper against a plain sort, on a vocabulary of GPT-2's size. */
static void the_kept_set_is_that_of_a_full_sort(void **state)
{
    (void)state;
    static float logits[BIG];
    for (int i = 0; i < BIG; i++)
        logits[i] = 3 * (float)gp_random_double(8, 100, 0, (uint64_t)i);
    logits[BIG - 1] = 9;
    double top = 0, total = 0; /* the mass of id BIG-1, and of all */
    for (int i = 0; i < BIG; i++)
        total += exp((double)logits[i]);
    top = exp(9.0) / total;
    gp_sample_op op = {.vocab = BIG, .temperature = 1, .top_p = (float)(top * 0.999)};
    for (int i = 0; i < 20; i++)
        assert_int_equal(draw_one(op, logits, BIG, i, 0), BIG - 1);
    op.top_p = 1, op.top_k = 50;
    for (int i = 0; i < 20; i++) {
        int32_t id = draw_one(op, logits, BIG, i, 0);
        int larger = 0;
        for (int j = 0; j < BIG; j++)
            larger += logits[j] > logits[id];
        assert_true(larger < 50);
    }
}

static void logits_that_are_not_finite_give_no_id(void **state)
{
    (void)state;
    const float rows[][3] = {
        {NAN, NAN, NAN},  {-INFINITY, -INFINITY, -INFINITY}, {INFINITY, INFINITY, 0}, {NAN, 1, INFINITY}, {0, -NAN, 1},
        {0, 1, INFINITY}, {-INFINITY, 0, -INFINITY}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int k = 0; k < 3; k++) {
            gp_sample_op op = {.vocab = 3, .temperature = (float)k, .top_p = k == 2 ? 0.5f : 1, .top_k = k};
            assert_int_equal(draw_one(op, rows[i], 3, 1, 1), rows[i][1] == 0 ? 1 : -1);
        }
    gp_sample_op op = {.vocab = 3, .temperature = 1, .top_p = 1};
    for (int i = 0; i < 50; i++)
        assert_int_equal(draw_one(op, rows[6], 3, i, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_transformers),
        cmocka_unit_test(temperature_0_takes_the_largest_and_the_lowest_of_equals),
        cmocka_unit_test(top_k_1_and_a_tiny_top_p_take_the_largest),
        cmocka_unit_test(min_p_keeps_what_is_exactly_as_likely),
        cmocka_unit_test(top_k_keeps_what_equals_the_last),
        cmocka_unit_test(top_p_takes_the_lower_ids_of_equals),
        cmocka_unit_test(top_p_exactly_on_a_sum_takes_no_more),
        cmocka_unit_test(a_position_has_its_own_random_number),
        cmocka_unit_test(limits_beyond_the_vocabulary_keep_all),
        cmocka_unit_test(padding_is_never_drawn),
        cmocka_unit_test(a_sample_is_the_same_alone_and_among_others),
        cmocka_unit_test(the_kept_set_is_that_of_a_full_sort),
        cmocka_unit_test(logits_that_are_not_finite_give_no_id),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
