/* Text that stands for a value: times with their letter, escapes. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

static void a_time_is_seconds_or_what_its_letter_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {{"90", 90}, {"90s", 90}, {"10m", 600}, {"1.5h", 5400}, {"2d", 172800}, {"0.5d", 43200}};
    static const gp_option option = {.name = "time", .type = GP_OPT_TIME};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double x = -1;
        assert_int_equal(gp_option_set(&option, &x, cases[i].text, true), 0);
        assert_true(x == cases[i].seconds);
    }
    double x = -1;
    assert_int_equal(gp_option_set(&option, &x, "2w", true), -1);
    assert_int_equal(gp_option_set(&option, &x, "d", true), -1);
    assert_true(x == -1);
}

static void escapes_are_the_bytes_that_they_name(void **state)
{
    (void)state;
    char text[] = "a\\tb\\nc\\\\d\\x41\\x00e";
    static const char expected[] = "a\tb\nc\\dA\0e";
    assert_int_equal(gp_unescape(text), sizeof expected - 1);
    assert_memory_equal(text, expected, sizeof expected - 1);
    static const char *const bad[] = {"\\q", "\\", "\\x4", "\\xg0"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char copy[8];
        strcpy(copy, bad[i]);
        assert_int_equal(gp_unescape(copy), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_seconds_or_what_its_letter_says),
        cmocka_unit_test(escapes_are_the_bytes_that_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
