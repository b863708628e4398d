/* What a sample is drawn from as it gets longer than the context, beside transformers on tests/golden/gpt2-tiny
 * (tests/reference/evaluate.py), and the random numbers of long samples. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/rng.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/sampler.h"
#include "model/model.h"
#include "reference/evaluate.h"

enum { SLIDE = ARRAY_LEN(slide_short) };

typedef struct drawn {
    int32_t ids[600];
    double log_p[600];
    int64_t count;
} drawn;

static int keep(void *self, const gp_token_event *d)
{
    drawn *k = self;
    k->log_p[k->count] = d->drawn.log_p;
    k->ids[k->count++] = d->drawn.id;
    return 0;
}

/* Ids and log-probabilities: a window with another id in it, or one more, says something else. */
static void assert_slides(gp_model *m, int length, const int *ids, const double *log_p)
{
    static drawn k;
    int32_t prompt[64];
    for (int i = 0; i < length; i++) /* as in evaluate.py */
        prompt[i] = (7 * i * i + 3 * i + i / 32) % 96;
    gp_generation how = {
        .sampling = {.top_p = 1, .repetition_penalty = 1.5}, .samples = 1, .max_tokens = SLIDE, .logprobs = true};
    k.count = 0;
    assert_int_equal(gp_generate_all(m, NULL, &(gp_prompt){.ids = prompt, .count = length}, 1, &how, keep, &k, NULL),
                     0);
    assert_int_equal(k.count, SLIDE);
    for (int i = 0; i < SLIDE; i++)
        if (k.ids[i] != ids[i] || !(fabs(k.log_p[i] - log_p[i]) <= 1e-5))
            fail_msg("token %d of %d: id %d, log P %.7f; transformers has %d, %.7f", i, length, k.ids[i], k.log_p[i],
                     ids[i], log_p[i]);
}

static void a_full_window_goes_on_over_its_last_half(void **state)
{
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be = gp_backend_open(backends[b], "fp32", 2);
        gp_checkpoint *c = gp_checkpoint_open(TEST_DIR "/golden/gpt2-tiny");
        gp_model *m = gp_checkpoint_model(c, be, false);
        assert_non_null(m);
        gp_checkpoint_close(c);
        assert_slides(m, 3, slide_short, slide_short_log_p);
        assert_slides(m, 50, slide_long, slide_long_log_p);
        gp_model_free(m);
        gp_backend_close(be);
    }
}

/* A model of zeros finds all ids alike: an id is the share of the vocabulary at which its random number stands. */
static void each_token_has_a_random_number_of_its_own(void **state)
{
    (void)state;
    enum { V = 96, N = 600, SEED = 11 };
    static drawn k;
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = c.heads = 1;
    c.channels = 4;
    c.inner = 16;
    c.positions = 16;
    c.vocab_size = V;
    c.init_std = 0;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be = gp_backend_open(backends[b], "fp32", 2);
        gp_model *m = gp_model_create(&c, be, false);
        gp_model_init(m, 1);
        gp_generation how = {
            .sampling = {.temperature = 1, .top_p = 1, .seed = SEED}, .samples = 1, .first_sample = 3, .max_tokens = N};
        k.count = 0;
        assert_int_equal(
            gp_generate_all(m, NULL, &(gp_prompt){.ids = (int32_t[]){5}, .count = 1}, 1, &how, keep, &k, NULL), 0);
        int repeated = 0;
        for (int i = 0; i < N; i++) {
            gp_philox r = gp_philox4x32(SEED, (uint32_t)i, 0, 3, GP_RNG_SAMPLE);
            uint64_t high = (uint64_t)r.v[0] << 32 | r.v[1];
            int32_t id = (int32_t)((double)(high >> 11) * 0x1p-53 * V);
            assert_int_equal(k.ids[i], id);
            repeated += i >= 256 && k.ids[i] == k.ids[i - 256];
        }
        assert_in_range(repeated, 0, 15); /* of 344, one in 96: 3.6 */
        gp_model_free(m);
        gp_backend_close(be);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_window_goes_on_over_its_last_half),
        cmocka_unit_test(each_token_has_a_random_number_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
