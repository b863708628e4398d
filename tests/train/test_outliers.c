/* The window that outliers are measured by. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "train/report/outliers.h"

static void nothing_stands_out_before_128_values(void **state)
{
    (void)state;
    gp_window w = {0};
    for (int i = 0; i < 128; i++)
        assert_true(isnan(gp_window_add(&w, i == 60 ? 1e9 : 1)) != 0);
    assert_true(isnan(gp_window_add(&w, 1)) == 0);
}

/* 127 zeros and a one: mean 1/128, variance 1/128 - 1/128^2 = 127/128^2, so z = (127/128) / (sqrt(127)/128). */
static void one_value_among_equal_ones_stands_out_most(void **state)
{
    (void)state;
    gp_window w = {0};
    for (int i = 0; i < 128; i++)
        gp_window_add(&w, 0);
    assert_true(gp_window_add(&w, 0) == 0);
    assert_true(fabs(gp_window_add(&w, 1) - sqrt(127)) < 1e-12);
    assert_true(fabs(gp_window_add(&w, 0) - -1 / sqrt(127)) < 1e-12);
}

/* Ones of either sign by turns: mean 0, deviation 1. After 128 of them the value of 128 steps ago leaves as its like
 * comes, and nothing changes. */
static void the_window_moves(void **state)
{
    (void)state;
    gp_window w = {0};
    for (int i = 0; i < 64; i++)
        gp_window_add(&w, 1e6);
    for (int i = 64; i < 64 + 128; i++)
        gp_window_add(&w, i % 2 ? 1 : -1);
    for (int i = 64 + 128; i < 300; i++)
        assert_true(fabs(gp_window_add(&w, i % 2 ? 1 : -1) - (i % 2 ? 1 : -1)) < 1e-12);
}

static void a_copied_window_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    gp_window w = {0}, copy;
    for (int i = 0; i < 200; i++)
        gp_window_add(&w, sin(i) * 1e3 + 1.0 / (i + 1));
    copy = (gp_window){.count = w.count};
    memcpy(copy.value, w.value, sizeof w.value);
    for (int i = 0; i < 200; i++)
        assert_true(gp_window_add(&w, cos(i)) == gp_window_add(&copy, cos(i)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stands_out_before_128_values),
        cmocka_unit_test(one_value_among_equal_ones_stands_out_most),
        cmocka_unit_test(the_window_moves),
        cmocka_unit_test(a_copied_window_goes_on_with_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
