/* loss.c: softmax and cross-entropy of one row of logits, in place. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"
#include "backend/cpu/simd/vmath.h"

#include <math.h>
#include <string.h>

enum { STRIP = 1024 }; /* sums are fp32 within strips of the vocabulary, and double over strips */

/* The sum of exp(x - max), which also replaces x if `keep`. */
static float exp_strip(float *x, int64_t n, float max, bool keep)
{
    float sum = 0;
    if (!keep) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += gp_exp(x[i] - max);
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        float e = gp_exp(x[i] - max);
        x[i] = e;
        sum += e;
    }
    return sum;
}

/* log sum exp(row) - row[target];  row = scale (softmax(row) - onehot(target)) when training */
float KERNEL(cross_entropy)(float *row, int64_t V, int32_t target, bool train, float scale)
{
    if (target == GP_NOT_COUNTED) {
        if (train)
            memset(row, 0, (size_t)V * sizeof *row);
        return 0;
    }
    float max = largest(row, V, row[0]), at_target = row[target];
    double sum = 0;
    for (int64_t v = 0; v < V; v += STRIP)
        sum += exp_strip(row + v, gp_min(STRIP, V - v), max, train);
    if (train) {
        float factor = (float)(scale / sum);
#pragma omp simd
        for (int64_t v = 0; v < V; v++)
            row[v] *= factor;
        row[target] -= scale;
    }
    return (float)(max + log(sum) - at_target);
}
