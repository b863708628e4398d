/* activations.c: the memory of a forward and backward pass, planned once. */
#include "model/model.h"

#include <stdlib.h>

gp_norm_acts *gp_acts_site(gp_acts *a, int64_t site)
{
    return &a->norm[site % a->sites];
}

gp_block_acts *gp_acts_block(gp_acts *a, int64_t layer)
{
    return &a->block[layer % a->blocks];
}

/* Sets dtype and dims, not data; a dim of 0 ends the list. */
static void shape(gp_tensor *t, gp_dtype dtype, int64_t d0, int64_t d1, int64_t d2)
{
    t->dtype = dtype;
    t->ndim = d1 ? d2 ? 3 : 2 : 1;
    t->dim[0] = d0;
    t->dim[1] = d1;
    t->dim[2] = d2;
}

static void norm_shapes(gp_norm_acts *n, gp_dtype dtype, int64_t B, int64_t T, int64_t C)
{
    shape(&n->sum, dtype, B, T, C);
    shape(&n->y, dtype, B, T, C);
    shape(&n->mean, GP_F32, B * T, 0, 0);
    shape(&n->rstd, GP_F32, B * T, 0, 0);
}

void gp_acts_resize_head(gp_acts *a, const gp_model *m, int64_t n)
{
    gp_dtype dtype = m->be->act_dtype;
    int64_t C = m->config.channels, B = a->B, T = a->T;
    gp_tensor *rows[] = {&a->head_x, &a->head_pre, &a->head_h, &a->mlm_norm.y, &a->dhead, &a->dhead2};
    BUG_ON(n > B * T);
    a->selected = n;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (a->selects)
            shape(rows[i], dtype, n, C, 0);
        else
            shape(rows[i], dtype, B, T, C);
    shape(&a->losses, GP_F32, n, 0, 0);
    shape(&a->mlm_norm.mean, GP_F32, n, 0, 0);
    shape(&a->mlm_norm.rstd, GP_F32, n, 0, 0);
    a->head_x.data = a->branch.data; /* free once the last norm has read it */
    a->dhead.data = a->selects ? a->dbranch.data : a->dx.data;
    a->dhead2.data = a->dcontext.data; /* free until backward reaches the blocks, as dbranch is */
}

void gp_acts_resize(gp_acts *a, const gp_model *m, int64_t B, int64_t T)
{
    const gp_config *c = &m->config;
    gp_dtype dtype = m->be->act_dtype;
    int64_t C = c->channels, F = c->inner;
    BUG_ON(B * T > a->max_B * a->max_T || B > a->max_B);
    a->positions_valid &= a->B == B && a->T == T;
    a->B = B;
    a->T = T;
    for (int64_t i = 0; i < a->blocks; i++) {
        gp_block_acts *b = &a->block[i];
        shape(&b->qkv, dtype, B, T, 3 * C);
        shape(&b->context, dtype, B, T, C);
        shape(&b->lse, GP_F32, B, c->heads, T);
        shape(&b->pre, dtype, B, T, F);
        shape(&b->h, dtype, B, T, F);
    }
    for (int64_t i = 0; i < a->sites; i++)
        norm_shapes(&a->norm[i], dtype, B, T, C);
    gp_tensor *like_x[] = {&a->branch, &a->dresidual, &a->dbranch, &a->dx, &a->dcontext};
    for (size_t i = 0; i < ARRAY_LEN(like_x); i++)
        shape(like_x[i], dtype, B, T, C);
    shape(&a->dqkv, dtype, B, T, 3 * C);
    shape(&a->dh, dtype, B, T, F);
    a->selects = c->head == GP_HEAD_CLASSIFY;
    gp_acts_resize_head(a, m, a->selects ? B : B * T);
}

static void take_norm(gp_arena *arena, gp_norm_acts *n)
{
    gp_arena_tensor(arena, &n->sum);
    gp_arena_tensor(arena, &n->y);
    gp_arena_tensor(arena, &n->mean);
    gp_arena_tensor(arena, &n->rstd);
}

/* What a site does not store it computes in the memory of site 0 or 1, one of which is free while the other is read.
 * When blocks are recomputed, the input of each is stored, and the last site, so the last block is not recomputed. */
static void take_site(gp_acts *a, int64_t site)
{
    gp_norm_acts *n = &a->norm[site];
    gp_recompute level = a->recompute;
    bool first = site < 2, last = site == a->sites - 1;
    bool whole = first || level == GP_RECOMPUTE_NONE || (level == GP_RECOMPUTE_BLOCK && last);
    if (whole) {
        take_norm(&a->arena, n);
        return;
    }
    *n = a->norm[site % 2];
    if (level == GP_RECOMPUTE_NORMS || site % 2 == 0)
        gp_arena_tensor(&a->arena, &n->sum);
    if (level == GP_RECOMPUTE_NORMS) {
        gp_arena_tensor(&a->arena, &n->mean);
        gp_arena_tensor(&a->arena, &n->rstd);
    }
}

static void take_block(gp_acts *a, int64_t layer)
{
    gp_block_acts *b = &a->block[layer];
    gp_tensor *stored[] = {&b->qkv, &b->context, &b->lse, &b->pre};
    for (size_t i = 0; i < ARRAY_LEN(stored); i++)
        gp_arena_tensor(&a->arena, stored[i]);
    if (layer && a->recompute == GP_RECOMPUTE_NORMS)
        b->h = a->block[0].h;
    else
        gp_arena_tensor(&a->arena, &b->h);
}

static void layout(gp_acts *a, const gp_model *m)
{
    gp_arena *arena = &a->arena;
    size_t ids = (size_t)(a->max_B * a->max_T) * sizeof(int32_t);
    int32_t **inputs[] = {&a->tokens, &a->positions, &a->types, &a->targets, &a->rows};
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
        *inputs[i] = gp_arena_take(arena, ids);
    a->lengths = gp_arena_take(arena, (size_t)a->max_B * sizeof(int32_t));
    for (int64_t i = 0; i < a->blocks; i++)
        take_block(a, i);
    for (int64_t i = 0; i < a->sites; i++)
        take_site(a, i);
    gp_arena_tensor(arena, &a->branch);
    gp_arena_tensor(arena, &a->losses);
    gp_tensor *head[] = {&a->head_pre, &a->head_h, &a->mlm_norm.y, &a->mlm_norm.mean, &a->mlm_norm.rstd};
    size_t count = m->config.head == GP_HEAD_MLM ? ARRAY_LEN(head) : m->dense.row ? 2 : 0;
    for (size_t i = 0; i < count; i++)
        gp_arena_tensor(arena, head[i]);
    if (!a->train)
        return;
    gp_tensor *gradients[] = {&a->dresidual, &a->dbranch, &a->dx, &a->dcontext, &a->dqkv, &a->dh};
    for (size_t i = 0; i < ARRAY_LEN(gradients); i++)
        gp_arena_tensor(arena, gradients[i]);
}

gp_shape gp_model_shape(const gp_model *m, int64_t B, int64_t T, int64_t cache, bool train)
{
    const gp_config *c = &m->config;
    return (gp_shape){.B = (int)B,
                      .T = (int)T,
                      .C = (int)c->channels,
                      .H = (int)c->heads,
                      .V = (int)gp_max(c->vocab_size, c->labels),
                      .inner = (int)c->inner,
                      .cache = (int)cache,
                      .train = train,
                      .causal = c->causal,
                      .drops = train && c->dropout_attn > 0};
}

int gp_model_use_attention(gp_model *m, gp_attention_by by, int64_t B, int64_t T, bool train)
{
    gp_shape shape = gp_model_shape(m, B, T, 0, train);
    return gp_backend_attention(m->be, by, &shape);
}

void gp_model_plan_workspace(gp_model *m, int64_t B, int64_t T, int64_t cache, bool train)
{
    gp_shape shape = gp_model_shape(m, B, T, cache, train);
    gp_backend_plan(m->be, &shape);
}

/* Sets shapes and counts bytes, without allocating. */
static void count(gp_acts *a, const gp_model *m, int64_t B, int64_t T, bool train, gp_recompute level)
{
    *a = (gp_acts){
        .arena = {.name = "activations"}, .max_B = B, .max_T = T, .train = train, .recompute = level, .cache_row = -1};
    a->blocks = train && level != GP_RECOMPUTE_BLOCK ? m->config.layers : 1;
    a->sites = train ? 2 * m->config.layers + 1 : 2;
    a->block = gp_calloc((size_t)a->blocks, sizeof *a->block);
    a->norm = gp_calloc((size_t)a->sites, sizeof *a->norm);
    gp_acts_resize(a, m, B, T);
    layout(a, m);
}

void gp_acts_plan(gp_acts *a, gp_model *m, int64_t B, int64_t T, bool train)
{
    gp_model_plan_workspace(m, B, T, 0, train); /* also if the tensors fit: a few long rows may need more workspace */
    gp_recompute recompute = train ? m->recompute : GP_RECOMPUTE_NONE;
    if (B <= a->max_B && B * T <= a->max_B * a->max_T && (a->train ? a->recompute == recompute || !train : !train))
        return;
    gp_acts_release(a, m->be);
    count(a, m, B, T, train, recompute);
    gp_arena_allocate(&a->arena, gp_backend_memory(m->be));
    layout(a, m);
}

void gp_acts_release(gp_acts *a, gp_backend *be)
{
    be->ops->record_free(be, &a->recording);
    gp_arena_release(&a->arena);
    free(a->block);
    free(a->norm);
    *a = (gp_acts){0};
}

/* ---- the largest batch ----------------------------------------------------------------------------------- */

int64_t gp_model_training_bytes(gp_model *m, gp_recompute level, int64_t B, int64_t T)
{
    gp_shape shape = gp_model_shape(m, B, T, 0, true);
    gp_acts a;
    count(&a, m, B, T, true, level);
    size_t bytes = a.arena.size + m->be->ops->plan(m->be, &shape);
    gp_acts_release(&a, m->be);
    return (int64_t)bytes;
}

int64_t gp_model_largest_batch(gp_model *m, gp_recompute level, int64_t T, int64_t bytes)
{
    int64_t fits = 0, max = INT32_MAX / T; /* ops count ids in 31 bits */
    while (fits < max) {
        int64_t middle = fits + (max - fits + 1) / 2;
        if (gp_model_training_bytes(m, level, middle, T) <= bytes)
            fits = middle;
        else
            max = middle - 1;
    }
    return fits;
}
