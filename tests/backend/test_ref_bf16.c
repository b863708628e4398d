/* ref in bf16: fp32 memory that holds what a GPU would store. Which numbers are rounded, and that a model trains so. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/model.h"
#include "train/optimizer.h"

enum { B = 2, T = 24, V = 40, L = 2, C = 32, H = 2, STEPS = 60 };

static gp_config config(void)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = L;
    c.heads = H;
    c.channels = C;
    c.inner = 4 * C;
    c.positions = T;
    c.vocab_size = V;
    c.init_std = 0.1;
    assert_int_equal(gp_config_check(&c, "test"), 0);
    return c;
}

/* Text with something to learn: most ids follow from the one before. */
static gp_batch batch_of(uint64_t step, int32_t *ids)
{
    for (int b = 0; b < B; b++) {
        int32_t *row = ids + b * (T + 1);
        for (uint64_t t = 0; t <= T; t++) {
            int32_t any = (int32_t)gp_random_below(3, GP_RNG_DATA, (uint32_t)step, (uint64_t)(b * 64) + t, V);
            row[t] = t && any % 8 ? (row[t - 1] * 3 + 1) % V : any;
        }
    }
    return (gp_batch){.B = B, .T = T};
}

/* One step as training makes it; gives its loss. The model has to be planned. */
static double step_of(gp_model *m, gp_optimizer *o, int step)
{
    int32_t ids[B * (T + 1)], inputs[B * T], targets[B * T];
    gp_batch batch = batch_of((uint64_t)step, ids);
    double loss;
    for (int b = 0; b < B; b++) {
        memcpy(inputs + b * T, ids + b * (T + 1), T * sizeof *ids);
        memcpy(targets + b * T, ids + b * (T + 1) + 1, T * sizeof *ids);
    }
    batch.inputs = inputs;
    batch.targets = targets;
    assert_int_equal(gp_model_gradients(m, &batch, &loss), 0);
    if (!o)
        return loss;
    gp_step *s = &m->host_step;
    s->lr = 3e-3f;
    s->max_norm = 1;
    s->bias1 = (float)(1 - pow(0.9, step + 1));
    s->bias2 = (float)(1 - pow(0.95, step + 1));
    gp_step_upload(m);
    gp_optimizer_step(o, m);
    return loss;
}

static gp_model *open_model(const char *dtype)
{
    gp_config c = config();
    gp_backend *be = gp_backend_open("ref", dtype, 2);
    assert_non_null(be);
    assert_string_equal(gp_backend_dtype(be), dtype);
    gp_model *m = gp_model_create(&c, be, true);
    gp_model_init(m, 11);
    return m;
}

static void close_model(gp_model *m)
{
    gp_backend *be = m->be;
    gp_model_free(m);
    gp_backend_close(be);
}

/* How many of n numbers are not bf16's: those have 16 zero bits at the end. */
static int64_t finer_than_bf16(const float *x, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        count += (bits & 0xffff) != 0;
    }
    return count;
}

static void every_stored_activation_is_a_number_of_bf16(void **state)
{
    (void)state;
    gp_model *m = open_model("bf16");
    step_of(m, NULL, 0);
    const gp_acts *a = &m->acts;
    const gp_tensor *stored[] = {
        &a->norm[0].sum,  &a->norm[1].sum, &a->norm[2 * L].y, &a->block[0].qkv, &a->block[1].context,
        &a->block[0].pre, &a->block[1].h,  &a->branch,        &a->dx,           &a->dcontext,
        &a->dqkv,         &a->dh,          &a->dresidual};
    for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
        const float *x = stored[i]->data;
        int64_t n = gp_tensor_count(stored[i]), zeros = 0;
        for (int64_t k = 0; k < n; k++)
            zeros += x[k] == 0;
        if (finer_than_bf16(x, n) || zeros > n / 2)
            fail_msg("tensor %zu: %lld of %lld numbers are not bf16's, %lld are 0", i, (long long)finer_than_bf16(x, n),
                     (long long)n, (long long)zeros);
    }
    close_model(m);
}

/* As the head leaves it: the blocks write over it. */
static void the_gradient_that_the_head_gives_is_a_number_of_bf16(void **state)
{
    (void)state;
    gp_model *m = open_model("bf16");
    step_of(m, NULL, 0);
    gp_model_loss(m, &m->acts, &m->acts.norm[2 * L].y, true);
    assert_int_equal(finer_than_bf16(m->acts.dx.data, gp_tensor_count(&m->acts.dx)), 0);
    close_model(m);
}

static void statistics_losses_gradients_and_parameters_are_not_rounded(void **state)
{
    (void)state;
    gp_model *m = open_model("bf16");
    step_of(m, NULL, 0);
    const gp_acts *a = &m->acts;
    const gp_tensor *fp32[] = {
        &a->norm[1].mean,    &a->norm[1].rstd,   &a->block[0].lse, &a->losses, &m->block[0].fc.dw,
        &m->block[0].qkv.db, &m->norm[1].dgamma, &m->dwte,         &m->dwpe,   &m->wte};
    for (size_t i = 0; i < ARRAY_LEN(fp32); i++) {
        int64_t n = gp_tensor_count(fp32[i]);
        if (finer_than_bf16(fp32[i]->data, n) < n / 2)
            fail_msg("tensor %zu: only %lld of %lld numbers are finer than bf16's", i,
                     (long long)finer_than_bf16(fp32[i]->data, n), (long long)n);
    }
    close_model(m);
}

/* bf16 has 8 bits of significand: its neighbours of 1 are 1 - 2^-8 and 1 + 2^-7. */
static void rounding_is_to_nearest_ties_to_even(void **state)
{
    (void)state;
    const float in[] = {1, 1 + 0x1p-8f, 1 + 0x1.02p-8f, 1 + 0x3p-8f, 1 - 0x1p-9f, -1 - 0x1p-8f, 0x1p-130f, 0x1.ffp127f};
    const float out[] = {1, 1, 1 + 0x1p-7f, 1 + 0x1p-6f, 1, -1, 0x1p-130f, INFINITY};
    float x[ARRAY_LEN(in)];
    gp_backend *be = gp_backend_open("ref", "bf16", 1);
    gp_tensor t = gp_tensor_view(x, GP_F32, 3, 1, 1, (int)ARRAY_LEN(in));
    memcpy(x, in, sizeof x);
    be->ops->dropout(be, &t, (gp_dropout){0}); /* stores what it read */
    assert_memory_equal(x, out, sizeof x);
    gp_backend_close(be);
}

/* x W + bias with W, bias = 1 + 2^-9, which bf16 has as 1: only a slot that is filled knows new weights. */
static void products_read_weights_and_bias_from_the_rounded_slot(void **state)
{
    (void)state;
    float w[] = {1 + 0x1p-9f}, b[] = {1 + 0x1p-9f}, x[] = {1}, logits[] = {0}, slot[2];
    gp_backend *be = gp_backend_open("ref", "bf16", 1);
    gp_tensor bias = gp_tensor_view(b, GP_F32, 1, 1), in = gp_tensor_view(x, GP_F32, 2, 1, 1),
              out = gp_tensor_view(logits, GP_F32, 2, 1, 1);
    gp_weight weight = {.w = gp_tensor_view(w, GP_F32, 2, 1, 1), .bias = &bias, .transposed = true};
    gp_weight *all[] = {&weight};
    const gp_head_op op = {.x = &in, .w = &weight, .bias = &bias, .logits = &out};
    be->ops->weight_open(be, &weight, 1);
    assert_int_equal(be->ops->weight_bytes(be, &weight), sizeof slot);
    weight.slot = slot;
    be->ops->weights_changed(be, all, 1);
    be->ops->head_logits(be, &op);
    assert_true(logits[0] == 2);
    w[0] = 3;
    be->ops->head_logits(be, &op);
    assert_true(logits[0] == 2);
    be->ops->weights_changed(be, all, 1);
    be->ops->head_logits(be, &op);
    assert_true(logits[0] == 4);
    be->ops->weight_close(be, &weight);
    gp_backend_close(be);
}

/* Logits are fp32 whatever the activations are: 1 + 2^-7 times itself has 15 bits, and keeps them. */
static void logits_are_not_rounded(void **state)
{
    (void)state;
    float w[] = {1 + 0x1p-7f}, x[] = {1 + 0x1p-7f}, logits[] = {0}, slot[1];
    gp_backend *be = gp_backend_open("ref", "bf16", 1);
    gp_tensor in = gp_tensor_view(x, GP_F32, 2, 1, 1), out = gp_tensor_view(logits, GP_F32, 2, 1, 1);
    gp_weight weight = {.w = gp_tensor_view(w, GP_F32, 2, 1, 1), .transposed = true, .slot = slot};
    gp_weight *all[] = {&weight};
    be->ops->weights_changed(be, all, 1);
    be->ops->head_decode(be, &(gp_head_op){.x = &in, .w = &weight, .logits = &out});
    assert_true(logits[0] == 1 + 0x1p-6f + 0x1p-14f);
    gp_backend_close(be);
}

static void a_model_learns_as_in_fp32_within_a_percent(void **state)
{
    (void)state;
    double loss[2][STEPS];
    static const char *const dtypes[] = {"fp32", "bf16"};
    for (int i = 0; i < 2; i++) {
        gp_model *m = open_model(dtypes[i]);
        gp_optimizer o;
        gp_optimizer_open(&o, m, 0.9, 0.95, 1e-8, 0.1);
        for (int s = 0; s < STEPS; s++)
            loss[i][s] = step_of(m, &o, s);
        gp_optimizer_close(&o);
        close_model(m);
    }
    assert_true(loss[0][STEPS - 1] < 0.7 * loss[0][0]);
    assert_true(loss[0][STEPS - 1] != loss[1][STEPS - 1]);
    for (int s = 0; s < STEPS; s++)
        if (!(fabs(loss[1][s] - loss[0][s]) <= 0.01 * loss[0][s]))
            fail_msg("step %d: loss %.5f, in fp32 %.5f", s + 1, loss[1][s], loss[0][s]);
}

static void auto_does_not_round_by_hand(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("auto", "bf16", 1);
    if (be)
        assert_string_not_equal(gp_backend_name(be), "ref");
    else
        assert_non_null(strstr(gp_error(), "--dtype fp32"));
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stored_activation_is_a_number_of_bf16),
        cmocka_unit_test(the_gradient_that_the_head_gives_is_a_number_of_bf16),
        cmocka_unit_test(statistics_losses_gradients_and_parameters_are_not_rounded),
        cmocka_unit_test(rounding_is_to_nearest_ties_to_even),
        cmocka_unit_test(products_read_weights_and_bias_from_the_rounded_slot),
        cmocka_unit_test(logits_are_not_rounded),
        cmocka_unit_test(a_model_learns_as_in_fp32_within_a_percent),
        cmocka_unit_test(auto_does_not_round_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
