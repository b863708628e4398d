/* JSON that is written member by member, read back by jansson. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/json_write.h"

static void commas_stand_between_members_alone(void **state)
{
    (void)state;
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    gp_json_open(&b, "empty", '[');
    gp_json_close(&b, ']');
    gp_json_put(&b, MEMBER("a \"name\"\n", "text"), MEMBER("yes", (bool)true), MEMBER("least", INT64_MIN));
    gp_json_open(&b, "list", '[');
    gp_json_put(&b, MEMBER(NULL, 1), MEMBER(NULL, "{"));
    gp_json_bytes(&b, NULL, "[\0", 2);
    gp_json_put(&b, RAW(NULL, "{}"));
    gp_json_close(&b, ']');
    gp_json_close(&b, '}');
    assert_string_equal(b.data, "{\"empty\": [], \"a \\\"name\\\"\\n\": \"text\", \"yes\": true, "
                                "\"least\": -9223372036854775808, \"list\": [1, \"{\", \"[\\u0000\", {}]}");
    gp_buf_puts(&b, "\n");
    gp_json_open(&b, NULL, '{');
    gp_json_close(&b, '}');
    assert_string_equal(strchr(b.data, '\n'), "\n{}");
    gp_buf_release(&b);
}

static void what_is_no_number_is_null(void **state)
{
    (void)state;
    static const double none[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        gp_buf b = {0};
        gp_json_open(&b, NULL, '[');
        gp_json_put(&b, MEMBER(NULL, none[i]), REAL(NULL, none[i], 9), FIXED(NULL, none[i], 6));
        gp_json_close(&b, ']');
        assert_string_equal(b.data, "[null, null, null]");
        gp_buf_release(&b);
    }
}

static void numbers_have_the_digits_asked_for(void **state)
{
    (void)state;
    gp_buf b = {0};
    gp_json_open(&b, NULL, '[');
    gp_json_put(&b, MEMBER(NULL, 2.0 / 3), REAL(NULL, 2.0 / 3, 9), FIXED(NULL, 200.0 / 3, 4), REAL(NULL, 1e-7, 9));
    gp_json_close(&b, ']');
    assert_string_equal(b.data, "[0.666667, 0.666666667, 66.6667, 1e-07]");
    json_t *read = gp_json_load(b.data, b.len, 0, NULL);
    assert_int_equal(json_array_size(read), 4);
    json_decref(read);
    gp_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_members_alone),
        cmocka_unit_test(what_is_no_number_is_null),
        cmocka_unit_test(numbers_have_the_digits_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
