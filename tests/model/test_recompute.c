/* Activations made again in place of kept: the same loss and gradients, bit for bit, in less memory. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/rng.h"
#include "model/model.h"

enum { B = 2, T = 32, V = 40, L = 3, C = 32, H = 2, F = 128 };

/* GPT-2's, or BERT's with its MLM head. */
static gp_config config(bool post_norm, double dropout)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = L;
    c.heads = H;
    c.channels = C;
    c.inner = F;
    c.positions = T;
    c.vocab_size = V;
    c.init_std = 0.3;
    if (post_norm) {
        c.family = GP_BERT;
        c.post_norm = true;
        c.causal = false;
        c.head = GP_HEAD_MLM;
        c.types = 2;
    }
    assert_int_equal(gp_config_check(&c, "test"), 0);
    c.dropout_embd = c.dropout_attn = c.dropout_resid = dropout;
    return c;
}

/* One training pass as a training step makes it, dropout included. The caller frees the gradients. */
static float *gradients(gp_model *m, double *loss)
{
    int32_t inputs[B * T], targets[B * T];
    for (int i = 0; i < B * T; i++) {
        inputs[i] = (int32_t)gp_random_below(3, GP_RNG_DATA, 0, (uint64_t)i, V);
        targets[i] = (int32_t)gp_random_below(3, GP_RNG_DATA, 1, (uint64_t)i, V);
    }
    size_t bytes = (size_t)m->params.total * sizeof(float);
    float *g = gp_malloc(bytes);
    assert_int_equal(gp_model_plan(m, B, T), 0);
    assert_int_equal(gp_model_load(m, &m->acts, &(gp_batch){.B = B, .T = T, .inputs = inputs, .targets = targets}), 0);
    m->host_step = (gp_step){.seed = 5, .step = 3, .sample0 = 8, .scale = 1.0f / (B * T)};
    gp_step_upload(m);
    m->be->ops->zero(m->be, m->g, bytes);
    m->dropping = true;
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), true);
    gp_model_backward(m, &m->acts);
    m->dropping = false;
    gp_step_download(m);
    m->be->ops->download(m->be, g, m->g, bytes);
    *loss = m->host_step.loss;
    return g;
}

static void assert_near(const float *kept, const float *again, int64_t count)
{
    double off = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        off += pow((double)again[i] - kept[i], 2);
        norm += pow((double)kept[i], 2);
    }
    assert_true(sqrt(off) <= 1e-6 * sqrt(norm));
}

static void assert_same_with_recompute(const char *backend, bool post_norm, double dropout)
{
    gp_config c = config(post_norm, dropout);
    gp_backend *be = gp_backend_open(backend, "fp32", 2);
    gp_model *m = gp_model_create(&c, be, true);
    double kept_loss, again_loss;
    gp_model_init(m, 7);
    float *kept = gradients(m, &kept_loss);
    for (gp_recompute level = GP_RECOMPUTE_NONE + 1; level < GP_RECOMPUTE_LEVELS; level++) {
        gp_model_set_recompute(m, level);
        float *again = gradients(m, &again_loss);
        assert_int_equal(m->acts.recompute, level);
        assert_true(kept_loss > 1 && kept_loss == again_loss);
        if (!strcmp(backend, "cuda") && level == GP_RECOMPUTE_NORMS) /* a product's GELU is the library's own */
            assert_near(kept, again, m->params.total);
        else
            assert_memory_equal(kept, again, (size_t)m->params.total * sizeof *kept);
        free(again);
    }
    free(kept);
    gp_model_free(m);
    gp_backend_close(be);
}

static void recomputed_gradients_are_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        assert_same_with_recompute(backends[i], false, 0);
        assert_same_with_recompute(backends[i], true, 0);
    }
}

static void dropout_drops_the_same_elements_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        assert_same_with_recompute(backends[i], false, 0.2);
        assert_same_with_recompute(backends[i], true, 0.2);
    }
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static gp_backend *be;
static gp_model *m;

static int open_model(void **state)
{
    (void)state;
    gp_config c = config(false, 0);
    be = gp_backend_open("ref", "fp32", 1);
    m = gp_model_create(&c, be, true);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    gp_model_free(m);
    gp_backend_close(be);
    return 0;
}

/* Planned for (B,T) */
static gp_memory_use memory_with(gp_recompute level)
{
    gp_memory_use use;
    gp_model_set_recompute(m, level);
    assert_int_equal(gp_model_plan(m, B, T), 0);
    gp_model_memory(m, &use);
    return use;
}

/* Of a token: a block has qkv (3C), context (C), lse (H), the MLP's two (2F); a norm site sum and y (2C) and two
 * statistics; besides there are a branch (C), the loss, gradients (4C + 3C + F), and five ids. */
enum { BLOCK = 4 * C + H + 2 * F, SITE = 2 * C + 2, REST = C + 1 + 7 * C + F + 5 };

static void without_recompute_everything_is_kept(void **state)
{
    (void)state;
    int64_t lengths = 64; /* B ids, rounded up */
    assert_int_equal(memory_with(GP_RECOMPUTE_NONE).activations,
                     4 * B * T * (L * BLOCK + (2 * L + 1) * SITE + REST) + lengths);
}

/* Of all h one is left, of all y two. */
static void outputs_of_norms_and_of_gelu_are_not_kept(void **state)
{
    (void)state;
    int64_t kept = memory_with(GP_RECOMPUTE_NONE).activations, again = memory_with(GP_RECOMPUTE_NORMS).activations;
    assert_int_equal(kept - again, 4 * B * T * ((L - 1) * F + (2 * L + 1 - 2) * C));
}

/* There are one block, three sites, and the sums of the L - 1 blocks between them. */
static void a_block_keeps_its_input_alone(void **state)
{
    (void)state;
    int64_t kept = memory_with(GP_RECOMPUTE_NONE).activations, again = memory_with(GP_RECOMPUTE_BLOCK).activations;
    assert_int_equal(kept - again, 4 * B * T * ((L - 1) * BLOCK + (2 * L + 1 - 3) * SITE - (L - 1) * C));
}

static void bytes_are_counted_as_they_are_planned(void **state)
{
    (void)state;
    for (gp_recompute level = GP_RECOMPUTE_NONE; level < GP_RECOMPUTE_LEVELS; level++) {
        gp_memory_use use = memory_with(level);
        assert_int_equal(gp_model_training_bytes(m, level, B, T), use.activations + use.workspace);
    }
}

static void the_largest_batch_is_the_last_that_fits(void **state)
{
    (void)state;
    for (gp_recompute level = GP_RECOMPUTE_NONE; level < GP_RECOMPUTE_LEVELS; level++)
        for (int64_t rows = 1; rows < 2000; rows = rows * 7 + 1) {
            int64_t bytes = gp_model_training_bytes(m, level, rows, T);
            assert_int_equal(gp_model_largest_batch(m, level, T, bytes), rows);
            assert_int_equal(gp_model_largest_batch(m, level, T, bytes - 1), rows - 1);
        }
    assert_int_equal(gp_model_largest_batch(m, GP_RECOMPUTE_NONE, T, INT64_MAX), INT32_MAX / T);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputed_gradients_are_the_same_bits),
        cmocka_unit_test(dropout_drops_the_same_elements_again),
        cmocka_unit_test_setup_teardown(without_recompute_everything_is_kept, open_model, close_model),
        cmocka_unit_test_setup_teardown(outputs_of_norms_and_of_gelu_are_not_kept, open_model, close_model),
        cmocka_unit_test_setup_teardown(a_block_keeps_its_input_alone, open_model, close_model),
        cmocka_unit_test_setup_teardown(bytes_are_counted_as_they_are_planned, open_model, close_model),
        cmocka_unit_test_setup_teardown(the_largest_batch_is_the_last_that_fits, open_model, close_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
