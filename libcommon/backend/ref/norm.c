/* norm.c: residual, dropout and layer norm in one op. */
#include "backend/ref/dropout.h"
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <math.h>

/* sum = residual + dropout(branch)                       residual, branch, sum, y (B,T,C)
 * y = (sum - mean) * rstd * gamma + beta                 gamma, beta (C); mean, rstd (N)
 * mean = average of sum's row; rstd = 1 / sqrt(average of (sum - mean)^2 + eps)
 * bf16: sum and y are rounded; the statistics are those of the rounded sum. */
void gp_ref_norm_forward(gp_backend *be, const gp_norm_op *op)
{
    int64_t N = rows_of(op->residual), T = rows_of_sample(op->residual), C = columns_of(op->residual);
    const real *residual = reals(op->residual), *branch = reals(op->branch);
    const real *gamma = reals(op->gamma), *beta = reals(op->beta);
    real *sum = reals(op->sum), *y = reals(op->y), *means = reals(op->mean), *rstds = reals(op->rstd);
    BUG_ON(branch && !sum);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < N; n++) {
        const real *x = residual + n * C;
        if (sum) {
            gp_mask mask = gp_mask_open(&op->drop, n / T);
            real *s = sum + n * C;
            for (int64_t c = 0; c < C; c++)
                s[c] = branch ? (real)stored(be, x[c] + branch[n * C + c] * gp_mask_at(&mask, n % T * C + c)) : x[c];
            x = s;
        }
        double mean = 0, var = 0;
        for (int64_t c = 0; c < C; c++)
            mean += x[c];
        mean /= (double)C;
        for (int64_t c = 0; c < C; c++)
            var += (x[c] - mean) * (x[c] - mean);
        double rstd = 1 / sqrt(var / (double)C + op->eps);
        for (int64_t c = 0; c < C; c++)
            y[n * C + c] = (real)stored(be, (x[c] - mean) * rstd * gamma[c] + (beta ? beta[c] : 0));
        means[n] = (real)mean;
        rstds[n] = (real)rstd;
    }
}

/* dgamma += sum over n of g x^;  dbeta += sum over n of g      g = dy + dy2, x^ = (x - mean) * rstd */
static void param_grads(gp_backend *be, const gp_norm_op *op, const real *x)
{
    enum { STRIP = 64 }; /* columns that a thread sums at once */
    int64_t N = rows_of(op->dy), C = columns_of(op->dy);
    const real *dy = reals(op->dy), *dy2 = reals(op->dy2), *mean = reals(op->mean), *rstd = reals(op->rstd);
    real *dgamma = reals(op->dgamma), *dbeta = reals(op->dbeta);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t c0 = 0; c0 < C; c0 += STRIP) {
        int64_t width = gp_min(STRIP, C - c0);
        double to_gamma[STRIP] = {0}, to_beta[STRIP] = {0};
        for (int64_t n = 0; n < N; n++)
            for (int64_t c = 0; c < width; c++) {
                int64_t i = n * C + c0 + c;
                double g = (double)dy[i] + (dy2 ? dy2[i] : 0);
                to_gamma[c] += g * ((double)x[i] - mean[n]) * rstd[n];
                to_beta[c] += g;
            }
        for (int64_t c = 0; c < width; c++) {
            dgamma[c0 + c] = (real)(dgamma[c0 + c] + to_gamma[c]);
            if (dbeta)
                dbeta[c0 + c] = (real)(dbeta[c0 + c] + to_beta[c]);
        }
    }
}

/* dsum = dcarry + rstd * (h - average(h) - x^ * average(h x^))      h = (dy + dy2) gamma, x^ = (x - mean) rstd
 * dbranch = dropout'(dsum);  all (B,T,C). dsum may be the same memory as dcarry or dy2: an element is read before it is
 * written, and the parameters' gradients, which read all of dy2, are computed first.
 * bf16: dsum and dbranch are rounded, each once: dbranch is computed from the unrounded dsum. */
void gp_ref_norm_backward(gp_backend *be, const gp_norm_op *op)
{
    int64_t N = rows_of(op->dy), T = rows_of_sample(op->dy), C = columns_of(op->dy);
    const real *x = reals(op->sum ? op->sum : op->residual), *gamma = reals(op->gamma);
    const real *dy = reals(op->dy), *dy2 = reals(op->dy2), *dcarry = reals(op->dcarry);
    const real *means = reals(op->mean), *rstds = reals(op->rstd);
    real *dsum = reals(op->dsum), *dbranch = reals(op->dbranch);
    param_grads(be, op, x);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < N; n++) {
        double mean = means[n], rstd = rstds[n], average = 0, along = 0;
        for (int64_t i = n * C, c = 0; c < C; i++, c++) {
            double h = ((double)dy[i] + (dy2 ? dy2[i] : 0)) * gamma[c];
            average += h;
            along += h * (x[i] - mean) * rstd;
        }
        average /= (double)C;
        along /= (double)C;
        gp_mask mask = gp_mask_open(&op->drop, n / T);
        for (int64_t i = n * C, c = 0; c < C; i++, c++) {
            double h = ((double)dy[i] + (dy2 ? dy2[i] : 0)) * gamma[c];
            double d = rstd * (h - average - (x[i] - mean) * rstd * along) + (dcarry ? dcarry[i] : 0);
            dsum[i] = (real)stored(be, d);
            if (dbranch)
                dbranch[i] = (real)stored(be, (real)d * gp_mask_at(&mask, n % T * C + c));
        }
    }
}
