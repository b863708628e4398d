/* The loader: batches as functions of (seed, n) alone. */
#include "one_stream.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/gptpipe-loader.XXXXXX";

/* Token i is i, so that a batch shows where it came from. */
static gp_tokens *count_up(int64_t n)
{
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = n});
    for (int32_t i = 0; i < n; i++)
        assert_int_equal(gp_tokens_write(w, &i, 1), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    return s;
}

static void targets_are_the_tokens_after_the_inputs(void **state)
{
    (void)state;
    static const gp_data_order orders[] = {GP_ORDER_RANDOM, GP_ORDER_SHUFFLE, GP_ORDER_SEQUENTIAL};
    gp_tokens *s = count_up(1000);
    for (int o = 0; o < 3; o++) {
        gp_loader *l = open_stream(s, &(gp_loader_options){.B = 3, .T = 7, .order = orders[o], .seed = 5});
        assert_non_null(l);
        for (int64_t n = 0; n < 200; n++) {
            int32_t in[21], out[21];
            assert_int_equal(read_batch(l, n, in, out), 0);
            for (int b = 0; b < 3; b++)
                for (int t = 0; t < 7; t++) {
                    assert_int_equal(in[7 * b + t], start_of(l, n, b) + t);
                    assert_int_equal(out[7 * b + t], in[7 * b + t] + 1);
                }
        }
        gp_loader_close(l);
    }
    gp_tokens_close(s);
}

static void sequential_wraps_at_the_last_whole_micro_batch(void **state)
{
    (void)state;
    gp_tokens *s = count_up(26); /* 25 inputs with a target: 2 micro-batches of 3 x 4, one token over */
    gp_loader *l = open_stream(s, &(gp_loader_options){.B = 3, .T = 4, .order = GP_ORDER_SEQUENTIAL});
    static const int64_t starts[4][3] = {{0, 4, 8}, {12, 16, 20}, {0, 4, 8}, {12, 16, 20}};
    for (int n = 0; n < 4; n++)
        for (int b = 0; b < 3; b++)
            assert_int_equal(start_of(l, n, b), starts[n][b]);
    gp_loader_close(l);
    gp_tokens_close(s);
}

static void sequential_wraps_by_rows_when_no_micro_batch_fits(void **state)
{
    (void)state;
    gp_tokens *s = count_up(9); /* 2 windows of 4, 3 rows */
    gp_loader *l = open_stream(s, &(gp_loader_options){.B = 3, .T = 4, .order = GP_ORDER_SEQUENTIAL});
    static const int64_t starts[2][3] = {{0, 4, 0}, {4, 0, 4}};
    for (int n = 0; n < 2; n++)
        for (int b = 0; b < 3; b++)
            assert_int_equal(start_of(l, n, b), starts[n][b]);
    gp_loader_close(l);
    gp_tokens_close(s);
}

static void shuffle_visits_each_window_once_an_epoch(void **state)
{
    (void)state;
    static const int64_t sizes[] = {9, 10, 17, 100, 257, 1000, 4097};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gp_tokens *s = count_up(sizes[i]);
        gp_loader *l = open_stream(s, &(gp_loader_options){.B = 1, .T = 4, .order = GP_ORDER_SHUFFLE, .seed = 3});
        int64_t windows = gp_loader_epoch(l), spare = sizes[i] - 1 - 4 * windows;
        assert_int_equal(windows, (sizes[i] - 1) / 4);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            char *seen = calloc((size_t)windows, 1);
            int64_t offset = start_of(l, epoch * windows, 0) % 4;
            assert_in_range(offset, 0, spare);
            for (int64_t n = 0; n < windows; n++) {
                int64_t start = start_of(l, epoch * windows + n, 0);
                assert_int_equal(start % 4, offset);
                assert_in_range(start / 4, 0, windows - 1);
                assert_int_equal(seen[start / 4]++, 0);
            }
            free(seen);
        }
        gp_loader_close(l);
        gp_tokens_close(s);
    }
}

/* 4 windows of 4 in 20 tokens leave 3 over: each of the offsets 0 to 3 has its epochs, and with the last of them the
 * last token is a target. */
static void shuffle_comes_to_the_first_and_to_the_last_token(void **state)
{
    (void)state;
    gp_tokens *s = count_up(20);
    gp_loader *l = open_stream(s, &(gp_loader_options){.B = 1, .T = 4, .order = GP_ORDER_SHUFFLE, .seed = 3});
    int epochs[4] = {0};
    bool input[20] = {false}, target[20] = {false};
    assert_int_equal(gp_loader_epoch(l), 4);
    for (int64_t n = 0; n < 4 * 400; n++) {
        int32_t in[4], out[4];
        assert_int_equal(read_batch(l, n, in, out), 0);
        epochs[in[0] % 4] += n % 4 == 0;
        for (int t = 0; t < 4; t++)
            input[in[t]] = target[out[t]] = true;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(epochs[i], 70, 130); /* of 400, a quarter: 100, and 3.5 standard deviations of 8.7 */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(input[i], i < 19);
        assert_int_equal(target[i], i > 0);
    }
    gp_loader_close(l);
    gp_tokens_close(s);
}

/* How many of the first n rows of two loaders start at the same place. */
static int same_starts(const gp_tokens *s, gp_data_order order, uint64_t seed1, int64_t from1, uint64_t seed2,
                       int64_t from2)
{
    gp_loader *a = open_stream(s, &(gp_loader_options){.B = 1, .T = 4, .order = order, .seed = seed1});
    gp_loader *b = open_stream(s, &(gp_loader_options){.B = 1, .T = 4, .order = order, .seed = seed2});
    int same = 0;
    for (int64_t n = 0; n < 100; n++)
        same += start_of(a, from1 + n, 0) == start_of(b, from2 + n, 0);
    gp_loader_close(a);
    gp_loader_close(b);
    return same;
}

static void order_depends_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    gp_tokens *s = count_up(2001); /* 500 windows */
    assert_int_equal(same_starts(s, GP_ORDER_RANDOM, 1, 0, 1, 0), 100);
    assert_int_equal(same_starts(s, GP_ORDER_SHUFFLE, 1, 0, 1, 0), 100);
    assert_in_range(same_starts(s, GP_ORDER_RANDOM, 1, 0, 2, 0), 0, 3);
    assert_in_range(same_starts(s, GP_ORDER_SHUFFLE, 1, 0, 2, 0), 0, 5);
    assert_in_range(same_starts(s, GP_ORDER_SHUFFLE, 1, 0, 1, 500), 0, 5);
    gp_tokens_close(s);
}

static void rows_do_not_depend_on_how_they_are_batched(void **state)
{
    (void)state;
    static const gp_data_order orders[] = {GP_ORDER_RANDOM, GP_ORDER_SHUFFLE};
    gp_tokens *s = count_up(2001);
    for (int o = 0; o < 2; o++) {
        gp_loader *a = open_stream(s, &(gp_loader_options){.B = 12, .T = 4, .order = orders[o], .seed = 9});
        gp_loader *b = open_stream(s, &(gp_loader_options){.B = 3, .T = 4, .order = orders[o], .seed = 9});
        for (int64_t row = 0; row < 1200; row++)
            assert_int_equal(start_of(a, row / 12, row % 12), start_of(b, row / 3, row % 3));
        gp_loader_close(a);
        gp_loader_close(b);
    }
    gp_tokens_close(s);
}

static void random_starts_are_uniform_over_every_place(void **state)
{
    (void)state;
    gp_tokens *s = count_up(14); /* places 0 .. 9 for T = 4 */
    gp_loader *l = open_stream(s, &(gp_loader_options){.B = 4, .T = 4, .order = GP_ORDER_RANDOM, .seed = 7});
    int count[10] = {0};
    double chi2 = 0;
    for (int64_t n = 0; n < 2500; n++)
        for (int b = 0; b < 4; b++) {
            int64_t start = start_of(l, n, b);
            assert_in_range(start, 0, 9);
            count[start]++;
        }
    for (int i = 0; i < 10; i++)
        chi2 += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000;
    assert_true(chi2 < 27.9); /* 9 degrees of freedom, p = 0.001 */
    gp_loader_close(l);
    gp_tokens_close(s);
}

static void a_range_is_never_left(void **state)
{
    (void)state;
    static const gp_data_order orders[] = {GP_ORDER_RANDOM, GP_ORDER_SHUFFLE, GP_ORDER_SEQUENTIAL};
    gp_tokens *s = count_up(200);
    for (int o = 0; o < 3; o++) {
        gp_loader *l = open_range(s, 50, 90, &(gp_loader_options){.B = 2, .T = 8, .order = orders[o], .seed = 2});
        for (int64_t n = 0; n < 500; n++)
            for (int b = 0; b < 2; b++)
                assert_in_range(start_of(l, n, b), 50, 90 - 9);
        gp_loader_close(l);
    }
    gp_tokens_close(s);
}

static void text_shorter_than_the_context_is_refused(void **state)
{
    (void)state;
    gp_tokens *s = count_up(64);
    assert_null(open_stream(s, &(gp_loader_options){.B = 1, .T = 64, .order = GP_ORDER_RANDOM}));
    assert_non_null(strstr(gp_error(), "64 tokens, more than 64 are needed"));
    gp_loader *l = open_stream(s, &(gp_loader_options){.B = 1, .T = 63, .order = GP_ORDER_RANDOM});
    assert_non_null(l);
    assert_int_equal(start_of(l, 12345, 0), 0);
    gp_loader_close(l);
    assert_null(open_stream(s, &(gp_loader_options){.B = 1, .T = INT64_MAX, .order = GP_ORDER_RANDOM}));
    assert_null(open_stream(s, &(gp_loader_options){.B = 0, .T = 4, .order = GP_ORDER_RANDOM}));
    gp_tokens_close(s);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

/* 20 documents of 10 tokens; the last two of each are its separator. Token i is i. */
static gp_tokens *twenty_documents(void)
{
    static const char metadata[] = "{\"separator\": {\"text\": \"\\n\\n\", \"ids\": [1, 1]}}";
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 200, .metadata = metadata});
    for (int32_t i = 0; i < 200; i++) {
        assert_int_equal(gp_tokens_write(w, &i, 1), 0);
        if (i % 10 == 9)
            assert_int_equal(gp_tokens_end_document(w), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    return s;
}

static void rows_of_order_documents_begin_with_or_behind_a_separator(void **state)
{
    (void)state;
    gp_tokens *s = twenty_documents();
    gp_loader *l =
        open_range(s, 40, 160, &(gp_loader_options){.B = 1, .T = 25, .order = GP_ORDER_DOCUMENTS, .seed = 3});
    assert_non_null(l);
    bool seen[20] = {false};
    int with = 0;
    for (int n = 0; n < 1000; n++) {
        int64_t start = start_of(l, n, 0);
        assert_true(start % 10 == 8 || start % 10 == 0); /* two tokens before a document, or at it */
        with += start % 10 == 8;
        assert_in_range(start, 40, 160 - 26);
        seen[(start + 2) / 10] = true;
    }
    for (int d = 0; d < 20; d++) /* 48 is the first such place in the range, 128 the last with 25 + 1 tokens */
        assert_int_equal(seen[d], d >= 5 && d <= 13);
    assert_in_range(with, 400, 600);
    gp_loader_close(l);
    gp_tokens_close(s);
}

static void order_documents_needs_an_index(void **state)
{
    (void)state;
    gp_tokens *s = count_up(200);
    assert_null(open_stream(s, &(gp_loader_options){.B = 1, .T = 25, .order = GP_ORDER_DOCUMENTS}));
    assert_non_null(strstr(gp_error(), "no index of documents"));
    gp_tokens_close(s);
    s = twenty_documents();
    assert_null(open_stream(s, &(gp_loader_options){.B = 1, .T = 197, .order = GP_ORDER_DOCUMENTS}));
    assert_non_null(strstr(gp_error(), "no document has 198 tokens"));
    gp_tokens_close(s);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_the_tokens_after_the_inputs),
        cmocka_unit_test(sequential_wraps_at_the_last_whole_micro_batch),
        cmocka_unit_test(sequential_wraps_by_rows_when_no_micro_batch_fits),
        cmocka_unit_test(shuffle_visits_each_window_once_an_epoch),
        cmocka_unit_test(shuffle_comes_to_the_first_and_to_the_last_token),
        cmocka_unit_test(order_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(rows_do_not_depend_on_how_they_are_batched),
        cmocka_unit_test(random_starts_are_uniform_over_every_place),
        cmocka_unit_test(a_range_is_never_left),
        cmocka_unit_test(rows_of_order_documents_begin_with_or_behind_a_separator),
        cmocka_unit_test(order_documents_needs_an_index),
        cmocka_unit_test(text_shorter_than_the_context_is_refused),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
