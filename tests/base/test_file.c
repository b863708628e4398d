/* Files that are there whole or not at all, and what is never to be renamed over. */
#include "test.h"

#include "base/json_write.h"
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
    assert_false(gp_is_stream("tests/base/test_file.c"));
}

/* As in { echo one; tool -o /dev/stdout; echo four; } > file: nothing is written over, not what comes afterwards
 * either. */
static void test_a_descriptor_is_written_where_it_stands(void **state)
{
    (void)state;
    static const char *const folders[] = {"/dev/fd", "/proc/self/fd"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        gp_out o;
        char text[32] = "", *path = gp_path_join(folder, "f");
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        char *name = gp_format("%s/%d", folders[i], fd);
        assert_int_equal(write(fd, "one ", 4), 4);
        assert_int_equal(gp_out_open(&o, name), 0);
        gp_out_write(&o, "two ", 4);
        assert_int_equal(gp_out_commit(&o), 0);
        gp_output *out = gp_output_open(name);
        fputs("three ", gp_output_stream(out));
        assert_int_equal(gp_output_close(out, true), 0);
        assert_int_equal(write(fd, "four", 4), 4);
        assert_int_equal(pread(fd, text, sizeof text, 0), 18);
        assert_string_equal(text, "one two three four");
        close(fd);
        assert_int_equal(gp_out_open(&o, name), -1);
        unlink(path);
        free(name);
        free(path);
    }
}

static void test_what_would_be_replaced_is_seen_under_each_name(void **state)
{
    (void)state;
    char *path = gp_path_join(folder, "f"), *hard = gp_path_join(folder, "g"), *soft = gp_path_join(folder, "h");
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
    assert_false(gp_output_replaces(hard, path));
    assert_int_equal(link(path, hard), 0);
    assert_int_equal(symlink("f", soft), 0);
    assert_true(gp_output_replaces(path, path));
    assert_true(gp_output_replaces(hard, path));
    assert_true(gp_output_replaces(path, soft));
    assert_false(gp_output_replaces(NULL, path));
    assert_false(gp_output_replaces(path, NULL));
    assert_false(gp_output_replaces("-", path));
    assert_false(gp_output_replaces("/dev/null", "/dev/null"));
    assert_false(gp_output_replaces(folder, folder));
    unlink(soft);
    unlink(hard);
    unlink(path);
    free(soft);
    free(hard);
    free(path);
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

/* ---- what is replaced, linked or left -------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    assert_int_equal(gp_file_write(path, text, strlen(text)), 0);
}

static void assert_text(const char *path, const char *text)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, path, 100), 0);
    assert_string_equal(b.data ? b.data : "", text);
    gp_buf_release(&b);
}

/* The kernel makes /proc's files when they are read, and maps none of them. */
static void test_what_a_map_forgets_comes_again(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    char path[64], *text = gp_malloc(SIZE + 1);
    memset(text, 'x', SIZE);
    text[SIZE] = 0;
    memcpy(text, "TEXT=", 5);
    pid_t child = vfork();
    if (!child) {
        execle("/bin/sleep", "sleep", "60", NULL, (char *[]){text, NULL});
        _exit(1);
    }
    assert_true(child > 0);
    snprintf(path, sizeof path, "/proc/%d/environ", (int)child);
    gp_map m = {0};
    /* before sleep begins it is this program's, or empty */
    for (int tries = 0; tries < 1000 && m.size != SIZE + 1; tries++) {
        gp_map_close(&m);
        assert_int_equal(gp_map_open(&m, path), 0);
        usleep(m.size == SIZE + 1 ? 0 : 10000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(m.size, SIZE + 1);
    gp_map_drop_pages(m.data, m.size);
    assert_memory_equal(m.data, text, SIZE + 1);
    gp_map_close(&m);
    free(text);
}

static void test_what_replaces_a_file_keeps_its_permissions(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0640, 0444, 0755};
    char *path = gp_path_join(folder, "f");
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        write_text(path, "old");
        assert_int_equal(chmod(path, modes[i]), 0);
        write_text(path, "new");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, modes[i]);
        gp_output *o = gp_output_open(path);
        fputs("newer", gp_output_stream(o));
        assert_int_equal(gp_output_close(o, true), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, modes[i]);
        assert_text(path, "newer");
        unlink(path);
    }
    free(path);
}

static void test_a_link_is_replaced_itself(void **state)
{
    (void)state;
    char *path = gp_path_join(folder, "f"), *link = gp_path_join(folder, "link");
    struct stat st;
    write_text(path, "precious");
    assert_int_equal(symlink("f", link), 0);
    write_text(link, "new");
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_text(path, "precious");
    assert_text(link, "new");
    unlink(path);
    unlink(link);
    free(path);
    free(link);
}

/* Names in the folder, separated by spaces. */
static const char *listed(void)
{
    static char text[512];
    char **names;
    int64_t count;
    assert_int_equal(gp_folder_list(folder, &names, &count), 0);
    text[0] = 0;
    for (int64_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", names[i]);
    gp_folder_list_free(names, count);
    return text;
}

/* A prepared file has a name, as all have on file systems without O_TMPFILE. */
static void test_what_a_killed_process_left_is_removed_by_the_next(void **state)
{
    (void)state;
    char *path = gp_path_join(folder, "f.tok"), *shard = gp_path_join(folder, "f_000001.tok");
    const char *const foreign[] = {"g.tok.0123456789abcdef.tmp", "f.tok.tmp", "f_000001.tok.12.tmp", "f_x.tok"};
    int status;
    gp_out o;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        char *name = gp_path_join(folder, foreign[i]);
        write_text(name, "");
        free(name);
    }
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        gp_out a, b;
        if (!gp_out_open(&a, path) && !gp_out_open(&b, shard) && !gp_out_prepare(&a) && !gp_out_prepare(&b))
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(listed(), "f.tok."));
    assert_int_equal(gp_out_open(&o, path), 0);
    assert_int_equal(gp_out_prepare(&o), 0);
    gp_temporary_clean(path, true); /* not what is in use */
    assert_int_equal(gp_out_commit(&o), 0);
    assert_string_equal(listed(), "f.tok f.tok.tmp f_000001.tok.12.tmp f_x.tok g.tok.0123456789abcdef.tmp");
    unlink(path);
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        char *name = gp_path_join(folder, foreign[i]);
        unlink(name);
        free(name);
    }
    free(path);
    free(shard);
}

static void test_a_mapped_file_that_shrinks_ends_the_process_with_its_name(void **state)
{
    (void)state;
    char *path = gp_path_join(folder, "f"), *err = gp_path_join(folder, "err"), page[8192] = "", text[200] = "";
    int status;
    assert_int_equal(gp_file_write(path, page, sizeof page), 0);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        gp_map m;
        int fd = open(err, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || gp_map_open(&m, path) || truncate(path, 0))
            _exit(9);
        _exit(((const volatile char *)m.data)[5000]);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    int fd = open(err, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    char *expected = gp_format("test_file: %s: became shorter while it was read\n", path);
    assert_string_equal(text, expected);
    free(expected);
    unlink(path);
    unlink(err);
    free(path);
    free(err);
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
        gp_buf quoted = {0};
        gp_json_quote(&quoted, cases[i].text, strlen(cases[i].text));
        assert_string_equal(quoted.data, cases[i].quoted);
        gp_buf_release(&quoted);
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
        cmocka_unit_test(test_a_descriptor_is_written_where_it_stands),
        cmocka_unit_test(test_what_would_be_replaced_is_seen_under_each_name),
        cmocka_unit_test(test_a_full_device_is_a_failure),
        cmocka_unit_test(test_pipes_are_refused_where_a_regular_file_is_expected),
        cmocka_unit_test(test_the_map_of_an_empty_file_is_an_empty_string),
        cmocka_unit_test(test_what_a_map_forgets_comes_again),
        cmocka_unit_test(test_what_replaces_a_file_keeps_its_permissions),
        cmocka_unit_test(test_a_link_is_replaced_itself),
        cmocka_unit_test(test_what_a_killed_process_left_is_removed_by_the_next),
        cmocka_unit_test(test_a_mapped_file_that_shrinks_ends_the_process_with_its_name),
        cmocka_unit_test(test_json_replaces_what_is_not_utf8),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
