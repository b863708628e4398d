/* The formats in which matrices are stored that only products read. Expected values: IEEE 754 for bf16 and fp16,
 * arithmetic on paper for the blocks. */
#include "test.h"

#include "backend/weight_format.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { MAX = 600, SPARE = 64 };

static const gp_weight_format formats[] = {GP_WEIGHTS_BF16, GP_WEIGHTS_FP16, GP_WEIGHTS_INT8, GP_WEIGHTS_INT4};

/* Normal numbers, the same for the same key. */
static void draw(float *w, int64_t n, uint64_t key)
{
    for (int64_t i = 0; i < n; i += 2) {
        float pair[2];
        gp_random_normal2(key, GP_RNG_INIT, 0, (uint64_t)i, pair);
        w[i] = 0.02F * pair[0];
        if (i + 1 < n)
            w[i + 1] = 0.02F * pair[1];
    }
}

static void rows_have_the_documented_sizes(void **state)
{
    static const struct {
        gp_weight_format f;
        int64_t I;
        size_t minimums, numbers, bytes;
    } cases[] = {
        {GP_WEIGHTS_BF16, 1, 0, 0, 64},        {GP_WEIGHTS_BF16, 32, 0, 0, 64},
        {GP_WEIGHTS_FP16, 33, 0, 0, 128},      {GP_WEIGHTS_FP16, 768, 0, 0, 1536},
        {GP_WEIGHTS_INT8, 1, 0, 64, 128},      {GP_WEIGHTS_INT8, 768, 0, 64, 832},
        {GP_WEIGHTS_INT8, 1056, 0, 128, 1216}, {GP_WEIGHTS_INT4, 33, 4, 64, 128},
        {GP_WEIGHTS_INT4, 768, 48, 128, 512},  {GP_WEIGHTS_INT4, 3072, 192, 384, 1920},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_weight_row row = gp_weight_row_of(cases[i].f, cases[i].I);
        assert_int_equal(row.minimums, cases[i].minimums);
        assert_int_equal(row.numbers, cases[i].numbers);
        assert_int_equal(row.bytes, cases[i].bytes);
        assert_int_equal(gp_weight_row_bytes(cases[i].f, cases[i].I), cases[i].bytes);
    }
}

static void numbers_of_16_bits_are_rounded_to_nearest_even(void **state)
{
    static const float w[] = {1, 1 + 0x1p-8F, 1 + 0x3p-8F, -2.5F, 0x1p-11F + 1, 0x3p-11F + 1, 65504, 0x1p-24F};
    static const uint16_t bf16[] = {0x3f80, 0x3f80, 0x3f82, 0xc020, 0x3f80, 0x3f80, 0x4780, 0x3380};
    static const uint16_t fp16[] = {0x3c00, 0x3c04, 0x3c0c, 0xc100, 0x3c00, 0x3c02, 0x7bff, 0x0001};
    uint16_t row[GP_WEIGHT_ALIGN / 2];
    (void)state;
    gp_weight_encode(GP_WEIGHTS_BF16, w, ARRAY_LEN(w), row);
    assert_memory_equal(row, bf16, sizeof bf16);
    gp_weight_encode(GP_WEIGHTS_FP16, w, ARRAY_LEN(w), row);
    assert_memory_equal(row, fp16, sizeof fp16);
}

/* Two blocks and one number: scales 63.5 / 127 = 0.5, 127 / 127 = 1, 0.25 / 127 = 0x1.02p-9 in fp16. */
static void int8_is_a_scale_times_whole_numbers(void **state)
{
    enum { I = 65 };
    float w[I], back[I];
    uint8_t row[192];
    (void)state;
    for (int i = 0; i < 32; i++) {
        w[i] = 0.5F * (float)(127 - 8 * i); /* to -60.5 */
        w[32 + i] = i ? (float)i + 0.4F : -127;
    }
    w[34] = 2.5F; /* to the even one */
    w[64] = 0.25F;
    gp_weight_encode(GP_WEIGHTS_INT8, w, I, row);
    static const uint16_t scales[] = {0x3800, 0x3c00, 0x1808};
    assert_memory_equal(row, scales, sizeof scales);
    for (int i = 0; i < 32; i++) {
        assert_int_equal((int8_t)row[64 + i], 127 - 8 * i);
        assert_int_equal((int8_t)row[96 + i], i ? i : -127);
    }
    assert_int_equal((int8_t)row[128], 127);
    gp_weight_decode(GP_WEIGHTS_INT8, row, I, back);
    assert_memory_equal(back, w, 32 * sizeof *w);
    assert_true(back[34] == 2);
    assert_true(back[64] == 127 * 0x1.02p-9F);
}

/* w = 0.25 q - 3, in any order of q. */
static void int4_is_a_scale_times_four_bits_plus_a_minimum(void **state)
{
    enum { I = 40 };
    float w[I], back[I];
    uint8_t row[128];
    (void)state;
    for (int i = 0; i < I; i++)
        w[i] = 0.25F * (float)(i * 7 % 16) - 3;
    gp_weight_encode(GP_WEIGHTS_INT4, w, 32, row);
    static const uint16_t scale = 0x3400, minimum = 0xc200; /* 0.25, -3 */
    assert_memory_equal(row, &scale, 2);
    assert_memory_equal(row + 2, &minimum, 2);
    for (int j = 0; j < 16; j++)
        assert_int_equal(row[64 + j], (j * 7 % 16) | ((j + 16) * 7 % 16) << 4);
    gp_weight_encode(GP_WEIGHTS_INT4, w, I, row);
    gp_weight_decode(GP_WEIGHTS_INT4, row, I, back);
    assert_memory_equal(back, w, 32 * sizeof *w);
    for (int i = 32; i < I; i++)
        assert_float_equal(back[i], w[i], 0.12);
}

static double squared_error(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

/* Eight blocks with one d, whose numbers say where they come from; a ninth follows them. */
static void the_blocks_of_a_group_are_interleaved_by_four_bytes(void **state)
{
    enum { I = 9 * 32, D = 64, M = 128 };
    float w[I];
    uint8_t row[448];
    (void)state;
    for (int i = 0; i < I; i++)
        w[i] = i % 32 ? (float)(i * 37 % 127) : 127; /* d = 1 */
    gp_weight_encode(GP_WEIGHTS_INT8, w, I, row);
    for (int i = 0; i < I; i++)
        assert_int_equal(row[D + (i < 256 ? i % 32 / 4 * 32 + i / 32 * 4 + i % 4 : i)], (int)w[i]);
    for (int i = 0; i < I; i++)
        w[i] = i % 32 < 2 ? (float)(i % 2 * 15) : (float)(i * 37 % 16); /* d = 1, m = 0 */
    gp_weight_encode(GP_WEIGHTS_INT4, w, I, row);
    for (int i = 0; i < I; i++) {
        int k = i / 32, j = i % 16, byte = k < 8 ? j / 4 * 32 + k * 4 + j % 4 : k * 16 + j;
        assert_int_equal(row[D + byte] >> (i % 32 / 16 * 4) & 15, (int)w[i]);
    }
}

static void inputs_are_rounded_to_16_bits_of_the_largest(void **state)
{
    static const float x[] = {-65534, 3, 1, 0x1p-20F, 32767, -2.5F}, tiny[] = {0x1p-101F, 0};
    static const int16_t rounded[] = {-32767, 2, 0, 0, 16384, -1}; /* halves: 1.5, 0.5, 16383.5 to the even one */
    float bad[] = {1, 2, NAN};
    int16_t q[ARRAY_LEN(x)];
    (void)state;
    assert_true(gp_weight_round_input(x, ARRAY_LEN(x), q) == 2);
    assert_memory_equal(q, rounded, sizeof rounded);
    assert_true(gp_weight_round_input(tiny, 2, q) == 0 && q[0] == 0 && q[1] == 0);
    assert_true(isnan(gp_weight_round_input(bad, 3, q)));
    bad[2] = -INFINITY;
    assert_true(isnan(gp_weight_round_input(bad, 3, q)));
}

/* Half a unit in the last place, or half a step of the block. */
static void errors_are_bounded(void **state)
{
    (void)state;
    for (int64_t I = 1; I <= MAX; I++) {
        float w[MAX], back[MAX], largest = 0, lo = 1, hi = -1;
        uint8_t row[2 * MAX + SPARE];
        draw(w, I, (uint64_t)I);
        for (int64_t i = 0; i < I; i++) {
            largest = fabsf(w[i]) > largest ? fabsf(w[i]) : largest;
            lo = w[i] < lo ? w[i] : lo;
            hi = w[i] > hi ? w[i] : hi;
        }
        const double bound[] = {[GP_WEIGHTS_BF16] = largest * 0x1p-8,
                                [GP_WEIGHTS_FP16] = largest * 0x1p-11,
                                [GP_WEIGHTS_INT8] = largest / 127 * 0.5 + 127 * 0x1p-25 + largest * 0x1p-11,
                                [GP_WEIGHTS_INT4] = ((double)hi - lo) * 0.16 + largest * 0x1p-11};
        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            assert_true(gp_weight_row_bytes(formats[k], I) <= sizeof row);
            gp_weight_encode(formats[k], w, I, row);
            gp_weight_decode(formats[k], row, I, back);
            for (int64_t i = 0; i < I; i++)
                assert_true(fabs((double)back[i] - w[i]) <= bound[formats[k]]);
        }
    }
}

/* ggml's Q4_1 takes d = (max - min) / 15 and m = min. */
static void int4_has_less_squared_error_than_the_whole_range(void **state)
{
    double ours = 0, whole = 0;
    (void)state;
    for (int64_t r = 0; r < 1000; r++) {
        float w[GP_WEIGHT_BLOCK], back[GP_WEIGHT_BLOCK], plain[GP_WEIGHT_BLOCK], lo = 1, hi = -1;
        uint8_t row[128];
        draw(w, GP_WEIGHT_BLOCK, (uint64_t)r);
        gp_weight_encode(GP_WEIGHTS_INT4, w, GP_WEIGHT_BLOCK, row);
        gp_weight_decode(GP_WEIGHTS_INT4, row, GP_WEIGHT_BLOCK, back);
        for (int i = 0; i < GP_WEIGHT_BLOCK; i++) {
            lo = w[i] < lo ? w[i] : lo;
            hi = w[i] > hi ? w[i] : hi;
        }
        for (int i = 0; i < GP_WEIGHT_BLOCK; i++)
            plain[i] = roundf((w[i] - lo) / ((hi - lo) / 15)) * ((hi - lo) / 15) + lo;
        ours += squared_error(back, w, GP_WEIGHT_BLOCK);
        whole += squared_error(plain, w, GP_WEIGHT_BLOCK);
    }
    assert_true(ours < 0.9 * whole);
}

static void a_row_encoded_in_parts_is_the_same(void **state)
{
    enum { I = 550 };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
        float w[I], back[I], part[I];
        uint8_t whole[2 * I + SPARE], parts[2 * I + SPARE];
        draw(w, I, 5);
        memset(whole, 0xee, sizeof whole);
        memset(parts, 0xee, sizeof parts);
        gp_weight_encode(formats[k], w, I, whole);
        for (int64_t first = 0; first < I; first += 64)
            gp_weight_encode_part(formats[k], w + first, I, first, gp_min(64, I - first), parts);
        assert_memory_equal(parts, whole, sizeof whole);
        gp_weight_decode(formats[k], whole, I, back);
        for (int64_t first = 0; first < I; first += 96)
            gp_weight_decode_part(formats[k], whole, I, first, gp_min(96, I - first), part + first);
        assert_memory_equal(part, back, sizeof back);
    }
}

/* Blocks of several rows are encoded side by side; none may depend on its neighbours, or be left out. */
static void rows_encoded_at_once_are_those_encoded_alone(void **state)
{
    enum { I = 300, ROWS = 7, STRIDE = 320 };
    float w[ROWS * STRIDE];
    (void)state;
    draw(w, ROWS * STRIDE, 6);
    for (size_t k = 0; k < ARRAY_LEN(formats); k++)
        for (int64_t rows = 1; rows <= ROWS; rows++) {
            uint8_t all[ROWS * (2 * I + SPARE)], alone[2 * I + SPARE];
            size_t bytes = gp_weight_row_bytes(formats[k], I);
            gp_weight_encode_rows(formats[k], w, rows, STRIDE, I, 0, 64, all);
            gp_weight_encode_rows(formats[k], w + 64, rows, STRIDE, I, 64, I - 64, all);
            for (int64_t r = 0; r < rows; r++) {
                gp_weight_encode(formats[k], w + r * STRIDE, I, alone);
                assert_memory_equal(all + (size_t)r * bytes, alone, bytes);
            }
        }
}

/* What kernels may read past the last number; the byte after the row is not written. */
static void padding_is_zero(void **state)
{
    static const struct {
        gp_weight_format f;
        size_t from, to;
    } cases[] = {
        {GP_WEIGHTS_BF16, 66, 128}, {GP_WEIGHTS_FP16, 66, 128}, {GP_WEIGHTS_INT8, 4, 64},
        {GP_WEIGHTS_INT8, 97, 128}, {GP_WEIGHTS_INT4, 8, 64},   {GP_WEIGHTS_INT4, 81, 128},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        float w[33];
        uint8_t row[129];
        memset(row, 0xee, sizeof row);
        draw(w, 33, 1);
        gp_weight_encode(cases[i].f, w, 33, row);
        for (size_t at = cases[i].from; at < cases[i].to; at++)
            assert_int_equal(row[at], 0);
        assert_int_equal(row[128], 0xee);
    }
}

static void zeros_stay_zeros_and_the_largest_numbers_finite(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
        float w[64] = {0}, back[64], max = gp_weight_format_max(formats[k]);
        uint8_t row[192];
        w[40] = max;
        w[41] = -max;
        gp_weight_encode(formats[k], w, 64, row);
        gp_weight_decode(formats[k], row, 64, back);
        for (int i = 0; i < 32; i++)
            assert_true(back[i] == 0);
        assert_true(fabsf(back[40] / max - 1) < 0.1F);
        assert_true(fabsf(back[41] / max + 1) < 0.1F);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_documented_sizes),
        cmocka_unit_test(numbers_of_16_bits_are_rounded_to_nearest_even),
        cmocka_unit_test(int8_is_a_scale_times_whole_numbers),
        cmocka_unit_test(int4_is_a_scale_times_four_bits_plus_a_minimum),
        cmocka_unit_test(the_blocks_of_a_group_are_interleaved_by_four_bytes),
        cmocka_unit_test(inputs_are_rounded_to_16_bits_of_the_largest),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(int4_has_less_squared_error_than_the_whole_range),
        cmocka_unit_test(a_row_encoded_in_parts_is_the_same),
        cmocka_unit_test(rows_encoded_at_once_are_those_encoded_alone),
        cmocka_unit_test(padding_is_zero),
        cmocka_unit_test(zeros_stay_zeros_and_the_largest_numbers_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
