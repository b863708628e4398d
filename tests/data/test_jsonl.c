/* JSON Lines as Python and PyArrow write and read them: what a reader does not ask for does not disturb it, and what it
 * asks for is there, or the line is named. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_python.h"
#include "data/jsonl.h"

/* Members that Python's json.loads takes. */
static const char *const harmless[] = {
    "18446744073709551616",
    "-10014255632117358197",
    "123456789012345678901234567890.5e3",
    "NaN",
    "-Infinity",
    "[Infinity, {\"deep\": [1e999, -1e999]}]",
    "\"\\ud800\"",
    "\"a \\\"quoted\\\" \\udc00\\n\"",
    "{\"\\ud800\": 1, \"\\u0000\": \"\\u0000\"}",
    "\"\\ud83d\\ude00\"",
    "1e400",
};

static void a_member_that_is_not_read_may_be_anything(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
        for (int last = 0; last < 2; last++) {
            size_t n = 0;
            char *line = last ? gp_format("{\"text\": \"a\\u0000\\ud83d\\ude00\", \"x\": %s}", harmless[i])
                              : gp_format("{\"x\" : %s , \"text\": \"a\\u0000\\ud83d\\ude00\"}\n", harmless[i]);
            json_t *o = gp_jsonl_line(line, strlen(line), "a.jsonl", 2);
            const char *text = o ? gp_jsonl_string(o, "text", &n, "a.jsonl", 2) : NULL;
            if (!text)
                fail_msg("%s: %s", harmless[i], gp_error());
            assert_int_equal(n, 6);
            assert_memory_equal(text, "a\0\xf0\x9f\x98\x80", 6);
            json_decref(o);
            free(line);
        }
}

static void assert_refused(const char *line, const char *message)
{
    size_t n;
    json_t *o = gp_jsonl_line(line, strlen(line), "a.jsonl", 7);
    if (o && gp_jsonl_string(o, "text", &n, "a.jsonl", 7))
        fail_msg("%s is read", line);
    json_decref(o);
    if (!strstr(gp_error(), "a.jsonl: line 7") || !strstr(gp_error(), message))
        fail_msg("%s: '%s' does not say '%s'", line, gp_error(), message);
}

static void what_is_read_is_a_text_or_the_line_is_named(void **state)
{
    (void)state;
    assert_refused("{\"text\": NaN}", "its \"text\" is not a string");
    assert_refused("{\"text\": 10014255632117358197}", "its \"text\" is not a string");
    assert_refused("{\"text\": \"a\\ud800b\"}", "its \"text\" is not text: it contains a lone surrogate");
    assert_refused("{\"text\": \"\\ude00\\ud83d\"}", "lone surrogate");
    assert_refused("{\"x\": NaN}", "its \"text\" is missing");
    static const char *const wrong[] = {"{\"x\": nan}",
                                        "{\"x\": Nan}",
                                        "{\"x\": +1}",
                                        "{\"x\": NaN",
                                        "{\"x\": 099999999999999999999}",
                                        "{\"x\": 1e999e}",
                                        "{\"x\": -}",
                                        "{\"x\": \"\\ud800}",
                                        "{\"x\": \"\\ud800\\x\"}",
                                        "{\"x\": \"\\u00 1\\udc00\"}",
                                        "{\"x\": [\"\\ud800 \\u12\"]}",
                                        "{\"x\": \"\\uzzzz\"}",
                                        "{\"x\": \"\xff\"}",
                                        "{\"x\": InfinityNaN}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_refused(wrong[i], "is not JSON");
    assert_refused("[NaN]", "is not a JSON object");
}

static void a_byte_order_mark_may_begin_the_first_line(void **state)
{
    (void)state;
    static const char line[] = "\xef\xbb\xbf{\"text\": \"ab\"}\n";
    json_t *o = gp_jsonl_line(line, strlen(line), "a.jsonl", 1);
    assert_non_null(o);
    json_decref(o);
    assert_null(gp_jsonl_line(line, strlen(line), "a.jsonl", 2));
}

static void assert_dumped(const char *json, const char *want)
{
    json_error_t e;
    json_t *v = gp_json_load_python(json, strlen(json), JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    assert_non_null(v);
    char *text = gp_json_dump_python(v);
    if (want)
        assert_string_equal(text, want);
    else
        assert_null(text);
    free(text);
    json_decref(v);
}

static void a_value_goes_out_as_it_came(void **state)
{
    (void)state;
    assert_dumped("10014255632117358197", "10014255632117358197");
    assert_dumped("[1, -99999999999999999999, {\"a\": \"\\ud800 \\\"x\\\\\"}]",
                  "[1,-99999999999999999999,{\"a\":\"\\ud800 \\\"x\\\\\"}]");
    assert_dumped("{\"a\": [\"b\", null, 1e999]}", "{\"a\":[\"b\",null,1e999]}");
    assert_dumped("[1, NaN]", NULL);
    assert_dumped("[\"x\", -Infinity]", NULL);
    assert_dumped("\"NaN\"", "\"NaN\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_that_is_not_read_may_be_anything),
        cmocka_unit_test(what_is_read_is_a_text_or_the_line_is_named),
        cmocka_unit_test(a_byte_order_mark_may_begin_the_first_line),
        cmocka_unit_test(a_value_goes_out_as_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
