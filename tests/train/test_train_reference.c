/* Whole training runs against PyTorch: losses, gradient norms and learning rates of 50 steps, read from a run's log.
 * The settings and how the values came about: tests/reference/train.py. */
#include "reference_run.h"

#include "reference/train.h"

enum { STEPS = 50 };

static void the_numbers_are_those_of_the_script(void **state)
{
    (void)state;
    int32_t ids[16];
    make_stream(ids, 16, 96);
    for (uint64_t i = 0; i < 4; i++)
        assert_true(fabs((double)number("transformer.wte.weight", i, 0.1F) - some_numbers[i]) < 1e-9);
    for (int i = 0; i < 16; i++)
        assert_int_equal(ids[i], (int)some_tokens[i]);
}

/* A lesson in train.py's words. */
static lesson make(int64_t V, int64_t C, int64_t H, int64_t L, int64_t T, bool tied, bool bias)
{
    lesson l = {.o = gp_train_defaults()};
    assert_int_equal(gp_config_preset(&l.c, "nano"), 0);
    l.c.vocab_size = V;
    l.c.channels = C;
    l.c.inner = 4 * C;
    l.c.heads = H;
    l.c.layers = L;
    l.c.positions = T;
    l.c.tied = tied;
    l.c.bias = bias;
    l.o.seq_len = T;
    l.o.order = GP_ORDER_SEQUENTIAL;
    l.o.init = weights;
    l.o.out = run;
    l.o.dtype = GP_COMPUTE_FP32;
    l.o.threads = 2;
    l.o.steps = STEPS;
    l.o.save_every = l.o.eval_every = l.o.eval_batches = 0;
    l.o.quiet = true;
    return l;
}

static lesson tied_lesson(void)
{
    lesson l = make(96, 32, 2, 2, 32, true, true);
    l.o.batch_size = 4;
    l.o.lr = 3e-3;
    l.o.min_lr = 3e-4;
    l.o.warmup = 5;
    l.o.weight_decay = 0.1;
    l.o.grad_clip = 1;
    l.o.beta1 = 0.9;
    l.o.beta2 = 0.95;
    return l;
}

static void fifty_steps_go_as_in_pytorch(void **state)
{
    (void)state;
    lesson l = tied_lesson();
    write_weights(&l.c);
    write_stream(STEPS * 4 * 32 + 1, 96, NULL);
    assert_learns(&l, tied_loss, tied_norm, tied_lr);
}

static void accumulated_micro_batches_are_the_large_batch(void **state)
{
    (void)state;
    lesson l = tied_lesson();
    write_weights(&l.c);
    write_stream(STEPS * 4 * 32 + 1, 96, NULL);
    l.o.batch_size = 1; /* the same rows, one at a time */
    l.o.grad_accum = 4;
    assert_learns(&l, tied_loss, tied_norm, tied_lr);
}

/* An untied head, no biases, two micro-batches, a clip that always bites, a rate that has long reached its end. */
static void an_untied_model_without_biases_learns_as_in_pytorch(void **state)
{
    (void)state;
    lesson l = make(61, 24, 3, 3, 17, false, false);
    l.o.batch_size = 3;
    l.o.grad_accum = 2;
    l.o.lr = 5e-3;
    l.o.min_lr = 5e-4;
    l.o.warmup = 0;
    l.o.decay_steps = 30;
    l.o.weight_decay = 0.01;
    l.o.grad_clip = 0.25;
    l.o.beta2 = 0.999;
    write_weights(&l.c);
    write_stream(STEPS * 2 * 3 * 17 + 1, 61, NULL);
    assert_learns(&l, untied_loss, untied_norm, untied_lr);
}

/* Neither decay nor clipping, other betas, and a warm-up that never ends. */
static void without_decay_and_clipping_as_in_pytorch(void **state)
{
    (void)state;
    lesson l = make(103, 20, 5, 1, 9, true, true);
    l.o.batch_size = 5;
    l.o.grad_accum = 3;
    l.o.lr = 1e-3;
    l.o.min_lr = 0;
    l.o.warmup = 60;
    l.o.decay_steps = 100;
    l.o.weight_decay = 0;
    l.o.grad_clip = 0;
    l.o.beta1 = 0.8;
    l.o.beta2 = 0.99;
    l.o.eps = 1e-6;
    write_weights(&l.c);
    write_stream(STEPS * 3 * 5 * 9 + 1, 103, NULL);
    assert_learns(&l, free_loss, free_norm, free_lr);
}

/* One batch under a thousand masks: the mean and the spread of its loss are those of PyTorch's dropout. The bounds are
 * five standard errors: of the mean, and, for a near normal spread, of the spread (spread / sqrt(2n)). */
static void dropout_spreads_the_loss_as_in_pytorch(void **state)
{
    (void)state;
    enum { N = 1000, THEIRS = 4000 };
    static double loss[N], norm[N], lr[N];
    double sum = 0, squares = 0;
    lesson l = tied_lesson();
    l.o.dropout = 0.2;
    l.o.lr = l.o.min_lr = 0; /* the weights stay as they are */
    l.o.steps = N;
    write_weights(&l.c);
    write_stream(4 * 32 + 1, 96, NULL); /* one batch, again and again */
    learn(&l, backends[ARRAY_LEN(backends) - 1], loss, norm, lr);
    for (int i = 0; i < N; i++)
        sum += loss[i];
    for (int i = 0; i < N; i++)
        squares += (loss[i] - sum / N) * (loss[i] - sum / N);
    double mean = sum / N, spread = sqrt(squares / (N - 1)), both = sqrt(1.0 / N + 1.0 / THEIRS);
    if (!(fabs(mean - dropout_loss[1]) <= 5 * dropout_loss[2] * both))
        fail_msg("mean loss %.5f, PyTorch has %.5f (without dropout %.5f)", mean, dropout_loss[1], dropout_loss[0]);
    if (!(fabs(spread - dropout_loss[2]) <= 5 * dropout_loss[2] * both / sqrt(2)))
        fail_msg("the loss spreads by %.5f, PyTorch's by %.5f", spread, dropout_loss[2]);
}

/* Standard deviations of fresh weights by kind: 0.02, and 0.02 / sqrt(2L) behind a residual branch. PyTorch's values
 * and ours are samples; the bound is five standard errors of their difference. */
static void fresh_weights_spread_as_in_transformers(void **state)
{
    (void)state;
    static const gp_role roles[] = {GP_WTE, GP_WPE, GP_QKV_W, GP_PROJ_W, GP_FC_W, GP_OUT_W};
    lesson l = make(1000, 128, 4, 6, 128, true, true);
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    gp_model *m = gp_model_create(&l.c, be, false);
    gp_model_init(m, 1);
    for (size_t kind = 0; kind < ARRAY_LEN(roles); kind++) {
        double sum = 0, squares = 0, n = 0;
        for (int i = 0; i < m->params.count; i++) {
            const gp_param *row = &m->params.rows[i];
            const float *w = gp_model_parameter(m, row).data;
            for (int64_t k = 0; row->role == roles[kind] && k < row->count; k++) {
                double x = (double)w[k];
                sum += x;
                squares += x * x;
                n++;
            }
        }
        double spread = sqrt(squares / n - sum / n * (sum / n)), error = init_std[kind] / sqrt(n);
        if (!(fabs(sum / n) <= 5 * error && fabs(spread - init_std[kind]) <= 5 * error))
            fail_msg("kind %zu: mean %g, spread %g; transformers has 0 and %g", kind, sum / n, spread, init_std[kind]);
    }
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        const float *w = gp_model_parameter(m, row).data;
        for (int64_t k = 0; row->ndim == 1 && k < row->count; k++)
            assert_true(w[k] == (row->init == GP_INIT_ONE ? 1.0F : 0.0F));
    }
    gp_model_free(m);
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_the_script),
        cmocka_unit_test(fifty_steps_go_as_in_pytorch),
        cmocka_unit_test(accumulated_micro_batches_are_the_large_batch),
        cmocka_unit_test(an_untied_model_without_biases_learns_as_in_pytorch),
        cmocka_unit_test(without_decay_and_clipping_as_in_pytorch),
        cmocka_unit_test(dropout_spreads_the_loss_as_in_pytorch),
        cmocka_unit_test(fresh_weights_spread_as_in_transformers),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
