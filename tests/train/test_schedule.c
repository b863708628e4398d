/* The learning rate of a step, beside PyTorch's schedulers and on paper. */
#include "gptpipe/train.h"
#include "reference/schedule.h"
#include "test.h"

#include <math.h>

static gp_train_options reference_options(gp_schedule schedule)
{
    gp_train_options o = gp_train_defaults();
    o.schedule = schedule;
    o.lr = schedule_lr;
    o.min_lr = schedule_min_lr;
    o.warmup = schedule_warmup;
    o.steps = schedule_steps;
    o.decay_fraction = schedule_fraction;
    return o;
}

static void assert_same(gp_schedule schedule, const double *rates)
{
    gp_train_options o = reference_options(schedule);
    for (int s = 0; s < schedule_rates; s++) {
        double lr = gp_train_lr(&o, s);
        if (!(fabs(lr - rates[s]) <= 1e-12 * schedule_lr))
            print_message("schedule %d, step %d: %.15g, PyTorch has %.15g\n", schedule, s, lr, rates[s]);
        assert_true(fabs(lr - rates[s]) <= 1e-12 * schedule_lr);
    }
}

static void cosine_is_pytorchs(void **state)
{
    (void)state;
    assert_same(GP_SCHEDULE_COSINE, schedule_cosine);
}

static void linear_is_pytorchs(void **state)
{
    (void)state;
    assert_same(GP_SCHEDULE_LINEAR, schedule_linear);
}

static void constant_is_pytorchs(void **state)
{
    (void)state;
    assert_same(GP_SCHEDULE_CONSTANT, schedule_constant);
}

static void wsd_is_its_papers(void **state)
{
    (void)state;
    assert_same(GP_SCHEDULE_WSD, schedule_wsd);
}

/* 1 - sqrt(1/4) = 1/2: a quarter into the decay, half of the way is done. */
static void a_quarter_of_wsds_decay_is_half_of_its_way(void **state)
{
    (void)state;
    gp_train_options o = reference_options(GP_SCHEDULE_WSD);
    o.lr = 1, o.min_lr = 0, o.warmup = 0, o.steps = 100, o.decay_fraction = 0.4;
    assert_true(gp_train_lr(&o, 59) == 1 && gp_train_lr(&o, 60) == 1);
    assert_true(gp_train_lr(&o, 70) == 0.5);
    assert_true(gp_train_lr(&o, 100) == 0);
}

static void decay_steps_is_where_every_schedule_but_constant_ends(void **state)
{
    (void)state;
    static const gp_schedule schedules[] = {GP_SCHEDULE_COSINE, GP_SCHEDULE_LINEAR, GP_SCHEDULE_WSD,
                                            GP_SCHEDULE_CONSTANT};
    for (int i = 0; i < 4; i++) {
        gp_train_options o = reference_options(schedules[i]);
        o.decay_steps = 20;
        assert_true(gp_train_lr(&o, 19) > o.min_lr);
        assert_true(gp_train_lr(&o, 20) == (i < 3 ? o.min_lr : o.lr));
        assert_true(gp_train_lr(&o, 1000) == gp_train_lr(&o, 20));
    }
}

/* The decay is a share of the steps up to where the schedule ends, which may lie before or after the run's own end. */
static void wsds_decay_is_a_share_of_decay_steps(void **state)
{
    (void)state;
    gp_train_options o = reference_options(GP_SCHEDULE_WSD);
    o.warmup = 0, o.decay_steps = 20, o.decay_fraction = 0.5;
    for (o.steps = 15; o.steps < 60; o.steps += 35) {
        assert_true(gp_train_lr(&o, 9) == o.lr && gp_train_lr(&o, 10) == o.lr);
        assert_true(gp_train_lr(&o, 11) < o.lr && gp_train_lr(&o, 19) > o.min_lr);
    }
    o = gp_train_defaults(); /* by default the last fifth, as in Haegele et al. 2024 */
    o.schedule = GP_SCHEDULE_WSD, o.warmup = 0, o.steps = 100, o.lr = 1, o.min_lr = 0;
    assert_true(gp_train_lr(&o, 80) == o.lr && gp_train_lr(&o, 81) < o.lr);
}

static void the_rate_never_rises_to_a_minimum_that_was_not_given(void **state)
{
    (void)state;
    gp_train_options o = gp_train_defaults();
    assert_true(gp_train_lr(&o, o.steps) == 2e-4);
    o.lr = 1e-5;
    assert_true(gp_train_lr(&o, o.steps / 2) == 1e-5 && gp_train_lr(&o, o.steps) == 1e-5);
}

static void wsd_warms_up_whatever_its_decay_is(void **state)
{
    (void)state;
    gp_train_options o = reference_options(GP_SCHEDULE_WSD);
    o.decay_fraction = 1;
    assert_true(gp_train_lr(&o, 9) == o.lr * 10 / 11);
    assert_true(gp_train_lr(&o, 10) == o.lr);
    assert_true(gp_train_lr(&o, 11) < o.lr);
    o.decay_fraction = 0;
    assert_true(gp_train_lr(&o, 49) == o.lr);
    assert_true(gp_train_lr(&o, 50) == o.min_lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosine_is_pytorchs),
        cmocka_unit_test(linear_is_pytorchs),
        cmocka_unit_test(constant_is_pytorchs),
        cmocka_unit_test(wsd_is_its_papers),
        cmocka_unit_test(a_quarter_of_wsds_decay_is_half_of_its_way),
        cmocka_unit_test(decay_steps_is_where_every_schedule_but_constant_ends),
        cmocka_unit_test(wsds_decay_is_a_share_of_decay_steps),
        cmocka_unit_test(the_rate_never_rises_to_a_minimum_that_was_not_given),
        cmocka_unit_test(wsd_warms_up_whatever_its_decay_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
