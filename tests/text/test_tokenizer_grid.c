/* tokenizer.json in many ways of writing: ids as Hugging Face's tokenizers gives them, or a refusal that names the
 * setting. tests/reference/tokenizer_grid.py (BPE) and wordpiece_grid.py write the cases; $GPTPIPE_GRID names a file
 * with more of them. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gptpipe/encoding.h"
#include "gptpipe/tokenizer.h"
#include "test.h"

static json_t *grid;
static const char *source; /* of the grid */

/* A case's tokenizer.json: the base with what differs. The caller frees. */
static char *write_case(const json_t *one)
{
    json_t *root = json_deep_copy(json_object_get(grid, "base")), *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab"), *name;
    size_t i;
    json_array_foreach (json_object_get(one, "drop"), i, name)
        json_object_del(model, json_string_value(name));
    json_array_foreach (json_object_get(one, "without"), i, name)
        json_object_del(vocab, json_string_value(name));
    if (json_object_get(one, "root"))
        json_object_update(root, json_object_get(one, "root"));
    if (json_object_get(one, "model"))
        json_object_update(model, json_object_get(one, "model"));
    if (json_object_get(one, "words"))
        json_object_update(vocab, json_object_get(one, "words"));
    char *text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

typedef struct found {
    int32_t *ids;
    int64_t count;
} found;

static int collect(void *self, const int32_t *ids, int64_t count)
{
    found *f = self;
    f->ids = gp_realloc(f->ids, (size_t)(f->count + count), sizeof *f->ids);
    memcpy(f->ids + f->count, ids, (size_t)count * sizeof *ids);
    f->count += count;
    return 0;
}

/* part: bytes that are fed at once; 0: all by one call. */
static int encode(const gp_tokenizer *t, const char *text, size_t n, bool special, size_t part, found *f)
{
    int rc = 0;
    *f = (found){0};
    if (!part)
        return special ? gp_tokenizer_encode(t, text, n, true, &f->ids, &f->count)
                       : gp_tokenizer_encode(t, text, n, false, &f->ids, &f->count);
    gp_encoder *e = gp_encoder_open(t, collect, f);
    if (special)
        gp_encoder_allow_special(e);
    for (size_t at = 0; at < n && !rc; at += part)
        rc = gp_encoder_feed(e, text + at, part < n - at ? part : n - at);
    if (!rc)
        rc = gp_encoder_end(e);
    gp_encoder_close(e);
    return rc;
}

static void print_ids(gp_buf *b, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        gp_buf_printf(b, " %d", ids[i]);
}

static void assert_same(size_t number, const char *how, const json_t *text, const json_t *want, const found *got)
{
    gp_buf b = {0}, c = {0};
    size_t i;
    json_t *id;
    json_array_foreach (want, i, id)
        gp_buf_printf(&b, " %lld", (long long)json_integer_value(id));
    print_ids(&c, got->ids, got->count);
    const char *expected = b.data ? b.data : "", *found = c.data ? c.data : "";
    if (strcmp(expected, found))
        fail_msg("case %zu, %s, text %s: ids%s, expected%s", number, how, json_dumps(text, JSON_ENCODE_ANY), found,
                 expected);
    gp_buf_release(&b);
    gp_buf_release(&c);
}

/* All ways to encode one text. */
static void check_text(size_t number, const gp_tokenizer *t, const char *what, const json_t *one)
{
    static const size_t parts[] = {0, 1, 2, 3, 7};
    const json_t *text = json_object_get(one, "text");
    size_t n = json_string_length(text);
    for (int k = 0; k < 2; k++) {
        const json_t *want = json_object_get(one, k ? "special" : "plain");
        if (json_is_string(want)) /* not known */
            continue;
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            found f;
            char how[64];
            snprintf(how, sizeof how, "%s%s in parts of %zu", what, k ? ", special" : "", parts[i]);
            int rc = encode(t, json_string_value(text), n, k, parts[i], &f);
            if (json_is_null(want) && rc && strstr(gp_error(), "is not in the vocabulary")) {
                free(f.ids);
                continue;
            }
            if (rc || json_is_null(want))
                fail_msg("case %zu, %s, text %s: %s", number, how, json_dumps(text, JSON_ENCODE_ANY),
                         rc ? gp_error() : "encoded, expected an error");
            assert_same(number, how, text, want, &f);
            free(f.ids);
        }
    }
}

/* Without special tokens or with them, the ids and their offsets. */
static void check_offsets(size_t number, const gp_tokenizer *t, const char *what, const json_t *one)
{
    static const char *const keys[] = {"plain_offsets", "special_offsets"};
    const json_t *text = json_object_get(one, "text");
    for (int k = 0; k < 2 && json_object_get(one, keys[k]); k++) {
        found f, places = {0};
        int64_t *offsets;
        char how[64];
        snprintf(how, sizeof how, "%s, %s", what, keys[k]);
        assert_int_equal(gp_tokenizer_encode_offsets(t, json_string_value(text), json_string_length(text), k, &f.ids,
                                                     &offsets, &f.count),
                         0);
        for (int64_t i = 0; i < 2 * f.count; i++)
            collect(&places, &(int32_t){(int32_t)offsets[i]}, 1);
        assert_same(number, how, text, json_object_get(one, k ? "special" : "plain"), &f);
        assert_same(number, how, text, json_object_get(one, keys[k]), &places);
        free(f.ids);
        free(places.ids);
        free(offsets);
    }
}

/* before + special + after */
static void check_template(size_t number, const gp_tokenizer *t, const json_t *one)
{
    const json_t *want = json_object_get(one, "full"), *text = json_object_get(one, "text");
    found f, all = {0};
    int64_t before, after;
    const int32_t *first = gp_tokenizer_prefix(t, &before), *last = gp_tokenizer_suffix(t, &after);
    if (!want)
        return;
    assert_int_equal(encode(t, json_string_value(text), json_string_length(text), true, 0, &f), 0);
    collect(&all, first ? first : f.ids, before);
    collect(&all, f.ids, f.count);
    collect(&all, last ? last : f.ids, after);
    assert_same(number, "with its template", text, want, &all);
    free(f.ids);
    free(all.ids);
}

/* Written as our tokenizer.json, it is the same tokenizer. */
static gp_tokenizer *write_and_read(size_t number, const gp_tokenizer *t)
{
    uint8_t a[16], b[16];
    char *json = gp_tokenizer_to_json(t);
    gp_tokenizer *again = gp_tokenizer_from_json(json, strlen(json), "written");
    if (!again)
        fail_msg("case %zu: %s", number, gp_error());
    gp_tokenizer_fingerprint(t, a);
    gp_tokenizer_fingerprint(again, b);
    assert_memory_equal(a, b, sizeof a);
    char *twice = gp_tokenizer_to_json(again);
    assert_string_equal(twice, json);
    free(twice);
    free(json);
    return again;
}

static void each_way_of_writing_gives_tokenizers_ids(void **state)
{
    (void)state;
    size_t number, i, taken = 0, refused = 0;
    json_t *one, *text;
    json_array_foreach (json_object_get(grid, "cases"), number, one) {
        const char *named = json_string_value(json_object_get(one, "refused"));
        char *json = write_case(one);
        gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "case"), *again = NULL;
        if (named) {
            if (t || !strstr(gp_error(), named))
                fail_msg("case %zu: %s, expected a refusal that names %s", number, t ? "taken" : gp_error(), named);
            refused++;
        } else {
            if (!t)
                fail_msg("case %zu: %s", number, gp_error());
            again = write_and_read(number, t);
            taken++;
        }
        json_array_foreach (json_object_get(one, "texts"), i, text) {
            check_text(number, t, "as read", text);
            check_template(number, t, text);
            check_offsets(number, t, "as read", text);
            check_text(number, again, "as written", text);
            check_template(number, again, text);
            check_offsets(number, again, "as written", text);
        }
        gp_tokenizer_close(t);
        gp_tokenizer_close(again);
        free(json);
    }
    print_message("%zu files are taken, %zu refused\n", taken, refused);
    assert_true(taken > 20 && refused > 1);
}

static int open_grid(void **state)
{
    (void)state;
    json_error_t e;
    grid = json_load_file(source, JSON_ALLOW_NUL, &e);
    if (!grid)
        fprintf(stderr, "%s: line %d: %s\n", source, e.line, e.text);
    return grid ? 0 : -1;
}

static int close_grid(void **state)
{
    (void)state;
    json_decref(grid);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_of_writing_gives_tokenizers_ids),
    };
    static const char *const all[] = {TEST_DIR "/reference/tokenizer_grid.json",
                                      TEST_DIR "/reference/wordpiece_grid.json"};
    int failed = 0;
    source = getenv("GPTPIPE_GRID");
    if (source)
        return cmocka_run_group_tests(tests, open_grid, close_grid);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        source = all[i];
        failed += cmocka_run_group_tests(tests, open_grid, close_grid);
    }
    return failed;
}
