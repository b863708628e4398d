/* .tiktoken files: ids are tiktoken's; files that would give other ids are refused. And which files are found. */
#include "gptpipe/tokenizer.h"

#include "small_bpe.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void assert_said(const char *said)
{
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
    assert_null(strchr(gp_error(), '\n'));
}

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static const char *put_file(const char *name, const char *text, size_t n)
{
    assert_int_equal(gp_file_write(path_of(name), text, n), 0);
    return path_of(name);
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static void add_base64(gp_buf *b, const char *token, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < n ? (uint8_t)token[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            gp_buf_add(b, i + k > n ? "=" : &digits[bits >> (18 - 6 * k) & 63], 1);
    }
}

/* The bytes as ranks 0 to 255, then these tokens, `more` behind them. */
static gp_buf make_file(const char *const *tokens, size_t count, const char *more)
{
    gp_buf b = {0};
    for (int rank = 0; rank < 256 + (int)count; rank++) {
        char byte = (char)rank;
        if (rank < 256)
            add_base64(&b, &byte, 1);
        else
            add_base64(&b, tokens[rank - 256], strlen(tokens[rank - 256]));
        gp_buf_printf(&b, " %d\n", rank);
    }
    gp_buf_puts(&b, more);
    return b;
}

static gp_tokenizer *open_text(const gp_buf *text)
{
    return gp_tokenizer_open(put_file("x.tiktoken", text->data, text->len));
}

static gp_tokenizer *open_tokens(const char *const *tokens, size_t count, const char *more)
{
    gp_buf b = make_file(tokens, count, more);
    gp_tokenizer *t = open_text(&b);
    gp_buf_release(&b);
    return t;
}

static void assert_ids(const gp_tokenizer *t, const char *text, const int32_t *want, int64_t count)
{
    int32_t *ids;
    int64_t got;
    if (gp_tokenizer_encode(t, text, strlen(text), false, &ids, &got))
        fail_msg("%s", gp_error());
    assert_int_equal(got, count);
    assert_memory_equal(ids, want, (size_t)count * sizeof *ids);
    free(ids);
}

/* ---- what is read ---------------------------------------------------------------------------------------- */

static const char *const small[] = {"ab", "bc", "abc", " a", "aa", "aaa", " abc", "'l", "'ll", "\xc3\xa9"};

/* By tiktoken 0.14.0, Encoding(pat_str=r50k_base's, mergeable_ranks=the 256 bytes and these).encode_ordinary. */
static void ids_are_tiktokens(void **state)
{
    (void)state;
    const int32_t want[] = {258, 256, 262, 32, 257, 259, 260, 260, 259, 261, 32,  119, 101, 264, 32,  99, 97,
                            102, 265, 32,  60, 124, 101, 110, 100, 111, 102, 116, 101, 120, 116, 124, 62};
    gp_tokenizer *t = open_tokens(small, ARRAY_LEN(small), "");
    if (!t)
        fail_msg("%s", gp_error());
    assert_ids(t, "abcab abc bc aaaaa aaaa we'll caf\xc3\xa9 <|endoftext|>", want, ARRAY_LEN(want));
    gp_tokenizer_close(t);
}

static void end_of_text_comes_behind_the_last_rank(void **state)
{
    (void)state;
    gp_tokenizer *t = open_tokens(small, ARRAY_LEN(small), "\r\n\n");
    assert_int_equal(gp_tokenizer_vocab_size(t), 267);
    assert_int_equal(gp_tokenizer_end_of_text(t), 266);
    gp_tokenizer_close(t);
}

static void the_fingerprint_is_that_of_the_same_vocabulary_with_merges(void **state)
{
    (void)state;
    static const char *const tokens[] = {"ab", "bc", "abc"};
    uint8_t a[16], b[16];
    char *json = make_json(",\"ab\":256,\"bc\":257,\"abc\":258", "[\"a b\",\"b c\",\"ab c\"]",
                           "\"added_tokens\":[{\"id\":259,\"content\":\"<|endoftext|>\",\"special\":true}],");
    gp_tokenizer *t = open_tokens(tokens, 3, ""), *with = gp_tokenizer_from_json(json, strlen(json), "here");
    if (!t || !with)
        fail_msg("%s", gp_error());
    gp_tokenizer_fingerprint(t, a);
    gp_tokenizer_fingerprint(with, b);
    assert_memory_equal(a, b, 16);
    gp_tokenizer_close(t);
    gp_tokenizer_close(with);
    free(json);
}

/* All words of two, three, four letters in their order: more than 50257 tokens, of which a word's two parts are always
 * two. */
static gp_buf make_words(int gap, int ranks)
{
    gp_buf b = make_file(NULL, 0, "");
    int rank = 256;
    for (int letters = 2, most = 26 * 26; rank < ranks; letters++, most *= 26) {
        for (int word = 0; word < most && rank < ranks; word++) {
            char text[8];
            for (int i = letters, rest = word; i-- > 0; rest /= 26)
                text[i] = (char)('a' + rest % 26);
            rank += rank == gap;
            add_base64(&b, text, (size_t)letters);
            gp_buf_printf(&b, " %d\n", rank++);
        }
    }
    return b;
}

static void end_of_text_is_50256_where_that_is_left_out(void **state)
{
    (void)state;
    gp_buf b = make_words(50256, 50281);
    gp_tokenizer *t = open_text(&b);
    if (!t)
        fail_msg("%s", gp_error());
    assert_int_equal(gp_tokenizer_vocab_size(t), 50281);
    assert_int_equal(gp_tokenizer_end_of_text(t), 50256);
    gp_tokenizer_close(t);
    gp_buf_release(&b);
    b = make_words(50255, 50281);
    assert_null(open_text(&b));
    assert_said("id 50255 is missing");
    gp_buf_release(&b);
}

/* GPT-2's vocabulary as r50k_base.tiktoken has it: the ranks are the ids. */
static void gpt2_as_tiktoken_is_gpt2(void **state)
{
    (void)state;
    static const char text[] = "It's 1234   caf\xc3\xa9s\n\n  -- \xf0\x9f\x98\x80 aaaaaaaaaaaaaaaaaaaaa, isn't it?";
    setenv("FETCH_DATA_MIRROR", "../shared/mirror", 0);
    gp_tokenizer *gpt2 = gp_tokenizer_open("gpt2");
    if (!gpt2) {
        fprintf(stderr, "skipped: %s\n", gp_error());
        skip();
    }
    gp_buf b = {0};
    for (int32_t id = 0; id < 50256; id++) {
        size_t n;
        const char *bytes = gp_tokenizer_bytes(gpt2, id, &n);
        add_base64(&b, bytes, n);
        gp_buf_printf(&b, " %d\n", id);
    }
    gp_tokenizer *t = open_text(&b);
    if (!t)
        fail_msg("%s", gp_error());
    uint8_t fingerprints[2][16];
    gp_tokenizer_fingerprint(gpt2, fingerprints[0]);
    gp_tokenizer_fingerprint(t, fingerprints[1]);
    assert_memory_equal(fingerprints[0], fingerprints[1], 16);
    int32_t *ids;
    int64_t count;
    assert_int_equal(gp_tokenizer_encode(gpt2, text, strlen(text), false, &ids, &count), 0);
    assert_ids(t, text, ids, count);
    free(ids);
    gp_buf_release(&b);
    gp_tokenizer_close(t);
    gp_tokenizer_close(gpt2);
}

/* ---- what is refused ------------------------------------------------------------------------------------- */

static void each_bad_line_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *more, *said;
    } cases[] = {
        {"YWI 256\n", "line 257 is \"YWI 256\", expected a token in base64"},
        {"YW=I 256\n", "line 257 is"},
        {"YW*i 256\n", "line 257 is"},
        {"==== 256\n", "line 257 is"},
        {" 256\n", "line 257 is"},
        {"YWI=\n", "line 257 is \"YWI=\""},
        {"YWI= \n", "line 257 is"},
        {"YWI= 256 7\n", "line 257 is"},
        {"YWI= 256x\n", "line 257 is"},
        {"YWI= -1\n", "line 257 is"},
        {"YWI= 99999999999999999999\n", "line 257 is"},
        {"\nYWI= 256\n\xff\xfe\n", "line 259 is \"\\xff\\xfe\""},
        {"YWI= 255\n", "id 255 is given twice"},
        {"YWI= 257\n", "id 256 is missing"},
        {"YQ== 256\n", "ids 97 and 256 are both \"a\""},
        {"YWI= 256\nYWI= 257\n", "ids 256 and 257 are both \"ab\""},
        {"YWJj 256\n", "token 256, \"abc\", is not made of two tokens of lower ranks"},
        {"YWJj 256\nYWI= 257\n", "token 256, \"abc\", is not made of two tokens of lower ranks"},
        {"PHxlbmRvZnRleHR8Pg== 256\n", "are both \"<|endoftext|>\""},
        {"LmNvbQ== 256\n", "\".com\", is impossible with GPT-2's pre-tokenization"},
        {"ICA= 256\nICBh 257\n", "\"  a\", is impossible with GPT-2's pre-tokenization"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_tokenizer *t = open_tokens(NULL, 0, cases[i].more);
        if (t)
            fail_msg("case %zu was taken", i);
        assert_said("x.tiktoken: ");
        assert_said(cases[i].said);
    }
}

static void a_file_that_lacks_bytes_is_refused(void **state)
{
    (void)state;
    const char *path = put_file("bytes.tiktoken", "YQ== 0\nYg== 1\nYWI= 2\n", 21);
    assert_null(gp_tokenizer_open(path));
    assert_said("byte 0x00 is not in the vocabulary");
}

static void a_token_of_a_thousand_bytes_is_read_and_no_longer_one(void **state)
{
    (void)state;
    gp_buf b = make_file(NULL, 0, "");
    char token[1001];
    memset(token, 'a', sizeof token);
    int rank = 256;
    for (size_t n = 2; n <= 1000; n++) { /* one more letter each */
        add_base64(&b, token, n);
        gp_buf_printf(&b, " %d\n", rank++);
    }
    gp_tokenizer *t = open_text(&b);
    if (!t)
        fail_msg("%s", gp_error());
    gp_tokenizer_close(t);
    for (int groups = 334; groups < 340; groups++) { /* three bytes each */
        b.len = 0;
        for (int i = 0; i < groups; i++)
            gp_buf_puts(&b, "YWFh");
        gp_buf_puts(&b, " 256\n");
        assert_null(open_text(&b));
        assert_said("line 1 has a token of more than 1000 bytes");
    }
    gp_buf_release(&b);
}

/* ---- what is found --------------------------------------------------------------------------------------- */

/* A vocabulary of 256 bytes and one more word, and its merges, under these names in a folder of their own. */
static const char *put_words(const char *folder, const char *vocab, const char *merges, const char *word,
                             const char *lines)
{
    static char path[200];
    char *json = make_json(word, "[]", ""), *begin = strstr(json, "\"vocab\":") + strlen("\"vocab\":");
    char *name = gp_path_join(folder, vocab);
    snprintf(path, sizeof path, "%s", path_of(folder));
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(name, begin, (size_t)(strchr(begin, '}') - begin) + 1);
    free(name);
    name = gp_path_join(folder, merges);
    put_file(name, lines, strlen(lines));
    free(name);
    free(json);
    return path;
}

/* With the word ab. */
static const char *put_pair(const char *folder, const char *vocab, const char *merges)
{
    return put_words(folder, vocab, merges, ",\"ab\":256", "#version: 0.2\na b\n");
}

static void assert_opens(const char *name)
{
    const int32_t want[] = {256, 'c'};
    gp_tokenizer *t = gp_tokenizer_open(name);
    if (!t)
        fail_msg("%s", gp_error());
    assert_ids(t, "abc", want, 2);
    gp_tokenizer_close(t);
}

static void a_folder_or_one_half_of_a_pair_opens_both(void **state)
{
    (void)state;
    static const char *const names[][3] = {{"openai", "encoder.json", "vocab.bpe"}, {"hf", "vocab.json", "merges.txt"}};
    for (int i = 0; i < 2; i++) {
        char *folder = gp_strdup(put_pair(names[i][0], names[i][1], names[i][2]));
        assert_opens(folder);
        for (int half = 1; half < 3; half++) {
            char *path = gp_path_join(folder, names[i][half]);
            assert_opens(path);
            free(path);
        }
        free(folder);
    }
}

/* As Windows' editors leave it: a byte-order mark, in front of the version or of the first merge, and CR LF. */
static void a_byte_order_mark_is_no_part_of_the_merges(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xEF\xBB\xBF#version: 0.2\na b\n", "\xEF\xBB\xBF"
                                                                            "a b\r\n"};
    static const char *const files[] = {"marked/merges.txt", "marked2/merges.txt"};
    for (int i = 0; i < 2; i++) {
        char *folder = gp_strdup(put_pair(i ? "marked2" : "marked", "vocab.json", "merges.txt"));
        put_file(files[i], texts[i], strlen(texts[i]));
        assert_opens(folder);
        free(folder);
    }
}

/* Qwen2's split keeps ";" and the line's end together, GPT-2's does not. The classes of GPT-2 and RoBERTa split as
 * GPT-2 does, whatever the merges are. */
static void merges_of_another_split_are_refused(void **state)
{
    (void)state;
    static const char said[] = "token 256, \";\\n\", is impossible with GPT-2's pre-tokenization";
    static const char gpt2[] = "{\"model_type\":\"gpt2\"}", qwen[] = "{\"model_type\":\"qwen2\"}";
    static const int32_t want[] = {';', '\n'};
    char *folder = gp_strdup(put_words("qwen", "vocab.json", "merges.txt", ",\";\u010a\":256", "; \xc4\x8a\n"));
    char *vocab = gp_path_join(folder, "vocab.json");
    assert_null(gp_tokenizer_open(vocab));
    assert_said(said);
    put_file("qwen/config.json", qwen, strlen(qwen));
    assert_null(gp_tokenizer_open(folder));
    assert_said(said);
    put_file("qwen/config.json", gpt2, strlen(gpt2));
    gp_tokenizer *t = gp_tokenizer_open(folder);
    assert_non_null(t);
    assert_ids(t, ";\n", want, 2);
    gp_tokenizer_close(t);
    free(vocab);
    free(folder);
}

static void a_half_alone_tells_what_is_missing(void **state)
{
    (void)state;
    char *folder = gp_strdup(put_pair("half", "encoder.json", "vocab.bpe"));
    char *vocab = gp_path_join(folder, "encoder.json"), *merges = gp_path_join(folder, "vocab.bpe");
    unlink(merges);
    assert_null(gp_tokenizer_open(vocab));
    assert_said("encoder.json: also needs vocab.bpe in the same folder");
    assert_null(gp_tokenizer_open(folder));
    assert_said("vocab.bpe in the same folder, which is missing");
    free(folder);
    free(vocab);
    free(merges);
}

static void merges_that_do_not_fit_the_vocabulary_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *merges, *said;
    } cases[] = {
        {"#version: 0.2\na c\n", "vocab.bpe: merge 1, \"a\" + \"c\": the merged token is not in the vocabulary"},
        {"#version: 0.2\na b\nab xyz\n", "merge 2, \"ab\" + \"xyz\": a part is not in the vocabulary"},
        {"#version: 0.2\na b c\n", "merge 1, \"a b c\", is not two parts"},
    };
    char *folder = gp_strdup(put_pair("other", "encoder.json", "vocab.bpe"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        put_file("other/vocab.bpe", cases[i].merges, strlen(cases[i].merges));
        assert_null(gp_tokenizer_open(folder));
        assert_said(cases[i].said);
    }
    free(folder);
}

static void a_file_is_known_by_what_is_in_it(void **state)
{
    (void)state;
    static const char *const tokens[] = {"ab"};
    gp_buf b = make_file(tokens, 1, "");
    assert_opens(put_file("no-ending", b.data, b.len));
    gp_buf_release(&b);
    char *json = make_json(",\"ab\":256", "[\"a b\"]", "");
    assert_opens(put_file("other-name", json, strlen(json)));
    free(json);
}

static void a_tiktoken_file_alone_in_a_folder_is_opened(void **state)
{
    (void)state;
    static const char *const tokens[] = {"ab"};
    gp_buf b = make_file(tokens, 1, "");
    char *folder = gp_strdup(path_of("alone"));
    assert_int_equal(mkdir(folder, 0700), 0);
    put_file("alone/x.tiktoken", b.data, b.len);
    assert_opens(folder);
    put_file("alone/y.tiktoken", b.data, b.len);
    assert_null(gp_tokenizer_open(folder));
    assert_said("has 2 .tiktoken files; name one of them");
    gp_buf_release(&b);
    free(folder);
}

static void a_file_that_is_no_tokenizer_is_refused(void **state)
{
    (void)state;
    assert_null(gp_tokenizer_open(put_file("empty", "", 0)));
    assert_said("empty: is empty");
    assert_null(gp_tokenizer_open(put_file("empty", " \n", 2)));
    assert_said("empty: is empty");
    assert_null(gp_tokenizer_open(put_file("text", "Once upon a time", 16)));
    assert_said("text: is not a tokenizer: neither");
    assert_null(gp_tokenizer_open(put_file("binary", "\0\1\2", 3)));
    assert_said("binary: is not a tokenizer: neither");
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/gptpipe-tiktoken-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_tiktokens),
        cmocka_unit_test(end_of_text_comes_behind_the_last_rank),
        cmocka_unit_test(end_of_text_is_50256_where_that_is_left_out),
        cmocka_unit_test(the_fingerprint_is_that_of_the_same_vocabulary_with_merges),
        cmocka_unit_test(gpt2_as_tiktoken_is_gpt2),
        cmocka_unit_test(each_bad_line_is_named),
        cmocka_unit_test(a_file_that_lacks_bytes_is_refused),
        cmocka_unit_test(a_token_of_a_thousand_bytes_is_read_and_no_longer_one),
        cmocka_unit_test(a_folder_or_one_half_of_a_pair_opens_both),
        cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_merges),
        cmocka_unit_test(merges_of_another_split_are_refused),
        cmocka_unit_test(a_half_alone_tells_what_is_missing),
        cmocka_unit_test(merges_that_do_not_fit_the_vocabulary_are_refused),
        cmocka_unit_test(a_file_is_known_by_what_is_in_it),
        cmocka_unit_test(a_tiktoken_file_alone_in_a_folder_is_opened),
        cmocka_unit_test(a_file_that_is_no_tokenizer_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
