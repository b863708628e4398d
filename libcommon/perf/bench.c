/* bench.c: see bench.h. */
#include "perf/bench.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[GP_PASSES] = {"forward", "train", "prefill", "decode"}; /* of pass 1 << i */

const char *gp_pass_name(gp_pass pass)
{
    return names[__builtin_ctz((unsigned)pass)];
}

int gp_passes_parse(const char *text)
{
    int set = 0;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ",");
        char *name = gp_strndup(p, n);
        int i = gp_find_name(names, GP_PASSES, name);
        free(name);
        if (i < 0)
            return fail("'%.*s' is not a pass; there are forward, train, prefill and decode", (int)n, p), 0;
        set |= 1 << i;
        p += n + (p[n] == ',');
    }
    return set ? set : (fail("no pass is given; there are forward, train, prefill and decode"), 0);
}

bool gp_bench_plan(const gp_mfu_plan *plan, const gp_config *c, int i, gp_pass *pass, int64_t *B, int64_t *T)
{
    *pass = (gp_pass)(1 << i);
    *B = *pass == GP_PASS_DECODE ? plan->decode_batch : *pass == GP_PASS_PREFILL ? 1 : plan->batch_size;
    *T = plan->seq_len ? plan->seq_len : gp_config_context(c);
    bool generates = *pass == GP_PASS_PREFILL || *pass == GP_PASS_DECODE;
    return plan->passes & (int)*pass && (!generates || (c->causal && c->head == GP_HEAD_LM));
}

/* ---- passes ---------------------------------------------------------------------------------------------- */

static int forward_pass(gp_bench *b)
{
    double loss;
    return gp_model_evaluate(b->m, &b->batch, &loss, NULL);
}

static int train_pass(gp_bench *b)
{
    gp_model *m = b->m;
    if (gp_model_load(m, &m->acts, &b->batch))
        return -1;
    m->host_step = (gp_step){.scale = (float)(1 / b->tokens), .bias1 = 1, .bias2 = 1}; /* lr 0: the weights stay */
    gp_step_upload(m);
    gp_model_begin_gradients(m);
    gp_model_learn(m, &m->acts, false);
    gp_optimizer_step(&b->optimizer, m);
    return 0;
}

static int prefill_pass(gp_bench *b)
{
    return gp_model_prefill(b->m, 0, b->inputs, b->batch.T);
}

/* Generates GP_DECODED tokens in each row, with sample's default settings. The starting position moves by the golden
 * ratio of T from run to run, so that a few runs already represent the whole context. */
static int decode_pass(gp_bench *b)
{
    double at = 0.6180339887498949 * (double)b->decoded++;
    for (int64_t i = 0; i < b->batch.B; i++)
        gp_rows_set(b->m, i, i, 0, 1 + (int64_t)((at - floor(at)) * (double)b->batch.T));
    for (int i = 0; i < GP_DECODED; i++)
        gp_rows_step(b->m);
    return 0;
}

/* Bytes that a token reads from memory when B are decoded at once: its share of the weights of matrix products, and the
 * keys and values of its row, T/2 positions on average. */
static double decode_bytes(const gp_config *c, int64_t B, int64_t T, double weight_size, int size)
{
    double L = (double)c->layers, C = (double)c->channels;
    double weights = gp_config_flops(c, 0) / 2 * weight_size;
    return weights / (double)B + 2 * L * C * (double)T / 2 * size;
}

int64_t gp_bench_targets(const gp_config *c, int64_t B, int64_t T)
{
    return c->head == GP_HEAD_MLM ? gp_max(1, B * T * 15 / 100) : B * T;
}

double gp_bench_flops(const gp_config *c, int64_t B, int64_t T)
{
    return gp_config_flops_masked(c, T, (double)gp_bench_targets(c, B, T) / (double)(B * T));
}

void gp_bench_describe(const gp_config *c, gp_pass pass, int64_t B, int64_t T, double weight_size, int size,
                       gp_speed *s)
{
    double head = 2 * (double)c->channels * (double)c->vocab_size;
    double hidden = c->causal ? 2 * (double)c->layers * (double)c->channels * (double)(T - 1) : 0;
    *s = (gp_speed){.flops_token = gp_bench_flops(c, B, T)};
    s->flops_causal = s->flops_token - hidden;
    if (pass == GP_PASS_TRAIN)
        s->flops_token *= 3, s->flops_causal *= 3;
    if (pass == GP_PASS_PREFILL) /* logits only of the last token */
        s->flops_token -= head * (double)(T - 1) / (double)T, s->flops_causal = s->flops_token - hidden;
    if (pass == GP_PASS_DECODE) {
        s->flops_token = s->flops_causal = gp_config_flops(c, T / 2); /* the cache is half full on average */
        s->bytes_token = decode_bytes(c, B, T, weight_size, size);
    }
}

int gp_bench_open(gp_bench *b, gp_model *m, gp_pass pass, int64_t B, int64_t T)
{
    bool cached = pass == GP_PASS_PREFILL || pass == GP_PASS_DECODE;
    *b = (gp_bench){.m = m, .steps = pass == GP_PASS_DECODE ? GP_DECODED : 1};
    b->tokens = (double)(pass == GP_PASS_DECODE ? B * GP_DECODED : B * T);
    b->run = pass == GP_PASS_FORWARD   ? forward_pass
             : pass == GP_PASS_TRAIN   ? train_pass
             : pass == GP_PASS_PREFILL ? prefill_pass
                                       : decode_pass;
    if (pass == GP_PASS_TRAIN && !m->trains)
        return fail("the model was created without gradients: training cannot be measured");
    if (T < 1 || T > gp_config_context(&m->config))
        return fail("%lld tokens a sequence: the model's context is %lld", (long long)T,
                    (long long)gp_config_context(&m->config));
    if (m->config.head == GP_HEAD_NONE)
        return fail("the model has no head: no pass of it is measured");
    if (cached ? gp_model_plan_cache(m, B, pass == GP_PASS_PREFILL ? T : 1) : gp_model_plan(m, B, T))
        return -1;
    if (pass == GP_PASS_DECODE)
        gp_rows_plan(m, &(gp_sampling){.temperature = 0.8, .top_p = 1, .seed = 1}, false, 0);
    if (pass == GP_PASS_TRAIN)
        gp_optimizer_open(&b->optimizer, m, 0.9, 0.95, 1e-8, 0.1);
    b->inputs = gp_malloc((size_t)(B * T) * sizeof *b->inputs);
    b->targets = gp_malloc((size_t)(B * T) * sizeof *b->targets);
    b->labels = gp_calloc((size_t)B, sizeof *b->labels);
    uint64_t V = (uint64_t)m->config.vocab_size;
    int64_t targets = gp_bench_targets(&m->config, B, T);
    for (int64_t i = 0; i < B * T; i++) {
        b->inputs[i] = (int32_t)gp_random_below(1, GP_RNG_DATA, 0, (uint64_t)i, V);
        b->targets[i] = (int32_t)gp_random_below(1, GP_RNG_DATA, 1, (uint64_t)i, V);
        if ((i + 1) * targets / (B * T) == i * targets / (B * T)) /* at even distances */
            b->targets[i] = -100;
    }
    b->batch = (gp_batch){.B = B, .T = T, .inputs = b->inputs, .targets = b->targets, .labels = b->labels};
    return 0;
}

void gp_bench_close(gp_bench *b)
{
    if (b->optimizer.segments)
        gp_optimizer_close(&b->optimizer);
    free(b->inputs);
    free(b->targets);
    free(b->labels);
}
