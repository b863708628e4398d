/* norm.c: residual, dropout and layer norm, row by row; a row is read from memory once, and then from the cache. */
#include "backend/cpu/kernels.h"

#include <math.h>
#include <string.h>

enum { STRIP = 256 }; /* dropout factors drawn at once */

/* sum = x + dropout(branch), row n; branch may be NULL. Returns the total of the row. */
static float add_branch(const gp_norm_op *op, int64_t n, int64_t C, const float *x, const float *branch, float *sum)
{
    int64_t T = op->residual->dim[op->residual->ndim - 2];
    float total = 0, factor[STRIP];
    if (!branch) {
#pragma omp simd reduction(+ : total)
        for (int64_t c = 0; c < C; c++) {
            sum[c] = x[c];
            total += x[c];
        }
        return total;
    }
    if (!gp_drops(&op->drop)) {
#pragma omp simd reduction(+ : total)
        for (int64_t c = 0; c < C; c++) {
            sum[c] = x[c] + branch[c];
            total += sum[c];
        }
        return total;
    }
    for (int64_t c0 = 0; c0 < C; c0 += STRIP) {
        int64_t width = gp_min(STRIP, C - c0);
        KERNEL(keep)(&op->drop, n / T, n % T * C + c0, width, factor);
#pragma omp simd reduction(+ : total)
        for (int64_t c = 0; c < width; c++) {
            sum[c0 + c] = x[c0 + c] + branch[c0 + c] * factor[c];
            total += sum[c0 + c];
        }
    }
    return total;
}

static float row_total(const float *x, int64_t C)
{
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t c = 0; c < C; c++)
        total += x[c];
    return total;
}

void KERNEL(norm_forward)(const gp_norm_op *op, int64_t lo, int64_t hi)
{
    int64_t C = op->residual->dim[op->residual->ndim - 1];
    const float *gamma = op->gamma->data, *beta = op->beta ? op->beta->data : NULL;
    for (int64_t n = lo; n < hi; n++) {
        const float *x = (const float *)op->residual->data + n * C;
        float *y = (float *)op->y->data + n * C, total, square = 0;
        if (op->sum) {
            const float *branch = op->branch ? (const float *)op->branch->data + n * C : NULL;
            float *sum = (float *)op->sum->data + n * C;
            total = add_branch(op, n, C, x, branch, sum);
            x = sum;
        } else {
            total = row_total(x, C);
        }
        float mean = total / (float)C;
#pragma omp simd reduction(+ : square)
        for (int64_t c = 0; c < C; c++)
            square += (x[c] - mean) * (x[c] - mean);
        float rstd = 1 / sqrtf(square / (float)C + op->eps);
        if (beta) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y[c] = (x[c] - mean) * rstd * gamma[c] + beta[c];
        } else {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y[c] = (x[c] - mean) * rstd * gamma[c];
        }
        ((float *)op->mean->data)[n] = mean;
        ((float *)op->rstd->data)[n] = rstd;
    }
}

/* The backward of one row. Pointers may be equal where backend.h allows it: an element is read before it is written. */
typedef struct norm_row {
    const float *x, *dy, *dy2, *dcarry, *gamma;
    float *dsum;
    float mean, rstd;
} norm_row;

/* The loops below are compiled for each combination of optional gradients, which are constants in each call: a
 * condition inside would prevent vectorization. */
#define VARIANT static inline __attribute__((always_inline))

/* Adds to the parameters' gradients; computes the averages of h and h x^, h = (dy + dy2) gamma. */
VARIANT void averages(const norm_row *r, int64_t C, const bool second, float *dgamma, float *dbeta, float *average,
                      float *along)
{
    const float *x = r->x, *dy = r->dy, *dy2 = r->dy2, *gamma = r->gamma;
    float mean = r->mean, rstd = r->rstd, sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (int64_t c = 0; c < C; c++) {
        float g = second ? dy[c] + dy2[c] : dy[c], normal = (x[c] - mean) * rstd, h = g * gamma[c];
        sum += h;
        product += h * normal;
        dgamma[c] += g * normal;
        dbeta[c] += g;
    }
    *average = sum / (float)C;
    *along = product / (float)C;
}

VARIANT void input_gradient(const norm_row *r, int64_t C, const bool second, const bool carry, float average,
                            float along)
{
    const float *x = r->x, *dy = r->dy, *dy2 = r->dy2, *dcarry = r->dcarry, *gamma = r->gamma;
    float *dsum = r->dsum, mean = r->mean, rstd = r->rstd;
#pragma omp simd
    for (int64_t c = 0; c < C; c++) {
        float g = second ? dy[c] + dy2[c] : dy[c], normal = (x[c] - mean) * rstd;
        float d = rstd * (g * gamma[c] - average - normal * along);
        dsum[c] = carry ? d + dcarry[c] : d;
    }
}

static void row_backward(const norm_row *r, int64_t C, float *dgamma, float *dbeta)
{
    float average, along;
    if (r->dy2)
        averages(r, C, true, dgamma, dbeta, &average, &along);
    else
        averages(r, C, false, dgamma, dbeta, &average, &along);
    if (r->dy2 && r->dcarry)
        input_gradient(r, C, true, true, average, along);
    else if (r->dy2)
        input_gradient(r, C, true, false, average, along);
    else if (r->dcarry)
        input_gradient(r, C, false, true, average, along);
    else
        input_gradient(r, C, false, false, average, along);
}

static const float *row_of(const gp_tensor *t, int64_t n, int64_t C)
{
    return t ? (const float *)t->data + n * C : NULL;
}

void KERNEL(norm_backward)(const gp_norm_op *op, int64_t lo, int64_t hi, float *dgamma, float *dbeta)
{
    int64_t C = op->dy->dim[op->dy->ndim - 1], T = op->dy->dim[op->dy->ndim - 2];
    BUG_ON(!op->sum && !op->residual);
    for (int64_t n = lo; n < hi; n++) {
        float factor[STRIP];
        norm_row r = {.x = row_of(op->sum ? op->sum : op->residual, n, C),
                      .dy = row_of(op->dy, n, C),
                      .dy2 = row_of(op->dy2, n, C),
                      .dcarry = row_of(op->dcarry, n, C),
                      .gamma = op->gamma->data,
                      .dsum = (float *)op->dsum->data + n * C,
                      .mean = ((const float *)op->mean->data)[n],
                      .rstd = ((const float *)op->rstd->data)[n]};
        row_backward(&r, C, dgamma, dbeta);
        if (!op->dbranch)
            continue;
        float *dbranch = (float *)op->dbranch->data + n * C;
        for (int64_t c0 = 0; gp_drops(&op->drop) && c0 < C; c0 += STRIP) {
            int64_t width = gp_min(STRIP, C - c0);
            KERNEL(keep)(&op->drop, n / T, n % T * C + c0, width, factor);
            KERNEL(multiply)(dbranch + c0, r.dsum + c0, factor, width);
        }
        if (!gp_drops(&op->drop) && dbranch != r.dsum)
            memcpy(dbranch, r.dsum, (size_t)C * sizeof *dbranch);
    }
}
