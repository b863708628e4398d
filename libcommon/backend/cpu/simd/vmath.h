/* vmath.h: exp, GELU and tanh in plain arithmetic, so that compilers vectorize loops over them. NaN gives NaN:
 * comparisons are written so that they are false for it and leave it unchanged. */
#ifndef GP_CPU_VMATH_H
#define GP_CPU_VMATH_H

#include <stdint.h>
#include <string.h>

static inline uint32_t gp_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float gp_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* e^x with a relative error of 1e-7 (2 ulp). x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a Remez polynomial (3e-9); 2^n
 * by its exponent bits. 0 below -87.7, infinity above 88.4. */
static inline float gp_exp(float x)
{
    const float round = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    x = x < -88 ? -88 : x;
    x = x > 89 ? 89 : x;
    float shifted = x * 1.44269504f + round, n = shifted - round;
    float r = x - n * 0x1.63p-1f; /* ln 2 in two parts: the first has few bits, so n times it is exact */
    r -= n * -2.12194440e-4f;
    float q = 0.499999934f + r * (0.166665204f + r * (0.0416683908f + r * (8.36874511e-3f + r * 1.38145402e-3f)));
    float power = gp_float((gp_bits(shifted) + 127) << 23); /* 2^n: 0 at n = -127, infinity at 128 */
    return (1 + (r + r * r * q)) * power;
}

/* GPT-2's GELU: x/2 (1 + tanh u) = x s(2u),  u = sqrt(2/pi) (x + 0.044715 x^3),  s the logistic function. */
static inline float gp_gelu_tanh(float x)
{
    float u2 = 1.59576912f * (x + 0.044715f * x * x * x);
    return x / (1 + gp_exp(-u2));
}

static inline float gp_gelu_tanh_slope(float x)
{
    float u2 = 1.59576912f * (x + 0.044715f * x * x * x), du2 = 1.59576912f * (1 + 0.134145f * x * x);
    float s = 1 / (1 + gp_exp(-u2));
    return s + x * s * (1 - s) * du2;
}

/* The normal distribution's Phi(x), and *e = e^(-x^2/2), by erf to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26). */
static inline float gp_normal(float x, float *e)
{
    float z = x < 0 ? -x : x, t = 1 / (1 + 0.3275911f * 0.707106781f * z);
    *e = gp_exp(-0.5f * x * x);
    float tail = 0.5f * *e * t *
                 (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    return x < 0 ? tail : 1 - tail;
}

static inline float gp_gelu_erf(float x)
{
    float e;
    return x * gp_normal(x, &e);
}

static inline float gp_gelu_erf_slope(float x)
{
    float e, phi = gp_normal(x, &e);
    return phi + x * 0.398942280f * e;
}

/* tanh(x) with a relative error of 2e-7: a polynomial where 1 - 2 / (e^2|x| + 1) would cancel (Moshier 1992, tanhf). */
static inline float gp_tanh(float x)
{
    float z = x < 0 ? -x : x, s = x * x;
    float near = x + x * s *
                         (-3.33332819e-1f +
                          s * (1.33314422e-1f + s * (-5.37397155e-2f + s * (2.06390888e-2f + s * -5.70498873e-3f))));
    float far = 1 - 2 / (gp_exp(2 * z) + 1);
    return z < 0.625f ? near : x < 0 ? -far : far;
}

/* 1 - tanh^2(x) = 4 e / (1 + e)^2,  e = e^(-2|x|) */
static inline float gp_tanh_slope(float x)
{
    float e = gp_exp(-2 * (x < 0 ? -x : x));
    return 4 * e / ((1 + e) * (1 + e));
}

#endif
