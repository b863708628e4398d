/* Whole models on the CUDA backend against ref, in fp32, in bf16, and in that without masters: a training pass, twenty
 * steps of AdamW, text token for token, traces. One op after another, what each leaves is what the next one reads. */
#include "sides.h"

#include "gptpipe/sampler.h"
#include "model/model.h"
#include "train/optimizer.h"

enum { B = 2, T = 16, V = 40, L = 2, C = 32, H = 2, F = 4 * C, STEPS = 20, MAX = 64 };

/* How far the two may be apart, once rounding here has become another sum there. Ours, not a law: in fp32 hundreds of
 * roundings of 6e-8; in bf16 of 2e-3, of which most agree. AdamW's first steps go by a gradient's sign, however small
 * it is: so a tenth of what a row moved is a few numbers that went the other way. Without masters
 * some are rounded the other way too, by a 128th of themselves. */
typedef struct limits {
    double loss, gradient, moved;
} limits;

static limits limits_of(void)
{
    if (!strcmp(sides_dtype, "fp32"))
        return (limits){1e-6, 2e-5, 1e-3};
    return (limits){strcmp(sides_dtype, "bf16") ? 3e-3 : 1e-3, 2e-2, 1.5e-1};
}

static gp_config config(bool bert, double dropout)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = L;
    c.heads = H;
    c.channels = C;
    c.inner = F;
    c.positions = T;
    c.vocab_size = V;
    c.init_std = 0.1;
    if (bert) {
        c.family = GP_BERT;
        c.post_norm = true;
        c.causal = false;
        c.activation = GP_ACT_GELU_ERF;
        c.head = GP_HEAD_MLM;
        c.types = 2;
    }
    assert_int_equal(gp_config_check(&c, "test"), 0);
    c.dropout_embd = c.dropout_attn = c.dropout_resid = dropout;
    return c;
}

/* With a head for labels, in place of that for tokens: GPT-2's, or one with everything that RoBERTa's has. */
static gp_config classifier(bool bert, double dropout)
{
    gp_config c = config(bert, dropout);
    assert_int_equal(gp_config_classify(&c, 3, NULL, "test"), 0);
    c.head_last = !bert;
    c.head_dense = c.head_dense_drops = c.head_bias = bert;
    c.dropout_head = dropout;
    return c;
}

/* ---- training -------------------------------------------------------------------------------------------- */

/* Mostly an id follows from the one before: there is something to learn. */
static void draw(uint32_t step, int32_t *inputs, int32_t *targets)
{
    for (int b = 0; b < B; b++)
        for (int t = 0, id = 0; t <= T; t++) {
            int any = (int)gp_random_below(3, GP_RNG_DATA, step, (uint64_t)(b * 64 + t), V);
            id = t && any % 8 ? (id * 3 + 1) % V : any;
            if (t < T)
                inputs[b * T + t] = id;
            if (t)
                targets[b * T + t - 1] = id;
        }
}

/* A training pass as a step makes it, dropout included. Returns its loss. */
static double pass(gp_model *m, uint32_t step)
{
    static const int32_t lengths[B] = {T, T - 5}, labels[B] = {2, 0};
    int32_t inputs[B * T], targets[B * T], types[B * T];
    draw(step, inputs, targets);
    for (int i = 0; i < B * T; i++)
        types[i] = i % T > 6;
    bool bert = m->config.post_norm;
    gp_batch batch = {.B = B,
                      .T = T,
                      .inputs = inputs,
                      .targets = targets,
                      .types = bert ? types : NULL,
                      .lengths = bert ? lengths : NULL,
                      .labels = labels};
    targets[3] = -100;
    assert_int_equal(gp_model_plan(m, B, T), 0);
    assert_int_equal(gp_model_load(m, &m->acts, &batch), 0);
    m->host_step = (gp_step){.seed = 5,
                             .step = step,
                             .sample0 = 8,
                             .scale = 1.0f / (B * T - 1),
                             .lr = 3e-3f,
                             .bias1 = (float)(1 - pow(0.9, step + 1)),
                             .bias2 = (float)(1 - pow(0.95, step + 1)),
                             .max_norm = 1};
    gp_step_upload(m);
    m->be->ops->zero(m->be, m->g, (size_t)m->params.total * sizeof *m->g);
    m->dropping = true;
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), true);
    gp_model_backward(m, &m->acts);
    m->dropping = false;
    gp_step_download(m);
    return m->host_step.loss;
}

/* All gradients or parameters, a row at its offset. */
static float *gradients(gp_model *m)
{
    float *x = gp_calloc((size_t)m->params.total, sizeof *x);
    m->be->ops->download(m->be, x, m->g, (size_t)m->params.total * sizeof *x);
    return x;
}

static float *parameters(gp_model *m)
{
    float *x = gp_calloc((size_t)m->params.total, sizeof *x);
    for (int r = 0; r < m->params.count; r++)
        gp_model_row_download(m, &m->params.rows[r], x + m->params.rows[r].offset);
    return x;
}

static void assert_loss(const char *what, const double loss[SIDES])
{
    if (!(fabs(loss[DEVICE] - loss[REF]) <= limits_of().loss * loss[REF]))
        fail_msg("%s: loss %.8f, ref has %.8f", what, loss[DEVICE], loss[REF]);
}

/* Row by row of the table: ||device - ref|| <= limit ||ref - from||; from NULL: 0. Without the bias of keys: a softmax
 * does not see it, so its gradient is what rounding leaves, and AdamW makes whole steps of that. */
static void assert_rows(const gp_model *m, const float *ref, const float *device, const float *from, double limit)
{
    for (int r = 0; r < m->params.count; r++) {
        const gp_param *row = &m->params.rows[r];
        double off = 0, norm = 0;
        for (int64_t i = row->offset; i < row->offset + row->count; i++) {
            if (row->role == GP_QKV_B && (i - row->offset) / C == 1)
                continue;
            off += pow((double)device[i] - ref[i], 2);
            norm += pow((double)ref[i] - (from ? from[i] : 0), 2);
        }
        if (!(sqrt(off) <= limit * sqrt(norm)))
            fail_msg("%s %d: off by %.3g of %.3g, allowed %.0e of it", row->name, row->index, sqrt(off), sqrt(norm),
                     limit);
    }
}

static void one_pass_agrees(sides *s, gp_config c)
{
    gp_model *m[SIDES];
    double loss[SIDES];
    float *g[SIDES];
    for (int k = 0; k < SIDES; k++) {
        m[k] = gp_model_create(&c, s->be[k], true);
        gp_model_init(m[k], 11);
        loss[k] = pass(m[k], 0);
        g[k] = gradients(m[k]);
    }
    assert_loss(c.post_norm ? "bert" : "gpt2", loss);
    assert_rows(m[REF], g[REF], g[DEVICE], NULL, limits_of().gradient);
    for (int k = 0; k < SIDES; k++) {
        free(g[k]);
        gp_model_free(m[k]);
    }
}

static void a_training_pass_agrees(void **state)
{
    one_pass_agrees(*state, config(false, 0));
    one_pass_agrees(*state, config(true, 0));
    one_pass_agrees(*state, classifier(false, 0));
    one_pass_agrees(*state, classifier(true, 0));
}

static void a_training_pass_with_dropout_agrees(void **state)
{
    one_pass_agrees(*state, config(false, 0.2));
    one_pass_agrees(*state, config(true, 0.2));
    one_pass_agrees(*state, classifier(false, 0.2));
    one_pass_agrees(*state, classifier(true, 0.2));
}

static void twenty_steps_of_adamw_agree(void **state)
{
    sides *s = *state;
    gp_config c = config(false, 0.1);
    gp_model *m[SIDES];
    double loss[STEPS][SIDES];
    float *before = NULL, *after[SIDES];
    for (int k = 0; k < SIDES; k++) {
        gp_optimizer o;
        m[k] = gp_model_create(&c, s->be[k], true);
        gp_model_init(m[k], 11);
        gp_optimizer_open(&o, m[k], 0.9, 0.95, 1e-8, 0.1);
        if (!k)
            before = parameters(m[k]);
        for (uint32_t step = 0; step < STEPS; step++) {
            loss[step][k] = pass(m[k], step);
            gp_optimizer_step(&o, m[k]);
        }
        after[k] = parameters(m[k]);
        gp_optimizer_close(&o);
    }
    assert_true(loss[STEPS - 1][REF] < 0.9 * loss[0][REF]);
    for (int i = 0; i < STEPS; i++)
        assert_loss("a step", loss[i]);
    assert_rows(m[REF], after[REF], after[DEVICE], before, limits_of().moved);
    for (int k = 0; k < SIDES; k++) {
        free(after[k]);
        gp_model_free(m[k]);
    }
    free(before);
}

/* ---- text ------------------------------------------------------------------------------------------------ */

typedef struct drawn {
    int32_t ids[2][MAX];
    int64_t count[2];
} drawn;

static int keep(void *self, const gp_token_event *d)
{
    drawn *to = self;
    if (d->token)
        to->ids[d->sample][to->count[d->sample]++] = d->drawn.id;
    return 0;
}

/* The last row of both sides' logits behind these tokens; past the context, behind what is left of them there. */
static void logits_behind(sides *s, const int32_t *ids, int64_t count, float last[SIDES][V])
{
    gp_config c = config(false, 0);
    float *logits = gp_malloc(T * V * sizeof *logits);
    while (count > T)
        ids += T / 2, count -= T / 2;
    for (int k = 0; k < SIDES; k++) {
        gp_model *m = gp_model_create(&c, s->be[k], false);
        gp_model_init(m, 3);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = count, .inputs = ids}, logits), 0);
        memcpy(last[k], logits + (count - 1) * V, V * sizeof *logits);
        gp_model_free(m);
    }
    free(logits);
}

/* Whether a draw may be `other` in place of ref's because the device adds in another order. A sum in fp32 that becomes
 * another bf16 moves a logit by up to a percent, and with it one draw in some hundred: then both sides' logits agree as
 * far as rounding goes, and the two ids are neighbours. The greedy ones are no further apart than logits moved; drawn
 * ones, which are looked for in the order of ids, have little between them. */
static bool is_rounding(float last[SIDES][V], const gp_sampling *how, int32_t ref, int32_t other)
{
    const float *a = last[REF], *b = last[DEVICE];
    double off = 0, norm = 0, worst = 0, largest = -INFINITY, all = 0, between = 0;
    for (int i = 0; i < V; i++) {
        double d = (double)b[i] - a[i];
        off += d * d, norm += (double)a[i] * a[i];
        worst = fmax(worst, fabs(d));
        largest = fmax(largest, (double)a[i]);
    }
    if (!(sqrt(off) <= limits_of().gradient * sqrt(norm)))
        return false;
    if (how->temperature <= 0)
        return (double)a[ref] - a[other] <= 2 * worst;
    for (int i = 0; i < V; i++) {
        double p = exp((a[i] - largest) / how->temperature);
        all += p;
        between += i > gp_min(ref, other) && i < gp_max(ref, other) ? p : 0;
    }
    return between <= 0.05 * all;
}

/* Up to a draw that rounding explains; behind it they are other texts. The simulator adds as ref does, but for the last
 * bits of fp32: there all are the same. */
static void assert_text(sides *s, const gp_sampling *how, const int32_t *prompt, int64_t count, const int32_t *ref,
                        const int32_t *device, int64_t n)
{
    int32_t ids[MAX + T];
    float last[SIDES][V];
    int64_t i = 0;
    while (i < n && ref[i] == device[i])
        i++;
    if (i == n)
        return;
#ifndef GP_CUSIM
    memcpy(ids, prompt, (size_t)count * sizeof *ids);
    memcpy(ids + count, ref, (size_t)i * sizeof *ids);
    logits_behind(s, ids, count + i, last);
    if (is_rounding(last, how, ref[i], device[i]))
        return;
#else
    (void)s, (void)how, (void)prompt, (void)count, (void)ids, (void)last;
#endif
    fail_msg("token %lld is %d, ref's %d", (long long)i, device[i], ref[i]);
}

/* Past the context, so that the cache is filled anew too. */
static void text_agrees(sides *s, gp_sampling sampling)
{
    gp_config c = config(false, 0);
    drawn *got = gp_calloc(SIDES, sizeof *got);
    int32_t ids[] = {5, 6, 7};
    for (int k = 0; k < SIDES; k++) {
        gp_model *m = gp_model_create(&c, s->be[k], false);
        gp_model_init(m, 3);
        gp_generation how = {.sampling = sampling, .samples = 2, .max_tokens = T + 9};
        gp_prompt prompt = {.ids = ids, .count = 3};
        assert_int_equal(gp_generate_all(m, NULL, &prompt, 1, &how, keep, &got[k], NULL), 0);
        gp_model_free(m);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(got[REF].count[i], T + 9);
        assert_int_equal(got[DEVICE].count[i], T + 9);
        assert_text(s, &sampling, ids, 3, got[REF].ids[i], got[DEVICE].ids[i], T + 9);
    }
    free(got);
}

/* What rounding explains is little: a model that is wrong draws other ids, and is found. */
static void a_wrong_text_is_no_rounding(void **state)
{
    const int32_t ids[] = {5, 6, 7, 22, 9};
    const gp_sampling greedy = {.temperature = 0, .top_p = 1}, warm = {.temperature = 0.9, .top_p = 1};
    float last[SIDES][V];
    int32_t best = 0, second, explained = 0;
    logits_behind(*state, ids, 5, last);
    for (int i = 1; i < V; i++)
        best = last[REF][i] > last[REF][best] ? i : best;
    second = !best;
    for (int i = 0; i < V; i++)
        second = i != best && last[REF][i] > last[REF][second] ? i : second;
    assert_false(is_rounding(last, &greedy, best, second)); /* 2nd by more than rounding */
    for (int i = 0; i < V; i++)
        explained += is_rounding(last, &warm, best, i);
    assert_in_range(explained, 2, 8);               /* itself, and few of the 40 around it */
    last[DEVICE][best] = last[REF][second] + 1e-3f; /* logits that are another model's */
    last[DEVICE][second] = last[REF][best];
    last[DEVICE][0] += 5;
    assert_false(is_rounding(last, &greedy, best, second));
    assert_false(is_rounding(last, &warm, best, best));
    memcpy(last[DEVICE], last[REF], sizeof last[REF]); /* the two largest within what rounding moved */
    float moved = 0.1f * (float)limits_of().gradient * fabsf(last[REF][best]);
    last[REF][second] = last[REF][best] - moved;
    last[DEVICE][second] = last[REF][best] + moved;
    assert_true(is_rounding(last, &greedy, best, second));
}

static void greedy_text_is_the_same(void **state)
{
    text_agrees(*state, (gp_sampling){.temperature = 0, .top_p = 1});
}

static void sampled_text_is_the_same(void **state)
{
    text_agrees(*state, (gp_sampling){.temperature = 0.9, .top_k = 30, .top_p = 0.95, .min_p = 0.01, .seed = 7});
}

/* ---- traces ---------------------------------------------------------------------------------------------- */

typedef struct seen {
    char name[MAX][64];
    float *x[MAX];
    int64_t size[MAX];
    int count;
} seen;

static void note(void *self, const gp_traced *what, const gp_tensor *t)
{
    seen *to = self;
    char name[GP_PARAM_NAME];
    assert_int_equal(t->dtype, GP_F32);
    assert_true(to->count < MAX);
    snprintf(to->name[to->count], sizeof to->name[0], "%s", gp_traced_name(what, name));
    to->size[to->count] = gp_tensor_count(t);
    to->x[to->count] = gp_malloc((size_t)gp_tensor_bytes(t));
    memcpy(to->x[to->count++], t->data, (size_t)gp_tensor_bytes(t));
}

static void traces_agree(void **state)
{
    sides *s = *state;
    gp_config c = config(false, 0);
    seen *got = gp_calloc(SIDES, sizeof *got);
    int32_t inputs[B * T], targets[B * T];
    float *logits = gp_malloc(B * T * V * sizeof *logits);
    draw(0, inputs, targets);
    for (int k = 0; k < SIDES; k++) {
        gp_model *m = gp_model_create(&c, s->be[k], false);
        gp_model_init(m, 3);
        gp_batch batch = {.B = B, .T = T, .inputs = inputs};
        assert_int_equal(gp_model_trace(m, &batch, logits, &(gp_tracer){.fn = note, .self = &got[k]}), 0);
        gp_model_free(m);
    }
    assert_int_equal(got[DEVICE].count, got[REF].count);
    assert_true(got[REF].count > 20);
    for (int i = 0; i < got[REF].count; i++) {
        double off = 0, norm = 0;
        assert_string_equal(got[DEVICE].name[i], got[REF].name[i]);
        assert_int_equal(got[DEVICE].size[i], got[REF].size[i]);
        for (int64_t k = 0; k < got[REF].size[i]; k++) {
            off += pow((double)got[DEVICE].x[i][k] - got[REF].x[i][k], 2);
            norm += pow((double)got[REF].x[i][k], 2);
        }
        if (!(sqrt(off) <= limits_of().gradient * sqrt(norm)))
            fail_msg("%s: off by %.3g of %.3g", got[REF].name[i], sqrt(off), sqrt(norm));
        for (int k = 0; k < SIDES; k++)
            free(got[k].x[i]);
    }
    free(got);
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(a_training_pass_agrees),
        SIDES_TEST(a_training_pass_with_dropout_agrees),
        SIDES_TEST(twenty_steps_of_adamw_agree),
        SIDES_TEST(greedy_text_is_the_same),
        SIDES_TEST(sampled_text_is_the_same),
        SIDES_TEST(a_wrong_text_is_no_rounding),
        SIDES_TEST(traces_agree),
    };
    return sides_main("cuda whole models", tests) + sides_run("cuda whole models", "narrow", tests, ARRAY_LEN(tests));
}
