/* Every head of the three families on padded batches, beside transformers (tests/golden/heads.py): logits, hidden
 * states, losses, every gradient, on every backend; rows asked for; dropout of the heads; what has no head. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"
#include "model/model.h"

enum { B = 4, T = 12, V = 48, C = 16, LABELS = 3 };

typedef struct golden {
    const char *name;
    gp_safetensors *expected;
    gp_backend *be;
    gp_model *m;
    gp_batch batch;
    int gradients;
} golden;

static const void *find(const golden *g, const char *name, int64_t count)
{
    gp_tensor t;
    if (!gp_safetensors_find(g->expected, name, &t))
        return NULL;
    if (gp_tensor_count(&t) != count)
        fail_msg("%s: %s has %lld numbers, expected %lld", g->name, name, (long long)gp_tensor_count(&t),
                 (long long)count);
    return t.data;
}

static const void *expected(const golden *g, const char *name, int64_t count)
{
    const void *data = find(g, name, count);
    if (!data)
        fail_msg("%s: no tensor %s", g->name, name);
    return data;
}

static void golden_open(golden *g, const char *name, const char *backend)
{
    char *folder = gp_format("%s/golden/heads-%s", TEST_DIR, name),
         *path = gp_format("%s/expected.safetensors", folder);
    gp_checkpoint *c = gp_checkpoint_open(folder);
    *g = (golden){.name = name, .expected = gp_safetensors_open(path), .be = gp_backend_open(backend, "fp32", 2)};
    if (!c || !g->expected || !g->be)
        fail_msg("%s: %s", name, gp_error());
    g->m = gp_checkpoint_model(c, g->be, true);
    assert_non_null(g->m);
    assert_null(gp_checkpoint_warning(c));
    gp_checkpoint_close(c);
    g->batch = (gp_batch){.B = B,
                          .T = T,
                          .inputs = expected(g, "inputs", B * T),
                          .types = find(g, "types", B * T),
                          .lengths = expected(g, "lengths", B),
                          .targets = find(g, "targets", B * T),
                          .labels = expected(g, "labels", B)};
    free(folder);
    free(path);
}

static void golden_close(golden *g)
{
    gp_model_free(g->m);
    gp_backend_close(g->be);
    gp_safetensors_close(g->expected);
}

/* largest |difference| <= 2e-5 of the largest |reference| */
static void check_values(const golden *g, const char *what, const float *ours, const float *ref, int64_t n)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = isnan(ours[i]) ? INFINITY : fmax(worst, fabs((double)ours[i] - ref[i]));
        largest = fmax(largest, fabs((double)ref[i]));
    }
    if (!(worst <= 2e-5 * largest))
        fail_msg("%s %s: largest difference %g, largest value %g", g->name, what, worst, largest);
}

static void check_number(const golden *g, const char *name, double ours, double tolerance)
{
    const float *ref = expected(g, name, 1);
    if (!(fabs(ours - (double)*ref) <= tolerance))
        fail_msg("%s %s: %.8f, expected %.8f", g->name, name, ours, (double)*ref);
}

static double norm(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += pow((double)a[i] - (b ? (double)b[i] : 0), 2);
    return sqrt(sum);
}

static void check_gradient(void *self, const char *name, const gp_tensor *t)
{
    golden *g = self;
    int64_t n = gp_tensor_count(t);
    char *full = gp_format("grad.%s", name);
    const float *ref = expected(g, full, n), *all = expected(g, "grad_norm", 1);
    double off = norm(t->data, ref, n), limit = 1e-4 * norm(ref, NULL, n) + 1e-7 * (double)*all;
    if (!(off <= limit))
        fail_msg("%s %s: off by %g, allowed %g", g->name, full, off, limit);
    g->gradients++;
    free(full);
}

static void outputs_match(golden *g)
{
    const gp_config *c = gp_model_config(g->m);
    float hidden[B * T * C], logits[B * T * V];
    assert_int_equal(gp_model_hidden(g->m, &g->batch, hidden), 0);
    check_values(g, "hidden", hidden, expected(g, "hidden", B * T * C), B * T * C);
    if (c->head == GP_HEAD_NONE)
        return;
    int64_t n = c->head == GP_HEAD_CLASSIFY ? B * LABELS : B * T * V;
    assert_int_equal(gp_model_logits(g->m, &g->batch, logits), 0);
    check_values(g, "logits", logits, expected(g, "logits", n), n);
}

/* In the places of their targets, and nowhere else; their mean is the loss. */
static void losses_match(golden *g)
{
    bool classifies = gp_model_config(g->m)->head == GP_HEAD_CLASSIFY;
    const int32_t *targets = classifies ? g->batch.labels : g->batch.targets;
    int64_t n = classifies ? B : B * T, counted = 0;
    double loss, sum = 0;
    float losses[B * T];
    assert_int_equal(gp_model_evaluate(g->m, &g->batch, &loss, losses), 0);
    check_number(g, "loss", loss, 1e-5);
    for (int64_t i = 0; i < n; i++) {
        assert_true(targets[i] < 0 ? losses[i] == 0 : losses[i] > 0);
        counted += targets[i] >= 0;
        sum += (double)losses[i];
    }
    check_number(g, "loss", sum / (double)counted, 1e-5);
}

static void gradients_match(golden *g)
{
    double loss;
    assert_int_equal(gp_model_gradients(g->m, &g->batch, &loss), 0);
    check_number(g, "loss", loss, 1e-5);
    gp_trace_parameters(g->m, true, check_gradient, g);
    assert_true(g->gradients >= g->m->params.count);
}

/* Label smoothing, and of a classifier class weights too. */
static void weighted_loss_matches(golden *g)
{
    const float *weights = expected(g, "class_weights", LABELS), *ref = expected(g, "weighted.grad_norm", 1);
    size_t count = (size_t)g->m->params.total;
    float *gradients = gp_malloc(count * sizeof *gradients);
    double loss;
    gp_model_set_loss(g->m, gp_model_config(g->m)->head == GP_HEAD_CLASSIFY ? weights : NULL, 0.1);
    assert_int_equal(gp_model_gradients(g->m, &g->batch, &loss), 0);
    check_number(g, "weighted.loss", loss, 1e-5);
    g->be->ops->download(g->be, gradients, g->m->g, count * sizeof *gradients);
    check_number(g, "weighted.grad_norm", norm(gradients, NULL, (int64_t)count), 1e-4 * (double)*ref);
    gp_model_set_loss(g->m, NULL, 0);
    assert_int_equal(gp_model_evaluate(g->m, &g->batch, &loss, NULL), 0);
    check_number(g, "loss", loss, 1e-5);
    free(gradients);
}

static void model_matches(const char *name)
{
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        golden g;
        golden_open(&g, name, backends[k]);
        outputs_match(&g);
        if (gp_model_config(g.m)->head != GP_HEAD_NONE) {
            losses_match(&g);
            gradients_match(&g);
            weighted_loss_matches(&g);
            outputs_match(&g);
        }
        golden_close(&g);
    }
}

static void gpt2_matches_transformers(void **state)
{
    (void)state;
    model_matches("gpt2-lm");
    model_matches("gpt2-classify");
}

static void bert_matches_transformers(void **state)
{
    (void)state;
    model_matches("bert-mlm");
    model_matches("bert-classify");
    model_matches("bert-none");
}

static void roberta_matches_transformers(void **state)
{
    (void)state;
    model_matches("roberta-mlm");
    model_matches("roberta-classify");
    model_matches("roberta-none");
}

/* In any order, and one twice. */
static void logits_at_rows_are_those_of_all(void **state)
{
    (void)state;
    static const int32_t rows[] = {T + 4, 3, B * T - 3, 3};
    static const char *const names[] = {"gpt2-lm", "bert-mlm"};
    for (size_t k = 0; k < ARRAY_LEN(backends) * ARRAY_LEN(names); k++) {
        golden g;
        float logits[ARRAY_LEN(rows) * V];
        golden_open(&g, names[k % 2], backends[k / 2]);
        assert_int_equal(gp_model_logits_at(g.m, &g.batch, rows, ARRAY_LEN(rows), logits), 0);
        const float *ref = expected(&g, "logits", B * T * V);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            check_values(&g, "row", logits + i * V, ref + rows[i] * V, V);
        assert_int_equal(gp_model_logits_at(g.m, &g.batch, (int32_t[]){B * T}, 1, logits), -1);
        assert_non_null(strstr(gp_error(), "row 48 is outside the batch of 48 tokens"));
        golden_close(&g);
    }
}

/* The masked-language head is computed where there are targets only. */
static void masked_rows_alone_are_computed(void **state)
{
    (void)state;
    golden g;
    double loss;
    int32_t targets[B * T];
    golden_open(&g, "bert-mlm", backends[0]);
    for (int i = 0; i < B * T; i++)
        targets[i] = i == 17 ? 5 : -100;
    g.batch.targets = targets;
    assert_int_equal(gp_model_evaluate(g.m, &g.batch, &loss, NULL), 0);
    assert_true(g.m->acts.selects);
    assert_int_equal(g.m->acts.selected, B * T); /* of 64 rows at once */
    targets[17] = -100;
    assert_int_equal(gp_model_evaluate(g.m, &g.batch, &loss, NULL), -1);
    assert_non_null(strstr(gp_error(), "the batch has no target: all are -100"));
    golden_close(&g);
}

/* ---- recorded passes ------------------------------------------------------------------------------------- */

/* A pass as a training step issues it, perhaps recorded, beside the same pass op by op. */
/* gp_model_gradients may write where learning adds to zeros, and reads nothing of what there was. */
static void assert_learns(golden *g, const gp_batch *batch, double counted)
{
    gp_model *m = g->m;
    size_t bytes = (size_t)m->params.total * sizeof(float);
    float *got = gp_malloc(bytes), *want = gp_calloc(1, bytes);
    double loss;
    for (int i = 0; i < m->params.count; i++)
        for (int64_t k = 0; k < m->params.rows[i].count; k++)
            want[m->params.rows[i].offset + k] = NAN;
    g->be->ops->upload(g->be, m->g, want, bytes);
    assert_int_equal(gp_model_gradients(m, batch, &loss), 0);
    g->be->ops->download(g->be, want, m->g, bytes);
    assert_int_equal(gp_model_load(m, &m->acts, batch), 0);
    m->host_step = (gp_step){.scale = (float)(1.0 / counted)};
    gp_step_upload(m);
    g->be->ops->zero(g->be, m->g, bytes);
    gp_model_learn(m, &m->acts, false);
    gp_step_download(m);
    g->be->ops->download(g->be, got, m->g, bytes);
    assert_true(m->host_step.loss == loss);
    assert_memory_equal(got, want, bytes);
    free(got);
    free(want);
}

/* Other masked tokens, as many or more of them, up to all rows of the batch: 64 and 96 of 96 are computed. */
static void recorded_passes_select_other_rows(void **state)
{
    (void)state;
    enum { ROWS = 8 };
    static const int counts[] = {9, 14, 64, 65, 96, 1, 64};
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        golden g;
        int32_t inputs[ROWS * T], targets[ROWS * T];
        golden_open(&g, "bert-mlm", backends[k]);
        for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
            for (int n = 0; n < ROWS * T; n++) {
                int at = (n * 5 + 7 * (int)i) % (ROWS * T); /* 5 and 96 have no common divisor: each place once */
                inputs[n] = (n * 7 + (int)i) % V;
                targets[at] = n < counts[i] ? (at * 3 + (int)i) % V : -100;
            }
            gp_batch batch = {.B = ROWS, .T = T, .inputs = inputs, .targets = targets};
            assert_learns(&g, &batch, counts[i]);
            assert_int_equal(g.m->acts.selected, counts[i] > 64 ? 96 : 64);
        }
        golden_close(&g);
    }
}

static void recorded_passes_read_other_lengths_labels_and_weights(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        golden g;
        golden_open(&g, "gpt2-classify", backends[k]);
        for (int i = 0; i < 6; i++) {
            const int32_t lengths[B] = {1 + i, 12 - i, 4, 7}, labels[B] = {i % 3, 1, i == 4 ? -1 : 0, (i + 1) % 3};
            gp_batch batch = {.B = B, .T = T, .inputs = g.batch.inputs, .lengths = lengths, .labels = labels};
            const float weights[] = {1, 2, 0.5f};
            double counted = 0;
            if (i == 3)
                gp_model_set_loss(g.m, weights, 0.1);
            for (int b = 0; b < B; b++)
                counted += labels[b] < 0 ? 0 : i < 3 ? 1 : (double)weights[labels[b]];
            assert_learns(&g, &batch, counted);
        }
        golden_close(&g);
    }
}

/* ---- dropout of the heads -------------------------------------------------------------------------------- */

/* The loss of a pass as a training step makes it. */
static double trained_loss(golden *g)
{
    gp_model *m = g->m;
    assert_int_equal(gp_model_plan(m, B, T), 0);
    assert_int_equal(gp_model_load(m, &m->acts, &g->batch), 0);
    m->host_step = (gp_step){.seed = 3, .step = 2, .scale = 1.0f / B};
    gp_step_upload(m);
    g->be->ops->zero(g->be, m->g, (size_t)m->params.total * sizeof *m->g);
    gp_model_learn(m, &m->acts, true);
    gp_step_download(m);
    return m->host_step.loss;
}

static double zeros(const golden *g, const gp_tensor *t)
{
    float x[B * C];
    int count = 0;
    assert_int_equal(gp_tensor_count(t), B * C);
    gp_model_download(g->m, t, x);
    for (int i = 0; i < B * C; i++)
        count += x[i] == 0;
    return (double)count / (B * C);
}

/* Moves every parameter of the head by h times its gradient. */
static void move(golden *g, const float *gradients, double h)
{
    for (int i = 0; i < g->m->params.count; i++) {
        const gp_param *row = &g->m->params.rows[i];
        if (row->role != GP_DENSE_W && row->role != GP_CLASS_W)
            continue;
        float *x = gp_malloc((size_t)row->count * sizeof *x);
        gp_model_row_download(g->m, row, x);
        for (int64_t k = 0; k < row->count; k++)
            x[k] += (float)(h * (double)gradients[row->offset + k]);
        gp_model_row_upload(g->m, row, x);
        free(x);
    }
    gp_model_weights_changed(g->m);
}

static void assert_dropout(const char *name, const char *backend, bool drops_input)
{
    golden g;
    golden_open(&g, name, backend);
    g.m->config.dropout_embd = g.m->config.dropout_attn = g.m->config.dropout_resid = 0;
    g.m->config.dropout_head = 0.5;
    gp_model *m = g.m;
    size_t count = (size_t)m->params.total;
    float *gradients = gp_malloc(count * sizeof *gradients);
    trained_loss(&g);
    double in = zeros(&g, &m->acts.head_x), out = zeros(&g, &m->acts.head_h), square = 0, h = 1e-2;
    assert_true(drops_input ? in > 0.3 && in < 0.7 : in == 0);
    assert_true(out > 0.3 && out < 0.7);
    g.be->ops->download(g.be, gradients, m->g, count * sizeof *gradients);
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        if (row->role == GP_DENSE_W || row->role == GP_CLASS_W)
            square += pow(norm(gradients + row->offset, NULL, row->count), 2);
    }
    move(&g, gradients, h);
    double above = trained_loss(&g);
    move(&g, gradients, -2 * h);
    double below = trained_loss(&g), slope = (above - below) / (2 * h);
    if (!(fabs(slope - square) <= 2e-3 * square))
        fail_msg("%s: slope %g, by its gradients %g", name, slope, square);
    free(gradients);
    golden_close(&g);
}

static void classifiers_drop_where_transformers_does(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        assert_dropout("bert-classify", backends[k], false);
        assert_dropout("roberta-classify", backends[k], true);
    }
}

/* ---- refused --------------------------------------------------------------------------------------------- */

static void what_a_head_does_not_compute_is_refused(void **state)
{
    (void)state;
    golden g;
    double loss;
    float x[B * T * V];
    golden_open(&g, "bert-none", backends[0]);
    assert_int_equal(gp_model_evaluate(g.m, &g.batch, &loss, NULL), -1);
    assert_non_null(strstr(gp_error(), "the model has no head"));
    assert_int_equal(gp_model_logits(g.m, &g.batch, x), -1);
    assert_int_equal(gp_model_logits_at(g.m, &g.batch, (int32_t[]){0}, 1, x), -1);
    golden_close(&g);
    golden_open(&g, "bert-classify", backends[0]);
    g.batch.labels = (int32_t[]){0, 3, 1, 2};
    assert_int_equal(gp_model_gradients(g.m, &g.batch, &loss), -1);
    assert_non_null(strstr(gp_error(), "label 3 of sequence 1 is outside the model's 3"));
    g.batch.labels = (int32_t[]){-1, -1, -1, -1};
    assert_int_equal(gp_model_gradients(g.m, &g.batch, &loss), -1);
    assert_non_null(strstr(gp_error(), "the batch has no label that counts"));
    g.batch.labels = NULL;
    assert_int_equal(gp_model_evaluate(g.m, &g.batch, &loss, NULL), -1);
    assert_non_null(strstr(gp_error(), "the batch has no labels"));
    assert_int_equal(gp_model_logits_at(g.m, &g.batch, (int32_t[]){0}, 1, x), -1);
    assert_non_null(strstr(gp_error(), "no head for tokens"));
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_matches_transformers),
        cmocka_unit_test(bert_matches_transformers),
        cmocka_unit_test(roberta_matches_transformers),
        cmocka_unit_test(logits_at_rows_are_those_of_all),
        cmocka_unit_test(masked_rows_alone_are_computed),
        cmocka_unit_test(recorded_passes_select_other_rows),
        cmocka_unit_test(recorded_passes_read_other_lengths_labels_and_weights),
        cmocka_unit_test(classifiers_drop_where_transformers_does),
        cmocka_unit_test(what_a_head_does_not_compute_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
