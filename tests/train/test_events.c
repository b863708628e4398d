/* TensorBoard's event files. */
#include "test.h"

#include <string.h>

#include "reference/events.h"
#include "train/report/tensorboard.h"

static gp_buf two_records(void)
{
    gp_buf b = {0};
    gp_events_begin(&b, 1700000000.25);
    gp_events_add(&b, 1700000001.5, 300, (gp_scalar[]){{"loss", 1.5}, {"lr", 0.0002}}, 2);
    return b;
}

static void records_are_those_of_tensorboardx(void **state)
{
    (void)state;
    gp_buf b = two_records();
    assert_int_equal(b.len, sizeof golden_events);
    assert_memory_equal(b.data, golden_events, sizeof golden_events);
    gp_buf_release(&b);
}

static void a_file_is_cut_before_a_later_step(void **state)
{
    (void)state;
    gp_buf b = two_records();
    size_t two = b.len;
    bool damaged;
    gp_events_add(&b, 1700000002, 301, &(gp_scalar){"loss", 1}, 1);
    assert_int_equal(gp_events_until(b.data, b.len, 301, &damaged), b.len);
    assert_int_equal(gp_events_until(b.data, b.len, 300, &damaged), two);
    assert_int_equal(gp_events_until(b.data, b.len, 299, &damaged), 12 + 24 + 4);
    assert_false(damaged);
    gp_buf_release(&b);
}

static void a_file_is_cut_before_a_damaged_record(void **state)
{
    (void)state;
    gp_buf b = two_records();
    bool damaged;
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(gp_events_until(b.data, n, 1000, &damaged), n < 40 ? 0 : 40);
        assert_false(damaged); /* but incomplete, as a killed process leaves it */
    }
    for (size_t i = 40; i < b.len; i++) {
        b.data[i] ^= 4;
        assert_int_equal(gp_events_until(b.data, b.len, 1000, &damaged), 40);
        assert_true(damaged);
        b.data[i] ^= 4;
    }
    gp_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_those_of_tensorboardx),
        cmocka_unit_test(a_file_is_cut_before_a_later_step),
        cmocka_unit_test(a_file_is_cut_before_a_damaged_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
