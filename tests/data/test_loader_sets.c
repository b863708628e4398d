/* The loader over many streams: shards that are read as one, sets that share the rows. */
#include "one_stream.h"
#include "reference/order.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAMS = 4 };
static gp_tokens *streams[STREAMS];
static const int64_t counts[STREAMS] = {26, 9, 14, 101};

/* Stream s has counts[s] tokens in documents of 5, each with its separator, one token; token i is 200 s + i. */
static int make_streams(void **state)
{
    static const char metadata[] = "{\"separator\": {\"text\": \"\\n\", \"ids\": [1]}}";
    (void)state;
    for (int32_t s = 0; s < STREAMS; s++) {
        char path[] = "/tmp/gptpipe-sets.XXXXXX";
        int fd = mkstemp(path);
        gp_tokens_writer *w =
            gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 200 * STREAMS, .metadata = metadata});
        for (int32_t i = 0; i < counts[s]; i++) {
            assert_int_equal(gp_tokens_write(w, &(int32_t){200 * s + i}, 1), 0);
            if (i % 5 == 4)
                assert_int_equal(gp_tokens_end_document(w), 0);
        }
        assert_int_equal(gp_tokens_finish(w), 0);
        streams[s] = gp_tokens_open(path, NULL);
        assert_non_null(streams[s]);
        close(fd);
        unlink(path); /* what is mapped stays */
    }
    return 0;
}

static int close_streams(void **state)
{
    (void)state;
    for (int s = 0; s < STREAMS; s++)
        gp_tokens_close(streams[s]);
    return 0;
}

/* The streams [from, from + n) as one set. */
static gp_stream_set shards(gp_span *spans, int from, int n)
{
    for (int i = 0; i < n; i++)
        spans[i] = (gp_span){streams[from + i], 0, counts[from + i]};
    return (gp_stream_set){.name = "shards", .spans = spans, .count = n, .weight = 1};
}

static gp_loader *open_sets(const gp_stream_set *sets, int count, int64_t B, int64_t T, gp_data_order order)
{
    gp_loader *l = gp_loader_open(sets, count, &(gp_loader_options){.B = B, .T = T, .order = order, .seed = 5});
    assert_non_null(l);
    return l;
}

/* llm.c: floor((tokens - 1) / (B*T)) micro-batches a shard, what is left over is dropped. 26 tokens have two of 3 x 4,
 * 14 have one, and 9 none. */
static void sequential_goes_from_shard_to_shard_as_llmc_does(void **state)
{
    (void)state;
    gp_span spans[3];
    gp_stream_set set = shards(spans, 0, 3);
    gp_loader *l = open_sets(&set, 1, 3, 4, GP_ORDER_SEQUENTIAL);
    static const struct {
        int span;
        int64_t start;
    } batches[] = {{0, 0}, {0, 12}, {2, 0}};
    for (int64_t n = 0; n < 9; n++)
        for (int64_t b = 0; b < 3; b++) {
            gp_place p = gp_loader_place(l, n, b);
            assert_int_equal(p.span, batches[n % 3].span);
            assert_int_equal(p.start, batches[n % 3].start + 4 * b);
        }
    assert_int_equal(gp_loader_epoch(l), 9);
    assert_int_equal(gp_loader_unread(l), 1);
    int32_t in[12], out[12];
    assert_int_equal(read_batch(l, 2, in, out), 0);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(in[i], 400 + i);
        assert_int_equal(out[i], 401 + i);
    }
    gp_loader_close(l);
}

static void shuffle_visits_each_window_of_all_shards_once_an_epoch(void **state)
{
    (void)state;
    gp_span spans[STREAMS];
    gp_stream_set set = shards(spans, 0, STREAMS);
    gp_loader *l = open_sets(&set, 1, 1, 4, GP_ORDER_SHUFFLE);
    int64_t windows = 6 + 2 + 3 + 25; /* (26 - 1) / 4, (9 - 1) / 4, ... */
    assert_int_equal(gp_loader_epoch(l), windows);
    for (int64_t epoch = 0; epoch < 20; epoch++) {
        bool seen[STREAMS][26] = {{false}};
        int64_t offset[STREAMS] = {-1, -1, -1, -1};
        for (int64_t n = 0; n < windows; n++) {
            gp_place p = gp_loader_place(l, epoch * windows + n, 0);
            assert_in_range(p.start, 0, counts[p.span] - 5);
            if (offset[p.span] < 0)
                offset[p.span] = p.start % 4;
            assert_int_equal(p.start % 4, offset[p.span]);
            assert_false(seen[p.span][p.start / 4]);
            seen[p.span][p.start / 4] = true;
        }
    }
    gp_loader_close(l);
}

static void random_is_uniform_over_every_place_of_all_shards(void **state)
{
    (void)state;
    gp_span spans[3];
    gp_stream_set set = shards(spans, 0, 3);
    gp_loader *l = open_sets(&set, 1, 4, 4, GP_ORDER_RANDOM);
    static const int64_t places[3] = {22, 5, 10}; /* tokens - 4 */
    int count[3][22] = {{0}};
    double chi2 = 0;
    for (int64_t n = 0; n < 9250; n++)
        for (int64_t b = 0; b < 4; b++) {
            gp_place p = gp_loader_place(l, n, b);
            assert_in_range(p.start, 0, places[p.span] - 1);
            count[p.span][p.start]++;
        }
    for (int s = 0; s < 3; s++)
        for (int64_t i = 0; i < places[s]; i++)
            chi2 += (count[s][i] - 1000.0) * (count[s][i] - 1000.0) / 1000;
    assert_true(chi2 < 68.0); /* 36 degrees of freedom, p = 0.001 */
    gp_loader_close(l);
}

static void documents_of_all_shards_begin_rows(void **state)
{
    (void)state;
    gp_span spans[STREAMS];
    gp_stream_set set = shards(spans, 0, STREAMS);
    gp_loader *l = open_sets(&set, 1, 1, 12, GP_ORDER_DOCUMENTS);
    /* A document may begin a row with its separator before it and 12 + 1 tokens behind: at 5 and 10 of 26, none of 9,
     * none of 14 (5 - 1 + 13 > 14), and 5 .. 85 of 101. */
    int count[STREAMS] = {0};
    for (int64_t n = 0; n < 1900; n++) {
        gp_place p = gp_loader_place(l, n, 0);
        assert_true(p.start % 5 == 0 || p.start % 5 == 4);
        assert_true(p.start + 12 < counts[p.span]);
        count[p.span]++;
    }
    assert_in_range(count[0], 140, 260); /* 2 of 19, of 1900 rows: 200 */
    assert_int_equal(count[1] + count[2], 0);
    assert_int_equal(gp_loader_unread(l), 2);
    gp_loader_close(l);
}

static void a_set_has_its_share_of_the_rows_at_any_step(void **state)
{
    (void)state;
    static const double weights[][3] = {{0.7, 0.2, 0.1}, {1, 1, 1}, {0.001, 5, 2}, {1e-6, 1e-9, 1}};
    for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
        gp_span spans[3];
        gp_stream_set sets[3];
        double sum = weights[w][0] + weights[w][1] + weights[w][2];
        int64_t had[3] = {0};
        for (int s = 0; s < 3; s++) {
            sets[s] = shards(spans + s, s, 1);
            sets[s].weight = weights[w][s];
        }
        gp_loader *l = open_sets(sets, 3, 5, 4, GP_ORDER_RANDOM);
        for (int64_t n = 0; n < 2000; n++)
            for (int64_t b = 0; b < 5; b++) {
                had[gp_loader_place(l, n, b).set]++;
                for (int s = 0; s < 3; s++)
                    assert_true(fabs((double)had[s] - (double)(5 * n + b + 1) * weights[w][s] / sum) < 3);
            }
        gp_loader_close(l);
    }
}

/* Sets of a mixture are read as each would be alone: rows 0, 1, 2, ... of each, none left out. */
static void a_set_goes_on_where_its_last_row_was(void **state)
{
    (void)state;
    gp_span spans[3];
    gp_stream_set sets[2] = {shards(spans, 0, 2), shards(spans + 2, 3, 1)};
    sets[0].weight = 0.3, sets[1].weight = 0.7;
    gp_loader *l = open_sets(sets, 2, 4, 4, GP_ORDER_SEQUENTIAL);
    int64_t row[2] = {0};
    for (int64_t n = 0; n < 50; n++)
        for (int64_t b = 0; b < 4; b++) {
            gp_place p = gp_loader_place(l, n, b);
            int64_t r = row[p.set]++ % (p.set ? 25 : 8); /* (101 - 1) / 4; (26 - 1) / 4 and (9 - 1) / 4 */
            assert_int_equal(p.span, p.set ? 0 : r / 6);
            assert_int_equal(p.start, 4 * (p.set ? r : r % 6));
        }
    assert_in_range(row[0], 59, 61);
    gp_loader_close(l);
}

static void rows_of_a_mixture_do_not_depend_on_how_they_are_batched(void **state)
{
    (void)state;
    static const gp_data_order orders[] = {GP_ORDER_RANDOM, GP_ORDER_SHUFFLE, GP_ORDER_SEQUENTIAL, GP_ORDER_DOCUMENTS};
    gp_span spans[2];
    gp_stream_set sets[2] = {shards(spans, 0, 1), shards(spans + 1, 3, 1)};
    sets[0].weight = 0.4, sets[1].weight = 0.6;
    for (int o = 0; o < 4; o++) {
        gp_loader *a = open_sets(sets, 2, 12, 8, orders[o]), *b = open_sets(sets, 2, 5, 8, orders[o]);
        for (int64_t row = 0; row < 600; row++) {
            gp_place p = gp_loader_place(a, row / 12, row % 12), q = gp_loader_place(b, row / 5, row % 5);
            assert_int_equal(p.set, q.set);
            assert_int_equal(p.start, q.start);
        }
        gp_loader_close(a);
        gp_loader_close(b);
    }
}

static void equal_sets_do_not_draw_the_same_rows(void **state)
{
    (void)state;
    gp_span spans[2];
    gp_stream_set sets[2] = {shards(spans, 3, 1), shards(spans + 1, 3, 1)};
    static const gp_data_order orders[] = {GP_ORDER_RANDOM, GP_ORDER_SHUFFLE};
    for (int o = 0; o < 2; o++) {
        gp_loader *l = open_sets(sets, 2, 2, 4, orders[o]);
        int same = 0;
        for (int64_t n = 0; n < 100; n++)
            same += start_of(l, n, 0) == start_of(l, n, 1);
        assert_in_range(same, 0, 15);
        gp_loader_close(l);
    }
}

static gp_tokens *of_length(int32_t tokens)
{
    char path[] = "/tmp/gptpipe-sets.XXXXXX";
    int fd = mkstemp(path);
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 200});
    for (int32_t i = 0; i < tokens; i++)
        assert_int_equal(gp_tokens_write(w, &i, 1), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    close(fd);
    unlink(path);
    return s;
}

/* Beside a Philox written down a second time (tests/reference/order.py): what a seed means stays, from version to
 * version and for a run that is continued, and no two streams share random numbers. */
static void rows_are_those_of_the_definition(void **state)
{
    (void)state;
    gp_tokens *a = of_length(26), *b = of_length(104), *c = of_length(43);
    gp_span spans[] = {{a, 0, 26}, {b, 0, 104}, {c, 0, 43}};
    gp_stream_set sets[] = {{.name = "one", .spans = spans, .count = 2, .weight = 1},
                            {.name = "two", .spans = spans + 2, .count = 1, .weight = 1}};
    for (int order = 0; order < 2; order++) {
        const int(*expected)[order_rows][2] = order ? order_shuffle : order_random;
        gp_loader_options o = {
            .B = 2, .T = order_T, .order = order ? GP_ORDER_SHUFFLE : GP_ORDER_RANDOM, .seed = order_seed};
        gp_loader *l = gp_loader_open(sets, 2, &o);
        assert_non_null(l);
        int row[2] = {0};
        for (int64_t n = 0; n < order_rows; n++)
            for (int64_t r = 0; r < 2; r++) {
                gp_place p = gp_loader_place(l, n, r);
                assert_int_equal(p.span, expected[p.set][row[p.set]][0]);
                assert_int_equal(p.start, expected[p.set][row[p.set]++][1]);
            }
        assert_int_equal(row[0], order_rows);
        assert_int_equal(row[1], order_rows);
        gp_loader_close(l);
    }
    gp_tokens_close(a);
    gp_tokens_close(b);
    gp_tokens_close(c);
}

static void a_set_without_a_row_or_a_weight_is_refused(void **state)
{
    (void)state;
    gp_span spans[2];
    gp_stream_set sets[2] = {shards(spans, 0, 1), shards(spans + 1, 1, 1)};
    const gp_loader_options o = {.B = 1, .T = 12, .order = GP_ORDER_RANDOM};
    sets[1].name = "small";
    assert_null(gp_loader_open(sets, 2, &o));
    assert_non_null(strstr(gp_error(), "small: the text is shorter than the context: 9 tokens"));
    static const double bad[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sets[1] = shards(spans + 1, 3, 1);
        sets[1].weight = bad[i];
        assert_null(gp_loader_open(sets, 2, &o));
        assert_non_null(strstr(gp_error(), "is not above 0"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequential_goes_from_shard_to_shard_as_llmc_does),
        cmocka_unit_test(shuffle_visits_each_window_of_all_shards_once_an_epoch),
        cmocka_unit_test(random_is_uniform_over_every_place_of_all_shards),
        cmocka_unit_test(documents_of_all_shards_begin_rows),
        cmocka_unit_test(a_set_has_its_share_of_the_rows_at_any_step),
        cmocka_unit_test(a_set_goes_on_where_its_last_row_was),
        cmocka_unit_test(rows_of_a_mixture_do_not_depend_on_how_they_are_batched),
        cmocka_unit_test(equal_sets_do_not_draw_the_same_rows),
        cmocka_unit_test(rows_are_those_of_the_definition),
        cmocka_unit_test(a_set_without_a_row_or_a_weight_is_refused),
    };
    return cmocka_run_group_tests(tests, make_streams, close_streams);
}
