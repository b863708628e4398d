/* test_numbers.c: the generator and the float formats, against what their authors and PyTorch give. */
#include "base/rng.h"
#include "gptpipe/tensor.h"
#include "reference/ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIXED = sizeof f32_bits / sizeof f32_bits[0], MANY = 100000 };

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* FNV-1a, 64 bits, as tests/reference/ops.py has it */
static uint64_t hash(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static const uint64_t hash_start = 0xcbf29ce484222325u;

static void expect_words(gp_philox got, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    assert_memory_equal(got.v, ((uint32_t[]){a, b, c, d}), sizeof got.v);
}

/* kat_vectors of the Random123 distribution, philox4x32 with 10 rounds */
static void philox_gives_the_known_answers(void **state)
{
    (void)state;
    uint32_t ones = 0xffffffff;
    expect_words(gp_philox4x32(0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    expect_words(gp_philox4x32(~(uint64_t)0, ones, ones, ones, ones), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    expect_words(gp_philox4x32(0x299f31d0a4093822, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344), 0xd16cfe09,
                 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

static void uniform_covers_zero_to_one(void **state)
{
    (void)state;
    assert_true(gp_uniform(0) == 0);
    assert_true(gp_uniform(0xffffffff) == 1 - 0x1p-24f);
    assert_true(gp_uniform(0x80000000) == 0.5f);
}

static void normals_have_mean_0_and_variance_1(void **state)
{
    (void)state;
    double sum = 0, squares = 0, cubes = 0, fourth = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        float z[2];
        gp_random_normal2(1, GP_RNG_INIT, 0, i, z);
        for (int j = 0; j < 2; j++) {
            double x = z[j];
            sum += x, squares += x * x, cubes += x * x * x, fourth += x * x * x * x;
        }
    }
    double n = 2 * MANY, sigma = 1 / sqrt(n); /* variances of the four: 1, 2, 15, 96 */
    assert_true(fabs(sum / n) < 4 * sigma);
    assert_true(fabs(squares / n - 1) < 4 * sqrt(2) * sigma);
    assert_true(fabs(cubes / n) < 4 * sqrt(15) * sigma);
    assert_true(fabs(fourth / n - 3) < 4 * sqrt(96) * sigma);
}

static void fp32_rounds_to_bf16_and_fp16_at_the_edges(void **state)
{
    (void)state;
    float f[FIXED];
    uint16_t narrow[FIXED];
    memcpy(f, f32_bits, sizeof f);
    gp_from_f32(narrow, GP_BF16, f, FIXED);
    assert_memory_equal(narrow, bf16_bits, sizeof narrow);
    gp_from_f32(narrow, GP_F16, f, FIXED);
    assert_memory_equal(narrow, f16_bits, sizeof narrow);
}

static uint64_t hash_of_narrowed(gp_dtype dtype, uint32_t mask, uint32_t set)
{
    uint64_t h = hash_start;
    for (uint64_t i = 0; i < MANY; i++) {
        float f = float_of(((uint32_t)(i * 2654435761u) & mask) | set);
        uint16_t narrow;
        if (isnan(f))
            continue;
        gp_from_f32(&narrow, dtype, &f, 1);
        h = hash(h, &narrow, sizeof narrow);
    }
    return h;
}

static void fp32_rounds_as_pytorch_does(void **state)
{
    (void)state;
    assert_true(hash_of_narrowed(GP_BF16, ~0u, 0) == any_f32_to_bf16_hash[0]);
    assert_true(hash_of_narrowed(GP_F16, ~0u, 0) == any_f32_to_f16_hash[0]);
    assert_true(hash_of_narrowed(GP_BF16, 0x8fffffff, 0x30000000) == small_f32_to_bf16_hash[0]);
    assert_true(hash_of_narrowed(GP_F16, 0x8fffffff, 0x30000000) == small_f32_to_f16_hash[0]);
}

/* All 65536 patterns widen as numpy and PyTorch widen them, and come back as they were. */
static void expect_every_pattern(gp_dtype dtype, uint64_t expected)
{
    uint64_t h = hash_start;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t narrow = (uint16_t)i, back;
        float wide;
        gp_to_f32(&wide, &narrow, dtype, 1);
        gp_from_f32(&back, dtype, &wide, 1);
        if (isnan(wide)) {
            float again;
            gp_to_f32(&again, &back, dtype, 1);
            assert_true(isnan(again));
            continue;
        }
        assert_int_equal(back, narrow);
        h = hash(h, &wide, sizeof wide);
    }
    assert_true(h == expected);
}

static void every_bf16_and_fp16_makes_the_round_trip(void **state)
{
    (void)state;
    expect_every_pattern(GP_F16, f16_to_f32_hash[0]);
    expect_every_pattern(GP_BF16, bf16_to_f32_hash[0]);
}

static void nan_stays_nan(void **state)
{
    (void)state;
    const uint32_t nans[] = {0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0x7f80ffff};
    for (size_t i = 0; i < sizeof nans / sizeof nans[0]; i++)
        for (gp_dtype dtype = GP_BF16; dtype <= GP_F16; dtype++) {
            float f = float_of(nans[i]), back;
            uint16_t narrow;
            gp_from_f32(&narrow, dtype, &f, 1);
            gp_to_f32(&back, &narrow, dtype, 1);
            assert_true(isnan(back));
        }
}

static void misaligned_numbers_are_read(void **state)
{
    (void)state;
    unsigned char bytes[1 + 2 * sizeof(double)];
    const double two[] = {1.5, -0x1p-140};
    const uint16_t halves[] = {0x3e00, 0xc000};
    float f[2];
    memcpy(bytes + 1, two, sizeof two);
    gp_to_f32(f, bytes + 1, GP_F64, 2);
    assert_true(f[0] == 1.5f && f[1] == -0x1p-140f);
    memcpy(bytes + 1, halves, sizeof halves);
    gp_to_f32(f, bytes + 1, GP_F16, 2);
    assert_true(f[0] == 1.5f && f[1] == -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(uniform_covers_zero_to_one),
        cmocka_unit_test(normals_have_mean_0_and_variance_1),
        cmocka_unit_test(fp32_rounds_to_bf16_and_fp16_at_the_edges),
        cmocka_unit_test(fp32_rounds_as_pytorch_does),
        cmocka_unit_test(every_bf16_and_fp16_makes_the_round_trip),
        cmocka_unit_test(nan_stays_nan),
        cmocka_unit_test(misaligned_numbers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
