/* The CUDA backend against ref: attention of whole sequences. */
#include "sides.h"

#include "backend/cuda/cuda.h"

typedef struct attention_case {
    int64_t B, T;
    int H;
    int64_t D;
    bool causal, lengths, dropout;
} attention_case;

typedef struct attention_tensors {
    pair qkv, out, lse, dout, dqkv;
    pair_ids lengths;
    pair_step step;
} attention_tensors;

/* One row and one number; sequences beside the tiles' borders; heads that fill vectors and heads that do not. */
static const attention_case cases[] = {
    {1, 1, 1, 1, true, false, false},    {2, 1, 2, 5, false, true, true},    {1, 17, 3, 5, true, false, false},
    {2, 17, 1, 33, true, true, true},    {1, 63, 2, 16, true, false, true},  {2, 65, 1, 20, true, false, false},
    {2, 36, 2, 20, true, true, true},    {1, 40, 1, 132, true, false, true}, {1, 64, 2, 64, true, false, false},
    {1, 65, 1, 64, true, false, false},  {2, 130, 1, 64, true, true, false}, {2, 128, 2, 64, true, true, true},
    {1, 130, 1, 64, false, true, false}, {2, 132, 1, 32, false, true, true}, {1, 130, 1, 16, true, false, false},
    {2, 68, 1, 80, true, true, true},    {1, 130, 1, 96, true, false, true}, {1, 100, 1, 128, true, false, true},
    {2, 65, 1, 128, false, true, false}, {1, 33, 1, 200, true, true, false}, {1, 130, 1, 128, true, false, false},
    {5, 37, 2, 16, false, true, false},  {5, 37, 2, 20, true, true, false},  {5, 76, 1, 64, false, true, true},
    {5, 70, 1, 64, true, true, false},
};

static attention_tensors tensors_of(sides *s, const attention_case *c)
{
    int64_t C = c->H * c->D;
    int32_t *lengths = gp_calloc((size_t)c->B, sizeof *lengths);
    for (int64_t b = 0; b < c->B; b++) /* the whole sequence, a bit more than half of it, one, all but one, a third */
        lengths[b] = (int32_t)(const int64_t[]){c->T, c->T / 2 + 1, 1, c->T - 1, c->T / 3}[b];
    attention_tensors t = {
        .qkv = RANDOM(s, ACT, c->B, c->T, 3 * C),
        .out = EMPTY(s, ACT, c->B, c->T, C),
        .lse = EMPTY(s, FP32, c->B, c->H, c->T),
        .dout = RANDOM(s, ACT, c->B, c->T, C),
        .dqkv = EMPTY(s, ACT, c->B, c->T, 3 * C),
        .lengths = sides_ids(s, lengths, c->B),
        .step = sides_step(s, sides_any_step()),
    };
    free(lengths);
    sides_plan(s,
               &(gp_shape){.B = (int)c->B, .T = (int)c->T, .C = (int)C, .H = c->H, .inner = 1, .V = 1, .train = true});
    return t;
}

static gp_attention_op op_of(const attention_case *c, attention_tensors *t, int side)
{
    return (gp_attention_op){
        .heads = c->H,
        .causal = c->causal,
        .lengths = c->lengths ? t->lengths.on[side] : NULL,
        .drop = {c->dropout ? 0.3f : 0, 5, t->step.on[side]},
        .qkv = ON(t->qkv, side),
        .out = ON(t->out, side),
        .lse = ON(t->lse, side),
        .dout = ON(t->dout, side),
        .dqkv = ON(t->dqkv, side),
        .divisor = c->T % 2 ? 13.7 : 0,
    };
}

/* ||device - ref|| / ||ref|| of the gradients of queries (which 0), keys (1) or values (2) alone: where rows have
 * one key, and only there, the first two are nothing but rounding, and are measured against the whole. */
static double gradient_error(sides *s, const attention_case *c, attention_tensors *t, int which)
{
    int64_t C = c->H * c->D, rows = c->B * c->T;
    float *want = sides_read(s, REF, ON(t->dqkv, REF)), *got = sides_read(s, DEVICE, ON(t->dqkv, DEVICE));
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < rows * 3 * C; i++) {
        bool counts = i / C % 3 == which;
        difference += counts ? ((double)got[i] - want[i]) * ((double)got[i] - want[i]) : 0;
        norm += counts || c->T == 1 ? (double)want[i] * want[i] : 0;
    }
    free(want);
    free(got);
    return difference == 0 ? 0 : sqrt(difference / norm);
}

static void attention_agrees(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        attention_tensors t = tensors_of(s, &cases[i]);
        for (int k = 0; k < SIDES; k++) {
            gp_attention_op op = op_of(&cases[i], &t, k);
            OP(s, k, attention_forward, &op);
            OP(s, k, attention_backward, &op);
        }
        NEAR(s, t.out, s->tolerance);
        NEAR(s, t.lse, s->tolerance);
        for (int which = 0; which < 3; which++) {
            double error = gradient_error(s, &cases[i], &t, which);
            if (!(error <= s->tolerance))
                fail_msg("case %zu: gradient of %s: relative error %.3g, allowed %.0e", i,
                         (const char *[]){"queries", "keys", "values"}[which], error, s->tolerance);
        }
        sides_forget(s);
    }
}

/* In bf16, whole vectors in each head and, with dropout, whole draws in each row. */
static void the_tensor_cores_take_what_they_can(void **state)
{
    sides *s = *state;
    bool narrow = s->be[DEVICE]->act_dtype == GP_BF16;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const attention_case *c = &cases[i];
        attention_tensors t = tensors_of(s, c);
        gp_attention_op op = op_of(c, &t, DEVICE);
        bool fits = c->D % 8 == 0 && c->D <= 128 && !(c->dropout && c->T % 4);
        assert_int_equal(gp_cuda_attention_on_tensor_cores(s->be[DEVICE], &op), narrow && fits);
        sides_forget(s);
    }
}

/* Rows that do not begin at multiples of 16 bytes go another way to the same numbers. */
static void odd_addresses_agree(void **state)
{
    sides *s = *state;
    attention_case c = {1, 20, 1, 16, true, false, false};
    attention_tensors t = tensors_of(s, &c);
    pair qkv = RANDOM(s, ACT, 20 * 48 + 1);
    for (int k = 0; k < SIDES; k++) {
        gp_attention_op op = op_of(&c, &t, k);
        gp_tensor *odd = ON(t.qkv, k);
        odd->data = (char *)ON(qkv, k)->data + gp_dtype_size(odd->dtype);
        if (k == DEVICE)
            assert_false(gp_cuda_attention_on_tensor_cores(s->be[k], &op));
        OP(s, k, attention_forward, &op);
        OP(s, k, attention_backward, &op);
    }
    NEAR(s, t.out, s->tolerance);
    NEAR(s, t.dqkv, s->tolerance);
}

static void the_same_bits_twice(void **state)
{
    sides *s = *state;
    attention_case c = {2, 100, 2, 64, true, true, true};
    attention_tensors t = tensors_of(s, &c);
    gp_attention_op op = op_of(&c, &t, DEVICE);
    float *first[3], *second[3];
    for (int run = 0; run < 2; run++) {
        float **x = run ? second : first;
        OP(s, DEVICE, attention_forward, &op);
        OP(s, DEVICE, attention_backward, &op);
        x[0] = sides_read(s, DEVICE, op.out);
        x[1] = sides_read(s, DEVICE, op.lse);
        x[2] = sides_read(s, DEVICE, op.dqkv);
    }
    assert_memory_equal(first[0], second[0], (size_t)gp_tensor_count(op.out) * sizeof(float));
    assert_memory_equal(first[1], second[1], (size_t)gp_tensor_count(op.lse) * sizeof(float));
    assert_memory_equal(first[2], second[2], (size_t)gp_tensor_count(op.dqkv) * sizeof(float));
    for (int i = 0; i < 3; i++) {
        free(first[i]);
        free(second[i]);
    }
}

/* Inferring: no lse; keys and values go to a longer cache, whose other rows stay as they were. */
static void prefill_writes_keys_and_values(void **state)
{
    sides *s = *state;
    const attention_case prefills[] = {{2, 7, 2, 5, true, false, false}, {2, 9, 2, 16, true, false, false}};
    for (size_t i = 0; i < ARRAY_LEN(prefills); i++) {
        const attention_case *c = &prefills[i];
        attention_tensors t = tensors_of(s, c);
        pair k = RANDOM(s, ACT, c->B + 1, c->H, c->T + 3, c->D), v = RANDOM(s, ACT, c->B + 1, c->H, c->T + 3, c->D);
        for (int side = 0; side < SIDES; side++) {
            gp_kv kv = {*ON(k, side), *ON(v, side)};
            gp_attention_op op = op_of(c, &t, side);
            OP(s, side, attention_cached,
               &(gp_attention_cached_op){
                   .heads = op.heads, .qkv = op.qkv, .kv = &kv, .out = op.out, .divisor = op.divisor});
        }
        NEAR(s, t.out, s->tolerance);
        NEAR(s, k, 0);
        NEAR(s, v, 0);
        sides_forget(s);
    }
}

/* A sample without keys: nothing is looked at, nothing changes. */
static void no_keys_give_zeros(void **state)
{
    sides *s = *state;
    for (int64_t D = 16; D <= 20; D += 4) {
        attention_case c = {2, 5, 1, D, false, true, false};
        attention_tensors t = tensors_of(s, &c);
        gp_attention_op op = op_of(&c, &t, DEVICE);
        pair_ids none = sides_ids(s, (int32_t[]){0, 0}, 2);
        op.lengths = none.on[DEVICE];
        OP(s, DEVICE, attention_forward, &op);
        OP(s, DEVICE, attention_backward, &op);
        float *out = sides_read(s, DEVICE, op.out), *lse = sides_read(s, DEVICE, op.lse);
        float *dqkv = sides_read(s, DEVICE, op.dqkv);
        for (int64_t i = 0; i < gp_tensor_count(op.out); i++)
            assert_true(out[i] == 0);
        for (int64_t i = 0; i < gp_tensor_count(op.lse); i++)
            assert_true(lse[i] == -INFINITY);
        for (int64_t i = 0; i < gp_tensor_count(op.dqkv); i++)
            assert_true(dqkv[i] == 0);
        free(out);
        free(lse);
        free(dqkv);
        sides_forget(s);
    }
}

/* Keys and values after a row's length have gradients of exactly 0, and so have queries there when nothing reads what
 * they give; what they hold reaches nothing else. */
static void padding_gets_no_gradient_and_gives_none(void **state)
{
    static const attention_case padded[] = {
        {5, 37, 2, 16, false, true, false}, {5, 37, 2, 20, true, true, false}, {5, 76, 1, 64, true, true, true},
        {5, 70, 1, 64, false, true, false}, {5, 76, 1, 20, false, true, true},
    };
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(padded); i++) {
        const attention_case *c = &padded[i];
        attention_tensors t = tensors_of(s, c);
        int64_t C = c->H * c->D, T = c->T;
        int32_t lengths[5];
        OP(s, DEVICE, download, lengths, t.lengths.on[DEVICE], sizeof lengths);
        float *qkv = sides_read(s, REF, ON(t.qkv, REF)), *dout = sides_read(s, REF, ON(t.dout, REF));
        for (int64_t n = 0; n < c->B * T; n++)
            for (int64_t k = 0; n % T >= lengths[n / T] && k < 2 * C; k++) {
                qkv[n * 3 * C + C + k] *= 1024;
                dout[n * C + k % C] = 0;
            }
        for (int side = 0; side < SIDES; side++) {
            sides_write(s, side, ON(t.qkv, side), qkv);
            sides_write(s, side, ON(t.dout, side), dout);
            gp_attention_op op = op_of(c, &t, side);
            OP(s, side, attention_forward, &op);
            OP(s, side, attention_backward, &op);
        }
        NEAR(s, t.out, s->tolerance);
        NEAR(s, t.lse, s->tolerance);
        NEAR(s, t.dqkv, s->tolerance);
        float *dqkv = sides_read(s, DEVICE, ON(t.dqkv, DEVICE));
        for (int64_t n = 0; n < c->B * T; n++)
            for (int64_t k = 0; n % T >= lengths[n / T] && k < 3 * C; k++)
                assert_true(dqkv[n * 3 * C + k] == 0);
        free(qkv);
        free(dout);
        free(dqkv);
        sides_forget(s);
    }
}

/* Scores of a million: lse, in fp32, cannot tell them apart, and no gradient may grow without bound from that. */
static void large_scores_stay_finite(void **state)
{
    sides *s = *state;
    attention_case c = {1, 20, 1, 16, true, false, false};
    attention_tensors t = tensors_of(s, &c);
    pair large = sides_random(s, ACT, 3000, DIMS(1, 20, 48));
    gp_attention_op op = op_of(&c, &t, DEVICE);
    op.qkv = ON(large, DEVICE);
    OP(s, DEVICE, attention_forward, &op);
    OP(s, DEVICE, attention_backward, &op);
    float *dqkv = sides_read(s, DEVICE, op.dqkv);
    for (int64_t i = 0; i < gp_tensor_count(op.dqkv); i++)
        assert_true(fabsf(dqkv[i]) < 1e9f);
    free(dqkv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(attention_agrees),
        SIDES_TEST(the_same_bits_twice),
        SIDES_TEST(prefill_writes_keys_and_values),
        SIDES_TEST(no_keys_give_zeros),
        SIDES_TEST(padding_gets_no_gradient_and_gives_none),
        SIDES_TEST(large_scores_stay_finite),
        SIDES_TEST(the_tensor_cores_take_what_they_can),
        SIDES_TEST(odd_addresses_agree),
    };
    return sides_main("cuda attention", tests);
}
