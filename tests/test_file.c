/* Files that are there whole or not at all, and what is never to be renamed over. */
#include "test.h"

#include "gptpipe/output.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* A process that is killed cannot tidy up: what it was writing must not lie about. (Where the file system knows
 * O_TMPFILE, as those do that the tests are likely to run on; elsewhere this says so.) */
static void test_a_killed_process_leaves_nothing(void **state)
{
    (void)state;
    char *path = gp_path_join(folder, "f");
    int probe = open(folder, O_TMPFILE | O_RDWR, 0600), status;
    if (probe < 0) {
        print_message("skipped: this file system has no files without a name (O_TMPFILE)\n");
        free(path);
        skip();
    }
    close(probe);
    pid_t child = fork();
    if (!child) {
        gp_out o;
        gp_out_open(&o, path);
        gp_out_write(&o, "hello", 5);
        gp_out_flush(&o);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    free(path);
}

static void test_a_folder_is_not_written_over(void **state)
{
    (void)state;
    gp_out o;
    assert_int_equal(gp_out_open(&o, folder), -1);
    assert_non_null(strstr(gp_error(), "is a folder"));
    assert_null(gp_output_open(folder));
    assert_non_null(strstr(gp_error(), "is a folder"));
}

/* Several files can be made ready first and then appear together. */
static void test_a_prepared_file_has_no_name_yet(void **state)
{
    (void)state;
    gp_out o;
    gp_buf b = {0};
    char *path = gp_path_join(folder, "f");
    assert_int_equal(gp_out_open(&o, path), 0);
    gp_out_write(&o, "hello", 5);
    assert_int_equal(gp_out_prepare(&o), 0);
    assert_false(gp_exists(path));
    assert_int_equal(gp_out_commit(&o), 0);
    assert_int_equal(gp_file_read(&b, path, 100), 0);
    assert_string_equal(b.data, "hello");
    unlink(path);
    assert_int_equal(gp_out_open(&o, path), 0);
    gp_out_write(&o, "hello", 5);
    assert_int_equal(gp_out_prepare(&o), 0);
    gp_out_abandon(&o);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    gp_buf_release(&b);
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

/* Where Python's bytes.decode("utf-8", "replace") puts U+FFFD. */
/* What a file, an archive or a folder names may be a pipe, of which open() waits for a writer. */
static void test_pipes_are_refused_where_a_regular_file_is_expected(void **state)
{
    (void)state;
    gp_map m;
    gp_buf b = {0};
    char *path = gp_path_join(folder, "pipe"), *expected = gp_format("%s: is not a regular file", path);
    assert_int_equal(mkfifo(path, 0666), 0);
    alarm(20); /* rather than waiting for ever */
    assert_int_equal(gp_map_open(&m, path), -1);
    assert_string_equal(gp_error(), expected);
    assert_int_equal(gp_file_read_regular(&b, path, 100), -1);
    assert_string_equal(gp_error(), expected);
    alarm(0);
    unlink(path);
    assert_int_equal(gp_file_read_regular(&b, "/dev/zero", 100), -1);
    assert_string_equal(gp_error(), "/dev/zero: is not a regular file");
    gp_buf_release(&b);
    free(expected);
    free(path);
}

/* Pointers are counted from its data, which NULL does not allow. */
static void test_the_map_of_an_empty_file_is_an_empty_string(void **state)
{
    (void)state;
    gp_map m;
    char *path = gp_path_join(folder, "empty");
    assert_int_equal(gp_file_write(path, "", 0), 0);
    assert_int_equal(gp_map_open(&m, path), 0);
    assert_non_null(m.data);
    assert_string_equal(m.data, "");
    assert_int_equal(m.size, 0);
    gp_map_close(&m);
    unlink(path);
    free(path);
}

static void test_json_replaces_what_is_not_utf8(void **state)
{
    (void)state;
    const struct {
        const char *text, *quoted;
    } cases[] = {
        {"a\"\\\n\x01", "\"a\\\"\\\\\\n\\u0001\""},
        {"\u00e9\u20ac\U0001f600", "\"\u00e9\u20ac\U0001f600\""},
        {"\xf0\x9f\x98", "\"\\ufffd\""},               /* the beginning of a character */
        {"\xe2\x82x\xe2", "\"\\ufffdx\\ufffd\""},      /* two of them */
        {"\xff\x80", "\"\\ufffd\\ufffd\""},            /* bytes that begin none */
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},            /* overlong */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
        {"\xf4\x90\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* past U+10FFFF */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *quoted = gp_json_quote(cases[i].text, strlen(cases[i].text));
        assert_string_equal(quoted, cases[i].quoted);
        free(quoted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_appears_when_it_is_whole),
        cmocka_unit_test(test_an_abandoned_file_leaves_nothing),
        cmocka_unit_test(test_a_killed_process_leaves_nothing),
        cmocka_unit_test(test_a_folder_is_not_written_over),
        cmocka_unit_test(test_a_prepared_file_has_no_name_yet),
        cmocka_unit_test(test_pipes_by_name_are_written_into),
        cmocka_unit_test(test_devices_and_descriptors_are_streams),
        cmocka_unit_test(test_a_full_device_is_a_failure),
        cmocka_unit_test(test_pipes_are_refused_where_a_regular_file_is_expected),
        cmocka_unit_test(test_the_map_of_an_empty_file_is_an_empty_string),
        cmocka_unit_test(test_json_replaces_what_is_not_utf8),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
