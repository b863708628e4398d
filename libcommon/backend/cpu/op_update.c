/* op_update.c: the norm of all gradients, and AdamW. */
#include "backend/cpu/cpu.h"

#include <math.h>

/* ||g|| over all segments: pieces that do not depend on the number of threads, their sums added in order. */
void gp_cpu_grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step)
{
    enum { PIECES = 256 };
    double total = 0;
    for (int s = 0; s < count; s++) {
        const gp_segment *seg = &segments[s];
        double sums[PIECES] = {0};
        GP_PARALLEL(be)
        for (int part = 0; part < be->threads; part++) {
            gp_range mine = gp_cpu_share(PIECES, 1, part, be->threads);
            for (int64_t i = mine.lo; i < mine.hi; i++) {
                gp_range r = gp_cpu_share(seg->count, 16, (int)i, PIECES);
                sums[i] = gp_cpu_state(be)->k->sum_squares(seg->g + r.lo, r.hi - r.lo);
            }
        }
        for (int i = 0; i < PIECES; i++)
            total += sums[i];
    }
    double norm = sqrt(total);
    step->grad_norm = (float)norm;
    step->skip = !isfinite(step->grad_norm) || !isfinite(step->loss);
    step->clip_scale = step->max_norm > 0 ? (float)fmin(1, step->max_norm / (norm + 1e-6)) : 1;
}

/* One region: a thread takes its share of every segment. */
void gp_cpu_adamw(gp_backend *be, const gp_adamw_op *op)
{
    if (op->step->skip)
        return;
    GP_PARALLEL(be)
    for (int part = 0; part < be->threads; part++)
        for (int s = 0; s < op->count; s++) {
            gp_range r = gp_cpu_share(op->segments[s].count, 16, part, be->threads);
            gp_cpu_state(be)->k->adamw(op, &op->segments[s], r.lo, r.hi);
        }
}
