/* What lists of files, patterns, weights and names stand for, and how a part is held out. */
#include "base/file.h"
#include "data/mixture.h"
#include "base/atomic_folder.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/gptpipe-mixture.XXXXXX";

/* A stream of `count` tokens of `vocab` ids in documents of `document` (0: no index), with a tokenizer whose
 * fingerprint is all `tokenizer` (0: unknown). */
static void write_stream(const char *name, int64_t count, int64_t vocab, int64_t document, uint8_t tokenizer)
{
    gp_tokens_info info = {.vocab_size = vocab};
    memset(info.fingerprint, tokenizer, sizeof info.fingerprint);
    gp_tokens_writer *w = gp_tokens_create(name, &info);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(gp_tokens_write(w, &(int32_t){(int32_t)(i % vocab)}, 1), 0);
        if (document && i % document == document - 1)
            assert_int_equal(gp_tokens_end_document(w), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
}

static int open_all(gp_mixture *m, bool weights, bool names, const char *const *items, int count)
{
    gp_list list = {.items = (const char **)(uintptr_t)items, .count = count};
    return gp_mixture_open(m, &list, &(gp_mixture_how){.weights = weights, .names = names});
}

#define OPEN(m, weights, names, ...)                                                                                   \
    open_all(m, weights, names, (const char *[]){__VA_ARGS__},                                                         \
             (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)))

static void assert_refused(int rc, gp_mixture *m, const char *why)
{
    assert_int_equal(rc, -1);
    if (!strstr(gp_error(), why))
        print_message("said: %s\n", gp_error());
    assert_non_null(strstr(gp_error(), why));
    gp_mixture_close(m);
}

static void files_and_sorted_patterns_are_one_set_in_order(void **state)
{
    (void)state;
    gp_mixture m;
    static const char *const names[] = {"z.tok", "a1.tok", "a2.tok", "a3.tok"};
    assert_int_equal(OPEN(&m, true, false, "z.tok", "a[123].tok"), 0);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.sets[0].count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(gp_tokens_get_info(m.sets[0].spans[i].tokens)->name, names[i]);
    assert_int_equal(gp_mixture_tokens(&m), 77 + 100 + 100 + 100);
    gp_mixture_close(&m);
}

static void weights_make_sets(void **state)
{
    (void)state;
    gp_mixture m;
    assert_int_equal(OPEN(&m, true, false, "z.tok=0.25", "a?.tok=3"), 0);
    assert_int_equal(m.count, 2);
    assert_true(m.sets[0].weight == 0.25 && m.sets[1].weight == 3);
    assert_int_equal(m.sets[1].count, 3);
    gp_mixture_close(&m);
}

static void a_file_under_the_whole_item_is_that_file(void **state)
{
    (void)state;
    gp_mixture m;
    write_stream("w=0.5", 10, 50, 0, 1);
    write_stream("p*.tok", 10, 50, 0, 1);
    assert_int_equal(OPEN(&m, true, false, "w=0.5", "p*.tok"), 0);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.stream_count, 2);
    gp_mixture_close(&m);
    unlink("w=0.5");
    unlink("p*.tok");
}

static void validation_sets_are_called_as_told_or_after_their_file(void **state)
{
    (void)state;
    gp_mixture m;
    assert_int_equal(OPEN(&m, false, true, "z.tok", "some-name=a1.tok", "./a2.tok"), 0);
    assert_string_equal(m.sets[0].name, "z");
    assert_string_equal(m.sets[1].name, "some-name");
    assert_string_equal(m.sets[2].name, "a2");
    gp_mixture_close(&m);
    assert_refused(OPEN(&m, false, true, "z.tok", "z=a1.tok"), &m, "two sets are called z (z.tok and a1.tok)");
}

static void streams_must_agree_where_they_are_known(void **state)
{
    (void)state;
    gp_mixture m;
    assert_refused(OPEN(&m, true, false, "a1.tok", "vocab.tok"), &m,
                   "vocab.tok: its vocabulary has 51 ids, that of a1.tok 50");
    assert_refused(OPEN(&m, true, false, "a1.tok", "other.tok"), &m, "other.tok: its tokenizer is not that of a1.tok");
    assert_refused(OPEN(&m, true, false, "unknown.tok", "a1.tok", "other.tok"), &m,
                   "other.tok: its tokenizer is not that of a1.tok");
    assert_int_equal(OPEN(&m, true, false, "unknown.tok", "a1.tok"), 0);
    assert_ptr_equal(gp_mixture_stream(&m), m.streams[1]);
    gp_mixture_close(&m);
}

static void a_description_tells_apart_what_is_cut_elsewhere(void **state)
{
    (void)state;
    gp_mixture m;
    char one[64], two[64];
    assert_int_equal(OPEN(&m, true, false, "a1.tok"), 0);
    gp_mixture_describe(&m, one, sizeof one);
    assert_string_equal(one, "100 tokens");
    gp_mixture_close(&m);
    assert_int_equal(OPEN(&m, true, false, "a1.tok", "z.tok"), 0);
    gp_mixture_describe(&m, one, sizeof one);
    gp_mixture_close(&m);
    assert_int_equal(OPEN(&m, true, false, "z.tok", "a1.tok"), 0);
    gp_mixture_describe(&m, two, sizeof two);
    gp_mixture_close(&m);
    /* printf '100\n77\n' | sha256sum */
    assert_string_equal(one, "177 tokens in 2 files (8ee797a7)");
    assert_string_not_equal(one, two);
}

static void write_raw(const char *name, int64_t at, uint16_t id)
{
    enum { COUNT = 40000 };
    uint16_t *ids = gp_calloc(COUNT, sizeof *ids);
    ids[at] = id;
    assert_int_equal(gp_file_write(name, ids, COUNT * sizeof *ids), 0);
    free(ids);
}

static void assert_fingerprint(gp_list files, const char *than, bool same)
{
    gp_mixture m;
    char hex[33];
    assert_int_equal(gp_mixture_open(&m, &files, &(gp_mixture_how){.format = GP_STREAM_RAW16, .vocab_size = 50}), 0);
    gp_mixture_fingerprint(&m, hex);
    gp_mixture_close(&m);
    if (same)
        assert_string_equal(hex, than);
    else
        assert_string_not_equal(hex, than);
}

/* As many tokens, but others, or in another order: another fingerprint. */
static void a_fingerprint_tells_tokens_apart(void **state)
{
    (void)state;
    gp_mixture m;
    char one[33], two[33];
    gp_list raw = {.items = (const char *[]){"ids.bin"}, .count = 1};
    assert_int_equal(OPEN(&m, true, false, "a1.tok", "z.tok"), 0);
    gp_mixture_fingerprint(&m, one);
    gp_mixture_close(&m);
    assert_int_equal(OPEN(&m, true, false, "z.tok", "a1.tok"), 0);
    gp_mixture_fingerprint(&m, two);
    gp_mixture_close(&m);
    assert_string_not_equal(one, two);

    write_raw("ids.bin", 0, 0);
    assert_int_equal(gp_mixture_open(&m, &raw, &(gp_mixture_how){.format = GP_STREAM_RAW16, .vocab_size = 50}), 0);
    gp_mixture_fingerprint(&m, one);
    gp_mixture_close(&m);
    assert_fingerprint(raw, one, true);
    write_raw("ids.bin", 39999, 7); /* the last one */
    assert_fingerprint(raw, one, false);
    write_raw("ids.bin", 20000, 7); /* 80 kB are less than 64 pieces: all of it counts */
    assert_fingerprint(raw, one, false);
    unlink("ids.bin");
}

static void what_is_held_out_is_the_end_of_the_set(void **state)
{
    (void)state;
    gp_mixture m, held;
    assert_int_equal(OPEN(&m, true, false, "a1.tok", "a2.tok", "a3.tok"), 0);
    assert_int_equal(gp_mixture_hold_out(&m, 0.4, &held), 0);
    /* 180 of 300 stay: a1, 80 of a2 */
    assert_int_equal(m.sets[0].count, 2);
    assert_int_equal(m.sets[0].spans[1].last, 80);
    assert_int_equal(held.sets[0].count, 2);
    assert_int_equal(held.sets[0].spans[0].first, 80);
    assert_int_equal(held.sets[0].spans[0].last, 100);
    assert_ptr_equal(held.sets[0].spans[1].tokens, m.streams[2]);
    gp_mixture_close(&held);
    gp_mixture_close(&m);
}

static void a_stream_with_documents_is_cut_between_them(void **state)
{
    (void)state;
    gp_mixture m, held;
    assert_int_equal(OPEN(&m, true, false, "docs.tok", "a1.tok"), 0);
    assert_int_equal(gp_mixture_hold_out(&m, 0.68, &held), 0); /* 64 of 200 stay; documents have 30 */
    assert_int_equal(m.sets[0].count, 1);
    assert_int_equal(m.sets[0].spans[0].last, 60);
    assert_int_equal(held.sets[0].count, 2);
    gp_mixture_close(&held);
    gp_mixture_close(&m);
}

static void each_set_of_a_mixture_keeps_its_own_end(void **state)
{
    (void)state;
    gp_mixture m, held;
    assert_int_equal(OPEN(&m, true, false, "a1.tok=1", "z.tok=2"), 0);
    assert_int_equal(gp_mixture_hold_out(&m, 0.1, &held), 0);
    assert_int_equal(held.count, 2);
    assert_string_equal(held.sets[1].name, "z.tok");
    assert_int_equal(held.sets[0].spans[0].first, 90);
    assert_int_equal(held.sets[1].spans[0].first, 69); /* 0.9 * 77 = 69.3 */
    gp_mixture_close(&held);
    gp_mixture_close(&m);
}

/* whole.tok is one document of 60 tokens, between 100 and 100: wherever its part of the border falls, it goes whole to
 * the side that would have more of it, to training where both have half. */
static void what_cannot_be_divided_goes_to_the_side_of_its_larger_part(void **state)
{
    (void)state;
    static const struct {
        int64_t wanted; /* tokens for training, of 260 */
        int stay, held; /* streams */
    } cases[] = {{101, 1, 2}, {120, 1, 2}, {129, 1, 2}, {130, 2, 1}, {131, 2, 1}, {159, 2, 1}};
    write_stream("whole.tok", 60, 50, 60, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gp_mixture m, held;
        assert_int_equal(OPEN(&m, true, false, "a1.tok", "whole.tok", "a2.tok"), 0);
        assert_int_equal(gp_mixture_hold_out(&m, 1 - (double)cases[i].wanted / 260, &held), 0);
        assert_int_equal(m.sets[0].count, cases[i].stay);
        assert_int_equal(held.sets[0].count, cases[i].held);
        assert_int_equal(gp_stream_set_tokens(&m.sets[0]), cases[i].stay == 2 ? 160 : 100);
        assert_int_equal(gp_stream_set_tokens(&held.sets[0]), cases[i].held == 2 ? 160 : 100);
        gp_mixture_close(&held);
        gp_mixture_close(&m);
    }
}

static void what_cannot_be_divided_is_refused(void **state)
{
    (void)state;
    gp_mixture m, held;
    write_stream("one.tok", 1, 50, 0, 1);
    assert_int_equal(OPEN(&m, true, false, "one.tok", "one.tok"), 0);
    assert_int_equal(gp_mixture_hold_out(&m, 0.1, &held), -1);
    assert_non_null(strstr(gp_error(), "one.tok: it cannot be split"));
    gp_mixture_close(&held);
    gp_mixture_close(&m);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder))
        return -1;
    for (int i = 1; i <= 3; i++) {
        char name[] = "a0.tok";
        name[1] = (char)('0' + i);
        write_stream(name, 100, 50, 0, 1);
    }
    write_stream("z.tok", 77, 50, 0, 1);
    write_stream("docs.tok", 100, 50, 30, 1);
    write_stream("vocab.tok", 10, 51, 0, 1);
    write_stream("other.tok", 10, 50, 0, 2);
    write_stream("unknown.tok", 10, 50, 0, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("/") || gp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_sorted_patterns_are_one_set_in_order),
        cmocka_unit_test(weights_make_sets),
        cmocka_unit_test(a_file_under_the_whole_item_is_that_file),
        cmocka_unit_test(validation_sets_are_called_as_told_or_after_their_file),
        cmocka_unit_test(streams_must_agree_where_they_are_known),
        cmocka_unit_test(a_description_tells_apart_what_is_cut_elsewhere),
        cmocka_unit_test(a_fingerprint_tells_tokens_apart),
        cmocka_unit_test(what_is_held_out_is_the_end_of_the_set),
        cmocka_unit_test(a_stream_with_documents_is_cut_between_them),
        cmocka_unit_test(each_set_of_a_mixture_keeps_its_own_end),
        cmocka_unit_test(what_cannot_be_divided_goes_to_the_side_of_its_larger_part),
        cmocka_unit_test(what_cannot_be_divided_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
