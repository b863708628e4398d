/* model.c: creates a model: parameters, gradients and slots in the backend's memory. */
#include "model/model.h"
#include "base/threads.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

gp_tensor gp_model_parameter(const gp_model *m, const gp_param *row)
{
    const void *borrowed = gp_model_row_borrowed(m, row);
    void *data = row->format != GP_WEIGHTS_FP32 ? NULL : borrowed ? (void *)(uintptr_t)borrowed : m->p + row->at;
    return (gp_tensor){.data = data, .dtype = row->dtype, .ndim = row->ndim, .dim = {row->dim[0], row->dim[1]}};
}

/* The weight that contains a row of two dimensions in a format. */
static const gp_weight *weight_of(const gp_model *m, const gp_param *row)
{
    switch (row->role) {
    case GP_QKV_W:
        return &m->block[row->index].qkv.w;
    case GP_PROJ_W:
        return &m->block[row->index].proj.w;
    case GP_FC_W:
        return &m->block[row->index].fc.w;
    case GP_OUT_W:
        return &m->block[row->index].out.w;
    case GP_MLM_W:
        return &m->mlm.w;
    case GP_DENSE_W:
        return &m->dense.w;
    default:
        return &m->head.w;
    }
}

/* A view of lines [first, first + lines) of a row. */
static gp_tensor lines_of(const gp_model *m, const gp_param *row, int64_t first, int64_t lines)
{
    gp_tensor t = gp_model_parameter(m, row);
    t.data = (char *)t.data + first * row->dim[1] * gp_dtype_size(t.dtype);
    t.dim[0] = lines;
    return t;
}

bool gp_model_takes(const gp_model *m, const gp_param *row, gp_dtype dtype)
{
    return dtype == GP_F32 || (row->format == GP_WEIGHTS_FP32 && (dtype == row->dtype || m->be->ops->upload_as));
}

void gp_model_lines_upload(gp_model *m, const gp_param *row, int64_t first, int64_t lines, const void *host,
                           gp_dtype dtype)
{
    const gp_backend_ops *ops = m->be->ops;
    BUG_ON(first < 0 || lines < 0 || lines > row->dim[0] - first || !gp_model_takes(m, row, dtype));
    if (row->format != GP_WEIGHTS_FP32) {
        ops->weight_fill(m->be, weight_of(m, row), first, lines, host);
        return;
    }
    gp_model_row_own(m, row);
    gp_tensor t = lines_of(m, row, first, lines);
    size_t bytes = (size_t)gp_tensor_bytes(&t);
    if (t.dtype == dtype) {
        ops->upload(m->be, t.data, host, bytes);
    } else if (ops->upload_as) {
        ops->upload_as(m->be, t.data, t.dtype, host, dtype, gp_tensor_count(&t));
    } else {
        void *stored = gp_malloc(bytes);
        gp_from_f32(stored, t.dtype, host, gp_tensor_count(&t));
        ops->upload(m->be, t.data, stored, bytes);
        free(stored);
    }
}

void gp_model_download(const gp_model *m, const gp_tensor *t, float *host)
{
    size_t bytes = (size_t)gp_tensor_bytes(t);
    if (t->dtype == GP_F32) {
        m->be->ops->download(m->be, host, t->data, bytes);
        return;
    }
    void *stored = gp_malloc(bytes);
    m->be->ops->download(m->be, stored, t->data, bytes);
    gp_to_f32(host, stored, t->dtype, gp_tensor_count(t));
    free(stored);
}

void gp_model_lines_download(const gp_model *m, const gp_param *row, int64_t first, int64_t lines, float *host)
{
    BUG_ON(first < 0 || lines < 0 || lines > row->dim[0] - first);
    if (row->format != GP_WEIGHTS_FP32) {
        m->be->ops->weight_lines(m->be, weight_of(m, row), first, lines, host);
        return;
    }
    gp_tensor t = lines_of(m, row, first, lines);
    gp_model_download(m, &t, host);
}

void gp_model_row_upload(gp_model *m, const gp_param *row, const float *host)
{
    gp_model_lines_upload(m, row, 0, row->dim[0], host, GP_F32);
}

void gp_model_row_download(const gp_model *m, const gp_param *row, float *host)
{
    gp_model_lines_download(m, row, 0, row->dim[0], host);
}

static gp_tensor parameter(const gp_model *m, gp_role role, int64_t index)
{
    const gp_param *row = gp_params_row(&m->params, role, index);
    return row ? gp_model_parameter(m, row) : (gp_tensor){0};
}

static gp_tensor gradient_of(const gp_model *m, const gp_param *row)
{
    return (gp_tensor){.data = m->g ? m->g + row->offset : NULL,
                       .dtype = GP_F32,
                       .ndim = row->ndim,
                       .dim = {row->dim[0], row->dim[1]}};
}

static gp_tensor gradient(const gp_model *m, gp_role role, int64_t index)
{
    const gp_param *row = gp_params_row(&m->params, role, index);
    return row ? gradient_of(m, row) : (gp_tensor){0};
}

static void bind_linear(gp_model *m, gp_linear *l, gp_role weight, gp_role bias, int64_t index)
{
    l->row = gp_params_row(&m->params, weight, index);
    l->bias_row = gp_params_row(&m->params, bias, index);
    l->w.w = parameter(m, weight, index);
    l->w.transposed = weight == GP_WTE || weight == GP_HEAD_W || weight == GP_CLASS_W;
    l->w.trains = m->trains;
    l->w.format = l->row ? l->row->format : GP_WEIGHTS_FP32;
    l->dw = gradient(m, weight, index);
    l->b = parameter(m, bias, index);
    l->has_bias = l->bias_row != NULL;
    l->w.bias = l->has_bias ? &l->b : NULL;
    l->db = gradient(m, bias, index);
}

static void bind_norm(gp_model *m, gp_norm_params *n, const gp_param *gamma, const gp_param *beta)
{
    n->gamma = gp_model_parameter(m, gamma);
    n->dgamma = gradient_of(m, gamma);
    n->has_beta = beta != NULL;
    if (beta) {
        n->beta = gp_model_parameter(m, beta);
        n->dbeta = gradient_of(m, beta);
    }
}

void gp_model_bind(gp_model *m)
{
    const gp_config *c = &m->config;
    const gp_params *p = &m->params;
    m->wte = parameter(m, GP_WTE, 0);
    m->wpe = parameter(m, GP_WPE, 0);
    m->wtt = parameter(m, GP_WTT, 0);
    m->dwte = gradient(m, GP_WTE, 0);
    m->dwpe = gradient(m, GP_WPE, 0);
    m->dwtt = gradient(m, GP_WTT, 0);
    for (int64_t i = 0; i < c->layers; i++) {
        bind_linear(m, &m->block[i].qkv, GP_QKV_W, GP_QKV_B, i);
        bind_linear(m, &m->block[i].proj, GP_PROJ_W, GP_PROJ_B, i);
        bind_linear(m, &m->block[i].fc, GP_FC_W, GP_FC_B, i);
        bind_linear(m, &m->block[i].out, GP_OUT_W, GP_OUT_B, i);
    }
    for (int64_t i = 0; i <= 2 * c->layers; i++)
        bind_norm(m, &m->norm[i], gp_params_norm(p, i, false), gp_params_norm(p, i, true));
    if (gp_config_predicts_tokens(c))
        bind_linear(m, &m->head, c->tied ? GP_WTE : GP_HEAD_W, GP_HEAD_B, 0);
    if (c->head == GP_HEAD_CLASSIFY) {
        bind_linear(m, &m->head, GP_CLASS_W, GP_CLASS_B, 0);
        if (c->head_dense)
            bind_linear(m, &m->dense, GP_DENSE_W, GP_DENSE_B, 0);
    }
    if (c->head == GP_HEAD_MLM) {
        bind_linear(m, &m->mlm, GP_MLM_W, GP_MLM_B, 0);
        bind_norm(m, &m->mlm_norm, gp_params_row(p, GP_MLM_GAMMA, 0), gp_params_row(p, GP_MLM_BETA, 0));
    }
}

/* Lists every weight that has a slot, in order. */
static void list_weights(gp_model *m)
{
    gp_linear *head[] = {&m->mlm, &m->dense, &m->head};
    m->weight = gp_calloc((size_t)(4 * m->config.layers) + ARRAY_LEN(head), sizeof *m->weight);
    for (int64_t i = 0; i < m->config.layers; i++) {
        gp_linear *l[] = {&m->block[i].qkv, &m->block[i].proj, &m->block[i].fc, &m->block[i].out};
        for (size_t k = 0; k < ARRAY_LEN(l); k++)
            m->weight[m->weight_count++] = &l[k]->w;
    }
    for (size_t k = 0; k < ARRAY_LEN(head); k++)
        if (head[k]->row)
            m->weight[m->weight_count++] = &head[k]->w;
}

static void layout_slots(gp_model *m)
{
    for (int i = 0; i < m->weight_count; i++)
        m->weight[i]->slot = gp_arena_take(&m->slots, m->be->ops->weight_bytes(m->be, m->weight[i]));
}

void gp_model_weights_changed(gp_model *m)
{
    m->be->ops->weights_changed(m->be, m->weight, m->weight_count);
}

/* A model that does not train needs no fp32 masters of its matrices, which only products read, in bf16. */
static gp_dtype matrix_dtype(const gp_backend *be, bool trains)
{
    return !trains && be->stores_bf16 ? GP_BF16 : be->matrix_dtype;
}

gp_model *gp_model_create(const gp_config *c, gp_backend *be, bool trains)
{
    gp_model *m = gp_calloc(1, sizeof *m);
    m->config = *c;
    m->be = be;
    m->trains = trains;
    m->chunk = GP_PREFILL_CHUNK;
    gp_params_list(&m->params, c);
    gp_params_store(&m->params, matrix_dtype(be, trains), be->matrix_dtype);
    if (!trains)
        gp_params_store_weights(&m->params, c, be->weight_format);
    m->block = gp_calloc((size_t)c->layers, sizeof *m->block);
    m->norm = gp_calloc((size_t)(2 * c->layers + 1), sizeof *m->norm);

    size_t bytes = (size_t)m->params.bytes;
    m->weights = (gp_arena){.name = "weights", .size = bytes};
    gp_arena_allocate(&m->weights, gp_backend_memory(be));
    m->p = gp_arena_take(&m->weights, bytes);
    if (trains) {
        bytes = (size_t)m->params.total * sizeof *m->g;
        m->gradients = (gp_arena){.name = "gradients", .size = bytes};
        gp_arena_allocate(&m->gradients, gp_backend_memory(be));
        m->g = gp_arena_take(&m->gradients, bytes);
    }
    gp_model_bind(m);
    list_weights(m);
    m->step_arena = (gp_arena){.name = "step", .size = gp_round_up(sizeof *m->step, 64)};
    gp_arena_allocate(&m->step_arena, gp_backend_memory(be));
    m->step = gp_arena_take(&m->step_arena, sizeof *m->step);
    if (!trains && be->weight_format != GP_WEIGHTS_FP32)
        gp_model_open_slots(m, 1); /* weights are filled before any shape is planned; formats do not depend on it */
    return m;
}

void gp_model_free(gp_model *m)
{
    if (!m)
        return;
    if (m->slots_open)
        for (int i = 0; i < m->weight_count; i++)
            m->be->ops->weight_close(m->be, m->weight[i]);
    gp_acts_release(&m->acts, m->be);
    gp_acts_release(&m->row, m->be);
    gp_acts_release(&m->few, m->be);
    gp_rows_release(m);
    gp_arena *arenas[] = {&m->weights, &m->gradients, &m->slots, &m->step_arena, &m->loss_arena, &m->cache.arena};
    for (size_t i = 0; i < ARRAY_LEN(arenas); i++)
        gp_arena_release(arenas[i]);
    gp_model_return_rows(m);
    gp_params_release(&m->params);
    free(m->block);
    free(m->norm);
    free(m->weight);
    free(m->positions);
    free(m->host_class_weights);
    free(m);
}

void gp_model_init(gp_model *m, uint64_t seed)
{
    float *host = gp_malloc((size_t)m->params.total * sizeof *host);
    /* weights are drawn on the host; a GPU backend has a single host thread */
    int threads = m->be->later ? gp_processors() : m->be->threads;
    gp_params_init(&m->params, &m->config, seed, host, threads);
    for (int i = 0; i < m->params.count; i++)
        gp_model_row_upload(m, &m->params.rows[i], host + m->params.rows[i].offset);
    free(host);
    if (m->slots_open)
        gp_model_weights_changed(m);
}

const gp_config *gp_model_config(const gp_model *m)
{
    return &m->config;
}

/* Slots are opened for the first planned shape, because packing may depend on the number of rows. */
void gp_model_open_slots(gp_model *m, int64_t rows)
{
    if (m->slots_open)
        return;
    for (int i = 0; i < m->weight_count; i++)
        m->be->ops->weight_open(m->be, m->weight[i], rows);
    m->slots = (gp_arena){.name = "slots"};
    layout_slots(m);
    if (m->slots.size) {
        gp_arena_allocate(&m->slots, gp_backend_memory(m->be));
        layout_slots(m);
    }
    m->slots_open = true;
    gp_model_weights_changed(m);
}

void gp_model_reserve_positions(gp_model *m, int64_t count)
{
    if (count <= m->positions_max)
        return;
    m->positions = gp_realloc(m->positions, (size_t)count, sizeof *m->positions);
    m->positions_max = count;
}

void gp_model_set_loss(gp_model *m, const float *class_weights, double smoothing)
{
    int64_t V = m->head.row ? m->head.row->dim[0] : 0;
    size_t bytes = (size_t)V * sizeof *class_weights;
    BUG_ON(!V || !(smoothing >= 0 && smoothing < 1));
    m->be->ops->record_free(m->be, &m->acts.recording);
    gp_arena_release(&m->loss_arena);
    free(m->host_class_weights);
    m->host_class_weights = NULL;
    m->class_weights = (gp_tensor){0};
    m->smoothing = (float)smoothing;
    if (!class_weights)
        return;
    m->host_class_weights = gp_malloc(bytes);
    memcpy(m->host_class_weights, class_weights, bytes);
    m->loss_arena = (gp_arena){.name = "class weights", .size = gp_round_up(bytes, 64)};
    gp_arena_allocate(&m->loss_arena, gp_backend_memory(m->be));
    m->class_weights =
        (gp_tensor){.data = gp_arena_take(&m->loss_arena, bytes), .dtype = GP_F32, .ndim = 1, .dim = {V}};
    m->be->ops->upload(m->be, m->class_weights.data, class_weights, bytes);
}

const char *gp_recompute_name(gp_recompute level)
{
    static const char *const names[] = {GP_RECOMPUTES(GP_CHOICE_NAME)};
    return names[level];
}

void gp_model_set_recompute(gp_model *m, gp_recompute level)
{
    m->recompute = level;
}

int gp_model_plan(gp_model *m, int64_t B, int64_t T)
{
    if (B < 1 || T < 1 || T > gp_config_context(&m->config))
        return fail("a batch of %lld x %lld tokens does not fit the model, whose context is %lld", (long long)B,
                    (long long)T, (long long)gp_config_context(&m->config));
    gp_acts_plan(&m->acts, m, B, T, m->trains);
    gp_model_reserve_positions(m, B * T);
    gp_model_open_slots(m, B * T);
    return 0;
}

void gp_model_memory(const gp_model *m, gp_memory_use *use)
{
    *use = (gp_memory_use){.weights = (int64_t)m->weights.size - m->borrowed_bytes,
                           .slots = (int64_t)m->slots.size,
                           .gradients = (int64_t)m->gradients.size,
                           .activations = (int64_t)(m->acts.arena.size + m->row.arena.size + m->few.arena.size),
                           .cache = (int64_t)m->cache.arena.size,
                           .workspace = (int64_t)m->be->workspace_size};
}

void gp_step_upload(gp_model *m)
{
    m->be->ops->upload(m->be, m->step, &m->host_step, sizeof m->host_step);
}

void gp_step_download(gp_model *m)
{
    m->be->ops->download(m->be, &m->host_step, m->step, sizeof m->host_step);
}
