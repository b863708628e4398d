/* Backend cpu against ref: attention, its gradients, and that of a prompt, which fills the cache. */
#include "parity.h"

typedef struct attention_case {
    int64_t B, T, H, D;
} attention_case;

static const attention_case cases[] = {
    {1, 1, 1, 1},   {2, 3, 1, 3},    {1, 17, 3, 5},   {2, 63, 2, 16},   {3, 64, 4, 32},
    {1, 65, 2, 33}, {1, 130, 1, 64}, {1, 257, 2, 80}, {1, 129, 1, 128}, {1, 31, 1, 131},
};

/* The flags that are tried with each case. */
enum { CAUSAL = 1, LENGTHS = 2, DROPOUT = 4, DIVIDED = 8, ALL = 16 };

typedef struct attention_run {
    gp_tensor out, lse, dqkv;
} attention_run;

static attention_run outputs(parity *p, const attention_case *c)
{
    return (attention_run){.out = RANDOM(p, c->B, c->T, c->H * c->D),
                           .lse = RANDOM(p, c->B, c->H, c->T),
                           .dqkv = RANDOM(p, c->B, c->T, 3 * c->H * c->D)};
}

static void attention_agrees_with(parity *p, const attention_case *c, int flags)
{
    int64_t C = c->H * c->D;
    gp_step step = parity_step();
    gp_tensor qkv = RANDOM(p, c->B, c->T, 3 * C), dout = RANDOM(p, c->B, c->T, C);
    attention_run ref = outputs(p, c), cpu = outputs(p, c);
    int32_t *lengths = parity_ids(p, c->B, c->T);
    for (int64_t b = 0; b < c->B; b++)
        lengths[b]++; /* 1 .. T */
    gp_attention_op a = {.heads = (int)c->H,
                         .causal = flags & CAUSAL,
                         .lengths = flags & LENGTHS ? lengths : NULL,
                         .drop = {flags & DROPOUT ? 0.2f : 0, 6, &step},
                         .qkv = &qkv,
                         .out = &ref.out,
                         .lse = &ref.lse,
                         .dout = &dout,
                         .dqkv = &ref.dqkv,
                         .divisor = flags & DIVIDED ? 3.7 : 0};
    gp_attention_op b = a;
    b.out = &cpu.out, b.lse = &cpu.lse, b.dqkv = &cpu.dqkv;
    parity_plan(p, c->B, c->T, C, c->H, 2, true);
    p->ref->ops->attention_forward(p->ref, &a);
    p->cpu->ops->attention_forward(p->cpu, &b);
    ASSERT_NEAR(cpu.out, ref.out, parity_close);
    ASSERT_NEAR(cpu.lse, ref.lse, parity_close);
    p->ref->ops->attention_backward(p->ref, &a);
    p->cpu->ops->attention_backward(p->cpu, &b);
    ASSERT_NEAR(cpu.dqkv, ref.dqkv, parity_close);
    parity_forget(p);
}

static void attention_agrees(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int flags = 0; flags < ALL; flags++)
            attention_agrees_with(*state, &cases[i], flags);
}

/* Rows of five lengths, one of a single key. Keys and values after a row's length have gradients of exactly 0, and so
 * have queries there when nothing reads what they give; what they hold reaches nothing else. */
static void padding_gets_no_gradient_and_gives_none(void **state)
{
    enum { B = 5, T = 37, H = 2, D = 9, C = H * D };
    static const int32_t lengths[B] = {37, 1, 20, 5, 36};
    parity *p = *state;
    parity_plan(p, B, T, C, H, 2, true);
    for (int flags = 0; flags < 8; flags++) { /* causal; dropout; large numbers after the lengths */
        gp_step step = parity_step();
        gp_tensor qkv = RANDOM(p, B, T, 3 * C), dout = RANDOM(p, B, T, C);
        const attention_case c = {B, T, H, D};
        for (int64_t n = 0; n < B * T; n++)
            if (n % T >= lengths[n / T]) {
                memset((float *)dout.data + n * C, 0, C * sizeof(float));
                for (int64_t i = 0; flags & 4 && i < 2 * C; i++)
                    ((float *)qkv.data)[n * 3 * C + C + i] *= 1000;
            }
        attention_run r[2] = {outputs(p, &c), outputs(p, &c)};
        for (int side = 0; side < 2; side++) {
            gp_backend *be = side ? p->cpu : p->ref;
            gp_attention_op op = {.heads = H,
                                  .causal = flags & 1,
                                  .lengths = lengths,
                                  .drop = {flags & 2 ? 0.2f : 0, 6, &step},
                                  .qkv = &qkv,
                                  .out = &r[side].out,
                                  .lse = &r[side].lse,
                                  .dout = &dout,
                                  .dqkv = &r[side].dqkv};
            be->ops->attention_forward(be, &op);
            be->ops->attention_backward(be, &op);
            for (int64_t n = 0; n < B * T; n++)
                for (int64_t i = 0; n % T >= lengths[n / T] && i < 3 * C; i++)
                    assert_true(((float *)r[side].dqkv.data)[n * 3 * C + i] == 0);
        }
        ASSERT_NEAR(r[1].out, r[0].out, parity_close);
        ASSERT_NEAR(r[1].lse, r[0].lse, parity_close);
        ASSERT_NEAR(r[1].dqkv, r[0].dqkv, parity_close);
        parity_forget(p);
    }
}

/* A prompt is a causal pass of its own, bit for bit; keys and values go to a longer cache, and nothing else does. */
static void a_prompt_is_a_pass_and_fills_the_cache(void **state)
{
    parity *p = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const attention_case *c = &cases[i];
        int64_t C = c->H * c->D, P = c->T + 3;
        gp_tensor qkv = RANDOM(p, c->B, c->T, 3 * C), out = RANDOM(p, c->B, c->T, C), pass = RANDOM(p, c->B, c->T, C);
        gp_tensor before = RANDOM(p, c->B + 1, c->H, P, c->D);
        parity_plan(p, c->B, c->T, C, c->H, 2, false);
        for (int side = 0; side < 2; side++) {
            gp_backend *be = side ? p->cpu : p->ref;
            gp_kv kv = {parity_copy(p, &before), parity_copy(p, &before)};
            be->ops->attention_cached(be, &(gp_attention_cached_op){(int)c->H, NULL, &qkv, &kv, &out, 3.7});
            be->ops->attention_forward(
                be, &(gp_attention_op){.heads = (int)c->H, .causal = true, .qkv = &qkv, .out = &pass, .divisor = 3.7});
            assert_true(parity_same_bits(&out, &pass));
            for (int64_t n = 0; n < gp_tensor_count(&before) / c->D; n++) { /* (B+1,H,P) places */
                int64_t b = n / (c->H * P), h = n / P % c->H, t = n % P;
                for (int which = 0; which < 2; which++) {
                    const float *is = (float *)(which ? kv.v : kv.k).data + n * c->D;
                    const float *was = (float *)before.data + n * c->D;
                    const float *new = (float *)qkv.data + (b * c->T + t) * 3 * C + (1 + which) * C + h * c->D;
                    assert_memory_equal(is, b < c->B && t < c->T ? new : was, (size_t)c->D * sizeof *is);
                }
            }
        }
        parity_forget(p);
    }
}

/* Inference keeps no lse, and needs less scratch than training was planned for. */
static void attention_infers_with_the_plan_for_inference(void **state)
{
    parity *p = *state;
    gp_tensor qkv = RANDOM(p, 1, 65, 3 * 34), out_ref = RANDOM(p, 1, 65, 34), out_cpu = RANDOM(p, 1, 65, 34);
    parity_plan(p, 1, 65, 34, 2, 2, false);
    p->ref->ops->attention_forward(p->ref,
                                   &(gp_attention_op){.heads = 2, .causal = true, .qkv = &qkv, .out = &out_ref});
    p->cpu->ops->attention_forward(p->cpu,
                                   &(gp_attention_op){.heads = 2, .causal = true, .qkv = &qkv, .out = &out_cpu});
    ASSERT_NEAR(out_cpu, out_ref, parity_close);
}

/* Scores far apart, so that the running maximum moves and most probabilities vanish. */
static void attention_holds_large_scores(void **state)
{
    parity *p = *state;
    const attention_case c = {1, 300, 1, 16};
    gp_tensor qkv = RANDOM(p, c.B, c.T, 3 * c.D), out_ref = RANDOM(p, c.B, c.T, c.D),
              out_cpu = RANDOM(p, c.B, c.T, c.D);
    for (int64_t t = 0; t < c.T; t++) /* keys grow along the sequence */
        for (int64_t d = 0; d < 2 * c.D; d++)
            ((float *)qkv.data)[t * 3 * c.D + d] *= 1 + (float)t / 20;
    parity_plan(p, c.B, c.T, c.D, 1, 2, false);
    p->ref->ops->attention_forward(p->ref, &(gp_attention_op){.heads = 1, .qkv = &qkv, .out = &out_ref});
    p->cpu->ops->attention_forward(p->cpu, &(gp_attention_op){.heads = 1, .qkv = &qkv, .out = &out_cpu});
    ASSERT_NEAR(out_cpu, out_ref, parity_close);
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_prompt_is_a_pass_and_fills_the_cache, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(attention_agrees, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(padding_gets_no_gradient_and_gives_none, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(attention_infers_with_the_plan_for_inference, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(attention_holds_large_scores, parity_setup, parity_teardown),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("attention", group);
}
