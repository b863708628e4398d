/* update.c: the gradient norm and AdamW, each in one pass over memory. */
#include "backend/cpu/kernels.h"

#include <math.h>

static inline double sum_part(const float *x, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

/* Four streams, each fetched a strip ahead: memory gives a processor more of several at once than of one. */
double KERNEL(sum_squares)(const float *x, int64_t n)
{
    enum { STREAMS = 4, STRIP = 256, LINE = 16 };
    double sum = 0;
    int64_t each = n / STREAMS / STRIP * STRIP;
    for (int64_t i = 0; i < each; i += STRIP)
        for (int s = 0; s < STREAMS; s++) {
            const float *part = x + s * each + i;
            for (int64_t k = 0; i + STRIP < each && k < STRIP; k += LINE)
                __builtin_prefetch(part + STRIP + k);
            sum += sum_part(part, STRIP);
        }
    return sum + sum_part(x + STREAMS * each, n - STREAMS * each);
}

/* Loshchilov & Hutter 2019, as in torch.optim.AdamW, with g' = clip_scale * g:
 *   p -= lr * weight_decay * p
 *   m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g'^2
 *   p -= lr * (m / bias1) / (sqrt(v / bias2) + eps)
 * Divisions by bias1 and bias2 are done by multiplication. */
void KERNEL(adamw)(const gp_adamw_op *op, const gp_segment *seg, int64_t lo, int64_t hi)
{
    const gp_step *step = op->step;
    const float beta1 = op->beta1, beta2 = op->beta2, eps = op->eps, clip = step->clip_scale;
    const float rest1 = (float)(1 - (double)beta1), rest2 = (float)(1 - (double)beta2);
    const float lr = step->lr * seg->lr_scale;
    const float rate = lr / step->bias1, unbias2 = 1 / step->bias2;
    const float decay = lr * seg->weight_decay;
    float *p = seg->p, *m = seg->m, *v = seg->v;
    const float *gradient = seg->g;
#pragma omp simd
    for (int64_t i = lo; i < hi; i++) {
        float g = clip * gradient[i];
        float m1 = beta1 * m[i] + rest1 * g, v1 = beta2 * v[i] + rest2 * g * g;
        m[i] = m1;
        v[i] = v1;
        p[i] = p[i] - decay * p[i] - rate * m1 / (sqrtf(v1 * unbias2) + eps);
    }
}
