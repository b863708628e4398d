/* Folders with a tokenizer and what stands beside it: ids as AutoTokenizer of transformers gives them.
 * tests/reference/tokenizer_folders.py (BPE), roberta_folders.py and wordpiece_grid.py write the cases;
 * $GPTPIPE_FOLDERS names a file with more of them. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "gptpipe/encoding.h"
#include "gptpipe/tokenizer.h"
#include "test.h"

static json_t *all;
static const char *source; /* of the cases */
static char root[32], *folder;

/* A vocabulary as it differs from the base's. */
static json_t *make_vocab(const json_t *differs)
{
    json_t *vocab = json_deep_copy(json_object_get(json_object_get(json_object_get(all, "base"), "model"), "vocab"));
    size_t i;
    json_t *word;
    json_array_foreach (json_object_get(differs, "without"), i, word)
        json_object_del(vocab, json_string_value(word));
    json_object_update(vocab, json_object_get(differs, "words"));
    return vocab;
}

/* What is in a file of a case; the caller frees. */
static char *make_text(const char *name, json_t *value)
{
    json_t *made = NULL;
    if (json_is_string(value))
        return gp_strdup(json_string_value(value));
    if (!strcmp(name, "merges.txt"))
        return gp_strdup(json_string_value(json_object_get(all, "merges")));
    if (!strcmp(name, "vocab.json")) {
        made = make_vocab(value);
    } else if (!strcmp(name, "tokenizer.json")) {
        made = json_deep_copy(json_object_get(all, "base"));
        json_object_update_existing(made, value);
        json_object_set_new(json_object_get(made, "model"), "vocab", make_vocab(value));
    }
    char *text = json_dumps(made ? made : value, 0);
    json_decref(made);
    return text;
}

/* Writes a case's files into a fresh folder, or removes them and it. */
static void put_files(const json_t *files, bool there)
{
    const char *name;
    json_t *value;
    assert_true(!there || !mkdir(folder, 0700));
    json_object_foreach ((json_t *)(uintptr_t)files, name, value) {
        char *path = gp_path_join(folder, name), *text = make_text(name, value);
        assert_int_equal(there ? gp_file_write(path, text, strlen(text)) : remove(path), 0);
        free(text);
        free(path);
    }
    assert_true(there || !remove(folder));
}

static void assert_ids(size_t number, const char *how, const json_t *text, const json_t *want, const int32_t *ids,
                       int64_t count)
{
    gp_buf expected = {0}, found = {0};
    size_t i;
    json_t *id;
    json_array_foreach (want, i, id)
        gp_buf_printf(&expected, " %lld", (long long)json_integer_value(id));
    for (int64_t k = 0; k < count; k++)
        gp_buf_printf(&found, " %d", ids[k]);
    if (strcmp(expected.data ? expected.data : "", found.data ? found.data : ""))
        fail_msg("case %zu, %s, text %s: ids%s, expected%s", number, how, json_dumps(text, JSON_ENCODE_ANY),
                 found.data ? found.data : "", expected.data ? expected.data : "");
    gp_buf_release(&expected);
    gp_buf_release(&found);
}

/* A text, of which these are the ids, as the second of a pair. */
static void check_pair(size_t number, const gp_tokenizer *t, const json_t *one, const int32_t *ids, int64_t count)
{
    enum { AROUND = 4 };
    static const char first[] = "the ab";
    int32_t *a;
    int64_t n;
    assert_int_equal(gp_tokenizer_encode(t, first, strlen(first), true, &a, &n), 0);
    int32_t *whole = gp_malloc((size_t)(n + count + AROUND) * sizeof *whole);
    int64_t all = gp_tokenizer_assemble(t, a, n, ids, count, n + count + AROUND, GP_TRUNCATE_NONE, whole, NULL);
    assert_ids(number, "as the second text of a pair", json_object_get(one, "text"), json_object_get(one, "pair"),
               whole, all);
    free(whole);
    free(a);
}

/* The text of ids, if it is given. */
static void check_decoded(size_t number, const gp_tokenizer *t, const json_t *one, const int32_t *ids, int64_t count)
{
    char text[256];
    size_t n;
    const char *want = json_string_value(json_object_get(one, "decoded"));
    if (!want)
        return;
    assert_int_equal(gp_tokenizer_decode(t, ids, count, text, sizeof text, &n), count);
    if (n != strlen(want) || memcmp(text, want, n))
        fail_msg("case %zu: decoded \"%.*s\", expected \"%s\"", number, (int)n, text, want);
}

static void check(size_t number, const char *how, const gp_tokenizer *t, const json_t *one)
{
    const json_t *text = json_object_get(one, "text");
    int32_t *ids;
    int64_t count, before, after;
    const int32_t *first = gp_tokenizer_prefix(t, &before), *last = gp_tokenizer_suffix(t, &after);
    assert_int_equal(gp_tokenizer_encode(t, json_string_value(text), json_string_length(text), true, &ids, &count), 0);
    assert_ids(number, how, text, json_object_get(one, "special"), ids, count);
    int32_t *plain;
    int64_t plain_count;
    assert_int_equal(
        gp_tokenizer_encode(t, json_string_value(text), json_string_length(text), false, &plain, &plain_count), 0);
    assert_ids(number, "special tokens as text", text, json_object_get(one, "plain"), plain, plain_count);
    free(plain);
    int32_t *whole = gp_malloc((size_t)(before + count + after) * sizeof *whole);
    for (int64_t i = 0; i < before; i++)
        whole[i] = first[i];
    memcpy(whole + before, ids, (size_t)count * sizeof *whole);
    for (int64_t i = 0; i < after; i++)
        whole[before + count + i] = last[i];
    assert_ids(number, "with what stands around it", text, json_object_get(one, "full"), whole, before + count + after);
    check_decoded(number, t, one, whole, before + count + after);
    free(whole);
    if (json_object_get(one, "pair"))
        check_pair(number, t, one, ids, count);
    free(ids);
}

static void a_folders_ids_are_those_of_transformers(void **state)
{
    (void)state;
    size_t number, i;
    json_t *one, *text;
    json_array_foreach (json_object_get(all, "cases"), number, one) {
        const json_t *files = json_object_get(one, "files");
        put_files(files, true);
        gp_tokenizer *t = gp_tokenizer_open(folder);
        if (!t)
            fail_msg("case %zu: %s", number, gp_error());
        char *json = gp_tokenizer_to_json(t);
        gp_tokenizer *again = gp_tokenizer_from_json(json, strlen(json), "written");
        if (!again)
            fail_msg("case %zu, written: %s", number, gp_error());
        json_array_foreach (json_object_get(one, "texts"), i, text) {
            check(number, "as read", t, text);
            check(number, "as written", again, text);
        }
        free(json);
        gp_tokenizer_close(again);
        gp_tokenizer_close(t);
        put_files(files, false);
    }
    assert_true(number > 20);
}

static int open_cases(void **state)
{
    (void)state;
    json_error_t e;
    strcpy(root, "/tmp/tokenizer-folders-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    folder = gp_path_join(root, "folder");
    all = json_load_file(source, JSON_ALLOW_NUL, &e);
    if (!all)
        fprintf(stderr, "%s: line %d: %s\n", source, e.line, e.text);
    return all ? 0 : -1;
}

static int close_cases(void **state)
{
    (void)state;
    json_decref(all);
    free(folder);
    return gp_folder_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folders_ids_are_those_of_transformers),
    };
    static const char *const files[] = {TEST_DIR "/reference/tokenizer_folders.json",
                                        TEST_DIR "/reference/wordpiece_folders.json",
                                        TEST_DIR "/reference/roberta_folders.json"};
    int failed = 0;
    source = getenv("GPTPIPE_FOLDERS");
    if (source)
        return cmocka_run_group_tests(tests, open_cases, close_cases);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        source = files[i];
        failed += cmocka_run_group_tests(tests, open_cases, close_cases);
    }
    return failed;
}
