/* Options that take each other's place, and times. */
#include "options_table.h"

typedef struct lengths {
    int64_t steps;
    double epochs, time;
} lengths;

static const gp_option length_options[] = {
    {"steps", 's', GP_OPT_INT, offsetof(lengths, steps), "N", "steps", .min = 0, .max = 1e12, .replaces = "epochs"},
    {"epochs", 0, GP_OPT_FLOAT, offsetof(lengths, epochs), "X", "epochs", .min = 1e-6, .max = 1e9, .replaces = "steps"},
    {"time", 0, GP_OPT_TIME, offsetof(lengths, time), "TIME", "at most", .min = 0.001, .max = 1e9},
    {0},
};
static const gp_tool length_tool = {
    .name = "lengths", .summary = "s", .usage = "[OPTION]...", .options = length_options};

/* What argv after argv[0] gives, and what is said about it. */
static int parse(lengths *l, char **err, char *const *words)
{
    char *argv[8] = {(char *)(uintptr_t) "lengths"};
    int argc = 1, saved = dup(2), fd = memfd_create("err", 0);
    for (; words[argc - 1]; argc++)
        argv[argc] = words[argc - 1];
    *l = (lengths){.steps = 600};
    fflush(stderr);
    dup2(fd, 2);
    int rc = gp_options_parse(&length_tool, l, argc, argv);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    *err = drain(fd);
    return rc;
}

#define PARSE(l, ...) parse(l, &err, (char *[]){__VA_ARGS__, NULL})

static char file[] = "/tmp/gptpipe-lengths.XXXXXX";

static void write_file(const char *text)
{
    assert_int_equal(gp_file_write(file, text, strlen(text)), 0);
}

static void an_option_takes_the_place_of_anothers_default(void **state)
{
    (void)state;
    lengths l;
    char *err;
    assert_int_equal(PARSE(&l, "--epochs", "2.5"), GP_OPTIONS_RUN);
    assert_true(l.epochs == 2.5 && l.steps == -1);
    free(err);
}

static void the_command_line_takes_the_place_of_what_a_file_says(void **state)
{
    (void)state;
    lengths l;
    char *err;
    write_file("steps: null\nepochs: 2.0\n");
    assert_int_equal(PARSE(&l, "--steps", "7", "--config", file), GP_OPTIONS_RUN);
    assert_true(l.steps == 7 && isnan(l.epochs));
    free(err);
    assert_int_equal(PARSE(&l, "--config", file), GP_OPTIONS_RUN);
    assert_true(l.steps == -1 && l.epochs == 2);
    free(err);
}

static void two_in_one_source_are_an_error(void **state)
{
    (void)state;
    lengths l;
    char *err;
    assert_int_equal(PARSE(&l, "--steps", "7", "--epochs", "1"), GP_OPTIONS_USAGE);
    assert_non_null(strstr(err, "--steps and --epochs cannot be used together"));
    free(err);
    write_file("steps: 3\nepochs: 2.0\n");
    assert_int_equal(PARSE(&l, "--config", file), GP_OPTIONS_USAGE);
    assert_non_null(strstr(err, ":2: --steps and --epochs cannot be used together"));
    free(err);
}

static void times_have_a_unit_or_are_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"90", 90}, {"90s", 90}, {"10m", 600}, {"1.5h", 5400}, {"2d", 172800}, {"0.5", 0.5}};
    static const char *const bad[] = {"", "m", "10x", "1h30m", "-5s", "0", "1e12", "nan", "5 m"};
    lengths l;
    char *err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(PARSE(&l, "--time", (char *)(uintptr_t)good[i].text), GP_OPTIONS_RUN);
        assert_true(l.time == good[i].seconds);
        free(err);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(PARSE(&l, "--time", (char *)(uintptr_t)bad[i]), GP_OPTIONS_USAGE);
        assert_non_null(strstr(err, "--time"));
        free(err);
    }
}

static void what_is_printed_reads_back(void **state)
{
    (void)state;
    lengths l = {.steps = -1, .epochs = 0.25, .time = 5400}, back = {.steps = 600};
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(gp_options_print(&length_tool, &l, f), 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(gp_options_load(&length_tool, &back, file), 0);
    assert_true(back.steps == -1 && back.epochs == 0.25 && back.time == 5400);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_option_takes_the_place_of_anothers_default),
        cmocka_unit_test(the_command_line_takes_the_place_of_what_a_file_says),
        cmocka_unit_test(two_in_one_source_are_an_error),
        cmocka_unit_test(times_have_a_unit_or_are_seconds),
        cmocka_unit_test(what_is_printed_reads_back),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
