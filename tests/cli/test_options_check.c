/* Options that the others make meaningless, and those that must not be empty. */
#include "options_table.h"

/* The tool with what one of its options has in these columns. */
static gp_option rows[sizeof table / sizeof *table];

static gp_tool tool_with(const char *name, gp_option columns)
{
    gp_tool t = tool;
    memcpy(rows, table, sizeof table);
    t.options = rows;
    for (gp_option *o = rows; o->name; o++)
        if (!strcmp(o->name, name)) {
            o->needs = columns.needs;
            o->excludes = columns.excludes;
            o->one_of = columns.one_of;
            o->nonempty = columns.nonempty;
        }
    return t;
}

/* Parses and checks; what the check said, fresh, "" where it let the options pass. */
static char *check_with(const gp_tool *t, char **argv)
{
    result r = run_tool(t, argv);
    assert_int_equal(r.rc, GP_OPTIONS_RUN);
    drop(&r);
    int saved = dup(2), fd = memfd_create("err", 0);
    dup2(fd, 2);
    int rc = gp_options_check(t, &r.a);
    dup2(saved, 2);
    close(saved);
    char *said = drain(fd);
    assert_int_equal(rc, *said ? GP_OPTIONS_USAGE : 0);
    return said;
}

static char *check(const char *name, const char *needs, const char *excludes, char **argv)
{
    gp_tool t = tool_with(name, (gp_option){.needs = needs, .excludes = excludes});
    return check_with(&t, argv);
}

#define PASSES(needs, excludes, ...)        CHECKED("", "lr", needs, excludes, __VA_ARGS__)
#define IGNORED(line, needs, excludes, ...) CHECKED("make-it: " line HELP, "lr", needs, excludes, __VA_ARGS__)
#define HELP                                " (see make-it --help)\n"
#define CHECKED(text, name, needs, excludes, ...)                                                                      \
    do {                                                                                                               \
        char *said_ = check(name, needs, excludes, (char *[]){"make-it", __VA_ARGS__, NULL});                          \
        assert_string_equal(said_, text);                                                                              \
        free(said_);                                                                                                   \
    } while (0)

static void an_option_goes_with_another_one(void **state)
{
    (void)state;
    IGNORED("--lr requires --out", "out", NULL, "--lr", "1");
    PASSES("out", NULL, "--lr", "1", "--out", "x");
    PASSES("out", NULL, "--steps", "1");
    IGNORED("--lr requires --data", "data", NULL, "--lr", "1");
    PASSES("data", NULL, "--lr", "1", "-d", "x");
    IGNORED("--lr requires --quiet", "quiet", NULL, "--lr", "1", "--no-quiet");
    PASSES("quiet", NULL, "-q", "--lr", "1");
}

static void it_needs_one_of_those_listed(void **state)
{
    (void)state;
    static const char *const needs = "out|quiet|order=shuffle";
    IGNORED("--lr requires --out, --quiet or --order shuffle", needs, NULL, "--lr", "1");
    PASSES(needs, NULL, "--lr", "1", "--out", "x");
    PASSES(needs, NULL, "--lr", "1", "-q");
    PASSES(needs, NULL, "--lr", "1", "--order", "shuffle");
}

static void an_option_does_nothing_beside_another_one(void **state)
{
    (void)state;
    IGNORED("--lr has no effect with --out", NULL, "out", "--lr", "1", "--out", "x");
    PASSES(NULL, "out", "--lr", "1");
    IGNORED("--lr has no effect with --quiet", NULL, "out|quiet", "--lr", "1", "-q");
    IGNORED("--lr has no effect with --out", NULL, "out|quiet", "--lr", "1", "-q", "-o", "x");
    CHECKED("make-it: --no-echo has no effect with --out" HELP, "echo", NULL, "out", "--no-echo", "--out", "x");
}

static void what_it_needs_may_be_a_value(void **state)
{
    (void)state;
    IGNORED("--lr requires --order shuffle", "order=shuffle", NULL, "--lr", "1");
    PASSES("order=shuffle", NULL, "--lr", "1", "--order", "shuffle");
    IGNORED("--lr has no effect with --order random", NULL, "order=random", "--lr", "1");
    IGNORED("--lr has no effect with --steps 0", NULL, "steps=0", "--lr", "1", "--steps", "0");
    PASSES(NULL, "steps=0", "--lr", "1", "--steps", "10");
    IGNORED("--lr requires --out -", "out=-", NULL, "--lr", "1", "--out", "--");
    PASSES("out=-", NULL, "--lr", "1", "--out", "-");
}

static void what_it_needs_may_be_any_other_value(void **state)
{
    (void)state;
    IGNORED("--lr has no effect with --order other than random", NULL, "order!=random", "--lr", "1", "--order",
            "shuffle");
    PASSES(NULL, "order!=random", "--lr", "1", "--order", "random");
    IGNORED("--lr requires --out other than -", "out!=-", NULL, "--lr", "1");
    IGNORED("--lr requires --out other than -", "out!=-", NULL, "--lr", "1", "--out", "-");
    PASSES("out!=-", NULL, "--lr", "1", "--out", "x");
}

static void it_needs_and_excludes(void **state)
{
    (void)state;
    IGNORED("--lr requires --order shuffle", "order=shuffle", "out", "--lr", "1");
    IGNORED("--lr has no effect with --out", "order=shuffle", "out", "--lr", "1", "--order", "shuffle", "--out", "x");
    PASSES("order=shuffle", "out", "--lr", "1", "--order", "shuffle");
}

/* Wherever they come from: one of two answers would be lost. */
static void one_of_them_is_given(void **state)
{
    (void)state;
    char path[] = "/tmp/optionsXXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && dprintf(fd, "out: x\n") > 0);
    close(fd);
    gp_tool t = tool_with("out", (gp_option){.one_of = "result"});
    for (gp_option *o = rows; o->name; o++)
        if (!strcmp(o->name, "quiet") || !strcmp(o->name, "data"))
            o->one_of = "result";
    const struct {
        char *argv[6];
        const char *said;
    } cases[] = {{{"make-it"}, ""},
                 {{"make-it", "-o", "x"}, ""},
                 {{"make-it", "-o", "x", "--no-quiet"}, ""},
                 {{"make-it", "-q", "-o", "x"}, "make-it: --out and --quiet cannot be used together" HELP},
                 {{"make-it", "-q", "-d", "x"}, "make-it: --data and --quiet cannot be used together" HELP},
                 {{"make-it", "--config", path}, ""},
                 {{"make-it", "--config", path, "-q"}, "make-it: --out and --quiet cannot be used together" HELP}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *argv[7] = {NULL}, *said;
        memcpy(argv, cases[i].argv, sizeof cases[i].argv);
        said = check_with(&t, argv);
        assert_string_equal(said, cases[i].said);
        free(said);
    }
    unlink(path);
}

/* A file that several runs share, or that has every option. */
static void a_file_may_set_what_is_not_needed(void **state)
{
    (void)state;
    char path[] = "/tmp/optionsXXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && dprintf(fd, "lr: 1.0\n") > 0);
    close(fd);
    PASSES("out", NULL, "--config", path);
    IGNORED("--lr requires --out", "out", NULL, "--config", path, "--lr", "2");
    unlink(path);
}

static void a_name_must_not_be_empty(void **state)
{
    (void)state;
    gp_tool t = tool_with("out", (gp_option){.nonempty = true});
    result r = run_tool(&t, (char *[]){"make-it", "--out", "", NULL});
    assert_string_equal(r.err, "make-it: --out: is empty, expected FILE (see make-it --help)\n");
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    drop(&r);
    t = tool_with("data", (gp_option){.nonempty = true});
    t.positionals = 1 + offsetof(args, data);
    r = run_tool(&t, (char *[]){"make-it", "a", "", NULL});
    assert_string_equal(r.err, "make-it: an operand: is empty, expected FILE (see make-it --help)\n");
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_option_goes_with_another_one),
        cmocka_unit_test(an_option_does_nothing_beside_another_one),
        cmocka_unit_test(what_it_needs_may_be_a_value),
        cmocka_unit_test(it_needs_one_of_those_listed),
        cmocka_unit_test(what_it_needs_may_be_any_other_value),
        cmocka_unit_test(it_needs_and_excludes),
        cmocka_unit_test(one_of_them_is_given),
        cmocka_unit_test(a_file_may_set_what_is_not_needed),
        cmocka_unit_test(a_name_must_not_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
