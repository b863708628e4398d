/* Masked rows: which tokens, how many, by what they are replaced. Probabilities are checked by bounds of five standard
 * deviations and by chi-square statistics; seeds are fixed, so that a test passes always or never. */
#include "gptpipe/masked.h"
#include "small_bpe.h"
#include "test.h"
#include "threads.h"

#include <math.h>

enum { BOS = 256, EOS, MASK, ADDED, UNUSED, VOCAB = UNUSED + 2 };

/* Id i is byte i; then <s>, </s>, <mask>, an added token that is not special, an unused id. " " begins a word. */
static gp_tokenizer *open_tokenizer(bool has_mask)
{
    char vocab[200], more[800];
    snprintf(vocab, sizeof vocab, ",\"<s>\":256,\"</s>\":257,\"%s\":258,\"<added>\":259,\"zz\":261",
             has_mask ? "<mask>" : "<other>");
    snprintf(more, sizeof more,
             "\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true},"
             "{\"id\":257,\"content\":\"</s>\",\"special\":true},{\"id\":258,\"content\":\"%s\",\"special\":true},"
             "{\"id\":259,\"content\":\"<added>\",\"special\":false}],"
             "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",257],\"cls\":[\"<s>\",256],"
             "\"trim_offsets\":true,\"add_prefix_space\":false},",
             has_mask ? "<mask>" : "<other>");
    char *json = make_json(vocab, "[\"z z\"]", more);
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "small");
    if (!t)
        fail_msg("%s", gp_error());
    free(json);
    return t;
}

/* A source whose rows are all the same. */
typedef struct same_rows {
    gp_source source;
    const int32_t *ids;
    int64_t window;
} same_rows;

static int fill_same(const gp_source *self, int64_t n, gp_batch *batch)
{
    const same_rows *s = (const same_rows *)self;
    (void)n;
    batch->B = self->rows;
    batch->T = s->window;
    for (int64_t i = 0; i < batch->B * batch->T; i++) {
        ((int32_t *)(uintptr_t)batch->inputs)[i] = s->ids[i % s->window];
        ((int32_t *)(uintptr_t)batch->targets)[i] = 7; /* the next tokens of a loader */
    }
    return 0;
}

static same_rows make_rows(const int32_t *ids, int64_t window, int64_t rows)
{
    return (same_rows){.source = {.rows = rows,
                                  .tokens = rows * window,
                                  .batches = 1000000,
                                  .members = GP_BATCH_TARGETS,
                                  .fill = fill_same},
                       .ids = ids,
                       .window = window};
}

/* Text as ids; '^' is <s>, '+' the added token. */
static int64_t make_ids(const char *text, int32_t *ids)
{
    int64_t n = 0;
    for (; text[n]; n++)
        ids[n] = text[n] == '^' ? BOS : text[n] == '+' ? ADDED : text[n];
    return n;
}

static gp_source *open_masked(const same_rows *rows, const gp_tokenizer *t, const gp_masking *how)
{
    gp_source *s = gp_masked_open(&rows->source, t, how);
    if (!s)
        fail_msg("%s", gp_error());
    return s;
}

static bool is_target(const gp_batch *b, int64_t row, int64_t t)
{
    return b->targets[row * b->T + t] != -100;
}

static int64_t count_targets(const gp_batch *b, int64_t row)
{
    int64_t n = 0;
    for (int64_t t = 0; t < b->T; t++)
        n += is_target(b, row, t);
    return n;
}

/* Sum of (found - expected)^2 / expected over `cells` equally likely ones, against its mean, cells - 1, and five times
 * its standard deviation, sqrt(2 (cells - 1)). */
static void assert_uniform(const int64_t *found, int64_t cells)
{
    double sum = 0, chi = 0;
    for (int64_t i = 0; i < cells; i++)
        sum += (double)found[i];
    for (int64_t i = 0; i < cells; i++)
        chi += pow((double)found[i] - sum / (double)cells, 2) / (sum / (double)cells);
    double df = (double)(cells - 1);
    if (!(fabs(chi - df) <= 5 * sqrt(2 * df)))
        fail_msg("chi-square %g with %g degrees of freedom", chi, df);
}

static void assert_share(int64_t found, int64_t of, double p)
{
    double deviation = sqrt((double)of * p * (1 - p));
    if (!(fabs((double)found - (double)of * p) <= 5 * deviation))
        fail_msg("%lld of %lld, expected %g +- %g", (long long)found, (long long)of, (double)of * p, deviation);
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static void rows_are_windows_between_the_tokenizers_affixes(void **state)
{
    (void)state;
    int32_t ids[64];
    int64_t window = make_ids("the fox+ jumped^over a dog", ids);
    gp_tokenizer *t = open_tokenizer(true);
    gp_masking how = gp_masking_defaults();
    same_rows rows = make_rows(ids, window, 3);
    gp_source *s = open_masked(&rows, t, &how);
    gp_batch b = gp_batch_open(s);
    assert_int_equal(gp_masked_affixes(t), 2);
    assert_int_equal(s->tokens, 3 * (window + 2));
    for (int64_t n = 0; n < 200; n++) {
        assert_int_equal(gp_source_fill(s, n, &b), 0);
        assert_int_equal(b.B, 3);
        assert_int_equal(b.T, window + 2);
        for (int64_t i = 0; i < 3 * b.T; i++) {
            int64_t at = i % b.T;
            int32_t id = at == 0 ? BOS : at == b.T - 1 ? EOS : ids[at - 1];
            bool ordinary = id < 256;
            assert_true(b.targets[i] == -100 || (ordinary && b.targets[i] == id));
            assert_true(b.targets[i] != -100 || b.inputs[i] == id);
        }
    }
    gp_batch_close(&b);
    gp_source_close(s);
    gp_tokenizer_close(t);
}

static void as_many_targets_as_the_probability_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double probability;
        int64_t targets;
    } cases[] = {{"abcdefghij", 0.15, 2}, {"abcdefghi", 0.15, 1}, {"abc", 0.15, 1},     {"a", 0.15, 1},
                 {"^a+b^c", 0.5, 2},      {"^+^", 0.15, 0},       {"a^^^^^^^^^", 1, 1}, {"abcdefghijklm", 0.3, 4},
                 {"abcdefghij", 1, 10},   {"abcdefghij", 0.01, 1}};
    gp_tokenizer *t = open_tokenizer(true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int32_t ids[64];
        gp_masking how = gp_masking_defaults();
        how.probability = cases[i].probability;
        same_rows rows = make_rows(ids, make_ids(cases[i].text, ids), 2);
        gp_source *s = open_masked(&rows, t, &how);
        gp_batch b = gp_batch_open(s);
        for (int64_t n = 0; n < 50; n++) {
            assert_int_equal(gp_source_fill(s, n, &b), 0);
            assert_int_equal(count_targets(&b, 0), cases[i].targets);
            assert_int_equal(count_targets(&b, 1), cases[i].targets);
            assert_true(gp_source_weight(s, n) == (double)(2 * cases[i].targets));
        }
        gp_batch_close(&b);
        gp_source_close(s);
    }
    gp_tokenizer_close(t);
}

/* ---- chances --------------------------------------------------------------------------------------------- */

enum { ROWS = 20000, LONG = 40 };

static void targets_are_spread_evenly_and_replaced_as_asked(void **state)
{
    (void)state;
    int32_t ids[64];
    int64_t at[LONG] = {0}, drawn[VOCAB] = {0}, masked = 0, random = 0, kept = 0;
    int64_t window = make_ids("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", ids);
    gp_tokenizer *t = open_tokenizer(true);
    gp_masking how = {.seed = 3, .probability = 0.15, .mask_replace = 0.7, .random_replace = 0.2};
    same_rows rows = make_rows(ids, window, 10);
    gp_source *s = open_masked(&rows, t, &how);
    gp_batch b = gp_batch_open(s);
    for (int64_t n = 0; n < ROWS / 10; n++) {
        assert_int_equal(gp_source_fill(s, n, &b), 0);
        for (int64_t i = 0; i < b.B * b.T; i++) {
            if (b.targets[i] == -100)
                continue;
            at[i % b.T - 1]++;
            masked += b.inputs[i] == MASK;
            kept += b.inputs[i] == b.targets[i];
            random += b.inputs[i] != MASK && b.inputs[i] != b.targets[i];
            if (b.inputs[i] != MASK && b.inputs[i] != b.targets[i])
                drawn[b.inputs[i]]++;
        }
    }
    int64_t all = masked + random + kept;
    assert_int_equal(all, 6 * ROWS);
    assert_uniform(at, LONG);
    assert_share(masked, all, 0.7);
    assert_share(random, all, 0.2 * 256 / 257); /* one of the 257 ordinary ids is the token itself */
    assert_share(kept, all, 0.1 + 0.2 / 257);
    for (int id = BOS; id <= UNUSED; id++)
        assert_int_equal(drawn[id], 0);
    int64_t others[217], count = 0; /* all but the text's own letters, which are drawn as often less one's own share */
    for (int id = 0; id < VOCAB; id++)
        if (id < 256 ? !memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", id, 40) : id == UNUSED + 1)
            others[count++] = drawn[id];
    assert_int_equal(count, 217);
    assert_uniform(others, count);
    gp_batch_close(&b);
    gp_source_close(s);
    gp_tokenizer_close(t);
}

/* Every pair of two tokens out of six is equally likely. */
static void every_set_of_targets_is_equally_likely(void **state)
{
    (void)state;
    int32_t ids[64];
    int64_t pairs[36] = {0}, found[15], count = 0;
    gp_tokenizer *t = open_tokenizer(true);
    gp_masking how = gp_masking_defaults();
    how.probability = 1.0 / 3;
    same_rows rows = make_rows(ids, make_ids("ab^cd+ef", ids), 4);
    gp_source *s = open_masked(&rows, t, &how);
    gp_batch b = gp_batch_open(s);
    for (int64_t n = 0; n < ROWS / 4; n++) {
        assert_int_equal(gp_source_fill(s, n, &b), 0);
        for (int64_t row = 0; row < 4; row++) {
            int pair[2] = {0}, k = 0;
            for (int64_t i = 0; i < b.T; i++)
                if (is_target(&b, row, i))
                    pair[k++ % 2] = b.targets[row * b.T + i] - 'a';
            assert_int_equal(k, 2);
            pairs[6 * pair[0] + pair[1]]++;
        }
    }
    for (int i = 0; i < 36; i++)
        if (i / 6 < i % 6)
            found[count++] = pairs[i];
        else
            assert_int_equal(pairs[i], 0);
    assert_uniform(found, count);
    gp_batch_close(&b);
    gp_source_close(s);
    gp_tokenizer_close(t);
}

/* ---- whole words ----------------------------------------------------------------------------------------- */

static void words_are_masked_whole(void **state)
{
    (void)state;
    /* letters of a word are its number */
    static const char text[] = "00 11 22^33 44+55 66 77";
    int32_t ids[64];
    int64_t words[8] = {0}, window = make_ids(text, ids);
    gp_tokenizer *t = open_tokenizer(true);
    gp_masking how = gp_masking_defaults();
    how.probability = 0.35; /* of 21 tokens: 7; words have 2 or 3 */
    how.whole_words = true;
    same_rows rows = make_rows(ids, window, 4);
    gp_source *s = open_masked(&rows, t, &how);
    gp_batch b = gp_batch_open(s);
    for (int64_t n = 0; n < ROWS / 4; n++) {
        double weight = 0;
        assert_int_equal(gp_source_fill(s, n, &b), 0);
        for (int64_t row = 0; row < 4; row++) {
            int64_t count = count_targets(&b, row);
            assert_in_range(count, 6, 7); /* one more would be left out only where a word of 2 does not fit */
            weight += (double)count;
            bool chosen[8] = {false};
            for (int64_t i = 0; i < window; i++)
                if (text[i] >= '0' && text[i] <= '9' && is_target(&b, row, i + 1))
                    chosen[text[i] - '0'] = true;
            for (int64_t i = 0; i < window; i++) { /* all of a word, with the space that it begins with */
                int c = text[i] == ' ' ? text[i + 1] : text[i];
                if (c >= '0' && c <= '9')
                    assert_int_equal(is_target(&b, row, i + 1), chosen[c - '0']);
            }
            for (int i = 0; i < 8; i++)
                words[i] += chosen[i];
        }
        assert_true(gp_source_weight(s, n) == weight);
    }
    int64_t three[5] = {words[1], words[2], words[4], words[6], words[7]},
            two[3] = {words[0], words[3], words[5]}; /* they fit more often */
    double sum3 = 0, sum2 = 0;
    for (int i = 0; i < 5; i++)
        sum3 += (double)three[i] / 5;
    for (int i = 0; i < 3; i++)
        sum2 += (double)two[i] / 3;
    for (int i = 0; i < 5; i++)
        assert_true(fabs((double)three[i] - sum3) < 5 * sqrt(ROWS * 0.25));
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)two[i] - sum2) < 5 * sqrt(ROWS * 0.25));
    assert_true(sum2 > sum3);
    gp_batch_close(&b);
    gp_source_close(s);
    gp_tokenizer_close(t);
}

#define SPECIAL(id, name) "{\"id\":" #id ",\"content\":\"" name "\",\"special\":true}"

#define SPECIALS                                                                                                       \
    SPECIAL(0, "[PAD]") "," SPECIAL(1, "[UNK]") "," SPECIAL(2, "[CLS]") "," SPECIAL(3, "[SEP]") "," SPECIAL(4, "[MASK]")

/* BERT's rows: [CLS] and [SEP] around them, "##" continues a word, [UNK] is never masked. */
static void words_of_a_wordpiece_are_masked_whole(void **state)
{
    (void)state;
    enum { CLS = 2, SEP, OWN_MASK, UN, AFF, ABLE, DOG };
    static const char json[] =
        "{\"added_tokens\":[" SPECIALS "],"
        "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
        "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
        "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]},"
        "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
        "\"max_input_chars_per_word\":100,\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,"
        "\"[MASK]\":4,\"un\":5,\"##aff\":6,\"##able\":7,\"dog\":8}}}";
    static const int32_t ids[] = {UN, AFF, ABLE, 1, DOG, UN, AFF, ABLE};
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "small");
    if (!t)
        fail_msg("%s", gp_error());
    gp_masking how = gp_masking_defaults();
    how.probability = 3.0 / 7;
    how.whole_words = true;
    how.mask_replace = 1;
    how.random_replace = 0;
    same_rows rows = make_rows(ids, 8, 1);
    gp_source *s = open_masked(&rows, t, &how);
    gp_batch b = gp_batch_open(s);
    for (int64_t n = 0; n < 300; n++) {
        assert_int_equal(gp_source_fill(s, n, &b), 0);
        assert_int_equal(b.inputs[0], CLS);
        assert_int_equal(b.inputs[9], SEP);
        assert_false(is_target(&b, 0, 4));
        bool first = is_target(&b, 0, 1), dog = is_target(&b, 0, 5), last = is_target(&b, 0, 6);
        assert_int_equal(first + dog + last, 1); /* two do not fit into 3 targets */
        for (int64_t i = 1; i <= 8; i++) {
            bool target = i <= 3 ? first : i == 5 ? dog : i >= 6 ? last : false;
            assert_int_equal(is_target(&b, 0, i), target);
            assert_int_equal(b.inputs[i], target ? OWN_MASK : ids[i - 1]);
        }
    }
    gp_batch_close(&b);
    gp_source_close(s);
    gp_tokenizer_close(t);
}

static void a_row_of_long_words_has_one_of_them_masked(void **state)
{
    (void)state;
    int32_t ids[64];
    int64_t words[3] = {0};
    gp_tokenizer *t = open_tokenizer(true);
    gp_masking how = gp_masking_defaults();
    how.whole_words = true;
    same_rows rows = make_rows(ids, make_ids("aaaaa bbbb cccc", ids), 1);
    gp_source *s = open_masked(&rows, t, &how);
    gp_batch b = gp_batch_open(s);
    for (int64_t n = 0; n < 3000; n++) {
        assert_int_equal(gp_source_fill(s, n, &b), 0);
        assert_int_equal(count_targets(&b, 0), 5);
        for (int64_t i = 0; i < b.T; i++)
            if (is_target(&b, 0, i) && b.targets[i] != ' ') {
                words[b.targets[i] - 'a']++;
                break;
            }
    }
    assert_uniform(words, 3);
    gp_batch_close(&b);
    gp_source_close(s);
    gp_tokenizer_close(t);
}

/* ---- the same masks -------------------------------------------------------------------------------------- */

static bool rows_equal(const gp_batch *a, int64_t row_a, const gp_batch *b, int64_t row_b)
{
    size_t bytes = (size_t)a->T * sizeof *a->inputs;
    return !memcmp(a->inputs + row_a * a->T, b->inputs + row_b * b->T, bytes) &&
           !memcmp(a->targets + row_a * a->T, b->targets + row_b * b->T, bytes);
}

static void masks_are_a_function_of_seed_and_row(void **state)
{
    (void)state;
    int32_t ids[64];
    int64_t window = make_ids("the quick brown fox jumped over the lazy dog", ids);
    gp_tokenizer *t = open_tokenizer(true);
    for (int whole = 0; whole < 2; whole++) {
        int other_seeds = 0, other_rows = 0;
        gp_masking how = {5, 0.15, 0.8, 0.1, whole}, other = {6, 0.15, 0.8, 0.1, whole};
        same_rows four = make_rows(ids, window, 4), one = make_rows(ids, window, 1);
        gp_source *a = open_masked(&four, t, &how), *b = open_masked(&one, t, &how), *c = open_masked(&four, t, &other);
        gp_batch x = gp_batch_open(a), y = gp_batch_open(b), z = gp_batch_open(c);
        gp_batch filled[13];
        fill_at_once(a, 7, 13, filled);
        for (int64_t n = 7; n < 20; n++) {
            const gp_batch *ahead = &filled[n - 7];
            assert_int_equal(gp_source_fill(c, n, &z), 0);
            assert_int_equal(gp_source_fill(a, n, &x), 0);
            for (int64_t row = 0; row < 4; row++) {
                assert_int_equal(gp_source_fill(b, 4 * n + row, &y), 0);
                assert_true(rows_equal(&x, row, &y, 0)); /* one row a batch */
                assert_true(rows_equal(&x, row, ahead, row));
                other_seeds += rows_equal(&x, row, &z, row);
                other_rows += rows_equal(&x, row, &x, (row + 1) % 4);
            }
        }
        assert_true(other_seeds < 5 && other_rows < 5); /* of 52; by chance a few are the same */
        for (int i = 0; i < 13; i++)
            gp_batch_close(&filled[i]);
        gp_batch_close(&x);
        gp_batch_close(&y);
        gp_batch_close(&z);
        gp_source_close(a);
        gp_source_close(b);
        gp_source_close(c);
    }
    gp_tokenizer_close(t);
}

/* ---- refusals -------------------------------------------------------------------------------------------- */

static void what_cannot_be_masked_is_refused(void **state)
{
    (void)state;
    int32_t ids[64];
    same_rows rows = make_rows(ids, make_ids("abc", ids), 1);
    gp_tokenizer *none = open_tokenizer(false), *t = open_tokenizer(true);
    gp_masking how = gp_masking_defaults();
    assert_null(gp_masked_open(&rows.source, none, &how));
    assert_string_equal(gp_error(), "the tokenizer (bpe) has no mask token, [MASK] or <mask>, which masked language "
                                    "modelling needs");
    how.random_replace = 0.3;
    assert_null(gp_masked_open(&rows.source, t, &how));
    assert_non_null(strstr(gp_error(), "add up to at most 1"));
    how = gp_masking_defaults();
    how.probability = 0;
    assert_null(gp_masked_open(&rows.source, t, &how));
    assert_non_null(strstr(gp_error(), "mlm_probability is 0"));
    gp_tokenizer_close(none);
    gp_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_windows_between_the_tokenizers_affixes),
        cmocka_unit_test(as_many_targets_as_the_probability_says),
        cmocka_unit_test(targets_are_spread_evenly_and_replaced_as_asked),
        cmocka_unit_test(every_set_of_targets_is_equally_likely),
        cmocka_unit_test(words_are_masked_whole),
        cmocka_unit_test(words_of_a_wordpiece_are_masked_whole),
        cmocka_unit_test(a_row_of_long_words_has_one_of_them_masked),
        cmocka_unit_test(masks_are_a_function_of_seed_and_row),
        cmocka_unit_test(what_cannot_be_masked_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
