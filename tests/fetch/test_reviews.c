/* The reviews: one derivation each, an exact probability under both labels, and the exact limit of classifying them. */
#include "test.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/embedded.h"
#include "gptpipe/reviews.h"
#include "grammar_check.h"

enum { SOME = 400, MANY = 40000 };
static gp_grammar grammar;

static int set_up(void **state)
{
    (void)state;
    return gp_grammar_parse(&grammar, (const char *)gp_reviews_grammar, "reviews.grammar");
}

static int tear_down(void **state)
{
    (void)state;
    gp_grammar_release(&grammar);
    return 0;
}

static gp_review review_of(uint64_t seed, int64_t i)
{
    gp_review review;
    gp_reviews *r = gp_reviews_open(seed);
    assert_non_null(r);
    assert_int_equal(gp_reviews_get(r, i, &review), 0);
    gp_reviews_close(r);
    return review;
}

static gp_bayes limit_of(const char *text)
{
    gp_grammar g;
    gp_bayes limit;
    assert_int_equal(gp_grammar_parse(&g, text, "test"), 0);
    assert_int_equal(gp_grammar_bayes(&g, &limit), 0);
    gp_grammar_release(&g);
    return limit;
}

static void every_review_has_one_derivation_and_its_probabilities(void **state)
{
    (void)state;
    gp_reviews *r = gp_reviews_open(1);
    bool *used = gp_calloc((size_t)grammar.alternative_count, sizeof *used);
    for (int64_t i = 0; i < 4 * SOME; i++) {
        gp_review review;
        assert_int_equal(gp_reviews_get(r, i, &review), 0);
        assert_int_equal(review.label, i % 2);
        for (int c = 0; c < GP_REVIEW_LABELS; c++) {
            reading reading = {.used = used, .class = c};
            assert_int_equal(count_derivations(&reading, &grammar, review.text), 1);
            assert_true(fabs(reading.nats - review.nats[c]) < 1e-9);
        }
    }
    for (int a = 0; a < grammar.alternative_count; a++)
        if (!used[a])
            fail_msg("reviews.grammar:%d: never written", grammar.alternatives[a].line);
    free(used);
    gp_reviews_close(r);
}

static void no_text_of_an_alternative_begins_one_of_another(void **state)
{
    (void)state;
    for (int r = 0; r < grammar.rule_count; r++) {
        const gp_alternative *a = grammar.alternatives + grammar.rules[r].first;
        for (int i = 0; i < grammar.rules[r].count; i++)
            for (int j = 0; j < i; j++)
                if (alternatives_clash(&grammar, a + i, a + j))
                    fail_msg("reviews.grammar: rule %s: lines %d and %d clash", grammar.rules[r].name, a[j].line,
                             a[i].line);
    }
}

static void no_review_can_be_too_long(void **state)
{
    (void)state;
    assert_true(total_rule(&grammar, 0, 0).longest <= GP_REVIEW_MAX);
    assert_false(total_rule(&grammar, 0, 0).unfilled);
}

/* One draw of 3 to 1: the ratio is 3 or 1/3, and the better guess is right in 3 of 4. */
static void a_single_choice_is_right_as_often_as_its_odds_say(void **state)
{
    (void)state;
    gp_bayes limit = limit_of("x\n  1/3 good\n  3/1 bad\n");
    assert_true(fabs(limit.accuracy - 0.75) < 1e-15);
    assert_true(fabs(limit.loss - (0.75 * log(4.0 / 3) + 0.25 * log(4.0))) < 1e-15);
}

/* x is a or b, with 1/4, 3/4 in class 0 and 1/2, 1/2 in class 1; y is c or d, with 1/2, 1/2 and 1/4, 3/4. So
 *     P(text | 0): ac 1/8, ad 1/8, bc 3/8, bd 3/8
 *     P(text | 1): ac 1/8, ad 3/8, bc 1/8, bd 3/8
 * and half the sum of the larger ones is 5/8. */
static void two_choices_multiply_their_odds(void **state)
{
    (void)state;
    gp_grammar g;
    gp_likelihood_ratio *values;
    assert_int_equal(gp_grammar_parse(&g, "t\n  1 <x> <y>\nx\n  1/2 a\n  3/2 b\ny\n  2/1 c\n  2/3 d\n", "test"), 0);
    assert_int_equal(gp_grammar_ratios(&g, &values), 3); /* bc 1/3; ac and bd 1; ad 3 */
    static const gp_likelihood_ratio expected[] = {{1, 3, {0.375, 0.125}}, {1, 1, {0.5, 0.5}}, {3, 1, {0.125, 0.375}}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(values[i].numerator, expected[i].numerator);
        assert_int_equal(values[i].denominator, expected[i].denominator);
        for (int c = 0; c < 2; c++)
            assert_true(fabs(values[i].p[c] - expected[i].p[c]) < 1e-15);
    }
    gp_bayes limit;
    assert_int_equal(gp_grammar_bayes(&g, &limit), 0);
    assert_true(fabs(limit.accuracy - 0.625) < 1e-15);
    /* half of the texts say nothing; of the others three quarters say what they seem to */
    assert_true(fabs(limit.loss - (0.5 * log(2.0) + 0.5 * (0.75 * log(4.0 / 3) + 0.25 * log(4.0)))) < 1e-15);
    free(values);
    gp_grammar_release(&g);
}

static void words_without_evidence_and_recalled_ones_change_nothing(void **state)
{
    (void)state;
    gp_bayes limit = limit_of("t\n  2 <n=w> <x> <n>\n  5 <x> <w>\nx\n  1/3 good\n  3/1 bad\nw\n  4 u\n  2 v\n");
    assert_true(fabs(limit.accuracy - 0.75) < 1e-15);
    assert_true(fabs(limit_of("t\n  7 a\n  2 b\n").accuracy - 0.5) < 1e-15);
    assert_true(fabs(limit_of("t\n  7 a\n  2 b\n").loss - log(2.0)) < 1e-15);
}

static void a_ratio_of_more_than_64_bits_is_refused(void **state)
{
    (void)state;
    gp_grammar g;
    gp_bayes limit;
    assert_int_equal(gp_grammar_parse(&g, "t\n  1 <x> <x> <x> <x>\nx\n  1/999999 a\n  999999/1 b\n", "test"), 0);
    assert_int_equal(gp_grammar_bayes(&g, &limit), -1);
    assert_string_equal(gp_error(), "a likelihood ratio of the grammar has more than 64 bits");
    gp_grammar_release(&g);
}

/* By hand: a claim is right with 5/6, a verdict with 15/16. Two claims that agree outweigh a verdict (5 * 5 > 15), one
 * does not. Of 22 reviews,
 *     12 have two claims and a verdict: 25/36 + 10/36 * 15/16 = 550/576
 *      4 have three claims:             125/216 + 3 * 25/216  = 200/216
 *      6 have a verdict, alone or with a claim:                  15/16 */
static void the_limit_is_that_of_its_kinds_of_reviews(void **state)
{
    (void)state;
    gp_reviews *r = gp_reviews_open(1);
    double expected = (12 * 550.0 / 576 + 4 * 200.0 / 216 + 6 * 15.0 / 16) / 22;
    assert_true(fabs(expected - 2245.0 / 2376) < 1e-15);
    assert_true(fabs(gp_reviews_limit(r).accuracy - expected) < 1e-14);
    gp_reviews_close(r);
}

static void ratios_are_those_of_their_probabilities(void **state)
{
    (void)state;
    gp_likelihood_ratio *values;
    double sum[2] = {0};
    int count = gp_grammar_ratios(&grammar, &values);
    assert_in_range(count, 4, 100);
    for (int i = 0; i < count; i++) {
        double ratio = (double)values[i].numerator / (double)values[i].denominator;
        assert_true(fabs(values[i].p[1] - ratio * values[i].p[0]) < 1e-14);
        for (int c = 0; c < 2; c++)
            sum[c] += values[i].p[c];
    }
    assert_true(fabs(sum[0] - 1) < 1e-14 && fabs(sum[1] - 1) < 1e-14);
    free(values);
}

/* The means of many against the sums over the grammar; 4 standard errors, with a fixed seed. */
static void the_best_classifier_is_right_as_often_as_the_limit_says(void **state)
{
    (void)state;
    double right = 0, nats = 0, squares = 0;
    gp_reviews *r = gp_reviews_open(3);
    gp_bayes limit = gp_reviews_limit(r);
    for (int64_t i = 0; i < MANY; i++) {
        gp_review review;
        assert_int_equal(gp_reviews_get(r, i, &review), 0);
        double positive = gp_review_posterior(&review), loss = -log(review.label ? positive : 1 - positive);
        right += (positive > 0.5) == review.label;
        nats += loss;
        squares += loss * loss;
    }
    gp_reviews_close(r);
    double mean = nats / MANY, spread = sqrt((squares / MANY - mean * mean) / MANY);
    assert_true(fabs(right / MANY - limit.accuracy) < 4 * sqrt(limit.accuracy * (1 - limit.accuracy) / MANY));
    assert_true(spread < 0.01 && fabs(mean - limit.loss) < 4 * spread);
}

static void reviews_are_plain_sentences(void **state)
{
    (void)state;
    gp_reviews *r = gp_reviews_open(2);
    for (int64_t i = 0; i < MANY; i++) {
        gp_review review;
        assert_int_equal(gp_reviews_get(r, i, &review), 0);
        assert_int_equal(strlen(review.text), review.length);
        for (const char *c = review.text; *c; c++)
            assert_true(isalpha((unsigned char)*c) || strchr(" ,.", *c));
        for (const char *t = review.text; (t = strchr(t, ' ')); t++) {
            assert_false(!strncmp(t, " a ", 3) && strchr("aeiou", t[3]));
            assert_false(t[-1] == '.' && !isupper((unsigned char)t[1]));
        }
        assert_true(isupper((unsigned char)review.text[0]));
        assert_int_equal(review.text[review.length - 1], '.');
        assert_null(strstr(review.text, "  "));
    }
    gp_reviews_close(r);
}

static void seeds_give_their_own_reviews(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 10; i++)
        assert_string_not_equal(review_of(1, i).text, review_of((UINT64_C(1) << 32) + 1, i).text);
    assert_string_equal(review_of(1, 7).text, review_of(1, 7).text);
}

/* Of 600 reviews of seed 1 and 120 of seed 2^32 + 1. A change of the grammar changes it, and the accuracies that the
 * manual prints with it. */
static const char *const known = "aaeae294d7005e787335347379fd9f3e9edb8c525123775d51da77732f4fd071";

static void the_file_is_the_same_on_every_machine(void **state)
{
    (void)state;
    static const gp_reviews_split splits[] = {{"train", 1, 600}, {"test", (UINT64_C(1) << 32) + 1, 120}};
    char path[] = "/tmp/gptpipe-reviews-XXXXXX/r.jsonl", hex[65];
    char *folder = gp_strndup(path, strlen(path) - strlen("/r.jsonl"));
    gp_map text;
    assert_non_null(mkdtemp(folder));
    memcpy(path, folder, strlen(folder));
    assert_int_equal(gp_reviews_write(splits, 2, path), 0);
    assert_int_equal(gp_map_open(&text, path), 0);
    gp_sha256_hex(hex, text.data, text.size);
    gp_map_close(&text);
    assert_string_equal(hex, known);

    char *sidecar = gp_format("%s.json", path);
    json_t *j = json_load_file(sidecar, 0, NULL), *source = json_object_get(j, "source");
    json_t *bayes = json_object_get(j, "bayes"), *posterior = json_object_get(bayes, "posterior");
    assert_string_equal(json_string_value(json_object_get(source, "sha256")), hex);
    assert_int_equal(json_integer_value(json_object_get(source, "reviews")), 720);
    assert_int_equal(json_integer_value(json_object_get(source, "seed")), 1);
    assert_true(fabs(json_real_value(json_object_get(bayes, "accuracy")) - 2245.0 / 2376) < 1e-14);
    assert_int_equal(json_array_size(posterior), 720);
    double right = 0;
    for (size_t i = 0; i < 720; i++) {
        double positive = json_real_value(json_array_get(posterior, i));
        gp_review review = i < 600 ? review_of(1, (int64_t)i) : review_of((UINT64_C(1) << 32) + 1, (int64_t)i - 600);
        assert_true(fabs(positive - gp_review_posterior(&review)) < 1e-9);
        right += (positive > 0.5) == review.label;
    }
    assert_true(fabs(json_real_value(json_object_get(bayes, "sample_accuracy")) - right / 720) < 1e-11);
    json_decref(j);
    unlink(sidecar);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left */
    free(sidecar);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_review_has_one_derivation_and_its_probabilities),
        cmocka_unit_test(no_text_of_an_alternative_begins_one_of_another),
        cmocka_unit_test(no_review_can_be_too_long),
        cmocka_unit_test(a_single_choice_is_right_as_often_as_its_odds_say),
        cmocka_unit_test(two_choices_multiply_their_odds),
        cmocka_unit_test(words_without_evidence_and_recalled_ones_change_nothing),
        cmocka_unit_test(a_ratio_of_more_than_64_bits_is_refused),
        cmocka_unit_test(the_limit_is_that_of_its_kinds_of_reviews),
        cmocka_unit_test(ratios_are_those_of_their_probabilities),
        cmocka_unit_test(the_best_classifier_is_right_as_often_as_the_limit_says),
        cmocka_unit_test(reviews_are_plain_sentences),
        cmocka_unit_test(seeds_give_their_own_reviews),
        cmocka_unit_test(the_file_is_the_same_on_every_machine),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
