/* Token streams of more than 4 GiB and of more than 2^32 tokens: sparse files, all zeros but for a few marks. */
#include "one_stream.h"
#include "gptpipe/tokens.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char path[64];
static int fd;

/* Past 2^32 by some. */
static const int64_t COUNT = (INT64_C(1) << 32) + 1000;

static void put(int64_t at, const void *data, size_t n)
{
    assert_int_equal(pwrite(fd, data, n, at), n);
}

static void put_number(int64_t at, uint64_t x, size_t bytes)
{
    put(at, &x, bytes); /* little-endian, as every machine that this runs on */
}

/* Starts a sparse file, or skips the test. */
static void begin(int64_t size)
{
    struct stat st;
    strcpy(path, "/tmp/gptpipe-large.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    if (ftruncate(fd, size) || fstat(fd, &st) || st.st_blocks > 1000) {
        print_message("skipped: no sparse file of %lld bytes here\n", (long long)size);
        close(fd);
        unlink(path);
        skip();
    }
}

static void end(void)
{
    close(fd);
    unlink(path);
}

/* Bytes of the metadata with a blank line as the separator, compressed, at 64. */
static size_t put_metadata(void)
{
    static const char json[] = "{\"separator\":{\"text\":\"\\n\\n\",\"ids\":[9]}}";
    Bytef packed[128];
    uLongf size = sizeof packed;
    assert_int_equal(compress(packed, &size, (const Bytef *)json, sizeof json - 1), Z_OK);
    assert_true(size <= 64);
    put(64, packed, size);
    return size;
}

enum { TOKENS_AT = 128 }; /* the metadata takes at most 64 bytes */

/* A .tok of COUNT tokens with these documents. */
static void make_tok(int width, const uint64_t *starts, int documents)
{
    int64_t index = TOKENS_AT + COUNT * width, trailer = index + 8 * documents + 8;
    begin(trailer + 32);
    size_t metadata = put_metadata();
    put(0, "GPTKTOK1", 8);
    put_number(8, 64, 4);
    put_number(12, (uint64_t)width, 4);
    put_number(16, width == 2 ? 100 : 100000, 8);
    put_number(24, UINT64_MAX, 8);
    put_number(32, metadata, 8);
    put(index, starts, 8 * (size_t)documents);
    put_number(index + 8 * documents, (uint64_t)documents, 8);
    put(trailer, "GPTKEND1", 8);
    put_number(trailer + 8, (uint64_t)COUNT, 8);
    put_number(trailer + 16, (uint64_t)documents, 8);
}

static const uint64_t starts[] = {0, 5, (UINT64_C(1) << 31) + 7, (UINT64_C(1) << 32) + 11};

static void reads_past_2_to_the_32(int width, int32_t mark)
{
    int32_t ids[3];
    make_tok(width, starts, 4);
    put_number(TOKENS_AT + (INT64_C(1) << 32) * width, (uint64_t)mark, (size_t)width);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_get_info(s)->count, COUNT);
    assert_int_equal(gp_tokens_read(s, (INT64_C(1) << 32) - 1, 3, ids), 0);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], mark);
    assert_int_equal(ids[2], 0);
    assert_int_equal(gp_tokens_read(s, COUNT - 1, 1, ids), 0);
    assert_int_equal(gp_tokens_read(s, COUNT - 1, 2, ids), -1);
    assert_int_equal(gp_tokens_document(s, 3), (INT64_C(1) << 32) + 11);
    assert_int_equal(gp_tokens_document(s, 4), COUNT);
    gp_tokens_close(s);
    end();
}

static void tokens_of_two_bytes_are_found(void **state)
{
    (void)state;
    reads_past_2_to_the_32(2, 99);
}

static void tokens_of_four_bytes_are_found(void **state)
{
    (void)state;
    reads_past_2_to_the_32(4, 70000);
}

static void a_raw_stream_is_counted(void **state)
{
    (void)state;
    int32_t id;
    begin(2 * COUNT);
    put_number(2 * (COUNT - 1), 41, 2);
    gp_tokens *s = gp_tokens_open_as(path, GP_STREAM_RAW16, 50, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_get_info(s)->count, COUNT);
    assert_int_equal(gp_tokens_read(s, COUNT - 1, 1, &id), 0);
    assert_int_equal(id, 41);
    gp_tokens_close(s);
    end();
}

static void a_split_finds_the_document(void **state)
{
    (void)state;
    make_tok(2, starts, 4);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_split(s, 0.4), (INT64_C(1) << 31) + 7); /* 0.6 of 2^32 is nearest to that one */
    assert_int_equal(gp_tokens_split(s, 1e-9), (INT64_C(1) << 32) + 11);
    gp_tokens_close(s);
    end();
}

static void the_loader_gets_there(void **state)
{
    (void)state;
    enum { B = 2, T = 8 };
    int32_t inputs[B * T], targets[B * T];
    int64_t n = (INT64_C(1) << 32) / (B * T), later = 0;
    make_tok(2, starts, 4);
    for (int i = 0; i < B * T + 1; i++)
        put_number(TOKENS_AT + 2 * ((INT64_C(1) << 32) + i), (uint64_t)(10 + i), 2);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    gp_loader *l = open_stream(s, &(gp_loader_options){.B = B, .T = T, .order = GP_ORDER_SEQUENTIAL});
    assert_int_equal(start_of(l, n, 1), (INT64_C(1) << 32) + T);
    assert_int_equal(read_batch(l, n, inputs, targets), 0);
    for (int i = 0; i < B * T; i++) {
        assert_int_equal(inputs[i], 10 + i);
        assert_int_equal(targets[i], 11 + i);
    }
    gp_loader_close(l);
    /* Half of the tokens lie past 2^31, and two of the three documents that have a separator before them. 80 is five
     * standard deviations of a thousand draws. */
    static const struct {
        gp_data_order order;
        int64_t later;
    } cases[] = {{GP_ORDER_RANDOM, 500}, {GP_ORDER_SHUFFLE, 500}, {GP_ORDER_DOCUMENTS, 667}};
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        l = open_stream(s, &(gp_loader_options){.B = B, .T = T, .order = cases[c].order, .seed = 1});
        assert_non_null(l);
        later = 0;
        for (int64_t i = 0; i < 1000; i++) {
            int64_t start = start_of(l, i, 0);
            assert_in_range(start, 0, COUNT - T - 1);
            later += start >= INT64_C(1) << 31;
        }
        assert_in_range(later, cases[c].later - 80, cases[c].later + 80);
        gp_loader_close(l);
    }
    gp_tokens_close(s);
    end();
}

/* A writer keeps some starts in memory and the others in a file: all of them come back, in their order. */
static void an_index_of_any_size_is_written(void **state)
{
    (void)state;
    enum { DOCUMENTS = 200000 };
    static const int32_t ids[3] = {1, 2, 3};
    int64_t start = 0;
    strcpy(path, "/tmp/gptpipe-large.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 10});
    assert_non_null(w);
    for (int64_t i = 0; i < DOCUMENTS; i++) {
        assert_int_equal(gp_tokens_write(w, ids, 1 + i % 3), 0);
        assert_int_equal(gp_tokens_end_document(w), 0);
    }
    assert_int_equal(gp_tokens_documents_written(w), DOCUMENTS);
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_get_info(s)->documents, DOCUMENTS);
    for (int64_t i = 0; i < DOCUMENTS; start += 1 + i++ % 3)
        assert_int_equal(gp_tokens_document(s, i), start);
    assert_int_equal(gp_tokens_document(s, DOCUMENTS), start);
    gp_tokens_close(s);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_two_bytes_are_found),   cmocka_unit_test(tokens_of_four_bytes_are_found),
        cmocka_unit_test(a_raw_stream_is_counted),         cmocka_unit_test(a_split_finds_the_document),
        cmocka_unit_test(an_index_of_any_size_is_written), cmocka_unit_test(a_split_finds_the_document),
        cmocka_unit_test(the_loader_gets_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
