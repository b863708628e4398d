/* optimizer.c: see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void layout(gp_optimizer *o, size_t bytes)
{
    o->m = gp_arena_take(&o->arena, bytes);
    o->v = gp_arena_take(&o->arena, bytes);
}

void gp_optimizer_open(gp_optimizer *o, gp_model *m, double beta1, double beta2, double eps, double weight_decay)
{
    size_t bytes = (size_t)m->params.total * sizeof(float);
    *o = (gp_optimizer){.be = m->be,
                        .arena = {.name = "optimizer"},
                        .beta1 = (float)beta1,
                        .beta2 = (float)beta2,
                        .eps = (float)eps,
                        .count = m->params.count};
    layout(o, bytes);
    gp_arena_allocate(&o->arena, gp_backend_memory(m->be));
    layout(o, bytes);
    o->segments = gp_calloc((size_t)o->count, sizeof *o->segments);
    for (int i = 0; i < o->count; i++) {
        const gp_param *row = &m->params.rows[i];
        o->segments[i] = (gp_segment){.p = m->p + row->at,
                                      .g = m->g + row->offset,
                                      .m = o->m + row->offset,
                                      .v = o->v + row->offset,
                                      .count = row->count,
                                      .weight_decay = row->decays ? (float)weight_decay : 0,
                                      .dtype = row->dtype,
                                      .first = row->offset,
                                      .lr_scale = 1};
    }
}

/* How many layers lie above a parameter, that of the embeddings counting one more; the head has -1. */
static int64_t depth_of(const gp_param *row, int64_t layers)
{
    bool embeds = row->role == GP_WTE || row->role == GP_WPE || row->role == GP_WTT ||
                  row->role == GP_EMBED_NORM_GAMMA || row->role == GP_EMBED_NORM_BETA;
    return row->in_layer ? layers - row->index : embeds ? layers + 1 : 0;
}

static int frozen_layers(const char *freeze, int64_t layers, int64_t *frozen)
{
    char *end;
    long long n = freeze ? strtoll(freeze, &end, 10) : -1;
    *frozen = -1; /* not even the embeddings */
    if (!freeze)
        return 0;
    if (!strcmp(freeze, "embeddings"))
        n = 0;
    else if (end == freeze || *end || n < 0 || n > layers)
        return fail("--freeze %s: expected embeddings, or a number of layers, 0 to %lld", freeze, (long long)layers);
    *frozen = n;
    return 0;
}

int gp_optimizer_scale(gp_optimizer *o, const gp_model *m, double layer_decay, const char *freeze)
{
    int64_t layers = m->config.layers, frozen;
    int kept = 0;
    if (frozen_layers(freeze, layers, &frozen))
        return -1;
    for (int i = 0; i < o->count; i++) {
        int64_t depth = depth_of(&m->params.rows[i], layers); /* a frozen layer l < frozen has L - l above L - frozen */
        if (frozen >= 0 && depth > layers - frozen)
            continue;
        o->segments[kept] = o->segments[i];
        o->segments[kept++].lr_scale = (float)pow(layer_decay, (double)depth);
    }
    o->count = kept;
    return kept ? 0 : fail("--freeze %s leaves nothing to train", freeze);
}

void gp_optimizer_close(gp_optimizer *o)
{
    if (o->be)
        o->be->ops->record_free(o->be, &o->recording);
    gp_arena_release(&o->arena);
    free(o->segments);
    *o = (gp_optimizer){0};
}

void gp_optimizer_norm(gp_optimizer *o, gp_model *m)
{
    m->be->ops->grad_norm(m->be, o->segments, o->count, m->step);
}

void gp_optimizer_update(gp_optimizer *o, gp_model *m)
{
    m->be->ops->adamw(m->be, &(gp_adamw_op){.segments = o->segments,
                                            .count = o->count,
                                            .beta1 = o->beta1,
                                            .beta2 = o->beta2,
                                            .eps = o->eps,
                                            .step = m->step});
    gp_model_weights_changed(m);
}

void gp_optimizer_step(gp_optimizer *o, gp_model *m)
{
    const gp_backend_ops *ops = m->be->ops;
    if (ops->record_begin(m->be, &o->recording))
        do {
            gp_optimizer_norm(o, m);
            gp_optimizer_update(o, m);
        } while (!ops->record_end(m->be, &o->recording));
}
