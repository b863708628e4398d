/* Settings of config.json that change what is computed, against transformers: tests/reference/settings.py. Logits,
 * loss, gradients and the probabilities of a trace; the same logits token by token. Every backend of this build is held
 * to them. */
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "last_logits.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"
#include "model/model.h"
#include "reference/settings.h"

enum { B = 2, T = 32, V = 96, PARAMETERS = 28 };

typedef struct setting {
    const char *json; /* members that are changed; NULL: removed */
    const double *loss, *logits, *norms, *products, *attentions;
} setting;

#define SETTING(name, json)                                                                                            \
    {                                                                                                                  \
        json, name##_loss, name##_logits, name##_norms, name##_products, name##_attentions                             \
    }

static const setting settings[] = {
    SETTING(plain, "{}"),
    SETTING(unscaled, "{\"scale_attn_weights\": false}"),
    SETTING(by_layer, "{\"scale_attn_by_inverse_layer_idx\": true}"),
    SETTING(both, "{\"scale_attn_weights\": false, \"scale_attn_by_inverse_layer_idx\": true}"),
    SETTING(upcast, "{\"reorder_and_upcast_attn\": true, \"scale_attn_by_inverse_layer_idx\": true}"),
    SETTING(padding, "{\"pad_token_id\": 33}"),
};

static gp_safetensors *expected;
static const int32_t *tokens; /* (10,2,33) */

static int set_up(void **state)
{
    (void)state;
    gp_tensor t;
    expected = gp_safetensors_open("tests/golden/gpt2-tiny/expected.safetensors");
    if (!expected || !gp_safetensors_find(expected, "tokens", &t))
        return -1;
    tokens = t.data;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gp_safetensors_close(expected);
    return 0;
}

static gp_config config_with(const char *changes)
{
    gp_config c;
    json_t *root = json_load_file("tests/golden/gpt2-tiny/config.json", 0, NULL), *more = json_loads(changes, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_object_update(root, more), 0);
    char *text = json_dumps(root, 0);
    if (gp_config_from_json(&c, text, strlen(text), "config.json"))
        fail_msg("%s", gp_error());
    free(text);
    json_decref(root);
    json_decref(more);
    return c;
}

static void assert_near(double got, double want, double allowed, const char *what)
{
    if (!(fabs(got - want) <= allowed))
        fail_msg("%s is %.9g, expected %.9g within %.1e", what, got, want, allowed);
}

static void assert_logits(const float *got, const double *want)
{
    double largest = 0;
    for (int i = 0; i < V; i++)
        largest = fmax(largest, fabs(want[i]));
    for (int i = 0; i < V; i++)
        assert_near(got[i], want[i], 2e-5 * largest, "a logit");
}

typedef struct gradients {
    const setting *s;
    char names[PARAMETERS][64];
    double norms[PARAMETERS], products[PARAMETERS];
    int count;
} gradients;

static void note(void *self, const char *name, const gp_tensor *t)
{
    gradients *g = self;
    int at = g->count++; /* in the order of their names, as Python sorts them */
    assert_true(at < PARAMETERS);
    for (; at && strcmp(g->names[at - 1], name) > 0; at--) {
        memcpy(g->names[at], g->names[at - 1], sizeof g->names[at]);
        g->norms[at] = g->norms[at - 1];
        g->products[at] = g->products[at - 1];
    }
    snprintf(g->names[at], sizeof g->names[at], "%s", name);
    g->norms[at] = g->products[at] = 0;
    for (int64_t i = 0; i < gp_tensor_count(t); i++) {
        double x = ((const float *)t->data)[i];
        g->norms[at] += x * x;
        g->products[at] += x * cos((double)i);
    }
    g->norms[at] = sqrt(g->norms[at]);
}

static void check_gradients(gp_model *m, const setting *s, const gp_batch *batch)
{
    gradients g = {.s = s};
    double loss, all = 0;
    assert_int_equal(gp_model_gradients(m, batch, &loss), 0);
    assert_near(loss, s->loss[0], 1e-5, "the loss");
    gp_trace_parameters(m, true, note, &g);
    assert_int_equal(g.count, PARAMETERS);
    for (int i = 0; i < PARAMETERS; i++)
        all = fmax(all, s->norms[i]);
    for (int i = 0; i < PARAMETERS; i++) {
        double allowed = 1e-4 * s->norms[i] + 1e-7 * all;
        assert_near(g.norms[i], s->norms[i], allowed, g.names[i]);
        assert_near(g.products[i], s->products[i], 3 * allowed, g.names[i]);
    }
}

/* Through the cache: a prompt of 20 tokens, then one token at a time. */
static void check_decoding(gp_model *m, const setting *s, const int32_t *row)
{
    float logits[V];
    assert_int_equal(gp_model_plan_cache(m, 1, T), 0);
    assert_int_equal(gp_model_prefill(m, 0, row, 20), 0);
    for (int32_t t = 20; t < T; t++)
        assert_int_equal(gp_model_decode(m, &row[t], &t), 0);
    last_logits(m, 0, logits);
    assert_logits(logits, s->logits);
}

typedef struct attentions {
    const setting *s;
    int layer; /* the last one */
    bool seen;
} attentions;

static void look_at_attentions(void *self, const char *name, const gp_tensor *t)
{
    attentions *a = self;
    char wanted[32];
    snprintf(wanted, sizeof wanted, "attentions.%d", a->layer);
    if (strcmp(name, wanted))
        return;
    a->seen = true;
    assert_int_equal(gp_tensor_count(t), B * t->dim[1] * T * T);
    const float *p = (const float *)t->data + t->dim[1] * T * T; /* the second row's */
    for (int64_t i = 0; i < t->dim[1] * T; i++)                  /* each head's last query */
        assert_near(p[i / T * T * T + (T - 1) * T + i % T], a->s->attentions[i], 1e-5, "a probability");
}

static void check_trace(gp_model *m, const setting *s, const gp_batch *batch)
{
    float logits[B * T * V];
    attentions a = {.s = s, .layer = (int)gp_model_config(m)->layers - 1};
    assert_int_equal(gp_trace_logits(m, batch, logits, look_at_attentions, NULL, &a), 0);
    assert_true(a.seen);
}

static void check(const setting *s, const char *backend)
{
    gp_config c = config_with(s->json);
    gp_backend *be = gp_backend_open(backend, "fp32", 2);
    gp_checkpoint *ckpt = gp_checkpoint_open("tests/golden/gpt2-tiny");
    gp_model *m = gp_model_create(&c, be, true);
    if (!ckpt || gp_checkpoint_load(ckpt, m))
        fail_msg("%s", gp_error());
    int32_t in[B * T], out[B * T];
    float logits[B * T * V];
    for (int i = 0; i < B * T; i++) {
        in[i] = tokens[i / T * (T + 1) + i % T];
        out[i] = tokens[i / T * (T + 1) + i % T + 1];
    }
    gp_batch batch = {.B = B, .T = T, .inputs = in, .targets = out};
    assert_int_equal(gp_model_logits(m, &batch, logits), 0);
    assert_logits(logits + (B * T - 1) * V, s->logits);
    check_trace(m, s, &batch);
    check_gradients(m, s, &batch);
    check_decoding(m, s, in + T);
    gp_model_free(m);
    gp_checkpoint_close(ckpt);
    gp_backend_close(be);
}

static void a_setting_computes_what_transformers_does(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++)
        for (size_t i = 0; i < ARRAY_LEN(settings); i++)
            check(&settings[i], backends[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_setting_computes_what_transformers_does)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
