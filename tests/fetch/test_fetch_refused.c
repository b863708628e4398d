/* What a server sends that is not the file, where the catalog knows neither size nor SHA-256 to tell. */
#include "test.h"

#include "fetch/download.h"
#include "fetch_letters.h"

/* Nothing under its name and the reason; where the SHA-256 is known, that is what tells. */
static void assert_refused_unless_checked(reply r, const char *words)
{
    server s = {.replies = {r}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), -1);
    assert_failed_with(words);
    assert_int_equal(s.requests, 1);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
}

static void a_body_without_length_and_end_is_refused(void **state)
{
    (void)state;
    assert_refused_unless_checked((reply){.body = letters, .no_length = true},
                                  "gives neither the file's length nor a mark at its end");
}

static void an_encoded_body_is_refused(void **state)
{
    (void)state;
    assert_refused_unless_checked((reply){.body = letters, .headers = "Content-Encoding: gzip\r\n"},
                                  "sent the file encoded (gzip), which was not requested");
}

static void an_encoding_of_nothing_is_none(void **state)
{
    (void)state;
    char value[64];
    server s = {.replies = {{.body = letters, .headers = "Content-Encoding: identity\r\n"}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_string_equal(request_header(s.request[0], "\r\nAccept-Encoding:", value, sizeof value), "identity");
}

/* "bytes 0-25999/asterisk" may be all of the file, or its beginning. */
static void a_part_that_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    server s = {.replies = {{.status = 206, .body = letters, .headers = "Content-Range: bytes 0-25999/*\r\n"}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), -1);
    server_stop(&s);
    assert_failed_with("sent part of the file, which was not requested");
    assert_int_equal(s.requests, 1);
}

static void other_answers_come_without_a_file(void **state)
{
    (void)state;
    static const int statuses[] = {202, 203, 204};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        char words[64];
        server s = {.replies = {{.status = statuses[i], .body = statuses[i] == 204 ? "" : letters}}};
        server_start(&s);
        assert_int_equal(fetch_known(&s, NULL, -1), -1);
        server_stop(&s);
        snprintf(words, sizeof words, "the server returned status %d, which does not carry a file", statuses[i]);
        assert_failed_with(words);
    }
}

/* The rest without the size of the whole may be any part of the rest. */
static void the_rest_of_a_file_of_unknown_size_is_read_anew(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 5000},
                            {.status = 206,
                             .body = letters + 5000,
                             .size = 5000,
                             .etag = "\"v1\"",
                             .headers = "Content-Range: bytes 5000-9999/*\r\n"},
                            {.body = letters, .etag = "\"v1\""}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), 0);
    server_stop(&s);
    assert_arrived();
    assert_asked_from(&s, 1, 5000);
    assert_asked_from(&s, 2, 0);
}

/* The page of an error that goes on without an end is left after 64 KiB. */
static void an_error_with_an_endless_page_is_an_error(void **state)
{
    (void)state;
    static char page[100000];
    memset(page, 'x', sizeof page);
    server s = {.replies = {{.status = 404, .body = page, .size = sizeof page, .no_length = true, .stall = true}}};
    server_start(&s);
    assert_int_equal(fetch_known(&s, NULL, -1), -1);
    server_stop(&s);
    assert_failed_with("the server returned status 404 (not found)");
    assert_int_equal(s.requests, 1);
}

static void a_file_of_unknown_size_has_a_limit(void **state)
{
    (void)state;
    char url[64];
    gp_partial p;
    gp_progress progress = {.quiet = true};
    gp_download d = {.part = &p, .progress = &progress, .size = -1, .limit = LENGTH - 1, .connect = 5, .stall = 5};
    server s = {.replies = {{.body = letters, .chunked = true}}};
    server_start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/letters.txt", s.port);
    for (int more = 0; more < 2; more++, d.limit++) {
        assert_int_equal(gp_partial_open(&p, path, false), GP_PARTIAL_READY);
        gp_transfer verdict = gp_download_run(&d, url);
        gp_partial_close(&p, false);
        assert_int_equal(verdict, more ? GP_TRANSFER_DONE : GP_TRANSFER_NO);
        if (!more)
            assert_failed_with("sends more than 25999 bytes, the limit for a file whose size is not known");
    }
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_without_length_and_end_is_refused),
        TEST(an_encoded_body_is_refused),
        TEST(an_encoding_of_nothing_is_none),
        TEST(a_part_that_was_not_asked_for_is_refused),
        TEST(other_answers_come_without_a_file),
        TEST(the_rest_of_a_file_of_unknown_size_is_read_anew),
        TEST(an_error_with_an_endless_page_is_an_error),
        TEST(a_file_of_unknown_size_has_a_limit),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
