/* Tokenizers: GPT-2's ids exactly (from tiktoken, tests/golden/bpe), characters, bytes, texts in parts. */
#include "gptpipe/tokenizer.h"

#include "small_bpe.h"
#include "chars.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <jansson.h>

static gp_tokenizer *gpt2; /* NULL: its files are not here */

static void need_gpt2(void)
{
    if (gpt2)
        return;
    fprintf(stderr, "skipped: %s\n", gp_error());
    skip();
}

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

/* Decodes the ids of text and compares. */
static void assert_round_trip(const gp_tokenizer *t, const char *text, size_t n)
{
    int32_t *ids;
    int64_t count;
    size_t at = 0;
    if (gp_tokenizer_encode(t, text, n, false, &ids, &count))
        fail_msg("%s", gp_error());
    for (int64_t i = 0; i < count; i++) {
        size_t length;
        const char *bytes = gp_tokenizer_bytes(t, ids[i], &length);
        assert_non_null(bytes);
        assert_in_range(length, 1, n - at);
        assert_memory_equal(bytes, text + at, length);
        at += length;
    }
    assert_int_equal(at, n);
    free(ids);
}

/* ---- GPT-2 ----------------------------------------------------------------------------------------------- */

static void each_golden_text_has_tiktokens_ids(void **state)
{
    (void)state;
    need_gpt2();
    char *line = NULL;
    size_t capacity = 0;
    int cases = 0;
    FILE *f = fopen(TEST_DIR "/golden/bpe/cases.jsonl", "r");
    assert_non_null(f);
    while (getline(&line, &capacity, f) > 0) {
        int32_t want[8192];
        json_t *root = json_loads(line, JSON_ALLOW_NUL, NULL), *ids = json_object_get(root, "ids");
        json_t *text = json_object_get(root, "text");
        assert_true(json_array_size(ids) <= 8192);
        for (size_t i = 0; i < json_array_size(ids); i++)
            want[i] = (int32_t)json_integer_value(json_array_get(ids, i));
        assert_ids(gpt2, json_string_value(text), json_string_length(text), want, (int64_t)json_array_size(ids));
        json_decref(root);
        cases++;
    }
    free(line);
    fclose(f);
    assert_int_equal(cases, 1500);
}

static void end_of_text_in_text_is_text(void **state)
{
    (void)state;
    need_gpt2();
    const int32_t want[] = {27, 91, 437, 1659, 5239, 91, 29};
    assert_ids(gpt2, "<|endoftext|>", 13, want, 7);
    assert_int_equal(gp_tokenizer_end_of_text(gpt2), 50256);
    assert_int_equal(gp_tokenizer_vocab_size(gpt2), 50257);
}

static void any_bytes_round_trip(void **state)
{
    (void)state;
    gp_tokenizer *bytes = gp_tokenizer_open("bytes");
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 2000; round++) {
        char text[300];
        size_t n = (size_t)round % 300;
        for (size_t i = 0; i < n; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            text[i] = round % 3 ? (char)(random >> 20) : "a '\xc3\xa9\xf0\x9f\x98"[random >> 20 & 7];
        }
        gp_tokenizer *c = n ? chars_of(text, n) : NULL;
        if (c)
            assert_round_trip(c, text, n);
        gp_tokenizer_close(c);
        assert_round_trip(bytes, text, n);
        if (gpt2)
            assert_round_trip(gpt2, text, n);
    }
    gp_tokenizer_close(bytes);
}

/* Ids whose bytes encoder.json tells: "Hello", " world", "!"; 50257 is none. */
static void ids_are_decoded_as_far_as_they_fit(void **state)
{
    (void)state;
    need_gpt2();
    const int32_t ids[] = {15496, 995, 0, 15496, 50257, 995};
    for (size_t room = 0; room <= 40; room++) {
        char text[41];
        size_t length, fits = room < 5 ? 0 : room < 11 ? 5 : room < 12 ? 11 : room < 17 ? 12 : 17;
        memset(text, '#', sizeof text);
        int64_t done = gp_tokenizer_decode(gpt2, ids, 6, text, room, &length);
        assert_int_equal(length, fits);
        assert_int_equal(done, room < 5 ? 0 : room < 11 ? 1 : room < 12 ? 2 : room < 17 ? 3 : 4);
        assert_memory_equal(text, "Hello world!Hello", fits);
        assert_int_equal(text[room], '#'); /* nothing is written beyond */
    }
}

/* ---- streaming ------------------------------------------------------------------------------------------- */

typedef struct list {
    int32_t *ids;
    int64_t count, matched;
} list;

static int match(void *self, const int32_t *ids, int64_t count)
{
    list *l = self;
    assert_true(l->matched + count <= l->count);
    assert_memory_equal(ids, l->ids + l->matched, (size_t)count * sizeof *ids);
    l->matched += count;
    return 0;
}

static void assert_parts_agree(const gp_tokenizer *t, const char *text, size_t n, size_t part)
{
    list l = {0};
    assert_int_equal(gp_tokenizer_encode(t, text, n, false, &l.ids, &l.count), 0);
    gp_encoder *e = gp_encoder_open(t, match, &l);
    for (int twice = 0; twice < 2; twice++) { /* an encoder begins anew after the end of a text */
        l.matched = 0;
        for (size_t at = 0; at < n; at += part)
            assert_int_equal(gp_encoder_feed(e, text + at, part < n - at ? part : n - at), 0);
        assert_int_equal(gp_encoder_end(e), 0);
        assert_int_equal(l.matched, l.count);
        l.matched = 0; /* and the end may come with the last part */
        size_t before = n > part ? part : 0;
        assert_int_equal(gp_encoder_feed(e, text, before), 0);
        assert_int_equal(gp_encoder_finish(e, text + before, n - before), 0);
        assert_int_equal(l.matched, l.count);
    }
    gp_encoder_close(e);
    free(l.ids);
}

static void text_in_parts_gives_the_same_ids(void **state)
{
    (void)state;
    static const char text[] =
        "I'll  say 'tis\t\n  \xc3\xa9t\xc3\xa9, we've 1234 \xe2\x82\xac and \xf0\x9f\x98\x80\xf0\x9f\x98"
        "\x80! \xff\xf0\x9f  they'r 're's\xe2\x80\x83\xe2\x80\x83x   ";
    size_t n = sizeof text - 1;
    gp_tokenizer *c = chars_of(text, n);
    for (size_t part = 1; part <= n; part++) {
        assert_parts_agree(c, text, n, part);
        if (gpt2)
            assert_parts_agree(gpt2, text, n, part);
    }
    gp_tokenizer_close(c);
}

static void a_long_piece_in_parts_gives_the_same_ids(void **state)
{
    (void)state;
    need_gpt2();
    size_t n = 300000;
    char *text = malloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i * i / 7 % 3);
    assert_parts_agree(gpt2, text, n, 1000);
    free(text);
}

/* A vocabulary with runs of 2, 4, ... 32768 letters a, longer than the windows that a long piece is merged in: 1 b and
 * 100000 a are b, 3 runs of 32768, and 1024 + 512 + 128 + 32, what is left in binary. */
static void a_window_that_was_cut_too_early_is_made_again(void **state)
{
    (void)state;
    gp_buf vocab = {0}, merges = {0};
    gp_buf_puts(&merges, "[");
    for (int id = 256, length = 1; id < 271; id++, length *= 2) {
        gp_buf_printf(&vocab, ",\"%0*d\":%d", 2 * length, 0, id);
        gp_buf_printf(&merges, "%s\"%0*d %0*d\"", id > 256 ? "," : "", length, 0, length, 0);
    }
    gp_buf_puts(&merges, "]");
    for (size_t i = 0; i < vocab.len; i++) /* printed as zeros in strings; numbers follow a colon */
        if (vocab.data[i] == '0' && (vocab.data[i - 1] == '"' || vocab.data[i - 1] == 'a'))
            vocab.data[i] = 'a';
    for (size_t i = 0; i < merges.len; i++)
        if (merges.data[i] == '0')
            merges.data[i] = 'a';
    char *json = make_json(vocab.data, merges.data, "");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "here");
    if (!t)
        fail_msg("%s", gp_error());
    char *text = malloc(100001);
    memset(text, 'a', 100001);
    text[0] = 'b';
    const int32_t want[] = {'b', 270, 270, 270, 265, 264, 262, 260};
    assert_ids(t, text, 100001, want, 8);
    free(text);
    gp_tokenizer_close(t);
    free(json);
    gp_buf_release(&vocab);
    gp_buf_release(&merges);
}

/* The first merge takes what the second one makes, so that each aa meets the letter behind it before the next aa is
 * made: Hugging Face's tokenizers has 1000 of aaa for 3000 letters, and aaa, aa for five. */
static void a_merge_before_those_that_make_its_parts_comes_next(void **state)
{
    (void)state;
    char *json = make_json(",\"aa\":256,\"aaa\":257", "[\"aa a\",\"a a\"]", ""), text[3000];
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "here");
    int32_t want[1500];
    assert_non_null(t);
    memset(text, 'a', sizeof text);
    for (int i = 0; i < 1000; i++)
        want[i] = 257;
    assert_ids(t, text, sizeof text, want, 1000);
    for (int i = 5; i < 3000; i += 6)
        text[i] = 'b';
    for (int i = 0; i < 1500; i += 3)
        memcpy(want + i, (int32_t[]){257, 256, 'b'}, 3 * sizeof *want);
    assert_ids(t, text, sizeof text, want, 1500);
    gp_tokenizer_close(t);
    free(json);
}

/* The definition, one merge at a time over the whole piece, with the tokenizer itself asked for pairs: a
 * sequence is final when every two neighbours, encoded together, stay apart. */
static void neighbours_in_a_long_piece_do_not_merge(void **state)
{
    (void)state;
    need_gpt2();
    static const char *const alphabets[] = {"a", "ab", "abc", "-", "\xf0\x9f\x98\x80", "etaoinshrdlu", "01"};
    for (size_t k = 0; k < sizeof alphabets / sizeof *alphabets; k++) {
        char text[1201];
        uint64_t random = 12345 + k;
        size_t letters = strlen(alphabets[k]);
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[i] = k == 4 ? alphabets[k][i % 4] : alphabets[k][(random >> 33) % letters];
        }
        int32_t *ids, *pair;
        int64_t count, two;
        assert_int_equal(gp_tokenizer_encode(gpt2, text, sizeof text, false, &ids, &count), 0);
        for (int64_t i = 0; i + 1 < count; i++) {
            char both[512];
            size_t a, b;
            const char *p = gp_tokenizer_bytes(gpt2, ids[i], &a);
            memcpy(both, p, a);
            p = gp_tokenizer_bytes(gpt2, ids[i + 1], &b);
            memcpy(both + a, p, b);
            assert_int_equal(gp_tokenizer_encode(gpt2, both, a + b, false, &pair, &two), 0);
            assert_int_equal(two, 2);
            assert_int_equal(pair[0], ids[i]);
            free(pair);
        }
        free(ids);
    }
}

/* ---- char and bytes -------------------------------------------------------------------------------------- */

static void char_ids_are_in_code_point_order_bad_bytes_last(void **state)
{
    (void)state;
    static const char text[] = "b\xff\xc3\xa9"
                               "a\xe2\x82\xac"
                               "a\x80\n\xf0\x9f\x98\x80";
    static const struct {
        const char *bytes;
        size_t n;
    } want[] = {{"\n", 1},   {"a", 1},   {"b", 1}, {"\xc3\xa9", 2}, {"\xe2\x82\xac", 3}, {"\xf0\x9f\x98\x80", 4},
                {"\x80", 1}, {"\xff", 1}};
    const int32_t ids[] = {2, 7, 3, 1, 4, 1, 6, 0, 5};
    gp_tokenizer *t = chars_of(text, sizeof text - 1);
    assert_non_null(t);
    assert_string_equal(gp_tokenizer_kind(t), "char");
    assert_int_equal(gp_tokenizer_vocab_size(t), 8);
    assert_int_equal(gp_tokenizer_end_of_text(t), -1);
    for (int32_t id = 0; id < 8; id++) {
        size_t n;
        const char *bytes = gp_tokenizer_bytes(t, id, &n);
        assert_int_equal(n, want[id].n);
        assert_memory_equal(bytes, want[id].bytes, n);
    }
    size_t n;
    assert_null(gp_tokenizer_bytes(t, 8, &n));
    assert_null(gp_tokenizer_bytes(t, -1, &n));
    assert_ids(t, text, sizeof text - 1, ids, 9);
    gp_tokenizer_close(t);
}

static void a_character_that_is_missing_is_told_with_its_offset(void **state)
{
    (void)state;
    int32_t *ids;
    int64_t count;
    gp_tokenizer *t = chars_of("abc", 3);
    assert_int_equal(gp_tokenizer_encode(t, "ab\xe2\x82\xac", 5, false, &ids, &count), -1);
    assert_said("U+20AC at offset 2");
    assert_int_equal(gp_tokenizer_encode(t, "abca\xff", 5, false, &ids, &count), -1);
    assert_said("byte 0xff at offset 4");

    list l = {0};
    gp_encoder *e = gp_encoder_open(t, match, &l);
    assert_int_equal(gp_encoder_feed(e, "\xe2\x82", 2), 0);
    assert_int_equal(gp_encoder_feed(e, "\xac", 1), -1);
    assert_said("U+20AC at offset 0");
    gp_encoder_close(e);
    gp_tokenizer_close(t);
}

static void several_texts_make_one_character_vocabulary(void **state)
{
    (void)state;
    gp_charset *c = gp_charset_new();
    gp_charset_add(c, "ba", 2);
    gp_charset_add(c, "cab", 3);
    gp_tokenizer *t = gp_charset_build(c);
    const int32_t want[] = {0, 1, 2};
    assert_ids(t, "abc", 3, want, 3);
    assert_int_equal(gp_tokenizer_vocab_size(t), 3);
    gp_tokenizer_close(t);
}

static void no_text_makes_no_character_vocabulary(void **state)
{
    (void)state;
    assert_null(chars_of("", 0));
    assert_said("empty");
}

static void bytes_are_their_own_ids(void **state)
{
    (void)state;
    const int32_t want[] = {0, 0xc3, 0xa9, 'x', 0xff};
    gp_tokenizer *t = gp_tokenizer_open("bytes");
    assert_string_equal(gp_tokenizer_kind(t), "bytes");
    assert_int_equal(gp_tokenizer_vocab_size(t), 256);
    assert_ids(t, "\0\xc3\xa9x\xff", 5, want, 5);
    gp_tokenizer_close(t);
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
        cmocka_unit_test(each_golden_text_has_tiktokens_ids),
        cmocka_unit_test(end_of_text_in_text_is_text),
        cmocka_unit_test(any_bytes_round_trip),
        cmocka_unit_test(ids_are_decoded_as_far_as_they_fit),
        cmocka_unit_test(text_in_parts_gives_the_same_ids),
        cmocka_unit_test(a_long_piece_in_parts_gives_the_same_ids),
        cmocka_unit_test(a_window_that_was_cut_too_early_is_made_again),
        cmocka_unit_test(a_merge_before_those_that_make_its_parts_comes_next),
        cmocka_unit_test(neighbours_in_a_long_piece_do_not_merge),
        cmocka_unit_test(char_ids_are_in_code_point_order_bad_bytes_last),
        cmocka_unit_test(a_character_that_is_missing_is_told_with_its_offset),
        cmocka_unit_test(several_texts_make_one_character_vocabulary),
        cmocka_unit_test(no_text_makes_no_character_vocabulary),
        cmocka_unit_test(bytes_are_their_own_ids),
    };
    return cmocka_run_group_tests(tests, open_gpt2, close_gpt2);
}
