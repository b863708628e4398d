/* test_ref_promises.c: what ref promises beside its numbers: the same bits with any number of threads, a
 * cache that changes nothing, steps that are skipped, and clear refusals. */
#include "backend/backend.h"
#include "base/rng.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 19, H = 3, D = 5, C = H * D, V = 70, N = B * T };

/* Everything of one small step; random where it is read, zero where it accumulates. */
typedef struct numbers {
    float x[N * C], branch[N * C], gamma[C], beta[C], w[C * 3 * C], table[V * C], dy[N * 3 * C];
    float embedded[N * C], sum[N * C], y[N * C], mean[N], rstd[N], qkv[N * 3 * C], out[N * C], lse[B * H * T];
    float dqkv[N * 3 * C], dx[N * C], dsum[N * C], dbranch[N * C], losses[N], logits[N * V];
    float dgamma[C], dbeta[C], dw[C * 3 * C], dbias[3 * C], dtable[V * C], dwpe[V * C], m[V * C], v[V * C];
    int32_t ids[N], drawn[N];
    gp_step step;
} numbers;

static void fill(float *x, size_t count, uint32_t stream)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(2 * gp_random_double(5, 100, stream, i) - 1);
}

static gp_tensor view3(float *data, int c)
{
    return gp_tensor_view(data, GP_F32, 3, B, T, c);
}

static void run_head_and_optimizer(gp_backend *be, numbers *n, gp_tensor *x, gp_tensor *dx, const int32_t *ids)
{
    gp_weight table = {.w = gp_tensor_view(n->table, GP_F32, 2, V, C), .transposed = true, .trains = true};
    gp_tensor dtable = gp_tensor_view(n->dtable, GP_F32, 2, V, C), logits = gp_tensor_view(n->logits, GP_F32, 2, N, V);
    gp_tensor losses = gp_tensor_view(n->losses, GP_F32, 1, N);
    gp_head_op head = {.x = x,
                       .w = &table,
                       .targets = ids,
                       .step = &n->step,
                       .losses = &losses,
                       .train = true,
                       .dx = dx,
                       .dw = &dtable,
                       .logits = &logits};
    be->ops->head_loss(be, &head);
    be->ops->head_logits(be, &head);
    be->ops->sample(be, &(gp_sample_op){.logits = &logits,
                                        .vocab = V,
                                        .temperature = 1,
                                        .top_p = 0.9f,
                                        .top_k = 20,
                                        .samples = ids,
                                        .positions = n->drawn,
                                        .ids = n->ids});
    const gp_segment segment = {n->table, n->dtable, n->m, n->v, V * C, 0.1f, GP_F32, 0, 1};
    be->ops->grad_norm(be, &segment, 1, &n->step);
    be->ops->adamw(be, &(gp_adamw_op){&segment, 1, 0.9f, 0.95f, 1e-8f, &n->step});
}

static void run_step(int threads, numbers *n)
{
    static int32_t ids[N];
    gp_backend *be = gp_backend_open("ref", "fp32", threads);
    assert_non_null(be);
#ifdef _OPENMP
    assert_int_equal(gp_backend_threads(be), threads);
#endif
    gp_backend_plan(be, &(gp_shape){.B = B, .T = T, .C = C, .H = H, .V = V, .inner = 4 * C, .train = true});
    memset(n, 0, sizeof *n);
    n->step = (gp_step){.seed = 3, .scale = 1.0f / N, .lr = 1e-3f, .bias1 = 0.1f, .bias2 = 0.05f, .max_norm = 1e-3f};
    fill(n->x, N * C, 0), fill(n->branch, N * C, 1), fill(n->gamma, C, 2), fill(n->beta, C, 3);
    fill(n->w, C * 3 * C, 4), fill(n->table, V * C, 5), fill(n->dy, N * 3 * C, 6);
    for (int i = 0; i < N; i++)
        ids[i] = i * i % V;
    const gp_dropout drop = {.p = 0.2f, .site = 1, .step = &n->step};
    gp_tensor x = view3(n->x, C), branch = view3(n->branch, C), embedded = view3(n->embedded, C);
    gp_tensor sum = view3(n->sum, C), y = view3(n->y, C), qkv = view3(n->qkv, 3 * C), out = view3(n->out, C);
    gp_tensor dqkv = view3(n->dqkv, 3 * C), dx = view3(n->dx, C), dy = view3(n->dy, C);
    gp_tensor dsum = view3(n->dsum, C), dbranch = view3(n->dbranch, C);
    gp_tensor lse = gp_tensor_view(n->lse, GP_F32, 3, B, H, T), mean = gp_tensor_view(n->mean, GP_F32, 1, N);
    gp_tensor rstd = gp_tensor_view(n->rstd, GP_F32, 1, N), gamma = gp_tensor_view(n->gamma, GP_F32, 1, C);
    gp_tensor beta = gp_tensor_view(n->beta, GP_F32, 1, C), dgamma = gp_tensor_view(n->dgamma, GP_F32, 1, C);
    gp_tensor dbeta = gp_tensor_view(n->dbeta, GP_F32, 1, C), dbias = gp_tensor_view(n->dbias, GP_F32, 1, 3 * C);
    gp_tensor table = gp_tensor_view(n->table, GP_F32, 2, V, C), dtable = gp_tensor_view(n->dtable, GP_F32, 2, V, C);
    gp_tensor dwpe = gp_tensor_view(n->dwpe, GP_F32, 2, V, C), dw = gp_tensor_view(n->dw, GP_F32, 2, C, 3 * C);
    gp_weight w = {.w = gp_tensor_view(n->w, GP_F32, 2, C, 3 * C), .trains = true};

    gp_embed_op embed = {.tokens = ids,
                         .positions = ids,
                         .pad_token = -1,
                         .pad_position = -1,
                         .drop = drop,
                         .wte = &table,
                         .wpe = &table,
                         .y = &embedded,
                         .dy = &dy,
                         .dwte = &dtable,
                         .dwpe = &dwpe};
    gp_norm_op norm = {.residual = &embedded,
                       .branch = &branch,
                       .gamma = &gamma,
                       .beta = &beta,
                       .eps = 1e-5f,
                       .drop = drop,
                       .sum = &sum,
                       .y = &y,
                       .mean = &mean,
                       .rstd = &rstd,
                       .dy = &dx,
                       .dcarry = &dy,
                       .dsum = &dsum,
                       .dbranch = &dbranch,
                       .dgamma = &dgamma,
                       .dbeta = &dbeta};
    gp_linear_op linear = {
        .x = &y, .w = &w, .act = GP_ACT_GELU_TANH, .y = &qkv, .dy = &dqkv, .dx = &dx, .dw = &dw, .dbias = &dbias};
    gp_attention_op attention = {
        .heads = H, .causal = true, .drop = drop, .qkv = &qkv, .out = &out, .lse = &lse, .dout = &dy, .dqkv = &dqkv};
    be->ops->embed_forward(be, &embed);
    be->ops->norm_forward(be, &norm);
    be->ops->linear_forward(be, &linear);
    be->ops->attention_forward(be, &attention);
    be->ops->dropout(be, &x, drop);
    run_head_and_optimizer(be, n, &out, &dy, ids);
    be->ops->attention_backward(be, &attention);
    be->ops->linear_backward(be, &linear);
    be->ops->norm_backward(be, &norm);
    be->ops->embed_backward(be, &embed);
    gp_backend_close(be);
}

static void the_bits_are_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    static numbers one, some;
    const int threads[] = {2, 3, 7};
    run_step(1, &one);
    assert_true(one.step.loss > 0 && isfinite(one.step.loss) && one.step.clip_scale < 1);
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        run_step(threads[i], &some);
        assert_memory_equal(&one, &some, sizeof one);
    }
}

static gp_backend *be;

static int open_ref(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "auto", 2);
    if (!be)
        return -1;
    gp_backend_plan(be, &(gp_shape){.B = B, .T = T, .C = C, .H = H, .V = V, .inner = 4 * C});
    return 0;
}

static int close_ref(void **state)
{
    (void)state;
    gp_backend_close(be);
    return 0;
}

/* Prefill some positions, decode the rest one by one: each row has the bits of the whole forward. */
static void decoding_with_a_cache_is_the_whole_forward(void **state)
{
    (void)state;
    enum { P = T, PREFILL = 4 };
    static float qkv[N * 3 * C], whole[N * C], part[N * C], k[B * H * P * D], v[B * H * P * D];
    static float short_qkv[B * PREFILL * 3 * C], short_out[B * PREFILL * C];
    fill(qkv, N * 3 * C, 0), fill(k, B * H * P * D, 1), fill(v, B * H * P * D, 2); /* the cache starts dirty */
    gp_tensor tq = view3(qkv, 3 * C), tw = view3(whole, C);
    be->ops->attention_forward(be, &(gp_attention_op){.heads = H, .causal = true, .qkv = &tq, .out = &tw});
    for (int b = 0; b < B; b++)
        memcpy(short_qkv + b * PREFILL * 3 * C, qkv + b * T * 3 * C, PREFILL * 3 * C * sizeof(float));
    gp_kv kv = {gp_tensor_view(k, GP_F32, 4, B, H, P, D), gp_tensor_view(v, GP_F32, 4, B, H, P, D)};
    gp_tensor sq = gp_tensor_view(short_qkv, GP_F32, 3, B, PREFILL, 3 * C);
    gp_tensor so = gp_tensor_view(short_out, GP_F32, 3, B, PREFILL, C);
    be->ops->attention_cached(be, &(gp_attention_cached_op){.heads = H, .qkv = &sq, .kv = &kv, .out = &so});
    for (int b = 0; b < B; b++)
        memcpy(part + b * T * C, short_out + b * PREFILL * C, PREFILL * C * sizeof(float));
    for (int t = PREFILL; t < T; t++) {
        float row[B * 3 * C], out[B * C];
        const int32_t positions[B] = {t, t};
        for (int b = 0; b < B; b++)
            memcpy(row + b * 3 * C, qkv + (b * T + t) * 3 * C, 3 * C * sizeof(float));
        gp_tensor rq = gp_tensor_view(row, GP_F32, 3, B, 1, 3 * C), ro = gp_tensor_view(out, GP_F32, 3, B, 1, C);
        be->ops->attention_cached(
            be, &(gp_attention_cached_op){.heads = H, .positions = positions, .qkv = &rq, .kv = &kv, .out = &ro});
        for (int b = 0; b < B; b++)
            memcpy(part + (b * T + t) * C, out + b * C, C * sizeof(float));
    }
    assert_memory_equal(whole, part, sizeof whole);
}

/* Rows first..first+rows-1 of one batch, at their own positions, against a random cache. */
static void decode_rows(int first, int rows, float *out)
{
    static float qkv[B * 3 * C], k[B * H * T * D], v[B * H * T * D];
    static const int32_t positions[B] = {7, 2};
    int64_t cache = (int64_t)first * H * T * D;
    fill(qkv, B * 3 * C, 0), fill(k, B * H * T * D, 1), fill(v, B * H * T * D, 2);
    gp_kv kv = {gp_tensor_view(k + cache, GP_F32, 4, rows, H, T, D),
                gp_tensor_view(v + cache, GP_F32, 4, rows, H, T, D)};
    gp_tensor tq = gp_tensor_view(qkv + first * 3 * C, GP_F32, 3, rows, 1, 3 * C);
    gp_tensor to = gp_tensor_view(out, GP_F32, 3, rows, 1, C);
    be->ops->attention_cached(
        be, &(gp_attention_cached_op){.heads = H, .positions = positions + first, .qkv = &tq, .kv = &kv, .out = &to});
}

static void decoding_takes_each_row_at_its_own_position(void **state)
{
    (void)state;
    float both[B * C], first[C], second[C];
    decode_rows(0, 2, both);
    decode_rows(0, 1, first);
    decode_rows(1, 1, second);
    assert_memory_equal(both, first, sizeof first);
    assert_memory_equal(both + C, second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
}

static void a_row_of_linear_and_head_is_the_same_alone_and_among_others(void **state)
{
    (void)state;
    static float x[N * C], w[V * C], many[N * V], one[V];
    fill(x, N * C, 0), fill(w, V * C, 1);
    for (int transposed = 0; transposed < 2; transposed++) {
        gp_weight weight = {.w = transposed ? gp_tensor_view(w, GP_F32, 2, V, C) : gp_tensor_view(w, GP_F32, 2, C, V),
                            .transposed = transposed};
        gp_tensor all = gp_tensor_view(x, GP_F32, 2, N, C), y = gp_tensor_view(many, GP_F32, 2, N, V);
        be->ops->linear_decode(be, &(gp_linear_op){.x = &all, .w = &weight, .y = &y});
        for (int n = 0; n < N; n += 9) {
            gp_tensor row = gp_tensor_view(x + n * C, GP_F32, 2, 1, C), r = gp_tensor_view(one, GP_F32, 2, 1, V);
            be->ops->linear_decode(be, &(gp_linear_op){.x = &row, .w = &weight, .y = &r});
            assert_memory_equal(one, many + n * V, sizeof one);
            memset(one, 0, sizeof one);
            be->ops->head_decode(be, &(gp_head_op){.x = &row, .w = &weight, .logits = &r});
            assert_memory_equal(one, many + n * V, sizeof one);
        }
    }
}

static void a_step_that_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    float p[] = {1, 2}, g[] = {1, 1}, m[] = {3, 4}, v[] = {5, 6};
    const float p0[] = {1, 2}, m0[] = {3, 4}, v0[] = {5, 6};
    const gp_segment segment = {p, g, m, v, 2, 0.1f, GP_F32, 0, 1};
    const struct {
        double loss;
        float grad;
        int skip;
    } cases[] = {{NAN, 1, 1}, {INFINITY, 1, 1}, {1, NAN, 1}, {1, INFINITY, 1}, {1, 3e38f, 1}, {1, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_step step = {.loss = cases[i].loss, .lr = 1, .bias1 = 1, .bias2 = 1, .max_norm = 1};
        g[0] = g[1] = cases[i].grad;
        be->ops->grad_norm(be, &segment, 1, &step);
        be->ops->adamw(be, &(gp_adamw_op){&segment, 1, 0.9f, 0.99f, 1e-8f, &step});
        assert_int_equal(step.skip, cases[i].skip);
        assert_int_equal(!memcmp(p, p0, sizeof p) && !memcmp(m, m0, sizeof m) && !memcmp(v, v0, sizeof v), step.skip);
    }
}

static void a_step_stays_skipped_until_the_host_clears_it(void **state)
{
    (void)state;
    float p[] = {1, 2}, g[] = {1, 1}, m[2] = {0}, v[2] = {0};
    const gp_segment segment = {p, g, m, v, 2, 0, GP_F32, 0, 1};
    gp_step step = {.loss = 1, .skip = 1};
    be->ops->grad_norm(be, &segment, 1, &step);
    assert_int_equal(step.skip, 1);
    step.skip = 0;
    be->ops->grad_norm(be, &segment, 1, &step);
    assert_int_equal(step.skip, 0);
}

static void the_clip_scale_follows_max_norm(void **state)
{
    (void)state;
    float p[2] = {0}, g[] = {3, 4}, m[2] = {0}, v[2] = {0};
    const gp_segment segment = {p, g, m, v, 2, 0, GP_F32, 0, 1};
    gp_step step = {.max_norm = 1};
    be->ops->grad_norm(be, &segment, 1, &step);
    assert_true(step.grad_norm == 5 && fabs(step.clip_scale - 1 / 5.000001) < 1e-7);
    step.max_norm = 6;
    be->ops->grad_norm(be, &segment, 1, &step);
    assert_true(step.clip_scale == 1);
    g[0] = 3e-6f, g[1] = 4e-6f, step.max_norm = 1e-6f; /* where the 1e-6 in the formula shows */
    be->ops->grad_norm(be, &segment, 1, &step);
    assert_true(fabs(step.clip_scale - 1 / 6.0) < 1e-6);
    g[0] = 3, g[1] = 4, step.max_norm = 0; /* no clipping */
    be->ops->grad_norm(be, &segment, 1, &step);
    assert_true(step.grad_norm == 5 && step.clip_scale == 1);
}

static void refusals_say_what_to_do(void **state)
{
    (void)state;
    assert_null(gp_backend_open("ref", "fp32", -1));
    assert_non_null(strstr(gp_error(), "-1 threads"));
    assert_null(gp_backend_open("ref", "fp64", 1));
    assert_non_null(strstr(gp_error(), "fp64"));
    assert_null(gp_backend_open("ref", "tf32", 1));
    assert_non_null(strstr(gp_error(), "requires backend cuda"));
    assert_null(gp_backend_open("gpu", "fp32", 1));
    assert_non_null(strstr(gp_error(), "gpu"));
}

static void a_backend_says_what_it_is(void **state)
{
    (void)state;
    assert_string_equal(gp_backend_name(be), "ref");
    assert_string_equal(gp_backend_dtype(be), "fp32");
    assert_true(strlen(gp_backend_device(be)) > 0);
    gp_backend *all = gp_backend_open("ref", "fp32", 0);
    assert_true(gp_backend_threads(all) >= 1);
    gp_backend_close(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_are_the_same_for_any_number_of_threads),
        cmocka_unit_test(decoding_with_a_cache_is_the_whole_forward),
        cmocka_unit_test(decoding_takes_each_row_at_its_own_position),
        cmocka_unit_test(a_row_of_linear_and_head_is_the_same_alone_and_among_others),
        cmocka_unit_test(a_step_that_is_not_finite_changes_nothing),
        cmocka_unit_test(a_step_stays_skipped_until_the_host_clears_it),
        cmocka_unit_test(the_clip_scale_follows_max_norm),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(a_backend_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
