/* Options printed as YAML: what it looks like, and that it reads back to the same values. */
#include "base/rng.h"
#include "options_table.h"

static char *print(const args *a)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_int_equal(gp_options_print(&tool, a, f), 0);
    fclose(f);
    return text;
}

static void print_config_writes_every_logged_option_under_its_heading(void **state)
{
    (void)state;
    result r = RUN("--print-config", "--data", "a", "-d", "b c", "--lr", "1e-5", "--no-echo", "-q");
    assert_int_equal(r.rc, GP_OPTIONS_DONE);
    char *expected = gp_format("# make-it (gptpipe) %s: every option, defaults included\n"
                               "out: null\n\n"
                               "# Training\n"
                               "steps: 1000\nlimit: 0\nlr: 1.0e-05\ndecay: 0.0\norder: random\n"
                               "data:\n  - a\n  - \"b c\"\n\n"
                               "# Machine\nthreads: null\necho: false\n",
                               gp_version());
    assert_string_equal(r.out, expected);
    free(expected);
    drop(&r);
}

static void print_config_tells_a_full_disk(void **state)
{
    (void)state;
    args a = defaults();
    FILE *full = fopen("/dev/full", "w");
    assert_int_equal(gp_options_print(&tool, &a, full), -1);
    assert_string_equal(gp_error(), "the configuration cannot be written: No space left on device");
    fclose(full);
}

/* Prints a, reads it back over the defaults: what gp_options_load leaves. */
static args again(const args *a)
{
    char *text = print(a), path[64];
    int fd = memfd_create("config", 0);
    assert_int_equal(gp_write_all(fd, text, strlen(text), "memory"), 0);
    lseek(fd, 0, SEEK_SET);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    args b = defaults();
    if (gp_options_load(&tool, &b, path))
        fail_msg("%s\n%s", gp_error(), text);
    close(fd);
    free(text);
    return b;
}

static void strings_come_back_whatever_they_are(void **state)
{
    (void)state;
    /* clang-format off */
    static const char *const strings[] = {
        "", " ", "a", "a b", " a ", "null", "Null", "~", "true", "NO", "on", "y", "1", "-1", "1e5", "0x1f",
        "1_000", ".5", ".inf", "-", "--", "- a", "a: b", "a:", ":a", "a #b", "#a", "[a]", "{a}", "a, b",
        "'", "\"", "\\", "\\n", "*a", "&a", "!a", "!!str a", "|", ">", "%a", "@a", "`a", "?", "? a", "=",
        "<<", "---", "...", "--- a", "\n", "\n\n", "a\n", "a\n\n b\n", "\t", "\ta\t", "\r", "\r\n", "\x01",
        "\x1b[0m", "\x7f", "\xc3\xa9", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf.om",
        "\xef\xbf\xbe", "\xf0\x9f\x98\x80", "\xff", "a\xff\xfe", "\xc3", "\xed\xa0\x80", "\xc0\xaf",
        "caf\xe9.txt", "/a/b-c_d.tok", "run/ckpt-00001000",
    };
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        args a = defaults();
        a.out = strings[i];
        a.data = (gp_list){(const char *[]){strings[i], "x", strings[i]}, 3};
        args b = again(&a);
        assert_string_equal(b.out, strings[i]);
        assert_int_equal(b.data.count, 3);
        assert_string_equal(b.data.items[0], strings[i]);
        assert_string_equal(b.data.items[2], strings[i]);
    }
}

static void random_bytes_come_back(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 300; n++) {
        char text[64] = "";
        uint64_t length = gp_random_below(1, GP_RNG_DATA, n, 0, 60), most = n % 2 ? 255 : 127;
        for (uint64_t i = 0; i < length; i++)
            text[i] = (char)(1 + gp_random_below(1, GP_RNG_DATA, n, i + 1, most));
        args a = defaults();
        a.out = text;
        args b = again(&a);
        assert_string_equal(b.out, text);
    }
}

static void floats_come_back_to_the_bit(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 2000; n++) {
        uint64_t bits = gp_random64(2, GP_RNG_DATA, 0, n);
        double x;
        memcpy(&x, &bits, sizeof x);
        if (isnan(x))
            continue;
        args a = defaults();
        a.decay = n < 100 ? (double)n / 100 : x;
        args b = again(&a);
        assert_memory_equal(&b.decay, &a.decay, sizeof a.decay);
    }
    static const double ends[] = {0.0,      -0.0,     1e-5, 1e22, 0.1, 4.9406564584124654e-324, 1.7976931348623157e308,
                                  HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        args a = defaults();
        a.decay = ends[i];
        args b = again(&a);
        assert_memory_equal(&b.decay, &ends[i], sizeof ends[i]);
    }
}

static void floats_are_printed_shortest_and_as_yaml_floats(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *line;
    } cases[] = {{0.1, "\ndecay: 0.1\n"},          {3, "\ndecay: 3.0\n"},          {1e-5, "\ndecay: 1.0e-05\n"},
                 {6.25e-7, "\ndecay: 6.25e-07\n"}, {1e300, "\ndecay: 1.0e+300\n"}, {HUGE_VAL, "\ndecay: .inf\n"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        args a = defaults();
        a.decay = cases[i].x;
        char *text = print(&a);
        assert_non_null(strstr(text, cases[i].line));
        free(text);
    }
}

static void integers_come_back(void **state)
{
    (void)state;
    static const int64_t ends[] = {0, -1, 1000000007, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        args a = defaults();
        a.limit = ends[i];
        assert_true(again(&a).limit == ends[i]);
    }
}

static void numbers_not_given_come_back_so(void **state)
{
    (void)state;
    args a = defaults();
    assert_int_equal(a.threads, 0); /* below its own least value: the machine's cores */
    assert_int_equal(again(&a).threads, 0);
    a.threads = 3;
    assert_int_equal(again(&a).threads, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print_config_writes_every_logged_option_under_its_heading),
        cmocka_unit_test(print_config_tells_a_full_disk),
        cmocka_unit_test(strings_come_back_whatever_they_are),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(floats_come_back_to_the_bit),
        cmocka_unit_test(floats_are_printed_shortest_and_as_yaml_floats),
        cmocka_unit_test(integers_come_back),
        cmocka_unit_test(numbers_not_given_come_back_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
