/* The CUDA backend against ref: attention by cuDNN. On a device without cuDNN nothing of it is tested, and that is
 * said. */
#include "sides.h"

#include "backend/cuda/cuda.h"

#ifdef GP_CUSIM
void cusim_cudnn_count(int *plans, int *runs); /* beside the simulator's C++ */
#else
static void cusim_cudnn_count(int *plans, int *runs)
{
    *plans = *runs = -1; /* not counted */
}
#endif

typedef struct attention_case {
    int64_t B, T;
    int H;
    int64_t D;
    bool causal;
} attention_case;

typedef struct attention_tensors {
    pair qkv, out, lse, dout, dqkv;
} attention_tensors;

/* One row; sequences beside the tiles' borders; the least and the widest head; both masks. cuDNN compiles kernels for
 * each, so there are few. */
static const attention_case cases[] = {
    {1, 1, 1, 8, true},   {2, 17, 3, 16, true},  {1, 65, 1, 64, true},
    {2, 40, 1, 80, true}, {1, 63, 2, 32, false}, {1, 70, 1, 128, false},
};

/* For the rest. */
static const attention_case common = {2, 50, 2, 32, true};

static gp_shape shape_of(const attention_case *c)
{
    return (gp_shape){.B = (int)c->B,
                      .T = (int)c->T,
                      .C = c->H * (int)c->D,
                      .H = c->H,
                      .inner = 1,
                      .V = 1,
                      .train = true,
                      .causal = c->causal};
}

static void use(sides *s, const attention_case *c, gp_attention_by by)
{
    gp_shape shape = shape_of(c);
    if (gp_backend_attention(s->be[DEVICE], by, &shape))
        fail_msg("%s", gp_error());
    sides_plan(s, &shape);
}

static attention_tensors tensors_of(sides *s, const attention_case *c)
{
    int64_t C = c->H * c->D;
    return (attention_tensors){
        .qkv = RANDOM(s, ACT, c->B, c->T, 3 * C),
        .out = EMPTY(s, ACT, c->B, c->T, C),
        .lse = EMPTY(s, FP32, c->B, c->H, c->T),
        .dout = RANDOM(s, ACT, c->B, c->T, C),
        .dqkv = EMPTY(s, ACT, c->B, c->T, 3 * C),
    };
}

static gp_attention_op op_of(const attention_case *c, attention_tensors *t, int side)
{
    return (gp_attention_op){
        .heads = c->H,
        .causal = c->causal,
        .qkv = ON(t->qkv, side),
        .out = ON(t->out, side),
        .lse = ON(t->lse, side),
        .dout = ON(t->dout, side),
        .dqkv = ON(t->dqkv, side),
        .divisor = c->H % 2 ? 13.7 : 0,
    };
}

static void run(sides *s, const gp_attention_op *op, int side)
{
    OP(s, side, attention_forward, op);
    OP(s, side, attention_backward, op);
}

static void assert_near(sides *s, const attention_tensors *t)
{
    NEAR(s, t->out, s->tolerance);
    NEAR(s, t->lse, 1e-5);
    NEAR(s, t->dqkv, s->tolerance);
}

/* How many graphs cuDNN was asked to run while this ran, where that is counted. */
static void assert_ran(int graphs, int before)
{
    int plans, runs;
    cusim_cudnn_count(&plans, &runs);
    if (plans >= 0)
        assert_int_equal(runs - before, graphs);
}
static int ran(void)
{
    int plans, runs;
    cusim_cudnn_count(&plans, &runs);
    return runs;
}

static void cudnns_attention_agrees(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        attention_tensors t = tensors_of(s, &cases[i]);
        int before = ran();
        use(s, &cases[i], GP_ATTENTION_CUDNN);
        for (int k = 0; k < SIDES; k++) {
            gp_attention_op op = op_of(&cases[i], &t, k);
            run(s, &op, k);
        }
        assert_near(s, &t);
        assert_ran(2, before);
        sides_forget(s);
    }
}

/* Each reads the other's out and lse. */
static void either_half_can_be_its(void **state)
{
    sides *s = *state;
    const attention_case c = common;
    for (gp_attention_by by = GP_ATTENTION_CUDNN_FORWARD; by <= GP_ATTENTION_CUDNN_BACKWARD; by++) {
        attention_tensors t = tensors_of(s, &c);
        int before = ran();
        use(s, &c, by);
        for (int k = 0; k < SIDES; k++) {
            gp_attention_op op = op_of(&c, &t, k);
            run(s, &op, k);
        }
        assert_near(s, &t);
        assert_ran(1, before);
        sides_forget(s);
    }
}

static void the_same_bits_twice(void **state)
{
    sides *s = *state;
    const attention_case c = common;
    attention_tensors t = tensors_of(s, &c);
    gp_attention_op op = op_of(&c, &t, DEVICE);
    float *first[3], *second[3];
    use(s, &c, GP_ATTENTION_CUDNN);
    for (int round = 0; round < 2; round++) {
        float **x = round ? second : first;
        run(s, &op, DEVICE);
        x[0] = sides_read(s, DEVICE, op.out);
        x[1] = sides_read(s, DEVICE, op.lse);
        x[2] = sides_read(s, DEVICE, op.dqkv);
    }
    const gp_tensor *tensors[] = {op.out, op.lse, op.dqkv};
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(first[i], second[i], (size_t)gp_tensor_count(tensors[i]) * sizeof(float));
        free(first[i]);
        free(second[i]);
    }
}

/* Another length, another mask, lengths, dropout, odd addresses: not what was asked for, or not cuDNN's. */
static void what_it_does_not_take_is_the_own_kernels(void **state)
{
    sides *s = *state;
    const attention_case c = common, shorter = {2, 49, 2, 32, true}, full = {2, 50, 2, 32, false};
    use(s, &c, GP_ATTENTION_CUDNN);
    int before = ran();
    for (int which = 0; which < 5; which++) {
        const attention_case *now = which == 0 ? &shorter : which == 1 ? &full : &c;
        attention_tensors t = tensors_of(s, now);
        pair odd = RANDOM(s, ACT, 2 * 50 * 192 + 1);
        pair_ids lengths = sides_ids(s, (int32_t[]){50, 31}, 2);
        pair_step step = sides_step(s, sides_any_step());
        for (int k = 0; k < SIDES; k++) {
            gp_attention_op op = op_of(now, &t, k);
            if (which == 2)
                op.lengths = lengths.on[k];
            else if (which == 3)
                op.drop = (gp_dropout){0.3f, 5, step.on[k]};
            else if (which == 4)
                ON(t.qkv, k)->data = (char *)ON(odd, k)->data + gp_dtype_size(ON(odd, k)->dtype);
            run(s, &op, k);
        }
        assert_near(s, &t);
        assert_ran(0, before);
        sides_forget(s);
    }
}

/* A batch of BERT's with cuDNN's plan for its shape: padded, it is the own kernels', forward and backward; then it is
 * cuDNN's again. */
static void padded_rows_are_the_own_kernels(void **state)
{
    sides *s = *state;
    const attention_case c = {3, 37, 2, 32, false};
    attention_tensors t = tensors_of(s, &c);
    pair_ids lengths = sides_ids(s, (int32_t[]){37, 1, 20}, 3);
    use(s, &c, GP_ATTENTION_CUDNN);
    for (int padded = 1; padded >= 0; padded--) {
        int before = ran();
        for (int k = 0; k < SIDES; k++) {
            gp_attention_op op = op_of(&c, &t, k);
            op.lengths = padded ? lengths.on[k] : NULL;
            run(s, &op, k);
        }
        assert_near(s, &t);
        assert_ran(padded ? 0 : 2, before);
    }
}

/* Inferring: nobody keeps lse; keys and values go to the cache all the same. */
static void prefill_is_its_too(void **state)
{
    sides *s = *state;
    const attention_case c = common;
    attention_tensors t = tensors_of(s, &c);
    pair k = RANDOM(s, ACT, c.B, c.H, c.T + 3, c.D), v = RANDOM(s, ACT, c.B, c.H, c.T + 3, c.D);
    use(s, &c, GP_ATTENTION_CUDNN);
    int before = ran();
    for (int side = 0; side < SIDES; side++) {
        gp_kv kv = {*ON(k, side), *ON(v, side)};
        gp_attention_op op = op_of(&c, &t, side);
        OP(s, side, attention_cached,
           &(gp_attention_cached_op){
               .heads = op.heads, .qkv = op.qkv, .kv = &kv, .out = op.out, .divisor = op.divisor});
    }
    NEAR(s, t.out, s->tolerance);
    NEAR(s, k, 0);
    NEAR(s, v, 0);
    assert_ran(1, before);
}

/* The second time as a graph of CUDA's, which reads what memory holds then. */
static void recorded_it_reads_new_numbers(void **state)
{
    sides *s = *state;
    const attention_case c = common;
    attention_tensors t = tensors_of(s, &c);
    gp_recording *r[SIDES] = {0};
    int before = ran();
    use(s, &c, GP_ATTENTION_CUDNN);
    for (int round = 0; round < 4; round++) {
        attention_tensors other = tensors_of(s, &c);
        for (int k = 0; k < SIDES; k++) {
            gp_attention_op op = op_of(&c, &t, k);
            OP(s, k, copy, ON(t.qkv, k)->data, ON(other.qkv, k)->data, (size_t)gp_tensor_bytes(op.qkv));
            OP(s, k, copy, ON(t.dqkv, k)->data, ON(other.dqkv, k)->data, (size_t)gp_tensor_bytes(op.dqkv));
            if (OP(s, k, record_begin, &r[k]))
                do
                    run(s, &op, k);
                while (!OP(s, k, record_end, &r[k]));
        }
        assert_near(s, &t);
    }
    assert_ran(4, before); /* as it comes, then while it is recorded; two graphs each */
    for (int k = 0; k < SIDES; k++)
        OP(s, k, record_free, &r[k]);
}

static void plans_are_made_once_a_shape(void **state)
{
    sides *s = *state;
    const attention_case c = {1, 21, 2, 24, true};
    gp_shape shape = shape_of(&c);
    int first, second, runs;
    cusim_cudnn_count(&first, &runs);
    use(s, &c, GP_ATTENTION_CUDNN_FORWARD);
    use(s, &c, GP_ATTENTION_CUDNN);
    use(s, &c, GP_ATTENTION_OWN);
    use(s, &c, GP_ATTENTION_CUDNN);
    cusim_cudnn_count(&second, &runs);
    if (first >= 0)
        assert_int_equal(second - first, 2);
    size_t one = gp_cuda_attention_workspace(s->be[DEVICE], &shape);
    assert_true(one >= 2 * 21 * (4 + 2 * 21)); /* delta, and the scores' gradients */
    shape.B = 1000;                            /* no plan is made to hear what it would need */
    assert_in_range(gp_cuda_attention_workspace(s->be[DEVICE], &shape), 900 * one, 1000 * one);
    cusim_cudnn_count(&first, &runs);
    assert_int_equal(first, second);
}

static void refusals_say_why(void **state)
{
    sides *s = *state;
    attention_case c = {1, 16, 2, 20, true};
    gp_shape shape = shape_of(&c);
    assert_int_equal(gp_backend_attention(s->be[DEVICE], GP_ATTENTION_CUDNN, &shape), -1);
    assert_string_equal(gp_error(), "cuDNN's attention needs a head size that is a multiple of 8, max 128 (found 20); "
                                    "use --attention own");
    assert_int_equal(s->be[DEVICE]->attention, GP_ATTENTION_OWN);
    c.D = 16;
    shape = shape_of(&c);
    shape.drops = true;
    assert_int_equal(gp_backend_attention(s->be[DEVICE], GP_ATTENTION_CUDNN, &shape), -1);
    assert_string_equal(gp_error(),
                        "cuDNN's attention cannot generate this dropout mask; use --dropout 0 or --attention own");
    assert_int_equal(gp_backend_attention(s->be[REF], GP_ATTENTION_CUDNN, &shape), -1);
    assert_string_equal(gp_error(), "attention by cuDNN requires backend cuda (found ref); use --attention own");
    assert_int_equal(gp_backend_attention(s->be[REF], GP_ATTENTION_OWN, &shape), 0);
}

static void only_in_bf16(void **state)
{
    sides *s = *state;
    const attention_case c = {1, 16, 2, 16, true};
    gp_shape shape = shape_of(&c);
    assert_int_equal(gp_backend_attention(s->be[DEVICE], GP_ATTENTION_CUDNN, &shape), -1);
    assert_string_equal(gp_error(), "cuDNN's attention needs bf16; use --dtype bf16 or --attention own");
}

/* Whether there is none, which the simulator never says: anything else that goes wrong is for the tests to find. */
static bool is_missing(void)
{
    gp_shape shape = shape_of(&common);
    gp_backend *be = gp_backend_open("cuda", "bf16", 0);
    bool missing = be && gp_backend_attention(be, GP_ATTENTION_CUDNN_FORWARD, &shape) &&
                   (strstr(gp_error(), "cannot find") || strstr(gp_error(), "or later is required") ||
                    strstr(gp_error(), "built without cuDNN"));
    if (missing)
        print_message("skipped: cuda cudnn: %s\n", gp_error());
    gp_backend_close(be);
#ifdef GP_CUSIM
    assert_false(missing);
#endif
    return missing;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(cudnns_attention_agrees),
        SIDES_TEST(either_half_can_be_its),
        SIDES_TEST(the_same_bits_twice),
        SIDES_TEST(what_it_does_not_take_is_the_own_kernels),
        SIDES_TEST(padded_rows_are_the_own_kernels),
        SIDES_TEST(prefill_is_its_too),
        SIDES_TEST(recorded_it_reads_new_numbers),
        SIDES_TEST(plans_are_made_once_a_shape),
        SIDES_TEST(refusals_say_why),
    };
    const struct CMUnitTest in_fp32[] = {SIDES_TEST(only_in_bf16)};
    if (is_missing())
        return 0;
    return sides_run("cuda cudnn", "bf16", tests, ARRAY_LEN(tests)) +
           sides_run("cuda cudnn", "fp32", in_fp32, ARRAY_LEN(in_fp32));
}
