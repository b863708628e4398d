/* examples/gpt2.c against transformers and against the library's ref backend. Contents and tolerances of the golden
 * files: tests/golden/README.md. */
#include "test.h"

#define main gpt2_main
#include "../../examples/gpt2.c"
#undef main

#include "gptpipe/safetensors.h"

enum { B = 2, T = 32, N = B * T, V = 96, STEPS = 10 };

typedef struct golden {
    gp_safetensors *start, *expected; /* weights; what transformers computes with them */
    gp_backend *be;
    gp_model *ref; /* the library's model with the same weights */
    gpt2 m;
} golden;

static gp_safetensors *open_file(const char *name)
{
    char *path = gp_format("%s/golden/gpt2-tiny/%s", TEST_DIR, name);
    gp_safetensors *s = gp_safetensors_open(path);
    if (!s)
        fail_msg("%s", gp_error());
    free(path);
    return s;
}

static const void *find(gp_safetensors *s, const char *prefix, const char *name, int64_t count)
{
    gp_tensor t;
    char *full = gp_format("%s%s", prefix, name);
    if (!gp_safetensors_find(s, full, &t) || gp_tensor_count(&t) != count)
        fail_msg("no tensor %s of %lld numbers", full, (long long)count);
    free(full);
    return t.data;
}

static golden open_golden(void)
{
    golden g = {.start = open_file("model.safetensors"), .expected = open_file("expected.safetensors")};
    char *path = gp_format("%s/golden/gpt2-tiny", TEST_DIR);
    gp_checkpoint *checkpoint = gp_checkpoint_open(path);
    g.be = gp_backend_open("ref", "fp32", 1);
    g.ref = checkpoint ? gp_checkpoint_model(checkpoint, g.be, true) : NULL;
    if (!g.ref)
        fail_msg("%s", gp_error());
    assert_true(is_plain_gpt2(gp_checkpoint_config(checkpoint)));
    g.m = create(gp_checkpoint_config(checkpoint), B, T);
    gp_trace_parameters(g.ref, false, load, &g.m);
    assert_int_equal(g.m.loaded, g.m.count);
    assert_int_equal(g.m.count, 28);
    assert_int_equal(g.m.free - g.m.memory, /* all of the block is used */
                     4 * gp_config_parameters(gp_checkpoint_config(checkpoint)) + 2 * (16 * N * 32 + B * 2 * T * T) +
                         8 * N * 32 + 2 * N * V);
    gp_checkpoint_close(checkpoint);
    free(path);
    return g;
}

static void close_golden(golden *g)
{
    release(&g->m);
    gp_model_free(g->ref);
    gp_backend_close(g->be);
    gp_safetensors_close(g->start);
    gp_safetensors_close(g->expected);
}

/* Batch s of the ten: targets are the tokens after the inputs. */
static void batch(const golden *g, int s, int32_t *inputs, int32_t *targets)
{
    const int32_t *tokens = find(g->expected, "", "tokens", STEPS * B * (T + 1));
    for (int n = 0; n < N; n++) {
        inputs[n] = tokens[(s * B + n / T) * (T + 1) + n % T];
        targets[n] = tokens[(s * B + n / T) * (T + 1) + n % T + 1];
    }
}

static double distance(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

static void logits_and_loss_are_those_of_transformers(void **state)
{
    (void)state;
    golden g = open_golden();
    int32_t inputs[N], targets[N];
    double worst = 0, largest = 0;
    batch(&g, 0, inputs, targets);
    forward(&g.m, inputs, B, T);
    const float *logits = find(g.expected, "", "logits", N * V), *loss = find(g.expected, "", "loss", 1);
    for (int i = 0; i < N * V; i++) {
        worst = fmax(worst, isnan(g.m.logits[i]) ? INFINITY : fabs((double)g.m.logits[i] - logits[i]));
        largest = fmax(largest, fabs((double)logits[i]));
    }
    if (!(worst <= 2e-5 * largest))
        fail_msg("logits: largest difference %g, largest value %g", worst, largest);
    double ours = backward(&g.m, inputs, targets, B, T);
    if (!(fabs(ours - *loss) <= 1e-5))
        fail_msg("loss %.8f, expected %.8f", ours, *loss);
    close_golden(&g);
}

static void every_gradient_is_that_of_transformers(void **state)
{
    (void)state;
    golden g = open_golden();
    int32_t inputs[N], targets[N];
    batch(&g, 0, inputs, targets);
    forward(&g.m, inputs, B, T);
    backward(&g.m, inputs, targets, B, T);
    const float *all = find(g.expected, "", "grad_norm", 1);
    for (const parameter *p = g.m.params; p < g.m.params + g.m.count; p++) {
        int64_t n = p->rows * p->cols;
        const float *expected = find(g.expected, "grad.", p->name, n);
        double off = distance(p->g, expected, n), limit = 1e-4 * distance(expected, NULL, n) + 1e-7 * *all;
        if (!(off <= limit))
            fail_msg("gradient of %s: off by %g, allowed %g", p->name, off, limit);
    }
    close_golden(&g);
}

static void ten_steps_of_adamw_are_those_of_transformers(void **state)
{
    (void)state;
    golden g = open_golden();
    const float *losses = find(g.expected, "", "train.loss", STEPS);
    const float *norms = find(g.expected, "", "train.grad_norm", STEPS);
    for (int s = 0; s < STEPS; s++) {
        int32_t inputs[N], targets[N];
        batch(&g, s, inputs, targets);
        forward(&g.m, inputs, B, T);
        double loss = backward(&g.m, inputs, targets, B, T), norm = update(&g.m, 1e-3, s + 1);
        if (!(fabs(loss - losses[s]) <= 1e-5))
            fail_msg("step %d: loss %.8f, expected %.8f", s, loss, losses[s]);
        if (!(fabs(norm - norms[s]) <= 1e-4 * norms[s]))
            fail_msg("step %d: gradient norm %.8f, expected %.8f", s, norm, norms[s]);
    }
    for (const parameter *p = g.m.params; p < g.m.params + g.m.count; p++) {
        int64_t n = p->rows * p->cols, third = strstr(p->name, "c_attn.bias") ? n / 3 : 0;
        const float *expected = find(g.expected, "train.param.", p->name, n), *start = find(g.start, "", p->name, n);
        double off = 0, moved = 0;
        for (int64_t i = 0; i < n; i++) {
            double move = (double)expected[i] - start[i], miss = (double)p->w[i] - expected[i];
            if (third && i / third == 1) { /* a key's bias has no true gradient: AdamW moves it by noise */
                assert_true(fabs((double)p->w[i] - start[i]) <= STEPS * 1e-3 * 1.01);
                continue;
            }
            off += miss * miss;
            moved += move * move;
        }
        if (!(sqrt(off) <= 1e-3 * sqrt(moved)))
            fail_msg("%s: off by %g after moving %g", p->name, sqrt(off), sqrt(moved));
    }
    close_golden(&g);
}

static void compare_gradient(void *self, const char *name, const gp_tensor *t)
{
    gpt2 *m = self;
    for (parameter *p = m->params; p < m->params + m->count; p++)
        if (!strcmp(p->name, name)) {
            int64_t n = p->rows * p->cols;
            assert_int_equal(gp_tensor_count(t), n);
            double off = distance(p->g, t->data, n), limit = 1e-5 * distance(t->data, NULL, n) + 1e-7;
            if (!(off <= limit))
                fail_msg("gradient of %s: off by %g, allowed %g", name, off, limit);
            m->loaded--;
        }
}

static void logits_and_gradients_are_those_of_the_library(void **state)
{
    (void)state;
    golden g = open_golden();
    static float logits[N * V];
    int32_t inputs[N], targets[N];
    double loss;
    batch(&g, 3, inputs, targets);
    gp_batch b = {.B = B, .T = T, .inputs = inputs, .targets = targets};
    forward(&g.m, inputs, B, T);
    assert_int_equal(gp_model_logits(g.ref, &b, logits), 0);
    double off = distance(g.m.logits, logits, N * V), size = distance(logits, NULL, N * V);
    if (!(off <= 1e-6 * size))
        fail_msg("logits: off by %g of %g", off, size);
    double ours = backward(&g.m, inputs, targets, B, T);
    assert_int_equal(gp_model_gradients(g.ref, &b, &loss), 0);
    if (!(fabs(ours - loss) <= 1e-6))
        fail_msg("loss %.8f, the library's %.8f", ours, loss);
    gp_trace_parameters(g.ref, true, compare_gradient, &g.m);
    assert_int_equal(g.m.loaded, 0); /* each was compared */
    close_golden(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_and_loss_are_those_of_transformers),
        cmocka_unit_test(every_gradient_is_that_of_transformers),
        cmocka_unit_test(ten_steps_of_adamw_are_those_of_transformers),
        cmocka_unit_test(logits_and_gradients_are_those_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
