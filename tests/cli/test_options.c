/* The command line: how options are spelt, what their values may be, and how the rest is refused. */
#include "options_table.h"

#include <fcntl.h>
#include <sys/wait.h>

#define assert_truth_equal(a, b) assert_true((a) == (b))
#define assert_real_equal(a, b)  assert_true((a) == (b))

static void defaults_stay_where_nothing_is_given(void **state)
{
    (void)state;
    TAKES(int, steps, 1000, "--");
    TAKES(real, lr, 6e-4, "--");
    TAKES(int, order, RANDOM, "--");
    TAKES(truth, echo, true, "--");
    TAKES(int, operands.count, 0, "--");
}

static void long_names_take_the_next_word_or_what_follows_the_equals_sign(void **state)
{
    (void)state;
    TAKES(int, steps, 7, "--steps", "7");
    TAKES(int, steps, 7, "--steps=7");
    TAKES(string, out, "", "--out=");
    TAKES(string, out, "a=b", "--out=a=b");
    TAKES(string, out, "--steps", "--out", "--steps");
    TAKES(int, limit, -3, "--limit", "-3");
}

static void letters_take_the_next_word_or_the_rest_of_theirs(void **state)
{
    (void)state;
    TAKES(string, out, "x", "-o", "x");
    TAKES(string, out, "x", "-ox");
    TAKES(string, out, "x", "-qox");
    TAKES(truth, quiet, true, "-qox");
    TAKES(truth, quiet, true, "-eq");
}

static void flags_turn_on_and_off(void **state)
{
    (void)state;
    TAKES(truth, quiet, true, "--quiet");
    TAKES(truth, quiet, false, "--quiet", "--no-quiet");
    TAKES(truth, echo, false, "--no-echo");
}

static void the_last_of_two_wins(void **state)
{
    (void)state;
    TAKES(int, steps, 2, "--steps", "1", "-s2");
}

static void operands_stand_anywhere_and_after_two_dashes(void **state)
{
    (void)state;
    result r = RUN("a", "--steps", "3", "-", "--", "--steps", "-q");
    assert_int_equal(r.rc, GP_OPTIONS_RUN);
    assert_int_equal(r.a.steps, 3);
    assert_false(r.a.quiet);
    assert_int_equal(r.a.operands.count, 4);
    assert_string_equal(r.a.operands.items[0], "a");
    assert_string_equal(r.a.operands.items[1], "-");
    assert_string_equal(r.a.operands.items[2], "--steps");
    assert_string_equal(r.a.operands.items[3], "-q");
    drop(&r);
}

static void operands_may_add_to_the_list_of_an_option(void **state)
{
    (void)state;
    gp_tool shared = tool;
    shared.positionals = 1 + offsetof(args, data);
    result r = run_tool(&shared, (char *[]){"make-it", "--data", "a", "b", "c", NULL});
    assert_int_equal(r.a.data.count, 3);
    assert_string_equal(r.a.data.items[0], "a");
    assert_string_equal(r.a.data.items[2], "c");
    drop(&r);
}

static void an_operand_is_refused_where_none_is_taken(void **state)
{
    (void)state;
    gp_tool none = tool;
    none.positionals = 0;
    result r = run_tool(&none, (char *[]){"make-it", "file", NULL});
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    assert_string_equal(r.err, "make-it: unexpected argument 'file' (see make-it --help)\n");
    drop(&r);
}

static void lists_gather_what_is_repeated(void **state)
{
    (void)state;
    result r = RUN("-da", "--data=b", "--data", "c", "-d", "d", "-d", "e");
    assert_int_equal(r.a.data.count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(r.a.data.items[i], ((const char *[]){"a", "b", "c", "d", "e"})[i]);
    drop(&r);
}

static void whole_numbers_take_suffixes_and_exponents_when_exact(void **state)
{
    (void)state;
    TAKES(int, limit, 64000, "--limit", "64k");
    TAKES(int, limit, 2000000, "--limit", "2M");
    TAKES(int, limit, 3000000000, "--limit", "3G");
    TAKES(int, limit, 1000000, "--limit", "1e6");
    TAKES(int, limit, 1500, "--limit", "1.5k");
    TAKES(int, limit, 1234000, "--limit", "1.234E+6");
    TAKES(int, limit, 12, "--limit", "1200e-2");
    TAKES(int, limit, -5, "--limit", "-5.0");
    TAKES(int, limit, 7, "--limit", "+007");
    TAKES(int, limit, INT64_MAX, "--limit", "9223372036854775807");
    TAKES(int, limit, INT64_MIN, "--limit", "-9223372036854775808");
    TAKES(int, limit, 0, "--limit", "0e999");
}

static void what_is_no_whole_number_is_refused(void **state)
{
    (void)state;
    REFUSED("--limit: '1.5' is not a whole number", "--limit", "1.5");
    REFUSED("--limit: '1.2345k' is not a whole number", "--limit", "1.2345k");
    REFUSED("--limit: '10e-2' is not a whole number", "--limit", "10e-2");
    REFUSED("--limit: '1e' is not a whole number", "--limit", "1e");
    static char *const junk[] = {"",    " 1",   "1 ", "10x", "k",     ".",   "-",
                                 "--1", "0x10", "1K", "1kk", "1e6.0", "nan", "1_000"};
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        char line[128];
        result r = RUN("--limit", junk[i]);
        snprintf(line, sizeof line, "make-it: --limit: '%s' is not a whole number", junk[i]);
        assert_int_equal(r.rc, GP_OPTIONS_USAGE);
        assert_memory_equal(r.err, line, strlen(line));
        drop(&r);
    }
}

static void whole_numbers_of_more_than_64_bits_are_refused(void **state)
{
    (void)state;
    REFUSED("--limit: '9223372036854775808' does not fit in 64 bits", "--limit", "9223372036854775808");
    REFUSED("--limit: '10000000000G' does not fit in 64 bits", "--limit", "10000000000G");
    REFUSED("--limit: '1e19' does not fit in 64 bits", "--limit", "1e19");
    /* by 2^64 too large, by 10 2^64, by 2^64 and negative, ...: cut to 64 bits they are 5, -5 and 0 */
    static char *const wrapped[] = {"18446744073709551621",     "184467440737095516165",
                                    "-18446744073709551621",    "-184467440737095516165",
                                    "36893488147419103237",     "340282366920938463463374607431768211461",
                                    "18446744073709551616000",  "18446744073709551621e0",
                                    "18.446744073709551621e18", "1e64",
                                    "18014398509481984k",       "1000000000000000000000"};
    for (size_t i = 0; i < ARRAY_LEN(wrapped); i++) {
        char line[128];
        result r = RUN("--limit", wrapped[i]);
        snprintf(line, sizeof line, "make-it: --limit: '%s' does not fit in 64 bits", wrapped[i]);
        assert_int_equal(r.rc, GP_OPTIONS_USAGE);
        assert_memory_equal(r.err, line, strlen(line));
        drop(&r);
    }
    TAKES(int, limit, INT64_MAX, "--limit", "9223372036854775807");
    TAKES(int, limit, INT64_MIN, "--limit", "-9223372036854775808");
    TAKES(int, limit, 5, "--limit", "000000000000000000000005"); /* 24 digits, and no large number */
}

static void numbers_out_of_range_are_told_the_range(void **state)
{
    (void)state;
    TAKES(int, steps, 0, "--steps", "0");
    TAKES(int, steps, 1000000000, "--steps", "1G");
    REFUSED("--steps: -1 is out of range, expected 0 to 1000000000", "--steps", "-1");
    REFUSED("--steps: 2G is out of range, expected 0 to 1000000000", "--steps=2G");
    REFUSED("--lr: 10.5 is out of range, expected 0 to 10", "--lr", "10.5");
    REFUSED("--lr: inf is out of range, expected 0 to 10", "--lr", "inf");
    REFUSED("-t: 0 is out of range, expected at least 1", "-t0");
    TAKES(int, threads, 4096, "-t4096");
}

static void floats_take_decimals(void **state)
{
    (void)state;
    TAKES(real, lr, 1e-3, "--lr", "1e-3");
    TAKES(real, lr, .5, "--lr", ".5");
    TAKES(real, decay, -2.0, "--decay", "-2");
    TAKES(real, decay, HUGE_VAL, "--decay", "inf");
    TAKES(real, decay, 4.9406564584124654e-324, "--decay", "4.9406564584124654e-324");
}

static void what_is_no_float_is_refused(void **state)
{
    (void)state;
    REFUSED("--lr: '1e-3x' is not a number", "--lr", "1e-3x");
    REFUSED("--lr: '' is not a number", "--lr", "");
    REFUSED("--lr: ' 1' is not a number", "--lr", " 1");
    REFUSED("--lr: '0x1p3' is not a number", "--lr", "0x1p3");
    REFUSED("--lr: 'nan' is not a number", "--lr", "nan");
    REFUSED("--lr: '-+1' is not a number", "--lr", "-+1");
    REFUSED("--decay: '1e999' is too large for a double", "--decay", "1e999");
}

static void choices_are_one_of_the_list(void **state)
{
    (void)state;
    TAKES(int, order, SHUFFLE, "--order", "shuffle");
    REFUSED("--order: 'shuf' is not one of random, shuffle", "--order", "shuf");
    REFUSED("--order: 'random|shuffle' is not one of random, shuffle", "--order", "random|shuffle");
    REFUSED("--order: '' is not one of random, shuffle", "--order", "");
}

static void unknown_options_suggest_the_nearest(void **state)
{
    (void)state;
    REFUSED("unknown option '--stesp'; did you mean '--steps'?", "--stesp", "3");
    REFUSED("unknown option '--stesp'; did you mean '--steps'?", "--stesp=3");
    REFUSED("unknown option '--hepl'; did you mean '--help'?", "--hepl");
    /* as others call it, as Python would write it, the only one that begins so */
    REFUSED("unknown option '--learning-rate'; did you mean '--lr'?", "--learning-rate", "1");
    REFUSED("unknown option '--learning_rate'; did you mean '--lr'?", "--learning_rate=1");
    REFUSED("unknown option '--max-iters'; did you mean '--steps'?", "--max-iters", "3");
    REFUSED("unknown option '-l'; did you mean '--lr'?", "-l", "1");
    REFUSED("unknown option '--st'; did you mean '--steps'?", "--st", "3");
    REFUSED("unknown option '--print_config'; did you mean '--print-config'?", "--print_config");
    REFUSED("unknown option '--gradient-accumulation'", "--gradient-accumulation");
    REFUSED("unknown option '-x'", "-x");
    REFUSED("unknown option '-x' in '-qx'", "-qx");
    REFUSED("unknown option '-5'", "-5");
}

static void a_missing_value_is_told(void **state)
{
    (void)state;
    REFUSED("--steps: a value is missing: --steps N", "--steps");
    REFUSED("-o: a value is missing: -o FILE", "-qo");
}

static void a_flag_takes_no_value(void **state)
{
    (void)state;
    REFUSED("--quiet: is a flag and takes no value (found 'yes')", "--quiet=yes");
    REFUSED("--no-quiet: is a flag and takes no value (found '')", "--no-quiet=");
}

static void only_flags_can_be_turned_off(void **state)
{
    (void)state;
    REFUSED("--no-steps: only flags can be turned off, and --steps takes a value", "--no-steps");
}

static void given_tells_options_from_defaults(void **state)
{
    (void)state;
    result r = RUN("--steps", "1000", "--no-quiet");
    assert_true(gp_options_given(&tool, "steps"));
    assert_true(gp_options_given(&tool, "quiet"));
    assert_false(gp_options_given(&tool, "lr"));
    drop(&r);
    r = RUN("--lr", "1");
    assert_false(gp_options_given(&tool, "steps"));
    assert_true(gp_options_given(&tool, "lr"));
    drop(&r);
}

/* Runs gp_tool_exit in a child whose stdout is `path` (NULL: closed). Its exit code; stderr into err. */
static int exit_child(const char *path, bool write, int rc, char **err)
{
    int fd = memfd_create("err", 0), status;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        dup2(fd, 2);
        close(1);
        if (path && open(path, O_WRONLY) != 1)
            _exit(99);
        if (write)
            printf("data");
        if (rc)
            gp_fail("it broke");
        _exit(gp_tool_exit(&tool, rc));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    *err = drain(fd);
    return WEXITSTATUS(status);
}

static void a_full_disk_behind_stdout_is_a_failure(void **state)
{
    (void)state;
    char *err;
    assert_int_equal(exit_child("/dev/full", true, 0, &err), 1);
    assert_string_equal(err, "make-it: stdout: cannot be written: No space left on device\n");
    free(err);
}

static void a_closed_stdout_is_a_failure_only_when_written(void **state)
{
    (void)state;
    char *err;
    assert_int_equal(exit_child(NULL, true, 0, &err), 1);
    assert_string_equal(err, "make-it: stdout: cannot be written: Bad file descriptor\n");
    free(err);
    assert_int_equal(exit_child(NULL, false, 0, &err), 0);
    assert_string_equal(err, "");
    free(err);
}

static void a_failed_run_says_why_and_exits_1(void **state)
{
    (void)state;
    char *err;
    assert_int_equal(exit_child("/dev/null", true, -1, &err), 1);
    assert_string_equal(err, "make-it: it broke\n");
    free(err);
    assert_int_equal(exit_child("/dev/null", true, 0, &err), 0);
    assert_string_equal(err, "");
    free(err);
}

/* The first choice's name is empty: its value is that of an option which is not given. */
static void a_choice_may_be_left_out(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a", "bc", NULL};
    static const gp_option rows[] = {{"kind", 'k', GP_OPT_CHOICE, offsetof(args, order), "WHICH", "what it is",
                                      .choices = names, .default_text = "none"},
                                     {0}};
    static const gp_tool choosy = {.name = "make-it", .options = rows};
    static const struct {
        char *argv[4];
        int rc, value;
        const char *shown;
    } cases[] = {
        {{"make-it"}, GP_OPTIONS_RUN, 0, ""},
        {{"make-it", "-k", "a"}, GP_OPTIONS_RUN, 1, ""},
        {{"make-it", "--kind", "bc"}, GP_OPTIONS_RUN, 2, ""},
        {{"make-it", "--print-config"}, GP_OPTIONS_DONE, 0, "kind: null\n"},
        {{"make-it", "--kind=bc", "--print-config"}, GP_OPTIONS_DONE, 2, "kind: bc\n"},
        {{"make-it", "--help"}, GP_OPTIONS_DONE, 0, "what it is [a|bc] (default: none)\n"},
        {{"make-it", "--kind", ""}, GP_OPTIONS_USAGE, 0, "--kind: '' is not one of a, bc "},
        {{"make-it", "--kind", "b"}, GP_OPTIONS_USAGE, 0, "--kind: 'b' is not one of a, bc "},
        {{"make-it", "--kind", "|a"}, GP_OPTIONS_USAGE, 0, "--kind: '|a' is not one of a, bc "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *argv[5] = {NULL};
        memcpy(argv, cases[i].argv, sizeof cases[i].argv);
        result r = run_tool(&choosy, argv);
        assert_int_equal(r.rc, cases[i].rc);
        assert_int_equal(r.a.order, cases[i].value);
        assert_non_null(strstr(cases[i].rc == GP_OPTIONS_USAGE ? r.err : r.out, cases[i].shown));
        drop(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stay_where_nothing_is_given),
        cmocka_unit_test(long_names_take_the_next_word_or_what_follows_the_equals_sign),
        cmocka_unit_test(letters_take_the_next_word_or_the_rest_of_theirs),
        cmocka_unit_test(flags_turn_on_and_off),
        cmocka_unit_test(the_last_of_two_wins),
        cmocka_unit_test(operands_stand_anywhere_and_after_two_dashes),
        cmocka_unit_test(operands_may_add_to_the_list_of_an_option),
        cmocka_unit_test(an_operand_is_refused_where_none_is_taken),
        cmocka_unit_test(lists_gather_what_is_repeated),
        cmocka_unit_test(whole_numbers_take_suffixes_and_exponents_when_exact),
        cmocka_unit_test(what_is_no_whole_number_is_refused),
        cmocka_unit_test(whole_numbers_of_more_than_64_bits_are_refused),
        cmocka_unit_test(numbers_out_of_range_are_told_the_range),
        cmocka_unit_test(floats_take_decimals),
        cmocka_unit_test(what_is_no_float_is_refused),
        cmocka_unit_test(choices_are_one_of_the_list),
        cmocka_unit_test(unknown_options_suggest_the_nearest),
        cmocka_unit_test(a_missing_value_is_told),
        cmocka_unit_test(a_flag_takes_no_value),
        cmocka_unit_test(only_flags_can_be_turned_off),
        cmocka_unit_test(given_tells_options_from_defaults),
        cmocka_unit_test(a_full_disk_behind_stdout_is_a_failure),
        cmocka_unit_test(a_closed_stdout_is_a_failure_only_when_written),
        cmocka_unit_test(a_failed_run_says_why_and_exits_1),
        cmocka_unit_test(a_choice_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
