/* mfu.c: measuring passes, and the machine beside them. */
#include "gptpipe/mfu.h"
#include "base/rng.h"
#include "model/model.h"
#include "train/optimizer.h"

#include <stdlib.h>
#include <string.h>

double gp_measure_peak(gp_backend *be, int64_t n, double seconds)
{
    const gp_backend_ops *ops = be->ops;
    size_t bytes = (size_t)(n * n) * sizeof(float);
    float *host = gp_malloc(bytes);
    for (int64_t i = 0; i < n * n; i++)
        host[i] = (float)(i % 17) / 17;
    float *buffers[3];
    for (int i = 0; i < 3; i++) {
        buffers[i] = ops->alloc(be, bytes);
        ops->upload(be, buffers[i], host, bytes);
    }
    gp_tensor x = {.data = buffers[0], .dtype = be->act_dtype, .ndim = 2, .dim = {n, n}}, y = x;
    gp_weight w = {.w = {.data = buffers[1], .dtype = GP_F32, .ndim = 2, .dim = {n, n}}}, *list = &w;
    y.data = buffers[2];
    gp_backend_plan(be, &(gp_shape){.B = 1, .T = (int)n, .C = (int)n, .H = 1, .V = 1, .inner = (int)n});
    ops->weight_open(be, &w, n);
    size_t slot = ops->weight_bytes(be, &w);
    w.slot = slot ? ops->alloc(be, slot) : NULL;
    ops->weights_changed(be, &list, 1);

    double best = 1e30, end = gp_now() + seconds;
    for (int runs = 0; runs < 3 || gp_now() < end; runs++) {
        double begin = gp_now();
        ops->linear_forward(be, &(gp_linear_op){.x = &x, .w = &w, .y = &y});
        ops->sync(be);
        double took = gp_now() - begin;
        if (runs && took < best)
            best = took;
    }
    ops->weight_close(be, &w);
    if (slot)
        ops->free(be, w.slot, slot);
    for (int i = 0; i < 3; i++)
        ops->free(be, buffers[i], bytes);
    free(host);
    return 2.0 * (double)n * (double)n * (double)n / best;
}

double gp_measure_bandwidth(gp_backend *be, double seconds)
{
    size_t bytes = 256u << 20;
    void *a = be->ops->alloc(be, bytes), *b = be->ops->alloc(be, bytes);
    double best = 1e30, end = gp_now() + seconds;
    for (int runs = 0; runs < 3 || gp_now() < end; runs++) {
        double begin = gp_now();
        be->ops->copy(be, b, a, bytes);
        be->ops->sync(be);
        double took = gp_now() - begin;
        if (runs && took < best)
            best = took;
    }
    be->ops->free(be, a, bytes);
    be->ops->free(be, b, bytes);
    return 2.0 * (double)bytes / best;
}

/* ---- passes ---------------------------------------------------------------------------------------------
 */

typedef struct bench {
    gp_model *m;
    gp_optimizer optimizer;
    gp_batch batch;
    int32_t *inputs, *targets, *positions;
    int64_t decoded;
} bench;

static int forward_pass(bench *b)
{
    double loss;
    return gp_model_evaluate(b->m, &b->batch, &loss, NULL);
}

static int train_pass(bench *b)
{
    double loss;
    if (gp_model_gradients(b->m, &b->batch, &loss))
        return -1;
    b->m->host_step.bias1 = b->m->host_step.bias2 = 1; /* lr stays 0: the weights keep their values */
    gp_step_upload(b->m);
    gp_optimizer_step(&b->optimizer, b->m);
    return 0;
}

static int decode_pass(bench *b)
{
    for (int64_t i = 0; i < b->batch.B; i++)
        b->positions[i] = (int32_t)(b->decoded % b->batch.T);
    b->decoded++;
    return gp_model_decode(b->m, b->inputs, b->positions);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int repeat(bench *b, int (*pass)(bench *), double tokens, double seconds, gp_speed *speed)
{
    enum { MOST = 10000 };
    double *rate = gp_malloc(MOST * sizeof *rate);
    int64_t n = 0;
    int rc = pass(b); /* warm-up */
    double end = gp_now() + seconds;
    while (!rc && n < MOST && (n < 3 || gp_now() < end)) {
        double begin = gp_now();
        rc = pass(b);
        b->m->be->ops->sync(b->m->be);
        rate[n++] = tokens / (gp_now() - begin);
    }
    if (!rc) {
        qsort(rate, (size_t)n, sizeof *rate, ascending);
        speed->runs = n;
        speed->tok_s_least = rate[0];
        speed->tok_s = rate[n / 2];
        speed->tok_s_most = rate[n - 1];
    }
    free(rate);
    return rc;
}

static void bench_open(bench *b, gp_model *m, int64_t B, int64_t T)
{
    *b = (bench){.m = m};
    b->inputs = gp_malloc((size_t)(B * T) * sizeof *b->inputs);
    b->targets = gp_malloc((size_t)(B * T) * sizeof *b->targets);
    b->positions = gp_calloc((size_t)B, sizeof *b->positions);
    for (int64_t i = 0; i < B * T; i++) {
        b->inputs[i] =
            (int32_t)gp_random_below(1, GP_RNG_DATA, 0, (uint64_t)i, (uint64_t)m->config.vocab_size);
        b->targets[i] =
            (int32_t)gp_random_below(1, GP_RNG_DATA, 1, (uint64_t)i, (uint64_t)m->config.vocab_size);
    }
    b->batch = (gp_batch){.B = B, .T = T, .inputs = b->inputs, .targets = b->targets};
}

static void bench_close(bench *b)
{
    free(b->inputs);
    free(b->targets);
    free(b->positions);
}

int gp_measure_forward(gp_model *m, int64_t B, int64_t T, double seconds, gp_speed *speed)
{
    bench b;
    bench_open(&b, m, B, T);
    *speed = (gp_speed){.flops_token = gp_config_flops(&m->config, T)};
    int rc = repeat(&b, forward_pass, (double)(B * T), seconds, speed);
    bench_close(&b);
    return rc;
}

int gp_measure_train(gp_model *m, int64_t B, int64_t T, double seconds, gp_speed *speed)
{
    bench b;
    bench_open(&b, m, B, T);
    gp_optimizer_open(&b.optimizer, m, 0.9, 0.95, 1e-8, 0.1);
    *speed = (gp_speed){.flops_token = 3 * gp_config_flops(&m->config, T)};
    int rc = repeat(&b, train_pass, (double)(B * T), seconds, speed);
    gp_optimizer_close(&b.optimizer);
    bench_close(&b);
    return rc;
}

int gp_measure_decode(gp_model *m, int64_t B, int64_t T, double seconds, gp_speed *speed)
{
    bench b;
    if (gp_model_plan_cache(m, B, 1))
        return -1;
    bench_open(&b, m, B, T);
    *speed = (gp_speed){.flops_token = gp_config_flops(&m->config, T / 2)}; /* half full on average */
    int rc = repeat(&b, decode_pass, (double)B, seconds, speed);
    bench_close(&b);
    return rc;
}
