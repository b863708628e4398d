/* Kernels of backend cpu beside arithmetic, at every length up to a few vectors: what a vector's rest gets wrong shows
 * in no mean over a long row. */
#include "parity.h"

#include "backend/cpu/kernels.h"

enum { MAX = 70 };

static const gp_kernels *kernels_of(const parity *p)
{
    return ((gp_cpu *)p->cpu->state)->k;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754: to the nearest, of two that are as near to the even one. */
static void bf16_is_the_nearest_and_of_two_the_even_one(void **state)
{
    static const struct {
        uint32_t x;
        uint16_t nearest;
    } cases[] = {
        {0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f810000, 0x3f81},
        {0x3f817fff, 0x3f81}, {0x3f818000, 0x3f82}, {0x3f818001, 0x3f82}, {0xbf808000, 0xbf80}, {0xbf818000, 0xbf82},
        {0x3fff8000, 0x4000}, {0x3ffe8000, 0x3ffe}, {0x00008000, 0x0000}, {0x00018000, 0x0002}, {0x80018000, 0x8002},
        {0x00000001, 0x0000}, {0x7f7f7fff, 0x7f7f}, {0x7f7f8000, 0x7f80}, {0xff7fffff, 0xff80}, {0x7f800000, 0x7f80},
        {0xff800000, 0xff80}, {0x80000000, 0x8000}, {0x7fc00000, 0x7fc0}, {0xffffffff, 0xffff}, {0x7f800001, 0x7fc0},
    };
    const parity *p = *state;
    for (int64_t n = 1; n <= MAX; n++) {
        float x[MAX];
        uint16_t got[MAX + 1], ours[MAX];
        for (int64_t i = 0; i < n; i++)
            x[i] = float_of(cases[(n + i) % (int64_t)ARRAY_LEN(cases)].x);
        got[n] = 0x1234;
        kernels_of(p)->to_bf16(got, x, n);
        gp_from_f32(ours, GP_BF16, x, n); /* what checkpoints are written with */
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(got[i], cases[(n + i) % (int64_t)ARRAY_LEN(cases)].nearest);
            assert_int_equal(ours[i], cases[(n + i) % (int64_t)ARRAY_LEN(cases)].nearest);
        }
        assert_int_equal(got[n], 0x1234);
    }
}

/* Rows that threads and instruction sets share: whole groups and a rest, several rows and a part of one, equal numbers
 * (a step of 0), and steps that fp16 rounds to a subnormal number or to 0. */
static void weights_are_encoded_to_the_same_bits(void **state)
{
    enum { I = 600, ROWS = 5, FROM = 64 };
    static float w[ROWS * I];
    const parity *p = *state;
    for (int64_t i = 0; i < ROWS * I; i++) {
        int64_t block = i / GP_WEIGHT_BLOCK;
        w[i] = block % 9 == 8 ? 0.25f
                              : ldexpf((float)(i * 7919 % 1009) - 504.25f, block % 7 == 6 ? -40 : -(int)(block % 27));
    }
    for (int f = GP_WEIGHTS_BF16; f <= GP_WEIGHTS_INT4; f++) {
        size_t bytes = ROWS * gp_weight_row_bytes((gp_weight_format)f, I);
        char *got = calloc(bytes, 2), *expected = got + bytes;
        kernels_of(p)->encode_rows((gp_weight_format)f, w, ROWS - 1, I, I, 0, I, got);
        kernels_of(p)->encode_rows((gp_weight_format)f, w + FROM, 1, I, I, FROM, I - FROM,
                                   got + bytes / ROWS * (ROWS - 1));
        for (int64_t r = 0; r < ROWS - 1; r++)
            gp_weight_encode((gp_weight_format)f, w + r * I, I, expected + bytes / ROWS * (size_t)r);
        gp_weight_encode_part((gp_weight_format)f, w + FROM, I, FROM, I - FROM, expected + bytes / ROWS * (ROWS - 1));
        assert_memory_equal(got, expected, bytes);
        free(got);
    }
}

/* One logit is 200, at any place, the others are 0: the loss of any other id is 200, to e^-200. Were the largest
 * overlooked, e^200 would be infinite. */
static void the_largest_logit_is_found_wherever_it_is(void **state)
{
    const parity *p = *state;
    for (int64_t V = 2; V <= MAX; V++)
        for (int64_t at = 0; at < V; at++)
            for (int train = 0; train < 2; train++) {
                float row[MAX] = {0};
                int32_t target = at ? 0 : 1;
                row[at] = 200;
                gp_loss loss = {.V = V, .train = train, .scale = 0.5f};
                assert_true(kernels_of(p)->cross_entropy(&loss, row, target) == 200);
                if (!train)
                    continue;
                for (int64_t v = 0; v < V; v++) /* softmax - onehot, halved */
                    assert_true(row[v] == (v == at ? 0.5f : v == target ? -0.5f : 0));
            }
}

/* All logits alike: the loss is log V, and every gradient but the target's is scale / V. */
static void every_logit_counts(void **state)
{
    const parity *p = *state;
    for (int64_t V = 1; V <= MAX; V++) {
        float row[MAX];
        for (int64_t v = 0; v < V; v++)
            row[v] = -3;
        gp_loss of = {.V = V, .train = true, .scale = 2};
        double loss = kernels_of(p)->cross_entropy(&of, row, (int32_t)(V - 1));
        assert_true(fabs(loss - log((double)V)) < 1e-6);
        for (int64_t v = 0; v < V; v++)
            assert_true(fabs(row[v] - (2.0 / (double)V - (v == V - 1 ? 2 : 0))) < 1e-6);
    }
}

/* Numbers 1, 2, ..., n, whose sums are known: n (n + 1) / 2 and n (n + 1) (2 n + 1) / 6. */
static void sums_are_those_of_all_numbers(void **state)
{
    const parity *p = *state;
    const gp_kernels *k = kernels_of(p);
    for (int64_t n = 1; n <= MAX; n++) {
        float x[3 * MAX], sums[MAX + 1] = {0}, twice[MAX + 1], y[MAX + 1];
        for (int64_t i = 0; i < 3 * n; i++)
            x[i] = (float)(i % n + 1);
        assert_true(k->sum_squares(x, n) == (double)(n * (n + 1) * (2 * n + 1) / 6));
        sums[n] = twice[n] = y[n] = -1;
        for (int64_t rows = 1; rows <= 3; rows += 2) { /* one, and then three more */
            k->add_rows(x, rows, n, n, sums);
            for (int64_t i = 0; i < n; i++)
                assert_true(sums[i] == (float)((i + 1) * (rows == 1 ? 1 : 4)));
        }
        k->multiply(y, x, x, n);
        memcpy(twice, x, (size_t)n * sizeof *x);
        k->add(twice, x, NULL, n);
        k->add(twice, x, x, n);
        for (int64_t i = 0; i < n; i++) {
            assert_true(y[i] == x[i] * x[i]);
            assert_true(twice[i] == 2 * x[i] + x[i] * x[i]);
        }
        assert_true(sums[n] == -1 && twice[n] == -1 && y[n] == -1);
    }
    static float long_row[5000]; /* a gradient: several streams, and what is left of them */
    for (int64_t i = 0; i < (int64_t)ARRAY_LEN(long_row); i++)
        long_row[i] = (float)(i + 1);
    for (int64_t n = 1000; n <= (int64_t)ARRAY_LEN(long_row); n += 125)
        assert_true(k->sum_squares(long_row, n) == (double)(n * (n + 1) * (2 * n + 1) / 6));
}

/* y(b,o) = sum of x(b,i) over i: of inputs 1, 2, ... that is (b + 1) n (n + 1) / 2. */
static void decoded_products_are_those_of_all_inputs(void **state)
{
    enum { B = 2, O = 5 };
    const parity *p = *state;
    const gp_kernels *k = kernels_of(p);
    for (int64_t n = 1; n <= MAX; n++) {
        float x[B * MAX], rows[O * MAX], columns[MAX * O], y[B * O], half[B * O];
        float scratch[GP_DECODE_SCRATCH * B * O];
        for (int64_t i = 0; i < n; i++) {
            for (int64_t b = 0; b < B; b++)
                x[b * n + i] = (float)((i + 1) * (b + 1));
            for (int64_t o = 0; o < O; o++)
                rows[o * n + i] = columns[i * O + o] = 1;
        }
        for (int transposed = 0; transposed < 2; transposed++) {
            gp_decode d = {B, n, O, x, transposed ? rows : columns, GP_WEIGHTS_FP32, (size_t)n * sizeof(float), y};
            memset(y, 0, sizeof y);
            if (transposed) {
                k->decode_rows(&d, 0, 2);
                k->decode_rows(&d, 2, O);
            } else {
                k->decode_columns(&d, (gp_range){0, 2, 0}, 1, y, scratch);
                k->decode_columns(&d, (gp_range){2, O, 0}, 2, y, scratch);
                k->decode_columns(&d, (gp_range){2, O, 1}, 2, half, scratch);
                for (int64_t i = 0; i < B * O; i++)
                    y[i] += i % O < 2 ? 0 : half[i];
            }
            for (int64_t i = 0; i < B * O; i++)
                assert_true(y[i] == (float)((i / O + 1) * n * (n + 1) / 2));
        }
    }
}

/* Those of gp_weight_round_input, whole groups in the order of the weight's, and what int4 multiplies minimums by. */
static void rounded_rows_are_those_of_the_format(void **state)
{
    enum { B = 2, N = 600, GROUP = GP_WEIGHT_GROUP };
    const parity *p = *state;
    for (int64_t n = 1; n <= N; n += n < MAX ? 1 : 53) {
        float x[B * N], scale[B], sums[B * N / GROUP * 16];
        int16_t q[B * (N + 32)], plain[N];
        int64_t stride = gp_rounded_stride(n);
        for (int64_t i = 0; i < B * n; i++)
            x[i] = sinf((float)(i * i)) * (i % 7 ? 1 : 40);
        kernels_of(p)->round_rows(x, B, n, &(gp_rounded){q, scale, sums});
        for (int64_t b = 0; b < B; b++) {
            int32_t of_lanes[N / GROUP][16] = {{0}};
            assert_true(scale[b] == gp_weight_round_input(x + b * n, n, plain));
            for (int64_t i = 0; i < stride; i++) {
                int64_t g = i / GROUP, at = i % GROUP % 32 / 4 * 32 + i % GROUP / 32 * 4 + i % 4;
                bool grouped = g < n / GROUP;
                assert_int_equal(q[b * stride + (grouped ? g * GROUP + at : i)], i < n ? plain[i] : 0);
                if (grouped)
                    of_lanes[g][at % 32 / 2] += plain[i];
            }
            for (int64_t k = 0; k < n / GROUP * 16; k++)
                assert_true(sums[b * (n / GROUP) * 16 + k] == (float)of_lanes[k / 16][k % 16]);
        }
    }
}

/* One row of x has a loop of its own where nothing is fetched: its sums are those of a row among others. */
static void a_row_alone_is_a_row_among_others_fetched_or_not(void **state)
{
    enum { B = 5, O = 37, I = MAX };
    const parity *p = *state;
    const gp_kernels *k = kernels_of(p);
    float x[B * I], w[I * O], y[B * O], one[O], scratch[GP_DECODE_SCRATCH * B * O];
    for (int i = 0; i < B * I; i++)
        x[i] = sinf((float)i);
    for (int i = 0; i < I * O; i++)
        w[i] = cosf((float)i * 0.7f);
    for (int64_t n = 1; n <= I; n++)
        for (int fetch = 0; fetch < 2; fetch++) {
            gp_decode all = {.B = B, .I = n, .O = O, .x = x, .w = w, .y = y, .fetch = fetch};
            k->decode_columns(&all, (gp_range){0, O, 0}, 1, y, scratch);
            for (int64_t b = 0; b < B; b++) {
                gp_decode alone = {.B = 1, .I = n, .O = O, .x = x + b * n, .w = w, .y = one, .fetch = !fetch};
                k->decode_columns(&alone, (gp_range){0, 32, 0}, 1, one, scratch);
                k->decode_columns(&alone, (gp_range){32, O, 0}, 1, one, scratch);
                assert_memory_equal(one, y + b * O, sizeof one);
            }
        }
}

/* torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6: gradients of 3e-6 and 4e-6 held to 1e-6 are a sixth. */
static void tiny_gradients_are_clipped_as_in_pytorch(void **state)
{
    const parity *p = *state;
    gp_backend *both[] = {p->ref, p->cpu};
    for (int i = 0; i < 2; i++) {
        float x[2] = {0}, g[] = {3e-6f, 4e-6f}, m[2] = {0}, v[2] = {0};
        const gp_segment segment = {x, g, m, v, 2, 0, GP_F32, 0, 1};
        gp_step step = {.max_norm = 1e-6f};
        both[i]->ops->grad_norm(both[i], &segment, 1, &step);
        assert_true(fabs(step.clip_scale - 1 / 6.0) < 1e-6);
    }
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bf16_is_the_nearest_and_of_two_the_even_one, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(weights_are_encoded_to_the_same_bits, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(the_largest_logit_is_found_wherever_it_is, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(every_logit_counts, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(sums_are_those_of_all_numbers, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(decoded_products_are_those_of_all_inputs, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(rounded_rows_are_those_of_the_format, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(a_row_alone_is_a_row_among_others_fetched_or_not, parity_setup,
                                        parity_teardown),
        cmocka_unit_test_setup_teardown(tiny_gradients_are_clipped_as_in_pytorch, parity_setup, parity_teardown),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("kernels", group);
}
