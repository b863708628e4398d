/* Python's str.capitalize and str.isspace at every character: tests/reference/casing.py. */
#include "test.h"

#include <string.h>

#include "base/utf8.h"
#include "reference/casing.h"
#include "text/unicode/casing.h"

static uint64_t fnv(uint64_t h, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001B3;
    return h;
}

static void every_character_is_capitalized_as_by_python(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(casing); i++) {
        uint64_t h = 0xCBF29CE484222325;
        gp_buf in = {0}, out = {0};
        for (uint32_t c = 0; c < 0x110000; c++) {
            char text[4];
            if (c >= 0xD800 && c < 0xE000)
                continue;
            in.len = out.len = 0;
            gp_buf_puts(&in, casing[i].before);
            gp_buf_add(&in, text, gp_utf8_put(text, c));
            gp_buf_puts(&in, casing[i].after);
            gp_python_capitalize(&out, in.data, in.len);
            h = fnv(fnv(h, "\n", 1), out.data, out.len);
        }
        if (h != casing[i].fnv)
            fail_msg("%s?%s gives other text than Python", casing[i].before, casing[i].after);
        gp_buf_release(&in);
        gp_buf_release(&out);
    }
}

static void white_space_is_pythons(void **state)
{
    (void)state;
    size_t n = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (!gp_python_is_space(c))
            continue;
        assert_true(n < ARRAY_LEN(spaces));
        assert_int_equal(c, spaces[n]);
        n++;
    }
    assert_int_equal(n, ARRAY_LEN(spaces));
}

static void assert_capitalized(const char *text, const char *want)
{
    gp_buf out = {0};
    gp_python_capitalize(&out, text, strlen(text));
    assert_string_equal(out.len ? out.data : "", want);
    gp_buf_release(&out);
}

static void whole_words_are_capitalized(void **state)
{
    (void)state;
    assert_capitalized("he GOES up", "He goes up");
    assert_capitalized("\u00dftart", "Sstart");
    assert_capitalized("\ufb01nd IT", "Find it");
    assert_capitalized("\u039f\u0394\u039f\u03a3 \u03a3\u0391\u03a3", "\u039f\u03b4\u03bf\u03c2 \u03c3\u03b1\u03c2");
    assert_capitalized("\u01c4 \u01c4", "\u01c5 \u01c6");
    assert_capitalized("i\u0130", "Ii\u0307");
    assert_capitalized("", "");
    assert_capitalized("\xff"
                       "A",
                       "\xff"
                       "a"); /* bytes that are no character stay */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_capitalized_as_by_python),
        cmocka_unit_test(white_space_is_pythons),
        cmocka_unit_test(whole_words_are_capitalized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
