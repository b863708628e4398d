/* The catalog: what a file of data sets may say, and what it may not. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gptpipe/fetch.h"

static char path[64];

static int make_file(void **state)
{
    (void)state;
    strcpy(path, "/tmp/gptpipe-catalog-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

/* The catalog with a set "x" of one file, whose members are given. */
static gp_catalog *with_file(const char *members)
{
    char *text = gp_format("{\"x\": {\"note\": \"n\", \"licence\": \"l\", \"files\": [{%s}]}}", members);
    assert_int_equal(gp_file_write(path, text, strlen(text)), 0);
    free(text);
    return gp_catalog_open(path);
}

static void assert_refused(const char *members, const char *words)
{
    gp_catalog *c = with_file(members);
    if (c || !strstr(gp_error(), words))
        fail_msg("{%s} gives \"%s\", not \"%s\"", members, c ? "a catalog" : gp_error(), words);
}

static void a_file_may_know_little(void **state)
{
    (void)state;
    gp_catalog *c = with_file("\"path\": \"a/b.txt\", \"urls\": [\"https://h/b\", \"http://i/b\"]");
    assert_non_null(c);
    const gp_catalog_file *f = gp_catalog_find(c, "x")->files;
    assert_string_equal(f->path, "a/b.txt");
    assert_int_equal(f->url_count, 2);
    assert_string_equal(f->urls[1], "http://i/b");
    assert_null(f->sha256);
    assert_int_equal(f->size, -1);
    assert_int_equal(f->shard, 0);
    gp_catalog_close(c);
}

static void a_series_stands_for_its_files(void **state)
{
    (void)state;
    gp_catalog *c = with_file("\"path\": \"s/{098..101}.bin\", \"size\": 7, "
                              "\"urls\": [\"https://h/{098..101}.bin\", \"https://i/a{098..101}b?{\"]");
    assert_non_null(c);
    const gp_catalog_entry *d = gp_catalog_find(c, "x");
    assert_int_equal(d->file_count, 4);
    static const char *const numbers[] = {"098", "099", "100", "101"};
    for (int i = 0; i < 4; i++) {
        const gp_catalog_file *f = d->files + i;
        char wanted[32];
        snprintf(wanted, sizeof wanted, "s/%s.bin", numbers[i]);
        assert_string_equal(f->path, wanted);
        snprintf(wanted, sizeof wanted, "https://h/%s.bin", numbers[i]);
        assert_string_equal(f->urls[0], wanted);
        snprintf(wanted, sizeof wanted, "https://i/a%sb?{", numbers[i]);
        assert_string_equal(f->urls[1], wanted);
        assert_int_equal(f->size, 7);
        assert_int_equal(f->shard, i + 1);
        assert_int_equal(f->shards, 4);
    }
    gp_catalog_close(c);
}

static void what_is_no_series_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"a{1..}", "a{b}",     "{3..1}", "{-1..4}",       "{1..2}{1..2}",
                                        "a}b",    "{1 .. 2}", "{1..2",  "{1..99999999}", "{0000001..2}"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *members = gp_format("\"path\": \"%s\", \"urls\": [\"https://h/%s\"]", names[i], names[i]);
        assert_refused(members, "is no series of files: expected {FIRST..LAST}");
        free(members);
    }
    assert_refused("\"path\": \"{1..2}\", \"urls\": [\"https://h/{1..2}\", \"https://h/{1..3}\"]",
                   "x: url 2 of a series lacks its {1..2}");
    assert_refused("\"path\": \"{1..2}\", \"urls\": [\"https://h/{1..2}\"], "
                   "\"sha256\": \"86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed\"",
                   "a sha256 cannot be that of all files of the series {1..2}");
}

static void only_the_web_is_a_source_and_only_below_its_host(void **state)
{
    (void)state;
    static const char *const urls[] = {"ftp://h/a",      "file:///etc/passwd",   "h/a", "https:///a",
                                       "https://h/../a", "https://h/a\\nHeader", "",    "https://"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        char *members = gp_format("\"path\": \"a\", \"urls\": [\"%s\"]", urls[i]);
        assert_refused(members, "url 1 is not https://host/path");
        free(members);
    }
}

static void a_file_stays_in_its_folder(void **state)
{
    (void)state;
    static const char *const paths[] = {"../a", "a/../../b", "/a", "", "a/.."};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char *members = gp_format("\"path\": \"%s\", \"urls\": [\"https://h/a\"]", paths[i]);
        assert_refused(members, "leads out of its folder");
        free(members);
    }
}

static void what_is_said_of_a_file_has_its_form(void **state)
{
    (void)state;
    assert_refused("\"path\": \"a\"", "is not {path, urls, sha256, size, unpack, unpacked}");
    assert_refused("\"path\": \"a\", \"urls\": []", "urls is not a list of 1 to 100");
    assert_refused("\"path\": \"a\", \"urls\": [7]", "url 1 is not https://host/path");
    assert_refused("\"path\": \"a\", \"urls\": [\"https://h/a\"], \"sha256\": \"86C4\"",
                   "sha256 is \"86C4\", expected 64 digits of 0-9a-f");
    assert_refused("\"path\": \"a\", \"urls\": [\"https://h/a\"], \"size\": -2", "size is -2");
    assert_refused("\"path\": \"a\", \"urls\": [\"https://h/a\"], \"unpacked\": -7", "unpacked is -7");
    assert_refused("\"path\": \"a\", \"urls\": [\"https://h/a\"], \"md5\": \"1\"",
                   "is not {path, urls, sha256, size, unpack, unpacked}");
}

static void a_path_is_that_of_a_file(void **state)
{
    (void)state;
    static const char *const paths[] = {"a/", ".", "a/.", "a\\nb"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char *members = gp_format("\"path\": \"%s\", \"urls\": [\"https://h/a\"]", paths[i]);
        assert_refused(members, "is not a file name");
        free(members);
    }
    assert_refused("\"path\": \"a\", \"urls\": [\"https://h/a\"]}, {\"path\": \"a\", \"urls\": [\"https://h/b\"]",
                   "x: two files have the path a");
}

static void what_is_said_of_a_set_has_its_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{\"x\": {\"note\": \"n\", \"licence\": \"l\", \"files\": []}}", "x: files is empty"},
        {"{\"\": {\"note\": \"n\", \"licence\": \"l\", \"files\": []}}", "is not a data set name"},
        {"{\"a/b\": {\"note\": \"n\", \"licence\": \"l\", \"files\": []}}", "is not a data set name"},
        {"{\"a\\nb\": {\"note\": \"n\", \"licence\": \"l\", \"files\": []}}", "is not a data set name"},
        {"{\"x\": {\"note\": \"n\\u001b[2J\", \"licence\": \"l\", \"files\": []}}", "are a line each"},
        {"{\"stories\": {\"note\": \"n\", \"licence\": \"l\", \"files\": [],"
         " \"items\": {\"kind\": \"text\", \"splits\": {\"a\": \"../../b\"}}}}",
         "split a: path \"../../b\" leads out of its folder"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(gp_file_write(path, cases[i].text, strlen(cases[i].text)), 0);
        gp_catalog *c = gp_catalog_open(path);
        if (c || !strstr(gp_error(), cases[i].words))
            fail_msg("%s gives \"%s\", not \"%s\"", cases[i].text, c ? "a catalog" : gp_error(), cases[i].words);
    }
}

static void a_series_that_goes_on_is_one(void **state)
{
    (void)state;
    gp_catalog *c = with_file("\"path\": \"a{8..9}\", \"urls\": [\"https://h/{8..9}\"], \"size\": 5},"
                              "{\"path\": \"a{10..10}\", \"urls\": [\"https://h/{10..10}\"]},"
                              "{\"path\": \"b{11..12}\", \"urls\": [\"https://h/{11..12}\"]},"
                              "{\"path\": \"b{14..14}\", \"urls\": [\"https://h/{14..14}\"]");
    static const struct {
        const char *path;
        int shard, shards, size;
    } want[] = {{"a8", 1, 3, 5},   {"a9", 2, 3, 5},   {"a10", 3, 3, -1},
                {"b11", 1, 2, -1}, {"b12", 2, 2, -1}, {"b14", 1, 1, -1}};
    assert_non_null(c);
    const gp_catalog_entry *d = gp_catalog_find(c, "x");
    assert_int_equal(d->file_count, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_string_equal(d->files[i].path, want[i].path);
        assert_int_equal(d->files[i].shard, want[i].shard);
        assert_int_equal(d->files[i].shards, want[i].shards);
        assert_int_equal(d->files[i].size, want[i].size);
    }
    gp_catalog_close(c);
}

static bool has_file(const gp_catalog_entry *d, const char *name)
{
    for (int i = 0; i < d->file_count; i++)
        if (!strcmp(d->files[i].path, name))
            return true;
    return false;
}

/* A wrong digit in it would keep a data set from everybody; what can be checked without the network is. */
static void the_built_in_catalog_holds_together(void **state)
{
    (void)state;
    static const char *const names[] = {
        "stories",     "shakespeare",  "tinystories",      "wikitext-2", "wikitext-103", "enwik8",         "imdb",
        "fineweb-edu", "lambada",      "hellaswag",        "gpt2",       "gpt2-medium",  "gpt2-tokenizer", "gpt2-large",
        "gpt2-xl",     "roberta-base", "bert-base-uncased"};
    gp_catalog *c = gp_catalog_open(NULL);
    assert_non_null(c);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_non_null(gp_catalog_find(c, names[i]));
    for (int i = 0; i < gp_catalog_count(c); i++) {
        const gp_catalog_entry *d = gp_catalog_get(c, i);
        assert_true(strlen(d->note) < 110);
        bool unchecked = !strcmp(d->name, "gpt2-large") || !strcmp(d->name, "fineweb-edu"); /* as the manual says */
        for (int j = 0; j < d->file_count; j++)
            assert_true(!d->files[j].sha256 == unchecked);
        for (int k = 0; d->items && d->file_count && !d->files->unpack && k < d->items->split_count; k++)
            assert_true(has_file(d, d->items->split_paths[k]));
        for (int j = 0; j < d->file_count; j++) {
            for (int u = 0; u < d->files[j].url_count; u++)
                assert_memory_equal(d->files[j].urls[u], "https://", 8);
            for (int k = 0; k < j && j < 100; k++)
                assert_string_not_equal(d->files[j].path, d->files[k].path);
        }
    }
    assert_int_equal(gp_catalog_find(c, "fineweb-edu")->file_count, 1 + 1001);
    gp_catalog_close(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)

/* Each set was looked for among all before it: minutes. */
static void a_catalog_of_many_sets_is_read_in_linear_time(void **state)
{
    (void)state;
    enum { SETS = 50000 };
    gp_buf b = {0};
    for (int i = 0; i < SETS; i++)
        gp_buf_printf(&b,
                      "%s\"set%d\": {\"note\": \"n\", \"licence\": \"l\", \"files\": [{\"path\": \"p\", \"urls\": "
                      "[\"https://h/p\"]}]}",
                      i ? ",\n" : "{", i);
    gp_buf_puts(&b, "}");
    assert_int_equal(gp_file_write(path, b.data, b.len), 0);
    gp_buf_release(&b);
    clock_t began = clock();
    gp_catalog *c = gp_catalog_open(path);
    assert_non_null(c);
    assert_non_null(gp_catalog_find(c, "set49999"));
    assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
    gp_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_may_know_little),
        TEST(a_series_stands_for_its_files),
        TEST(what_is_no_series_is_refused),
        TEST(only_the_web_is_a_source_and_only_below_its_host),
        TEST(a_file_stays_in_its_folder),
        TEST(what_is_said_of_a_file_has_its_form),
        TEST(a_path_is_that_of_a_file),
        TEST(what_is_said_of_a_set_has_its_form),
        TEST(a_series_that_goes_on_is_one),
        TEST(the_built_in_catalog_holds_together),
        TEST(a_catalog_of_many_sets_is_read_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
