/* Fetching: a file arrives whole and right, or not at all, whatever the server does. */
#include "test.h"

#include "fetch_letters.h"

static void a_file_arrives(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    assert_int_equal(fetch(&s), 0); /* it is there: not asked for again */
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 1);
}

static void a_wrong_file_of_that_name_is_replaced(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}};
    assert_int_equal(gp_file_write(path, "old", 3), 0);
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
}

static void not_found_is_said_at_once(void **state)
{
    (void)state;
    server s = {.replies = {{.status = 404, .body = "no such page"}}};
    server_start(&s);
    assert_int_equal(fetch(&s), -1);
    server_stop(&s);
    assert_failed_with("the server returned status 404 (not found)");
    assert_false(gp_exists(part));
    assert_int_equal(s.requests, 1);
}

static void a_busy_server_is_asked_again(void **state)
{
    (void)state;
    server s = {.replies = {{.status = 500}, {.status = 503}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 3);
}

static void a_server_that_says_when_to_come_back_is_believed_within_reason(void **state)
{
    (void)state;
    server s = {.replies = {{.status = 429, .headers = "Retry-After: 1\r\n"},
                            {.status = 503, .headers = "Retry-After: 86400\r\n"},
                            {.body = letters}}};
    server_start(&s);
    double begun = gp_now();
    assert_int_equal(fetch(&s), 0);
    double took = gp_now() - begun;
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 3);
    assert_true(took >= 1 && took < 60); /* its own pauses are hundredths of a second */
}

static void a_server_that_stays_busy_is_given_up(void **state)
{
    (void)state;
    server s = {.replies = {{.status = 500}}};
    server_start(&s);
    assert_int_equal(fetch(&s), -1);
    server_stop(&s);
    assert_failed_with("the server returned status 500");
    assert_int_equal(s.requests, 3); /* and two retries */
}

static void a_cut_download_goes_on_where_it_was(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 10000}, {.body = letters, .etag = "\"v1\""}}};
    char condition[64];
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 2);
    assert_asked_from(&s, 1, 10000);
    assert_string_equal(request_header(s.request[1], "\r\nIf-Range:", condition, sizeof condition), "\"v1\"");
}

static void the_next_run_goes_on_where_the_last_was_cut(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 10000},
                            {.status = 404},
                            {.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    assert_int_equal(fetch(&s), -1);
    assert_failed_with("404");
    assert_true(gp_exists(part));
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 2, 10000);
    char *from = gp_format("%s.from", part);
    assert_false(gp_exists(from));
    free(from);
}

static void a_server_that_ignores_ranges_sends_all_of_it(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .cut = 10000}, {.body = letters, .no_ranges = true}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 10000);
}

static void a_file_that_changed_on_the_way_is_read_anew(void **state)
{
    (void)state;
    char old[LENGTH + 1];
    memset(old, 'x', LENGTH);
    old[LENGTH] = 0;
    server s = {.replies = {{.body = old, .etag = "\"v1\"", .cut = 10000}, {.body = letters, .etag = "\"v2\""}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 2); /* the condition failed, so the whole file came */
}

static void a_wrong_joint_is_found_and_read_anew(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}}; /* no ETag: only the SHA-256 can tell */
    char old[10000];
    memset(old, 'x', sizeof old);
    assert_int_equal(gp_file_write(part, old, sizeof old), 0);
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 2);
    assert_asked_from(&s, 0, 10000);
    assert_asked_from(&s, 1, 0);
}

static void without_a_checksum_nothing_is_joined_blindly(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}};
    assert_int_equal(gp_file_write(part, "xxxxx", 5), 0);
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 0, 0);
}

static void a_wrong_checksum_leaves_nothing(void **state)
{
    (void)state;
    char wrong[LENGTH + 1];
    memset(wrong, 'x', LENGTH);
    wrong[LENGTH] = 0;
    server s = {.replies = {{.body = wrong}}};
    server_start(&s);
    assert_int_equal(fetch(&s), -1);
    server_stop(&s);
    assert_failed_with("its SHA-256 is");
    assert_false(gp_exists(part));
    assert_int_equal(s.requests, 1);
}

static void a_file_of_another_size_is_refused_before_it_is_read(void **state)
{
    (void)state;
    server s = {.replies = {{.body = "short"}}};
    server_start(&s);
    assert_int_equal(fetch(&s), -1);
    server_stop(&s);
    assert_failed_with("has 5 bytes, expected 26000");
}

static void a_body_without_a_length_is_read_to_its_end(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .no_length = true, .cut = 5000}, {.body = letters, .no_length = true}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 2); /* the first ended too early, and the catalog knew */
}

static void redirects_are_followed_but_not_for_ever(void **state)
{
    (void)state;
    server s = {.replies = {{.status = 302, .headers = "Location: /elsewhere\r\n"}, {.body = letters}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_memory_equal(s.request[1], "GET /elsewhere ", 15);

    unlink(path);
    server loop = {.replies = {{.status = 302, .headers = "Location: /elsewhere\r\n"}}};
    server_start(&loop);
    assert_int_equal(fetch(&loop), -1);
    server_stop(&loop);
    assert_failed_with("redirects");
}

static void a_silent_server_counts_as_cut(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 9000, .stall = true},
                            {.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 9000);
}

/* It has taken the request: the time that a connection may take, 20 s, is not waited for. */
static void a_server_that_never_answers_counts_as_cut(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .together = 2}, {.body = letters}}};
    server_start(&s);
    double begun = gp_now();
    assert_int_equal(fetch(&s), 0);
    assert_true(gp_now() - begun < 10);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 2);
}

static void a_mirror_is_asked_first_and_the_source_after_it(void **state)
{
    (void)state;
    const char *const urls[] = {"http://127.0.0.1:1/letters.txt"}; /* where nobody listens */
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = letters_sha256, .size = LENGTH};
    char mirror[64];
    gp_fetched how;
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    snprintf(mirror, sizeof mirror, "http://127.0.0.1:%d/copy", s.port);
    gp_fetch_options o = {.quiet = true, .retries = 1, .pause = 0.01, .mirror = mirror};
    assert_int_equal(fetch_file(&f, path, &o, &how), 0);
    server_stop(&s);
    assert_arrived();
    assert_int_equal(how, GP_FETCHED_MIRROR);
    assert_memory_equal(s.request[0], "GET /copy/127.0.0.1:1/letters.txt ", 34);

    unlink(path);
    server none = {.replies = {{.status = 404}}};
    server_start(&none);
    snprintf(mirror, sizeof mirror, "http://127.0.0.1:%d", none.port);
    assert_int_equal(fetch_file(&f, path, &o, NULL), -1);
    server_stop(&none);
    assert_failed_with("127.0.0.1:1/letters.txt: ");
}

static void offline_opens_no_socket(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}};
    char url[64];
    server_start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/letters.txt", s.port);
    const char *const urls[] = {url};
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = letters_sha256, .size = LENGTH};
    gp_fetch_options o = {.quiet = true, .offline = true, .mirror = url};
    assert_int_equal(fetch_file(&f, path, &o, NULL), -1);
    server_stop(&s);
    assert_failed_with("--offline");
    assert_int_equal(s.requests, 0);
}

static void a_data_set_is_all_its_files(void **state)
{
    (void)state;
    char mirror[96], file[160];
    const char *const one[] = {"https://example.org/letters.txt"}, *const two[] = {"https://example.org/b/none.txt"};
    gp_catalog_file files[] = {
        {.path = "letters.txt", .urls = one, .url_count = 1, .sha256 = letters_sha256, .size = LENGTH},
        {.path = "sub/none.txt", .urls = two, .url_count = 1, .size = 0},
    };
    gp_catalog_entry d = {.name = "set", .files = files, .file_count = 2};
    gp_fetch_options o = {.quiet = true, .offline = true, .mirror = mirror};
    snprintf(mirror, sizeof mirror, "file://%s/mirror", dir);
    snprintf(file, sizeof file, "%s/mirror/example.org/letters.txt", dir);
    assert_int_equal(gp_make_parent(file), 0);
    assert_int_equal(gp_file_write(file, letters, LENGTH), 0);
    assert_int_equal(gp_fetch(&d, dir, &o), -1);
    snprintf(file, sizeof file, "%s/mirror/example.org/b/none.txt", dir);
    assert_int_equal(gp_make_parent(file), 0);
    assert_int_equal(gp_file_write(file, "", 0), 0);
    assert_int_equal(gp_fetch(&d, dir, &o), 0);
    assert_arrived();
    snprintf(file, sizeof file, "%s/sub/none.txt", dir);
    assert_true(gp_exists(file));
}

static void *fetch_in_thread(void *s)
{
    return (void *)(intptr_t)fetch(s);
}

static void two_at_once_share_one_download(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}};
    pthread_t threads[4];
    void *rc;
    server_start(&s);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, fetch_in_thread, &s);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &rc);
        assert_null(rc);
    }
    server_stop(&s);
    assert_arrived();
    assert_int_equal(s.requests, 1);
}

static void a_stopped_process_leaves_what_the_next_one_needs(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 9000, .stall = true},
                            {.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    pid_t child = fork();
    if (!child)
        _exit(fetch(&s) ? 1 : 0);
    struct stat st;
    for (int i = 0; i < 300 && (stat(part, &st) || st.st_size < 9000); i++)
        usleep(10000);
    kill(child, SIGKILL);
    assert_false(gp_exists(path));
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 9000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_arrives),
        TEST(a_wrong_file_of_that_name_is_replaced),
        TEST(not_found_is_said_at_once),
        TEST(a_busy_server_is_asked_again),
        TEST(a_server_that_says_when_to_come_back_is_believed_within_reason),
        TEST(a_server_that_stays_busy_is_given_up),
        TEST(a_cut_download_goes_on_where_it_was),
        TEST(the_next_run_goes_on_where_the_last_was_cut),
        TEST(a_server_that_ignores_ranges_sends_all_of_it),
        TEST(a_file_that_changed_on_the_way_is_read_anew),
        TEST(a_wrong_joint_is_found_and_read_anew),
        TEST(without_a_checksum_nothing_is_joined_blindly),
        TEST(a_wrong_checksum_leaves_nothing),
        TEST(a_file_of_another_size_is_refused_before_it_is_read),
        TEST(a_body_without_a_length_is_read_to_its_end),
        TEST(redirects_are_followed_but_not_for_ever),
        TEST(a_silent_server_counts_as_cut),
        TEST(a_server_that_never_answers_counts_as_cut),
        TEST(a_mirror_is_asked_first_and_the_source_after_it),
        TEST(offline_opens_no_socket),
        TEST(a_data_set_is_all_its_files),
        TEST(two_at_once_share_one_download),
        TEST(a_stopped_process_leaves_what_the_next_one_needs),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
