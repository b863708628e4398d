/* The example bag_of_words.c: terms, TF-IDF and weights are scikit-learn's (tests/reference/bag_of_words.py). */
#include "test.h"

#define main bag_of_words_main
#include "../examples/bag_of_words.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

#include "reference/bag_of_words.h"

enum { TEXTS = ARRAY_LEN(texts) };

/* The terms of a text as a row. */
static void add_text(vocabulary *v, matrix *m, const char *text, int ngrams, bool grow)
{
    size_t n = strlen(text);
    int64_t *found = resize(NULL, (int64_t)n + 1, sizeof *found);
    char *pair = resize(NULL, 2 * (int64_t)n + 2, 1);
    append_row(m, found, find_terms(v, text, n, ngrams, grow, found, pair), m->texts < TEXTS ? labels[m->texts] : 0);
    free(found);
    free(pair);
}

static double value_of(const matrix *m, int64_t text, int64_t term)
{
    for (int64_t k = m->begin[text]; k < m->begin[text + 1]; k++)
        if (m->term[k] == term)
            return m->value[k];
    return 0;
}

/* m[0] the training texts, m[1] the new text, both weighted. */
static void read_texts(vocabulary *v, matrix *m, int ngrams)
{
    for (size_t i = 0; i < TEXTS; i++)
        add_text(v, &m[0], texts[i], ngrams, true);
    add_text(v, &m[1], new_text, ngrams, false);
    count_documents(v, &m[0]);
    weight_rows(v, &m[0]);
    weight_rows(v, &m[1]);
}

static void tf_idf_is_that_of_scikit_learn(void **state)
{
    (void)state;
    for (int ngrams = 1; ngrams <= 2; ngrams++) {
        vocabulary v = {0};
        matrix m[2] = {{0}};
        int64_t count = 0;
        read_texts(&v, m, ngrams);
        for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
            if (terms[i].ngrams != ngrams)
                continue;
            int64_t term = find_term(&v, terms[i].term, false);
            assert_true(term >= 0);
            assert_true(fabs(v.idf[term] - terms[i].idf) < 1e-11);
            for (int64_t text = 0; text < TEXTS; text++)
                assert_true(fabs(value_of(&m[0], text, term) - terms[i].tfidf[text]) < 1e-11);
            count++;
        }
        assert_int_equal(v.count, count);
        release(&v, m);
    }
}

static void weights_are_those_of_scikit_learn(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(models); k++) {
        vocabulary v = {0};
        matrix m[2] = {{0}};
        read_texts(&v, m, models[k].ngrams);
        double *w = calloc((size_t)v.count + 1, sizeof *w);
        assert_in_range(fit(&m[0], v.count, w), 5, 1000);
        for (size_t i = 0; i < ARRAY_LEN(terms); i++)
            if (terms[i].ngrams == models[k].ngrams)
                assert_true(fabs(w[find_term(&v, terms[i].term, false)] - terms[i].weight) < 1e-4);
        assert_true(fabs(w[v.count] - models[k].intercept) < 1e-4);
        assert_true(fabs(score(&m[1], 0, w, v.count) - models[k].new_score) < 1e-4);
        assert_true(accuracy(&m[0], w, v.count) == 1);
        free(w);
        release(&v, m);
    }
}

static void the_vocabulary_grows(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    vocabulary v = {0};
    matrix m[2] = {{0}};
    char word[32];
    for (int64_t i = 0; i < MANY; i++) {
        snprintf(word, sizeof word, "w%lld", (long long)i);
        assert_int_equal(find_term(&v, word, true), i);
    }
    assert_int_equal(find_term(&v, "w17", true), 17);
    assert_int_equal(find_term(&v, "x17", false), -1);
    assert_int_equal(v.count, MANY);
    release(&v, m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tf_idf_is_that_of_scikit_learn),
        cmocka_unit_test(weights_are_those_of_scikit_learn),
        cmocka_unit_test(the_vocabulary_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
