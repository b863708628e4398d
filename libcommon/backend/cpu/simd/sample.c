/* sample.c: passes over a row of logits from which a token is drawn. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"
#include "backend/sample.h"

/* The larger argument comes second in vec_larger, which returns it if the first is NaN. */
bool KERNEL(sample_largest)(const float *x, int64_t n, float *strips)
{
    ivec nan = {0};
    float max = -INFINITY;
    bool any_nan = false;
    for (int64_t first = 0; first < n; first += GP_SAMPLE_STRIP, strips++) {
        int64_t end = gp_min(n, first + GP_SAMPLE_STRIP), i = first;
        vec a = vec_all(-INFINITY);
        for (; i + WIDTH <= end; i += WIDTH) {
            vec v = vec_load(x + i);
            nan |= ~(v <= vec_all(INFINITY));
            a = vec_larger(v, a);
        }
        *strips = vec_largest(a);
        for (; i < end; i++) {
            any_nan |= isnan(x[i]);
            *strips = larger(x[i], *strips);
        }
        max = larger(*strips, max);
    }
    for (int i = 0; i < WIDTH; i++)
        any_nan |= nan[i] != 0;
    return !any_nan && max < INFINITY;
}

int64_t KERNEL(sample_weights)(const gp_draw_weights *w, const float *x, int64_t n, int64_t *weights, int64_t *strips)
{
    int64_t total = 0;
    for (int64_t first = 0; first < n; first += GP_SAMPLE_STRIP, strips++) {
        int64_t end = gp_min(n, first + GP_SAMPLE_STRIP), sum = 0;
        if (weights) {
#pragma omp simd reduction(+ : sum)
            for (int64_t i = first; i < end; i++)
                sum += weights[i] = gp_draw_weight_kept(w, (double)x[i]);
        } else {
#pragma omp simd reduction(+ : sum)
            for (int64_t i = first; i < end; i++)
                sum += gp_draw_weight_kept(w, (double)x[i]);
        }
        *strips = sum;
        total += sum;
    }
    return total;
}
