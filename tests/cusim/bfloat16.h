/* bfloat16.h: cuda_bf16.h's types, as far as the kernels use them. Rounding is to nearest, ties to even. */
#ifndef CUSIM_BFLOAT16_H
#define CUSIM_BFLOAT16_H

#include "types.h"

#include <cstring>

struct __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    explicit constexpr __nv_bfloat16(uint16_t raw) : bits(raw)
    {
    }
};

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

static inline float __bfloat162float(__nv_bfloat16 b)
{
    uint32_t wide = static_cast<uint32_t>(b.bits) << 16;
    float f;
    memcpy(&f, &wide, sizeof f);
    return f;
}

static inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return __nv_bfloat16(static_cast<uint16_t>(0x7fff)); /* cuda_bf16's NaN */
    u += 0x7fffu + (u >> 16 & 1);
    return __nv_bfloat16(static_cast<uint16_t>(u >> 16));
}

static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short raw)
{
    return __nv_bfloat16(raw);
}

static inline __nv_bfloat16 __float2bfloat16(float f)
{
    return __float2bfloat16_rn(f);
}

/* a is the low half */
static inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b)
{
    __nv_bfloat162 pair;
    pair.x = __float2bfloat16_rn(a);
    pair.y = __float2bfloat16_rn(b);
    return pair;
}

static inline float2 __bfloat1622float2(__nv_bfloat162 b)
{
    return {__bfloat162float(b.x), __bfloat162float(b.y)};
}

#endif
