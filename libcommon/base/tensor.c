/* tensor.c: tensor views, and conversions between floating-point formats. */
#include "base/base.h"
#include "gptpipe/tensor.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int size;
} dtypes[GP_DTYPES] = {
    [GP_F32] = {"F32", 4}, [GP_BF16] = {"BF16", 2}, [GP_F16] = {"F16", 2}, [GP_F64] = {"F64", 8},
    [GP_I32] = {"I32", 4}, [GP_I64] = {"I64", 8},   [GP_U8] = {"U8", 1},
};

int gp_dtype_size(gp_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *gp_dtype_name(gp_dtype dtype)
{
    return dtypes[dtype].name;
}

gp_tensor gp_tensor_view(void *data, gp_dtype dtype, int ndim, ...)
{
    gp_tensor t = {.data = data, .dtype = dtype, .ndim = ndim};
    BUG_ON(ndim < 0 || ndim > GP_MAX_DIMS);
    va_list ap;
    va_start(ap, ndim);
    for (int i = 0; i < ndim; i++)
        t.dim[i] = va_arg(ap, int);
    va_end(ap);
    return t;
}

int64_t gp_tensor_count(const gp_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->dim[i];
    return n;
}

int64_t gp_tensor_bytes(const gp_tensor *t)
{
    return gp_tensor_count(t) * dtypes[t->dtype].size;
}

const char *gp_tensor_format(const gp_tensor *t, char *text, int size)
{
    int n = snprintf(text, (size_t)size, "%s [", dtypes[t->dtype].name);
    for (int i = 0; i < t->ndim && n < size; i++)
        n += snprintf(text + n, (size_t)(size - n), "%s%lld", i ? "," : "", (long long)t->dim[i]);
    if (n < size)
        snprintf(text + n, (size_t)(size - n), "]");
    return text;
}

static float bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static uint16_t load_16(const char *p)
{
    uint16_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* a where `is`, else b: without a branch, so that loops over it are vectorized. */
static uint32_t choose(bool is, uint32_t a, uint32_t b)
{
    return b ^ ((a ^ b) & -(uint32_t)is);
}

/* Shifted into place, a half's exponent is 112 too small; where it is 0 (subnormal, zero) the fraction is read after an
 * implicit one, which is then subtracted; 31 becomes 255. */
static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, u = (uint32_t)(h & 0x7fff) << 13;
    float subnormal = bits_float(u + (113u << 23)) - bits_float(113u << 23);
    uint32_t normal = u + (112u << 23) + choose(u >= 31u << 23, 112u << 23, 0);
    return bits_float(sign | choose(u < 1u << 23, float_bits(subnormal), normal));
}

/* To nearest even. Below 2^-14 halves are multiples of 2^-24, which adding 0.5 rounds to; from 65520 on, halfway to the
 * first value past the largest half, the result is infinity. */
static uint16_t float_to_half(float f)
{
    uint32_t u = float_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    uint32_t subnormal = float_bits(bits_float(a) + 0.5f) - (126u << 23);
    uint32_t normal = (a + 0xfff + (a >> 13 & 1) - (112u << 23)) >> 13;
    uint32_t half = choose(a < 113u << 23, subnormal, normal);
    half = choose(a >= 0x477ff000, 0x7c00, half);
    return (uint16_t)(sign | choose(a > 0x7f800000, 0x7e00, half));
}

static uint16_t float_to_bf16(float f)
{
    uint32_t u = float_bits(f);
    if (isnan(f))
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void gp_to_f32(float *dst, const void *src, gp_dtype dtype, int64_t count)
{
    const char *s = src;
    switch (dtype) {
    case GP_F32:
        memcpy(dst, src, (size_t)count * 4);
        return;
    case GP_BF16:
        for (int64_t i = 0; i < count; i++)
            dst[i] = bits_float((uint32_t)load_16(s + 2 * i) << 16);
        return;
    case GP_F16:
        for (int64_t i = 0; i < count; i++)
            dst[i] = half_to_float(load_16(s + 2 * i));
        return;
    case GP_F64:
        for (int64_t i = 0; i < count; i++) {
            double d;
            memcpy(&d, s + 8 * i, 8);
            dst[i] = (float)d;
        }
        return;
    default:
        BUG_ON(true); /* not a float dtype */
    }
}

void gp_from_f32(void *dst, gp_dtype dtype, const float *src, int64_t count)
{
    uint16_t *h = dst;
    switch (dtype) {
    case GP_F32:
        memcpy(dst, src, (size_t)count * 4);
        return;
    case GP_BF16:
        for (int64_t i = 0; i < count; i++)
            h[i] = float_to_bf16(src[i]);
        return;
    case GP_F16:
        for (int64_t i = 0; i < count; i++)
            h[i] = float_to_half(src[i]);
        return;
    default:
        BUG_ON(true); /* not a format to write */
    }
}
