/* decode_loop.c: decoding on the device alone: each sampled token is the input of the next step, and the host reads it
 * some steps later. A step, one recording, runs blocks, head and sampling. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

static void device_layout(gp_model *m)
{
    gp_rows *r = &m->rows;
    size_t B = (size_t)m->cache.B;
    bool penalizes = r->how.repetition_penalty > 0 && r->how.repetition_penalty != 1;
    r->samples = gp_arena_take(&r->device, 2 * B * sizeof(int32_t));
    r->drawn = r->samples ? r->samples + B : NULL;
    r->ids = gp_arena_take(&r->device, B * sizeof(int32_t));
    r->seen = penalizes ? gp_arena_take(&r->device, B * (size_t)m->config.vocab_size) : NULL;
}

/* Memory that the device writes. */
static void host_layout(gp_model *m)
{
    gp_rows *r = &m->rows;
    size_t B = (size_t)m->cache.B, draws = B * GP_DRAWS_PENDING;
    r->draws = gp_arena_take(&r->host, draws * sizeof *r->draws);
    r->top = gp_arena_take(&r->host, draws * (size_t)r->tops * sizeof *r->top);
}

void gp_rows_plan(gp_model *m, const gp_sampling *how, bool log_probabilities, int64_t tops)
{
    gp_rows *r = &m->rows;
    gp_rows_release(m);
    *r = (gp_rows){.device = {.name = "samples"},
                   .host = {.name = "draws"},
                   .how = *how,
                   .log_probabilities = log_probabilities,
                   .tops = (int)tops};
    device_layout(m);
    host_layout(m);
    gp_arena_allocate(&r->device, gp_backend_memory(m->be));
    gp_arena_allocate(&r->host, gp_backend_host_memory(m->be));
    device_layout(m);
    host_layout(m);
    /* Not from alloc_host: that memory must not change until its upload is done. */
    r->host_samples = gp_calloc(3 * (size_t)m->cache.B, sizeof(int32_t));
    r->host_drawn = r->host_samples + m->cache.B;
    r->host_places = r->host_drawn + m->cache.B;
    for (int64_t b = 0; b < m->cache.B; b++)
        gp_rows_idle(m, b);
}

void gp_rows_release(gp_model *m)
{
    gp_rows *r = &m->rows;
    size_t verified = (size_t)(GP_APPEND_FEW * m->config.vocab_size) * sizeof(float);
    m->be->ops->record_free(m->be, &r->recording);
    if (r->verified.data)
        m->be->ops->free(m->be, r->verified.data, verified);
    for (int i = 0; i < GP_DRAWS_PENDING; i++)
        m->be->ops->mark_free(m->be, &r->mark[i]);
    gp_arena_release(&r->device);
    gp_arena_release(&r->host); /* waits for pending steps */
    free(r->host_samples);
    *r = (gp_rows){0};
}

void gp_rows_set(gp_model *m, int64_t b, int64_t sample, int64_t drawn, int64_t cached)
{
    gp_rows *r = &m->rows;
    BUG_ON(b < 0 || b >= m->cache.B || cached < 1 || cached > gp_config_context(&m->config));
    r->host_samples[b] = (int32_t)sample;
    r->host_drawn[b] = (int32_t)drawn;
    r->host_places[b] = (int32_t)cached - 1;
    r->changed = true;
}

/* An idle row still takes part in each step, at position 0, with an arbitrary id. */
void gp_rows_idle(gp_model *m, int64_t b)
{
    if (m->rows.host_samples[b] >= 0)
        gp_rows_set(m, b, -1, 0, 1);
}

void gp_rows_see(gp_model *m, int64_t b, const int32_t *ids, int64_t count)
{
    size_t V = (size_t)m->config.vocab_size;
    if (!m->rows.seen)
        return;
    uint8_t *seen = gp_calloc(V, 1);
    for (int64_t i = 0; i < count; i++)
        seen[ids[i]] = 1;
    m->be->ops->upload(m->be, m->rows.seen + (size_t)b * V, seen, V);
    free(seen);
}

/* Uploads the state of the rows if the host has changed it. For rows that it has not changed, the device's steps lead
 * to the same values. */
static void upload_rows(gp_model *m)
{
    gp_rows *r = &m->rows;
    size_t bytes = (size_t)m->cache.B * sizeof(int32_t);
    if (!r->changed)
        return;
    m->be->ops->upload(m->be, r->samples, r->host_samples, 2 * bytes);
    m->be->ops->upload(m->be, m->row.positions, r->host_places, bytes);
    r->changed = false;
}

/* Sampling from the logits of rows [first, first + count). */
static gp_sample_op sample_op(gp_model *m, const gp_sampling *how, int64_t first, int64_t count, gp_tensor *logits)
{
    const gp_rows *r = &m->rows;
    int64_t V = m->config.vocab_size;
    *logits = m->logits;
    logits->dim[0] = count;
    logits->data = (float *)m->logits.data + first * V;
    return (gp_sample_op){.logits = logits,
                          .vocab = (int)(how->vocab ? how->vocab : V),
                          .temperature = (float)how->temperature,
                          .top_p = (float)how->top_p,
                          .min_p = (float)how->min_p,
                          .top_k = (int)how->top_k,
                          .seed = how->seed,
                          .samples = r->samples + first,
                          .positions = r->drawn + first,
                          .ids = r->ids + first};
}

/* Samples, from m->logits or those given, and makes the ids the input of the next step. */
static void draw(gp_model *m, int64_t first, int64_t count, const gp_tensor *given)
{
    const gp_rows *r = &m->rows;
    gp_tensor logits;
    gp_sample_op op = sample_op(m, &r->how, first, count, &logits);
    op.logits = given ? given : &logits;
    op.ids = m->row.tokens + first;
    op.seen = r->seen ? r->seen + first * m->config.vocab_size : NULL;
    op.penalty = r->how.repetition_penalty;
    op.draws = r->draws + first * GP_DRAWS_PENDING;
    op.ring = GP_DRAWS_PENDING;
    op.places = m->row.positions + first;
    op.last_place = (int)gp_config_context(&m->config) - 1;
    op.log_probabilities = r->log_probabilities;
    op.top = r->top + first * GP_DRAWS_PENDING * r->tops;
    op.tops = r->tops;
    m->be->ops->sample(m->be, &op);
}

/* Records that a step was issued that draws for these rows. */
static void note_step(gp_model *m, int64_t first, int64_t count)
{
    gp_rows *r = &m->rows;
    for (int64_t b = first; b < first + count; b++)
        if (r->host_samples[b] >= 0) {
            r->host_drawn[b]++;
            r->host_places[b] += r->host_places[b] < gp_config_context(&m->config) - 1;
        }
    m->be->ops->mark_set(m->be, &r->mark[r->issued++ % GP_DRAWS_PENDING]);
}

void gp_rows_draw(gp_model *m, int64_t first, int64_t count)
{
    BUG_ON(first < 0 || count < 1 || first + count > m->cache.B);
    upload_rows(m);
    draw(m, first, count, NULL);
    note_step(m, first, count);
}

void gp_rows_step(gp_model *m)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_acts_resize(&m->row, m, m->cache.B, 1);
    upload_rows(m);
    if (ops->record_begin(m->be, &m->rows.recording))
        do {
            gp_model_decode_loaded(m);
            draw(m, 0, m->cache.B, NULL);
        } while (!ops->record_end(m->be, &m->rows.recording));
    note_step(m, 0, m->cache.B);
}

int gp_rows_verify(gp_model *m, const int32_t *ids, int64_t T)
{
    gp_rows *r = &m->rows;
    if (!r->verified.data) {
        r->verified = (gp_tensor){.dtype = GP_F32, .ndim = 2, .dim = {GP_APPEND_FEW, m->config.vocab_size}};
        r->verified.data = m->be->ops->alloc(m->be, (size_t)gp_tensor_bytes(&r->verified));
        m->be->ops->record_free(m->be, &r->recording); /* the workspace may grow now */
    }
    r->verified.dim[0] = T;
    return gp_model_append_all(m, 0, ids, r->host_places[0], &r->verified);
}

void gp_rows_draw_verified(gp_model *m, int64_t t)
{
    gp_tensor logits = gp_rows_of(&m->rows.verified, t, 1);
    upload_rows(m);
    draw(m, 0, 1, &logits);
    note_step(m, 0, 1);
}

void gp_rows_wait(gp_model *m, int64_t step)
{
    BUG_ON(step >= m->rows.issued || step < m->rows.issued - GP_DRAWS_PENDING);
    m->be->ops->mark_wait(m->be, &m->rows.mark[step % GP_DRAWS_PENDING]);
}

const gp_draw *gp_rows_sampled(const gp_model *m, int64_t b, int64_t i)
{
    return &m->rows.draws[b * GP_DRAWS_PENDING + i % GP_DRAWS_PENDING];
}

const gp_candidate *gp_rows_top(const gp_model *m, int64_t b, int64_t i)
{
    return m->rows.top + (b * GP_DRAWS_PENDING + i % GP_DRAWS_PENDING) * m->rows.tops;
}

void gp_model_sample(gp_model *m, const gp_sampling *how, const int32_t *samples, const int32_t *positions,
                     int32_t *ids)
{
    gp_rows *r = &m->rows;
    size_t bytes = (size_t)m->cache.B * sizeof(int32_t);
    gp_tensor logits;
    gp_sample_op op = sample_op(m, how, 0, m->cache.B, &logits);
    m->be->ops->upload(m->be, r->samples, samples, bytes);
    m->be->ops->upload(m->be, r->drawn, positions, bytes);
    r->changed = true;
    m->be->ops->sample(m->be, &op);
    m->be->ops->download(m->be, ids, r->ids, bytes);
}
