/* Labelled items in token streams: the bytes of docs/formats.md built here by hand, what the writer makes of them, and
 * what must be refused; labels of JSON Lines. */
#include "gptpipe/text.h"
#include "gptpipe/tokens.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char dir[64] = "/tmp/gptpipe-items.XXXXXX", path[256];

static void save(const void *data, size_t n)
{
    assert_int_equal(gp_file_write(path, data, n), 0);
}

static void put(char *p, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (char)(x >> 8 * i);
}

/* Two items of a vocabulary of 100 with the separator 42: (0 1 | 99) pos and (5 | 6 7) neg. */
enum { TOKENS = 9, TOKENS_AT = 192, ITEMS_AT = TOKENS_AT + 18, INDEX_AT = ITEMS_AT + 16, TRAILER_AT = INDEX_AT + 24 };
enum { SIZE = TRAILER_AT + 32 };
static const int32_t ids[TOKENS] = {0, 1, 99, 42, 5, 6, 7, 8, 42};
static const char *const metadata = "{\"separator\":{\"text\":\"\",\"ids\":[42]},\"items\":{\"text\":\"a\",\"pair\":"
                                    "\"b\",\"label\":\"l\",\"labels\":[\"neg\",\"pos\"]}}";

static void make_image(char *p, const char *json)
{
    char packed[256];
    uLongf n = sizeof packed;
    memset(p, 0, SIZE);
    memcpy(p, "GPTKTOK1", 8);
    put(p + 8, 64, 4);
    put(p + 12, 2, 4);
    put(p + 16, 100, 8);
    put(p + 24, TOKENS, 8);
    put(p + 56, 1, 8);
    assert_int_equal(compress((Bytef *)packed, &n, (const Bytef *)json, (uLong)strlen(json)), Z_OK);
    assert_true(n > 64 && n <= 128);
    memcpy(p + 64, packed, n);
    put(p + 32, n, 8);
    for (int i = 0; i < TOKENS; i++)
        put(p + TOKENS_AT + 2 * i, (uint64_t)ids[i], 2);
    put(p + ITEMS_AT, 1, 4);
    put(p + ITEMS_AT + 4, 2, 4);
    put(p + ITEMS_AT + 8, 0, 4);
    put(p + ITEMS_AT + 12, 1, 4);
    put(p + INDEX_AT, 0, 8);
    put(p + INDEX_AT + 8, 4, 8);
    put(p + INDEX_AT + 16, 2, 8);
    memcpy(p + TRAILER_AT, "GPTKEND1", 8);
    put(p + TRAILER_AT + 8, TOKENS, 8);
    put(p + TRAILER_AT + 16, 2, 8);
    put(p + TRAILER_AT + 24, crc32(0, (Bytef *)p + TOKENS_AT, 18), 4);
    put(p + TRAILER_AT + 28, crc32(0, (Bytef *)p + ITEMS_AT, 32), 4);
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

static void assert_item(const gp_tokens *s, int64_t i, int64_t begin, int64_t first, int64_t second, int label)
{
    gp_token_item item = gp_tokens_item(s, i);
    assert_int_equal(item.begin, begin);
    assert_int_equal(item.first, first);
    assert_int_equal(item.second, second);
    assert_int_equal(item.label, label);
}

static void a_stream_made_by_hand_reads(void **state)
{
    (void)state;
    char p[SIZE];
    make_image(p, metadata);
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    const gp_tokens_info *info = gp_tokens_get_info(s);
    assert_true(info->items);
    assert_true(info->pairs);
    assert_int_equal(info->labels, 2);
    assert_int_equal(info->count, TOKENS);
    assert_string_equal(gp_tokens_label_name(s, 0), "neg");
    assert_string_equal(gp_tokens_label_name(s, 1), "pos");
    assert_item(s, 0, 0, 2, 1, 1);
    assert_item(s, 1, 4, 1, 3, 0);
    gp_tokens_close(s);
}

static void a_written_stream_is_the_image_made_by_hand(void **state)
{
    (void)state;
    char want[SIZE];
    gp_buf got = {0};
    make_image(want, metadata);
    gp_tokens_writer *w =
        gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 100, .metadata = metadata, .items = true});
    assert_non_null(w);
    assert_int_equal(gp_tokens_write(w, ids, 4), 0);
    assert_int_equal(gp_tokens_end_item(w, 1, 2), 0);
    assert_int_equal(gp_tokens_end_item(w, 0, 0), -1);
    assert_non_null(strstr(gp_error(), "an item without tokens cannot be written"));
    assert_int_equal(gp_tokens_write(w, ids + 4, 5), 0);
    assert_int_equal(gp_tokens_end_item(w, 0, 1), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    assert_int_equal(gp_file_read(&got, path, 1 << 20), 0);
    assert_int_equal(got.len, SIZE);
    assert_memory_equal(got.data, want, SIZE);
    gp_buf_release(&got);
}

/* More items than the writer buffers in memory. */
static void many_items_are_written(void **state)
{
    (void)state;
    enum { N = 200000 };
    gp_tokens_writer *w =
        gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 100, .metadata = metadata, .items = true});
    for (int i = 0; i < N; i++) {
        assert_int_equal(gp_tokens_write(w, ids, 2 + i % 7), 0);
        assert_int_equal(gp_tokens_end_item(w, i % 3 - 1, i % 2), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    int64_t begin = 0;
    for (int i = 0; i < N; i++) {
        assert_item(s, i, begin, i % 2, 2 + i % 7 - i % 2 - 1, i % 3 - 1);
        begin += 2 + i % 7;
    }
    gp_tokens_close(s);
}

static void damage_is_named(void **state)
{
    (void)state;
    static const struct {
        int at, bytes;
        uint64_t value;
        bool sum; /* with the CRC of the damaged items */
        const char *said;
    } cases[] = {
        {ITEMS_AT, 4, 0, false, "is corrupt: the CRC of its items is"},
        {ITEMS_AT + 15, 1, 1, false, "is corrupt: the CRC of its items is"},
        {TRAILER_AT + 28, 4, 1, false, "is corrupt: the CRC of its items is"},
        {ITEMS_AT, 4, 2, true, "the label of item 0 is 2, expected -1 to 1"},
        {ITEMS_AT + 8, 4, (uint32_t)-2, true, "the label of item 1 is -2, expected -1 to 1"},
        {ITEMS_AT + 4, 4, 4, true, "item 0 has 4 tokens, of which its first text has 4 and its separator 1"},
        {ITEMS_AT + 12, 4, UINT32_MAX, true, "its first text has 4294967295"},
        {56, 8, 0, false, "do not fill"},
        {56, 8, 3, false, "flags (0x3)"},
        {TRAILER_AT + 16, 8, 1, false, "do not fill"},
        {INDEX_AT + 8, 8, 5, false, "is corrupt: the CRC of its items is"},
        {INDEX_AT + 8, 8, 2, true, "item 0 has 2 tokens, of which its first text has 2 and its separator 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char p[SIZE];
        make_image(p, metadata);
        put(p + cases[i].at, cases[i].value, cases[i].bytes);
        if (cases[i].sum)
            put(p + TRAILER_AT + 28, crc32(0, (Bytef *)p + ITEMS_AT, 32), 4);
        save(p, sizeof p);
        assert_refused(cases[i].said);
    }
}

static void metadata_must_describe_items(void **state)
{
    (void)state;
    static const struct {
        const char *json, *said;
    } cases[] = {
        {"{\"somethingelse\":\"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\"}",
         "does not name the members of its items"},
        {"{\"items\":{\"text\":\"a\",\"label\":7,\"labels\":[\"0123456789abcdefghijklmnopqrstuvwxyzABCDEF\"]}}",
         "does not name the members of its items"},
        {"{\"items\":{\"text\":\"a\",\"label\":\"0123456789abcdefghijklmnopqrstuvwxyzABCDEF\",\"labels\":[]}}",
         "names 0 labels, expected 1 to 1000"},
        {"{\"items\":{\"text\":\"a\",\"label\":\"0123456789abcdefghijklmnopqrstuvwxyzABCDEF\",\"labels\":[\"a\",5]}}",
         "the name of label 1 in its metadata is not a string"},
        {"{\"items\":{\"text\":\"a\",\"label\":\"0123456789abcdefghijklmnopqrstuvwxyz\",\"labels\":[\"a\",\"b\"]}}",
         "item 0 has 4 tokens, of which its first text has 2 and its separator 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char p[SIZE];
        make_image(p, cases[i].json);
        save(p, sizeof p);
        assert_refused(cases[i].said);
    }
}

static void a_stream_cut_or_changed_anywhere_never_crashes(void **state)
{
    (void)state;
    char p[SIZE];
    make_image(p, metadata);
    for (size_t n = 0; n < SIZE; n++) {
        save(p, n);
        gp_tokens *s = gp_tokens_open(path, NULL);
        assert_null(s);
    }
    for (int i = 0; i < SIZE * 8; i += 5) {
        char q[SIZE];
        memcpy(q, p, SIZE);
        q[i / 8] ^= (char)(1 << i % 8);
        save(q, SIZE);
        gp_tokens *s = gp_tokens_open(path, NULL);
        for (int64_t k = 0; s && gp_tokens_get_info(s)->items && k < gp_tokens_get_info(s)->documents; k++)
            assert_true(gp_tokens_item(s, k).begin < gp_tokens_get_info(s)->count);
        gp_tokens_close(s);
    }
}

static void other_formats_hold_no_labels(void **state)
{
    (void)state;
    gp_stream_format formats[] = {GP_STREAM_LLMC, GP_STREAM_RAW16};
    for (int i = 0; i < 2; i++) {
        assert_null(gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 9, .format = formats[i], .items = true}));
        assert_non_null(strstr(gp_error(), "holds no labels; use --format tok"));
    }
}

/* ---- labels of JSON Lines ---------------------------------------------------------------------------------- */

/* "text+pair=label ..." of all parts; then the names. */
static char *read_all(const char *lines, const char *pair, const char *labels)
{
    save(lines, strlen(lines));
    const char *paths[] = {path};
    gp_text *t = gp_text_open(&(gp_list){.items = paths, .count = 1},
                              &(gp_text_options){.jsonl = "t", .label = "l", .pair = pair, .labels = labels});
    gp_text_part part;
    gp_buf got = {0};
    int rc = -1;
    while (t && (rc = gp_text_next(t, "", 0, &part)) > 0)
        if (part.separated)
            gp_buf_printf(&got, "%.*s%s%.*s=%d ", (int)part.length, part.data, part.pair ? "+" : "",
                          (int)part.pair_length, part.pair ? part.pair : "", part.label);
    for (int i = 0; t && i < gp_text_get_info(t)->label_count; i++)
        gp_buf_printf(&got, "%s%s", i ? "," : "", gp_text_get_info(t)->labels[i]);
    gp_text_close(t);
    if (!rc)
        return got.data;
    gp_buf_release(&got);
    return NULL;
}

static void assert_reads(const char *lines, const char *pair, const char *labels, const char *want)
{
    char *got = read_all(lines, pair, labels);
    if (!got)
        fail_msg("%s", gp_error());
    assert_string_equal(got, want);
    free(got);
}

static void assert_fails(const char *lines, const char *labels, const char *said)
{
    char *got = read_all(lines, NULL, labels);
    if (got)
        fail_msg("read '%s', but should have failed with '%s'", got, said);
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
}

static void labels_are_names_or_numbers(void **state)
{
    (void)state;
    assert_reads("{\"t\":\"a\",\"l\":1}\n\n{\"t\":\"b\",\"l\":\"neg\"}\n \n", NULL, "neg,pos", "a=1 b=0 neg,pos");
    assert_reads("{\"t\":\"a\",\"l\":\"x\"}\n{\"t\":\"b\",\"l\":\"B\"}\n{\"t\":\"c\",\"l\":\"x\"}", NULL, NULL,
                 "a=1 b=0 c=1 B,x");
    assert_reads("{\"t\":\"a\",\"l\":10}\n{\"t\":\"b\",\"l\":1}\n{\"t\":\"c\",\"l\":\"2\"}", NULL, NULL,
                 "a=2 b=0 c=1 1,2,10");
    assert_reads("{\"t\":\"a\",\"l\":10}\n{\"t\":\"b\",\"l\":-1}\n{\"t\":\"c\",\"l\":\"2\"}", NULL, "-1,2,10",
                 "a=2 b=0 c=1 -1,2,10");
    assert_reads("{\"t\":\"a\",\"l\":2}\n{\"t\":\"b\",\"l\":1}", NULL, "1,2", "a=1 b=0 1,2");
    assert_reads("{\"t\":\"a\",\"l\":\"01\"}\n{\"t\":\"b\",\"l\":1}\n{\"t\":\"c\",\"l\":\"1\"}", NULL, NULL,
                 "a=0 b=1 c=1 01,1");
    assert_reads("{\"t\":\"a\",\"l\":1234567890123456789}\n{\"t\":\"b\",\"l\":0}", NULL, NULL,
                 "a=1 b=0 0,1234567890123456789");
    assert_reads("{\"t\":\"a\",\"b\":\"\",\"l\":0}\n{\"t\":\"\",\"b\":\"c\",\"l\":1}", "b", "no,yes",
                 "a+=0 +c=1 no,yes");
}

static void wrong_labels_are_named_with_their_line(void **state)
{
    (void)state;
    assert_fails("{\"t\":\"a\",\"l\":10}\n{\"t\":\"b\",\"l\":-1}", NULL, "line 2: its \"l\" is below 0");
    assert_fails("{\"t\":\"a\",\"l\":\"-1\"}\n{\"t\":\"b\",\"l\":\"2\"}", NULL, "line 1: its \"l\" is below 0");
    assert_fails("{\"t\":\"a\",\"l\":\"neg\"}\n{\"t\":\"b\",\"l\":\"po\"}", "neg,pos",
                 "line 2: its \"l\" is \"po\", which is not one of the 2 labels");
    assert_fails("{\"t\":\"a\",\"l\":2}", "neg,pos", "line 1: its \"l\" is 2, expected 0 to 1");
    assert_fails("{\"t\":\"a\",\"l\":0}", "a,b\xff", "is not UTF-8");
    assert_fails("{\"t\":\"a\",\"l\":1}", "01,02", "line 1: its \"l\" is 1, which is not one of the 2 labels");
    assert_fails("{\"t\":\"a\",\"l\":0}", "1,2", "line 1: its \"l\" is 0, which is not one of the 2 labels");
    assert_fails("{\"t\":\"a\"}", NULL, "line 1: its \"l\" is missing");
    assert_fails("{\"t\":\"a\",\"l\":1.5}", NULL, "line 1: its \"l\" is neither a whole number nor a name");
    assert_fails("{\"t\":\"a\",\"l\":\"\"}", NULL, "line 1: its \"l\" is empty, expected a name");
    assert_fails("{\"t\":\"a\",\"l\":\"x\"}\n{\"t\":\"b\",\"l\":3}", NULL, "line 2: its \"l\" is a number, but ");
    assert_fails("{\"t\":\"a\",\"l\":\"x\"}", "neg,,pos", "has an empty name");
    assert_fails("{\"t\":\"a\",\"l\":\"x\"}", "neg,pos,neg", "has neg twice");
    assert_fails("\n", NULL, "is empty");
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
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_made_by_hand_reads),
        cmocka_unit_test(a_written_stream_is_the_image_made_by_hand),
        cmocka_unit_test(many_items_are_written),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(metadata_must_describe_items),
        cmocka_unit_test(a_stream_cut_or_changed_anywhere_never_crashes),
        cmocka_unit_test(other_formats_hold_no_labels),
        cmocka_unit_test(labels_are_names_or_numbers),
        cmocka_unit_test(wrong_labels_are_named_with_their_line),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
