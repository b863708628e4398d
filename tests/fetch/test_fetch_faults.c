/* What a server can do wrong, beyond what test_fetch.c has: after it the file is there and right, or a clear reason
 * is, no wrong file has its name, and the next run succeeds. */
#include "test.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "fetch_letters.h"

/* After a failure: nothing under its name, the reason, and then the same again succeeds. */
static void assert_fails_then_arrives(server *s, const char *sha256, int64_t size, const char *words)
{
    server_start(s);
    assert_int_equal(fetch_known(s, sha256, size), -1);
    assert_failed_with(words);
    assert_int_equal(fetch_known(s, sha256, size), 0);
    server_stop(s);
    assert_arrived();
}

static void a_server_that_hangs_up_is_asked_again(void **state)
{
    (void)state;
    server s = {.replies = {{.mute = true}, {.mute = true}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 3);
}

static void a_server_that_keeps_hanging_up_is_given_up(void **state)
{
    (void)state;
    server s = {.replies = {{.mute = true}, {.mute = true}, {.mute = true}, {.body = letters}}};
    assert_fails_then_arrives(&s, letters_sha256, LENGTH, "Empty reply from server");
}

static void chunks_that_break_off_are_seen_without_any_length(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .chunked = true, .etag = "\"v1\"", .cut = 7000},
                            {.body = letters, .chunked = true, .etag = "\"v1\""}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 7000);
}

static void a_server_that_sends_less_than_was_asked_for_is_asked_for_the_rest(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 5000},
                            {.body = letters, .etag = "\"v1\"", .most = 6000},
                            {.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 5000);
    assert_asked_from(&s, 2, 11000);
}

static void a_length_that_is_too_long_does_no_harm_where_the_checksum_is_known(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .length = LENGTH + 10}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, letters_sha256, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 1);
}

static void a_length_that_is_too_long_is_given_up_where_nothing_is_known(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .length = LENGTH + 10},
                            {.body = letters, .length = LENGTH + 10},
                            {.body = letters, .length = LENGTH + 10},
                            {.body = letters}}};
    assert_fails_then_arrives(&s, NULL, -1, "transfer closed with 10 bytes remaining to read");
}

static void a_length_that_is_too_short_is_no_file(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .length = 100}, {.body = letters}}};
    assert_fails_then_arrives(&s, letters_sha256, -1, "its SHA-256 is ");
}

static void another_length_than_the_catalogs_is_refused_at_once(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .length = LENGTH + 10}, {.body = letters}}};
    assert_fails_then_arrives(&s, letters_sha256, LENGTH, "has 26010 bytes, expected 26000");
}

static void more_than_the_catalogs_length_is_cut_off(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .no_length = true}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, 1000), -1);
    server_stop(&s);
    assert_failed_with("sends more than the 1000 bytes expected");
}

static void a_part_that_is_whole_is_not_asked_for_twice(void **state)
{
    (void)state;
    char *from = gp_format("%s.from", part), text[96];
    server s = {.replies = {{.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    int n = snprintf(text, sizeof text, "http://127.0.0.1:%d/letters.txt\n\"v1\"\n", s.port);
    assert_int_equal(gp_file_write(part, letters, LENGTH), 0);
    assert_int_equal(gp_file_write(from, text, (size_t)n), 0);
    assert_int_equal(fetch_known(&s, NULL, -1), 0); /* 416: nothing after its end, and nothing has changed */
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 1);
    assert_asked_from(&s, 0, LENGTH);
    free(from);
}

static void a_note_of_the_source_that_was_cut_short_is_not_believed(void **state)
{
    (void)state;
    char *from = gp_format("%s.from", part), text[96];
    server s = {.replies = {{.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    int n = snprintf(text, sizeof text, "http://127.0.0.1:%d/letters.txt\n\"v1", s.port);
    assert_int_equal(gp_file_write(part, "wrong", 5), 0);
    assert_int_equal(gp_file_write(from, text, (size_t)n), 0);
    assert_int_equal(fetch_known(&s, NULL, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 0, 0);
    free(from);
}

/* ---- servers without validators: only the file's size is known to be the same ---------------------------- */

/* What fetch_known does where nothing is known and nothing is tried again. */
static int fetch_once(const server *s, const char *sha256)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/letters.txt", s->port);
    const char *const urls[] = {url};
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = sha256, .size = -1};
    return fetch_file(&f, path, &(gp_fetch_options){.quiet = true, .retries = -1, .stall = 1}, NULL);
}

/* A file of n other letters. */
static const char *others(int n)
{
    static char text[LENGTH + 1];
    memset(text, 'x', (size_t)n);
    text[n] = 0;
    return text;
}

static void a_file_of_the_same_size_is_continued_by_the_next_run(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .cut = 10000}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch_once(&s, NULL), -1);
    assert_failed_with("bytes remaining");
    assert_int_equal(fetch_once(&s, NULL), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 2);
    assert_asked_from(&s, 1, 10000);
}

static void a_file_of_another_size_is_read_anew(void **state)
{
    (void)state;
    server s = {.replies = {{.body = others(25000), .cut = 10000}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch_once(&s, NULL), -1);
    assert_int_equal(fetch_once(&s, NULL), 0); /* no failure, whatever the retries are */
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 3);
    assert_asked_from(&s, 1, 10000);
    assert_asked_from(&s, 2, 0);
}

static void another_file_of_the_same_size_is_read_anew_where_the_checksum_is_known(void **state)
{
    (void)state;
    server s = {.replies = {{.body = others(LENGTH), .cut = 10000}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch_once(&s, letters_sha256), -1);
    assert_int_equal(fetch_once(&s, letters_sha256), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 3);
    assert_asked_from(&s, 1, 10000);
    assert_asked_from(&s, 2, 0);
}

static void a_wrong_joint_is_read_anew_once_alone(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .cut = 10000}, {.body = others(LENGTH)}}};
    server_start(&s);
    assert_int_equal(fetch_once(&s, letters_sha256), -1);
    assert_int_equal(fetch_once(&s, letters_sha256), -1);
    assert_failed_with("its SHA-256 is ");
    server_stop(&s);
    assert_int_equal(s.requests, 3);
}

/* Its ETag may say that the file is another one, but not for certain that it is the same. */
static void a_weak_etag_is_not_passed_over_for_the_size(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "W/\"1\"", .cut = 10000}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch_once(&s, NULL), -1);
    assert_int_equal(fetch_once(&s, NULL), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 0);
}

static void a_part_that_is_whole_by_its_size_is_not_asked_for_twice(void **state)
{
    (void)state;
    char *from = gp_format("%s.from", part), text[96];
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    int n = snprintf(text, sizeof text, "http://127.0.0.1:%d/letters.txt\n\n%d\n", s.port, LENGTH);
    assert_int_equal(gp_file_write(part, letters, LENGTH), 0);
    assert_int_equal(gp_file_write(from, text, (size_t)n), 0);
    assert_int_equal(fetch_once(&s, NULL), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 1);
    assert_asked_from(&s, 0, LENGTH);
    free(from);
}

/* ---- ways that lead elsewhere ---------------------------------------------------------------------------- */

static void no_redirect_leaves_the_web(void **state)
{
    (void)state;
    static const struct {
        const char *header, *words;
    } cases[] = {{"Location: file:///etc/passwd\r\n", "leads to file:///etc/passwd, which is not followed"},
                 {"Location: ftp://127.0.0.1/x\r\n", "leads to ftp://127.0.0.1/x, which is not followed"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        server s = {.replies = {{.status = 302, .headers = cases[i].header}, {.body = letters}}};
        assert_fails_then_arrives(&s, letters_sha256, LENGTH, cases[i].words);
        unlink(path);
    }
}

static void a_proxy_is_asked_where_one_is_named(void **state)
{
    (void)state;
    const char *const urls[] = {"http://example.invalid/letters.txt"};
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = letters_sha256, .size = LENGTH};
    gp_fetch_options o = {.quiet = true, .retries = -1};
    char proxy[64];
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", s.port);
    setenv("http_proxy", proxy, 1);
    assert_int_equal(fetch_file(&f, path, &o, NULL), 0);
    assert_memory_equal(s.request[0], "GET http://example.invalid/letters.txt ", 39);
    assert_arrived();
    unlink(path);
    setenv("no_proxy", "example.invalid", 1);
    assert_int_equal(fetch_file(&f, path, &o, NULL), -1); /* there is no such host */
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    server_stop(&s);
    assert_failed_with("example.invalid");
    assert_int_equal(s.requests, 1);
}

/* A limit on the size of files stands for a disk that is full: writing fails in its middle. */
static void a_full_disk_keeps_what_came(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\""}}};
    struct stat st;
    int status;
    server_start(&s);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){12000, 12000});
        bool told =
            fetch(&s) == -1 && strstr(gp_error(), "letters.txt.part: cannot be written: File too large; "
                                                  "what was downloaded is kept; free some space and run it again");
        _exit(told ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(gp_exists(path));
    assert_int_equal(stat(part, &st), 0);
    assert_int_equal(st.st_size, 12000);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 12000);
}

static void who_waits_for_another_run_takes_over_where_that_fails(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 9000, .stall = true},
                            {.body = letters, .etag = "\"v1\""}}};
    struct stat st;
    int status;
    server_start(&s);
    pid_t first = fork();
    if (!first)
        _exit(fetch(&s) ? 1 : 0);
    for (int i = 0; i < 300 && (stat(part, &st) || st.st_size < 9000); i++)
        usleep(10000);
    pid_t second = fork();
    if (!second)
        _exit(fetch(&s) ? 1 : 0);
    usleep(100000);
    kill(first, SIGKILL);
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_int_equal(waitpid(second, &status, 0), second);
    assert_int_equal(status, 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 9000);
}

/* In a folder where others may write too, a link of theirs would turn what comes over a file of ours. */
static void no_link_is_followed_to_another_file(void **state)
{
    (void)state;
    char victim[112], *from = gp_format("%s.from", part);
    server s = {.replies = {{.body = letters, .etag = "\"v1\""}}};
    gp_map m;
    server_start(&s);
    snprintf(victim, sizeof victim, "%s/victim", dir);
    assert_int_equal(gp_file_write(victim, "precious", 8), 0);
    assert_int_equal(symlink("victim", part), 0);
    assert_int_equal(fetch(&s), -1);
    assert_failed_with("letters.txt.part: is a symbolic link");
    assert_int_equal(unlink(part), 0);
    assert_int_equal(symlink("victim", from), 0);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(gp_map_open(&m, victim), 0);
    assert_int_equal(m.size, 8);
    assert_memory_equal(m.data, "precious", 8);
    gp_map_close(&m);
    free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_hangs_up_is_asked_again),
        TEST(a_server_that_keeps_hanging_up_is_given_up),
        TEST(chunks_that_break_off_are_seen_without_any_length),
        TEST(a_server_that_sends_less_than_was_asked_for_is_asked_for_the_rest),
        TEST(a_length_that_is_too_long_does_no_harm_where_the_checksum_is_known),
        TEST(a_length_that_is_too_long_is_given_up_where_nothing_is_known),
        TEST(a_length_that_is_too_short_is_no_file),
        TEST(another_length_than_the_catalogs_is_refused_at_once),
        TEST(more_than_the_catalogs_length_is_cut_off),
        TEST(a_part_that_is_whole_is_not_asked_for_twice),
        TEST(a_note_of_the_source_that_was_cut_short_is_not_believed),
        TEST(a_file_of_the_same_size_is_continued_by_the_next_run),
        TEST(a_file_of_another_size_is_read_anew),
        TEST(another_file_of_the_same_size_is_read_anew_where_the_checksum_is_known),
        TEST(a_wrong_joint_is_read_anew_once_alone),
        TEST(a_weak_etag_is_not_passed_over_for_the_size),
        TEST(a_part_that_is_whole_by_its_size_is_not_asked_for_twice),
        TEST(no_redirect_leaves_the_web),
        TEST(a_proxy_is_asked_where_one_is_named),
        TEST(a_full_disk_keeps_what_came),
        TEST(who_waits_for_another_run_takes_over_where_that_fails),
        TEST(no_link_is_followed_to_another_file),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
