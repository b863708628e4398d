/* Files that are damaged at random, the same way each time: token streams and tokenizers of every kind are refused in
 * one line, or what was opened keeps its promises. GPTPIPE_MUTATIONS=N tries N of each instead of a few hundred; under
 * the sanitizers this is what a fuzzer would do. */
#include "gptpipe/corpus.h"

#include "small_bpe.h"
#include "chars.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64] = "/tmp/gptpipe-mutations.XXXXXX";
static uint64_t state = 1;
static int opened, refused;

static size_t any_below(size_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* ---- damage ---------------------------------------------------------------------------------------------- */

/* Writes a number of the kind that overflows somewhere over the bytes at `at`. */
static void put_number(gp_buf *b, size_t at)
{
    static const uint64_t numbers[] = {0, 1, 255, 65536, INT32_MAX, UINT32_MAX, UINT64_MAX, INT64_MAX, 1ull << 61};
    size_t n = any_below(2) ? 8 : 4;
    memcpy(b->data + at, &numbers[any_below(ARRAY_LEN(numbers))], b->len - at < n ? b->len - at : n);
}

static void damage(gp_buf *b)
{
    size_t at = any_below(b->len), n = 1 + any_below(20);
    n = n < b->len - at ? n : b->len - at;
    switch (any_below(6)) {
    case 0: /* cut */
        b->len = at;
        break;
    case 1: /* noise */
        for (size_t i = 0; i < n; i++)
            b->data[at + i] = (char)any_below(256);
        break;
    case 2: /* one byte becomes another one of the file: JSON stays JSON more often */
        b->data[at] = b->data[any_below(b->len)];
        break;
    case 3: /* some are missing */
        memmove(b->data + at, b->data + at + n, b->len - at - n);
        b->len -= n;
        break;
    case 4: /* some are there twice */
        gp_buf_reserve(b, n);
        memmove(b->data + at + n, b->data + at, b->len - at);
        b->len += n;
        break;
    default: /* most numbers are near the beginning or the end */
        put_number(b, any_below(2) ? at % 64 : b->len - 1 - at % 32);
    }
}

/* ---- what must hold -------------------------------------------------------------------------------------- */

static void assert_told(const char *name)
{
    if (!*gp_error() || strchr(gp_error(), '\n') || strlen(gp_error()) > 1000)
        fail_msg("%s: refused with '%s'", name, gp_error());
    refused++;
}

/* A tokenizer that was opened encodes any text to ids of its vocabulary, and they decode to it. */
static void check_tokenizer(const gp_tokenizer *t)
{
    static const char text[] =
        "The lazy dogs, it's 12 o'clock.\n\n\xff\xe4\xb8\xad ababababababababababababababababababab"
        "abababababababababababababababab   ";
    char back[2 * sizeof text];
    int32_t *ids;
    int64_t count;
    size_t length;
    uint8_t fingerprint[16];
    gp_tokenizer_fingerprint(t, fingerprint);
    if (gp_tokenizer_encode(t, text, sizeof text, false, &ids, &count)) {
        assert_non_null(strstr(gp_error(), "not in the vocabulary"));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        assert_in_range(ids[i], 0, gp_tokenizer_vocab_size(t) - 1);
    assert_int_equal(gp_tokenizer_decode(t, ids, count, back, sizeof back, &length), count);
    assert_int_equal(length, sizeof text);
    assert_memory_equal(back, text, sizeof text);
    free(ids);
}

static void check_stream(const gp_tokens *s)
{
    const gp_tokens_info *info = gp_tokens_get_info(s);
    int64_t before = -1;
    for (int64_t i = 0; i < info->documents; i++) {
        int64_t start = gp_tokens_document(s, i);
        assert_true(start > before && start < info->count);
        before = start;
    }
    int32_t *ids = gp_malloc((size_t)info->count * sizeof *ids);
    if (gp_tokens_verify(s))
        assert_told(info->name);
    else
        assert_int_equal(gp_tokens_read(s, 0, info->count, ids), 0);
    free(ids);
}

/* Opens a stream as tokenize --info does, and --decode. */
static void try_tok(const char *path)
{
    gp_tokens *s;
    gp_tokenizer *t;
    if (gp_corpus_open(path, GP_STREAM_ANY, 0, NULL, false, &s, &t)) {
        assert_told(path);
    } else {
        check_stream(s);
        if (t && gp_corpus_decode(s, t, NULL) < 0)
            assert_told(path);
        opened++;
    }
    gp_tokens_close(s);
    gp_tokenizer_close(t);
}

static void try_llmc(const char *path)
{
    gp_tokens *s = gp_tokens_open_as(path, GP_STREAM_LLMC, 300, NULL);
    if (s) {
        check_stream(s);
        opened++;
    } else {
        assert_told(path);
    }
    gp_tokens_close(s);
}

static void try_tokenizer(const char *path)
{
    gp_tokenizer *t = gp_tokenizer_open(path);
    if (t) {
        check_tokenizer(t);
        opened++;
    } else {
        assert_told(path);
    }
    gp_tokenizer_close(t);
}

/* Damages the file `name` of dir again and again, and tries each. */
static void mutate(const char *name, int rounds, void (*try)(const char *path))
{
    gp_buf whole = {0}, b = {0};
    const char *wanted = getenv("GPTPIPE_MUTATIONS");
    assert_int_equal(gp_file_read(&whole, path_of(name), 1 << 20), 0);
    try(path_of(name));
    assert_int_equal(opened, 1); /* as it was, it is good */
    for (int i = wanted ? atoi(wanted) : rounds; i > 0; i--) {
        b.len = 0;
        gp_buf_add(&b, whole.data, whole.len);
        for (size_t times = 1 + any_below(3); times > 0 && b.len; times--)
            damage(&b);
        unlink(path_of(name)); /* to write over it, as to call gp_file_write, would wait for the disk */
        FILE *f = fopen(path_of(name), "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
        fclose(f);
        try(path_of(name));
    }
    assert_true(refused > rounds / 4);
    opened = refused = 0;
    assert_int_equal(gp_file_write(path_of(name), whole.data, whole.len), 0);
    gp_buf_release(&whole);
    gp_buf_release(&b);
}

/* ---- the files ------------------------------------------------------------------------------------------- */

static char *small_json(void)
{
    return make_json(",\"ab\":256,\"abab\":257,\"<|end|>\":258", "[\"a b\",[\"ab\",\"ab\"]]",
                     "\"added_tokens\":[{\"id\":258,\"content\":\"<|end|>\",\"special\":true}],");
}

static void write_stream(const char *name, gp_stream_format format)
{
    static const int32_t ids[] = {'a', 256, 257, 0, 255, 'x', 'y', 'z', 10, 32};
    char *json = small_json();
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "here");
    assert_non_null(t);
    char *metadata = gp_tokens_describe(&(gp_tokens_description){.tokenizer = json,
                                                                 .source = "here",
                                                                 .separator = "\n\n",
                                                                 .separator_length = 2,
                                                                 .separator_ids = ids,
                                                                 .separator_count = 1});
    gp_tokens_info info = {.vocab_size = 259, .format = format, .metadata = metadata};
    gp_tokenizer_fingerprint(t, info.fingerprint);
    gp_tokens_writer *w = gp_tokens_create(path_of(name), &info);
    assert_non_null(w);
    for (int64_t n = 1; n <= (int64_t)ARRAY_LEN(ids); n++)
        assert_int_equal(gp_tokens_write(w, ids, n) || gp_tokens_end_document(w), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokenizer_close(t);
    free(metadata);
    free(json);
}

static void a_damaged_stream_is_told(void **unused)
{
    (void)unused;
    write_stream("a.tok", GP_STREAM_TOK);
    mutate("a.tok", 2000, try_tok);
}

static void a_damaged_llmc_stream_is_told(void **unused)
{
    (void)unused;
    write_stream("a.bin", GP_STREAM_LLMC);
    mutate("a.bin", 1000, try_llmc);
}

static void a_damaged_tokenizer_json_is_told(void **unused)
{
    (void)unused;
    char *json = small_json();
    assert_int_equal(gp_file_write(path_of("tokenizer.json"), json, strlen(json)), 0);
    mutate("tokenizer.json", 1500, try_tokenizer);
    free(json);
    gp_tokenizer *t = chars_of("The lazy dogs, it's 12 o'clock.\n\xff", 33);
    assert_int_equal(gp_tokenizer_save(t, path_of("char.json")), 0);
    mutate("char.json", 500, try_tokenizer);
    gp_tokenizer_close(t);
}

static void a_damaged_tiktoken_is_told(void **unused)
{
    (void)unused;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    gp_buf b = {0};
    for (int byte = 0; byte < 256; byte++)
        gp_buf_printf(&b, "%c%c== %d\n", digits[byte >> 2], digits[(byte & 3) << 4], byte);
    gp_buf_puts(&b, "YWI= 256\nYWJhYg== 257\n"); /* ab, abab */
    assert_int_equal(gp_file_write(path_of("a.tiktoken"), b.data, b.len), 0);
    gp_buf_release(&b);
    mutate("a.tiktoken", 1000, try_tokenizer);
}

static void damaged_merges_are_told(void **unused)
{
    (void)unused;
    char *json = make_json(",\"ab\":256,\"abab\":257", "[]", "");
    char *vocab = strstr(json, "\"vocab\":") + strlen("\"vocab\":"), *end = strstr(vocab, ",\"merges\"");
    const char merges[] = "#version: 0.2\na b\nab ab\n";
    assert_int_equal(gp_file_write(path_of("vocab.json"), vocab, (size_t)(end - vocab)), 0);
    assert_int_equal(gp_file_write(path_of("merges.txt"), merges, strlen(merges)), 0);
    mutate("merges.txt", 500, try_tokenizer);
    mutate("vocab.json", 500, try_tokenizer);
    free(json);
}

static int make_dir(void **unused)
{
    (void)unused;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **unused)
{
    static const char *const names[] = {"a.tok",      "a.bin",      "tokenizer.json", "char.json",
                                        "a.tiktoken", "vocab.json", "merges.txt"};
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_stream_is_told),         cmocka_unit_test(a_damaged_llmc_stream_is_told),
        cmocka_unit_test(a_damaged_tokenizer_json_is_told), cmocka_unit_test(a_damaged_tiktoken_is_told),
        cmocka_unit_test(damaged_merges_are_told),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
