/* Fetching what looks right: the size is that of the file, the bytes are not; or the SHA-256 is, but for one digit. */
#include "test.h"

#include "fetch/lock_file.h"
#include "fetch_letters.h"

/* The file with another letter in it. */
static void save_altered(const char *name, size_t at)
{
    char altered[LENGTH];
    memcpy(altered, letters, LENGTH);
    altered[at] = '!';
    assert_int_equal(gp_file_write(name, altered, LENGTH), 0);
}

static void a_file_of_the_right_size_with_one_wrong_byte_is_replaced(void **state)
{
    (void)state;
    static const size_t places[] = {0, 12345, LENGTH - 1};
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    for (int i = 0; i < 3; i++) {
        save_altered(path, places[i]);
        assert_int_equal(fetch(&s), 0);
        assert_arrived();
        assert_int_equal(s.requests, i + 1);
    }
    server_stop(&s);
}

static void a_part_of_the_right_size_with_one_wrong_byte_is_read_anew(void **state)
{
    (void)state;
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    save_altered(part, LENGTH - 1);
    assert_int_equal(fetch(&s), 0);
    server_stop(&s);
    assert_arrived();
}

static void a_sha256_counts_to_its_last_digit(void **state)
{
    (void)state;
    static const int places[] = {0, 31, 63};
    for (int i = 0; i < 3; i++) {
        char other[65];
        strcpy(other, letters_sha256);
        other[places[i]] = other[places[i]] == '7' ? '8' : '7';
        server s = {.replies = {{.body = letters}}};
        server_start(&s);
        assert_int_equal(fetch_known(&s, other, LENGTH), -1);
        assert_failed_with("its SHA-256 is 9bae04");
        assert_false(gp_exists(part));
        /* nor is what lies there already that file */
        assert_int_equal(gp_file_write(path, letters, LENGTH), 0);
        assert_int_equal(fetch_known(&s, other, LENGTH), -1);
        assert_non_null(strstr(gp_error(), "its SHA-256 is 9bae04"));
        server_stop(&s);
        assert_int_equal(s.requests, 2);
        unlink(path);
    }
}

static void a_lock_files_sha256_counts_to_its_last_digit(void **state)
{
    (void)state;
    char name[96], other[65];
    const char *const urls[] = {"http://127.0.0.1:9/letters.txt"};
    snprintf(name, sizeof name, "%s/data.lock", dir);
    strcpy(other, letters_sha256);
    other[63]++;
    gp_lock_file *lock = gp_lock_file_open(name);
    assert_int_equal(gp_lock_file_add(lock, "set", "letters.txt", other, LENGTH), 0);
    gp_lock_file_close(lock);
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = letters_sha256, .size = LENGTH};
    gp_catalog_entry set = {.name = "set", .files = &f, .file_count = 1};
    gp_fetch_job job = {.set = &set, .file = &f, .path = path};
    gp_fetch_options o = {.quiet = true, .retries = -1, .lock = name};
    assert_int_equal(gp_fetch_files(&job, 1, &o, NULL, NULL), -1);
    assert_non_null(strstr(gp_error(), "but 9bae04"));
}

/* Asked for bytes from 10000 on, with nothing but the ETag to tell the file by, a server sends others: as many as are
 * missing, so that the size comes out right. */
static void a_rest_that_begins_elsewhere_is_not_joined(void **state)
{
    (void)state;
    static const long off[] = {-1, -1000, 1, 1000};
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        server s = {.replies = {{.body = letters, .etag = "\"v1\"", .cut = 10000},
                                {.body = letters, .etag = "\"v1\"", .off = off[i], .most = LENGTH - 10000},
                                {.body = letters, .etag = "\"v1\""}}};
        server_start(&s);
        assert_int_equal(fetch_known(&s, NULL, -1), 0);
        server_stop(&s);
        assert_arrived();
        assert_asked_from(&s, 1, 10000);
        assert_asked_from(&s, 2, 0);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_of_the_right_size_with_one_wrong_byte_is_replaced),
        TEST(a_part_of_the_right_size_with_one_wrong_byte_is_read_anew),
        TEST(a_sha256_counts_to_its_last_digit),
        TEST(a_lock_files_sha256_counts_to_its_last_digit),
        TEST(a_rest_that_begins_elsewhere_is_not_joined),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
