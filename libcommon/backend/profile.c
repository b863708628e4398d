/* profile.c: a table of ops that times each call and forwards it to the table that it wraps. */
#include "backend/profile.h"
#include "backend/ref/ref.h"

#include <string.h>

static gp_profile_row *find(gp_profile *p, const char *op, const char *shape)
{
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->row[i].op, op) && !strcmp(p->row[i].shape, shape))
            return &p->row[i];
    BUG_ON(p->count == GP_PROFILE_ROWS);
    gp_profile_row *row = &p->row[p->count++];
    *row = (gp_profile_row){.op = op};
    snprintf(row->shape, sizeof row->shape, "%s", shape);
    return row;
}

int gp_profile_add(gp_profile *p, const char *op, const gp_weight *w, double seconds, gp_cost cost)
{
    char shape[24] = "";
    if (w)
        snprintf(shape, sizeof shape, "%lld x %lld", (long long)w->w.dim[w->transposed],
                 (long long)w->w.dim[!w->transposed]);
    gp_profile_row *row = find(p, op, shape);
    row->calls++;
    row->seconds += seconds;
    row->cost.flops += cost.flops;
    row->cost.bytes += cost.bytes;
    return (int)(row - p->row);
}

/* ---- two clocks ------------------------------------------------------------------------------------------ */

/* Device time, from marks around an op. Marks are read in batches, so that the device does not wait for the host
 * between two ops and that this time is not counted as the op's. */
static void read_marks(gp_backend *be)
{
    gp_profile *p = be->profile;
    if (p->pending)
        p->inner->mark_wait(be, &p->mark[p->pending - 1].to);
    for (int i = 0; i < p->pending; i++)
        p->row[p->mark[i].row].seconds += p->inner->mark_seconds(be, p->mark[i].from, p->mark[i].to);
    p->pending = 0;
}

/* Start of an op: the host's time, or a mark. */
static double begin_op(gp_backend *be)
{
    gp_profile *p = be->profile;
    if (!p->inner->mark_seconds)
        return gp_now();
    if (p->pending == GP_PROFILE_MARKS)
        read_marks(be);
    p->inner->mark_set(be, &p->mark[p->pending].from);
    return 0;
}

/* Adds an op's time and cost to its row; w names the row of a product. */
static void note(gp_backend *be, double begin, const char *op, const gp_weight *w, gp_cost cost)
{
    gp_profile *p = be->profile;
    if (!p->inner->mark_seconds) {
        p->inner->sync(be);
        gp_profile_add(p, op, w, gp_now() - begin, cost);
        return;
    }
    p->inner->mark_set(be, &p->mark[p->pending].to);
    p->mark[p->pending++].row = gp_profile_add(p, op, w, 0, cost);
}

/* ---- the ops --------------------------------------------------------------------------------------------- */

/* One wrapper per op: name, the type of its struct, row label, the weight or NULL, its cost. */
#define TIMED(name, type, label, weight, cost)                                                                         \
    static void name(gp_backend *be, const type *op)                                                                   \
    {                                                                                                                  \
        double begin = begin_op(be);                                                                                   \
        be->profile->inner->name(be, op);                                                                              \
        note(be, begin, label, weight, cost);                                                                          \
    }

GP_OPS_OF_ONE_COST(TIMED)
TIMED(linear_forward, gp_linear_op, "linear", op->w, gp_cost_linear(be, op, false))
TIMED(linear_backward, gp_linear_op, "linear backward", op->w, gp_cost_linear(be, op, true))
TIMED(head_loss, gp_head_op, op->train ? "head, loss and backward" : "head and loss", op->w,
      gp_cost_head(be, op, GP_PART_ALL))
TIMED(linear_decode, gp_linear_op, "linear", op->w,
      gp_cost_with_norm(gp_cost_decode(be, op->w, op->x, op->y), op->norm))
TIMED(head_decode, gp_head_op, "head", op->w, gp_cost_with_norm(gp_cost_decode(be, op->w, op->x, op->logits), op->norm))
TIMED(attention_cached, gp_attention_cached_op, "attention", NULL, gp_cost_attention_cached(be, op))

static void dropout(gp_backend *be, gp_tensor *x, gp_dropout drop)
{
    double begin = begin_op(be);
    be->profile->inner->dropout(be, x, drop);
    if (gp_drops(&drop))
        note(be, begin, "dropout", NULL, (gp_cost){0, 2 * (double)gp_tensor_bytes(x)});
}

static void act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre)
{
    double begin = begin_op(be);
    be->profile->inner->act_forward(be, act, y, pre);
    note(be, begin, "act", NULL, (gp_cost){0, 2 * (double)gp_tensor_bytes(y)});
}

static void act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre)
{
    double begin = begin_op(be);
    be->profile->inner->act_backward(be, act, dx, dy, pre);
    note(be, begin, "act backward", NULL, (gp_cost){0, 3 * (double)gp_tensor_bytes(dx)});
}

static void grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step)
{
    double begin = begin_op(be);
    be->profile->inner->grad_norm(be, segments, count, step);
    note(be, begin, "gradient norm", NULL, gp_cost_grad_norm(segments, count));
}

static void zero(gp_backend *be, void *p, size_t bytes)
{
    double begin = begin_op(be);
    be->profile->inner->zero(be, p, bytes);
    note(be, begin, "zero gradients", NULL, (gp_cost){0, (double)bytes});
}

/* Weights without a form of their own cost nothing, and are not timed. */
static void weights_changed(gp_backend *be, gp_weight *const *w, int count)
{
    double begin = begin_op(be);
    be->profile->inner->weights_changed(be, w, count);
    gp_cost cost = gp_cost_weights(be, w, count);
    if (cost.bytes > 0)
        note(be, begin, "pack weights", NULL, cost);
}

void gp_profile_begin(gp_profile *p, gp_backend *be)
{
    BUG_ON(be->profile);
    *p = (gp_profile){.inner = be->ops, .table = *be->ops};
    gp_backend_ops *t = &p->table;
    t->zero = zero;
    t->record_begin = t->record_end = gp_ref_record; /* ops are timed one by one, so nothing is recorded */
    t->weights_changed = weights_changed;
#define GP_REPLACE(name, parameters) t->name = name;
    GP_OPS(GP_REPLACE)
#undef GP_REPLACE
    be->profile = p;
    be->ops = t;
}

void gp_profile_end(gp_profile *p, gp_backend *be)
{
    BUG_ON(be->profile != p);
    if (p->inner->mark_seconds)
        read_marks(be);
    for (int i = 0; i < GP_PROFILE_MARKS; i++) {
        p->inner->mark_free(be, &p->mark[i].from);
        p->inner->mark_free(be, &p->mark[i].to);
    }
    be->ops = p->inner;
    be->profile = NULL;
}
