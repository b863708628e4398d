/* Files that are there whole or not at all, and what is never to be renamed over. */
#include "test.h"

#include "gptpipe/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/gptpipe-test.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a test left something */
}

static void test_a_file_appears_when_it_is_whole(void **state)
{
    (void)state;
    gp_out o;
    gp_buf b = {0};
    char *path = gp_path_join(folder, "f");
    assert_int_equal(gp_out_open(&o, path), 0);
    assert_int_equal(gp_out_write(&o, "hello", 5), 0);
    assert_int_equal(gp_out_flush(&o), 0);
    assert_false(gp_exists(path));
    assert_int_equal(gp_out_commit(&o), 0);
    assert_int_equal(gp_file_read(&b, path, 100), 0);
    assert_string_equal(b.data, "hello");
    gp_buf_release(&b);
    unlink(path);
    free(path);
}

static void test_an_abandoned_file_leaves_nothing(void **state)
{
    (void)state;
    gp_out o;
    char *path = gp_path_join(folder, "f");
    assert_int_equal(gp_out_open(&o, path), 0);
    gp_out_write(&o, "hello", 5);
    gp_out_abandon(&o);
    gp_output *out = gp_output_open(path);
    fputs("hello", gp_output_stream(out));
    assert_int_equal(gp_output_close(out, false), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    free(path);
}

static void test_pipes_by_name_are_written_into(void **state)
{
    (void)state;
    gp_out o;
    struct stat st;
    char text[16] = "", *path = gp_path_join(folder, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR); /* Linux: a reader, so that opening for writing does not wait */
    assert_true(gp_is_stream(path));
    assert_int_equal(gp_out_open(&o, path), 0);
    gp_out_write(&o, "one ", 4);
    assert_int_equal(gp_out_commit(&o), 0);
    gp_output *out = gp_output_open(path);
    fputs("two", gp_output_stream(out));
    assert_int_equal(gp_output_close(out, true), 0);
    assert_int_equal(read(fd, text, sizeof text), 7);
    assert_memory_equal(text, "one two", 7);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode)); /* it is still there */
    close(fd);
    unlink(path);
    free(path);
}

static void test_devices_and_descriptors_are_streams(void **state)
{
    (void)state;
    const char *const streams[] = {"-", "/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        assert_true(gp_is_stream(streams[i]));
    assert_false(gp_is_stream(folder));
    assert_false(gp_is_stream("/nonexistent"));
    assert_false(gp_is_stream("tests/test_file.c"));
}

static void test_a_full_device_is_a_failure(void **state)
{
    (void)state;
    gp_out o;
    assert_int_equal(gp_out_open(&o, "/dev/full"), 0);
    gp_out_write(&o, "hello", 5);
    assert_int_equal(gp_out_commit(&o), -1);
    assert_string_equal(gp_error(), "/dev/full: cannot be written: No space left on device");
    gp_output *out = gp_output_open("/dev/full");
    fputs("hello", gp_output_stream(out));
    assert_int_equal(gp_output_close(out, true), -1);
    assert_string_equal(gp_error(), "/dev/full: cannot be written: No space left on device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_appears_when_it_is_whole),
        cmocka_unit_test(test_an_abandoned_file_leaves_nothing),
        cmocka_unit_test(test_pipes_by_name_are_written_into),
        cmocka_unit_test(test_devices_and_descriptors_are_streams),
        cmocka_unit_test(test_a_full_device_is_a_failure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
