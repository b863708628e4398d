/* TensorBoard's event files. */
#include "test.h"

#include <string.h>

#include "reference/events.h"
#include "train/events.h"

/* RFC 3720, B.4. */
static void crc32c_is_that_of_iscsi(void **state)
{
    (void)state;
    uint8_t x[32];
    memset(x, 0, sizeof x);
    assert_int_equal(gp_crc32c(0, x, sizeof x), 0x8a9136aa);
    memset(x, 0xff, sizeof x);
    assert_int_equal(gp_crc32c(0, x, sizeof x), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        x[i] = (uint8_t)i;
    assert_int_equal(gp_crc32c(0, x, sizeof x), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        x[i] = (uint8_t)(31 - i);
    assert_int_equal(gp_crc32c(0, x, sizeof x), 0x113fdb5c);
    static const uint8_t read_command[48] = {
        0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
    assert_int_equal(gp_crc32c(0, read_command, 48), 0xd9963a56);
    assert_int_equal(gp_crc32c(gp_crc32c(0, read_command, 20), read_command + 20, 28), 0xd9963a56);
}

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
    gp_events_add(&b, 1700000002, 301, &(gp_scalar){"loss", 1}, 1);
    assert_int_equal(gp_events_until(b.data, b.len, 301), b.len);
    assert_int_equal(gp_events_until(b.data, b.len, 300), two);
    assert_int_equal(gp_events_until(b.data, b.len, 299), 12 + 24 + 4);
    gp_buf_release(&b);
}

static void a_file_is_cut_before_a_damaged_record(void **state)
{
    (void)state;
    gp_buf b = two_records();
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(gp_events_until(b.data, n, 1000), n < 40 ? 0 : 40);
    for (size_t i = 40; i < b.len; i++) {
        b.data[i] ^= 4;
        assert_int_equal(gp_events_until(b.data, b.len, 1000), 40);
        b.data[i] ^= 4;
    }
    gp_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_is_that_of_iscsi),
        cmocka_unit_test(records_are_those_of_tensorboardx),
        cmocka_unit_test(a_file_is_cut_before_a_later_step),
        cmocka_unit_test(a_file_is_cut_before_a_damaged_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
