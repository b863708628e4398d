/* Training WordPiece: the vocabulary is that of Hugging Face's tokenizers (tests/reference/wordpiece_train.py),
 * whatever parts the text comes in. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gptpipe/encoding.h"
#include "test.h"

static json_t *reference;

/* Trains on a case's documents, in parts of `part` bytes. */
static gp_tokenizer *train(const json_t *one, size_t part)
{
    bool cased = json_is_true(json_object_get(one, "cased"));
    gp_bpe_trainer *b = gp_bpe_trainer_new_wordpiece(json_integer_value(json_object_get(one, "size")), cased);
    size_t i;
    json_t *document;
    json_array_foreach (json_object_get(one, "documents"), i, document) {
        const char *text = json_string_value(document);
        for (size_t at = 0, n = json_string_length(document); at < n; at += part)
            gp_bpe_trainer_add(b, text + at, part < n - at ? part : n - at);
        gp_bpe_trainer_end(b);
    }
    gp_tokenizer *t = gp_bpe_trainer_build(b);
    if (!t)
        fail_msg("%s", gp_error());
    return t;
}

static void assert_vocab(const gp_tokenizer *t, size_t number, const json_t *want)
{
    size_t i, n;
    json_t *name;
    json_array_foreach (want, i, name) {
        const char *bytes = gp_tokenizer_bytes(t, (int32_t)i, &n);
        if (!bytes || n != json_string_length(name) || memcmp(bytes, json_string_value(name), n) != 0)
            fail_msg("case %zu: id %zu is %.*s, expected %s", number, i, bytes ? (int)n : 4, bytes ? bytes : "none",
                     json_string_value(name));
    }
    assert_int_equal(gp_tokenizer_vocab_size(t), json_array_size(want));
}

/* A text's ids and offsets, by what was trained. */
static void assert_encodes(const gp_tokenizer *t, size_t number, const json_t *one)
{
    const json_t *text = json_object_get(one, "text"), *want = json_object_get(one, "ids");
    const json_t *places = json_object_get(one, "offsets");
    int32_t *ids;
    int64_t *offsets, count;
    assert_int_equal(gp_tokenizer_encode_offsets(t, json_string_value(text), json_string_length(text), false, &ids,
                                                 &offsets, &count),
                     0);
    assert_int_equal(count, json_array_size(want));
    for (size_t i = 0; i < (size_t)count; i++) {
        if (ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("case %zu: id %zu is %d", number, i, ids[i]);
        for (size_t k = 2 * i; k < 2 * i + 2; k++)
            if (offsets[k] != json_integer_value(json_array_get(places, k)))
                fail_msg("case %zu: id %zu is from %lld to %lld, expected %lld to %lld", number, i,
                         (long long)offsets[2 * i], (long long)offsets[2 * i + 1],
                         (long long)json_integer_value(json_array_get(places, 2 * i)),
                         (long long)json_integer_value(json_array_get(places, 2 * i + 1)));
    }
    free(ids);
    free(offsets);
}

static void vocabularies_are_those_of_tokenizers(void **state)
{
    (void)state;
    static const size_t parts[] = {SIZE_MAX, 1, 7, 100};
    size_t number;
    json_t *one;
    json_array_foreach (reference, number, one)
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            gp_tokenizer *t = train(one, parts[i]);
            assert_vocab(t, number, json_object_get(one, "vocab"));
            assert_encodes(t, number, one);
            gp_tokenizer_close(t);
        }
}

/* It is BERT's, and stays so when written and read. */
static void what_is_trained_is_a_whole_tokenizer(void **state)
{
    (void)state;
    static const int32_t want[] = {2, 3, 3};
    gp_tokenizer *t = train(json_array_get(reference, 0), SIZE_MAX);
    char *json = gp_tokenizer_to_json(t), *again;
    gp_tokenizer *read = gp_tokenizer_from_json(json, strlen(json), "written");
    uint8_t a[16], b[16];
    int32_t ids[8], none = 0, types[8];
    if (!read)
        fail_msg("%s", gp_error());
    again = gp_tokenizer_to_json(read);
    assert_string_equal(json, again);
    gp_tokenizer_fingerprint(t, a);
    gp_tokenizer_fingerprint(read, b);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(gp_tokenizer_mask(t), 4);
    assert_int_equal(gp_tokenizer_pad(t), 0);
    assert_int_equal(gp_tokenizer_assemble(t, &none, 0, &none, 0, 8, GP_TRUNCATE_NONE, ids, types), 3);
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(types[2], 1);
    free(json);
    free(again);
    gp_tokenizer_close(t);
    gp_tokenizer_close(read);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_null(gp_bpe_trainer_new_wordpiece((1 << 20) + 1, false));
    assert_string_equal(gp_error(), "a WordPiece vocabulary has up to 1048576 tokens, not 1048577");
    gp_bpe_trainer *b = gp_bpe_trainer_new_wordpiece(9, false);
    gp_bpe_trainer_add(b, "abc", 3);
    assert_null(gp_bpe_trainer_build(b));
    assert_string_equal(gp_error(), "a WordPiece vocabulary of 9 tokens is too small: the text's characters and the "
                                    "special tokens are 10");
    assert_null(gp_bpe_trainer_build(gp_bpe_trainer_new_wordpiece(100, true)));
    assert_string_equal(gp_error(), "the text is empty: a vocabulary cannot be trained on it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vocabularies_are_those_of_tokenizers),
        cmocka_unit_test(what_is_trained_is_a_whole_tokenizer),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
    };
    json_error_t e;
    reference = json_load_file(TEST_DIR "/reference/wordpiece_train.json", 0, &e);
    if (!reference)
        die("wordpiece_train.json: line %d: %s", e.line, e.text);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(reference);
    return rc;
}
