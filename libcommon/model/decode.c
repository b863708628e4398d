/* decode.c: the KV cache, and decoding one token of each row at a time. Prompts are prefilled one by one (append.c),
 * and the decode ops sum a row's numbers in an order that does not depend on the batch; so a sample is the same alone
 * and among others. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

static void layout(gp_model *m, gp_cache *c)
{
    const gp_config *g = &m->config;
    gp_tensor kv = {.dtype = m->be->cache_dtype,
                    .ndim = 5,
                    .dim = {g->layers, c->B, g->heads, gp_config_context(g), g->channels / g->heads}};
    c->k = c->v = kv;
    gp_arena_tensor(&c->arena, &c->k);
    gp_arena_tensor(&c->arena, &c->v);
    m->logits = (gp_tensor){.dtype = GP_F32, .ndim = 2, .dim = {c->B, g->vocab_size}};
    gp_arena_tensor(&c->arena, &m->logits);
}

/* Refuses what exceeds the total memory, rather than have the kernel kill the process halfway. */
static int check_memory(const gp_model *m, int64_t B)
{
    const gp_config *g = &m->config;
    int64_t row = 2 * g->layers * gp_config_context(g) * g->channels * gp_dtype_size(m->be->cache_dtype), all;
    size_t available, total;
    m->be->ops->available_memory(m->be, &available, &total);
    row += g->vocab_size * (int64_t)sizeof(float);
    if (B <= INT32_MAX && gp_mul(row, B, &all) && (double)all < (double)total)
        return 0;
    return fail("%lld samples at once need %.1f GB of cache, but %s has %.1f GB of memory: sample fewer at a time",
                (long long)B, (double)row * (double)B / 1e9, gp_backend_device(m->be), (double)total / 1e9);
}

int gp_model_check_next(const gp_model *m, const char *therefore)
{
    if (!m->config.causal)
        return fail("the model is not causal (BERT, RoBERTa): %s", therefore);
    if (m->config.head != GP_HEAD_LM)
        return fail("the model has no head for the next token: %s", therefore);
    return 0;
}

int gp_model_plan_cache(gp_model *m, int64_t B, int64_t T_prompt)
{
    static int64_t planned;
    if (gp_model_check_next(m, "it cannot continue text"))
        return -1;
    if (B < 1)
        return fail("%lld samples at once: expected at least 1", (long long)B);
    if (check_memory(m, B) || gp_model_plan(m, 1, gp_min(T_prompt, m->chunk)))
        return -1;
    gp_acts_plan(&m->row, m, B, 1, false);
    gp_model_plan_workspace(m, B, 1, gp_config_context(&m->config), false);
    m->row.decode = true;
    m->row.cache_row = 0;
    gp_model_reserve_positions(m, gp_max(B, GP_APPEND_ROWS));
    m->be->ops->record_free(m->be, &m->row.recording); /* it refers to the old cache */
    gp_arena_release(&m->cache.arena);
    gp_rows_release(m);
    m->cache =
        (gp_cache){.arena = {.name = "cache"}, .B = B, .serial = __atomic_add_fetch(&planned, 1, __ATOMIC_RELAXED)};
    layout(m, &m->cache);
    gp_arena_allocate(&m->cache.arena, gp_backend_sparse_memory(m->be));
    layout(m, &m->cache);
    gp_rows_plan(m, &(gp_sampling){0}, false, 0);
    return 0;
}

void gp_model_decode_loaded(gp_model *m)
{
    const gp_tensor *x = gp_model_forward(m, &m->row);
    gp_tensor rows = gp_rows_of(x, 0, m->cache.B);
    gp_model_head(m, &m->row, &rows, &m->logits);
}

int gp_model_decode(gp_model *m, const int32_t *ids, const int32_t *positions)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_batch batch = {.B = m->cache.B, .T = 1, .inputs = ids};
    if (gp_model_load(m, &m->row, &batch))
        return -1;
    for (int64_t b = 0; b < m->cache.B; b++)
        if (gp_model_check_position(m, positions[b], 1))
            return -1;
    ops->upload(m->be, m->row.positions, positions, (size_t)m->cache.B * sizeof *positions);
    if (ops->record_begin(m->be, &m->row.recording))
        do
            gp_model_decode_loaded(m);
        while (!ops->record_end(m->be, &m->row.recording));
    return 0;
}

void gp_model_copy_row(gp_model *m, int64_t from, int64_t to)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_tensor *kv[] = {&m->cache.k, &m->cache.v};
    BUG_ON(from < 0 || to < 0 || from >= m->cache.B || to >= m->cache.B);
    for (size_t i = 0; i < ARRAY_LEN(kv); i++) {
        int64_t row = gp_tensor_bytes(kv[i]) / (kv[i]->dim[0] * m->cache.B);
        for (int64_t layer = 0; layer < kv[i]->dim[0]; layer++) {
            char *rows = (char *)kv[i]->data + layer * m->cache.B * row;
            ops->copy(m->be, rows + to * row, rows + from * row, (size_t)row);
        }
    }
    gp_tensor a = gp_rows_of(&m->logits, from, 1), b = gp_rows_of(&m->logits, to, 1);
    ops->copy(m->be, b.data, a.data, (size_t)gp_tensor_bytes(&a));
}
