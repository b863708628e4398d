/* Training BPE: the merges are those of Hugging Face's tokenizers, whatever parts the text comes in. */
#include "gptpipe/tokenizer.h"

#include "test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void assert_said(const char *said)
{
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
    assert_null(strchr(gp_error(), '\n'));
}

/* Two documents: contractions, runs of spaces, of one letter and of one pair, several scripts, a special token's name.
 */
static const char *const documents[] = {
    "It's a test, isn't it? \"We'll see,\" they said; we'll see what we'd see.\n\n\n  The 12 cats at 1234 "
    "Main St.\tate 12 rats.  ",
    "caf\u00e9 caf\u00e9s na\u00efve \u4eca\u65e5\u306f\u4eca\u65e5\u3002\u4eca\u65e5\u306e\u5929\u6c17 "
    "\U0001F600\U0001F600\U0001F600 \u00a0\u2003x aaaaaaa aaaa aaa <|endoftext|> hahahaha ha"};

/* Made by tokenizers 0.23.3 from the same texts:
 *     t = Tokenizer(BPE())
 *     t.pre_tokenizer = ByteLevel(add_prefix_space=False)
 *     t.train_from_iterator(documents, BpeTrainer(vocab_size=340, special_tokens=["<|endoftext|>"],
 *                                                 initial_alphabet=ByteLevel.alphabet()))
 *     json.dumps([" ".join(m) for m in json.loads(t.to_str())["model"]["merges"]]) */
static const char merges[] =
    "[\"a a\",\"h a\",\"a t\",\"\\u0120 s\",\"1 2\",\"e e\",\"\\u00bb \\u012c\","
    "\"\\u00e4 \\u00bb\\u012c\",\"\\u00e6 \\u0139\",\"\\u00f0 \\u0141\",\"\\u0120 w\","
    "\"\\u0120 aa\",\"\\u0120 12\",\"\\u013a \\u0122\",\"ha ha\",\"\\u0120s ee\","
    "\"\\u00e4\\u00bb\\u012c \\u00e6\\u0139\",\"\\u00f0\\u0141 \\u013a\\u0122\","
    "\"\\u00e4\\u00bb\\u012c\\u00e6\\u0139 \\u00a5\",\"' l\",\"a f\",\"a i\",\"c af\",\"h e\","
    "\"t e\",\"\\u00c3 \\u00a9\",\"\\u00e3 \\u0123\",\"\\u010a \\u010a\",\"\\u0120 i\","
    "\"at s\",\"\\u0120w e\",\"\\u0120aa aa\","
    "\"\\u00f0\\u0141\\u013a\\u0122 \\u00f0\\u0141\\u013a\\u0122\","
    "\"\\u00e4\\u00bb\\u012c\\u00e6\\u0139\\u00a5 \\u00e3\\u0123\",\"'l l\","
    "\"caf \\u00c3\\u00a9\",\"' d\",\"' s\",\"' t\",\", \\\"\",\"3 4\",\"< |\",\"I t\","
    "\"M ai\",\"S t\",\"T he\",\"W e\",\"a \\u00c3\",\"c ats\",\"d o\",\"e n\",\"f te\","
    "\"n a\\u00c3\",\"r ats\",\"s n\",\"s t\",\"t he\",\"v e\",\"x t\",\"| >\","
    "\"\\u00a4 \\u00a9\",\"\\u00ae \\u00e5\","
    "\"\\u00af \\u00e4\\u00bb\\u012c\\u00e6\\u0139\\u00a5\",\"\\u00af ve\",\"\\u00b0 \\u0139\","
    "\"\\u00c2 \\u0142\",\"\\u00e2 \\u0122\",\"\\u00e3 \\u0122\",\"\\u00e6 \\u00b0\\u0139\","
    "\"\\u010a \\u0120\",\"\\u0120 \\\"\",\"\\u0120 a\",\"\\u0120 \\u0120\",\"\\u0120 ha\","
    "\"\\u0120 at\",\"\\u0120 haha\",\"\\u0120 te\","
    "\"\\u0120 \\u00f0\\u0141\\u013a\\u0122\\u00f0\\u0141\\u013a\\u0122\","
    "\"\\u0120 \\u00e4\\u00bb\\u012c\\u00e6\\u0139\\u00a5\\u00e3\\u0123\","
    "\"\\u0120 caf\\u00c3\\u00a9\",\"\\u0120 <|\",\"\\u0120 Mai\",\"\\u0120 St\"]";

/* The documents in parts of `part` bytes. */
static gp_tokenizer *train(int64_t vocab_size, size_t part)
{
    gp_bpe_trainer *b = gp_bpe_trainer_new(vocab_size);
    assert_non_null(b);
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        size_t n = strlen(documents[i]);
        for (size_t at = 0; at < n; at += part)
            gp_bpe_trainer_add(b, documents[i] + at, part < n - at ? part : n - at);
        gp_bpe_trainer_end(b);
    }
    gp_tokenizer *t = gp_bpe_trainer_build(b);
    assert_non_null(t);
    return t;
}

static gp_tokenizer *train_on(int64_t vocab_size, const char *text, size_t n)
{
    gp_bpe_trainer *b = gp_bpe_trainer_new(vocab_size);
    gp_bpe_trainer_add(b, text, n);
    return gp_bpe_trainer_build(b);
}

static void assert_bytes(const gp_tokenizer *t, int32_t id, const char *want, size_t length)
{
    size_t n;
    const char *bytes = gp_tokenizer_bytes(t, id, &n);
    assert_non_null(bytes);
    assert_int_equal(n, length);
    assert_memory_equal(bytes, want, n);
}

static void merges_are_those_of_tokenizers(void **state)
{
    (void)state;
    gp_tokenizer *t = train(340, SIZE_MAX);
    char *json = gp_tokenizer_to_json(t);
    json_t *got = json_loads(json, 0, NULL), *want = json_loads(merges, 0, NULL);
    assert_non_null(want);
    assert_int_equal(gp_tokenizer_vocab_size(t), 340);
    assert_int_equal(json_array_size(want), 340 - 257);
    assert_true(json_equal(json_object_get(json_object_get(got, "model"), "merges"), want));
    json_decref(got);
    json_decref(want);
    free(json);
    gp_tokenizer_close(t);
}

/* By the same t.encode(...).ids. */
static void text_is_encoded_as_tokenizers_does(void **state)
{
    (void)state;
    static const char text[] = "We'll see the cats: caf\u00e9s, hahaha \U0001F600";
    const int32_t want[] = {303, 291, 272, 221, 313, 221, 305, 26, 336, 83, 12, 332, 258, 221, 274};
    gp_tokenizer *t = train(340, SIZE_MAX);
    int32_t *ids;
    int64_t count;
    assert_int_equal(gp_tokenizer_encode(t, text, strlen(text), false, &ids, &count), 0);
    assert_int_equal(count, ARRAY_LEN(want));
    assert_memory_equal(ids, want, sizeof want);
    free(ids);
    gp_tokenizer_close(t);
}

static void end_of_text_is_first_then_the_bytes_in_gpt2s_order(void **state)
{
    (void)state;
    gp_tokenizer *t = train(340, SIZE_MAX);
    assert_string_equal(gp_tokenizer_kind(t), "bpe");
    assert_int_equal(gp_tokenizer_end_of_text(t), 0);
    assert_bytes(t, 0, "<|endoftext|>", 13);
    assert_bytes(t, 1, "!", 1);
    assert_bytes(t, 94, "~", 1);
    assert_bytes(t, 95, "\xa1", 1);
    assert_bytes(t, 188, "\xff", 1);
    assert_bytes(t, 189, "\0", 1);
    assert_bytes(t, 221, " ", 1);
    assert_bytes(t, 256, "\xad", 1);
    assert_bytes(t, 257, "aa", 2);
    gp_tokenizer_close(t);
}

static void text_in_parts_trains_the_same(void **state)
{
    (void)state;
    uint8_t want[16], got[16];
    gp_tokenizer *t = train(340, SIZE_MAX);
    gp_tokenizer_fingerprint(t, want);
    gp_tokenizer_close(t);
    for (size_t part = 1; part < 20; part++) {
        t = train(340, part);
        gp_tokenizer_fingerprint(t, got);
        assert_memory_equal(got, want, 16);
        gp_tokenizer_close(t);
    }
}

/* x and y meet nowhere but between the documents. */
static void no_pair_goes_from_one_document_to_the_next(void **state)
{
    (void)state;
    gp_bpe_trainer *b = gp_bpe_trainer_new(1000);
    for (int i = 0; i < 10; i++) {
        gp_bpe_trainer_add(b, i % 2 ? "x" : "y", 1);
        gp_bpe_trainer_end(b);
    }
    gp_tokenizer *t = gp_bpe_trainer_build(b);
    assert_int_equal(gp_tokenizer_vocab_size(t), 257);
    gp_tokenizer_close(t);
}

/* tokenizers makes 374 of vocab_size=100000. */
static void a_text_without_more_pairs_gives_a_smaller_vocabulary(void **state)
{
    (void)state;
    gp_tokenizer *t = train(100000, SIZE_MAX);
    assert_int_equal(gp_tokenizer_vocab_size(t), 374);
    gp_tokenizer_close(t);
}

/* 2^20 letters: each merge makes the run half as long, 20 times. */
static void a_long_run_of_one_letter_is_merged_by_halves(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    char *text = malloc(n);
    memset(text, 'a', n);
    gp_tokenizer *t = train_on(5000, text, n);
    assert_int_equal(gp_tokenizer_vocab_size(t), 257 + 20);
    assert_bytes(t, 257 + 19, text, n);
    gp_tokenizer_close(t);
    free(text);
}

static void bytes_that_are_not_utf8_are_counted_as_they_are(void **state)
{
    (void)state;
    static const char text[] = "\xff\xfe \xff\xfe\n\xff\xfe";
    gp_tokenizer *t = train_on(258, text, sizeof text - 1);
    assert_int_equal(gp_tokenizer_vocab_size(t), 258);
    assert_bytes(t, 257, "\xff\xfe", 2);
    gp_tokenizer_close(t);
}

static void a_size_that_has_no_room_for_the_bytes_is_refused(void **state)
{
    (void)state;
    assert_null(gp_bpe_trainer_new(256));
    assert_said("257 to 1048576 ids");
    assert_null(gp_bpe_trainer_new(-1));
    assert_null(gp_bpe_trainer_new(1048577));
    gp_tokenizer *t = train(257, SIZE_MAX);
    assert_int_equal(gp_tokenizer_vocab_size(t), 257);
    gp_tokenizer_close(t);
}

static void no_text_trains_nothing(void **state)
{
    (void)state;
    assert_null(gp_bpe_trainer_build(gp_bpe_trainer_new(300)));
    assert_said("the text is empty");
    gp_bpe_trainer_free(gp_bpe_trainer_new(300));
    gp_bpe_trainer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_those_of_tokenizers),
        cmocka_unit_test(text_is_encoded_as_tokenizers_does),
        cmocka_unit_test(end_of_text_is_first_then_the_bytes_in_gpt2s_order),
        cmocka_unit_test(text_in_parts_trains_the_same),
        cmocka_unit_test(no_pair_goes_from_one_document_to_the_next),
        cmocka_unit_test(a_text_without_more_pairs_gives_a_smaller_vocabulary),
        cmocka_unit_test(a_long_run_of_one_letter_is_merged_by_halves),
        cmocka_unit_test(bytes_that_are_not_utf8_are_counted_as_they_are),
        cmocka_unit_test(a_size_that_has_no_room_for_the_bytes_is_refused),
        cmocka_unit_test(no_text_trains_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
