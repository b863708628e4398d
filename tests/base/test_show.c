/* Text that others wrote is shown without a byte that changes what a terminal shows of the rest. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "gptpipe/fetch.h"

/* Bidi_Control of Unicode's PropList.txt; controls of ISO 6429: C0, DEL, C1. */
static const uint32_t bidi[] = {0x061C, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C,
                                0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069};

static void controls_are_escaped(void **state)
{
    (void)state;
    for (uint32_t c = 1; c < 0xA0; c++) {
        char text[8] = "", expected[16];
        gp_utf8_put(text, c);
        snprintf(expected, sizeof expected, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        bool printable = c >= 0x20 && c < 0x7F;
        if (c != '\t' && c != '\n' && c != '\r')
            assert_string_equal(gp_printable(text), printable ? text : expected);
    }
    assert_string_equal(gp_printable("a\tb\nc\rd"), "a\\tb\\nc\\rd");
    for (size_t i = 0; i < ARRAY_LEN(bidi); i++) {
        char text[8] = "", expected[16];
        gp_utf8_put(text, bidi[i]);
        snprintf(expected, sizeof expected, "\\u%04x", (unsigned)bidi[i]);
        assert_string_equal(gp_printable(text), expected);
    }
}

static void other_text_is_as_it_was(void **state)
{
    (void)state;
    static const char text[] = "C:\\x1b Füße \xe6\x97\xa5\xe6\x9c\xac \xd7\xa9 \xf0\x9f\x98\x80";
    assert_string_equal(gp_printable(text), text);
    assert_string_equal(gp_printable(""), "");
}

static void bytes_that_are_not_utf8_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(gp_printable("a\x9b"
                                     "31m\xff"),
                        "a\\x9b31m\\xff");
    assert_string_equal(gp_printable("\xe6\x97"), "\\xe6\\x97");
}

static void several_can_be_shown_in_one_call(void **state)
{
    (void)state;
    char *line = gp_format("%s %s %s", gp_printable("\x01"), gp_printable("\x02"), gp_printable("\x03"));
    assert_string_equal(line, "\\x01 \\x02 \\x03");
    free(line);
}

static void messages_of_failures_are_shown_so(void **state)
{
    (void)state;
    assert_int_equal(gp_fail("%s: is wrong", "a\x1b[2Jb\nc\xc2\x9b\xe2\x80\xae"), -1);
    assert_string_equal(gp_error(), "a\\x1b[2Jb\\nc\\u009b\\u202e: is wrong");
    gp_fail_in("again");
    assert_string_equal(gp_error(), "again: a\\x1b[2Jb\\nc\\u009b\\u202e: is wrong");
    char most[2000];
    memset(most, 1, sizeof most - 1);
    most[sizeof most - 1] = 0;
    gp_fail("%s", most); /* whole escapes, as many as there is room for */
    assert_int_equal(strlen(gp_error()) % 4, 0);
    assert_true(strlen(gp_error()) > 1000 && strlen(gp_error()) < 1024);
}

static void json_has_them_escaped(void **state)
{
    (void)state;
    static const char text[] = "\x7f\xc2\x85\xe2\x80\xae\xc3\xa4";
    gp_buf quoted = {0};
    gp_json_quote(&quoted, text, strlen(text));
    assert_string_equal(quoted.data, "\"\\u007f\\u0085\\u202e\xc3\xa4\"");
    json_t *value = json_pack("[s]", text);
    char *printed = gp_json_print(value, JSON_INDENT(1));
    assert_string_equal(printed, "[\n \"\\u007f\\u0085\\u202e\xc3\xa4\"\n]");
    json_t *again = gp_json_load(printed, strlen(printed), 0, NULL); /* and it means the same */
    assert_true(json_equal(value, again));
    json_decref(again);
    json_decref(value);
    free(printed);
    gp_buf_release(&quoted);
}

static void assert_harmless(const char *text, size_t n)
{
    for (size_t at = 0, length; at < n; at += length) {
        uint32_t c;
        length = gp_utf8_last((const uint8_t *)text + at, n - at, &c);
        if (c >= GP_BAD_BYTE || (c != '\n' && gp_utf8_is_control(c)))
            fail_msg("U+%04X at byte %zu of: %s", (unsigned)c, at, text);
    }
}

/* What a catalog may say of a data set reaches a terminal in three forms. */
static void a_catalog_is_printed_so(void **state)
{
    (void)state;
    static const char json[] =
        "{\"s\\u009b\": {\"note\": \"n\\u202e\", \"licence\": \"l\\u0085\", \"home\": \"h\\u2066\", "
        "\"files\": "
        "[{\"path\": \"p\\u200f\", \"urls\": [\"https://h/\\u009d\"]}], \"items\": {\"kind\": \"labelled\", "
        "\"labels\": [\"\\u001b[2J\", \"\\u202e\"], \"splits\": {\"t\\u001b\": \"d\\u0007\"}}}}";
    char path[] = "/tmp/gptpipe-show-XXXXXX", *text = NULL;
    int fd = mkstemp(path);
    size_t n = 0;
    assert_int_equal(write(fd, json, sizeof json - 1), sizeof json - 1);
    close(fd);
    gp_catalog *c = gp_catalog_open(path);
    unlink(path);
    if (!c)
        fail_msg("%s", gp_error());
    for (int form = 0; form < 4; form++) {
        FILE *out = open_memstream(&text, &n);
        assert_int_equal(gp_catalog_print(c, form & 1 ? "s\xc2\x9b" : NULL, form & 2, out), 0);
        fclose(out);
        assert_harmless(text, n);
        assert_non_null(strstr(text, "s\\u009b"));
        assert_non_null(strstr(text, "n\\u202e"));
        assert_true(!(form & 1) || strstr(text, form & 2 ? "\\u001B[2J" : "\\x1b[2J"));
        free(text);
    }
    gp_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(controls_are_escaped),
        cmocka_unit_test(other_text_is_as_it_was),
        cmocka_unit_test(bytes_that_are_not_utf8_are_escaped),
        cmocka_unit_test(several_can_be_shown_in_one_call),
        cmocka_unit_test(messages_of_failures_are_shown_so),
        cmocka_unit_test(json_has_them_escaped),
        cmocka_unit_test(a_catalog_is_printed_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
