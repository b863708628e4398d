/* Batches of a data set's items: functions of (seed, n) alone, whoever prepares them. */
#include "test.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/items.h"
#include "gptpipe/prefetch.h"

enum { ITEMS = 23, B = 4, T = 6, PAD = 999 };

static char path[64];
static gp_tokenizer *bytes; /* whose ids are the bytes themselves */

static int set_up(void **state)
{
    (void)state;
    bytes = gp_tokenizer_open("bytes");
    return bytes ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gp_tokenizer_close(bytes);
    return unlink(path);
}

/* Item i is the letter 'a' + i, i % 9 times, with the label i % 3; item `bad` is no text. */
static gp_dataset *letters(int count, int bad)
{
    gp_buf lines = {0};
    for (int i = 0; i < count; i++) {
        gp_buf_printf(&lines, "{\"label\": %d, \"text\": ", i % 3);
        gp_buf_puts(&lines, i == bad ? "5" : "\"");
        for (int j = 0; i != bad && j < i % 9; j++)
            gp_buf_printf(&lines, "%c", 'a' + i);
        gp_buf_puts(&lines, i == bad ? "}\n" : "\"}\n");
    }
    snprintf(path, sizeof path, "/tmp/gptpipe-batches-%d.jsonl", (int)getpid());
    assert_int_equal(gp_file_write(path, lines.data ? lines.data : "", lines.len), 0);
    gp_buf_release(&lines);
    gp_dataset *d = gp_dataset_open(path, &(gp_dataset_options){.label = "label"});
    assert_non_null(d);
    return d;
}

static gp_source *opened(const gp_dataset *d, gp_items_options o)
{
    o.B = B;
    o.T = T;
    o.pad = PAD;
    gp_source *s = gp_items_open(d, bytes, &o);
    assert_non_null(s);
    return s;
}

/* What row r of a batch must hold: the definition of the items above. */
static void assert_row(const gp_batch *batch, int64_t r)
{
    int64_t i = batch->items[r];
    int length = (int)gp_min(i % 9, T);
    assert_int_equal(batch->lengths[r], length);
    assert_int_equal(batch->labels[r], i % 3);
    for (int t = 0; t < T; t++)
        assert_int_equal(batch->inputs[r * T + t], t < length ? 'a' + i : PAD);
}

static void rows_are_items_cut_off_or_padded(void **state)
{
    (void)state;
    gp_dataset *d = letters(ITEMS, -1);
    gp_source *s = opened(d, (gp_items_options){.in_order = true});
    gp_batch batch = gp_batch_open(s);
    assert_int_equal(s->batches, 6);
    for (int64_t n = 0; n < 12; n++) {
        assert_int_equal(gp_source_fill(s, n, &batch), 0);
        assert_int_equal(batch.T, T);
        assert_int_equal(batch.B, n % 6 == 5 ? 3 : 4); /* 23 = 5 x 4 + 3 */
        for (int64_t r = 0; r < batch.B; r++) {
            assert_int_equal(batch.items[r], n % 6 * B + r);
            assert_row(&batch, r);
        }
    }
    assert_null(batch.targets); /* what it does not fill */
    assert_null(batch.types);
    gp_batch_close(&batch);
    gp_source_close(s);
    gp_dataset_close(d);
}

/* The items of an epoch in their order, each of which comes once. */
static void take_epoch(const gp_source *s, int64_t epoch, int64_t order[ITEMS])
{
    gp_batch batch = gp_batch_open(s);
    bool seen[ITEMS] = {false};
    int count = 0;
    for (int64_t n = 0; n < s->batches; n++) {
        assert_int_equal(gp_source_fill(s, epoch * s->batches + n, &batch), 0);
        for (int64_t r = 0; r < batch.B; r++) {
            assert_row(&batch, r);
            assert_in_range(batch.items[r], 0, ITEMS - 1);
            assert_false(seen[batch.items[r]]);
            seen[batch.items[r]] = true;
            order[count++] = batch.items[r];
        }
    }
    assert_int_equal(count, gp_min(ITEMS, s->batches * B));
    gp_batch_close(&batch);
}

static void each_item_comes_once_an_epoch_in_an_order_of_its_own(void **state)
{
    (void)state;
    int64_t orders[3][ITEMS] = {{0}};
    gp_dataset *d = letters(ITEMS, -1);
    gp_source *one = opened(d, (gp_items_options){.seed = 1}), *two = opened(d, (gp_items_options){.seed = 2});
    take_epoch(one, 0, orders[0]);
    take_epoch(one, 1, orders[1]);
    take_epoch(two, 0, orders[2]);
    for (int i = 0; i < 3; i++) {
        int same = 0, sorted = 0;
        for (int j = 0; j < ITEMS; j++) {
            same += orders[i][j] == orders[(i + 1) % 3][j];
            sorted += orders[i][j] == j;
        }
        assert_in_range(same, 0, 7); /* of two permutations by chance 1 on average, 8 and more with p = 1e-5 */
        assert_in_range(sorted, 0, 7);
    }
    gp_source_close(one);
    gp_source_close(two);
    gp_dataset_close(d);
}

static void a_last_batch_of_few_rows_can_be_dropped(void **state)
{
    (void)state;
    int64_t order[ITEMS];
    gp_dataset *d = letters(ITEMS, -1);
    gp_source *s = opened(d, (gp_items_options){.drop_last = true});
    assert_int_equal(s->batches, 5);
    take_epoch(s, 3, order);
    gp_source_close(s);
    gp_dataset_close(d);
}

static void assert_same(const gp_batch *a, const gp_batch *b)
{
    size_t rows = (size_t)a->B;
    assert_int_equal(a->B, b->B);
    assert_int_equal(a->T, b->T);
    assert_memory_equal(a->inputs, b->inputs, rows * T * sizeof *a->inputs);
    assert_memory_equal(a->items, b->items, rows * sizeof *a->items);
    assert_memory_equal(a->lengths, b->lengths, rows * sizeof *a->lengths);
    assert_memory_equal(a->labels, b->labels, rows * sizeof *a->labels);
}

static void batches_are_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    static const struct {
        int workers, ahead;
    } ways[] = {{0, 0}, {1, 1}, {1, 7}, {2, 0}, {3, 1}, {8, 3}};
    gp_dataset *d = letters(ITEMS, -1);
    gp_source *s = opened(d, (gp_items_options){.seed = 7});
    gp_batch want = gp_batch_open(s);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        int64_t first = (int64_t)w * 5; /* from the beginning, and from where another run stopped */
        gp_prefetch *p = gp_prefetch_open(
            s, &(gp_prefetch_options){.workers = ways[w].workers, .ahead = ways[w].ahead, .first = first});
        for (int64_t n = first; n < first + 100; n++) {
            const gp_batch *got = gp_prefetch_next(p);
            assert_non_null(got);
            assert_int_equal(gp_source_fill(s, n, &want), 0);
            assert_same(got, &want);
        }
        gp_prefetch_close(p);
    }
    gp_batch_close(&want);
    gp_source_close(s);
    gp_dataset_close(d);
}

static void an_error_comes_with_its_batch_and_the_next_one_goes_on(void **state)
{
    (void)state;
    gp_dataset *d = letters(ITEMS, 9); /* in batch 2 of each 6 */
    gp_source *s = opened(d, (gp_items_options){.in_order = true});
    for (int workers = 0; workers < 4; workers++) {
        gp_prefetch *p = gp_prefetch_open(s, &(gp_prefetch_options){.workers = workers, .ahead = 5});
        for (int64_t n = 0; n < 30; n++) {
            const gp_batch *got = gp_prefetch_next(p);
            if (n % 6 == 2) {
                assert_null(got);
                assert_non_null(strstr(gp_error(), "line 10: its \"text\" is not a string"));
            } else {
                assert_non_null(got);
                assert_int_equal(got->items[0], n % 6 * B);
            }
        }
        gp_prefetch_close(p);
    }
    gp_source_close(s);
    gp_dataset_close(d);
}

static void prefetching_can_be_ended_at_any_moment(void **state)
{
    (void)state;
    gp_dataset *d = letters(ITEMS, -1);
    gp_source *s = opened(d, (gp_items_options){0});
    for (int taken = 0; taken < 20; taken++) {
        gp_prefetch *p = gp_prefetch_open(s, &(gp_prefetch_options){.workers = 3, .ahead = 1 + taken % 4});
        for (int n = 0; n < taken; n++)
            assert_non_null(gp_prefetch_next(p));
        gp_prefetch_close(p);
    }
    gp_source_close(s);
    gp_dataset_close(d);
}

static void what_makes_no_batches_is_refused(void **state)
{
    (void)state;
    gp_dataset *d = letters(3, -1), *none = letters(0, -1);
    assert_null(gp_items_open(d, bytes, &(gp_items_options){.B = 4, .T = 1, .drop_last = true}));
    assert_string_equal(gp_error(), "the data set has 3 items, too few for a batch of 4");
    assert_null(gp_items_open(d, bytes, &(gp_items_options){.B = 0, .T = 1}));
    assert_null(gp_items_open(d, bytes, &(gp_items_options){.B = INT64_MAX, .T = 2}));
    assert_null(gp_items_open(none, bytes, &(gp_items_options){.B = 1, .T = 1}));
    assert_string_equal(gp_error(), "the data set has no items");
    gp_source *s = opened(d, (gp_items_options){0});
    assert_null(gp_prefetch_open(s, &(gp_prefetch_options){.workers = -1}));
    assert_null(gp_prefetch_open(s, &(gp_prefetch_options){.workers = 1, .ahead = INT_MAX}));
    gp_source_close(s);
    gp_dataset_close(none);
    gp_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_items_cut_off_or_padded),
        cmocka_unit_test(each_item_comes_once_an_epoch_in_an_order_of_its_own),
        cmocka_unit_test(a_last_batch_of_few_rows_can_be_dropped),
        cmocka_unit_test(batches_are_the_same_for_any_number_of_threads),
        cmocka_unit_test(an_error_comes_with_its_batch_and_the_next_one_goes_on),
        cmocka_unit_test(prefetching_can_be_ended_at_any_moment),
        cmocka_unit_test(what_makes_no_batches_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
