/* Options that the others make meaningless, and those that must not be empty. */
#include "options_table.h"

/* The tool with what one of its options needs. */
static gp_option rows[sizeof table / sizeof *table];

static gp_tool tool_with(const char *name, const char *beside, bool filled)
{
    gp_tool t = tool;
    memcpy(rows, table, sizeof table);
    t.options = rows;
    for (gp_option *o = rows; o->name; o++)
        if (!strcmp(o->name, name)) {
            o->beside = beside;
            o->filled = filled;
        }
    return t;
}

/* Parses and checks; what the check said, fresh, "" where it let the options pass. */
static char *check(const char *name, const char *beside, char **argv)
{
    gp_tool t = tool_with(name, beside, false);
    result r = run_tool(&t, argv);
    assert_int_equal(r.rc, GP_OPTIONS_RUN);
    drop(&r);
    int saved = dup(2), fd = memfd_create("err", 0);
    dup2(fd, 2);
    int rc = gp_options_check(&t, &r.a);
    dup2(saved, 2);
    close(saved);
    char *said = drain(fd);
    assert_int_equal(rc, *said ? GP_OPTIONS_USAGE : 0);
    return said;
}

#define PASSES(name, beside, ...)        CHECKED("", name, beside, __VA_ARGS__)
#define IGNORED(line, name, beside, ...) CHECKED("make-it: " line " (see make-it --help)\n", name, beside, __VA_ARGS__)
#define CHECKED(text, name, beside, ...)                                                                               \
    do {                                                                                                               \
        char *said_ = check(name, beside, (char *[]){"make-it", __VA_ARGS__, NULL});                                   \
        assert_string_equal(said_, text);                                                                              \
        free(said_);                                                                                                   \
    } while (0)

static void an_option_goes_with_another_one(void **state)
{
    (void)state;
    IGNORED("--lr goes with --out", "lr", "out", "--lr", "1");
    PASSES("lr", "out", "--lr", "1", "--out", "x");
    PASSES("lr", "out", "--steps", "1");
    IGNORED("--lr goes with --data", "lr", "data", "--lr", "1");
    PASSES("lr", "data", "--lr", "1", "-d", "x");
    IGNORED("--lr goes with --quiet", "lr", "quiet", "--lr", "1", "--no-quiet");
    PASSES("lr", "quiet", "-q", "--lr", "1");
}

static void an_option_does_nothing_beside_another_one(void **state)
{
    (void)state;
    IGNORED("--lr does nothing beside --out", "lr", "!out", "--lr", "1", "--out", "x");
    PASSES("lr", "!out", "--lr", "1");
    IGNORED("--no-echo does nothing beside --out", "echo", "!out", "--no-echo", "--out", "x");
}

static void what_it_needs_may_be_a_value(void **state)
{
    (void)state;
    IGNORED("--lr goes with --order shuffle", "lr", "order=shuffle", "--lr", "1");
    PASSES("lr", "order=shuffle", "--lr", "1", "--order", "shuffle");
    IGNORED("--lr does nothing beside --order random", "lr", "!order=random", "--lr", "1");
    IGNORED("--lr does nothing beside --steps 0", "lr", "!steps=0", "--lr", "1", "--steps", "0");
    PASSES("lr", "!steps=0", "--lr", "1", "--steps", "10");
    IGNORED("--lr goes with --out -", "lr", "out=-", "--lr", "1", "--out", "--");
    PASSES("lr", "out=-", "--lr", "1", "--out", "-");
}

static void it_needs_all_that_is_listed(void **state)
{
    (void)state;
    static const char *const both = "order=shuffle,!out";
    IGNORED("--lr goes with --order shuffle", "lr", both, "--lr", "1");
    IGNORED("--lr does nothing beside --out", "lr", both, "--lr", "1", "--order", "shuffle", "--out", "x");
    PASSES("lr", both, "--lr", "1", "--order", "shuffle");
}

/* A file that several runs share, or that has every option. */
static void a_file_may_set_what_is_not_needed(void **state)
{
    (void)state;
    char path[] = "/tmp/optionsXXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && dprintf(fd, "lr: 1.0\n") > 0);
    close(fd);
    PASSES("lr", "out", "--config", path);
    IGNORED("--lr goes with --out", "lr", "out", "--config", path, "--lr", "2");
    unlink(path);
}

static void a_name_must_not_be_empty(void **state)
{
    (void)state;
    gp_tool t = tool_with("out", NULL, true);
    result r = run_tool(&t, (char *[]){"make-it", "--out", "", NULL});
    assert_string_equal(r.err, "make-it: --out: is empty, expected FILE (see make-it --help)\n");
    assert_int_equal(r.rc, GP_OPTIONS_USAGE);
    drop(&r);
    t = tool_with("data", NULL, true);
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
        cmocka_unit_test(it_needs_all_that_is_listed),
        cmocka_unit_test(a_file_may_set_what_is_not_needed),
        cmocka_unit_test(a_name_must_not_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
