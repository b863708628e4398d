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

/* The sum of w (max - x); w NULL: all 1. */
static float distance_strip(const float *x, const float *w, int64_t n, float max)
{
    float sum = 0;
    if (!w) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += max - x[i];
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += w[i] * (max - x[i]);
    return sum;
}

/* row = row * factor - each * w; w NULL: all 1 */
static void smooth_gradient(float *row, const float *w, int64_t V, float factor, float each)
{
    if (!w) {
#pragma omp simd
        for (int64_t v = 0; v < V; v++)
            row[v] = row[v] * factor - each;
        return;
    }
#pragma omp simd
    for (int64_t v = 0; v < V; v++)
        row[v] = row[v] * factor - each * w[v];
}

/* own (-log p[target]) + each (sum of w (-log p)),  own = (1 - smoothing) w[target], each = smoothing / V;  when
 * training row = scale ((own + each sum w) p - own onehot(target) - each w) */
float KERNEL(cross_entropy)(const gp_loss *loss, float *row, int32_t target)
{
    int64_t V = loss->V;
    if (target == GP_NOT_COUNTED) {
        if (loss->train)
            memset(row, 0, (size_t)V * sizeof *row);
        return 0;
    }
    const float *w = loss->weights;
    bool smooth = loss->smoothing > 0;
    float max = largest(row, V, row[0]), at_target = row[target];
    double sum = 0, distance = 0, own = (1 - (double)loss->smoothing) * (w ? w[target] : 1);
    double each = (double)loss->smoothing / (double)V;
    for (int64_t v = 0; v < V; v += STRIP) {
        int64_t n = gp_min(STRIP, V - v);
        if (smooth)
            distance += distance_strip(row + v, w ? w + v : NULL, n, max);
        sum += exp_strip(row + v, n, max, loss->train);
    }
    double all = smooth ? loss->sum_weights : 0;
    if (loss->train) {
        float factor = (float)(loss->scale * (own + each * all) / sum);
        if (smooth) {
            smooth_gradient(row, w, V, factor, (float)(loss->scale * each));
        } else {
#pragma omp simd
            for (int64_t v = 0; v < V; v++)
                row[v] *= factor;
        }
        row[target] -= (float)(loss->scale * own);
    }
    return (float)(own * (max + log(sum) - at_target) + each * (distance + all * log(sum)));
}
