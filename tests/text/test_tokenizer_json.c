/* Tokenizers as tokenizer.json, their fingerprints, and those that are refused. */
#include "gptpipe/tokenizer.h"
#include "small_bpe.h"
#include "chars.h"
#include "test.h"
#include "text/text.h"

#include <stdlib.h>
#include <string.h>

static gp_tokenizer *gpt2; /* NULL: its files are not here */

static void assert_said(const char *said)
{
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
    assert_null(strchr(gp_error(), '\n'));
}

static void assert_ids(const gp_tokenizer *t, const char *text, size_t n, const int32_t *want, int64_t count)
{
    int32_t *ids;
    int64_t got;
    if (gp_tokenizer_encode(t, text, n, false, &ids, &got))
        fail_msg("%s", gp_error());
    assert_int_equal(got, count);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(ids[i], want[i]);
    free(ids);
}

static void assert_json_round_trip(gp_tokenizer *t)
{
    uint8_t a[16], b[16];
    char *json = gp_tokenizer_to_json(t), *again;
    assert_null(strchr(json, '\n'));
    gp_tokenizer *back = gp_tokenizer_from_json(json, strlen(json), "here");
    if (!back)
        fail_msg("%s", gp_error());
    assert_string_equal(gp_tokenizer_kind(back), gp_tokenizer_kind(t));
    assert_int_equal(gp_tokenizer_end_of_text(back), gp_tokenizer_end_of_text(t));
    gp_tokenizer_fingerprint(t, a);
    gp_tokenizer_fingerprint(back, b);
    assert_memory_equal(a, b, 16);
    again = gp_tokenizer_to_json(back);
    assert_string_equal(again, json);
    free(again);
    free(json);
    gp_tokenizer_close(back);
}

static void json_gives_the_same_tokenizer_back(void **state)
{
    (void)state;
    static const char text[] = "\0\x01\x1f\"\\/ <0x41>\x7f\xc2\x80\xff\xe2\x80\xa8";
    gp_tokenizer *t = chars_of(text, sizeof text - 1);
    assert_json_round_trip(t);
    gp_tokenizer_close(t);
    t = gp_tokenizer_open("bytes");
    assert_json_round_trip(t);
    gp_tokenizer_close(t);
    if (gpt2)
        assert_json_round_trip(gpt2);
}

/* By its name GPT-2's tokenizer is made from its merges alone; as a folder its vocabulary is read from encoder.json,
 * where each id is written down. Skips where it is not here. */
static gp_tokenizer *open_gpt2s_folder(void)
{
    static const char *const below[] = {"", "gpt2", "openaipublic.blob.core.windows.net/gpt-2/encodings/main"};
    const char *roots[] = {getenv("GPTPIPE_DATA"), "data", getenv("FETCH_DATA_MIRROR")};
    gp_tokenizer *read = NULL;
    for (size_t i = 0; i < 9 && gpt2 && !read; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", roots[i / 3] ? roots[i / 3] : "none", below[i % 3]);
        read = gp_tokenizer_open(path);
    }
    if (!read) {
        fprintf(stderr, "skipped: %s\n", gp_error());
        skip();
    }
    return read;
}

static void gpt2s_ids_are_those_in_encoder_json(void **state)
{
    (void)state;
    gp_tokenizer *read = open_gpt2s_folder();
    char *want = gp_tokenizer_to_json(read), *got = gp_tokenizer_to_json(gpt2);
    uint8_t computed[16], known[16];
    assert_string_equal(got, want);
    gp_tokenizer_fingerprint(read, computed);
    gp_tokenizer_fingerprint(gpt2, known);
    assert_memory_equal(known, computed, 16);
    assert_int_equal(gp_tokenizer_end_of_text(gpt2), gp_tokenizer_end_of_text(read));
    free(want);
    free(got);
    gp_tokenizer_close(read);
}

/* A piece that is a word of the vocabulary is not merged but looked up, as tiktoken does: so merging must find it.
 * These are whole pieces: the pre-split would cut some of them. */
static void gpt2s_words_are_what_their_bytes_merge_to(void **state)
{
    (void)state;
    gp_tokenizer *read = open_gpt2s_folder();
    assert_null(read->bpe.words);
    assert_non_null(gpt2->bpe.words);
    for (int32_t id = 0; id < 50256; id++) {
        int32_t ids[GP_BPE_SHORT];
        size_t n;
        const char *bytes = gp_tokenizer_bytes(read, id, &n);
        if (n > GP_BPE_SHORT) /* too long to be looked up */
            continue;
        assert_int_equal(gp_bpe_encode_short(&read->bpe, (const uint8_t *)bytes, (int)n, ids), 1);
        assert_int_equal(ids[0], id);
        assert_int_equal(gp_vocab_find(gpt2->bpe.words, bytes, n), id);
    }
    gp_tokenizer_close(read);
}

/* SHA-256 of "char\0" 1,0,0,0 "a" 1,0,0,0 "b": printf 'char\0\1\0\0\0a\1\0\0\0b' | sha256sum */
static void a_fingerprint_is_what_the_formats_say(void **state)
{
    (void)state;
    static const uint8_t want[16] = {0x26, 0xe5, 0x87, 0x54, 0x95, 0x9a, 0xb5, 0x6f,
                                     0x2a, 0x81, 0xf8, 0x88, 0xe9, 0x66, 0x37, 0xda};
    uint8_t got[16];
    gp_tokenizer *t = chars_of("ab", 2);
    gp_tokenizer_fingerprint(t, got);
    assert_memory_equal(got, want, 16);
    gp_tokenizer_close(t);
}

static void a_small_bpe_merges_by_rank(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":256,\"bc\":257,\"abc\":258", "[\"b c\",[\"a\",\"b\"],\"a bc\"]", "");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "here");
    if (!t)
        fail_msg("%s", gp_error());
    const int32_t want[] = {258, 256, 'd', 257};
    assert_ids(t, "abcabdbc", 8, want, 4);
    gp_tokenizer_close(t);
    free(json);
}

static void each_bad_tokenizer_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *vocab, *merges, *more, *said;
    } cases[] = {
        {",\"ab\":9999999", "[]", "", "some ids are unused, and the largest is 9999999"},
        {",\"ab\":255", "[]", "", "given twice"},
        {",\"ab\":-1", "[]", "", "is not a number from 0"},
        {",\"ab\":\"256\"", "[]", "", "is not a number from 0"},
        {",\"ab\":99999999999", "[]", "", "is not a number from 0"},
        {",\"ab\":256,\"ab\":257", "[]", "", "is not JSON"},
        {",\"ab\":256", "[\"a c\"]", "", "the merged token is not in the vocabulary"},
        {",\"ab\":256", "[\"ab q7\"]", "", "a part is not in the vocabulary"},
        {",\"ab\":256", "[\" b\"]", "", "a part is empty"},
        {",\"ab\":256", "[\"ab\"]", "", "is not two parts"},
        {",\"ab\":256", "[7]", "", "is not two parts"},
        {",\"ab\":256", "[\"a b c\"]", "", "is not two parts"},
        {"", "[]", "\"normalizer\":{\"type\":\"NFC\"},", "normalizer"},
        {"", "[]", "\"added_tokens\":[{\"id\":999,\"content\":\"<x>\",\"special\":true}],",
         "\"<x>\" has id 999, but tokenizers would number it 256"},
        {"", "[]", "\"added_tokens\":[{\"id\":7,\"content\":\"<x>\",\"special\":true}],",
         "has id 7, but tokenizers would number it 256"},
        {"", "[]",
         "\"added_tokens\":[{\"id\":256,\"content\":\"<x>\",\"special\":true},{\"id\":256,\"content\":\"<x>"
         "\"}],",
         "appears twice, with different flags"},
        {"", "[]", "\"added_tokens\":[{\"id\":256,\"content\":\"<x>\",\"special\":true,\"lstrip\":1}],",
         "lstrip of added token \"<x>\" is not true or false"},
        {"", "[]", "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]},", "does not contain the text"},
        {"", "[]", "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",97],\"sep\":[\"b\",256]},",
         "adds id 256"},
        {"", "[]", "\"post_processor\":{\"type\":\"Other\"},", "its post_processor is Other"},
        {"", "[]", "\"added_tokens\":{\"<x>\":256},", "its added_tokens are not a list"},
        {"", "[]", "\"added_tokens\":[{\"id\":256,\"content\":\"<x>\",\"special\":\"true\"}],",
         "special of added token \"<x>\" is not true or false"},
        {"", "[]", "\"version\":\"2.0\",", "of another version than \"1.0\""},
        {"", "[]", "\"version\":1.0,", "of another version than \"1.0\""},
        {"", "[]", "\"added_tokens\":[{\"content\":\"<x>\",\"special\":true}],", "is not a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *json = make_json(cases[i].vocab, cases[i].merges, cases[i].more);
        gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
        if (t)
            fail_msg("case %zu was taken", i);
        assert_said("x.json: ");
        assert_said(cases[i].said);
        free(json);
    }
}

/* RoBERTa's <mask> sets lstrip: with special tokens allowed it takes the white space before it, and without it is text.
 * By tokenizers 0.23.3. */
static void a_special_token_takes_the_white_space_that_it_says(void **state)
{
    (void)state;
    char *json = make_json("", "[]",
                           "\"added_tokens\":[{\"id\":256,\"content\":\"<x>\",\"special\":true,"
                           "\"lstrip\":true,\"rstrip\":true,\"single_word\":true,\"normalized\":true}],");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
    const int32_t want[] = {'a', 256, 'b', 'c', '<', 'x', '>'};
    if (!t)
        fail_msg("%s", gp_error());
    int32_t *ids;
    int64_t count;
    assert_int_equal(gp_tokenizer_encode(t, "a <x>\n bc<x>", 12, true, &ids, &count), 0);
    assert_int_equal(count, ARRAY_LEN(want));
    assert_memory_equal(ids, want, sizeof want);
    free(ids);
    assert_int_equal(gp_tokenizer_encode(t, " <x>", 4, false, &ids, &count), 0);
    assert_int_equal(count, 4);
    free(ids);
    gp_tokenizer_close(t);
    free(json);
}

/* RoBERTa's and BERT's names; <mask> is one only if it is special. */
static void special_tokens_are_found_by_their_role(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":256", "[\"a b\"]",
                           "\"added_tokens\":[{\"id\":257,\"content\":\"<mask>\",\"special\":false},"
                           "{\"id\":258,\"content\":\"<pad>\",\"special\":true},"
                           "{\"id\":259,\"content\":\"[MASK]\",\"special\":true},"
                           "{\"id\":260,\"content\":\"<unk>\",\"special\":true}],");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
    if (!t)
        fail_msg("%s", gp_error());
    assert_int_equal(gp_tokenizer_mask(t), 259);
    assert_int_equal(gp_tokenizer_pad(t), 258);
    assert_int_equal(gp_tokenizer_unknown(t), 260);
    assert_true(gp_tokenizer_is_special(t, 258) && !gp_tokenizer_is_special(t, 257));
    assert_false(gp_tokenizer_is_special(t, -1) || gp_tokenizer_is_special(t, 261));
    assert_true(gp_tokenizer_continues_word(t, 'a') && gp_tokenizer_continues_word(t, 256));
    assert_false(gp_tokenizer_continues_word(t, ' ') || gp_tokenizer_continues_word(t, 259));
    gp_tokenizer_close(t);
    free(json);
    t = gp_tokenizer_open("bytes");
    assert_int_equal(gp_tokenizer_mask(t), -1);
    assert_false(gp_tokenizer_continues_word(t, 'a'));
    gp_tokenizer_close(t);
}

/* tokenizers leaves such a byte out; here it is an error, where it stands, and not before. */
static void a_byte_that_the_vocabulary_lacks_is_an_error_where_it_stands(void **state)
{
    (void)state;
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{"
                               "\"a\":0,\"b\":1,\"ab\":2,\"\u0120\":3},\"merges\":[\"a b\"]}}";
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
    const int32_t want[] = {2, 3, 2, 2};
    char text[4096] = "a b ";
    int32_t *ids;
    int64_t count;
    if (!t)
        fail_msg("%s", gp_error());
    assert_ids(t, "ab abab", 7, want, ARRAY_LEN(want));
    memset(text + 4, 'a', sizeof text - 5);
    text[4000] = '!';
    assert_int_equal(gp_tokenizer_encode(t, text, strlen(text), false, &ids, &count), -1);
    assert_said("byte 0x21 at offset 4000 is not in the vocabulary");
    gp_tokenizer_close(t);
}

/* GPT-2's tokenizer.json on the Hub has no model.type: the same tokenizer as with it. */
static void a_model_without_a_type_is_a_bpe(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":256", "[\"a b\"]", ""), *type = strstr(json, "\"type\":\"BPE\",");
    const int32_t want[] = {256};
    memmove(type, type + 13, strlen(type + 13) + 1);
    assert_null(strstr(json, "BPE"));
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
    if (!t)
        fail_msg("%s", gp_error());
    assert_ids(t, "ab", 2, want, 1);
    gp_tokenizer_close(t);
    free(json);
}

/* An id that no word has is text of no bytes; the model has a row for it. */
static void ids_may_have_holes(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":300", "[\"a b\"]", ""), text[8];
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
    const int32_t want[] = {300, 'c'}, holes[] = {299, 300, 256};
    size_t length;
    if (!t)
        fail_msg("%s", gp_error());
    assert_int_equal(gp_tokenizer_vocab_size(t), 301);
    assert_ids(t, "abc", 3, want, 2);
    assert_int_equal(gp_tokenizer_decode(t, holes, 3, text, sizeof text, &length), 3);
    assert_int_equal(length, 2);
    gp_tokenizer_close(t);
    free(json);
}

/* Settings that change ids change the fingerprint, those that do not leave it. */
static void a_fingerprint_tells_what_changes_ids(void **state)
{
    (void)state;
    static const struct {
        const char *merges, *more;
        bool same;
    } cases[] = {
        {"[\"a b\"]", "\"version\":\"1.0\",", true},
        {"[[\"a\",\"b\"]]", "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[]},", true},
        {"[\"a b\"]", "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",97],\"sep\":[\"b\",98]},", true},
        {"[\"a b\"]", "\"added_tokens\":[{\"id\":256,\"content\":\"ab\",\"special\":false}],", false},
    };
    uint8_t base[16], other[16];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *json = make_json(",\"ab\":256", cases[i].merges, cases[i].more);
        gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "x.json");
        if (!t)
            fail_msg("%s", gp_error());
        gp_tokenizer_fingerprint(t, i ? other : base);
        if (i && !memcmp(base, other, 16) != cases[i].same)
            fail_msg("case %zu has %s fingerprint", i, cases[i].same ? "another" : "the same");
        gp_tokenizer_close(t);
        free(json);
    }
}

static void a_tokenizer_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":256", "[\"a b\"]", "");
    for (size_t n = 0; n < strlen(json); n += 7)
        assert_null(gp_tokenizer_from_json(json, n, "x.json"));
    free(json);
}

static void a_million_brackets_are_refused(void **state)
{
    (void)state;
    static const char *const beginnings[] = {"[", "{\"model\":["};
    for (int i = 0; i < 2; i++) {
        size_t n = 1000000, begin = strlen(beginnings[i]);
        char *json = malloc(n);
        memset(json, '[', n);
        memcpy(json, beginnings[i], begin);
        assert_null(gp_tokenizer_from_json(json, n, "x.json"));
        assert_said("x.json: is not JSON");
        free(json);
    }
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":256", "[\"a b\"]", "");
    *strstr(json, "ab") = '\xff';
    assert_null(gp_tokenizer_from_json(json, strlen(json), "x.json"));
    assert_said("x.json: is not JSON: line 1: unable to decode byte 0xff");
    free(json);
}

static void other_kinds_of_tokenizers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *said;
    } cases[] = {
        {"[]", "not an object"},
        {"{}", "is not a tokenizer.json"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", "its model is WordLevel"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}",
         "no pre_tokenizer"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"bc\":1},\"merges\":[]}}", "is not a single character"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\":0},\"merges\":[]}}", "is not a single character"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "its vocabulary is empty"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",
         "its pre_tokenizer is Metaspace"},
        {"{\"model\":{\"vocab\":{\"a\":0}}}", "is not a tokenizer.json with a BPE model"},
        {"{\"model\":{\"type\":null,\"vocab\":{\"a\":0},\"merges\":[]}}", "is not a tokenizer.json with a BPE model"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(gp_tokenizer_from_json(cases[i].json, strlen(cases[i].json), "x.json"));
        assert_said(cases[i].said);
    }
}

static void a_name_that_is_nothing_is_refused(void **state)
{
    (void)state;
    assert_null(gp_tokenizer_open("no/such/thing"));
    assert_said("no/such/thing");
    assert_null(gp_tokenizer_open("include"));
    assert_said("has no tokenizer");
}

static int open_gpt2(void **state)
{
    (void)state;
    setenv("FETCH_DATA_MIRROR", "../shared/mirror", 0);
    gpt2 = gp_tokenizer_open("gpt2");
    return 0;
}

static int close_gpt2(void **state)
{
    (void)state;
    gp_tokenizer_close(gpt2);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_gives_the_same_tokenizer_back),
        cmocka_unit_test(gpt2s_ids_are_those_in_encoder_json),
        cmocka_unit_test(gpt2s_words_are_what_their_bytes_merge_to),
        cmocka_unit_test(a_fingerprint_is_what_the_formats_say),
        cmocka_unit_test(a_small_bpe_merges_by_rank),
        cmocka_unit_test(each_bad_tokenizer_is_named),
        cmocka_unit_test(a_special_token_takes_the_white_space_that_it_says),
        cmocka_unit_test(special_tokens_are_found_by_their_role),
        cmocka_unit_test(a_byte_that_the_vocabulary_lacks_is_an_error_where_it_stands),
        cmocka_unit_test(a_model_without_a_type_is_a_bpe),
        cmocka_unit_test(ids_may_have_holes),
        cmocka_unit_test(a_fingerprint_tells_what_changes_ids),
        cmocka_unit_test(a_tokenizer_cut_anywhere_is_refused),
        cmocka_unit_test(a_million_brackets_are_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(other_kinds_of_tokenizers_are_refused),
        cmocka_unit_test(a_name_that_is_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, open_gpt2, close_gpt2);
}
