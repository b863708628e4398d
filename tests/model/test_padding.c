/* Ids that are padding, beside transformers on tests/golden/roberta-tiny and bert-tiny (tests/reference/padding.py):
 * after the tokens, before them, between them, and not attended to; one batch after another through the same model. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/trace.h"
#include "model/model.h"
#include "reference/padding.h"

enum { B = padding_B, T = padding_T };

/* As in padding.py. */
typedef struct lesson {
    const char *name;
    int places[B][2];
    bool masked;
    const double *losses, *norms;
} lesson;

#define LESSONS(model)                                                                                                 \
    {                                                                                                                  \
        {"after", {{16, 16}, {9, 16}}, false, model##_after_losses, model##_after_norms},                              \
            {"before", {{0, 4}, {0, 1}}, false, model##_before_losses, model##_before_norms},                          \
            {"between", {{5, 7}, {12, 15}}, false, model##_between_losses, model##_between_norms},                     \
            {"masked", {{16, 16}, {9, 16}}, true, model##_masked_losses, model##_masked_norms},                        \
    }

static const lesson roberta[] = LESSONS(roberta), bert[] = LESSONS(bert);

typedef struct ids {
    int32_t inputs[B * T], targets[B * T], lengths[B];
} ids;

static gp_batch fill(ids *x, const lesson *l, int64_t pad)
{
    for (int b = 0; b < B; b++)
        for (int i = 0; i < T; i++) {
            int32_t id = 2 + (7 * i * i + 3 * i + 5 * b) % 94;
            bool padding = i >= l->places[b][0] && i < l->places[b][1];
            x->inputs[b * T + i] = padding ? (int32_t)pad : id;
            x->targets[b * T + i] = (5 * id + 1) % 96;
        }
    for (int b = 0; b < B; b++)
        x->lengths[b] = l->places[b][0];
    return (gp_batch){
        .B = B, .T = T, .inputs = x->inputs, .targets = x->targets, .lengths = l->masked ? x->lengths : NULL};
}

static double norm_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void assert_close(const lesson *l, const char *what, int i, double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-5 * fabs(expected) + 1e-7))
        fail_msg("%s, %s %d: %.9g, transformers has %.9g", l->name, what, i, got, expected);
}

static void assert_losses(gp_model *m, const lesson *l)
{
    ids x;
    float losses[B * T];
    double mean;
    gp_batch batch = fill(&x, l, gp_model_config(m)->pad_id);
    assert_int_equal(gp_model_evaluate(m, &batch, &mean, losses), 0);
    for (int i = 0; i < B * T; i++)
        assert_close(l, "loss", i, (double)losses[i], l->losses[i]);
}

typedef struct found {
    const lesson *l;
    int64_t pad;
    int seen;
} found;

static void check_gradient(void *self, const char *name, const gp_tensor *t)
{
    found *f = self;
    int at = strstr(name, "word_embeddings") ? 0 : strstr(name, "position_embeddings") ? 2 : -1;
    if (at < 0)
        return;
    const float *x = t->data;
    assert_close(f->l, "norm", at, norm_of(x, gp_tensor_count(t)), f->l->norms[at]);
    assert_close(f->l, "norm", at + 1, norm_of(x + f->pad * t->dim[1], t->dim[1]), f->l->norms[at + 1]);
    f->seen++;
}

static void assert_gradients(gp_model *m, const lesson *l)
{
    ids x;
    double loss;
    found f = {l, gp_model_config(m)->pad_id, 0};
    gp_batch batch = fill(&x, l, f.pad);
    assert_int_equal(gp_model_gradients(m, &batch, &loss), 0);
    gp_trace_parameters(m, true, check_gradient, &f);
    assert_int_equal(f.seen, 2);
}

/* Each batch behind each other one: what the model keeps of the last must not be that of the next. */
static void run_lessons(const char *path, const lesson *lessons)
{
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be = gp_backend_open(backends[k], "fp32", 2);
        gp_checkpoint *c = gp_checkpoint_open(path);
        assert_non_null(c);
        gp_model *m = gp_checkpoint_model(c, be, true);
        assert_non_null(m);
        gp_checkpoint_close(c);
        for (size_t i = 0; i < ARRAY_LEN(roberta); i++)
            for (size_t j = 0; j < ARRAY_LEN(roberta); j++) {
                assert_losses(m, &lessons[i]);
                assert_losses(m, &lessons[j]);
            }
        for (size_t i = 0; i < ARRAY_LEN(roberta); i++)
            assert_gradients(m, &lessons[i]);
        gp_model_free(m);
        gp_backend_close(be);
    }
}

static void robertas_positions_count_what_is_no_padding(void **state)
{
    (void)state;
    run_lessons(TEST_DIR "/golden/roberta-tiny", roberta);
}

static void berts_positions_count_everything(void **state)
{
    (void)state;
    run_lessons(TEST_DIR "/golden/bert-tiny", bert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(robertas_positions_count_what_is_no_padding),
        cmocka_unit_test(berts_positions_count_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
