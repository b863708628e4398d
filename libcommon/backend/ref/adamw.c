/* adamw.c: the global gradient norm and clipping, and AdamW. Storage is fp32, whatever `real` is, except for matrices
 * without masters, which are bf16. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"
#include "backend/rounding.h"

#include <math.h>

/* ||g|| = sqrt(sum of g^2) over all segments. The pieces of a segment do not depend on the number of threads. */
void gp_ref_grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step)
{
    enum { PIECES = 256 };
    double total = 0;
    for (int s = 0; s < count; s++) {
        const float *g = segments[s].g;
        int64_t piece = (segments[s].count + PIECES - 1) / PIECES;
        double sums[PIECES];
#pragma omp parallel for schedule(static) num_threads(be->threads)
        for (int i = 0; i < PIECES; i++) {
            int64_t end = gp_min((i + 1) * piece, segments[s].count);
            double sum = 0;
            for (int64_t j = i * piece; j < end; j++)
                sum += (double)g[j] * g[j];
            sums[i] = sum;
        }
        for (int i = 0; i < PIECES; i++)
            total += sums[i];
    }
    double norm = sqrt(total);
    step->grad_norm = (float)norm;
    step->skip |= !isfinite(step->grad_norm) || !isfinite(step->loss);
    step->clip_scale = step->max_norm > 0 ? (float)fmin(1, step->max_norm / (norm + 1e-6)) : 1;
}

static double read_parameter(const gp_segment *s, int64_t i)
{
    float p;
    if (s->dtype != GP_BF16)
        return ((const float *)s->p)[i];
    gp_to_f32(&p, (const uint16_t *)s->p + i, GP_BF16, 1);
    return p;
}

/* bf16: the fp32 number is rounded stochastically. */
static void write_parameter(const gp_segment *s, const gp_step *step, int64_t i, float p)
{
    if (s->dtype != GP_BF16)
        ((float *)s->p)[i] = p;
    else
        ((uint16_t *)s->p)[i] = gp_round_by_chance(p, gp_rounding_word(step->seed, step->step, s->first + i));
}

/* Loshchilov & Hutter 2019, as in torch.optim.AdamW, with g' = clip_scale * g:
 *   p -= lr * weight_decay * p
 *   m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g'^2
 *   p -= lr * (m / bias1) / (sqrt(v / bias2) + eps) */
void gp_ref_adamw(gp_backend *be, const gp_adamw_op *op)
{
    const gp_step *step = op->step;
    if (step->skip)
        return;
    double beta1 = op->beta1, beta2 = op->beta2;
    for (int s = 0; s < op->count; s++) {
        const gp_segment *seg = &op->segments[s];
        double lr = (double)step->lr * seg->lr_scale;
#pragma omp parallel for schedule(static) num_threads(be->threads)
        for (int64_t i = 0; i < seg->count; i++) {
            double g = (double)step->clip_scale * seg->g[i];
            double m = beta1 * seg->m[i] + (1 - beta1) * g, v = beta2 * seg->v[i] + (1 - beta2) * g * g;
            double p = read_parameter(seg, i);
            p -= lr * seg->weight_decay * p;
            p -= lr * (m / step->bias1) / (sqrt(v / step->bias2) + op->eps);
            seg->m[i] = (float)m;
            seg->v[i] = (float)v;
            write_parameter(seg, step, i, (float)p);
        }
    }
}
