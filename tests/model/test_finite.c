/* Where numbers stop being finite is told by name. The model is ref's, so that nothing else makes them so. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tiny_model.h"
#include "train/nonfinite.h"

enum { B = 2, T = 8, V = 40 };

static gp_backend *be;
static gp_model *m;
static float scale; /* of the loss in gradients */

static int open_model(void **state)
{
    (void)state;
    gp_config c = tiny_config("nano", T, V);
    c.layers = 3;
    c.tied = false;
    be = gp_backend_open("ref", "fp32", 1);
    m = gp_model_create(&c, be, true);
    gp_model_init(m, 1);
    scale = 1.0f / (B * T);
    return gp_model_plan(m, B, T);
}

static int close_model(void **state)
{
    (void)state;
    gp_model_free(m);
    gp_backend_close(be);
    return 0;
}

static int pass(void *self, int64_t n)
{
    int32_t inputs[B * T], targets[B * T];
    (*(int64_t *)self)++;
    for (int i = 0; i < B * T; i++) {
        inputs[i] = (int32_t)gp_random_below(3, GP_RNG_DATA, (uint32_t)n, (uint64_t)i, V);
        targets[i] = (inputs[i] + 1) % V;
    }
    m->host_step = (gp_step){.scale = scale};
    gp_step_upload(m);
    if (gp_model_load(m, &m->acts, &(gp_batch){.B = B, .T = T, .inputs = inputs, .targets = targets}))
        return -1;
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), true);
    gp_model_backward(m, &m->acts);
    return 0;
}

static float *row(gp_role role, int index)
{
    return gp_model_parameter(m, gp_params_row(&m->params, role, index)).data;
}

static void assert_culprit(const char *what, const char *name, int64_t count, int64_t passes)
{
    gp_nonfinite c;
    int64_t made = 0;
    m->be->ops->zero(m->be, m->g, (size_t)m->params.total * sizeof *m->g);
    assert_int_equal(gp_find_nonfinite(&c, m, 3, pass, &made), 0);
    assert_int_equal(made, passes);
    if (!what) {
        assert_null(c.what);
        return;
    }
    assert_non_null(c.what);
    assert_string_equal(c.what, what);
    assert_string_equal(c.name, name);
    assert_int_equal(c.count, count);
}

static void a_sound_model_has_no_culprit(void **state)
{
    (void)state;
    assert_culprit(NULL, NULL, 0, 3);
}

static void a_parameter_is_named_before_any_pass(void **state)
{
    (void)state;
    row(GP_OUT_B, 1)[3] = NAN;
    row(GP_FC_W, 2)[0] = INFINITY;
    assert_culprit("parameter", "layer.1.out.bias", 1, 0);
}

/* Channel 0, normed to about 1, times a million, times weights of 1e37 for two columns: both overflow in every row. */
static void the_first_activation_is_named(void **state)
{
    (void)state;
    const gp_param *fc = gp_params_row(&m->params, GP_FC_W, 1);
    float *gamma = row(GP_NORM2_GAMMA, 1), *w = row(GP_FC_W, 1);
    for (int i = 0; i < 16; i++)
        gamma[i] = 1e6f;
    for (int64_t i = 0; i < fc->count; i++)
        w[i] = i < 2 ? 1e37f : 0;
    assert_culprit("activation", "layer.1.fc", (int64_t)B * T * 2, 1);
}

/* Final activations of 1e20 times head weights of 1e20 overflow in the logits, which no tensor holds. */
static void a_loss_is_named_where_no_activation_is(void **state)
{
    (void)state;
    float *gamma = row(GP_FINAL_NORM_GAMMA, 0), *w = row(GP_HEAD_W, 0);
    for (int i = 0; i < 16; i++)
        gamma[i] = 1e20f;
    for (int i = 0; i < V * 16; i++)
        w[i] *= 1e22f;
    gp_nonfinite c;
    int64_t made = 0;
    assert_int_equal(gp_find_nonfinite(&c, m, 3, pass, &made), 0);
    assert_non_null(c.what);
    assert_string_equal(c.what, "loss");
}

/* A loss scaled by 1e38 is a finite number of one row's, but its gradient times activations of 100 is not. The head's
 * is the first that backward finishes. */
static void a_gradient_is_named_where_forward_is_finite(void **state)
{
    (void)state;
    float *gamma = row(GP_FINAL_NORM_GAMMA, 0);
    for (int i = 0; i < 16; i++)
        gamma[i] = 100;
    scale = 1e38f;
    gp_nonfinite c;
    int64_t made = 0;
    assert_int_equal(gp_find_nonfinite(&c, m, 3, pass, &made), 0);
    assert_int_equal(made, 1);
    assert_non_null(c.what);
    assert_string_equal(c.what, "gradient");
    assert_string_equal(c.name, "head.weight");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_model, close_model)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_model_has_no_culprit),
        TEST(a_parameter_is_named_before_any_pass),
        TEST(the_first_activation_is_named),
        TEST(a_loss_is_named_where_no_activation_is),
        TEST(a_gradient_is_named_where_forward_is_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
