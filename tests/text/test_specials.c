/* Special tokens in text: text by default, their ids where that is allowed, whatever parts the text comes in. */
#include "gptpipe/tokenizer.h"

#include "small_bpe.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

/* Bytes, "ab", "  ", and four special tokens, of which three begin alike. */
static gp_tokenizer *make_small(void)
{
    char *json = make_json(",\"ab\":256,\"\\u0120\\u0120\":257", "[\"a b\",\"\\u0120 \\u0120\"]",
                           "\"added_tokens\":[{\"id\":258,\"content\":\"<|endoftext|>\",\"special\":true},"
                           "{\"id\":259,\"content\":\"<|im\",\"special\":true},"
                           "{\"id\":260,\"content\":\"<|im_start|>\",\"special\":true},"
                           "{\"id\":261,\"content\":\"\\u00e9!\",\"special\":true}],");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "here");
    if (!t)
        fail_msg("%s", gp_error());
    free(json);
    return t;
}

/* Compares what comes out, part by part. */
typedef struct expected {
    const int32_t *ids;
    int64_t count, matched;
} expected;

static int match(void *self, const int32_t *ids, int64_t count)
{
    expected *e = self;
    assert_true(e->matched + count <= e->count);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(ids[i], e->ids[e->matched + i]);
    e->matched += count;
    return 0;
}

static void assert_ids(const gp_tokenizer *t, const char *text, const int32_t *want, int64_t count)
{
    size_t n = strlen(text);
    int32_t *ids;
    int64_t got;
    assert_int_equal(gp_tokenizer_encode(t, text, n, true, &ids, &got), 0);
    assert_int_equal(got, count);
    assert_memory_equal(ids, want, (size_t)count * sizeof *ids);
    free(ids);
    for (size_t part = 1; part <= n; part++) {
        expected e = {.ids = want, .count = count};
        gp_encoder *encoder = gp_encoder_open(t, match, &e);
        gp_encoder_allow_special(encoder);
        for (size_t at = 0; at < n; at += part)
            assert_int_equal(gp_encoder_feed(encoder, text + at, part < n - at ? part : n - at), 0);
        assert_int_equal(gp_encoder_end(encoder), 0);
        assert_int_equal(e.matched, count);
        gp_encoder_close(encoder);
    }
}

static void a_name_in_text_is_text_by_default(void **state)
{
    (void)state;
    const int32_t want[] = {'<', '|', 'i', 'm', 'x'};
    gp_tokenizer *t = make_small();
    int32_t *ids;
    int64_t count;
    assert_int_equal(gp_tokenizer_encode(t, "<|imx", 5, false, &ids, &count), 0);
    assert_int_equal(count, 5);
    assert_memory_equal(ids, want, sizeof want);
    free(ids);
    gp_tokenizer_close(t);
}

static void an_allowed_name_is_its_id(void **state)
{
    (void)state;
    const int32_t want[] = {256, 258, 258, 256, 261, 'x'};
    gp_tokenizer *t = make_small();
    assert_ids(t, "ab<|endoftext|><|endoftext|>ab\xc3\xa9!x", want, ARRAY_LEN(want));
    gp_tokenizer_close(t);
}

static void of_names_that_begin_alike_the_longest_is_taken(void **state)
{
    (void)state;
    const int32_t want[] = {260, 259, '_', 's', 't', 'a', 'r', 't', '|', 259, '<', '|', 'i', 259};
    gp_tokenizer *t = make_small();
    assert_ids(t, "<|im_start|><|im_start|<|im<|i<|im", want, ARRAY_LEN(want));
    gp_tokenizer_close(t);
}

/* "a" and "b" do not meet across a special token; of spaces before it none belongs to what comes behind. */
/* A word that single_word must not touch may be the end of a token, and may have come in a part before. By tokenizers
 * 0.23.3. */
static void a_token_that_is_a_word_is_none_behind_a_word(void **state)
{
    (void)state;
    char *json = make_json("", "[]",
                           "\"added_tokens\":[{\"id\":256,\"content\":\"cd\",\"special\":true},"
                           "{\"id\":257,\"content\":\"ab\",\"special\":true,\"single_word\":true},"
                           "{\"id\":258,\"content\":\"<>\",\"special\":true}],");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "here");
    if (!t)
        fail_msg("%s", gp_error());
    free(json);
    assert_ids(t, "cdab ab", (int32_t[]){256, 'a', 'b', ' ', 257}, 5);
    assert_ids(t, "<>ab", (int32_t[]){258, 257}, 2);
    assert_ids(t, "abcd", (int32_t[]){'a', 'b', 256}, 3);
    gp_tokenizer_close(t);
}

static void text_before_and_behind_is_encoded_apart(void **state)
{
    (void)state;
    const int32_t want[] = {'a', 258, 'b', 257, 258, ' ', ' ', 'b'};
    gp_tokenizer *t = make_small();
    assert_ids(t, "a<|endoftext|>b  <|endoftext|>  b", want, ARRAY_LEN(want));
    gp_tokenizer_close(t);
}

static void a_beginning_of_a_name_at_the_end_is_text(void **state)
{
    (void)state;
    const int32_t want[] = {256, '<', '|', 'e', 'n', 'd', 'o', 'f', 't', 'e', 'x', 't', '|', 0xc3, 0xa9};
    gp_tokenizer *t = make_small();
    assert_ids(t, "ab<|endoftext|\xc3\xa9", want, ARRAY_LEN(want));
    gp_tokenizer_close(t);
}

/* By tiktoken, gpt2, allowed_special="all". */
static void gpt2s_end_of_text_is_tiktokens(void **state)
{
    (void)state;
    const int32_t want[] = {15496, 220, 50256, 220, 50256, 91, 50256, 995};
    setenv("FETCH_DATA_MIRROR", "../shared/mirror", 0);
    gp_tokenizer *gpt2 = gp_tokenizer_open("gpt2");
    if (!gpt2) {
        fprintf(stderr, "skipped: %s\n", gp_error());
        skip();
    }
    assert_ids(gpt2, "Hello <|endoftext|> <|endoftext|>|<|endoftext|> world", want, ARRAY_LEN(want));
    gp_tokenizer_close(gpt2);
}

static void a_tokenizer_without_special_tokens_finds_none(void **state)
{
    (void)state;
    const int32_t want[] = {'<', '|', 'e', 'n', 'd', 'o', 'f', 't', 'e', 'x', 't', '|', '>'};
    gp_tokenizer *t = gp_tokenizer_open("bytes");
    assert_ids(t, "<|endoftext|>", want, ARRAY_LEN(want));
    gp_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_in_text_is_text_by_default),
        cmocka_unit_test(an_allowed_name_is_its_id),
        cmocka_unit_test(of_names_that_begin_alike_the_longest_is_taken),
        cmocka_unit_test(a_token_that_is_a_word_is_none_behind_a_word),
        cmocka_unit_test(text_before_and_behind_is_encoded_apart),
        cmocka_unit_test(a_beginning_of_a_name_at_the_end_is_text),
        cmocka_unit_test(gpt2s_end_of_text_is_tiktokens),
        cmocka_unit_test(a_tokenizer_without_special_tokens_finds_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
