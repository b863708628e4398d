/* The three models, also with ReLU, against transformers: logits, hidden states, loss, every gradient, ten AdamW steps,
 * greedy text. Contents and tolerances: tests/golden/README.md. Every backend of this build is held to them. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/hf/hf.h"
#include "checkpoint/pieces.h"
#include "gptpipe/sampler.h"
#include "gptpipe/trace.h"
#include "model/model.h"
#include "train/optimizer.h"

typedef struct golden {
    const char *name;
    gp_container *weights;
    gp_safetensors *expected;
    gp_backend *be;
    gp_model *m;
    const int32_t *inputs, *targets; /* (2,32) */
    int32_t *shifted;
} golden;

static gp_safetensors *open_part(const char *model, const char *part)
{
    char *path = gp_format("%s/golden/%s/%s.safetensors", TEST_DIR, model, part);
    gp_safetensors *s = gp_safetensors_open(path);
    if (!s)
        fail_msg("%s", gp_error());
    free(path);
    return s;
}

static const void *expected(const golden *g, const char *name, int64_t count)
{
    gp_tensor t;
    if (!gp_safetensors_find(g->expected, name, &t))
        fail_msg("%s: no tensor %s", g->name, name);
    if (gp_tensor_count(&t) != count)
        fail_msg("%s: %s has %lld numbers, expected %lld", g->name, name, (long long)gp_tensor_count(&t),
                 (long long)count);
    return t.data;
}

static void load_weights(golden *g)
{
    for (int i = 0; i < g->m->params.count; i++) {
        const gp_param *row = &g->m->params.rows[i];
        float *host = gp_malloc((size_t)row->count * sizeof *host);
        gp_piece piece[GP_PIECES];
        int pieces = gp_naming_pieces(gp_hf_naming(&g->m->config), row, piece);
        for (int k = 0; k < pieces; k++) {
            int64_t at = gp_container_find(g->weights, piece[k].name);
            if (at < 0)
                fail_msg("%s: no tensor %s", g->name, piece[k].name);
            assert_int_equal(gp_piece_check(g->weights, at, row, &piece[k], false, 0), 0);
            assert_int_equal(gp_piece_read(g->weights, at, row, &piece[k], 0, row->dim[0], host), 0);
        }
        gp_model_row_upload(g->m, row, host);
        free(host);
    }
    if (g->m->slots_open)
        gp_model_weights_changed(g->m);
}

static void golden_open(golden *g, const char *name, const char *backend)
{
    gp_config c;
    gp_buf json = {0};
    char *path = gp_format("%s/golden/%s/config.json", TEST_DIR, name);
    *g = (golden){
        .name = name, .weights = gp_hf_container(open_part(name, "model")), .expected = open_part(name, "expected")};
    assert_int_equal(gp_file_read(&json, path, 1 << 20), 0);
    if (gp_config_from_json(&c, json.data, json.len, path))
        fail_msg("%s", gp_error());
    g->be = gp_backend_open(backend, "fp32", 2);
    assert_non_null(g->be);
    g->m = gp_model_create(&c, g->be, true);
    load_weights(g);
    const int32_t *tokens = expected(g, "tokens", 10 * 2 * 33);
    g->targets = expected(g, "targets", 64);
    g->shifted = gp_malloc(64 * sizeof *g->shifted);
    for (int b = 0; b < 2; b++)
        memcpy(g->shifted + 32 * b, tokens + 33 * b, 32 * sizeof *tokens);
    g->inputs = c.causal ? g->shifted : expected(g, "inputs", 64);
    free(path);
    gp_buf_release(&json);
}

static void golden_close(golden *g)
{
    gp_model_free(g->m);
    gp_backend_close(g->be);
    gp_container_close(g->weights);
    gp_safetensors_close(g->expected);
    free(g->shifted);
}

static gp_batch first_batch(const golden *g)
{
    return (gp_batch){.B = 2, .T = 32, .inputs = g->inputs, .targets = g->targets};
}

/* largest |difference| <= 2e-5 of the largest |reference| */
static void check_values(const golden *g, const char *name, const float *ours, int64_t n)
{
    const float *ref = expected(g, name, n);
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)ours[i] - ref[i]));
        largest = fmax(largest, fabs((double)ref[i]));
        if (isnan(ours[i]))
            worst = INFINITY;
    }
    if (!(worst <= 2e-5 * largest))
        fail_msg("%s %s: largest difference %g, largest value %g", g->name, name, worst, largest);
}

static double norm(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

static void check_hidden(void *self, const char *name, const gp_tensor *t)
{
    if (!strncmp(name, "hidden.", 7) || !strcmp(name, "logits"))
        check_values(self, name, t->data, gp_tensor_count(t));
}

static void logits_and_hidden_states(golden *g)
{
    gp_batch batch = first_batch(g);
    float *logits = gp_malloc(64 * 96 * sizeof *logits);
    assert_int_equal(gp_trace_logits(g->m, &batch, logits, check_hidden, NULL, g), 0);
    check_values(g, "logits", logits, 64 * 96);
    free(logits);
}

static void check_gradient(void *self, const char *name, const gp_tensor *t)
{
    golden *g = self;
    int64_t n = gp_tensor_count(t);
    char *full = gp_format("grad.%s", name);
    const float *ref = expected(g, full, n), *all = expected(g, "grad_norm", 1);
    double off = norm(t->data, ref, n), limit = 1e-4 * norm(ref, NULL, n) + 1e-7 * *all;
    if (!(off <= limit))
        fail_msg("%s %s: off by %g, allowed %g", g->name, full, off, limit);
    free(full);
}

static void loss_and_gradients(golden *g)
{
    gp_batch batch = first_batch(g);
    double loss;
    assert_int_equal(gp_model_gradients(g->m, &batch, &loss), 0);
    const float *ref = expected(g, "loss", 1);
    if (!(fabs(loss - *ref) <= 1e-5))
        fail_msg("%s: loss %.8f, expected %.8f", g->name, loss, *ref);
    gp_trace_parameters(g->m, true, check_gradient, g);
}

static void model_matches(const char *name, const char *backend)
{
    golden g;
    golden_open(&g, name, backend);
    logits_and_hidden_states(&g);
    loss_and_gradients(&g);
    golden_close(&g);
}

static void check_trained(void *self, const char *name, const gp_tensor *t)
{
    golden *g = self;
    gp_tensor start;
    int64_t n = gp_tensor_count(t);
    char *full = gp_format("train.param.%s", name);
    const float *ref = expected(g, full, n);
    assert_true(gp_safetensors_find(gp_hf_safetensors(g->weights), name, &start));
    bool qkv_bias = strstr(name, "c_attn.bias") != NULL; /* its key third has no true gradient */
    const float *ours = t->data, *from = start.data;
    double off = 0, moved = 0;
    for (int64_t i = 0; i < n; i++) {
        if (qkv_bias && i / (n / 3) == 1) {
            assert_true(fabs((double)ours[i] - from[i]) <= 10 * 1e-3 * 1.01);
            continue;
        }
        off += ((double)ours[i] - ref[i]) * ((double)ours[i] - ref[i]);
        moved += ((double)ref[i] - from[i]) * ((double)ref[i] - from[i]);
    }
    if (!(sqrt(off) <= 1e-3 * sqrt(moved)))
        fail_msg("%s: off by %g after moving %g", full, sqrt(off), sqrt(moved));
    free(full);
}

static void ten_adamw_steps(const char *name, const char *backend)
{
    golden g;
    gp_optimizer o;
    golden_open(&g, name, backend);
    gp_optimizer_open(&o, g.m, 0.9, 0.95, 1e-8, 0.1);
    const int32_t *tokens = expected(&g, "tokens", 10 * 2 * 33);
    const float *losses = expected(&g, "train.loss", 10), *norms = expected(&g, "train.grad_norm", 10);
    for (int s = 0; s < 10; s++) {
        int32_t in[64], out[64];
        double loss;
        for (int i = 0; i < 64; i++) {
            in[i] = tokens[(s * 2 + i / 32) * 33 + i % 32];
            out[i] = tokens[(s * 2 + i / 32) * 33 + i % 32 + 1];
        }
        assert_int_equal(gp_model_gradients(g.m, &(gp_batch){.B = 2, .T = 32, .inputs = in, .targets = out}, &loss), 0);
        gp_step *st = &g.m->host_step;
        st->lr = 1e-3f;
        st->max_norm = 1;
        st->bias1 = (float)(1 - pow(0.9, s + 1));
        st->bias2 = (float)(1 - pow(0.95, s + 1));
        gp_step_upload(g.m);
        gp_optimizer_step(&o, g.m);
        gp_step_download(g.m);
        if (!(fabs(loss - losses[s]) <= 1e-5))
            fail_msg("step %d: loss %.8f, expected %.8f", s, loss, losses[s]);
        if (!(fabs(st->grad_norm - norms[s]) <= 1e-4 * norms[s]))
            fail_msg("step %d: gradient norm %.8f, expected %.8f", s, st->grad_norm, norms[s]);
    }
    if (!strcmp(name, "gpt2-tiny"))
        gp_trace_parameters(g.m, false, check_trained, &g);
    gp_optimizer_close(&o);
    golden_close(&g);
}

static int collect_text(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    (void)sample, (void)done;
    gp_buf_add(self, bytes, n);
    return 0;
}

static void greedy_text(const char *name, const char *backend)
{
    golden g;
    gp_buf text = {0}, ref = {0};
    golden_open(&g, name, backend);
    const int32_t *greedy = expected(&g, "greedy", 32);
    const int32_t *tokens = expected(&g, "tokens", 10 * 2 * 33);
    gp_tensor t;
    gp_safetensors_find(g.expected, "greedy", &t);
    bool with_prompt = !memcmp(greedy, tokens, 4 * sizeof *tokens);
    int from = with_prompt ? 4 : 0;
    for (int i = from; i < 32; i++)
        gp_buf_printf(&ref, i > from ? " %d" : "%d", greedy[i]);
    gp_generation how = {.sampling = {.temperature = 0, .top_p = 1}, .samples = 1, .max_tokens = 32 - from};
    assert_int_equal(gp_generate(g.m, NULL, tokens, 4, &how, collect_text, &text, NULL), 0);
    assert_string_equal(text.data, ref.data);
    gp_buf_release(&text);
    gp_buf_release(&ref);
    golden_close(&g);
}

#define FOR_BACKEND(be)                                                                                                \
    static void gpt2_matches_transformers_##be(void **state)                                                           \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        model_matches("gpt2-tiny", #be);                                                                               \
    }                                                                                                                  \
    static void bert_matches_transformers_##be(void **state)                                                           \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        model_matches("bert-tiny", #be);                                                                               \
    }                                                                                                                  \
    static void roberta_matches_transformers_##be(void **state)                                                        \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        model_matches("roberta-tiny", #be);                                                                            \
    }                                                                                                                  \
    static void relu_matches_transformers_##be(void **state)                                                           \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        model_matches("gpt2-relu", #be);                                                                               \
        model_matches("bert-relu", #be);                                                                               \
        model_matches("roberta-relu", #be);                                                                            \
    }                                                                                                                  \
    static void relu_trains_and_samples_##be(void **state)                                                             \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        ten_adamw_steps("gpt2-relu", #be);                                                                             \
        greedy_text("gpt2-relu", #be);                                                                                 \
    }                                                                                                                  \
    static void ten_adamw_steps_match_##be(void **state)                                                               \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        ten_adamw_steps("gpt2-tiny", #be);                                                                             \
    }                                                                                                                  \
    static void greedy_text_is_identical_##be(void **state)                                                            \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        greedy_text("gpt2-tiny", #be);                                                                                 \
    }

#define TESTS(be)                                                                                                      \
    cmocka_unit_test(gpt2_matches_transformers_##be), cmocka_unit_test(bert_matches_transformers_##be),                \
        cmocka_unit_test(roberta_matches_transformers_##be), cmocka_unit_test(ten_adamw_steps_match_##be),             \
        cmocka_unit_test(greedy_text_is_identical_##be), cmocka_unit_test(relu_matches_transformers_##be),             \
        cmocka_unit_test(relu_trains_and_samples_##be)

#ifdef GPTPIPE_TEST_CUDA /* see backends.h */
FOR_BACKEND(cuda)
#else
FOR_BACKEND(ref)
FOR_BACKEND(cpu)
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef GPTPIPE_TEST_CUDA
        TESTS(cuda),
#else
        TESTS(ref),
        TESTS(cpu),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
