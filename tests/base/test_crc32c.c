/* CRC-32C, by the processor's instruction and by tables. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

typedef uint32_t crc_fn(uint32_t crc, const void *data, size_t n);
static crc_fn *const both[] = {gp_crc32c, gp_crc32c_tables};

/* RFC 3720, B.4; and the check value that catalogues of CRCs list. */
static void crc32c_is_that_of_iscsi(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(both); k++) {
        crc_fn *crc = both[k];
        uint8_t x[32];
        memset(x, 0, sizeof x);
        assert_int_equal(crc(0, x, sizeof x), 0x8a9136aa);
        memset(x, 0xff, sizeof x);
        assert_int_equal(crc(0, x, sizeof x), 0x62a8ab43);
        for (int i = 0; i < 32; i++)
            x[i] = (uint8_t)i;
        assert_int_equal(crc(0, x, sizeof x), 0x46dd794e);
        for (int i = 0; i < 32; i++)
            x[i] = (uint8_t)(31 - i);
        assert_int_equal(crc(0, x, sizeof x), 0x113fdb5c);
        static const uint8_t read_command[48] = {
            0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
        assert_int_equal(crc(0, read_command, 48), 0xd9963a56);
        assert_int_equal(crc(crc(0, read_command, 20), read_command + 20, 28), 0xd9963a56);
        assert_int_equal(crc(0, "123456789", 9), 0xe3069283);
        assert_int_equal(crc(0, NULL, 0), 0);
    }
}

/* Long ones are taken in three stretches at once. The value is that of the crc32c package for Python. */
static void a_long_message_has_the_known_crc(void **state)
{
    (void)state;
    enum { N = 1000003 };
    uint8_t *x = gp_malloc(N);
    for (int i = 0; i < N; i++)
        x[i] = (uint8_t)(i % 251);
    for (size_t k = 0; k < ARRAY_LEN(both); k++)
        assert_int_equal(both[k](0, x, N), 0x58eb1e30);
    free(x);
}

static void every_length_and_alignment_agrees_with_the_tables(void **state)
{
    (void)state;
    enum { N = 200000 };
    static const size_t lengths[] = {24576, 98303, 98304, 98305, 98311, 131072, 196613};
    uint8_t *x = gp_malloc(N);
    for (uint32_t i = 0; i < N; i++)
        x[i] = (uint8_t)(i * 2654435761u >> 24);
    for (size_t at = 0; at < 9; at++) {
        for (size_t n = 0; n < 70; n++)
            assert_int_equal(gp_crc32c((uint32_t)at, x + at, n), gp_crc32c_tables((uint32_t)at, x + at, n));
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
            assert_int_equal(gp_crc32c(7, x + at, lengths[i]), gp_crc32c_tables(7, x + at, lengths[i]));
    }
    free(x);
}

static void two_crcs_join_to_that_of_both(void **state)
{
    (void)state;
    static const char text[] = "123456789";
    for (size_t n = 0; n <= 9; n++)
        assert_int_equal(gp_crc32c_join(gp_crc32c(0, text, n), gp_crc32c(0, text + n, 9 - n), 9 - n), 0xe3069283);
    enum { N = 100000 };
    uint8_t *x = gp_calloc(N, 1);
    x[5] = 1;
    for (size_t n = 0; n < N; n += 4999)
        assert_int_equal(gp_crc32c_join(gp_crc32c(0, x, n), gp_crc32c(0, x + n, N - n), N - n),
                         gp_crc32c_tables(0, x, N));
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_is_that_of_iscsi),
        cmocka_unit_test(a_long_message_has_the_known_crc),
        cmocka_unit_test(every_length_and_alignment_agrees_with_the_tables),
        cmocka_unit_test(two_crcs_join_to_that_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
