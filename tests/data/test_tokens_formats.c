/* Token streams of other programs, writing that fails, metadata, splits. */
#include "gptpipe/tokens.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char path[256], dir[64] = "/tmp/gptpipe-tokens.XXXXXX";

static void save(const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static size_t load(char *data, size_t most)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, most, f);
    fclose(f);
    return n;
}

static void put(char *p, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (char)(x >> 8 * i);
}

static void assert_refused(const char *said)
{
    gp_tokens *s = gp_tokens_open(path, NULL);
    if (s)
        fail_msg("opened, but should have failed with '%s'", said);
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
    assert_null(strchr(gp_error(), '\n'));
}

static void llmc_files_are_recognised_and_written(void **state)
{
    (void)state;
    const int32_t ids[3] = {50256, 0, 7};
    int32_t back[3];
    char p[1024 + 6] = {0}, got[2048];
    put(p, 20240520, 4);
    put(p + 4, 1, 4);
    put(p + 8, 3, 4);
    for (int i = 0; i < 3; i++)
        put(p + 1024 + 2 * i, (uint64_t)ids[i], 2);
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_get_info(s)->format, GP_STREAM_LLMC);
    assert_int_equal(gp_tokens_get_info(s)->vocab_size, 50257);
    assert_int_equal(gp_tokens_read(s, 0, 3, back), 0);
    assert_memory_equal(back, ids, sizeof ids);
    gp_tokens_close(s);

    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 50257, .format = GP_STREAM_LLMC});
    assert_int_equal(gp_tokens_write(w, ids, 3), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    assert_int_equal(load(got, sizeof got), sizeof p);
    assert_memory_equal(got, p, sizeof p);
}

static void an_llmc_count_that_lies_is_refused(void **state)
{
    (void)state;
    char p[1024 + 6] = {0};
    put(p, 20240520, 4);
    put(p + 4, 1, 4);
    put(p + 8, 4, 4);
    save(p, sizeof p);
    assert_refused("its header counts 4 tokens, the 6 bytes after it hold 3");
    put(p + 8, 0x80000003u, 4);
    save(p, sizeof p);
    assert_refused("is corrupt");
    put(p + 4, 7, 4);
    save(p, sizeof p);
    assert_refused("version 7, expected 1");
}

static void raw16_needs_its_vocabulary(void **state)
{
    (void)state;
    const uint16_t ids[3] = {1, 2, 300};
    int32_t back[3];
    save(ids, sizeof ids);
    assert_null(gp_tokens_open_as(path, GP_STREAM_RAW16, 0, NULL));
    assert_non_null(strstr(gp_error(), "--vocab-size"));
    gp_tokens *s = gp_tokens_open_as(path, GP_STREAM_RAW16, 300, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_verify(s), -1);
    gp_tokens_close(s);
    s = gp_tokens_open_as(path, GP_STREAM_RAW16, 301, NULL);
    assert_int_equal(gp_tokens_read(s, 0, 3, back), 0);
    assert_int_equal(back[2], 300);
    gp_tokens_close(s);
    save(ids, 5);
    assert_null(gp_tokens_open_as(path, GP_STREAM_RAW16, 301, NULL));
    assert_non_null(strstr(gp_error(), "odd number"));
}

/* Headers that llm.c's tokenizers and numpy write; as ids they would be in the data unseen. */
static void what_has_a_header_is_not_raw16(void **state)
{
    (void)state;
    static const struct {
        char bytes[9];
        const char *what;
    } headers[] = {{"GPTKTOK1", "--format tok"},
                   {"\x88\xd8\x34\x01\x01\0\0\0", "--format llmc"},
                   {"\xa1\xd9\x34\x01\x07\0\0\0", "LLaMA"},
                   {"\x8a\xd8\x34\x01\x01\0\0\0", "questions"},
                   {"\x93NUMPY\x01\0", "numpy"}};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        save(headers[i].bytes, 8);
        assert_null(gp_tokens_open_as(path, GP_STREAM_RAW16, 65536, NULL));
        assert_non_null(strstr(gp_error(), headers[i].what));
        save(headers[i].bytes, 2); /* an id as any other */
        gp_tokens *s = gp_tokens_open_as(path, GP_STREAM_RAW16, 65536, NULL);
        assert_non_null(s);
        gp_tokens_close(s);
    }
}

static void an_id_that_does_not_fit_is_not_written(void **state)
{
    (void)state;
    const int32_t bad[] = {5, 10}, negative[] = {-100};
    unlink(path);
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 10});
    assert_int_equal(gp_tokens_write(w, bad, 2), -1);
    assert_int_equal(gp_tokens_write(w, negative, 1), -1);
    gp_tokens_abort(w);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_full_disk_fails_and_says_so(void **state)
{
    (void)state;
    static int32_t ids[1 << 20];
    int saved = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
    fflush(stdout);
    dup2(full, STDOUT_FILENO);
    gp_tokens_writer *w = gp_tokens_create("-", &(gp_tokens_info){.vocab_size = 10});
    int rc = gp_tokens_write(w, ids, 1 << 20);
    int finished = gp_tokens_finish(w);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(full);
    assert_int_equal(rc, -1);
    assert_int_equal(finished, -1);
    assert_non_null(strstr(gp_error(), "No space left"));
}

/* Tokens are summed some thousands at a time. */
static void the_crc_is_that_of_all_tokens(void **state)
{
    (void)state;
    enum { COUNT = 10007 };
    uint16_t all[COUNT];
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 65536});
    for (int32_t i = 0; i < COUNT; i++) {
        int32_t id = i * 7919 % 65536;
        all[i] = (uint16_t)id;
        assert_int_equal(gp_tokens_write(w, &id, 1), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_int_equal(gp_tokens_verify(s), 0);
    gp_tokens_close(s);
    char trailer[32];
    FILE *f = fopen(path, "rb");
    assert_int_equal(fseek(f, -32, SEEK_END), 0);
    assert_int_equal(fread(trailer, 1, 32, f), 32);
    fclose(f);
    char want[4];
    put(want, crc32(0, (const Bytef *)all, sizeof all), 4);
    assert_memory_equal(trailer + 24, want, 4);
}

static void metadata_comes_back(void **state)
{
    (void)state;
    const int32_t ids[2] = {0, 0};
    char *text;
    size_t length;
    int32_t *back;
    int64_t count;
    char *json = gp_tokens_describe(&(gp_tokens_description){.tokenizer = "{\"model\":\"\\u0000\"}",
                                                             .source = "a.txt",
                                                             .separator = "\n\n",
                                                             .separator_length = 2,
                                                             .separator_ids = ids,
                                                             .separator_count = 2,
                                                             .entropy = "{\"nats\":[1.5,2.25],\"chars\":[3,4]}"});
    assert_non_null(json);
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 10, .metadata = json});
    free(json);
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_separator(s, &text, &length, &back, &count), 0);
    assert_int_equal(length, 2);
    assert_string_equal(text, "\n\n");
    assert_int_equal(count, 2);
    assert_memory_equal(back, ids, sizeof ids);
    free(text);
    free(back);
    json = gp_tokens_member(s, "tokenizer");
    assert_string_equal(json, "{\"model\":\"\\u0000\"}");
    free(json);
    json = gp_tokens_member(s, "entropy");
    assert_string_equal(json, "{\"nats\":[1.5,2.25],\"chars\":[3,4]}");
    free(json);
    assert_null(gp_tokens_member(s, "nothing"));
    gp_tokens_close(s);
}

/* It is stored in blocks of 65535 bytes: of more than one, and where the last is full or has one byte. */
static void large_metadata_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {65537, 2 * 65535, 2 * 65535 + 1, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        char *json = malloc(n + 1);
        for (size_t at = 0; at < n; at++)
            json[at] = (char)('a' + at * at % 23);
        memcpy(json, "{\"entropy\":\"", 12);
        memcpy(json + n - 2, "\"}", 3);
        gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 10, .metadata = json});
        assert_int_equal(gp_tokens_finish(w), 0);
        gp_tokens *s = gp_tokens_open(path, NULL);
        assert_non_null(s);
        assert_string_equal(gp_tokens_get_info(s)->metadata, json);
        gp_tokens_close(s);
        free(json);
    }
}

/* A stream of `documents` documents of 10 ids each (0: no index, 100 ids). */
static gp_tokens *open_documents(int documents)
{
    const int32_t ids[100] = {0};
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 10});
    if (!documents)
        gp_tokens_write(w, ids, 100);
    for (int i = 0; i < documents; i++) {
        gp_tokens_write(w, ids, 10);
        gp_tokens_end_document(w);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    return s;
}

static void a_split_without_an_index_is_exact(void **state)
{
    (void)state;
    gp_tokens *s = open_documents(0);
    assert_int_equal(gp_tokens_split(s, 0.1), 90);
    assert_int_equal(gp_tokens_split(s, 0.25), 75);
    assert_int_equal(gp_tokens_split(s, 0), -1);
    assert_int_equal(gp_tokens_split(s, 1), -1);
    assert_int_equal(gp_tokens_split(s, 1e-9), -1);
    gp_tokens_close(s);
}

static void a_split_never_cuts_a_document(void **state)
{
    (void)state;
    gp_tokens *s = open_documents(10);
    assert_int_equal(gp_tokens_split(s, 0.1), 90);
    assert_int_equal(gp_tokens_split(s, 0.23), 80);
    assert_int_equal(gp_tokens_split(s, 0.27), 70);
    assert_int_equal(gp_tokens_split(s, 0.001), 90);
    assert_int_equal(gp_tokens_split(s, 0.999), 10);
    assert_int_equal(gp_tokens_split(s, 0.25), 80); /* 70 is as near to 75: what is kept for training is more */
    gp_tokens_close(s);
    s = open_documents(1);
    assert_int_equal(gp_tokens_split(s, 0.5), -1);
    gp_tokens_close(s);
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/x.tok", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when a temporary file was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llmc_files_are_recognised_and_written),
        cmocka_unit_test(an_llmc_count_that_lies_is_refused),
        cmocka_unit_test(raw16_needs_its_vocabulary),
        cmocka_unit_test(what_has_a_header_is_not_raw16),
        cmocka_unit_test(an_id_that_does_not_fit_is_not_written),
        cmocka_unit_test(a_full_disk_fails_and_says_so),
        cmocka_unit_test(the_crc_is_that_of_all_tokens),
        cmocka_unit_test(metadata_comes_back),
        cmocka_unit_test(large_metadata_comes_back),
        cmocka_unit_test(a_split_without_an_index_is_exact),
        cmocka_unit_test(a_split_never_cuts_a_document),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
