/* Training without master weights: matrices in bf16 alone, rounded by chance. That rounding is unbiased, that ref's
 * AdamW is the one with masters but for it, and that a model learns so, where rounding to nearest all but stops it. */
#include "trainer.h"

#include "backend/rounding.h"
#include "base/rng.h"

static float wide(uint16_t bits)
{
    float x;
    gp_to_f32(&x, &bits, GP_BF16, 1);
    return x;
}

static uint16_t nearest(float x)
{
    uint16_t bits;
    gp_from_f32(&bits, GP_BF16, &x, 1);
    return bits;
}

/* ---- one number ------------------------------------------------------------------------------------------ */

static void what_bf16_has_stays(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float x = wide((uint16_t)bits);
        for (uint32_t part = 0; part < 16 && !isnan(x); part++)
            assert_int_equal(gp_round_by_chance(x, part << 28 | 0x1234), bits);
        assert_int_equal(gp_round_by_chance(x, 0xffffffff), isnan(x) ? bits | 0x40 : bits);
    }
}

/* Over all draws that there are: x's neighbours alone, and their mean is x. */
static void the_mean_over_all_draws_is_the_number(void **state)
{
    (void)state;
    static const float numbers[] = {1.00390625F, 0.1F,   -0.1F,  3.14159265F, -1.9999999F,
                                    65535.9F,    1e-30F, -1e30F, 1e-39F,      0x1.fffffep-3F};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        float x = numbers[i];
        double sum = 0;
        uint16_t toward = gp_round_by_chance(x, 0), away = (uint16_t)(toward + 1);
        assert_true(fabsf(wide(toward)) <= fabsf(x) && fabsf(x) <= fabsf(wide(away)));
        for (uint32_t draw = 0; draw < 65536; draw++) {
            uint16_t got = gp_round_by_chance(x, draw << 16 | 0xffff);
            assert_true(got == toward || got == away);
            sum += (double)wide(got) / 65536;
        }
        assert_true(fabs(sum - (double)x) <= 1e-12 * fabs((double)x));
    }
}

static void what_is_not_finite_stays_so(void **state)
{
    (void)state;
    for (uint64_t word = 0; word < 0x100000000; word += 0x00ffffff) {
        assert_int_equal(gp_round_by_chance(INFINITY, (uint32_t)word), 0x7f80);
        assert_int_equal(gp_round_by_chance(-INFINITY, (uint32_t)word), 0xff80);
        assert_true(isnan(wide(gp_round_by_chance(NAN, (uint32_t)word))));
    }
    uint32_t low = 0x7f800001; /* a NaN whose upper half is infinity's */
    float nan;
    memcpy(&nan, &low, sizeof nan);
    assert_true(isnan(wide(gp_round_by_chance(nan, 0))));
    assert_int_equal(gp_round_by_chance(3.4e38F, 0xffffffff), 0x7f80);
}

/* ---- what is drawn --------------------------------------------------------------------------------------- */

/* The share of n draws that go away from zero, of a number that lies `share` of the way there. */
static void assert_share(int64_t n, int64_t ups, double share)
{
    double off = fabs((double)ups - (double)n * share), deviation = sqrt((double)n * share * (1 - share));
    if (!(off <= 4 * deviation))
        fail_msg("%lld of %lld, expected %.0f: off by %.1f standard deviations", (long long)ups, (long long)n,
                 (double)n * share, off / deviation);
}

/* Over elements in one step, over steps of one element, and of neighbours both (with share^2, were they
 * independent). */
static void draws_are_fair_and_independent(void **state)
{
    (void)state;
    enum { N = 400000 };
    static const float shares[] = {1 / 512.0F, 0.25F, 0.5F, 0.9F};
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        float x = -(1 + shares[i] / 128);
        double share = round((double)shares[i] * 65536) / 65536;
        int64_t elements = 0, steps = 0, next = 0, again = 0;
        bool before = false;
        for (uint32_t n = 0; n < N; n++) {
            bool element = gp_round_by_chance(x, gp_rounding_word(42, 7, n)) == 0xbf81;
            bool step = gp_round_by_chance(x, gp_rounding_word(42, n, 7)) == 0xbf81;
            bool later = gp_round_by_chance(x, gp_rounding_word(42, 8, n)) == 0xbf81;
            elements += element;
            steps += step;
            next += element && before;
            again += element && later;
            before = element;
        }
        assert_share(N, elements, share);
        assert_share(N, steps, share);
        assert_share(N, next, share * share);
        assert_share(N, again, share * share);
    }
}

/* The definition in rounding.h, written out once more: any place of a large model has its own. */
static void elements_are_philox_words(void **state)
{
    (void)state;
    static const int64_t elements[] = {0, 1, 2, 3, 4, 1558000001, INT64_C(4) << 32 | 3};
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        int64_t e = elements[i];
        gp_philox words = gp_philox4x32(0x123456789abcdef0, (uint32_t)(e / 4), (uint32_t)(e / 4 >> 32), 0xffffffff, 9);
        assert_int_equal(gp_rounding_word(0x123456789abcdef0, 9, e), words.v[e % 4]);
    }
}

/* ---- ref's AdamW ----------------------------------------------------------------------------------------- */

enum { COUNT = 1003, CUT = 258 };

typedef struct numbers {
    float p[COUNT], g[COUNT], m[COUNT], v[COUNT];
    uint16_t narrow[COUNT];
} numbers;

static numbers draw_numbers(void)
{
    numbers n;
    float two[2];
    for (int i = 0; i < COUNT; i++) {
        gp_random_normal2(5, GP_RNG_INIT, 1, (uint64_t)i, two);
        n.narrow[i] = nearest(0.1F * two[0]);
        n.p[i] = wide(n.narrow[i]);
        n.g[i] = two[1];
        gp_random_normal2(5, GP_RNG_INIT, 2, (uint64_t)i, two);
        n.m[i] = two[0];
        n.v[i] = fabsf(two[1]);
    }
    return n;
}

static void adamw(gp_backend *be, const gp_segment *segments, int count)
{
    gp_step step = {.seed = 77, .step = 12, .lr = 1e-3F, .bias1 = 0.7F, .bias2 = 0.3F, .clip_scale = 0.5F};
    be->ops->adamw(be, &(gp_adamw_op){segments, count, 0.9F, 0.95F, 1e-8F, &step});
}

/* The same in fp32, and then rounded; cut anywhere, the same. */
static void an_update_is_that_of_fp32_rounded(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("ref", "bf16", 2);
    numbers a = draw_numbers(), b = a, c = a;
    adamw(be, &(gp_segment){a.p, a.g, a.m, a.v, COUNT, 0.1F, GP_F32, 1000, 1}, 1);
    adamw(be, &(gp_segment){b.narrow, b.g, b.m, b.v, COUNT, 0.1F, GP_BF16, 1000, 1}, 1);
    adamw(be,
          (gp_segment[]){{c.narrow + CUT, c.g + CUT, c.m + CUT, c.v + CUT, COUNT - CUT, 0.1F, GP_BF16, 1000 + CUT, 1},
                         {c.narrow, c.g, c.m, c.v, CUT, 0.1F, GP_BF16, 1000, 1}},
          2);
    int64_t other = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(b.narrow[i], gp_round_by_chance(a.p[i], gp_rounding_word(77, 12, 1000 + i)));
        other += b.narrow[i] != nearest(a.p[i]);
    }
    assert_true(other > COUNT / 10);
    assert_memory_equal(a.m, b.m, sizeof a.m);
    assert_memory_equal(a.v, b.v, sizeof a.v);
    assert_memory_equal(b.narrow, c.narrow, sizeof b.narrow);
    gp_backend_close(be);
}

/* ---- a model --------------------------------------------------------------------------------------------- */

typedef enum way { MASTERS, CHANCE, NEAREST } way;

/* What a run without masters would have after a step that rounds to nearest. */
static void round_matrices(gp_model *m)
{
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        float *x = gp_malloc((size_t)row->count * sizeof *x);
        gp_model_row_download(m, row, x);
        for (int64_t k = 0; row->ndim == 2 && k < row->count; k++)
            x[k] = wide(nearest(x[k]));
        gp_model_row_upload(m, row, x);
        free(x);
    }
    gp_model_weights_changed(m);
}

/* The mean loss of the first and of the last steps; at a rate at which an update is a few ten-thousandths of a
 * weight. */
typedef struct curve {
    double first, last;
} curve;

static curve learn(way how)
{
    enum { STEPS = 600, MEAN = 20 };
    small_run r;
    curve c = {0};
    small_begin(&r, "ref", "bf16");
    r.o.master_weights = how != CHANCE;
    r.o.steps = STEPS;
    r.o.schedule = GP_SCHEDULE_CONSTANT;
    r.o.warmup = 0;
    r.o.lr = r.o.min_lr = 1e-4;
    r.o.weight_decay = 0;
    r.c.init_std = 0.3;
    small_open(&r, false);
    if (how == NEAREST)
        round_matrices(r.t.m);
    for (int i = 0; i < STEPS; i++) {
        if (gp_trainer_step(&r.t))
            fail_msg("%s", gp_error());
        double loss = r.t.issued[i % GP_IN_FLIGHT].result->loss / MEAN;
        c.first += i < MEAN ? loss : 0;
        c.last += i >= STEPS - MEAN ? loss : 0;
        if (how == NEAREST)
            round_matrices(r.t.m);
    }
    small_close(&r);
    return c;
}

static void it_learns_as_with_masters_and_to_nearest_hardly(void **state)
{
    (void)state;
    curve masters = learn(MASTERS), chance = learn(CHANCE), to_nearest = learn(NEAREST);
    double fell = masters.first - masters.last;
    print_message("loss %.4f -> %.4f with masters, %.4f by chance, %.4f to nearest\n", masters.first, masters.last,
                  chance.last, to_nearest.last);
    assert_true(fell > 0.5);
    assert_true(fabs(chance.last - masters.last) < 0.02 * masters.last);
    assert_true(to_nearest.first - to_nearest.last < 0.5 * fell);
}

/* Half the bytes for matrices, zeros behind tables of ids; gradients and moments as ever. */
static void matrices_take_half_the_memory(void **state)
{
    (void)state;
    gp_memory_use use[2];
    int64_t saved = 0, optimizer[2];
    for (int narrow = 0; narrow < 2; narrow++) {
        small_run r;
        small_begin(&r, "ref", "bf16");
        r.o.master_weights = !narrow;
        small_open(&r, false);
        gp_model_memory(r.t.m, &use[narrow]);
        optimizer[narrow] = (int64_t)r.t.optimizer.arena.size;
        for (int i = 0; narrow && i < r.t.m->params.count; i++) {
            const gp_param *row = &r.t.m->params.rows[i];
            int64_t held = row->role == GP_WTE || row->role == GP_HEAD_W ? 64 * row->dim[1] : row->count;
            saved += row->ndim == 2 ? 4 * row->count - 2 * held : 0;
        }
        small_close(&r);
    }
    assert_int_equal(use[0].weights - use[1].weights, saved);
    assert_int_equal(use[0].gradients, use[1].gradients);
    assert_int_equal(optimizer[0], optimizer[1]);
}

static void what_is_not_there_is_refused(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    assert_int_equal(gp_backend_drop_masters(be), -1);
    assert_non_null(strstr(gp_error(), "backend ref computes in fp32; use --dtype bf16"));
    gp_backend_close(be);
    be = gp_backend_open("cpu", "bf16", 1);
    assert_non_null(be);
    assert_int_equal(gp_backend_drop_masters(be), -1);
    assert_non_null(strstr(gp_error(), be->dtype == GP_BF16 ? "backend cpu does not train without master weights"
                                                            : "training in bf16 on a CPU requires"));
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_bf16_has_stays),
        cmocka_unit_test(the_mean_over_all_draws_is_the_number),
        cmocka_unit_test(what_is_not_finite_stays_so),
        cmocka_unit_test(draws_are_fair_and_independent),
        cmocka_unit_test(elements_are_philox_words),
        cmocka_unit_test(an_update_is_that_of_fp32_rounded),
        cmocka_unit_test(it_learns_as_with_masters_and_to_nearest_hardly),
        cmocka_unit_test(matrices_take_half_the_memory),
        cmocka_unit_test(what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
