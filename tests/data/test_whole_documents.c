/* Documents as rows: the separator, then the document; what is counted is the document alone. */
#include "data/whole_documents.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { T = 6, SEPARATOR = 2 };

/* Documents of 3, 6, 1, 5 and 2 tokens: 10 11 12 | 20 ... */
static gp_tokens *documents(void)
{
    static const int64_t lengths[] = {3, 6, 1, 5, 2};
    char path[] = "/tmp/gptpipe-whole.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 100});
    for (int32_t d = 0; d < 5; d++) {
        for (int32_t i = 0; i < lengths[d]; i++)
            assert_int_equal(gp_tokens_write(w, &(int32_t){10 * (d + 1) + i}, 1), 0);
        assert_int_equal(gp_tokens_end_document(w), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    unlink(path); /* what is mapped stays */
    return s;
}

static const int32_t separator[SEPARATOR] = {7, 8};

static gp_source *opened(const gp_tokens *s, int64_t B, int64_t max, int64_t *count, int64_t *left_out)
{
    return gp_documents_open(
        s,
        &(gp_documents_options){
            .B = B, .T = T, .first = 0, .last = 5, .max = max, .separator = separator, .before = SEPARATOR},
        count, left_out);
}

/* Two tokens and a document of 6 are 7 inputs: more than T. Written down by hand. */
static void rows_are_separator_and_document(void **state)
{
    (void)state;
    static const struct {
        int64_t document;
        int32_t in[T], out[T];
    } rows[] = {{0, {7, 8, 10, 11, 0, 0}, {-100, 10, 11, 12, -100, -100}},
                {2, {7, 8, 0, 0, 0, 0}, {-100, 30, -100, -100, -100, -100}},
                {3, {7, 8, 40, 41, 42, 43}, {-100, 40, 41, 42, 43, 44}},
                {4, {7, 8, 50, 0, 0, 0}, {-100, 50, 51, -100, -100, -100}}};
    gp_tokens *s = documents();
    for (int64_t B = 1; B <= 5; B++) {
        int64_t count, left_out, seen = 0;
        gp_source *source = opened(s, B, 100, &count, &left_out);
        gp_batch batch = gp_batch_open(source);
        assert_int_equal(count, 4);
        assert_int_equal(left_out, 1);
        assert_int_equal(source->batches, (4 + B - 1) / B);
        for (int64_t n = 0; n < source->batches; n++) {
            assert_int_equal(gp_source_fill(source, n, &batch), 0);
            assert_int_equal(batch.T, T);
            assert_in_range(batch.B, 1, B);
            for (int64_t b = 0; b < batch.B; b++, seen++) {
                assert_int_equal(batch.items[b], rows[seen].document);
                assert_memory_equal(batch.inputs + b * T, rows[seen].in, sizeof rows->in);
                assert_memory_equal(batch.targets + b * T, rows[seen].out, sizeof rows->out);
            }
        }
        assert_int_equal(seen, 4);
        gp_batch_close(&batch);
        gp_source_close(source);
    }
    gp_tokens_close(s);
}

static void no_more_are_taken_than_wanted(void **state)
{
    (void)state;
    int64_t count, left_out;
    gp_tokens *s = documents();
    gp_source *source = opened(s, 8, 1, &count, &left_out);
    assert_int_equal(count, 1);
    assert_int_equal(left_out, 0); /* the one that is too long comes after it */
    assert_int_equal(source->batches, 1);
    gp_source_close(source);
    gp_tokens_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_separator_and_document),
        cmocka_unit_test(no_more_are_taken_than_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
