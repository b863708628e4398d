/* Where a tool's result goes: it is there whole under its name, or the tool fails and nothing of it is. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gptpipe/output.h"

static char dir[64], *path;

/* A machine or a sandbox without /proc: nothing is found below it, and no file gets its name through it. */
static bool no_proc;

static bool hidden(const char *name)
{
    errno = ENOENT;
    return no_proc && !strncmp(name, "/proc/", 6);
}

int stat(const char *name, struct stat *st)
{
    return hidden(name) ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, name, st, 0);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return hidden(from) ? -1 : (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptpipe-output.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    path = gp_path_join(dir, "result");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    rmdir(path);
    free(path);
    return rmdir(dir); /* fails where something else was left */
}

static void assert_holds(const char *text)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, path, 100), 0);
    assert_string_equal(b.data, text);
    gp_buf_release(&b);
}

static gp_output *open_with(const char *to, const char *text)
{
    gp_output *o = gp_output_open(to);
    if (!o)
        fail_msg("%s", gp_error());
    fputs(text, gp_output_stream(o));
    return o;
}

static void assert_fails(gp_output *o, const char *why)
{
    assert_int_equal(gp_output_close(o, true), -1);
    if (!strstr(gp_error(), why))
        fail_msg("said '%s', expected '%s' in it", gp_error(), why);
}

static void what_is_kept_replaces_what_was_there(void **state)
{
    (void)state;
    assert_int_equal(gp_file_write(path, "old", 3), 0);
    gp_output *o = open_with(path, "new\n");
    fflush(gp_output_stream(o));
    assert_holds("old");
    assert_int_equal(gp_output_close(o, true), 0);
    assert_holds("new\n");
}

static void what_is_not_kept_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(gp_output_close(open_with(path, "half"), false), 0);
    assert_false(gp_exists(path));
    assert_int_equal(gp_file_write(path, "old", 3), 0);
    assert_int_equal(gp_output_close(open_with(path, "half"), false), 0);
    assert_holds("old");
}

/* Nothing fails before the end: the text waits in the stream's buffer. */
static void a_full_disk_is_noticed_at_the_end(void **state)
{
    (void)state;
    assert_fails(open_with("/dev/full", "text"), "/dev/full: cannot be written: No space left on device");
}

/* The stream has nothing to write at the end: it lost what it had. */
static void a_write_that_failed_before_is_not_forgotten(void **state)
{
    (void)state;
    gp_output *o = gp_output_open("/dev/full");
    assert_non_null(o);
    setvbuf(gp_output_stream(o), NULL, _IONBF, 0);
    assert_int_equal(fputc('x', gp_output_stream(o)), EOF);
    assert_fails(o, "/dev/full: cannot be written");
}

/* Some file systems tell of a write that failed only then. */
static void a_close_that_fails_is_noticed(void **state)
{
    (void)state;
    int next = dup(STDIN_FILENO); /* the number that the next file gets */
    close(next);
    gp_output *o = open_with("/dev/null", "text");
    fflush(gp_output_stream(o));
    assert_int_equal(close(next), 0);
    assert_fails(o, "/dev/null: cannot be written: Bad file descriptor");
}

static void a_result_that_cannot_get_its_name_fails(void **state)
{
    (void)state;
    gp_output *o = open_with(path, "text");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(o, "result: cannot be renamed into place: Is a directory");
}

/* The names that begin with "result", which is what an open one has already, or "": it has none yet. */
static char *name_of_open(void)
{
    char **names, *found = NULL;
    int64_t count;
    assert_int_equal(gp_folder_list(dir, &names, &count), 0);
    assert_in_range(count, 0, 1);
    found = gp_strdup(count ? names[0] : "");
    gp_folder_list_free(names, count);
    return found;
}

static void without_proc_a_result_has_a_name_from_its_opening(void **state)
{
    (void)state;
    no_proc = true;
    gp_output *o = open_with(path, "text\n");
    char *name = name_of_open();
    assert_int_equal(gp_temporary_target_length(name), strlen("result"));
    free(name);
    assert_int_equal(gp_output_close(o, true), 0);
    assert_holds("text\n");
    o = open_with(path, "half");
    assert_int_equal(gp_output_close(o, false), 0);
    name = name_of_open();
    assert_string_equal(name, "result");
    free(name);

    gp_out out;
    assert_int_equal(gp_out_open(&out, path), 0);
    gp_out_write(&out, "other\n", 6);
    assert_int_equal(gp_out_commit(&out), 0);
    assert_holds("other\n");
    no_proc = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_kept_replaces_what_was_there),
        TEST(what_is_not_kept_changes_nothing),
        TEST(a_full_disk_is_noticed_at_the_end),
        TEST(a_write_that_failed_before_is_not_forgotten),
        TEST(a_close_that_fails_is_noticed),
        TEST(a_result_that_cannot_get_its_name_fails),
        TEST(without_proc_a_result_has_a_name_from_its_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
