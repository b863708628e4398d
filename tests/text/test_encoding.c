/* What a model reads for a text or a pair: ids, types and truncation as Hugging Face's tokenizers gives them
 * (tests/reference/encoding.py), and head + tail. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gptpipe/encoding.h"
#include "test.h"

static json_t *reference;

/* The base with a case's post_processor and pre_tokenizer, or its root. */
static gp_tokenizer *open_case(json_t *one)
{
    json_t *root = json_copy(json_object_get(reference, "base"));
    json_object_update_existing(root, json_object_get(one, "root") ? json_object_get(one, "root") : one);
    char *json = json_dumps(root, 0);
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "case");
    if (!t)
        fail_msg("%s", gp_error());
    json_decref(root);
    free(json);
    return t;
}

/* As our tokenizer.json, read again. */
static gp_tokenizer *write_and_read(const gp_tokenizer *t)
{
    char *json = gp_tokenizer_to_json(t);
    gp_tokenizer *again = gp_tokenizer_from_json(json, strlen(json), "written");
    if (!again)
        fail_msg("%s", gp_error());
    char *twice = gp_tokenizer_to_json(again);
    assert_string_equal(twice, json);
    free(twice);
    free(json);
    return again;
}

static void assert_numbers(const json_t *want, const int32_t *got, int64_t count, const char *what, const json_t *text)
{
    gp_buf b = {0}, c = {0};
    size_t i;
    json_t *number;
    gp_buf_puts(&b, what);
    json_array_foreach (want, i, number)
        gp_buf_printf(&b, " %lld", (long long)json_integer_value(number));
    gp_buf_puts(&c, what);
    for (int64_t k = 0; k < count; k++)
        gp_buf_printf(&c, " %d", got[k]);
    if (strcmp(b.data, c.data))
        fail_msg("text %s: %s, expected %s", json_dumps(text, JSON_ENCODE_ANY), c.data, b.data);
    gp_buf_release(&b);
    gp_buf_release(&c);
}

typedef struct coded {
    int32_t *ids;
    int64_t count;
} coded;

static coded encode(const gp_tokenizer *t, const json_t *text)
{
    coded c = {0};
    if (text)
        assert_int_equal(
            gp_tokenizer_encode(t, json_string_value(text), json_string_length(text), true, &c.ids, &c.count), 0);
    return c;
}

static void check_text(const gp_tokenizer *t, const json_t *one)
{
    enum { MAX = 64 };
    int32_t ids[MAX], types[MAX];
    coded a = encode(t, json_object_get(one, "a")), b = encode(t, json_object_get(one, "b"));
    const char *key;
    json_t *cut;
    int64_t n = gp_tokenizer_assemble(t, a.ids, a.count, b.ids, b.count, MAX, GP_TRUNCATE_NONE, ids, types), max;
    assert_numbers(json_object_get(one, "ids"), ids, n, "ids", one);
    assert_numbers(json_object_get(one, "types"), types, n, "types", one);
    json_object_foreach (json_object_get(one, "truncated"), key, cut) {
        max = atoll(key);
        assert_int_equal(gp_tokenizer_assemble(t, a.ids, a.count, b.ids, b.count, max, GP_TRUNCATE_NONE, ids, types),
                         -1);
        n = gp_tokenizer_assemble(t, a.ids, a.count, b.ids, b.count, max, GP_TRUNCATE_HEAD, ids, types);
        assert_numbers(json_object_get(cut, "ids"), ids, n, key, one);
        assert_numbers(json_object_get(cut, "types"), types, n, key, one);
        assert_int_equal(gp_tokenizer_assemble(t, a.ids, a.count, b.ids, b.count, max, GP_TRUNCATE_HEAD, ids, NULL), n);
    }
    free(a.ids);
    free(b.ids);
}

/* The offsets of one of the two texts: those of its tokens in the reference, which leaves the special ones at 0, 0. */
static void check_offsets(const gp_tokenizer *t, const json_t *one, int number)
{
    const json_t *text = json_object_get(one, number ? "b" : "a"), *texts = json_object_get(one, "texts");
    json_t *which, *want;
    int32_t *ids;
    int64_t *offsets, count;
    size_t i;
    if (!text)
        return;
    want = json_array();
    json_array_foreach (texts, i, which)
        for (size_t k = 0; k < 2 && json_integer_value(which) == number; k++)
            json_array_append(want, json_array_get(json_object_get(one, "offsets"), 2 * i + k));
    assert_int_equal(
        gp_tokenizer_encode_offsets(t, json_string_value(text), json_string_length(text), true, &ids, &offsets, &count),
        0);
    int32_t *narrow = gp_malloc((size_t)(2 * count + 1) * sizeof *narrow);
    for (int64_t k = 0; k < 2 * count; k++)
        narrow[k] = (int32_t)offsets[k];
    assert_numbers(want, narrow, 2 * count, "offsets", one);
    coded plain = encode(t, text);
    assert_int_equal(count, plain.count);
    assert_memory_equal(ids, plain.ids, (size_t)count * sizeof *ids);
    json_decref(want);
    free(narrow);
    free(plain.ids);
    free(ids);
    free(offsets);
}

static void texts_and_pairs_are_those_of_tokenizers(void **state)
{
    (void)state;
    size_t number, i, checked = 0;
    json_t *one, *text;
    json_array_foreach (json_object_get(reference, "cases"), number, one) {
        gp_tokenizer *t = open_case(one), *again = write_and_read(t);
        json_array_foreach (json_object_get(one, "texts"), i, text) {
            check_text(t, text);
            check_text(again, text);
            for (int k = 0; k < 2; k++) {
                check_offsets(t, text, k);
                check_offsets(again, text, k);
            }
            checked++;
        }
        gp_tokenizer_close(t);
        gp_tokenizer_close(again);
    }
    assert_true(checked > 200);
}

static gp_tokenizer *open_template(const char *post_processor)
{
    json_t *one = json_pack("{so so}", "post_processor", json_loads(post_processor, 0, NULL), "pre_tokenizer",
                            json_loads("{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", 0, NULL));
    gp_tokenizer *t = open_case(one);
    json_decref(one);
    return t;
}

/* Sun et al. 2019: of 512 with [CLS] and [SEP], the first 128 and the last 382 tokens. */
static void head_and_tail_are_those_of_the_paper(void **state)
{
    (void)state;
    gp_tokenizer *t = open_template("{\"type\":\"BertProcessing\",\"cls\":[\"<s>\",0],\"sep\":[\"</s>\",1]}");
    int32_t text[1000], ids[512];
    for (int32_t i = 0; i < 1000; i++)
        text[i] = 1000 + i;
    assert_int_equal(gp_tokenizer_assemble(t, text, 1000, NULL, 0, 512, GP_TRUNCATE_HEAD_TAIL, ids, NULL), 512);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 1000);
    assert_int_equal(ids[128], 1127);
    assert_int_equal(ids[129], 1000 + 1000 - 382);
    assert_int_equal(ids[510], 1999);
    assert_int_equal(ids[511], 1);
    /* what fits is not cut */
    assert_int_equal(gp_tokenizer_assemble(t, text, 510, NULL, 0, 512, GP_TRUNCATE_HEAD_TAIL, ids, NULL), 512);
    assert_int_equal(ids[129], 1128);
    /* of a pair each text, once it is known how much remains of it: here 5 and 6 of 11 */
    assert_int_equal(gp_tokenizer_assemble(t, text, 100, text + 200, 100, 14, GP_TRUNCATE_HEAD_TAIL, ids, NULL), 14);
    static const int32_t want[] = {0, 1000, 1001, 1097, 1098, 1099, 1, 1200, 1201, 1296, 1297, 1298, 1299, 1};
    assert_memory_equal(ids, want, sizeof want);
    gp_tokenizer_close(t);
}

static void what_has_no_room_or_no_template_is_refused(void **state)
{
    (void)state;
    int32_t text[9] = {5, 5, 5, 5, 5, 5, 5, 5, 5}, ids[16];
    gp_tokenizer *t = open_template("{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"s\","
                                    "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                                    "\"special_tokens\":{\"s\":{\"id\":\"s\",\"ids\":[0,1],\"tokens\":[]}}}");
    assert_int_equal(gp_tokenizer_assemble(t, text, 9, NULL, 0, 11, GP_TRUNCATE_NONE, ids, NULL), 11);
    assert_int_equal(gp_tokenizer_assemble(t, text, 9, NULL, 0, 10, GP_TRUNCATE_NONE, ids, NULL), -1);
    assert_string_equal(gp_error(), "11 tokens, more than 10");
    assert_int_equal(gp_tokenizer_assemble(t, text, 9, NULL, 0, 2, GP_TRUNCATE_HEAD, ids, NULL), 2);
    assert_int_equal(gp_tokenizer_assemble(t, text, 9, NULL, 0, 1, GP_TRUNCATE_HEAD, ids, NULL), -1);
    assert_string_equal(gp_error(), "1 tokens have no room for the 2 that the tokenizer puts around a text");
    assert_int_equal(gp_tokenizer_assemble(t, text, 9, text, 9, 16, GP_TRUNCATE_HEAD, ids, NULL), -1);
    assert_string_equal(gp_error(), "the tokenizer's post_processor has no template for pairs of texts");
    gp_tokenizer_close(t);
}

static gp_tokenizer *with_template(const char *pieces)
{
    char *processor = gp_format("{\"type\":\"TemplateProcessing\",%s,\"special_tokens\":{}}", pieces);
    json_t *root = json_copy(json_object_get(reference, "base"));
    json_object_set_new(root, "post_processor", json_loads(processor, 0, NULL));
    char *json = json_dumps(root, 0);
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "case");
    free(json);
    json_decref(root);
    free(processor);
    return t;
}

/* Half a character is no text: as in the vocabulary, a token is written in GPT-2's alphabet. */
static void a_templates_tokens_are_written_by_the_vocabularys_names(void **state)
{
    (void)state;
    gp_tokenizer *t = open_template("{\"type\":\"BertProcessing\",\"cls\":[\"\u00a9\",104],\"sep\":[\"\u0120\",222]}");
    gp_tokenizer *again = write_and_read(t);
    char *json = gp_tokenizer_to_json(again);
    assert_non_null(strstr(json, "\"ids\":[104],\"tokens\":[\"\u00a9\"]"));
    assert_non_null(strstr(json, "\"ids\":[222],\"tokens\":[\"\u0120\"]"));
    free(json);
    gp_tokenizer_close(again);
    gp_tokenizer_close(t);
}

/* What stands in a post_processor and is not a template, in one line. */
static void templates_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pieces, *message;
    } cases[] = {
        {"\"single\":[]", "template \"single\" does not contain the text"},
        {"\"single\":[{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}]", "has a piece that is not supported"},
        {"\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":-1}}]", "a type_id"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_null(with_template(cases[i].pieces));
        if (!strstr(gp_error(), cases[i].message))
            fail_msg("%s: %s, expected %s", cases[i].pieces, gp_error(), cases[i].message);
    }
}

/* `tokenizers` 0.23.3 opens such files too, and leaves a text of a pair out or doubles it. */
static void a_pair_that_has_not_each_text_once_is_no_template(void **state)
{
    (void)state;
    static const char *const pairs[] = {"", "{\"Sequence\":{\"id\":\"A\"}}",
                                        ("{\"Sequence\":{\"id\":\"B\"}},{\"Sequence\":{\"id\":\"A\"}},"
                                         "{\"Sequence\":{\"id\":\"A\"}}")};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        char *pieces = gp_format("\"single\":[{\"Sequence\":{\"id\":\"A\"}}],\"pair\":[%s]", pairs[i]);
        gp_tokenizer *t = with_template(pieces);
        int32_t ids[4];
        assert_non_null(t);
        assert_int_equal(gp_tokenizer_assemble(t, (int32_t[]){5}, 1, NULL, 0, 4, GP_TRUNCATE_NONE, ids, NULL), 1);
        assert_int_equal(ids[0], 5);
        assert_int_equal(gp_tokenizer_assemble(t, (int32_t[]){5}, 1, (int32_t[]){6}, 1, 4, GP_TRUNCATE_NONE, ids, NULL),
                         -1);
        gp_tokenizer_close(t);
        free(pieces);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_pairs_are_those_of_tokenizers),
        cmocka_unit_test(head_and_tail_are_those_of_the_paper),
        cmocka_unit_test(what_has_no_room_or_no_template_is_refused),
        cmocka_unit_test(a_templates_tokens_are_written_by_the_vocabularys_names),
        cmocka_unit_test(templates_that_are_none_are_refused),
        cmocka_unit_test(a_pair_that_has_not_each_text_once_is_no_template),
    };
    json_error_t e;
    reference = json_load_file(TEST_DIR "/reference/encoding.json", 0, &e);
    if (!reference)
        die("encoding.json: line %d: %s", e.line, e.text);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(reference);
    return rc;
}
