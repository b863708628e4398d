/* test_dropout.c: what is dropped depends on (seed, step, sample, site, element) alone. */
#include "backend/backend.h"
#include "base/rng.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 4, T = 5, C = 6, H = 2, N = B * T * C };

static gp_backend *be;

static int open_ref(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "fp32", 2);
    if (!be)
        return -1;
    gp_backend_plan(be, &(gp_shape){.B = B, .T = T, .C = C, .H = H, .V = 8, .inner = 4 * C, .train = true});
    return 0;
}

static int close_ref(void **state)
{
    (void)state;
    gp_backend_close(be);
    return 0;
}

static void fill(float *x, int64_t n, uint32_t stream)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)gp_random_double(2, 100, stream, (uint64_t)i) + 0.5f;
}

/* Ones put through dropout: the mask itself, times 1 / (1 - p). */
static void mask_of(float *mask, int rows, const gp_step *step, uint32_t site, float p)
{
    gp_tensor t = gp_tensor_view(mask, GP_F32, 3, rows, T, C);
    for (int64_t i = 0; i < gp_tensor_count(&t); i++)
        mask[i] = 1;
    be->ops->dropout(be, &t, (gp_dropout){.p = p, .site = site, .step = step});
}

/* The definition in backend.h, written out once more. */
static void elements_are_philox_words(void **state)
{
    (void)state;
    const gp_step step = {.seed = 0x123456789abcdef0, .step = 9, .sample0 = 40};
    float mask[N];
    mask_of(mask, B, &step, 77, 0.25f);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t sample = i / (T * C), element = i % (T * C);
        gp_philox words = gp_philox4x32(step.seed, element / 4, 40 + sample, 77, 9);
        float u = (float)(words.v[element % 4] >> 8) / 16777216.0f;
        assert_true(mask[i] == (u >= 0.25f ? 1 / 0.75f : 0));
    }
}

static void the_right_share_is_kept_and_scaled(void **state)
{
    (void)state;
    enum { ROWS = 64, LONG = 257, COUNT = ROWS * LONG * C };
    static float x[COUNT];
    const float ps[] = {0.1f, 0.5f, 0.9f};
    const gp_step step = {.seed = 1};
    for (size_t j = 0; j < sizeof ps / sizeof ps[0]; j++) {
        gp_tensor t = gp_tensor_view(x, GP_F32, 3, ROWS, LONG, C);
        for (int i = 0; i < COUNT; i++)
            x[i] = 3;
        be->ops->dropout(be, &t, (gp_dropout){.p = ps[j], .step = &step});
        double kept = 0, p = ps[j];
        for (int i = 0; i < COUNT; i++) {
            assert_true(x[i] == 0 || fabs(x[i] - 3 / (1 - p)) < 1e-5 / (1 - p));
            kept += x[i] != 0;
        }
        assert_true(fabs(kept / COUNT - (1 - p)) < 4 * sqrt(p * (1 - p) / COUNT));
    }
}

static void no_step_or_no_p_keeps_everything(void **state)
{
    (void)state;
    const gp_step step = {.seed = 1};
    float mask[N];
    mask_of(mask, B, NULL, 3, 0.5f);
    for (int i = 0; i < N; i++)
        assert_true(mask[i] == 1);
    mask_of(mask, B, &step, 3, 0);
    for (int i = 0; i < N; i++)
        assert_true(mask[i] == 1);
}

static void every_part_of_the_key_matters(void **state)
{
    (void)state;
    const gp_step step = {.seed = 1, .step = 2, .sample0 = 3};
    gp_step other[] = {step, step, step, step};
    float mask[N], changed[N];
    other[0].seed += 1;
    other[1].seed += (uint64_t)1 << 32;
    other[2].step += 1;
    other[3].sample0 += B;
    mask_of(mask, B, &step, 8, 0.5f);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        mask_of(changed, B, &other[i], 8, 0.5f);
        assert_memory_not_equal(mask, changed, sizeof mask);
    }
    mask_of(changed, B, &step, 9, 0.5f);
    assert_memory_not_equal(mask, changed, sizeof mask);
    mask_of(changed, B, &step, 8, 0.5f);
    assert_memory_equal(mask, changed, sizeof mask);
}

/* One micro-batch: rows first..first+rows-1 of the same batch of B, through every op that drops. */
typedef struct passes {
    float embedded[N], sum[N], y[N], out[N], dropped[N];
} passes;

static void run_rows(passes *p, int first, int rows)
{
    static const int32_t tokens[B * T] = {1, 2, 3}, positions[B * T] = {0, 1, 2, 3, 4};
    static float x[N], branch[N], qkv[3 * N], table[8 * C], gamma[C], mean[N], rstd[N];
    const gp_step step = {.seed = 4, .step = 1, .sample0 = (uint32_t)first};
    const gp_dropout drop = {.p = 0.5f, .site = 6, .step = &step};
    int64_t at = (int64_t)first * T * C;
    fill(x, N, 1), fill(branch, N, 2), fill(qkv, 3 * N, 3), fill(table, 8 * C, 4), fill(gamma, C, 5);
    gp_tensor wte = gp_tensor_view(table, GP_F32, 2, 8, C), g = gp_tensor_view(gamma, GP_F32, 1, C);
    gp_tensor tx = gp_tensor_view(x + at, GP_F32, 3, rows, T, C);
    gp_tensor tb = gp_tensor_view(branch + at, GP_F32, 3, rows, T, C);
    gp_tensor tq = gp_tensor_view(qkv + 3 * at, GP_F32, 3, rows, T, 3 * C);
    gp_tensor tm = gp_tensor_view(mean, GP_F32, 1, rows * T), tr = gp_tensor_view(rstd, GP_F32, 1, rows * T);
    gp_tensor embedded = tx, sum = tx, y = tx, out = tx, dropped = tx;
    embedded.data = p->embedded + at, sum.data = p->sum + at, y.data = p->y + at;
    out.data = p->out + at, dropped.data = p->dropped + at;
    be->ops->embed_forward(be, &(gp_embed_op){.tokens = tokens + first * T,
                                              .positions = positions + first * T,
                                              .pad_token = -1,
                                              .pad_position = -1,
                                              .drop = drop,
                                              .wte = &wte,
                                              .wpe = &wte,
                                              .y = &embedded});
    be->ops->norm_forward(be, &(gp_norm_op){.residual = &tx,
                                            .branch = &tb,
                                            .gamma = &g,
                                            .eps = 1e-5f,
                                            .drop = drop,
                                            .sum = &sum,
                                            .y = &y,
                                            .mean = &tm,
                                            .rstd = &tr});
    be->ops->attention_forward(be, &(gp_attention_op){.heads = H, .drop = drop, .qkv = &tq, .out = &out});
    memcpy(dropped.data, tx.data, (size_t)gp_tensor_bytes(&tx));
    be->ops->dropout(be, &dropped, drop);
}

static void a_batch_may_be_split(void **state)
{
    (void)state;
    static passes whole, parts;
    run_rows(&whole, 0, B);
    run_rows(&parts, 0, 1);
    run_rows(&parts, 1, B - 1);
    assert_memory_equal(whole.embedded, parts.embedded, sizeof whole.embedded);
    assert_memory_equal(whole.sum, parts.sum, sizeof whole.sum);
    assert_memory_equal(whole.y, parts.y, sizeof whole.y);
    assert_memory_equal(whole.out, parts.out, sizeof whole.out);
    assert_memory_equal(whole.dropped, parts.dropped, sizeof whole.dropped);
    assert_memory_not_equal(whole.dropped, whole.dropped + T * C, T * C * sizeof(float));
}

/* With equal values everywhere out is the share of probabilities kept, over 1 - p: element (h T + q) T + k.
 */
static void attention_drops_probabilities(void **state)
{
    (void)state;
    const gp_step step = {.seed = 5, .step = 6, .sample0 = 7};
    float qkv[3 * N] = {0}, out[N];
    for (int i = 0; i < 3 * N; i++)
        qkv[i] = i % (3 * C) >= 2 * C; /* q = k = 0: all probabilities equal; v = 1 */
    gp_tensor tq = gp_tensor_view(qkv, GP_F32, 3, B, T, 3 * C), to = gp_tensor_view(out, GP_F32, 3, B, T, C);
    be->ops->attention_forward(
        be, &(gp_attention_op){.heads = H, .drop = {.p = 0.5f, .site = 8, .step = &step}, .qkv = &tq, .out = &to});
    for (uint32_t i = 0; i < N; i++) {
        uint32_t b = i / (T * C), q = i / C % T, h = i % C / (C / H), kept = 0;
        for (uint32_t k = 0; k < T; k++) {
            uint32_t element = (h * T + q) * T + k;
            kept += gp_uniform(gp_philox4x32(5, element / 4, 7 + b, 8, 6).v[element % 4]) >= 0.5f;
        }
        assert_true(fabsf(out[i] - 2.0f * (float)kept / T) < 1e-6f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_philox_words),
        cmocka_unit_test(the_right_share_is_kept_and_scaled),
        cmocka_unit_test(no_step_or_no_p_keeps_everything),
        cmocka_unit_test(every_part_of_the_key_matters),
        cmocka_unit_test(a_batch_may_be_split),
        cmocka_unit_test(attention_drops_probabilities),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
