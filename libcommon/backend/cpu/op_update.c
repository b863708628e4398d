/* op_update.c: the global gradient norm and clipping, and AdamW. */
#include "backend/cpu/cpu.h"

#include <math.h>

enum { PIECES = 256 };

typedef struct norm_task {
    const gp_segment *segment;
    double *sums; /* (PIECES) */
} norm_task;

static void sum_pieces(gp_backend *be, const void *task, gp_range mine)
{
    const norm_task *j = task;
    for (int64_t i = mine.lo; i < mine.hi; i++) {
        gp_range r = gp_cpu_share(j->segment->count, 16, (int)i, PIECES);
        j->sums[i] = gp_cpu_state(be)->k->sum_squares(j->segment->g + r.lo, r.hi - r.lo);
    }
}

/* ||g|| over all segments. The pieces do not depend on the number of threads; their sums are added in order. */
void gp_cpu_grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step)
{
    double total = 0;
    for (int s = 0; s < count; s++) {
        double sums[PIECES] = {0};
        gp_cpu_split(be, segments[s].count * GP_PS_COPY, PIECES, 1, sum_pieces, &(norm_task){&segments[s], sums});
        for (int i = 0; i < PIECES; i++)
            total += sums[i];
    }
    double norm = sqrt(total);
    step->grad_norm = (float)norm;
    step->skip |= !isfinite(step->grad_norm) || !isfinite(step->loss);
    step->clip_scale = step->max_norm > 0 ? (float)fmin(1, step->max_norm / (norm + 1e-6)) : 1;
}

/* Updates parameters [lo, hi) of all segments in sequence. */
static void update_parameters(gp_backend *be, const void *task, gp_range r)
{
    const gp_adamw_op *op = task;
    for (int s = 0; s < op->count; s++) {
        int64_t lo = gp_max(r.lo, 0), hi = gp_min(r.hi, op->segments[s].count);
        if (lo < hi)
            gp_cpu_state(be)->k->adamw(op, &op->segments[s], lo, hi);
        r.lo -= op->segments[s].count;
        r.hi -= op->segments[s].count;
    }
}

void gp_cpu_adamw(gp_backend *be, const gp_adamw_op *op)
{
    if (op->step->skip)
        return;
    int64_t total = 0;
    for (int s = 0; s < op->count; s++) {
        BUG_ON(op->segments[s].dtype != GP_F32);
        total += op->segments[s].count;
    }
    gp_cpu_split(be, total * GP_PS_ADAMW, total, 16, update_parameters, op);
}
