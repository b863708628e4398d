/* attention.c: see attention.h. */
#include "train/attention.h"
#include "cli/progress.h"
#include "backend/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int gp_attention_use(gp_model *m, gp_attention_by by, int64_t B, int64_t T, bool train)
{
    gp_shape shape = gp_model_shape(m, B, T, 0, train);
    return gp_backend_attention(m->be, by, &shape);
}

const char *gp_attention_describe(const gp_backend *be, char *text, size_t size)
{
    const char *part = be->attention == GP_ATTENTION_CUDNN_FORWARD    ? " (forward)"
                       : be->attention == GP_ATTENTION_CUDNN_BACKWARD ? " (backward)"
                                                                      : "";
    snprintf(text, size, "%s%s", be->attention ? be->attention_library : "", part);
    return text;
}

/* ---- a batch to measure with ----------------------------------------------------------------------------- */

enum { TENSORS = 5 };

typedef struct trial {
    gp_backend *be;
    gp_tensor qkv, out, lse, dout, dqkv;
    gp_attention_op op;
} trial;

static void describe(trial *t, gp_backend *be, const gp_shape *s)
{
    gp_dtype dtype = be->act_dtype;
    gp_tensor wide = {.dtype = dtype, .ndim = 3, .dim = {s->B, s->T, 3 * s->C}}, narrow = wide;
    narrow.dim[2] = s->C;
    *t = (trial){.be = be, .qkv = wide, .dqkv = wide, .out = narrow, .dout = narrow};
    t->lse = (gp_tensor){.dtype = GP_F32, .ndim = 3, .dim = {s->B, s->H, s->T}};
}

static void list(trial *t, gp_tensor *all[TENSORS])
{
    gp_tensor *tensors[TENSORS] = {&t->qkv, &t->out, &t->lse, &t->dout, &t->dqkv};
    memcpy(all, tensors, sizeof tensors);
}

static void open(trial *t, gp_backend *be, const gp_shape *s)
{
    gp_memory memory = gp_backend_memory(be);
    gp_tensor *all[TENSORS];
    describe(t, be, s);
    list(t, all);
    for (int i = 0; i < TENSORS; i++)
        all[i]->data = memory.alloc(memory.self, (size_t)gp_tensor_bytes(all[i]), "a measurement of attention");
    gp_fill_normal(be, &t->qkv);
    gp_fill_normal(be, &t->dout);
    t->op = (gp_attention_op){.heads = s->H,
                              .causal = s->causal,
                              .qkv = &t->qkv,
                              .out = &t->out,
                              .lse = &t->lse,
                              .dout = &t->dout,
                              .dqkv = &t->dqkv};
}

static void close(trial *t)
{
    gp_tensor *all[TENSORS];
    list(t, all);
    for (int i = 0; i < TENSORS; i++)
        t->be->ops->free(t->be, all[i]->data, (size_t)gp_tensor_bytes(all[i]));
}

/* Whether they fit, beside the workspace that is wanted; and then the batches of the run. */
static bool has_room(gp_model *m, const gp_shape *s, int64_t room)
{
    gp_backend *be = m->be;
    trial t;
    gp_tensor *all[TENSORS];
    size_t left, total, need = be->ops->plan(be, s);
    describe(&t, be, s);
    list(&t, all);
    for (int i = 0; i < TENSORS; i++)
        need += (size_t)gp_tensor_bytes(all[i]);
    be->ops->available_memory(be, &left, &total);
    return need <= left + be->workspace_size && gp_model_training_bytes(m, m->recompute, s->B, s->T) <= room;
}

/* ---- measuring ------------------------------------------------------------------------------------------- */

typedef void attention_run(gp_backend *be, const gp_attention_op *op);

/* The least of a few runs. */
static double time_of(trial *t, attention_run *run)
{
    enum { RUNS = 5 };
    double least = INFINITY;
    run(t->be, &t->op); /* kernels are loaded */
    t->be->ops->sync(t->be);
    for (int i = 0; i < RUNS; i++) {
        double begin = gp_now();
        run(t->be, &t->op);
        t->be->ops->sync(t->be);
        least = fmin(least, gp_now() - begin);
    }
    return least;
}

/* seconds[0]: forward, [1]: backward */
static void time_both(trial *t, double seconds[2])
{
    seconds[0] = time_of(t, t->be->ops->attention_forward);
    seconds[1] = time_of(t, t->be->ops->attention_backward);
}

/* The most of it that cuDNN takes, and that there is memory for; own where that is nothing, and the reason in
 * gp_error(). */
static gp_attention_by candidate(gp_model *m, const gp_shape *s, int64_t room)
{
    const gp_attention_by most[] = {GP_ATTENTION_CUDNN, GP_ATTENTION_CUDNN_FORWARD};
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        if (gp_backend_attention(m->be, most[i], s))
            continue;
        if (has_room(m, s, room))
            return most[i];
        fail("cuDNN's attention needs more memory than is left");
    }
    return GP_ATTENTION_OWN;
}

static gp_attention_by faster(gp_backend *be, const gp_shape *s, gp_attention_by theirs, char *told, size_t size)
{
    const char *names[] = {"forward", "backward"};
    double own[2], other[2];
    trial t;
    unsigned by = GP_ATTENTION_OWN;
    gp_backend_plan(be, s); /* while all is theirs: it is they who need more */
    open(&t, be, s);
    time_both(&t, other);
    gp_backend_attention(be, GP_ATTENTION_OWN, s);
    gp_backend_plan(be, s);
    time_both(&t, own);
    close(&t);
    gp_backend_forget_plan(be);
    int n = 0;
    for (int i = 0; i < 2; i++) {
        if (!(theirs & (unsigned)(1 << i)))
            continue;
        by |= other[i] < own[i] ? 1u << i : 0;
        n += snprintf(told + n, size - (size_t)n, "%s%s %.3g ms by own kernels, %.3g ms by %s", n ? "; " : "", names[i],
                      1e3 * own[i], 1e3 * other[i], be->attention_library);
    }
    return (gp_attention_by)by;
}

gp_attention_by gp_attention_measure(gp_model *m, int64_t B, int64_t T, int64_t room, char *told, size_t size)
{
    gp_backend *be = m->be;
    gp_shape shape = gp_model_shape(m, B, T, 0, true);
    gp_attention_by theirs = candidate(m, &shape, room), by = GP_ATTENTION_OWN;
    if (theirs)
        by = faster(be, &shape, theirs, told, size);
    else
        snprintf(told, size, "own kernels; nothing to measure: %s", gp_error());
    BUG_ON(gp_backend_attention(be, by, &shape));
    return by;
}
