/* The CUDA backend against ref: decoding one token after another, and a row's bits alone and among others. */
#include "weights.h"

/* ---- the linear and the head ----------------------------------------------------------------------------- */

typedef struct linear_case {
    int64_t B, I, O;
    bool transposed, bias, pre;
    gp_act act;
} linear_case;

/* First odd shapes. Then those of the tensor cores, which on the simulator's 4 processors get every tile there is:
 * inputs of less than a chunk (32), of a few, and of more turns than a ring has; whole tiles and ragged ones. */
static const linear_case linear_cases[] = {
    {1, 1, 1, false, false, true, GP_ACT_NONE},         {3, 17, 5, false, true, true, GP_ACT_GELU_TANH},
    {9, 65, 63, true, false, false, GP_ACT_NONE},       {4, 129, 97, true, true, true, GP_ACT_GELU_ERF},
    {17, 63, 129, false, true, false, GP_ACT_NONE},     {1, 8, 8, false, true, true, GP_ACT_GELU_TANH},
    {3, 40, 24, false, true, true, GP_ACT_GELU_ERF},    {8, 256, 64, false, false, false, GP_ACT_NONE},
    {9, 264, 200, false, true, false, GP_ACT_NONE},     {17, 288, 136, false, true, true, GP_ACT_GELU_TANH},
    {70, 128, 72, false, true, true, GP_ACT_GELU_TANH}, {1, 2600, 16, false, true, false, GP_ACT_NONE},
    {1, 64, 1037, true, true, false, GP_ACT_NONE},      {5, 2080, 17, true, false, false, GP_ACT_NONE},
    {33, 136, 259, true, true, true, GP_ACT_GELU_TANH}, {1, 544, 1000, false, true, false, GP_ACT_NONE},
    {9, 1000, 256, false, false, false, GP_ACT_NONE},   {32, 96, 256, true, true, false, GP_ACT_NONE},
    {64, 264, 128, false, true, false, GP_ACT_NONE},    {64, 40, 16, false, true, false, GP_ACT_NONE},
    {128, 40, 16, true, true, false, GP_ACT_NONE},      {250, 40, 16, false, true, false, GP_ACT_NONE},
    {5, 33, 17, false, true, true, GP_ACT_RELU},        {9, 264, 72, true, true, false, GP_ACT_RELU},
    {5, 33, 17, false, true, true, GP_ACT_TANH},        {1, 64, 64, true, true, false, GP_ACT_TANH},
};

/* Row `row` of a (B,...) tensor of the device, as (1,...). */
static gp_tensor row_of(const pair *t, int64_t row)
{
    gp_tensor r = t->on[DEVICE];
    r.data = (char *)r.data + gp_tensor_bytes(&r) / r.dim[0] * row;
    r.dim[0] = 1;
    return r;
}

static void assert_same_bits(sides *s, const gp_tensor *a, const gp_tensor *b)
{
    size_t bytes = (size_t)gp_tensor_bytes(a);
    char *want = gp_malloc(bytes), *got = gp_malloc(bytes);
    OP(s, DEVICE, download, want, a->data, bytes);
    OP(s, DEVICE, download, got, b->data, bytes);
    assert_memory_equal(got, want, bytes);
    free(want);
    free(got);
}

static void assert_row_is(sides *s, const pair *alone, const pair *among, int64_t row)
{
    gp_tensor r = row_of(among, row);
    assert_same_bits(s, &r, &alone->on[DEVICE]);
}

static void linear_agrees_and_rows_are_independent(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(linear_cases); i++) {
        const linear_case *c = &linear_cases[i];
        pair x = RANDOM(s, ACT, c->B, c->I), bias = RANDOM(s, FP32, c->O);
        pair w = c->transposed ? RANDOM(s, TABLE, c->O, c->I) : RANDOM(s, MATRIX, c->I, c->O);
        pair y = EMPTY(s, ACT, c->B, c->O), pre = EMPTY(s, ACT, c->B, c->O);
        pair_weight weight;
        weight_open(s, &weight, &w, c->bias ? &bias : NULL, c->transposed);
        for (int k = 0; k < SIDES; k++)
            OP(s, k, linear_decode,
               &(gp_linear_op){.x = ON(x, k),
                               .w = &weight.on[k],
                               .bias = c->bias ? ON(bias, k) : NULL,
                               .act = c->act,
                               .y = ON(y, k),
                               .pre = c->pre ? ON(pre, k) : NULL});
        NEAR(s, y, s->tolerance);
        if (c->pre)
            NEAR(s, pre, s->tolerance);
        for (int64_t row = 0; row < c->B; row += gp_max(1, c->B / 3)) {
            pair alone = EMPTY(s, ACT, 1, c->O);
            gp_tensor x1 = row_of(&x, row);
            OP(s, DEVICE, linear_decode,
               &(gp_linear_op){.x = &x1,
                               .w = &weight.on[DEVICE],
                               .bias = c->bias ? ON(bias, DEVICE) : NULL,
                               .act = c->act,
                               .y = ON(alone, DEVICE)});
            assert_row_is(s, &alone, &y, row);
        }
        weight_close(s, &weight);
        sides_forget(s);
    }
}

static void head_agrees_and_rows_are_independent(void **state)
{
    static const struct {
        int64_t B, C, V;
        bool bias;
    } cases[] = {{3, 65, 203, true}, {1, 64, 515, false}, {9, 128, 77, true}, {64, 32, 260, false}};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t B = cases[i].B, C = cases[i].C, V = cases[i].V;
        pair x = RANDOM(s, ACT, B, C), w = RANDOM(s, TABLE, V, C), bias = RANDOM(s, FP32, V);
        pair logits = EMPTY(s, FP32, B, V);
        const pair *b = cases[i].bias ? &bias : NULL;
        pair_weight weight;
        weight_open(s, &weight, &w, b, true);
        for (int k = 0; k < SIDES; k++)
            OP(s, k, head_decode,
               &(gp_head_op){.x = ON(x, k), .w = &weight.on[k], .bias = b ? ON(*b, k) : NULL, .logits = ON(logits, k)});
        NEAR(s, logits, s->tolerance);
        for (int64_t row = 0; row < B; row += gp_max(1, B / 3)) {
            pair alone = EMPTY(s, FP32, 1, V);
            gp_tensor x1 = row_of(&x, row);
            OP(s, DEVICE, head_decode,
               &(gp_head_op){
                   .x = &x1, .w = &weight.on[DEVICE], .bias = b ? ON(*b, DEVICE) : NULL, .logits = ON(alone, DEVICE)});
            assert_row_is(s, &alone, &logits, row);
        }
        weight_close(s, &weight);
        sides_forget(s);
    }
}

/* A norm before them, in their own kernel or not: teams of a warp and of four, rows that one block holds and more, with
 * and without a branch. The bits are those of the norm and the product one after the other, and its sum is there. */
static void products_of_a_norm_have_the_same_bits(void **state)
{
    static const struct {
        int64_t B, I, O;
        bool head, branch, beta;
    } cases[] = {{1, 768, 64, false, true, true},  {8, 64, 136, false, true, false}, {3, 72, 40, false, false, true},
                 {5, 1280, 24, false, true, true}, {2, 1000, 17, true, true, true},  {9, 64, 40, false, true, true},
                 {1, 2048, 8, false, true, true},  {7, 264, 35, true, false, false}, {2, 33, 40, false, true, true}};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t B = cases[i].B, I = cases[i].I, O = cases[i].O;
        bool head = cases[i].head, branches = cases[i].branch;
        pair residual = RANDOM(s, ACT, B, 1, I), branch = RANDOM(s, ACT, B, 1, I), gamma = RANDOM(s, FP32, I),
             beta = RANDOM(s, FP32, I), w = head ? RANDOM(s, TABLE, O, I) : RANDOM(s, MATRIX, I, O);
        pair sum[2] = {EMPTY(s, ACT, B, 1, I), EMPTY(s, ACT, B, 1, I)}, x = EMPTY(s, ACT, B, 1, I),
             mean = EMPTY(s, FP32, B), rstd = EMPTY(s, FP32, B),
             y[2] = {EMPTY(s, head ? FP32 : ACT, B, O), EMPTY(s, head ? FP32 : ACT, B, O)};
        pair_weight weight;
        weight_open(s, &weight, &w, NULL, head);
        for (int apart = 0; apart < 2; apart++)
            for (int k = 0; k < SIDES; k++) {
                gp_norm_op norm = {.residual = ON(residual, k),
                                   .branch = branches ? ON(branch, k) : NULL,
                                   .gamma = ON(gamma, k),
                                   .beta = cases[i].beta ? ON(beta, k) : NULL,
                                   .eps = 1e-5f,
                                   .sum = branches ? ON(sum[apart], k) : NULL,
                                   .y = ON(x, k),
                                   .mean = ON(mean, k),
                                   .rstd = ON(rstd, k)};
                const gp_norm_op *within = apart ? NULL : &norm;
                if (apart)
                    OP(s, k, norm_forward, &norm);
                if (head)
                    OP(s, k, head_decode,
                       &(gp_head_op){.x = ON(x, k), .w = &weight.on[k], .logits = ON(y[apart], k), .norm = within});
                else
                    OP(s, k, linear_decode,
                       &(gp_linear_op){.x = ON(x, k), .w = &weight.on[k], .y = ON(y[apart], k), .norm = within});
            }
        NEAR(s, y[0], s->tolerance);
        assert_same_bits(s, ON(y[0], DEVICE), ON(y[1], DEVICE));
        if (branches)
            assert_same_bits(s, ON(sum[0], DEVICE), ON(sum[1], DEVICE));
        weight_close(s, &weight);
        sides_forget(s);
    }
}

/* ---- attention ------------------------------------------------------------------------------------------- */

static void attend(sides *s, int side, int64_t H, const int32_t *positions, const gp_tensor *qkv, const gp_kv *kv,
                   gp_tensor *out)
{
    OP(s, side, attention_cached,
       &(gp_attention_cached_op){
           .heads = (int)H, .positions = positions, .qkv = qkv, .kv = kv, .out = out, .divisor = H % 2 ? 0 : 13.7});
}

/* Heads of one number and of hundreds, odd ones, those of a quarter to all lanes of a warp; caches of one span of 256
 * positions and of several. Rows at the first position and the last, and where spans meet. */
static void attention_agrees_and_rows_are_independent(void **state)
{
    static const struct {
        int64_t H, D, P;
    } cases[] = {{1, 1, 1},   {2, 5, 66},    {3, 16, 300}, {2, 33, 530}, {1, 64, 700},
                 {1, 80, 90}, {1, 128, 257}, {1, 256, 40}, {1, 300, 20}};
    enum { B = 6 };
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t H = cases[i].H, D = cases[i].D, P = cases[i].P, C = H * D;
        int32_t last = (int32_t)P - 1, at[B] = {0, last, 255, 256, 63, 511};
        for (int b = 0; b < B; b++)
            at[b] = at[b] > last ? last / 2 : at[b];
        pair qkv = RANDOM(s, ACT, B, 1, 3 * C), k = RANDOM(s, ACT, B, H, P, D), v = RANDOM(s, ACT, B, H, P, D);
        pair out = EMPTY(s, ACT, B, 1, C), again = EMPTY(s, ACT, B, 1, C);
        pair_ids positions = sides_ids(s, at, B);
        sides_plan(s, &(gp_shape){.B = B, .T = 1, .C = (int)C, .H = (int)H, .V = 2, .cache = (int)P});
        for (int side = 0; side < SIDES; side++) {
            gp_kv kv = {k.on[side], v.on[side]};
            attend(s, side, H, positions.on[side], ON(qkv, side), &kv, ON(out, side));
            attend(s, side, H, positions.on[side], ON(qkv, side), &kv, ON(again, side));
        }
        NEAR(s, out, s->tolerance);
        NEAR(s, k, 0);
        NEAR(s, v, 0);
        for (int64_t b = 0; b < B; b++) {
            pair alone = EMPTY(s, ACT, 1, 1, C);
            gp_kv kv = {row_of(&k, b), row_of(&v, b)};
            gp_tensor one = row_of(&qkv, b), twice = row_of(&again, b);
            attend(s, DEVICE, H, positions.on[DEVICE] + b, &one, &kv, ON(alone, DEVICE));
            assert_row_is(s, &alone, &out, b);
            assert_same_bits(s, &twice, ON(alone, DEVICE));
        }
        sides_forget(s);
    }
}

/* Rows t of a device's tensor (B,T,...), as (B,1,...) beside it. */
static pair tokens_of(sides *s, const pair *all, int64_t t)
{
    gp_tensor from = all->on[DEVICE];
    int64_t B = from.dim[0], T = from.dim[1], width = from.dim[2];
    pair one = EMPTY(s, ACT, B, 1, width);
    size_t bytes = (size_t)(width * gp_dtype_size(from.dtype));
    for (int64_t b = 0; b < B; b++)
        OP(s, DEVICE, copy, (char *)ON(one, DEVICE)->data + (size_t)b * bytes,
           (char *)from.data + (size_t)(b * T + t) * bytes, bytes);
    return one;
}

/* Several tokens a row, where spans meet and more than one launch takes: ref's numbers, and the bits of decoding them
 * one after the other. */
static void appended_tokens_have_the_bits_of_decoded_ones(void **state)
{
    static const struct {
        int64_t T, H, D, P;
    } cases[] = {{2, 2, 5, 300},   {16, 3, 16, 300}, {7, 1, 64, 530},
                 {5, 1, 128, 270}, {3, 1, 300, 262}, {70, 1, 8, 330}};
    enum { B = 2 };
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t new_tokens = cases[i].T, H = cases[i].H, D = cases[i].D, P = cases[i].P, C = H * D;
        pair qkv = RANDOM(s, ACT, B, new_tokens, 3 * C), out = EMPTY(s, ACT, B, new_tokens, C);
        pair k = RANDOM(s, ACT, B, H, P, D), v = RANDOM(s, ACT, B, H, P, D);
        int32_t at[B * 70], first[B] = {0, 253};
        for (int n = 0; n < B * new_tokens; n++)
            at[n] = first[n / new_tokens] + n % (int)new_tokens;
        pair_ids positions = sides_ids(s, at, B * new_tokens);
        sides_plan(s, &(gp_shape){.B = B, .T = (int)new_tokens, .C = (int)C, .H = (int)H, .V = 2, .cache = (int)P});
        for (int side = 0; side < SIDES; side++) {
            gp_kv kv = {k.on[side], v.on[side]};
            attend(s, side, H, positions.on[side], ON(qkv, side), &kv, ON(out, side));
        }
        NEAR(s, out, s->tolerance);
        NEAR(s, k, 0);
        NEAR(s, v, 0);
        gp_kv kv = {k.on[DEVICE], v.on[DEVICE]}; /* what is there after a position does not matter */
        for (int t = 0; t<new_tokens; t += new_tokens> 16 ? 23 : 1) {
            pair one = tokens_of(s, &qkv, t), alone = EMPTY(s, ACT, B, 1, C), among = tokens_of(s, &out, t);
            pair_ids now = sides_ids(s, (int32_t[]){first[0] + t, first[1] + t}, B);
            attend(s, DEVICE, H, now.on[DEVICE], ON(one, DEVICE), &kv, ON(alone, DEVICE));
            assert_same_bits(s, ON(alone, DEVICE), ON(among, DEVICE));
        }
        NEAR(s, k, 0);
        NEAR(s, v, 0);
        sides_forget(s);
    }
}

/* A number that is not one is not hidden by those that are. */
static void attention_keeps_nan(void **state)
{
    enum { H = 1, D = 64, P = 300 };
    sides *s = *state;
    pair qkv = RANDOM(s, ACT, 1, 1, 3 * D), k = EMPTY(s, ACT, 1, H, P, D), v = RANDOM(s, ACT, 1, H, P, D);
    pair out = RANDOM(s, ACT, 1, 1, D);
    pair_ids positions = sides_ids(s, (int32_t[]){P - 1}, 1);
    sides_plan(s, &(gp_shape){.B = 1, .T = 1, .C = D, .H = H, .V = 2, .cache = P});
    gp_kv kv = {k.on[DEVICE], v.on[DEVICE]};
    attend(s, DEVICE, H, positions.on[DEVICE], ON(qkv, DEVICE), &kv, ON(out, DEVICE));
    float *x = sides_read(s, DEVICE, ON(out, DEVICE));
    for (int d = 0; d < D; d++)
        assert_true(isnan(x[d]));
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(attention_agrees_and_rows_are_independent),
        SIDES_TEST(appended_tokens_have_the_bits_of_decoded_ones),
        SIDES_TEST(attention_keeps_nan),
        SIDES_TEST(linear_agrees_and_rows_are_independent),
        SIDES_TEST(head_agrees_and_rows_are_independent),
        SIDES_TEST(products_of_a_norm_have_the_same_bits),
    };
    const struct CMUnitTest narrow[] = {SIDES_TEST(linear_agrees_and_rows_are_independent),
                                        SIDES_TEST(head_agrees_and_rows_are_independent)};
    return sides_main("cuda decode", tests) + sides_run("cuda decode", "narrow", narrow, ARRAY_LEN(narrow));
}
