/* Batches of labelled items of token streams: rows, buckets by length, order, weights; what is refused. */
#include "test.h"
#include "threads.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/labelled.h"

enum { ITEMS = 301, B = 4, PAD = 250, SEPARATOR = 255 };

static char dir[64] = "/tmp/gptpipe-labelled.XXXXXX", path[96], other[96];
static gp_tokenizer *bytes; /* whose ids are the bytes; a pair is its texts, of types 0 and 1 */
static gp_tokens *singles, *pairs;

/* Tokens of the texts of item i. */
static int first_of(int i)
{
    return i * 7 % 23;
}

static int second_of(int i, bool pair)
{
    return pair ? i * 5 % 11 + 1 : 0;
}

/* Token k of item i, of both texts. */
static int32_t token_of(int i, int k)
{
    return (i * 31 + k) % 200;
}

static gp_tokens *made(const char *file, bool pair, int count, const char *labels)
{
    char metadata[256];
    snprintf(metadata, sizeof metadata,
             "{\"separator\":{\"text\":\"\",\"ids\":[%d]},\"items\":{\"text\":\"a\",%s\"label\":\"l\",\"labels\":%s}}",
             SEPARATOR, pair ? "\"pair\":\"b\"," : "", labels);
    gp_tokens_writer *w =
        gp_tokens_create(file, &(gp_tokens_info){.vocab_size = 256, .metadata = metadata, .items = true});
    for (int i = 0; i < count; i++) {
        int32_t ids[64], n = 0;
        while (n < first_of(i) + second_of(i, pair)) {
            ids[n] = token_of(i, n);
            n++;
        }
        ids[n++] = SEPARATOR;
        assert_int_equal(gp_tokens_write(w, ids, n), 0);
        assert_int_equal(gp_tokens_end_item(w, i % 3 - (count < 3), first_of(i)), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(file, NULL);
    assert_non_null(s);
    return s;
}

static int64_t all_items(const gp_tokens *s, gp_labelled_item **items)
{
    gp_span span = {.tokens = s, .first = 0, .last = gp_tokens_get_info(s)->count};
    gp_stream_set set = {.spans = &span, .count = 1};
    return gp_labelled_find(&set, 1, items);
}

/* Items from the second on: the first one of single texts has no tokens, and the tokenizer puts none around it. */
static gp_source *opened(const gp_tokens *s, gp_labelled_options o)
{
    gp_labelled_item *items;
    int64_t count = all_items(s, &items);
    assert_int_equal(count, ITEMS);
    o.B = B;
    o.pad = PAD;
    gp_labelled_item *kept = gp_calloc(ITEMS, sizeof *kept);
    int n = 0;
    for (int i = 0; i < ITEMS; i++)
        if (first_of((int)items[i].index) + second_of((int)items[i].index, s == pairs))
            kept[n++] = items[i];
    gp_source *source = gp_labelled_open(bytes, kept, n, &o);
    free(kept);
    free(items);
    return source;
}

static int64_t item_of(const gp_tokens *s, int64_t position)
{
    for (int i = 0; i < ITEMS; i++)
        if (first_of(i) + second_of(i, s == pairs) && !position--)
            return i;
    fail_msg("there is no such item");
    return -1;
}

static void assert_row(const gp_tokens *s, const gp_batch *batch, int64_t r)
{
    int i = (int)item_of(s, batch->items[r]), first = first_of(i), n = first + second_of(i, s == pairs);
    assert_int_equal(batch->labels[r], i % 3);
    assert_int_equal(batch->lengths[r], n);
    for (int t = 0; t < batch->T; t++) {
        assert_int_equal(batch->inputs[r * batch->T + t], t < n ? token_of(i, t) : PAD);
        if (batch->types)
            assert_int_equal(batch->types[r * batch->T + t], t >= first && t < n);
    }
}

static void each_item_comes_once_an_epoch_among_items_of_its_length(void **state)
{
    (void)state;
    const gp_tokens *streams[] = {singles, pairs};
    for (int k = 0; k < 2; k++) {
        gp_source *s = opened(streams[k], (gp_labelled_options){.T = 100, .seed = 5, .types = 2});
        assert_non_null(s);
        gp_batch batch = gp_batch_open(s);
        int64_t same = 0, padding = 0, before[ITEMS] = {0};
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            bool seen[ITEMS] = {false};
            int64_t count = 0;
            for (int64_t n = 0; n < s->batches; n++) {
                int64_t longest = 0;
                assert_int_equal(gp_source_fill(s, epoch * s->batches + n, &batch), 0);
                assert_true(batch.B * batch.T <= s->tokens && batch.B <= s->rows);
                for (int64_t r = 0; r < batch.B; r++) {
                    int64_t i = batch.items[r];
                    assert_row(streams[k], &batch, r);
                    assert_false(seen[i]);
                    seen[i] = true;
                    same += epoch && before[count] == i;
                    before[count++] = i;
                    longest = gp_max(longest, batch.lengths[r]);
                    padding += batch.T - batch.lengths[r];
                }
                assert_int_equal(batch.T, longest);
                assert_true(gp_source_weight(s, epoch * s->batches + n) == (double)batch.B);
            }
            assert_int_equal(count, k ? ITEMS : ITEMS - ITEMS / 23 - 1);
        }
        assert_in_range(same, 0, 30);
        assert_in_range(padding, 0, 3 * ITEMS); /* one a row at most, in the mean */
        gp_batch_close(&batch);
        gp_source_close(s);
    }
}

static void a_batch_depends_on_its_number_and_the_seed_alone(void **state)
{
    (void)state;
    gp_source *s = opened(singles, (gp_labelled_options){.T = 100, .seed = 5}),
              *t = opened(singles, (gp_labelled_options){.T = 100, .seed = 6});
    gp_batch a = gp_batch_open(s), b = gp_batch_open(t);
    assert_null(a.types); /* the model has none */
    gp_batch filled[130];
    fill_at_once(s, 70, 130, filled);
    int same = 0;
    for (int64_t n = 70; n < 200; n++) {
        const gp_batch *got = &filled[n - 70];
        assert_int_equal(gp_source_fill(s, n, &a), 0);
        assert_int_equal(gp_source_fill(t, n, &b), 0);
        assert_memory_equal(got->items, a.items, (size_t)a.B * sizeof *a.items);
        assert_memory_equal(got->inputs, a.inputs, (size_t)(a.B * a.T) * sizeof *a.inputs);
        same += a.items[0] == b.items[0];
        gp_batch_close(&filled[n - 70]);
    }
    assert_in_range(same, 0, 20);
    gp_batch_close(&a);
    gp_batch_close(&b);
    gp_source_close(s);
    gp_source_close(t);
}

static void long_items_are_truncated_or_refused(void **state)
{
    (void)state;
    static const gp_truncation ways[] = {GP_TRUNCATE_HEAD, GP_TRUNCATE_HEAD_TAIL};
    for (int w = 0; w < 2; w++) {
        gp_source *s = opened(singles, (gp_labelled_options){.T = 10, .truncate = ways[w]});
        gp_batch batch = gp_batch_open(s);
        int64_t truncated = 0;
        for (int64_t n = 0; n < s->batches; n++) {
            assert_int_equal(gp_source_fill(s, n, &batch), 0);
            assert_true(batch.T <= 10);
            for (int64_t r = 0; r < batch.B; r++) {
                int i = (int)item_of(singles, batch.items[r]), length = first_of(i), left = (int)gp_min(length, 10);
                assert_int_equal(batch.lengths[r], left);
                truncated += length > 10;
                for (int k = 0; k < left; k++) {
                    bool tail = w && length > 10 && k >= 3; /* a quarter of 10, rounded up */
                    assert_int_equal(batch.inputs[r * batch.T + k], token_of(i, tail ? length - 10 + k : k));
                }
            }
        }
        assert_int_equal(gp_labelled_truncated(s), truncated);
        gp_batch_close(&batch);
        gp_source_close(s);
    }
    assert_null(opened(singles, (gp_labelled_options){.T = 10}));
    assert_non_null(strstr(gp_error(), "item 2 has 14 tokens with those around it, more than the 10 of a row"));
}

static void class_weights_add_up(void **state)
{
    (void)state;
    static const float weights[] = {0.5f, 2, 8};
    gp_source *s = opened(pairs, (gp_labelled_options){.T = 100, .types = 2, .class_weights = weights});
    gp_batch batch = gp_batch_open(s);
    for (int64_t n = 0; n < s->batches; n++) {
        double sum = 0;
        assert_int_equal(gp_source_fill(s, n, &batch), 0);
        for (int64_t r = 0; r < batch.B; r++)
            sum += (double)weights[batch.labels[r]];
        assert_true(gp_source_weight(s, n) == sum);
    }
    gp_batch_close(&batch);
    gp_source_close(s);
}

static void a_part_is_held_out_at_random(void **state)
{
    (void)state;
    gp_labelled_item *items, *held = gp_calloc(ITEMS, sizeof *held);
    int64_t count = all_items(singles, &items), kept = gp_labelled_hold_out(items, count, 0.2, held), last = 0;
    assert_int_equal(kept, ITEMS - 60);
    for (int i = 1; i < kept; i++)
        assert_true(items[i - 1].index < items[i].index);
    for (int i = 1; i < ITEMS - kept; i++)
        assert_true(held[i - 1].index < held[i].index);
    for (int i = 0; i < ITEMS - kept; i++)
        last += held[i].index >= ITEMS / 2;
    assert_in_range(last, 15, 45);
    assert_int_equal(gp_labelled_hold_out(items, 2, 0.9, held), 1);
    assert_int_equal(gp_labelled_hold_out(items, 1, 0.9, held), -1);
    free(items);
    free(held);
}

static void a_span_has_the_items_that_begin_in_it(void **state)
{
    (void)state;
    gp_labelled_item *items;
    int64_t half = gp_tokens_document(pairs, 100);
    gp_span spans[] = {{.tokens = pairs, .first = half, .last = gp_tokens_document(pairs, 200)},
                       {.tokens = pairs, .first = 0, .last = gp_tokens_document(pairs, 3)}};
    gp_stream_set sets[] = {{.spans = spans, .count = 1}, {.spans = spans + 1, .count = 1}};
    assert_int_equal(gp_labelled_find(sets, 2, &items), 103);
    assert_int_equal(items[0].index, 100);
    assert_int_equal(items[99].index, 199);
    assert_int_equal(items[100].index, 0);
    free(items);
}

static void assert_refused(const gp_tokens *a, const gp_tokens *b, const char *said)
{
    gp_labelled_item *items;
    gp_span spans[] = {{.tokens = a, .last = gp_tokens_get_info(a)->count},
                       {.tokens = b, .last = gp_tokens_get_info(b)->count}};
    gp_stream_set set = {.spans = spans, .count = 2};
    assert_int_equal(gp_labelled_find(&set, 1, &items), -1);
    assert_null(items);
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
}

static void what_makes_no_items_is_refused(void **state)
{
    (void)state;
    gp_tokens *s = made(other, false, 5, "[\"a\",\"b\",\"x\"]");
    assert_refused(singles, s, "its label 2 is x, that of");
    gp_tokens_close(s);
    s = made(other, false, 5, "[\"a\",\"b\",\"c\",\"d\"]");
    assert_refused(singles, s, "its label 3 is d, that of");
    gp_tokens_close(s);
    s = made(other, false, 1, "[\"a\",\"b\",\"c\"]");
    assert_refused(singles, s, "item 0 has no label");
    gp_tokens_close(s);
    assert_refused(singles, pairs, "its items are pairs, those of");
    gp_tokens_writer *w = gp_tokens_create(other, &(gp_tokens_info){.vocab_size = 256});
    assert_int_equal(gp_tokens_write(w, (int32_t[]){1}, 1), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    s = gp_tokens_open(other, NULL);
    assert_refused(singles, s, "has no labels; make it with tokenize --jsonl FIELD --label FIELD");
    gp_tokens_close(s);
    assert_null(opened(pairs, (gp_labelled_options){.T = 100, .types = 1}));
    assert_non_null(strstr(gp_error(), "the model has 1 types"));
    assert_null(gp_labelled_open(bytes, NULL, 0, &(gp_labelled_options){.B = 1, .T = 1}));
    assert_string_equal(gp_error(), "there are no labelled items");
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    bytes = gp_tokenizer_open("bytes");
    snprintf(other, sizeof other, "%s/other.tok", dir);
    snprintf(path, sizeof path, "%s/singles.tok", dir);
    singles = made(path, false, ITEMS, "[\"a\",\"b\",\"c\"]");
    unlink(path);
    pairs = made(path, true, ITEMS, "[\"a\",\"b\",\"c\"]");
    return unlink(path);
}

static int tear_down(void **state)
{
    (void)state;
    gp_tokens_close(singles);
    gp_tokens_close(pairs);
    gp_tokenizer_close(bytes);
    unlink(other);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_comes_once_an_epoch_among_items_of_its_length),
        cmocka_unit_test(a_batch_depends_on_its_number_and_the_seed_alone),
        cmocka_unit_test(long_items_are_truncated_or_refused),
        cmocka_unit_test(class_weights_add_up),
        cmocka_unit_test(a_part_is_held_out_at_random),
        cmocka_unit_test(a_span_has_the_items_that_begin_in_it),
        cmocka_unit_test(what_makes_no_items_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
