/* activation.cuh: the activations and their derivatives: GELU (Hendrycks & Gimpel 2016), exact, x Phi(x) by erf, or
 * GPT-2's tanh approximation; ReLU, max(x, 0), in which NaN stays NaN; tanh. */
#ifndef GP_CUDA_ACTIVATION_CUH
#define GP_CUDA_ACTIVATION_CUH

#include "backend/cuda/kernel.cuh"

/* (1 + tanh(u)) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3), computed as 1 / (1 + exp(-2u)): one exponential, and
 * precise where tanh is near -1. */
static __device__ __forceinline__ float gelu_gate(float x)
{
    constexpr float twice = 2 * 0.7978845608028654f, cubic = 0.044715f;
    return __fdividef(1, 1 + __expf(-twice * (x + cubic * x * x * x)));
}

static __device__ __forceinline__ float act_value(gp_act act, float x)
{
    constexpr float sqrt_half = 0.7071067811865476f;
    switch (act) {
    case GP_ACT_GELU_TANH:
        return x * gelu_gate(x);
    case GP_ACT_GELU_ERF:
        return 0.5f * x * (1 + erff(x * sqrt_half));
    case GP_ACT_RELU:
        return x < 0 ? 0 : x;
    case GP_ACT_TANH:
        return tanhf(x);
    default:
        return x;
    }
}

/* d act / d x */
static __device__ __forceinline__ float act_slope(gp_act act, float x)
{
    constexpr float sqrt_half = 0.7071067811865476f, one_over_sqrt_2pi = 0.3989422804014327f;
    constexpr float twice = 2 * 0.7978845608028654f, cubic = 0.044715f;
    switch (act) {
    case GP_ACT_GELU_TANH: {
        float gate = gelu_gate(x);
        return gate + x * gate * (1 - gate) * twice * (1 + 3 * cubic * x * x);
    }
    case GP_ACT_GELU_ERF:
        return 0.5f * (1 + erff(x * sqrt_half)) + x * one_over_sqrt_2pi * __expf(-0.5f * x * x);
    case GP_ACT_RELU:
        return x > 0 ? 1 : 0;
    case GP_ACT_TANH: {
        float e = __expf(-2 * fabsf(x));
        return 4 * e / ((1 + e) * (1 + e));
    }
    default:
        return 1;
    }
}

#endif
