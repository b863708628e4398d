/* Numbers of the host, uploaded to memory of another dtype: against the formats' definition (IEEE 754; bf16 is fp32's
 * upper half), computed by frexp, rint and ldexp. */
#include "sides.h"

enum { HALVES = 1 << 16, MANY = 3001 }; /* more than one piece of the device's staging memory */

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* x to 8 significant bits, or to a multiple of the smallest subnormal number, 2^-133; ties to even. */
static float nearest_bf16(float x)
{
    int e;
    (void)frexpf(x, &e);
    int unit = e - 8 < -133 ? -133 : e - 8;
    return (float)ldexp(rint(ldexp((double)x, -unit)), unit);
}

static float half_value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double size = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return (float)(h & 0x8000 ? -size : size);
}

/* What memory of dtype `to` holds after `count` numbers at `host` were uploaded, as fp32; the caller frees. */
static float *uploaded(sides *s, gp_dtype to, const void *host, gp_dtype from, int64_t count)
{
    gp_tensor t = gp_tensor_view(NULL, to, 1, count);
    t.data = sides_take(s, DEVICE, (size_t)gp_tensor_bytes(&t)); /* not one more */
    OP(s, DEVICE, upload_as, t.data, to, host, from, count);
    return sides_read(s, DEVICE, &t);
}

/* Of all exponents, in the order of their bits; ties and their neighbours among them. */
static void fp32_becomes_the_nearest_bf16(void **state)
{
    const uint32_t ends[] = {0x3f808000, 0x3f818000, 0x3f808001, 0x3f817fff, 0x00000001, 0x00008000, 0x00018000,
                             0x00008001, 0x80000000, 0x7f7f7fff, 0xff7f0001, 0x007fffff, 0xbf80ffff};
    const uint32_t want[] = {0x3f800000, 0x3f820000, 0x3f810000, 0x3f810000, 0x00000000, 0x00000000, 0x00020000,
                             0x00010000, 0x80000000, 0x7f7f0000, 0xff7f0000, 0x00800000, 0xbf810000};
    float x[MANY];
    for (size_t i = 0; i < MANY; i++) {
        uint32_t u = i < ARRAY_LEN(ends) ? ends[i] : (uint32_t)(i * 0x7f7f0000u / MANY) ^ (i & 1 ? 0x80008000u : 0);
        memcpy(&x[i], &u, sizeof u);
    }
    float *got = uploaded(*state, GP_BF16, x, GP_F32, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(bits_of(got[i]), i < ARRAY_LEN(want) ? want[i] : bits_of(nearest_bf16(x[i])));
    free(got);
}

static void every_finite_half_becomes_what_it_is(void **state)
{
    uint16_t *halves = gp_malloc(HALVES * sizeof *halves);
    int64_t count = 0;
    for (int h = 0; h < HALVES; h++)
        if ((h >> 10 & 31) < 31)
            halves[count++] = (uint16_t)h;
    float *wide = uploaded(*state, GP_F32, halves, GP_F16, count);
    float *narrow = uploaded(*state, GP_BF16, halves, GP_F16, count);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(bits_of(wide[i]), bits_of(half_value(halves[i])));
        assert_int_equal(bits_of(narrow[i]), bits_of(nearest_bf16(half_value(halves[i]))));
    }
    free(wide);
    free(narrow);
    free(halves);
}

static void bf16_becomes_the_same_number_in_fp32(void **state)
{
    uint16_t x[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        x[i] = (uint16_t)(i * 0x7f7fu / MANY | (i & 1 ? 0x8000u : 0));
    float *got = uploaded(*state, GP_F32, x, GP_BF16, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(bits_of(got[i]), (uint32_t)x[i] << 16);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(fp32_becomes_the_nearest_bf16),
        SIDES_TEST(every_finite_half_becomes_what_it_is),
        SIDES_TEST(bf16_becomes_the_same_number_in_fp32),
    };
    return sides_main("cuda convert", tests);
}
