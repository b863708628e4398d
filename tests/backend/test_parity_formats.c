/* Weights in a format: backend cpu against ref, which decodes a row and multiplies in double. */
#include "parity.h"

enum { FORMATS = 4 };
static const gp_weight_format formats[FORMATS] = {GP_WEIGHTS_BF16, GP_WEIGHTS_FP16, GP_WEIGHTS_INT8, GP_WEIGHTS_INT4};

static const struct {
    int64_t I, O;
} shapes[] = {{1, 1}, {5, 3}, {31, 7}, {32, 16}, {33, 65}, {64, 130}, {97, 48}, {257, 35}, {768, 70}};

static const int64_t batches[] = {1, 2, 3, 4, 5, 8, 17, 64};

/* w (random) in a format, filled in slices of lines. Both backends read the same slot. */
static gp_weight fill(parity *p, gp_weight_format f, int64_t I, int64_t O, bool transposed)
{
    gp_tensor numbers = transposed ? RANDOM(p, O, I) : RANDOM(p, I, O);
    gp_weight w = {.w = numbers, .transposed = transposed, .format = f};
    w.w.data = NULL;
    p->cpu->weight_format = f;
    parity_plan(p, 1, 64, 768, 4, 130, false);
    p->cpu->ops->weight_open(p->cpu, &w, 1);
    size_t bytes = p->cpu->ops->weight_bytes(p->cpu, &w);
    assert_int_equal(bytes, p->ref->ops->weight_bytes(p->ref, &w));
    assert_int_equal(bytes, (size_t)O * gp_weight_row_bytes(f, I));
    w.slot = parity_take(p, bytes);
    for (int64_t first = 0; first < w.w.dim[0]; first += 64) {
        int64_t lines = gp_min(64, w.w.dim[0] - first);
        p->cpu->ops->weight_fill(p->cpu, &w, first, lines, (float *)numbers.data + first * w.w.dim[1]);
    }
    p->cpu->ops->weights_changed(p->cpu, (gp_weight *[]){&w}, 1);
    return w;
}

/* Calls `check` for every format, layout and shape. */
static void for_each_weight(parity *p, void (*check)(parity *p, gp_weight *w))
{
    for (int f = 0; f < FORMATS; f++)
        for (size_t s = 0; s < ARRAY_LEN(shapes); s++)
            for (int transposed = 0; transposed < 2; transposed++) {
                gp_weight w = fill(p, formats[f], shapes[s].I, shapes[s].O, transposed);
                check(p, &w);
                p->cpu->ops->weight_close(p->cpu, &w);
                parity_forget(p);
            }
}

/* What weight_lines gives is what gp_weight_decode does with a row of the parameter's numbers. */
static void check_lines(parity *p, gp_weight *w)
{
    int64_t I = gp_weight_inputs(w), O = gp_weight_outputs(w), count = gp_tensor_count(&w->w);
    gp_tensor lines = {.dtype = GP_F32, .ndim = 2, .dim = {w->w.dim[0], w->w.dim[1]}};
    lines.data = parity_take(p, (size_t)count * sizeof(float));
    float *row = parity_take(p, (size_t)I * sizeof *row), *x = lines.data;
    p->cpu->ops->weight_lines(p->cpu, w, 0, w->w.dim[0], x);
    for (int64_t o = 0; o < O; o++) {
        gp_weight_decode(w->format, (char *)w->slot + (size_t)o * gp_weight_row_bytes(w->format, I), I, row);
        for (int64_t i = 0; i < I; i++)
            assert_true(row[i] == x[w->transposed ? o * I + i : i * O + o]);
    }
}

static void lines_are_the_rows_in_the_parameters_layout(void **state)
{
    for_each_weight(*state, check_lines);
}

static gp_tensor product(parity *p, gp_backend *be, bool decode, gp_weight *w, const gp_tensor *x,
                         const gp_tensor *bias)
{
    gp_tensor y = RANDOM(p, x->dim[0], gp_weight_outputs(w));
    gp_linear_op op = {.x = x, .w = w, .bias = bias, .act = GP_ACT_GELU_TANH, .y = &y};
    if (decode)
        be->ops->linear_decode(be, &op);
    else
        be->ops->linear_forward(be, &op);
    return y;
}

/* The first row has the same bits in every batch. */
static void check_decode(parity *p, gp_weight *w)
{
    int64_t I = gp_weight_inputs(w), O = gp_weight_outputs(w);
    gp_tensor bias = RANDOM(p, O), all = RANDOM(p, 64, I), first = RANDOM(p, O);
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        gp_tensor x = all;
        x.dim[0] = batches[i];
        gp_tensor ref = product(p, p->ref, true, w, &x, &bias), cpu = product(p, p->cpu, true, w, &x, &bias);
        ASSERT_NEAR(cpu, ref, parity_close);
        if (i == 0)
            memcpy(first.data, cpu.data, (size_t)O * sizeof(float));
        assert_memory_equal(cpu.data, first.data, (size_t)O * sizeof(float));
        gp_tensor last = {.data = (float *)x.data + (batches[i] - 1) * I, .dtype = GP_F32, .ndim = 2, .dim = {1, I}};
        gp_tensor alone = product(p, p->cpu, true, w, &last, &bias);
        assert_memory_equal(alone.data, (float *)cpu.data + (batches[i] - 1) * O, (size_t)O * sizeof(float));
    }
}

static void decode_agrees_and_rows_are_independent(void **state)
{
    for_each_weight(*state, check_decode);
}

static void check_forward(parity *p, gp_weight *w)
{
    int64_t I = gp_weight_inputs(w), O = gp_weight_outputs(w);
    gp_tensor bias = RANDOM(p, O), all = RANDOM(p, 64, I);
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        gp_tensor x = all;
        x.dim[0] = batches[i];
        const gp_tensor *b = i % 2 ? &bias : NULL;
        gp_tensor ref = product(p, p->ref, false, w, &x, b), cpu = product(p, p->cpu, false, w, &x, b);
        ASSERT_NEAR(cpu, ref, p->tolerance);
    }
}

static void products_of_many_rows_agree(void **state)
{
    for_each_weight(*state, check_forward);
}

/* A tile has 2 MB of decoded numbers: 256 outputs in fp32. */
static void products_of_several_tiles_agree(void **state)
{
    parity *p = *state;
    for (int f = 0; f < FORMATS; f++) {
        gp_weight w = fill(p, formats[f], 2048, 330, f % 2);
        check_forward(p, &w);
        p->cpu->ops->weight_close(p->cpu, &w);
        parity_forget(p);
    }
}

/* Logits, losses, and embedding, of the same table (V,C). */
static void heads_and_embeddings_agree(void **state)
{
    enum { V = 133, C = 96, N = 21 };
    parity *p = *state;
    for (int f = 0; f < FORMATS; f++) {
        gp_weight w = fill(p, formats[f], C, V, true);
        gp_tensor x = RANDOM(p, 3, N / 3, C), bias = RANDOM(p, V), wpe = RANDOM(p, N, C), wtt = RANDOM(p, 2, C);
        gp_tensor logits[2][2], losses[2], y[2];
        int32_t *tokens = parity_ids(p, N, V), *positions = parity_ids(p, N, N), *types = parity_ids(p, N, 2);
        gp_backend *sides[] = {p->ref, p->cpu};
        for (int k = 0; k < 2; k++) {
            gp_step step = parity_step();
            logits[k][0] = RANDOM(p, N, V), logits[k][1] = RANDOM(p, N, V);
            losses[k] = RANDOM(p, N), y[k] = RANDOM(p, 3, N / 3, C);
            gp_head_op head = {.x = &x, .w = &w, .bias = &bias, .targets = tokens, .step = &step};
            head.logits = &logits[k][0];
            sides[k]->ops->head_logits(sides[k], &head);
            head.logits = &logits[k][1];
            sides[k]->ops->head_decode(sides[k], &head);
            head.logits = NULL, head.losses = &losses[k];
            sides[k]->ops->head_loss(sides[k], &head);
            gp_embed_op embed = {.tokens = tokens, .positions = positions, .types = types, .pad_token = -1};
            embed.wte = &w.w, embed.table = &w, embed.wpe = &wpe, embed.wtt = &wtt, embed.y = &y[k];
            sides[k]->ops->embed_forward(sides[k], &embed);
        }
        ASSERT_NEAR(logits[1][0], logits[0][0], p->tolerance);
        ASSERT_NEAR(logits[1][1], logits[0][1], parity_close);
        ASSERT_NEAR(losses[1], losses[0], p->tolerance);
        ASSERT_NEAR(y[1], y[0], 1e-6);
        p->cpu->ops->weight_close(p->cpu, &w);
        parity_forget(p);
    }
}

/* x is rounded for 64 rows at a time. */
static void many_rows_are_decoded_as_one(void **state)
{
    enum { B = 131, I = 300, O = 20 };
    parity *p = *state;
    for (int f = 0; f < FORMATS; f++) {
        gp_weight w = fill(p, formats[f], I, O, true);
        gp_tensor x = RANDOM(p, B, I), y = product(p, p->cpu, true, &w, &x, NULL);
        for (int64_t b = 0; b < B; b++) {
            gp_tensor one = {.data = (float *)x.data + b * I, .dtype = GP_F32, .ndim = 2, .dim = {1, I}};
            gp_tensor alone = product(p, p->cpu, true, &w, &one, NULL);
            assert_memory_equal(alone.data, (float *)y.data + b * O, O * sizeof(float));
        }
        p->cpu->ops->weight_close(p->cpu, &w);
        parity_forget(p);
    }
}

/* An input that is not finite: all outputs of its row are NaN, of no other row. */
static void rounding_hides_no_nan(void **state)
{
    enum { I = 300, O = 20, ROWS = 5 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int64_t places[] = {0, 17, 255, 256, I - 1};
    parity *p = *state;
    for (int k = 0; k < FORMATS * (int)ARRAY_LEN(bad) * (int)ARRAY_LEN(places); k++) {
        gp_weight_format f = formats[k % FORMATS];
        if (!gp_weight_rounds_input(f))
            continue;
        gp_weight w = fill(p, f, I, O, true);
        gp_tensor x = RANDOM(p, ROWS, I);
        ((float *)x.data)[3 * I + places[k / FORMATS / (int)ARRAY_LEN(bad)]] = bad[k / FORMATS % (int)ARRAY_LEN(bad)];
        gp_tensor y[] = {product(p, p->cpu, true, &w, &x, NULL), product(p, p->ref, true, &w, &x, NULL)};
        for (int64_t n = 0; n < ROWS * O; n++)
            for (int side = 0; side < 2; side++)
                assert_true(isnan(((float *)y[side].data)[n]) == (n / O == 3));
        p->cpu->ops->weight_close(p->cpu, &w);
        parity_forget(p);
    }
}

static void one_thread_decodes_the_bits_of_two(void **state)
{
    parity *p = *state;
    gp_cpu *cpu = p->cpu->state;
    for (int f = 0; f < FORMATS; f++) {
        gp_weight w = fill(p, formats[f], 129, 513, false);
        gp_tensor x = RANDOM(p, 3, 129);
        cpu->split_ps = 0;
        gp_tensor two = product(p, p->cpu, true, &w, &x, NULL);
        cpu->split_ps = INT64_MAX;
        gp_tensor one = product(p, p->cpu, true, &w, &x, NULL);
        assert_true(parity_same_bits(&one, &two));
    }
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_the_rows_in_the_parameters_layout, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(decode_agrees_and_rows_are_independent, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(products_of_many_rows_agree, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(products_of_several_tiles_agree, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(heads_and_embeddings_agree, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(many_rows_are_decoded_as_one, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(rounding_hides_no_nan, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(one_thread_decodes_the_bits_of_two, parity_setup, parity_teardown),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("weight formats", group);
}
