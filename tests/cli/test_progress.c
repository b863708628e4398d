/* Progress: numbers for people, and silence where nobody looks. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"

static void bytes_are_told_in_the_unit_that_fits(void **state)
{
    (void)state;
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},          {999, "999 B"},        {1000, "1.0 kB"},      {1234, "1.2 kB"},      {99999, "100 kB"},
        {1115394, "1.1 MB"}, {999499999, "999 MB"}, {999500000, "1.0 GB"}, {INT64_MAX, "9.2 EB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[16];
        assert_string_equal(gp_format_bytes(text, cases[i].bytes), cases[i].text);
    }
}

static void times_are_told_in_two_units(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0.4, "0 s"},        {59.6, "1 min 0 s"}, {200, "3 min 20 s"},
                 {3600, "1 h 0 min"}, {7500, "2 h 5 min"}, {1e30, "0 s"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[24];
        assert_string_equal(gp_format_seconds(text, cases[i].seconds), cases[i].text);
    }
}

/* What a job of 100 steps that began `ago` seconds ago writes to a stderr that is a file, at step 40 of which it did
 * 20 itself. */
static char *told(double ago, bool quiet)
{
    gp_buf text = {0};
    gp_progress p;
    int saved = dup(STDERR_FILENO), fd = gp_temporary_fd();
    assert_true(saved >= 0 && fd >= 0);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    gp_progress_begin(&p, "train", "step", 20, 100, quiet);
    p.began -= ago;
    p.next -= ago;
    gp_progress_set(&p, 40, "loss 1.5");
    gp_progress_set(&p, 41, "loss 1.4"); /* at once: not told */
    gp_progress_end(&p);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    off_t n = lseek(fd, 0, SEEK_END);
    gp_buf_reserve(&text, (size_t)n);
    assert_int_equal(pread(fd, text.data, (size_t)n, 0), n);
    text.data[n] = 0;
    close(saved);
    close(fd);
    return text.data;
}

static void a_pipe_gets_a_line_now_and_then(void **state)
{
    (void)state;
    char *text = told(2000, false);
    assert_string_equal(text, "train: step 40 of 100 (40%), 0.01 steps/s, 1 h 40 min left, loss 1.5\n");
    free(text);
}

static void a_short_or_a_quiet_job_says_nothing(void **state)
{
    (void)state;
    char *text = told(1, false);
    assert_string_equal(text, "");
    free(text);
    text = told(2000, true);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_told_in_the_unit_that_fits),
        cmocka_unit_test(times_are_told_in_two_units),
        cmocka_unit_test(a_pipe_gets_a_line_now_and_then),
        cmocka_unit_test(a_short_or_a_quiet_job_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
