/* Several files at once, the lock file, and room on the disk. */
#include "test.h"

#include "fetch/lock_file.h"
#include "fetch_letters.h"

enum { FILES = 3 };

/* Three files of letters on one server, in one set. */
typedef struct three {
    char urls[FILES][64], paths[FILES][96], names[FILES][8];
    const char *url[FILES];
    gp_catalog_file files[FILES];
    gp_catalog_entry set;
    gp_fetch_job jobs[FILES];
    int told, failures;
} three;

static void plan(three *t, const server *s, const char *sha256)
{
    *t = (three){.set = {.name = "three", .files = t->files, .file_count = FILES}};
    for (int i = 0; i < FILES; i++) {
        snprintf(t->names[i], sizeof t->names[i], "%d.txt", i);
        snprintf(t->urls[i], sizeof t->urls[i], "http://127.0.0.1:%d/%d.txt", s->port, i);
        snprintf(t->paths[i], sizeof t->paths[i], "%s/%d.txt", dir, i);
        t->url[i] = t->urls[i];
        t->files[i] = (gp_catalog_file){
            .path = t->names[i], .urls = t->url + i, .url_count = 1, .sha256 = sha256, .size = -1, .unpacked = -1};
        t->jobs[i] = (gp_fetch_job){.set = &t->set, .file = t->files + i, .path = t->paths[i]};
    }
}

static void count(void *self, const gp_fetch_job *job)
{
    three *t = self;
    t->told++;
    t->failures += job->failed;
    assert_true(!job->failed || *gp_error());
}

static int fetch_three(three *t, const char *lock)
{
    gp_fetch_options o = {.quiet = true, .retries = -1, .stall = 5, .lock = lock};
    t->told = t->failures = 0;
    return gp_fetch_files(t->jobs, FILES, &o, count, t);
}

static void files_come_at_the_same_time(void **state)
{
    (void)state;
    three t;
    server s = {.replies = {{.body = letters, .together = FILES}}}; /* no answer before all have asked */
    server_start(&s);
    plan(&t, &s, letters_sha256);
    assert_int_equal(fetch_three(&t, NULL), 0);
    server_stop(&s);
    assert_int_equal(t.told, FILES);
    for (int i = 0; i < FILES; i++) {
        assert_false(t.jobs[i].failed);
        assert_int_equal(t.jobs[i].how, GP_FETCHED_DOWNLOADED);
        assert_int_equal(t.jobs[i].size, LENGTH);
        assert_string_equal(t.jobs[i].sha256, letters_sha256);
        assert_true(gp_exists(t.paths[i]));
    }
}

static void a_failure_leaves_the_others_to_come(void **state)
{
    (void)state;
    three t;
    server s = {.replies = {{.status = 404}, {.body = letters}}};
    server_start(&s);
    plan(&t, &s, letters_sha256);
    assert_int_equal(fetch_three(&t, NULL), -1);
    assert_string_equal(gp_error(), "1 of 3 files could not be fetched");
    assert_int_equal(t.told, FILES);
    assert_int_equal(t.failures, 1);
    assert_int_equal(fetch_three(&t, NULL), 0); /* the next run asks for that one alone */
    server_stop(&s);
    assert_int_equal(s.requests, FILES + 1);
}

static void a_lock_file_holds_the_next_run_to_what_came_first(void **state)
{
    (void)state;
    three t;
    char lock[96], changed[LENGTH + 1];
    memset(changed, 'x', LENGTH);
    changed[LENGTH] = 0;
    snprintf(lock, sizeof lock, "%s/data.lock", dir);
    server s = {.replies = {{.body = letters}, {.body = letters}, {.body = letters}, {.body = changed}}};
    server_start(&s);
    plan(&t, &s, NULL); /* the catalog knows nothing */
    assert_int_equal(fetch_three(&t, lock), 0);
    gp_buf text = {0};
    assert_int_equal(gp_file_read(&text, lock, 4096), 0);
    for (int i = 0; i < FILES; i++)
        assert_non_null(strstr(text.data, t.names[i]));
    assert_non_null(strstr(text.data, letters_sha256));
    assert_non_null(strstr(text.data, "\"size\": 26000"));
    gp_buf_release(&text);

    unlink(t.paths[1]); /* and at its source it is another file now */
    gp_fetch_options o = {.quiet = true, .retries = -1, .lock = lock};
    assert_int_equal(gp_fetch_files(t.jobs + 1, 1, &o, NULL, NULL), -1);
    server_stop(&s);
    assert_non_null(strstr(gp_error(), letters_sha256));
    assert_non_null(strstr(gp_error(), "data.lock"));
    assert_false(gp_exists(t.paths[1]));
}

static void of_two_runs_that_got_different_files_the_second_fails(void **state)
{
    (void)state;
    char name[96], digits[65];
    const char *sha256;
    int64_t size;
    snprintf(name, sizeof name, "%s/data.lock", dir);
    memset(digits, '0', 64);
    digits[64] = 0;
    gp_lock_file *one = gp_lock_file_open(name), *two = gp_lock_file_open(name); /* before either has added */
    assert_non_null(one);
    assert_non_null(two);
    assert_int_equal(gp_lock_file_add(one, "set", "a", letters_sha256, LENGTH), 0);
    assert_int_equal(gp_lock_file_add(two, "set", "b", digits, 1), 0);
    assert_int_equal(gp_lock_file_add(two, "set", "a", letters_sha256, LENGTH), 0);
    assert_int_equal(gp_lock_file_add(two, "set", "a", digits, LENGTH), -1);
    assert_non_null(strstr(gp_error(), "data.lock: set: a: another run has just recorded the SHA-256 9bae04"));
    gp_lock_file_close(one);
    gp_lock_file_close(two);
    gp_lock_file *all = gp_lock_file_open(name);
    assert_true(gp_lock_file_find(all, "set", "a", &sha256, &size));
    assert_string_equal(sha256, letters_sha256);
    assert_true(gp_lock_file_find(all, "set", "b", &sha256, &size));
    gp_lock_file_close(all);
}

static void a_lock_file_that_says_otherwise_than_the_catalog_is_an_error(void **state)
{
    (void)state;
    three t;
    char lock[96];
    server s = {.replies = {{.body = letters}}};
    snprintf(lock, sizeof lock, "%s/data.lock", dir);
    static const char text[] = "{\"three\": {\"0.txt\": {\"sha256\": "
                               "\"86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed\"}}}";
    assert_int_equal(gp_file_write(lock, text, sizeof text - 1), 0);
    server_start(&s);
    plan(&t, &s, letters_sha256);
    gp_fetch_options o = {.quiet = true, .retries = -1, .lock = lock};
    assert_int_equal(gp_fetch_files(t.jobs, 1, &o, NULL, NULL), -1);
    server_stop(&s);
    assert_non_null(strstr(gp_error(), "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"));
    assert_non_null(strstr(gp_error(), letters_sha256));
    assert_int_equal(s.requests, 0);
}

/* Each begins a little later than the one before it, so that one may look just before another is done. */
static void *fetch_from_mirror(void *late)
{
    const char *const urls[] = {"https://example.org/letters.txt"};
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = letters_sha256, .size = -1};
    char mirror[96];
    snprintf(mirror, sizeof mirror, "%s/mirror", dir);
    gp_fetch_options o = {.quiet = true, .offline = true, .mirror = mirror};
    gp_fetched how;
    usleep((useconds_t)(intptr_t)late);
    return (void *)(intptr_t)(fetch_file(&f, path, &o, &how) ? -1 : how == GP_FETCHED_MIRROR);
}

static void of_many_at_once_one_brings_the_file(void **state)
{
    (void)state;
    enum { THREADS = 16, ROUNDS = 200 };
    char file[128];
    pthread_t threads[THREADS];
    snprintf(file, sizeof file, "%s/mirror/example.org/letters.txt", dir);
    assert_int_equal(gp_make_parent(file), 0);
    assert_int_equal(gp_file_write(file, letters, LENGTH), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t brought = 0;
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, fetch_from_mirror, (void *)(intptr_t)(50 * i)), 0);
        for (int i = 0; i < THREADS; i++) {
            void *one;
            pthread_join(threads[i], &one);
            assert_true((intptr_t)one >= 0);
            brought += (intptr_t)one;
        }
        assert_int_equal(brought, 1);
        assert_arrived();
        assert_int_equal(unlink(path), 0);
    }
}

static void what_has_no_room_is_not_begun(void **state)
{
    (void)state;
    three t;
    server s = {.replies = {{.body = letters}}};
    server_start(&s);
    plan(&t, &s, NULL);
    t.files[2].size = INT64_MAX;
    assert_int_equal(fetch_three(&t, NULL), -1);
    server_stop(&s);
    assert_non_null(strstr(gp_error(), "9.2 EB to download, the free space is only"));
    assert_int_equal(s.requests, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_come_at_the_same_time),
        TEST(a_failure_leaves_the_others_to_come),
        TEST(a_lock_file_holds_the_next_run_to_what_came_first),
        TEST(of_two_runs_that_got_different_files_the_second_fails),
        TEST(a_lock_file_that_says_otherwise_than_the_catalog_is_an_error),
        TEST(of_many_at_once_one_brings_the_file),
        TEST(what_has_no_room_is_not_begun),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
