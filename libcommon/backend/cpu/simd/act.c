/* act.c: the activations, element by element; see vmath.h for the formulas. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vmath.h"

#include <string.h>

void KERNEL(act_forward)(gp_act act, float *y, const float *pre, int64_t n)
{
    if (act == GP_ACT_GELU_TANH)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = gp_gelu_tanh(pre[i]);
    else if (act == GP_ACT_GELU_ERF)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = gp_gelu_erf(pre[i]);
    else if (act == GP_ACT_RELU)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = pre[i] < 0 ? 0 : pre[i]; /* NaN stays NaN */
    else if (act == GP_ACT_TANH)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = gp_tanh(pre[i]);
    else if (y != pre)
        memcpy(y, pre, (size_t)n * sizeof *y);
}

void KERNEL(act_backward)(gp_act act, float *dx, const float *dy, const float *pre, int64_t n)
{
    if (act == GP_ACT_GELU_TANH)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * gp_gelu_tanh_slope(pre[i]);
    else if (act == GP_ACT_GELU_ERF)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * gp_gelu_erf_slope(pre[i]);
    else if (act == GP_ACT_RELU)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * (pre[i] > 0 ? 1.0f : 0.0f);
    else if (act == GP_ACT_TANH)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * gp_tanh_slope(pre[i]);
    else if (dx != dy)
        memcpy(dx, dy, (size_t)n * sizeof *dx);
}
