/* Several jobs on one terminal: what is written to it, to the byte. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"

/* 79 columns: the text, and a bar at their end. */
#define LINE(label) label ": 2.0 kB of 10 kB (20%)                                 [####................]"

/* Two jobs on a stderr that is a file and is taken for a terminal, of 24 rows of 80 columns where none is known. They
 * stand still, so that no line has a rate, which would be the clock's. */
typedef struct screen {
    int saved, fd;
    gp_progress_group group;
    gp_progress a, b;
} screen;

static void begin(gp_progress *p, gp_progress_group *group, const char *label, bool quiet)
{
    gp_progress_begin(p, label, GP_PROGRESS_BYTES, 2000, 10000, quiet);
    p->terminal = true;
    gp_progress_join(p, group);
}

static void open_screen(screen *s, bool quiet)
{
    fflush(stderr);
    s->saved = dup(STDERR_FILENO);
    s->fd = gp_temporary_fd();
    assert_true(s->saved >= 0 && s->fd >= 0);
    dup2(s->fd, STDERR_FILENO);
    gp_progress_group_init(&s->group);
    begin(&s->a, &s->group, "a", quiet);
    begin(&s->b, &s->group, "b", quiet);
}

/* Draws at once, however soon after the last time. */
static void set_now(screen *s, gp_progress *p)
{
    s->group.next = 0;
    gp_progress_set(p, 2000, NULL);
}

/* What was written, which is then compared with stderr in its place again. */
static void assert_wrote(screen *s, const char *expected)
{
    char text[1024] = {0};
    gp_progress_group_release(&s->group);
    fflush(stderr);
    dup2(s->saved, STDERR_FILENO);
    assert_true(pread(s->fd, text, sizeof text - 1, 0) >= 0);
    close(s->saved);
    close(s->fd);
    assert_string_equal(text, expected);
}

static void lines_are_redrawn_in_place_and_go_when_a_job_ends(void **state)
{
    (void)state;
    screen s;
    open_screen(&s, false);
    set_now(&s, &s.a);
    set_now(&s, &s.b);
    gp_progress_end(&s.a);
    gp_progress_end(&s.b);
    assert_wrote(
        &s, LINE("a") "\n" LINE("b") "\033[1A\r\033[J" LINE("a") "\n" LINE("b") "\033[1A\r\033[J" LINE("b") "\r\033[J");
}

static void what_is_said_stands_above_the_lines(void **state)
{
    (void)state;
    screen s;
    open_screen(&s, false);
    set_now(&s, &s.a);
    gp_progress_print(&s.b, "b: trying again");
    set_now(&s, &s.a);
    assert_wrote(
        &s, LINE("a") "\n" LINE("b") "\033[1A\r\033[Jb: trying again\n" LINE("a") "\n" LINE("b") "\033[1A\r\033[J");
}

static void it_is_not_drawn_more_often_than_an_eye_can_see(void **state)
{
    (void)state;
    screen s;
    open_screen(&s, false);
    s.group.next = gp_now() + 1000;
    for (int i = 0; i < 100; i++)
        gp_progress_set(&s.a, 2000, NULL);
    assert_wrote(&s, "");
}

static void a_quiet_job_has_no_line(void **state)
{
    (void)state;
    screen s;
    open_screen(&s, true);
    set_now(&s, &s.a);
    gp_progress_print(&s.a, "nothing");
    assert_wrote(&s, "");
}

static void a_line_that_is_too_long_keeps_its_end(void **state)
{
    (void)state;
    screen s;
    open_screen(&s, false);
    gp_progress_end(&s.a);
    gp_progress_end(&s.b);
    begin(&s.a, &s.group, "no room for a bar 123456789 123456789", false);
    set_now(&s, &s.a);
    gp_progress_end(&s.a);
    begin(&s.a, &s.group, "123456789 123456789 123456789 123456789 123456789 12345.bin", false);
    set_now(&s, &s.a);
    gp_progress_end(&s.a);
    begin(&s.a, &s.group, "123456789\xc3\xa9 123456789 123456789 123456789 123456789 1234567.bin", false);
    set_now(&s, &s.a);
    gp_progress_end(&s.a);
    assert_wrote(&s, "no room for a bar 123456789 123456789: 2.0 kB of 10 kB (20%)\r\033[J"
                     "...789 123456789 123456789 123456789 123456789 12345.bin: 2.0 kB of 10 kB (20%)\r\033[J"
                     "... 123456789 123456789 123456789 123456789 1234567.bin: 2.0 kB of 10 kB (20%)\r\033[J");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_redrawn_in_place_and_go_when_a_job_ends),
        cmocka_unit_test(what_is_said_stands_above_the_lines),
        cmocka_unit_test(it_is_not_drawn_more_often_than_an_eye_can_see),
        cmocka_unit_test(a_quiet_job_has_no_line),
        cmocka_unit_test(a_line_that_is_too_long_keeps_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
