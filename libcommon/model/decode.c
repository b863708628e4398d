/* decode.c: a KV cache, prompts into it, one token after another out of it. A prompt goes in alone, and the
 * decode ops add a row's numbers in an order that depends on nothing else; so a sample is the same alone and
 * among others. */
#include "model/model.h"

#include <string.h>

static void layout(gp_model *m, gp_cache *c)
{
    const gp_config *g = &m->config;
    gp_tensor kv = {.dtype = m->be->act_dtype,
                    .ndim = 5,
                    .dim = {g->layers, c->B, g->heads, gp_config_context(g), g->channels / g->heads}};
    c->k = c->v = kv;
    gp_arena_tensor(&c->arena, &c->k);
    gp_arena_tensor(&c->arena, &c->v);
    m->logits = (gp_tensor){.dtype = GP_F32, .ndim = 2, .dim = {c->B, g->vocab_size}};
    gp_arena_tensor(&c->arena, &m->logits);
    m->samples = gp_arena_take(&c->arena, (size_t)c->B * sizeof(int32_t));
    m->ids = gp_arena_take(&c->arena, (size_t)c->B * sizeof(int32_t));
}

int gp_model_plan_cache(gp_model *m, int64_t B, int64_t T_prompt)
{
    if (!m->config.causal || m->config.head != GP_HEAD_LM)
        return fail("the model is not causal (BERT, RoBERTa): it cannot continue text");
    if (B < 1)
        return fail("%lld samples at once: expected at least 1", (long long)B);
    if (gp_model_plan(m, 1, T_prompt))
        return -1;
    gp_acts_plan(&m->row, m, B, 1, false);
    gp_model_plan_workspace(m, B, 1, gp_config_context(&m->config), false);
    m->row.decode = true;
    gp_model_reserve_positions(m, B);
    gp_arena_release(&m->cache.arena);
    m->cache = (gp_cache){.arena = {.name = "cache"}, .B = B};
    layout(m, &m->cache);
    gp_arena_allocate(&m->cache.arena, gp_backend_memory(m->be));
    layout(m, &m->cache);
    return 0;
}

/* Row r of a (N, width) tensor, as (1, width). */
static gp_tensor row_of(const gp_tensor *t, int64_t r)
{
    int64_t width = t->dim[t->ndim - 1];
    gp_tensor row = {.dtype = t->dtype, .ndim = 2, .dim = {1, width}};
    row.data = (char *)t->data + r * width * gp_dtype_size(t->dtype);
    return row;
}

static void head(gp_model *m, const gp_tensor *x, gp_tensor *logits)
{
    m->be->ops->head_decode(
        m->be, &(gp_head_op){
                   .x = x, .w = &m->head.w, .bias = m->head.has_bias ? &m->head.b : NULL, .logits = logits});
}

int gp_model_prefill(gp_model *m, int64_t b, const int32_t *ids, int64_t T)
{
    gp_batch batch = {.B = 1, .T = T, .inputs = ids};
    BUG_ON(b < 0 || b >= m->cache.B);
    if (gp_model_load(m, &m->acts, &batch))
        return -1;
    m->acts.cache_row = b;
    const gp_tensor *x = gp_model_forward(m, &m->acts);
    m->acts.cache_row = -1;
    gp_tensor last = row_of(x, T - 1), logits = row_of(&m->logits, b);
    head(m, &last, &logits);
    return 0;
}

int gp_model_decode(gp_model *m, const int32_t *ids, const int32_t *positions)
{
    gp_batch batch = {.B = m->cache.B, .T = 1, .inputs = ids};
    if (gp_model_load(m, &m->row, &batch))
        return -1;
    for (int64_t b = 0; b < m->cache.B; b++)
        if (positions[b] < 0 || positions[b] >= gp_config_context(&m->config))
            return fail("position %d is outside the model's context of %lld", positions[b],
                        (long long)gp_config_context(&m->config));
    m->be->ops->upload(m->be, m->row.positions, positions, (size_t)m->cache.B * sizeof *positions);
    const gp_tensor *x = gp_model_forward(m, &m->row);
    gp_tensor rows = {.data = x->data, .dtype = x->dtype, .ndim = 2, .dim = {m->cache.B, m->config.channels}};
    head(m, &rows, &m->logits);
    return 0;
}

void gp_model_sample(gp_model *m, const gp_sampling *how, const int32_t *samples, const int32_t *positions,
                     int32_t *ids)
{
    size_t bytes = (size_t)m->cache.B * sizeof(int32_t);
    m->be->ops->upload(m->be, m->samples, samples, bytes);
    m->be->ops->upload(m->be, m->row.positions, positions, bytes);
    m->be->ops->sample(m->be, &(gp_sample_op){.logits = &m->logits,
                                              .vocab = (int)m->config.vocab_size,
                                              .temperature = (float)how->temperature,
                                              .top_p = (float)how->top_p,
                                              .min_p = (float)how->min_p,
                                              .top_k = (int)how->top_k,
                                              .seed = how->seed,
                                              .samples = m->samples,
                                              .positions = m->row.positions,
                                              .ids = m->ids});
    m->be->ops->download(m->be, ids, m->ids, bytes);
}

void gp_model_last_logits(gp_model *m, int64_t b, float *logits)
{
    gp_tensor row = row_of(&m->logits, b);
    m->be->ops->download(m->be, logits, row.data, (size_t)gp_tensor_bytes(&row));
}
