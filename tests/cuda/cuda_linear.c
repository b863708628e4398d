/* The CUDA backend against ref: weights, the linear op forward and backward, and activations alone. */
#include "weights.h"

#include "backend/cuda/cuda.h"

/* All that a product may be made of: by cuBLASLt with this or that in its own kernel, then not at all. */
static const unsigned ways[] = {
    GP_CUDA_LT | GP_CUDA_FUSE_BIAS | GP_CUDA_FUSE_GELU | GP_CUDA_FUSE_SUMS,
    GP_CUDA_LT | GP_CUDA_FUSE_BIAS,
    GP_CUDA_LT,
    0,
};

/* The widest gradient of a bias below, with most rows. */
static const gp_shape shape = {.B = 4, .T = 100, .C = 80, .H = 1, .V = 80, .inner = 320, .train = true};

typedef struct linear_case {
    int64_t N, I, O;
    bool transposed, bias, pre;
    gp_act act;
} linear_case;

/* Shapes below, at and past a tile; even ones and odd ones; both layouts; every epilogue. */
static const linear_case cases[] = {
    {1, 1, 1, false, true, true, GP_ACT_GELU_TANH},      {3, 5, 7, true, true, false, GP_ACT_NONE},
    {64, 32, 64, false, true, true, GP_ACT_GELU_TANH},   {65, 33, 130, false, true, true, GP_ACT_GELU_ERF},
    {40, 128, 96, true, true, true, GP_ACT_GELU_TANH},   {100, 72, 80, false, false, true, GP_ACT_GELU_TANH},
    {16, 80, 240, false, true, false, GP_ACT_GELU_TANH}, {7, 64, 24, false, true, false, GP_ACT_GELU_ERF},
    {129, 8, 8, true, false, false, GP_ACT_NONE},        {5, 16, 16, false, true, true, GP_ACT_NONE},
    {33, 40, 72, false, true, true, GP_ACT_RELU},        {9, 16, 33, true, false, false, GP_ACT_RELU},
    {33, 40, 72, false, true, true, GP_ACT_TANH},        {1, 64, 64, true, true, false, GP_ACT_TANH},
};

static void forward_agrees_with(sides *s, unsigned way)
{
    s->drawn = 0; /* the same numbers in each way */
    sides_plan(s, &shape);
    gp_cuda_allow_products(s->be[DEVICE], way);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const linear_case *c = &cases[i];
        pair x = RANDOM(s, ACT, c->N, c->I), bias = RANDOM(s, FP32, c->O);
        pair w = c->transposed ? RANDOM(s, TABLE, c->O, c->I) : RANDOM(s, MATRIX, c->I, c->O);
        pair y = EMPTY(s, ACT, c->N, c->O), pre = EMPTY(s, ACT, c->N, c->O);
        pair_weight weight;
        weight_open(s, &weight, &w, c->bias ? &bias : NULL, c->transposed);
        for (int k = 0; k < SIDES; k++)
            OP(s, k, linear_forward,
               &(gp_linear_op){.x = ON(x, k),
                               .w = &weight.on[k],
                               .bias = c->bias ? ON(bias, k) : NULL,
                               .act = c->act,
                               .y = ON(y, k),
                               .pre = c->pre ? ON(pre, k) : NULL});
        NEAR(s, y, s->tolerance);
        if (c->pre)
            NEAR(s, pre, s->tolerance);
        weight_close(s, &weight);
        sides_forget(s);
    }
}

static void forward_agrees(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        forward_agrees_with(*state, ways[i]);
}

typedef struct backward_case {
    int64_t N, I, O;
    bool transposed, dx, dw, dbias;
    gp_act in_act;
} backward_case;

static const backward_case backward_cases[] = {
    {1, 1, 1, false, true, true, true, GP_ACT_GELU_TANH},      {37, 24, 40, false, true, true, true, GP_ACT_NONE},
    {37, 24, 40, true, true, true, true, GP_ACT_NONE},         {64, 96, 32, false, true, true, true, GP_ACT_GELU_TANH},
    {21, 15, 33, false, true, true, true, GP_ACT_GELU_TANH},   {50, 64, 16, true, true, true, true, GP_ACT_GELU_ERF},
    {50, 64, 16, false, false, true, true, GP_ACT_NONE},       {50, 64, 16, false, true, true, false, GP_ACT_NONE},
    {50, 64, 16, false, true, false, false, GP_ACT_GELU_TANH}, {400, 16, 24, false, false, false, true, GP_ACT_NONE},
    {33, 40, 72, false, true, true, true, GP_ACT_RELU},        {9, 15, 33, true, true, false, false, GP_ACT_RELU},
    {33, 40, 72, false, true, true, true, GP_ACT_TANH},        {1, 64, 64, true, true, true, false, GP_ACT_TANH},
};

static void backward_agrees_with(sides *s, unsigned way)
{
    s->drawn = 0; /* the same numbers in each way */
    sides_plan(s, &shape);
    gp_cuda_allow_products(s->be[DEVICE], way);
    for (size_t i = 0; i < ARRAY_LEN(backward_cases); i++) {
        const backward_case *c = &backward_cases[i];
        int64_t rows = c->transposed ? c->O : c->I, columns = c->transposed ? c->I : c->O;
        pair x = RANDOM(s, ACT, c->N, c->I), dy = RANDOM(s, ACT, c->N, c->O), dx = EMPTY(s, ACT, c->N, c->I);
        pair in_pre = RANDOM(s, ACT, c->N, c->I), w = RANDOM(s, c->transposed ? TABLE : MATRIX, rows, columns);
        pair dw = RANDOM(s, FP32, rows, columns), bias = RANDOM(s, FP32, c->O), dbias = RANDOM(s, FP32, c->O);
        pair_weight weight;
        weight_open(s, &weight, &w, &bias, c->transposed);
        for (int k = 0; k < SIDES; k++)
            OP(s, k, linear_backward,
               &(gp_linear_op){.x = ON(x, k),
                               .w = &weight.on[k],
                               .dy = ON(dy, k),
                               .dx = c->dx ? ON(dx, k) : NULL,
                               .in_act = c->in_act,
                               .in_pre = ON(in_pre, k),
                               .dw = c->dw ? ON(dw, k) : NULL,
                               .first_dw = i % 2 == 1,
                               .dbias = c->dbias ? ON(dbias, k) : NULL});
        if (c->dx)
            NEAR(s, dx, s->tolerance);
        NEAR(s, dw, s->tolerance); /* what it was, where it is not asked for */
        NEAR(s, dbias, s->tolerance);
        weight_close(s, &weight);
        sides_forget(s);
    }
}

static void backward_agrees(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        backward_agrees_with(*state, ways[i]);
}

/* A weight is read as it is when weights_changed is told, however many there are and wherever they begin. */
static void changed_weights_are_read(void **state)
{
    enum { COUNT = 150 };
    sides *s = *state;
    sides_plan(s, &shape);
    pair x = RANDOM(s, ACT, 4, 8), all = RANDOM(s, FP32, COUNT * 41), y = EMPTY(s, ACT, 4, 5);
    static gp_weight weight[SIDES][COUNT];
    static gp_tensor bias[SIDES][COUNT];
    for (int k = 0; k < SIDES; k++) {
        gp_weight *list[COUNT];
        float *at = all.on[k].data;
        for (int i = 0; i < COUNT; i++, at += 41) { /* every fourth one at a multiple of 16 bytes */
            weight[k][i] = (gp_weight){.w = gp_tensor_view(at, GP_F32, 2, 8, 5), .bias = &bias[k][i]};
            bias[k][i] = gp_tensor_view(at + 36, GP_F32, 1, 5);
            list[i] = &weight[k][i];
            OP(s, k, weight_open, list[i], 4);
            size_t bytes = OP(s, k, weight_bytes, list[i]);
            list[i]->slot = bytes ? sides_take(s, k, bytes) : NULL;
        }
        OP(s, k, weights_changed, list, COUNT);
    }
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < SIDES; k++) {
            OP(s, k, linear_forward,
               &(gp_linear_op){.x = ON(x, k), .w = &weight[k][i], .bias = &bias[k][i], .y = ON(y, k)});
            OP(s, k, weight_close, &weight[k][i]);
        }
        NEAR(s, y, s->tolerance);
    }
}

/* A tensor of more than one block's share, then a tail. */
static void large_weights_are_read(void **state)
{
    sides *s = *state;
    sides_plan(s, &shape);
    pair x = RANDOM(s, ACT, 3, 100), w = RANDOM(s, MATRIX, 100, 167), y = EMPTY(s, ACT, 3, 167);
    pair_weight weight;
    weight_open(s, &weight, &w, NULL, false);
    for (int k = 0; k < SIDES; k++) {
        OP(s, k, linear_forward, &(gp_linear_op){.x = ON(x, k), .w = &weight.on[k], .y = ON(y, k)});
        OP(s, k, weight_close, &weight.on[k]);
    }
    NEAR(s, y, s->tolerance);
}

static void activations_agree(void **state)
{
    static const gp_act acts[] = {GP_ACT_NONE, GP_ACT_GELU_TANH, GP_ACT_GELU_ERF, GP_ACT_RELU, GP_ACT_TANH};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        for (int64_t count = 1; count < 2000; count = count * 5 + 2) {
            pair pre = sides_random(s, ACT, 3, DIMS(count)), dy = RANDOM(s, ACT, count);
            pair y = EMPTY(s, ACT, count), dx = EMPTY(s, ACT, count);
            for (int k = 0; k < SIDES; k++) {
                OP(s, k, act_forward, acts[i], ON(y, k), ON(pre, k));
                OP(s, k, act_backward, acts[i], ON(dx, k), ON(dy, k), ON(pre, k));
                OP(s, k, act_backward, acts[i], ON(dy, k), ON(dy, k), ON(pre, k)); /* in place */
            }
            NEAR(s, y, s->tolerance);
            NEAR(s, dx, s->tolerance);
            NEAR(s, dy, s->tolerance);
            sides_forget(s);
        }
}

/* Far out the slope of an activation is 0 or 1, and nothing is NaN. */
static void activations_are_finite_far_out(void **state)
{
    static const gp_act acts[] = {GP_ACT_GELU_TANH, GP_ACT_GELU_ERF, GP_ACT_RELU, GP_ACT_TANH};
    static const float far[8] = {-1e4f, -60, -12, -6, 6, 12, 60, 1e4f};
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        pair pre = RANDOM(s, ACT, 8), dy = RANDOM(s, ACT, 8), dx = EMPTY(s, ACT, 8);
        for (int k = 0; k < SIDES; k++) {
            sides_write(s, k, ON(pre, k), far);
            OP(s, k, act_backward, acts[i], ON(dx, k), ON(dy, k), ON(pre, k));
        }
        NEAR(s, dx, s->tolerance);
    }
}

static void same_bits_twice(void **state)
{
    sides *s = *state;
    sides_plan(s, &shape);
    pair x = RANDOM(s, ACT, 400, 40), dy = RANDOM(s, ACT, 400, 24), w = RANDOM(s, FP32, 40, 24);
    pair_weight weight;
    weight_open(s, &weight, &w, NULL, false);
    float *got[2][3];
    for (int run = 0; run < 2; run++) {
        s->drawn = 1u << 20; /* the same numbers to add to */
        pair dx = EMPTY(s, ACT, 400, 40), dw = RANDOM(s, FP32, 40, 24), dbias = RANDOM(s, FP32, 24);
        OP(s, DEVICE, linear_backward,
           &(gp_linear_op){.x = ON(x, DEVICE),
                           .w = &weight.on[DEVICE],
                           .dy = ON(dy, DEVICE),
                           .dx = ON(dx, DEVICE),
                           .dw = ON(dw, DEVICE),
                           .dbias = ON(dbias, DEVICE)});
        pair *all[] = {&dx, &dw, &dbias};
        for (int i = 0; i < 3; i++)
            got[run][i] = sides_read(s, DEVICE, ON(*all[i], DEVICE));
    }
    size_t counts[] = {400 * 40, 40 * 24, 24};
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(got[0][i], got[1][i], counts[i] * sizeof(float));
        free(got[0][i]);
        free(got[1][i]);
    }
    weight_close(s, &weight);
}

/* A graph of a forward and backward reads what stands where the tensors are when it runs. */
static void a_recorded_linear_reads_new_numbers(void **state)
{
    sides *s = *state;
    sides_plan(s, &shape);
    gp_recording *recording[SIDES] = {NULL, NULL};
    pair x = RANDOM(s, ACT, 24, 40), bias = RANDOM(s, FP32, 16), w = RANDOM(s, FP32, 40, 16);
    pair y = EMPTY(s, ACT, 24, 16), pre = EMPTY(s, ACT, 24, 16), dx = EMPTY(s, ACT, 24, 40);
    pair dw = RANDOM(s, FP32, 40, 16), db = RANDOM(s, FP32, 16);
    pair_weight weight;
    weight_open(s, &weight, &w, &bias, false);
    for (int round = 0; round < 4; round++) {
        float numbers[24 * 40];
        for (int i = 0; i < 24 * 40; i++)
            numbers[i] = (float)((i * 37 + round * 11) % 29) / 8 - 1;
        for (int k = 0; k < SIDES; k++) {
            sides_write(s, k, ON(x, k), numbers);
            if (!OP(s, k, record_begin, &recording[k]))
                continue;
            do {
                OP(s, k, linear_forward,
                   &(gp_linear_op){.x = ON(x, k),
                                   .w = &weight.on[k],
                                   .bias = ON(bias, k),
                                   .act = GP_ACT_GELU_TANH,
                                   .y = ON(y, k),
                                   .pre = ON(pre, k)});
                OP(s, k, linear_backward,
                   &(gp_linear_op){.x = ON(x, k),
                                   .w = &weight.on[k],
                                   .dy = ON(y, k),
                                   .dx = ON(dx, k),
                                   .dw = ON(dw, k),
                                   .dbias = ON(db, k)});
            } while (!OP(s, k, record_end, &recording[k]));
        }
        pair *all[] = {&y, &pre, &dx, &dw, &db};
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            NEAR(s, *all[i], 2 * s->tolerance);
    }
    for (int k = 0; k < SIDES; k++)
        OP(s, k, record_free, &recording[k]);
    weight_close(s, &weight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(forward_agrees),           SIDES_TEST(backward_agrees),
        SIDES_TEST(changed_weights_are_read), SIDES_TEST(large_weights_are_read),
        SIDES_TEST(activations_agree),        SIDES_TEST(activations_are_finite_far_out),
        SIDES_TEST(same_bits_twice),          SIDES_TEST(a_recorded_linear_reads_new_numbers),
    };
    const struct CMUnitTest narrow[] = {SIDES_TEST(forward_agrees), SIDES_TEST(backward_agrees),
                                        SIDES_TEST(large_weights_are_read)};
    return sides_main("cuda linear", tests) + sides_run("cuda linear", "tf32", tests, ARRAY_LEN(tests)) +
           sides_run("cuda linear", "narrow", narrow, ARRAY_LEN(narrow));
}
