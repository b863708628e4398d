/* Options from YAML files: precedence, types, refusals with file and line. */
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
    assert_int_equal(a.order, SHUFFLE);
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
    assert_int_equal(load("order: null\n").order, RANDOM); /* which has to be something */
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
    refuse("steps: '5'\n", ":1: steps: expected a number, found the string \"5\"");
    refuse("lr: '0.5'\n", ":1: lr: expected a number, found the string \"0.5\"");
    refuse("lr: \"1e-3\"\n", ":1: lr: expected a number, found the string \"1e-3\"");
    refuse("steps: [5]\n", ":1: steps: expected one value, found a list");
    refuse("lr: {a: 1}\n", ":1: lr: expected one value, found a mapping");
    refuse("lr: 11\n", ":1: lr: 11 is out of range, expected 0 to 10");
    refuse("echo: 1\n", ":1: echo: expected true or false, found '1'");
    refuse("echo: \"true\"\n", ":1: echo: expected true or false, found the string \"true\"");
    refuse("order: best\n", ":1: order: 'best' is not one of random, shuffle");
    refuse("data:\n  - a\n  - [b]\n", ":3: data: expected one value, found a list");
    refuse("data:\n  - a\n  -\n", ":3: data: empty item in the list");
    refuse("out: \"a\\0b\"\n", ":1: out: value contains a NUL byte");
    refuse("out: !!binary \"a*b\"\n", ":1: out: !!binary value is not valid base64");
}

static void wrong_shapes_are_told_with_their_place(void **state)
{
    (void)state;
    refuse("- steps\n", ":1: expected lines of 'option: value', found a list");
    refuse("steps\n", ":1: expected lines of 'option: value', found a scalar");
    refuse("? [a]\n: b\n", ":1: expected the name of an option, found a list");
    refuse("steps: 1\nlr: 1\nsteps: 2\n", ":3: steps is already set in line 1");
    refuse("steps: 1\n---\nsteps: 2\n", ":2: expected one document, found another");
    refuse("out: &x a\norder: *x\n", ":2: order: expected one value, found an alias");
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
    assert_string_equal(r.err, "make-it: /nonexistent/x.yaml: No such file or directory (see make-it --help)\n");
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    drop(&r);
}

/* n times `text`, fresh. */
static char *repeated(const char *before, const char *text, int n, const char *after)
{
    gp_buf b = {0};
    gp_buf_puts(&b, before);
    for (int i = 0; i < n; i++)
        gp_buf_puts(&b, text);
    gp_buf_puts(&b, after);
    return b.data;
}

/* libyaml alone takes minutes for the first: each bracket costs as much as are open. */
static void deep_nesting_is_refused_at_the_limit(void **state)
{
    (void)state;
    char *brackets = repeated("recorded: ", "[", 500000, "\n"), *dashes = repeated("recorded:\n ", "- ", 500000, "x\n");
    char *within = repeated("recorded: ", "[", 63, ""), *fine = repeated(within, "]", 63, "\nsteps: 3\n");
    double began = gp_now();
    refuse(brackets, ":1: nesting exceeds 64 levels");
    refuse(dashes, ":2: nesting exceeds 64 levels");
    assert_true(gp_now() - began < 5);
    args a = load(fine);
    assert_int_equal(a.steps, 3);
    free(brackets);
    free(dashes);
    free(within);
    free(fine);
}

static void many_tag_directives_are_refused(void **state)
{
    (void)state;
    char *tags = repeated("", "%TAG !a! x\n", 70000, "---\nsteps: 3\n");
    refuse(tags, ": has 70000 %TAG directives, the limit is 64");
    free(tags);
    args a = load("%TAG !a! x\n---\nsteps: 3\n");
    assert_int_equal(a.steps, 3);
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
        cmocka_unit_test(deep_nesting_is_refused_at_the_limit),
        cmocka_unit_test(many_tag_directives_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
