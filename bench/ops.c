/* ops.c: how long each op of a backend takes at the shapes of one model, beside what this machine can do at
 * most, measured in the same run: the rate of a large matrix product, and the bandwidth of a large copy.
 *
 *     build/bin/bench-ops                                  # nano: 12 x 64, 4 heads, 128 channels
 *     build/bin/bench-ops -B 4 -T 256 -C 768 -H 12 -V 50257
 *
 * The least of many times and their median are printed; rates are of the least, which on a busy machine is the one
 * that says something. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/rng.h"

typedef struct bench {
    gp_backend *be;
    int64_t B, T, C, H, V;
    double seconds;      /* for each op */
    const char *only;    /* ops whose names contain this */
    double flops, bytes; /* a second, at most */
    gp_step step;
    int32_t *tokens, *positions, *targets;
    gp_tensor x, y, sum, qkv, dqkv, h, pre, dh, dx, mean, rstd, lse, losses;                  /* activations */
    gp_tensor gamma, beta, dgamma, dbeta, bias, dbias, wte, wpe, dwte, dwpe, m, v, g, logits; /* parameters */
    gp_weight qkv_w, fc_w, out_w, head_w;
    gp_tensor dw;
    gp_kv kv;
} bench;

static gp_tensor make(bench *b, int ndim, int64_t d0, int64_t d1, int64_t d2)
{
    gp_tensor t = {.dtype = GP_F32, .ndim = ndim, .dim = {d0, d1, d2}};
    t.data = b->be->ops->alloc(b->be, (size_t)gp_tensor_bytes(&t));
    float *host = gp_malloc((size_t)gp_tensor_bytes(&t)), pair[2];
    for (int64_t i = 0; i < gp_tensor_count(&t); i++) {
        if (i % 2 == 0)
            gp_random_normal2(1, GP_RNG_INIT, 1, (uint64_t)i, pair);
        host[i] = 0.1f * pair[i % 2];
    }
    b->be->ops->upload(b->be, t.data, host, (size_t)gp_tensor_bytes(&t));
    free(host);
    return t;
}

static gp_weight weight(bench *b, gp_tensor w, bool transposed)
{
    gp_weight weight = {.w = w, .transposed = transposed, .trains = true};
    b->be->ops->weight_open(b->be, &weight, b->B * b->T);
    weight.slot = b->be->ops->alloc(b->be, b->be->ops->weight_bytes(b->be, &weight));
    b->be->ops->weights_changed(b->be, (gp_weight *[]){&weight}, 1);
    return weight;
}

static int32_t *ids(bench *b, int64_t n, int64_t limit)
{
    int32_t *ids = gp_malloc((size_t)n * sizeof *ids), *there;
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)gp_random_below(1, GP_RNG_DATA, 1, (uint64_t)i, (uint64_t)limit);
    there = b->be->ops->alloc(b->be, (size_t)n * sizeof *ids);
    b->be->ops->upload(b->be, there, ids, (size_t)n * sizeof *ids);
    free(ids);
    return there;
}

static void prepare(bench *b)
{
    int64_t B = b->B, T = b->T, C = b->C, V = b->V, F = 4 * C;
    gp_backend_plan(b->be, &(gp_shape){.B = (int)B,
                                       .T = (int)T,
                                       .C = (int)C,
                                       .H = (int)b->H,
                                       .V = (int)V,
                                       .inner = (int)F,
                                       .cache = (int)T,
                                       .train = true});
    b->tokens = ids(b, B * T, V), b->positions = ids(b, B * T, T), b->targets = ids(b, B * T, V);
    gp_tensor *like_x[] = {&b->x, &b->y, &b->sum, &b->dx};
    for (size_t i = 0; i < ARRAY_LEN(like_x); i++)
        *like_x[i] = make(b, 3, B, T, C);
    b->qkv = make(b, 3, B, T, 3 * C), b->dqkv = make(b, 3, B, T, 3 * C);
    b->h = make(b, 3, B, T, F), b->pre = make(b, 3, B, T, F), b->dh = make(b, 3, B, T, F);
    b->mean = make(b, 1, B * T, 0, 0), b->rstd = make(b, 1, B * T, 0, 0), b->losses = make(b, 1, B * T, 0, 0);
    b->lse = make(b, 3, B, b->H, T);
    gp_tensor *like_c[] = {&b->gamma, &b->beta, &b->dgamma, &b->dbeta};
    for (size_t i = 0; i < ARRAY_LEN(like_c); i++)
        *like_c[i] = make(b, 1, C, 0, 0);
    b->bias = make(b, 1, F, 0, 0), b->dbias = make(b, 1, F, 0, 0);
    b->wte = make(b, 2, V, C, 0), b->wpe = make(b, 2, T, C, 0);
    b->dwte = make(b, 2, V, C, 0), b->dwpe = make(b, 2, T, C, 0);
    b->dw = make(b, 2, C, F, 0), b->g = make(b, 2, C, 12 * C, 0);
    b->m = make(b, 2, C, 12 * C, 0), b->v = make(b, 2, C, 12 * C, 0), b->logits = make(b, 2, 1, V, 0);
    b->qkv_w = weight(b, make(b, 2, C, 3 * C, 0), false);
    b->fc_w = weight(b, make(b, 2, C, F, 0), false);
    b->out_w = weight(b, make(b, 2, F, C, 0), false);
    b->head_w = weight(b, b->wte, true);
    gp_tensor kv = make(b, 3, B * b->H, T, C / b->H);
    b->kv.k = b->kv.v = (gp_tensor){kv.data, GP_F32, 4, {B, b->H, T, C / b->H}};
    b->step = (gp_step){.seed = 1, .scale = 1, .lr = 1e-9f, .bias1 = 1, .bias2 = 1, .clip_scale = 1};
}

/* ---- the ops --------------------------------------------------------------------------------------------- */

typedef void op(bench *b);

static void qkv_forward(bench *b)
{
    b->be->ops->linear_forward(b->be, &(gp_linear_op){.x = &b->x, .w = &b->qkv_w, .y = &b->qkv});
}

static void qkv_backward(bench *b)
{
    gp_tensor dbias = {b->dbias.data, GP_F32, 1, {3 * b->C}};
    b->be->ops->linear_backward(b->be, &(gp_linear_op){.x = &b->x,
                                                       .w = &b->qkv_w,
                                                       .dy = &b->qkv,
                                                       .dx = &b->dx,
                                                       .dw = &(gp_tensor){b->dw.data, GP_F32, 2, {b->C, 3 * b->C}},
                                                       .dbias = &dbias});
}

static void fc_forward(bench *b)
{
    b->be->ops->linear_forward(
        b->be, &(gp_linear_op){
                   .x = &b->x, .w = &b->fc_w, .bias = &b->bias, .y = &b->h, .pre = &b->pre, .act = GP_ACT_GELU_TANH});
}

static void fc_backward(bench *b)
{
    b->be->ops->linear_backward(
        b->be, &(gp_linear_op){.x = &b->x, .w = &b->fc_w, .dy = &b->h, .dx = &b->dx, .dw = &b->dw, .dbias = &b->dbias});
}

static void out_forward(bench *b)
{
    b->be->ops->linear_forward(b->be, &(gp_linear_op){.x = &b->h, .w = &b->out_w, .y = &b->y});
}

static void out_backward(bench *b)
{
    b->be->ops->linear_backward(b->be, &(gp_linear_op){.x = &b->h,
                                                       .w = &b->out_w,
                                                       .dy = &b->y,
                                                       .dx = &b->dh,
                                                       .dw = &(gp_tensor){b->dw.data, GP_F32, 2, {4 * b->C, b->C}},
                                                       .in_act = GP_ACT_GELU_TANH,
                                                       .in_pre = &b->pre,
                                                       .dbias = &b->dbeta});
}

static void embed(bench *b, bool backward)
{
    gp_embed_op op = {.tokens = b->tokens,
                      .positions = b->positions,
                      .pad_token = -1,
                      .pad_position = -1,
                      .wte = &b->wte,
                      .wpe = &b->wpe,
                      .y = &b->y,
                      .dy = &b->x,
                      .dwte = &b->dwte,
                      .dwpe = &b->dwpe};
    (backward ? b->be->ops->embed_backward : b->be->ops->embed_forward)(b->be, &op);
}

static void embed_forward(bench *b)
{
    embed(b, false);
}

static void embed_backward(bench *b)
{
    embed(b, true);
}

static void dropout(bench *b)
{
    b->be->ops->dropout(b->be, &b->y, (gp_dropout){0.1f, 1, &b->step});
}

static void norm(bench *b, bool backward)
{
    gp_norm_op op = {.residual = &b->x,
                     .branch = &b->qkv,
                     .gamma = &b->gamma,
                     .beta = &b->beta,
                     .eps = 1e-5f,
                     .sum = &b->sum,
                     .y = &b->y,
                     .mean = &b->mean,
                     .rstd = &b->rstd,
                     .dy = &b->x,
                     .dcarry = &b->dx,
                     .dsum = &b->dx,
                     .dbranch = &b->dx,
                     .dgamma = &b->dgamma,
                     .dbeta = &b->dbeta};
    (backward ? b->be->ops->norm_backward : b->be->ops->norm_forward)(b->be, &op);
}

static void norm_forward(bench *b)
{
    norm(b, false);
}

static void norm_backward(bench *b)
{
    norm(b, true);
}

static void attention(bench *b, bool backward, float p)
{
    gp_attention_op op = {.heads = (int)b->H,
                          .causal = true,
                          .qkv = &b->qkv,
                          .out = &b->y,
                          .lse = &b->lse,
                          .dout = &b->x,
                          .dqkv = &b->dqkv,
                          .drop = {p, 1, &b->step}};
    (backward ? b->be->ops->attention_backward : b->be->ops->attention_forward)(b->be, &op);
}

static void attention_forward(bench *b)
{
    attention(b, false, 0);
}

static void attention_backward(bench *b)
{
    attention(b, true, 0);
}

static void attention_dropout(bench *b)
{
    attention(b, false, 0.1f);
}

static void head(bench *b, bool train)
{
    b->be->ops->head_loss(b->be, &(gp_head_op){.x = &b->x,
                                               .w = &b->head_w,
                                               .targets = b->targets,
                                               .step = &b->step,
                                               .losses = &b->losses,
                                               .train = train,
                                               .dx = &b->dx,
                                               .dw = &b->dwte});
}

static void head_loss(bench *b)
{
    head(b, false);
}

static void head_train(bench *b)
{
    head(b, true);
}

static gp_segment segment(bench *b)
{
    return (gp_segment){b->qkv_w.w.data, b->qkv_w.w.data, b->m.data, b->v.data, 3 * b->C * b->C, 0.1f, GP_F32, 0, 1};
}

static void grad_norm(bench *b)
{
    gp_segment s = {b->g.data, b->g.data, b->m.data, b->v.data, 12 * b->C * b->C, 0.1f, GP_F32, 0, 1};
    b->be->ops->grad_norm(b->be, &s, 1, &b->step);
    b->step.skip = 0;
}

static void adamw(bench *b)
{
    gp_segment s = segment(b);
    b->be->ops->adamw(b->be, &(gp_adamw_op){&s, 1, 0.9f, 0.95f, 1e-8f, &b->step});
}

static void fc_decode(bench *b)
{
    gp_tensor x = {b->x.data, GP_F32, 2, {1, b->C}}, y = {b->h.data, GP_F32, 2, {1, 4 * b->C}};
    b->be->ops->linear_decode(
        b->be, &(gp_linear_op){.x = &x, .w = &b->fc_w, .bias = &b->bias, .y = &y, .act = GP_ACT_GELU_TANH});
}

static void head_decode(bench *b)
{
    gp_tensor x = {b->x.data, GP_F32, 2, {1, b->C}};
    b->be->ops->head_decode(b->be, &(gp_head_op){.x = &x, .w = &b->head_w, .logits = &b->logits});
}

static void attention_decode(bench *b)
{
    int32_t last = (int32_t)b->T - 1;
    gp_tensor qkv = {b->qkv.data, GP_F32, 3, {1, 1, 3 * b->C}}, out = {b->y.data, GP_F32, 3, {1, 1, b->C}};
    b->be->ops->attention_cached(b->be, &(gp_attention_cached_op){(int)b->H, &last, &qkv, &b->kv, &out, 0});
}

/* ---- timing ---------------------------------------------------------------------------------------------- */

/* One thread's time is its processor's, which others' work disturbs less; several threads' is the clock's. */
static double now(const bench *b)
{
    struct timespec t;
    if (b->be->threads > 1)
        return gp_now();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the least; *median gets the median. */
static double measure(bench *b, op *run, double *median)
{
    enum { MAX = 10000 };
    double took[MAX];
    double end = gp_now() + b->seconds;
    int n = 0;
    run(b);
    while (n < 5 || (n < MAX && gp_now() < end)) {
        double start = now(b);
        run(b);
        took[n++] = now(b) - start;
    }
    qsort(took, (size_t)n, sizeof *took, ascending);
    *median = took[n / 2];
    return took[0];
}

/* flops or bytes of one run; the other is 0. */
static void show(bench *b, const char *name, op *run, double flops, double bytes)
{
    if (!strstr(name, b->only))
        return;
    double median, t = measure(b, run, &median);
    printf("%-20s %10.3f %10.3f", name, t * 1e3, median * 1e3);
    if (flops > 0)
        printf("   %8.1f GFLOP/s %5.0f%% of a large product\n", flops / t * 1e-9, 100 * flops / t / b->flops);
    else
        printf("   %8.1f GB/s    %5.0f%% of a large copy\n", bytes / t * 1e-9, 100 * bytes / t / b->bytes);
}

static void show_all(bench *b)
{
    double N = (double)(b->B * b->T), C = (double)b->C, V = (double)b->V, T = (double)b->T, x = 4 * N * C;
    double attention = 2 * 2 * N * T * C / 2; /* q k^T and p v, half of it masked */
    printf("%-20s %10s %10s\n", "op", "least ms", "median");
    show(b, "qkv forward", qkv_forward, 2 * N * C * 3 * C, 0);
    show(b, "qkv backward", qkv_backward, 4 * N * C * 3 * C, 0);
    show(b, "fc+gelu forward", fc_forward, 2 * N * C * 4 * C, 0);
    show(b, "fc backward", fc_backward, 4 * N * C * 4 * C, 0);
    show(b, "out forward", out_forward, 2 * N * C * 4 * C, 0);
    show(b, "out+gelu backward", out_backward, 4 * N * C * 4 * C, 0);
    show(b, "attention forward", attention_forward, attention, 0);
    show(b, "with dropout", attention_dropout, attention, 0);
    attention_forward(b); /* backward reads what it left */
    show(b, "attention backward", attention_backward, 2.5 * attention, 0);
    show(b, "head loss", head_loss, 2 * N * C * V, 0);
    show(b, "head loss+backward", head_train, 6 * N * C * V, 0);
    show(b, "norm forward", norm_forward, 0, 4 * x);
    show(b, "norm backward", norm_backward, 0, 4 * x);
    show(b, "embed forward", embed_forward, 0, 3 * x);
    show(b, "embed backward", embed_backward, 0, 5 * x);
    show(b, "dropout", dropout, 0, 2 * x);
    show(b, "grad_norm 12CC", grad_norm, 0, 4 * 12 * C * C);
    show(b, "adamw 3CC", adamw, 0, 28 * 3 * C * C);
    show(b, "fc decode", fc_decode, 0, 4 * 4 * C * C);
    show(b, "head decode", head_decode, 0, 4 * C * V);
    show(b, "attention decode", attention_decode, 0, 8 * T * C);
}

/* ---- the machine ----------------------------------------------------------------------------------------- */

/* A product of 1024 x 1024 x 1024, and a copy of 64 MiB in each thread's share. */
static void measure_machine(bench *b)
{
    const int64_t n = 1024;
    gp_tensor x = make(b, 2, n, n, 0), y = make(b, 2, n, n, 0), w = make(b, 2, n, n, 0);
    gp_weight weight = {.w = w};
    double best = 1e9;
    gp_backend_plan(b->be, &(gp_shape){.B = 1, .T = (int)n, .C = (int)n, .H = 8, .V = 2, .inner = (int)n});
    b->be->ops->weight_open(b->be, &weight, n);
    weight.slot = b->be->ops->alloc(b->be, b->be->ops->weight_bytes(b->be, &weight));
    b->be->ops->weights_changed(b->be, (gp_weight *[]){&weight}, 1);
    for (int i = 0; i < 30; i++) {
        double start = now(b);
        b->be->ops->linear_forward(b->be, &(gp_linear_op){.x = &x, .w = &weight, .y = &y});
        b->be->ops->sync(b->be);
        double t = now(b) - start;
        best = t < best ? t : best;
    }
    b->flops = 2.0 * (double)(n * n * n) / best;

    int64_t count = (int64_t)16 << 20, parts = b->be->threads;
    gp_tensor from = make(b, 1, count, 0, 0), to = make(b, 1, count, 0, 0);
    best = 1e9;
    for (int i = 0; i < 20; i++) {
        double start = now(b);
#pragma omp parallel for schedule(static, 1) num_threads((int)parts)
        for (int64_t part = 0; part < parts; part++)
            memcpy((float *)to.data + count * part / parts, (float *)from.data + count * part / parts,
                   (size_t)(count / parts) * sizeof(float));
        double t = now(b) - start;
        best = t < best ? t : best;
    }
    b->bytes = 2.0 * (double)gp_tensor_bytes(&from) / best;
}

int main(int argc, char **argv)
{
    bench b = {.B = 12, .T = 64, .C = 128, .H = 4, .V = 65, .seconds = 0.3, .only = ""};
    const char *name = "cpu", *dtype = "fp32";
    int threads = 0;
    for (int c; (c = getopt(argc, argv, "b:d:t:s:o:B:T:C:H:V:")) != -1;) {
        int64_t *size = c == 'B' ? &b.B : c == 'T' ? &b.T : c == 'C' ? &b.C : c == 'H' ? &b.H : &b.V;
        if (c == 'b')
            name = optarg;
        else if (c == 'd')
            dtype = optarg;
        else if (c == 't')
            threads = atoi(optarg);
        else if (c == 'o')
            b.only = optarg;
        else if (c == 's')
            b.seconds = atof(optarg);
        else if (c == '?' || (*size = atoi(optarg)) < 1)
            return fprintf(stderr, "bench-ops [-b backend] [-d dtype] [-t threads] [-s seconds] [-o op] [-B "
                                   "-T -C -H -V n]\n"),
                   2;
    }
    b.be = gp_backend_open(name, dtype, threads);
    if (!b.be || b.C % b.H)
        return fprintf(stderr, "bench-ops: %s\n", b.be ? "-H does not divide -C" : gp_error()), 1;
    measure_machine(&b);
    printf("%s, %s, %s, %d threads: product %.1f GFLOP/s, copy %.1f GB/s\n", gp_backend_name(b.be),
           gp_backend_device(b.be), gp_backend_dtype(b.be), gp_backend_threads(b.be), b.flops * 1e-9, b.bytes * 1e-9);
    printf("B %lld T %lld C %lld H %lld V %lld\n\n", (long long)b.B, (long long)b.T, (long long)b.C, (long long)b.H,
           (long long)b.V);
    prepare(&b);
    show_all(&b);
    return 0;
}
