/* Options from YAML files and back: precedence, types, refusals with file and line, and round trips. */
#include "base/rng.h"
#include "options_table.h"

static char folder[] = "/tmp/gptpipe-options.XXXXXX";
static char *file, *other;

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    file = gp_path_join(folder, "a.yaml");
    other = gp_path_join(folder, "b.yaml");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    unlink(other);
    free(file);
    free(other);
    return rmdir(folder);
}

static void write_file(const char *path, const char *text)
{
    unlink(path); /* a file that is cut to nothing and written again may go to disk at once, thousands of times */
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) < 0, 0);
    assert_int_equal(fclose(f), 0);
}

/* A run with --config on this text; it must go on. */
static args load(const char *text)
{
    write_file(file, text);
    result r = RUN("--config", file);
    assert_string_equal(r.err, "");
    assert_int_equal(r.rc, GP_OPTIONS_RUN);
    drop(&r);
    return r.a;
}

/* The text must be refused with "make-it: FILE" + line. */
static void refuse(const char *text, const char *line)
{
    write_file(file, text);
    result r = RUN("--config", file);
    char *expected = gp_format("make-it: %s%s (see make-it --help)\n", file, line);
    assert_string_equal(r.err, expected);
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    free(expected);
    drop(&r);
}

static void a_file_sets_options_of_every_type(void **state)
{
    (void)state;
    args a = load("out: run 1\nsteps: 2k   # comment\nlr: 1e-3\norder: shuffle\necho: no\nquiet: true\n"
                  "data:\n  - a\n  - 'b c'\n  - \"\\u00e9\"\n");
    assert_string_equal(a.out, "run 1");
    assert_int_equal(a.steps, 2000);
    assert_true(a.lr == 1e-3);
    assert_string_equal(a.order, "shuffle");
    assert_false(a.echo);
    assert_true(a.quiet);
    assert_int_equal(a.data.count, 3);
    assert_string_equal(a.data.items[1], "b c");
    assert_string_equal(a.data.items[2], "\xc3\xa9");
}

static void lists_may_be_one_value_or_empty(void **state)
{
    (void)state;
    args a = load("data: one\n");
    assert_int_equal(a.data.count, 1);
    assert_string_equal(a.data.items[0], "one");
    assert_int_equal(load("data: []\n").data.count, 0);
    assert_int_equal(load("data: [x, y]\n").data.count, 2);
}

static void strings_need_no_quotes(void **state)
{
    (void)state;
    assert_string_equal(load("out: 2024\n").out, "2024");
    assert_string_equal(load("out: true\n").out, "true");
    assert_string_equal(load("out: \"null\"\n").out, "null");
    assert_string_equal(load("out: ''\n").out, "");
}

static void null_is_nothing_or_leaves_the_default(void **state)
{
    (void)state;
    assert_null(load("order: null\n").order);
    assert_null(load("out:\n").out);
    assert_int_equal(load("steps: ~\n").steps, 1000);
    assert_true(load("echo: null\nsteps: 3\n").echo);
    assert_int_equal(load("echo: null\nsteps: 3\n").steps, 3);
}

static void an_empty_file_sets_nothing(void **state)
{
    (void)state;
    assert_int_equal(load("").steps, 1000);
    assert_int_equal(load("# nothing\n").steps, 1000);
    assert_int_equal(load("---\n").steps, 1000);
    assert_int_equal(load("{}\n").steps, 1000);
}

static void the_command_line_wins_wherever_config_stands(void **state)
{
    (void)state;
    write_file(file, "steps: 5\nlr: 1\ndata: [x, y]\n");
    result r = RUN("--steps", "7", "--data", "z", "--config", file);
    assert_int_equal(r.a.steps, 7);
    assert_true(r.a.lr == 1);
    assert_int_equal(r.a.data.count, 1);
    assert_string_equal(r.a.data.items[0], "z");
    drop(&r);
    r = RUN("--config", file, "--steps", "7", "--lr=2");
    assert_int_equal(r.a.steps, 7);
    assert_true(r.a.lr == 2);
    assert_int_equal(r.a.data.count, 2);
    drop(&r);
}

static void a_later_file_wins(void **state)
{
    (void)state;
    write_file(file, "steps: 5\nlr: 1\ndata: [x, y]\n");
    write_file(other, "steps: 6\ndata: [z]\n");
    result r = RUN("--config", file, "--config", other);
    assert_int_equal(r.a.steps, 6);
    assert_true(r.a.lr == 1);
    assert_int_equal(r.a.data.count, 1);
    drop(&r);
}

static void given_knows_what_a_file_set(void **state)
{
    (void)state;
    load("steps: 1000\n");
    assert_true(gp_options_given(&tool, "steps"));
    assert_false(gp_options_given(&tool, "lr"));
}

static void recorded_is_skipped_whatever_it_holds(void **state)
{
    (void)state;
    args a = load("recorded:\n  version: 0.1\n  list: [a, {steps: 5}]\n  deep: {a: {b: [[]]}}\nsteps: 9\n");
    assert_int_equal(a.steps, 9);
    assert_int_equal(load("recorded: x\nsteps: 8\n").steps, 8);
}

static void unknown_keys_are_told_with_place_and_nearest_name(void **state)
{
    (void)state;
    refuse("lr: 1\n\nstesp: 5\n", ":3: unknown key 'stesp'; did you mean 'steps'?");
    refuse("config: x\n", ":1: unknown key 'config'");
    refuse("gradient-accumulation: 1\n", ":1: unknown key 'gradient-accumulation'");
    refuse("Training: 1\n", ":1: unknown key 'Training'");
}

static void wrong_types_are_told_with_their_place(void **state)
{
    (void)state;
    refuse("lr: 1\nsteps: many\n", ":2: steps: 'many' is not a whole number (like 1000, 1e6, 64k, 2M)");
    refuse("steps: '5'\n", ":1: steps: \"5\" is a string, a number was expected");
    refuse("steps: [5]\n", ":1: steps: a list was found, one value was expected");
    refuse("lr: {a: 1}\n", ":1: lr: a mapping was found, one value was expected");
    refuse("lr: 11\n", ":1: lr: 11 is out of range, expected 0 to 10");
    refuse("echo: 1\n", ":1: echo: '1' is neither true nor false");
    refuse("echo: \"true\"\n", ":1: echo: \"true\" is a string, true or false was expected");
    refuse("order: best\n", ":1: order: 'best' is not one of random, shuffle");
    refuse("data:\n  - a\n  - [b]\n", ":3: data: a list was found, one value was expected");
    refuse("data:\n  - a\n  -\n", ":3: data: an empty item was found in the list");
    refuse("out: \"a\\0b\"\n", ":1: out: a NUL byte cannot be in a value");
    refuse("out: !!binary \"a*b\"\n", ":1: out: this is not base64");
}

static void wrong_shapes_are_told_with_their_place(void **state)
{
    (void)state;
    refuse("- steps\n", ":1: a list was found, lines of 'option: value' were expected");
    refuse("steps\n", ":1: a value was found, lines of 'option: value' were expected");
    refuse("? [a]\n: b\n", ":1: a list was found, the name of an option was expected");
    refuse("steps: 1\nlr: 1\nsteps: 2\n", ":3: steps was set before, in line 1");
    refuse("steps: 1\n---\nsteps: 2\n", ":2: a second document was found, one was expected");
    refuse("out: &x a\norder: *x\n", ":2: order: an alias was found, one value was expected");
}

static void what_is_not_yaml_is_told_with_its_place(void **state)
{
    (void)state;
    refuse("lr: 1\ndata: [1,\n", ":3: did not find expected node content");
    refuse("out: \x01\n", ": control characters are not allowed at byte 5");
    refuse("out: \xff\n", ": invalid leading UTF-8 octet at byte 5");
}

static void unreadable_files_are_told(void **state)
{
    (void)state;
    result r = RUN("--config", "/nonexistent/x.yaml");
    assert_string_equal(r.err,
                        "make-it: /nonexistent/x.yaml: No such file or directory (see make-it --help)\n");
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    drop(&r);
}

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
    char *text = print(a);
    write_file(file, text);
    args b = defaults();
    if (gp_options_load(&tool, &b, file))
        fail_msg("%s\n%s", gp_error(), text);
    free(text);
    return b;
}

static void strings_come_back_whatever_they_are(void **state)
{
    (void)state;
    static const char *const strings[] = {
        "",
        " ",
        "a",
        "a b",
        " a ",
        "null",
        "Null",
        "~",
        "true",
        "NO",
        "on",
        "y",
        "1",
        "-1",
        "1e5",
        "0x1f",
        "1_000",
        ".5",
        ".inf",
        "-",
        "--",
        "- a",
        "a: b",
        "a:",
        ":a",
        "a #b",
        "#a",
        "[a]",
        "{a}",
        "a, b",
        "'",
        "\"",
        "\\",
        "\\n",
        "*a",
        "&a",
        "!a",
        "!!str a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "?",
        "? a",
        "=",
        "<<",
        "---",
        "...",
        "--- a",
        "\n",
        "\n\n",
        "a\n",
        "a\n\n b\n",
        "\t",
        "\ta\t",
        "\r",
        "\r\n",
        "\x01",
        "\x1b[0m",
        "\x7f",
        "\xc3\xa9",
        "\xc2\x85",
        "\xe2\x80\xa8",
        "\xe2\x80\xa9",
        "\xef\xbb\xbf.om",
        "\xef\xbf\xbe",
        "\xf0\x9f\x98\x80",
        "\xff",
        "a\xff\xfe",
        "\xc3",
        "\xed\xa0\x80",
        "\xc0\xaf",
        "caf\xe9.txt",
        "/a/b-c_d.tok",
        "run/ckpt-00001000",
    };
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
    static const double ends[] = {
        0.0, -0.0, 1e-5, 1e22, 0.1, 4.9406564584124654e-324, 1.7976931348623157e308, HUGE_VAL, -HUGE_VAL};
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
    } cases[] = {{0.1, "\ndecay: 0.1\n"},        {3, "\ndecay: 3.0\n"},
                 {1e-5, "\ndecay: 1.0e-05\n"},   {6.25e-7, "\ndecay: 6.25e-07\n"},
                 {1e300, "\ndecay: 1.0e+300\n"}, {HUGE_VAL, "\ndecay: .inf\n"}};
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
        cmocka_unit_test(a_file_sets_options_of_every_type),
        cmocka_unit_test(lists_may_be_one_value_or_empty),
        cmocka_unit_test(strings_need_no_quotes),
        cmocka_unit_test(null_is_nothing_or_leaves_the_default),
        cmocka_unit_test(an_empty_file_sets_nothing),
        cmocka_unit_test(the_command_line_wins_wherever_config_stands),
        cmocka_unit_test(a_later_file_wins),
        cmocka_unit_test(given_knows_what_a_file_set),
        cmocka_unit_test(recorded_is_skipped_whatever_it_holds),
        cmocka_unit_test(unknown_keys_are_told_with_place_and_nearest_name),
        cmocka_unit_test(wrong_types_are_told_with_their_place),
        cmocka_unit_test(wrong_shapes_are_told_with_their_place),
        cmocka_unit_test(what_is_not_yaml_is_told_with_its_place),
        cmocka_unit_test(unreadable_files_are_told),
        cmocka_unit_test(print_config_writes_every_logged_option_under_its_heading),
        cmocka_unit_test(print_config_tells_a_full_disk),
        cmocka_unit_test(strings_come_back_whatever_they_are),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(floats_come_back_to_the_bit),
        cmocka_unit_test(floats_are_printed_shortest_and_as_yaml_floats),
        cmocka_unit_test(integers_come_back),
        cmocka_unit_test(numbers_not_given_come_back_so),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
