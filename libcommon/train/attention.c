/* attention.c: see attention.h. */
#include "train/attention.h"
#include "cli/progress.h"
#include "backend/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *gp_attention_describe(const gp_backend *be, char *text, size_t size)
{
    const char *part = be->attention == GP_ATTENTION_CUDNN_FORWARD    ? " (forward)"
                       : be->attention == GP_ATTENTION_CUDNN_BACKWARD ? " (backward)"
                                                                      : "";
    snprintf(text, size, "%s%s", be->attention ? be->attention_library : "", part);
    return text;
}

/* ---- a batch to measure with ----------------------------------------------------------------------------- */

typedef struct trial {
    gp_backend *be;
    gp_arena arena;
    gp_tensor qkv, out, lse, dout, dqkv;
    gp_attention_op op;
} trial;

static void layout(trial *t)
{
    gp_tensor *const all[] = {&t->qkv, &t->out, &t->lse, &t->dout, &t->dqkv};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        gp_arena_tensor(&t->arena, all[i]);
}

/* Its tensors, counted in the arena. */
static trial describe(gp_backend *be, const gp_shape *s)
{
    gp_dtype dtype = be->act_dtype;
    gp_tensor wide = {.dtype = dtype, .ndim = 3, .dim = {s->B, s->T, 3 * s->C}}, narrow = wide;
    narrow.dim[2] = s->C;
    trial t = {.be = be, .arena = {.name = "a measurement of attention"}, .qkv = wide, .dqkv = wide, .out = narrow};
    t.dout = narrow;
    t.lse = (gp_tensor){.dtype = GP_F32, .ndim = 3, .dim = {s->B, s->H, s->T}};
    layout(&t);
    return t;
}

static void allocate(trial *t, const gp_shape *s)
{
    gp_arena_allocate(&t->arena, gp_backend_memory(t->be));
    layout(t);
    gp_fill_normal(t->be, &t->qkv);
    gp_fill_normal(t->be, &t->dout);
    t->op = (gp_attention_op){.heads = s->H,
                              .causal = s->causal,
                              .qkv = &t->qkv,
                              .out = &t->out,
                              .lse = &t->lse,
                              .dout = &t->dout,
                              .dqkv = &t->dqkv};
}

/* Whether the trial fits with its workspace, and then the batches of the run, into `memory` bytes. */
static bool fits(gp_model *m, const gp_shape *s, int64_t memory)
{
    gp_backend *be = m->be;
    size_t left, total, needed = be->ops->plan(be, s) + describe(be, s).arena.size;
    be->ops->available_memory(be, &left, &total);
    return needed <= left + be->workspace_size && gp_model_training_bytes(m, m->recompute, s->B, s->T) <= memory;
}

/* ---- measuring ------------------------------------------------------------------------------------------- */

typedef void attention_run(gp_backend *be, const gp_attention_op *op);

/* The minimum of a few runs. */
static double time_of(trial *t, attention_run *run)
{
    enum { RUNS = 5 };
    double shortest = INFINITY;
    run(t->be, &t->op); /* loads the kernels */
    t->be->ops->sync(t->be);
    for (int i = 0; i < RUNS; i++) {
        double begin = gp_now();
        run(t->be, &t->op);
        t->be->ops->sync(t->be);
        shortest = fmin(shortest, gp_now() - begin);
    }
    return shortest;
}

/* seconds[0]: forward, [1]: backward */
static void time_both(trial *t, double seconds[2])
{
    seconds[0] = time_of(t, t->be->ops->attention_forward);
    seconds[1] = time_of(t, t->be->ops->attention_backward);
}

/* The most that cuDNN can compute, and that there is memory for; GP_ATTENTION_OWN where it can compute neither pass,
 * with the reason in gp_error(). */
static gp_attention_by candidate(gp_model *m, const gp_shape *s, int64_t memory)
{
    const gp_attention_by candidates[] = {GP_ATTENTION_CUDNN, GP_ATTENTION_CUDNN_FORWARD};
    for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
        if (gp_backend_attention(m->be, candidates[i], s))
            continue;
        if (fits(m, s, memory))
            return candidates[i];
        fail("cuDNN's attention needs more memory than is left");
    }
    return GP_ATTENTION_OWN;
}

static gp_attention_by faster(gp_backend *be, const gp_shape *s, gp_attention_by library, char *report, size_t size)
{
    const char *names[] = {"forward", "backward"};
    double own[2], other[2];
    trial t = describe(be, s);
    unsigned by = GP_ATTENTION_OWN;
    gp_backend_plan(be, s); /* with the library, which needs more */
    allocate(&t, s);
    time_both(&t, other);
    gp_backend_attention(be, GP_ATTENTION_OWN, s);
    gp_backend_plan(be, s);
    time_both(&t, own);
    gp_arena_release(&t.arena);
    gp_backend_forget_plan(be);
    int n = 0;
    for (int i = 0; i < 2; i++) {
        if (!(library & (unsigned)(1 << i)))
            continue;
        by |= other[i] < own[i] ? 1u << i : 0;
        n += snprintf(report + n, size - (size_t)n, "%s%s %.3g ms by own kernels, %.3g ms by %s", n ? "; " : "",
                      names[i], 1e3 * own[i], 1e3 * other[i], be->attention_library);
    }
    return (gp_attention_by)by;
}

gp_attention_by gp_attention_measure(gp_model *m, int64_t B, int64_t T, int64_t memory, char *report, size_t size)
{
    gp_backend *be = m->be;
    gp_shape shape = gp_model_shape(m, B, T, 0, true);
    gp_attention_by library = candidate(m, &shape, memory), by = GP_ATTENTION_OWN;
    if (library)
        by = faster(be, &shape, library, report, size);
    else
        snprintf(report, size, "own kernels; nothing to measure: %s", gp_error());
    BUG_ON(gp_backend_attention(be, by, &shape));
    return by;
}
