/* Text on its way into a stream: cut at separators wherever a pipe happens to break, and what sidecars say. */
#include "gptpipe/text.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/gptpipe-text.XXXXXX", *a_txt, *b_txt, *a_json, *b_json;

static gp_text *open_two(bool twice)
{
    const char *paths[] = {a_txt, b_txt};
    return gp_text_open(&(gp_list){.items = paths, .count = 2}, &(gp_text_options){.twice = twice});
}

static void save(const char *path, const char *text)
{
    assert_int_equal(gp_file_write(path, text, strlen(text)), 0);
}

/* Writes what comes as "text|" for a separator behind it and "text$" for the end of a file. */
static void collect(gp_text *t, const char *separator, gp_buf *got)
{
    gp_text_part part;
    int rc;
    while ((rc = gp_text_next(t, separator, strlen(separator), &part)) > 0) {
        gp_buf_add(got, part.data, part.length);
        gp_buf_puts(got, part.separated ? "|" : "");
        gp_buf_puts(got, part.file_ends ? "$" : "");
    }
    assert_int_equal(rc, 0);
}

static void assert_parts(const char *separator, const char *want)
{
    gp_text *t = open_two(false);
    gp_buf got = {0};
    assert_non_null(t);
    collect(t, separator, &got);
    assert_string_equal(got.data, want);
    got.len = 0;
    gp_text_rewind(t);
    collect(t, separator, &got);
    assert_string_equal(got.data, want);
    gp_buf_release(&got);
    gp_text_close(t);
}

static void files_are_cut_at_separators_and_ends(void **state)
{
    (void)state;
    save(a_txt, "one--two---three--");
    save(b_txt, "--four");
    assert_parts("--", "one|two|-three|$|four$");
    assert_parts("", "one--two---three--$--four$");
    assert_parts("xyz", "one--two---three--$--four$");
    save(a_txt, "");
    assert_parts("--", "$|four$");
}

/* A child writes `text` in pieces of `step` bytes, so that separators lie across the reads. */
static gp_text *open_piped_as(const char *text, size_t n, size_t step, const gp_text_options *o, pid_t *child)
{
    int ends[2];
    char path[64];
    const char *paths[] = {path};
    assert_int_equal(pipe(ends), 0);
    *child = fork();
    if (!*child) {
        close(ends[0]);
        for (size_t at = 0; at < n; at += step)
            if (gp_write_all(ends[1], text + at, step < n - at ? step : n - at, "pipe"))
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    gp_text *t = gp_text_open(&(gp_list){.items = paths, .count = 1}, o);
    assert_non_null(t);
    close(ends[0]);
    return t;
}

static void a_pipe_is_cut_like_a_file_wherever_it_breaks(void **state)
{
    (void)state;
    size_t n = 700000; /* more than two reads */
    char *text = malloc(n + 1);
    gp_buf want = {0};
    for (size_t i = 0; i < n; i++)
        text[i] = "ab--"[i * i / 5 % 4];
    text[n] = 0;
    for (const char *p = text;;) { /* the definition */
        const char *end = strstr(p, "--");
        gp_buf_add(&want, p, end ? (size_t)(end - p) : strlen(p));
        gp_buf_puts(&want, end ? "|" : "$");
        if (!end)
            break;
        p = end + 2;
    }
    for (size_t step = 1; step < n; step = step * 7 + 4000) {
        pid_t child;
        int status;
        gp_buf got = {0};
        gp_text *t = open_piped_as(text, n, step, &(gp_text_options){0}, &child);
        assert_int_equal(gp_text_get_info(t)->bytes, -1);
        assert_null(gp_text_get_info(t)->sha256);
        collect(t, "--", &got);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        gp_buf_release(&got);
        gp_text_close(t);
    }
    gp_buf_release(&want);
    free(text);
}

static void files_are_described(void **state)
{
    (void)state;
    save(a_txt, "ab");
    save(b_txt, "c");
    gp_text *t = open_two(false);
    const gp_text_info *info = gp_text_get_info(t);
    assert_string_equal(info->name, "a.txt, b.txt");
    assert_int_equal(info->bytes, 3);
    /* printf abc | sha256sum */
    assert_string_equal(info->sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_null(info->separator);
    assert_null(info->entropy);
    gp_text_close(t);
}

/* A line a document, whatever the pipe does to the lines; blank ones do not count. */
static void json_lines_are_documents(void **state)
{
    (void)state;
    static const char lines[] = "{\"t\": \"a\\u0000b\"}\n\n \t\r\n{\"t\": \"\"}\r\n{\"x\": 1, \"t\": \"\\u20ac\"}";
    const char *paths[] = {a_txt};
    save(a_txt, lines);
    for (size_t step = 0; step < sizeof lines; step = step * 2 + 1) { /* 0: from the file */
        static const struct {
            const char *text;
            size_t length;
            int64_t begin, end;
            const char *file;
        } want[] = {{"a\0b", 3, 0, 18, "line 1"}, {"", 0, 23, 34, "line 4"}, {"\xe2\x82\xac", 3, 34, 57, "line 5"}};
        const gp_text_options o = {.jsonl = "t"};
        gp_text_part part;
        pid_t child = 0;
        gp_text *t = step ? open_piped_as(lines, sizeof lines - 1, step, &o, &child)
                          : gp_text_open(&(gp_list){.items = paths, .count = 1}, &o);
        for (size_t i = 0; i < ARRAY_LEN(want); i++) {
            assert_int_equal(gp_text_next(t, "", 0, &part), 1);
            assert_int_equal(part.length, want[i].length);
            assert_memory_equal(part.data, want[i].text, part.length);
            assert_true(part.separated);
            assert_non_null(strstr(part.file, want[i].file));
            assert_int_equal(part.begin, want[i].begin);
            assert_int_equal(part.end, want[i].end);
        }
        if (!part.file_ends) { /* a pipe's end is seen only behind it */
            assert_int_equal(gp_text_next(t, "", 0, &part), 1);
            assert_int_equal(part.length, 0);
            assert_false(part.separated);
            assert_true(part.file_ends);
        }
        assert_int_equal(gp_text_next(t, "", 0, &part), 0);
        gp_text_close(t);
        if (child)
            waitpid(child, NULL, 0);
    }
}

static void sidecars_that_agree_are_joined(void **state)
{
    (void)state;
    save(a_json, "{\"separator\": \"\\n\\n\", \"entropy\": {\"nats\": [1.5, 2.0], \"chars\": [3, 4]}}");
    save(b_json, "{\"separator\": \"\\n\\n\", \"entropy\": {\"nats\": [0.25], \"chars\": [5]}}");
    gp_text *t = open_two(false);
    const gp_text_info *info = gp_text_get_info(t);
    assert_int_equal(info->separator_length, 2);
    assert_string_equal(info->separator, "\n\n");
    assert_string_equal(info->entropy, "{\"nats\":[1.5,2.0,0.25],\"chars\":[3,4,5]}");
    assert_int_equal(info->entropy_documents, 3);
    gp_text_close(t);
}

static void what_only_one_sidecar_says_is_dropped(void **state)
{
    (void)state;
    save(a_json, "{\"separator\": \"\\n\\n\", \"entropy\": {\"nats\": [1.5], \"chars\": [3]}}");
    save(b_json, "{\"separator\": \"\\n\\n\"}");
    gp_text *t = open_two(false);
    assert_string_equal(gp_text_get_info(t)->separator, "\n\n");
    assert_null(gp_text_get_info(t)->entropy);
    gp_text_close(t);
    unlink(b_json);
    t = open_two(false);
    assert_null(gp_text_get_info(t)->separator);
    assert_null(gp_text_get_info(t)->entropy);
    gp_text_close(t);
}

static void a_limit_that_all_sidecars_have_is_kept(void **state)
{
    (void)state;
    static const char limit[] = "{\"bayes\": {\"accuracy\": 0.75, \"loss\": 0.5, \"posterior\": [0.1]}}";
    save(a_json, limit);
    save(b_json, limit);
    gp_text *t = open_two(false);
    assert_string_equal(gp_text_get_info(t)->bayes, "{\"accuracy\":0.75,\"loss\":0.5}");
    gp_text_close(t);
    save(b_json, "{\"bayes\": {\"accuracy\": 0.5, \"loss\": 0.5}}");
    t = open_two(false);
    assert_null(gp_text_get_info(t)->bayes);
    gp_text_close(t);
    unlink(b_json);
}

/* Lines are documents, so only the limit counts of the sidecar of JSON Lines. */
static void a_sidecar_of_json_lines_has_no_documents(void **state)
{
    (void)state;
    const char *paths[] = {a_txt};
    save(a_txt, "{\"t\": \"a\"}\n");
    save(a_json, "{\"separator\": \"x\", \"entropy\": {\"nats\": [1], \"chars\": [2]}, "
                 "\"bayes\": {\"accuracy\": 1, \"loss\": 0}}");
    gp_text *t = gp_text_open(&(gp_list){.items = paths, .count = 1}, &(gp_text_options){.jsonl = "t"});
    assert_non_null(t);
    assert_null(gp_text_get_info(t)->separator);
    assert_null(gp_text_get_info(t)->entropy);
    assert_string_equal(gp_text_get_info(t)->bayes, "{\"accuracy\":1.0,\"loss\":0.0}");
    gp_text_close(t);
}

static void each_bad_sidecar_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "is not JSON"},
        {"{\"separator\": 7}", "its separator is not a string"},
        {"{\"separator\": \"\"}", "its separator is not a string"},
        {"{\"entropy\": {\"nats\": [1], \"chars\": []}}", "two lists of the same length"},
        {"{\"entropy\": 7}", "two lists of the same length"},
        {"{\"entropy\": {\"nats\": [\"x\"], \"chars\": [1]}}", "item 0 of its nats"},
        {"{\"entropy\": {\"nats\": [1], \"chars\": [-1]}}", "item 0 of its chars"},
        {"{\"bayes\": {\"accuracy\": 0.5}}", "its bayes is not an accuracy from 0 to 1 and a loss of 0 or more"},
        {"{\"bayes\": {\"accuracy\": 1.5, \"loss\": 1}}", "its bayes is not an accuracy from 0 to 1"},
        {"{\"separator\": \"x\", \"source\": {\"sha256\": \"00\"}}", "belongs to another text"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        save(a_json, cases[i][0]);
        assert_null(open_two(false));
        if (!strstr(gp_error(), cases[i][1]) || !strstr(gp_error(), "a.txt.json"))
            fail_msg("said '%s', expected '%s' in it", gp_error(), cases[i][1]);
    }
    save(a_json, "{\"made by\": \"something else\"}");
    gp_text *t = open_two(false);
    assert_non_null(t);
    gp_text_close(t);
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    a_txt = gp_path_join(dir, "a.txt");
    b_txt = gp_path_join(dir, "b.txt");
    a_json = gp_path_join(dir, "a.txt.json");
    b_json = gp_path_join(dir, "b.txt.json");
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char *paths[] = {a_txt, b_txt, a_json, b_json};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_cut_at_separators_and_ends),
        cmocka_unit_test(a_pipe_is_cut_like_a_file_wherever_it_breaks),
        cmocka_unit_test(files_are_described),
        cmocka_unit_test(json_lines_are_documents),
        cmocka_unit_test(sidecars_that_agree_are_joined),
        cmocka_unit_test(what_only_one_sidecar_says_is_dropped),
        cmocka_unit_test(a_limit_that_all_sidecars_have_is_kept),
        cmocka_unit_test(a_sidecar_of_json_lines_has_no_documents),
        cmocka_unit_test(each_bad_sidecar_is_named),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
