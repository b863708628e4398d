/* The loss on data that is not trained on, beside transformers on tests/golden/gpt2-tiny (tests/reference/evaluate.py):
 * windows in order, none twice, each with its last target; and whole documents. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "gptpipe/checkpoint.h"
#include "reference/evaluate.h"
#include "train/evaluate.h"

enum { T = 8, TOKENS = 100, WINDOWS = ARRAY_LEN(window_losses), DOCUMENTS = ARRAY_LEN(document_lengths) };

static int32_t token(int64_t i) /* as in evaluate.py */
{
    return (int32_t)((7 * i * i + 3 * i + i / 32) % 96);
}

static gp_model *tiny(const char *backend, gp_backend **be)
{
    *be = gp_backend_open(backend, "fp32", 2);
    gp_checkpoint *c = gp_checkpoint_open(TEST_DIR "/golden/gpt2-tiny");
    assert_non_null(c);
    gp_model *m = gp_checkpoint_model(c, *be, false);
    assert_non_null(m);
    gp_checkpoint_close(c);
    return m;
}

/* Tokens [from, to); with metadata they are documents of evaluate.h's lengths. */
static gp_tokens *stream(int64_t from, int64_t to, const char *metadata)
{
    char path[] = "/tmp/gptpipe-evaluate.XXXXXX";
    int fd = mkstemp(path), d = 0;
    int64_t left = document_lengths[0];
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 96, .metadata = metadata});
    assert_non_null(w);
    for (int64_t i = from; i < to; i++) {
        assert_int_equal(gp_tokens_write(w, &(int32_t){token(i)}, 1), 0);
        if (metadata && !--left) {
            assert_int_equal(gp_tokens_end_document(w), 0);
            left = ++d < DOCUMENTS ? document_lengths[d] : 0;
        }
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    close(fd);
    unlink(path); /* what is mapped stays */
    return s;
}

static const gp_reading lm = {.objective = GP_OBJECTIVE_LM};

static void assert_close(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-6 * fabs(expected)))
        fail_msg("got %.10g, expected %.10g", got, expected);
}

/* ---- windows --------------------------------------------------------------------------------------------- */

/* The mean over the first `windows` of them; two evaluations in a row are the same. */
static void assert_loss(gp_model *m, const gp_stream_set *set, int64_t B, int64_t batches, int windows)
{
    gp_evaluation e;
    double sum = 0;
    for (int w = 0; w < windows; w++)
        sum += window_losses[w];
    assert_int_equal(gp_evaluation_open(&e, set, B, T, batches, GP_ORDER_RANDOM, &lm), 0);
    assert_int_equal(e.reader.source->rows * e.batches, windows);
    for (int again = 0; again < 2; again++) {
        e.loss = NAN;
        if (gp_evaluation_loss(&e, m, NULL))
            fail_msg("%s", gp_error());
        assert_close(e.loss, sum / windows);
    }
    gp_evaluation_close(&e);
}

/* 100 tokens are 12 windows of 8 with a last target each, and 3 tokens that are left over. */
static void windows_are_scored_in_order_and_none_twice(void **state)
{
    (void)state;
    gp_tokens *s = stream(0, TOKENS, NULL);
    gp_stream_set set = {.name = "val", .spans = &(gp_span){s, 0, TOKENS}, .count = 1};
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = tiny(backends[k], &be);
        assert_loss(m, &set, 3, 2, 6);
        assert_loss(m, &set, 3, 1, 3);
        assert_loss(m, &set, 3, 1000, WINDOWS);
        assert_loss(m, &set, 5, 1000, 10); /* two batches; a third would begin with the first windows again */
        assert_loss(m, &set, 20, 1000, WINDOWS);
        assert_loss(m, &set, 1, 1000, WINDOWS);
        gp_model_free(m);
        gp_backend_close(be);
    }
    gp_tokens_close(s);
}

/* A span that ends with a window's last input lacks its last target: that window is left out. */
static void a_window_needs_its_last_target(void **state)
{
    (void)state;
    gp_tokens *s = stream(0, TOKENS, NULL);
    gp_span span = {s, 0, 2 * T};
    gp_stream_set set = {.name = "val", .spans = &span, .count = 1};
    gp_evaluation e;
    gp_backend *be;
    gp_model *m = tiny("ref", &be);
    assert_loss(m, &set, 4, 9, 1);
    span.last++;
    assert_loss(m, &set, 4, 9, 2);
    span.last = T;
    assert_int_equal(gp_evaluation_open(&e, &set, 1, T, 1, GP_ORDER_RANDOM, &lm), -1);
    assert_non_null(strstr(gp_error(), "has 8 tokens; at least 9"));
    gp_evaluation_close(&e);
    gp_model_free(m);
    gp_backend_close(be);
    gp_tokens_close(s);
}

/* Windows 0 to 4 in one stream, 5 and 6 in another, with a token over in each. */
static void windows_of_several_streams_follow_each_other(void **state)
{
    (void)state;
    gp_tokens *a = stream(0, 5 * T + 2, NULL), *b = stream(5 * T, 7 * T + 2, NULL);
    gp_span spans[] = {{a, 0, 5 * T + 2}, {b, 0, 2 * T + 2}};
    gp_stream_set set = {.name = "val", .spans = spans, .count = 2};
    gp_backend *be;
    gp_model *m = tiny("ref", &be);
    assert_loss(m, &set, 1, 1000, 7);
    gp_model_free(m);
    gp_backend_close(be);
    gp_tokens_close(a);
    gp_tokens_close(b);
}

/* ---- documents ------------------------------------------------------------------------------------------- */

static gp_tokens *documents(const char *separator)
{
    gp_buf metadata = {0};
    int64_t tokens = 0;
    gp_buf_printf(&metadata, "{\"separator\": {\"text\": \"\\n\", \"ids\": %s}, \"entropy\": {\"nats\": [", separator);
    for (int d = 0; d < DOCUMENTS; d++)
        gp_buf_printf(&metadata, d ? ", %g" : "%g", document_nats[d]);
    gp_buf_puts(&metadata, "], \"chars\": [");
    for (int d = 0; d < DOCUMENTS; d++, tokens += document_lengths[d - 1])
        gp_buf_printf(&metadata, d ? ", %d" : "%d", document_characters[d]);
    gp_buf_puts(&metadata, "]}}");
    gp_tokens *s = stream(0, tokens, metadata.data);
    gp_buf_release(&metadata);
    assert_true(gp_documents_known(s));
    return s;
}

static void assert_scores(const gp_document_scores *got, const double *expected)
{
    assert_close(got->loss, expected[0]);
    assert_close(got->floor, expected[1]);
    assert_close(got->standard_error, expected[2]);
    assert_close(got->characters, expected[3]);
    assert_int_equal(got->documents, (int64_t)expected[4]);
    assert_int_equal(got->left_out, (int64_t)expected[5]);
}

/* In groups of any size, also such as leave a rest; a document of the context's length fits with one id before it and
 * does not with two. */
static void documents_are_scored_whole_behind_their_separator(void **state)
{
    (void)state;
    gp_tokens *one = documents("[95]"), *two = documents("[3, 90]");
    for (size_t k = 0; k < ARRAY_LEN(backends); k++)
        for (int64_t B = 1; B < 12; B += 3) {
            gp_backend *be;
            gp_model *m = tiny(backends[k], &be);
            gp_document_scores s;
            assert_int_equal(gp_documents_score(m, one, 0, DOCUMENTS, 1000, B, NULL, &s), 0);
            assert_scores(&s, document_scores_one);
            assert_int_equal(gp_documents_score(m, two, 0, DOCUMENTS, 1000, B, NULL, &s), 0);
            assert_scores(&s, document_scores_two);
            gp_model_free(m);
            gp_backend_close(be);
        }
    gp_tokens_close(one);
    gp_tokens_close(two);
}

/* Documents 2 and 3 alone: the fifth is too long, and two are enough. */
static void some_documents_are_those_that_were_asked_for(void **state)
{
    (void)state;
    gp_tokens *s = documents("[95]");
    gp_document_scores got;
    gp_backend *be;
    gp_model *m = tiny("ref", &be);
    double a = document_losses_one[2], b = document_losses_one[3], x = a - document_nats[2], y = b - document_nats[3],
           characters = document_characters[2] + document_characters[3];
    assert_int_equal(gp_documents_score(m, s, 2, DOCUMENTS, 2, 4, NULL, &got), 0);
    /* of two numbers the variance is (x - y)^2 / 2, and n times it the square of x - y */
    assert_scores(&got, (double[]){(a + b) / characters, (document_nats[2] + document_nats[3]) / characters,
                                   fabs(x - y) / characters, characters, 2, 0});
    assert_true(got.tokens == document_lengths[2] + document_lengths[3]);
    assert_int_equal(gp_documents_score(m, s, 0, 1, 1000, 4, NULL, &got), 0);
    assert_close(got.loss, document_losses_one[0] / document_characters[0]);
    assert_true(got.standard_error == 0); /* one document tells nothing of it */
    assert_int_equal(gp_documents_score(m, s, 4, 5, 1000, 4, NULL, &got), 0);
    assert_true(got.documents == 0 && got.left_out == 1 && got.loss == 0);
    gp_model_free(m);
    gp_backend_close(be);
    gp_tokens_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_scored_in_order_and_none_twice),
        cmocka_unit_test(a_window_needs_its_last_target),
        cmocka_unit_test(windows_of_several_streams_follow_each_other),
        cmocka_unit_test(documents_are_scored_whole_behind_their_separator),
        cmocka_unit_test(some_documents_are_those_that_were_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
