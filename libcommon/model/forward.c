/* forward.c: a batch through the model, forward and backward: embedding, all blocks (block.c), the head (head.c). */
#include "model/config.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

/* ---- batch ----------------------------------------------------------------------------------------------- */

static int check_ids(const char *what, const int32_t *ids, int64_t n, int64_t limit, bool may_skip)
{
    for (int64_t i = 0; i < n; i++)
        if ((ids[i] < 0 || ids[i] >= limit) && !(may_skip && ids[i] == -100))
            return fail("%s %d at position %lld of the batch is outside the model's %lld", what, ids[i], (long long)i,
                        (long long)limit);
    return 0;
}

/* The row of the position table for each token: position_offset + start + t. With pad_positions, padding has row pad_id
 * and is not counted (transformers' create_position_ids_from_input_ids). */
static void fill_positions(const gp_config *c, const gp_batch *batch, int64_t start, int32_t *positions)
{
    for (int64_t b = 0; b < batch->B; b++) {
        int32_t next = (int32_t)(c->position_offset + start);
        for (int64_t t = 0; t < batch->T; t++) {
            int64_t i = b * batch->T + t;
            bool padding = c->pad_positions && batch->inputs[i] == c->pad_id;
            positions[i] = padding ? (int32_t)c->pad_id : next++;
        }
    }
}

static int check_batch(const gp_config *c, const gp_batch *batch)
{
    int64_t n = batch->B * batch->T;
    if (batch->B < 1 || batch->T < 1)
        return fail("a batch of %lld x %lld tokens is empty", (long long)batch->B, (long long)batch->T);
    if (batch->T > gp_config_context(c))
        return fail("a sequence of %lld tokens is longer than the model's context of %lld", (long long)batch->T,
                    (long long)gp_config_context(c));
    if (check_ids("token id", batch->inputs, n, c->vocab_size, false))
        return -1;
    if (batch->targets && check_ids("target id", batch->targets, n, c->vocab_size, true))
        return -1;
    if (batch->types && check_ids("token type", batch->types, n, c->types, false))
        return -1;
    for (int64_t b = 0; c->head == GP_HEAD_CLASSIFY && batch->labels && b < batch->B; b++)
        if (batch->labels[b] < -1 || batch->labels[b] >= c->labels)
            return fail("label %d of sequence %lld is outside the model's %lld", batch->labels[b], (long long)b,
                        (long long)c->labels);
    for (int64_t b = 0; batch->lengths && b < batch->B; b++)
        if (batch->lengths[b] < 1 || batch->lengths[b] > batch->T)
            return fail("sequence %lld has length %d, expected 1 to %lld", (long long)b, batch->lengths[b],
                        (long long)batch->T);
    return 0;
}

int gp_model_load(gp_model *m, gp_acts *a, const gp_batch *batch)
{
    const gp_backend_ops *ops = m->be->ops;
    if (check_batch(&m->config, batch))
        return -1;
    int64_t n = batch->B * batch->T;
    size_t ids = (size_t)n * sizeof(int32_t);
    BUG_ON(n > m->positions_max);
    gp_acts_resize(a, m, batch->B, batch->T);
    ops->upload(m->be, a->tokens, batch->inputs, ids);
    a->positions_valid &= !a->start;
    if (!a->positions_valid && !a->decode) { /* decoding uploads its own */
        fill_positions(&m->config, batch, a->start, m->positions);
        ops->upload(m->be, a->positions, m->positions, ids);
    }
    a->positions_valid = !m->config.pad_positions && !a->decode && !a->start;
    a->has_types = batch->types != NULL;
    if (batch->types)
        ops->upload(m->be, a->types, batch->types, ids);
    a->has_lengths = batch->lengths != NULL;
    if (batch->lengths)
        ops->upload(m->be, a->lengths, batch->lengths, (size_t)batch->B * sizeof(int32_t));
    gp_head_load(m, a, batch);
    return 0;
}

/* ---- embedding ------------------------------------------------------------------------------------------- */

static gp_embed_op embed_op(gp_model *m, gp_acts *a)
{
    const gp_config *c = &m->config;
    return (gp_embed_op){.tokens = a->tokens,
                         .positions = a->positions,
                         .types = a->has_types ? a->types : NULL,
                         .pad_token = (int32_t)gp_config_padding(c),
                         .pad_position = c->pad_positions ? (int32_t)c->pad_id : -1,
                         .drop = gp_model_dropout(m, a, c->post_norm ? 0 : c->dropout_embd, 0, GP_SITE_EMBED),
                         .wte = &m->wte,
                         .table = m->wte.data ? NULL : &m->head.w,
                         .wpe = &m->wpe,
                         .wtt = c->types ? &m->wtt : NULL,
                         .dwte = &m->dwte,
                         .dwpe = &m->dwpe,
                         .dwtt = c->types ? &m->dwtt : NULL};
}

/* ---- forward --------------------------------------------------------------------------------------------- */

const gp_tensor *gp_model_encode(gp_model *m, gp_acts *a)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_embed_op embed = embed_op(m, a);
    gp_stream s = {.residual = &gp_acts_site(a, 0)->sum};
    embed.y = &gp_acts_site(a, 0)->sum;
    ops->embed_forward(m->be, &embed);
    for (int64_t layer = 0; layer < m->config.layers; layer++)
        gp_block_forward(m, a, layer, &s);
    gp_site_forward(m, a, 2 * m->config.layers, &s);
    return &gp_acts_site(a, 2 * m->config.layers)->y;
}

const gp_tensor *gp_model_forward(gp_model *m, gp_acts *a)
{
    return gp_head_forward(m, a, gp_model_encode(m, a));
}

gp_tensor gp_model_forward_selected(gp_model *m, gp_acts *a, const int32_t *targets, int32_t *selected, float *losses)
{
    const gp_backend_ops *ops = m->be->ops;
    int64_t rows = 0;
    int32_t *ids = m->positions;
    for (int64_t i = 0; i < a->B * a->T; i++) {
        if (targets[i] < 0)
            continue;
        selected[rows] = targets[i];
        ids[rows++] = (int32_t)i;
    }
    gp_head_select_rows(m, a, ids, rows);
    ops->upload(m->be, a->targets, selected, (size_t)rows * sizeof *selected);
    m->host_step = (gp_step){.scale = 1};
    gp_step_upload(m);
    const gp_tensor *x = gp_model_forward(m, a);
    gp_model_loss(m, a, x, false);
    ops->download(m->be, losses, a->losses.data, (size_t)rows * sizeof *losses);
    return *x;
}

/* ---- backward -------------------------------------------------------------------------------------------- */

/* Whether a product writes its gradient; the table of tokens, where it is the head too, before the embedding adds. */
static bool is_of_product(const gp_model *m, const gp_param *row)
{
    bool table = row->role == GP_WTE || row->role == GP_WPE || row->role == GP_WTT;
    return row == m->head.row || (row->ndim == 2 && !table);
}

void gp_model_begin_gradients(gp_model *m)
{
    const gp_params *p = &m->params;
    m->first_dw = m->be->first_dw;
    if (!m->first_dw)
        m->be->ops->zero(m->be, m->g, (size_t)p->total * sizeof *m->g);
    for (int i = 0; m->first_dw && i < p->count; i++)
        if (!is_of_product(m, &p->rows[i]))
            m->be->ops->zero(m->be, m->g + p->rows[i].offset, (size_t)p->rows[i].count * sizeof *m->g);
}

static void finished(gp_model *m, gp_role role)
{
    gp_gradient_finished(m, gp_params_row(&m->params, role, 0));
}

void gp_model_backward(gp_model *m, gp_acts *a)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_head_backward(m, a);
    gp_site_backward(m, a, 2 * m->config.layers);
    for (int64_t layer = m->config.layers - 1; layer >= 0; layer--) {
        gp_block_recompute(m, a, layer);
        gp_block_backward(m, a, layer);
    }
    gp_embed_op embed = embed_op(m, a);
    embed.dy = &a->dresidual;
    ops->embed_backward(m->be, &embed);
    finished(m, GP_WTE);
    finished(m, GP_WPE);
    finished(m, GP_WTT);
    m->first_dw = false;
}

/* ---- one training pass ----------------------------------------------------------------------------------- */

static void learn(gp_model *m, gp_acts *a, bool dropout)
{
    m->dropping = dropout;
    gp_model_loss(m, a, gp_model_forward(m, a), true);
    gp_model_backward(m, a);
    m->dropping = false;
}

/* A tracer reads tensors on the host during the pass, so that is not recorded. In a recording the uploaded values may
 * change; a change of gp_recorded needs a new one. */
void gp_model_learn(gp_model *m, gp_acts *a, bool dropout)
{
    const gp_backend_ops *ops = m->be->ops;
    if (m->tracer.fn) {
        learn(m, a, dropout);
        return;
    }
    gp_recorded now = {.B = a->B,
                       .T = a->T,
                       .selected = a->selected,
                       .dropout = dropout,
                       .types = a->has_types,
                       .lengths = a->has_lengths,
                       .grad_ready = m->grad_ready,
                       .grad_ready_self = m->grad_ready_self};
    const gp_recorded *was = &a->recorded;
    if (was->B != now.B || was->T != now.T || was->selected != now.selected || was->dropout != now.dropout ||
        was->types != now.types || was->lengths != now.lengths || was->grad_ready != now.grad_ready ||
        was->grad_ready_self != now.grad_ready_self)
        ops->record_free(m->be, &a->recording);
    a->recorded = now;
    if (ops->record_begin(m->be, &a->recording))
        do
            learn(m, a, dropout);
        while (!ops->record_end(m->be, &a->recording));
}

/* ---- the public passes ----------------------------------------------------------------------------------- */

/* What the sum of losses is divided by: the number of counted targets, or the sum of their class weights. */
static double loss_weight(const gp_model *m, const gp_batch *batch)
{
    bool classifies = m->config.head == GP_HEAD_CLASSIFY;
    const int32_t *targets = classifies ? batch->labels : batch->targets;
    int64_t n = classifies ? batch->B : batch->B * batch->T;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (targets[i] >= 0)
            sum += m->host_class_weights ? (double)m->host_class_weights[targets[i]] : 1;
    return sum;
}

static int check_head(const gp_model *m, const gp_batch *batch)
{
    if (m->config.head == GP_HEAD_NONE)
        return fail("the model has no head: it computes hidden states, and neither logits nor a loss");
    if (!batch)
        return 0;
    if (m->config.head == GP_HEAD_CLASSIFY && !batch->labels)
        return fail("the model is a classifier, and the batch has no labels");
    if (m->config.head != GP_HEAD_CLASSIFY && !batch->targets)
        return fail("the model predicts tokens, and the batch has no targets");
    return 0;
}

static int run(gp_model *m, const gp_batch *batch, bool train, double *loss)
{
    if (check_head(m, batch) || gp_model_plan(m, batch->B, batch->T) || gp_model_load(m, &m->acts, batch))
        return -1;
    double weight = loss_weight(m, batch);
    if (!(weight > 0))
        return fail(m->config.head == GP_HEAD_CLASSIFY ? "the batch has no label that counts"
                                                       : "the batch has no target: all are -100");
    m->host_step = (gp_step){.scale = (float)(1.0 / weight)};
    gp_step_upload(m);
    if (train)
        gp_model_begin_gradients(m);
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), train);
    if (train)
        gp_model_backward(m, &m->acts);
    gp_step_download(m);
    *loss = m->host_step.loss;
    return 0;
}

/* The losses of the selected rows to where their targets are. */
static void download_losses(gp_model *m, const gp_batch *batch, float *losses)
{
    const gp_acts *a = &m->acts;
    m->be->ops->download(m->be, losses, a->losses.data, (size_t)a->selected * sizeof *losses);
    if (m->config.head != GP_HEAD_MLM)
        return;
    int64_t next = 0;
    for (int64_t i = 0; i < batch->B * batch->T; i++)
        next += batch->targets[i] != -100;
    for (int64_t i = batch->B * batch->T - 1; i >= 0; i--) /* next <= i + 1: none is overwritten before it moves */
        losses[i] = batch->targets[i] != -100 ? losses[--next] : 0;
}

int gp_model_evaluate(gp_model *m, const gp_batch *batch, double *loss, float *losses)
{
    if (run(m, batch, false, loss))
        return -1;
    if (losses)
        download_losses(m, batch, losses);
    return 0;
}

int gp_model_gradients(gp_model *m, const gp_batch *batch, double *loss)
{
    BUG_ON(!m->trains);
    return run(m, batch, true, loss);
}

/* The logits of the rows that the head has selected. */
static void fetch_logits(gp_model *m, const gp_batch *batch, float *logits)
{
    const gp_acts *a = &m->acts;
    const gp_tensor *x = gp_model_forward(m, &m->acts);
    int64_t V = m->head.w.w.dim[0];
    gp_tensor out = {.dtype = GP_F32, .ndim = 2, .dim = {a->selected, V}};
    if (!a->selects)
        out = (gp_tensor){.dtype = GP_F32, .ndim = 3, .dim = {batch->B, batch->T, V}};
    size_t bytes = (size_t)gp_tensor_bytes(&out);
    out.data = m->be->ops->alloc(m->be, bytes);
    gp_model_head_rows(m, x, &out, logits);
    gp_trace(m, GP_TRACED_LOGITS, 0, &out);
    m->be->ops->free(m->be, out.data, bytes);
}

/* Without targets, by which an MLM head would select its rows. */
static int load_inputs(gp_model *m, const gp_batch *batch)
{
    gp_batch inputs = *batch;
    inputs.targets = inputs.labels = NULL;
    return gp_model_plan(m, batch->B, batch->T) || gp_model_load(m, &m->acts, &inputs) ? -1 : 0;
}

int gp_model_logits(gp_model *m, const gp_batch *batch, float *logits)
{
    if (check_head(m, NULL) || load_inputs(m, batch))
        return -1;
    fetch_logits(m, batch, logits);
    return 0;
}

int gp_model_logits_at(gp_model *m, const gp_batch *batch, const int32_t *rows, int64_t n, float *logits)
{
    int64_t N = batch->B * batch->T;
    if (!gp_config_predicts_tokens(&m->config))
        return fail("the model has no head for tokens: it has no logits at a position");
    if (n < 1 || n > N)
        return fail("%lld rows of a batch of %lld tokens were asked for", (long long)n, (long long)N);
    for (int64_t i = 0; i < n; i++)
        if (rows[i] < 0 || rows[i] >= N)
            return fail("row %d is outside the batch of %lld tokens", rows[i], (long long)N);
    if (load_inputs(m, batch))
        return -1;
    gp_head_select_rows(m, &m->acts, rows, n);
    fetch_logits(m, batch, logits);
    return 0;
}

int gp_model_hidden(gp_model *m, const gp_batch *batch, float *hidden)
{
    if (load_inputs(m, batch))
        return -1;
    const gp_tensor *x = gp_model_encode(m, &m->acts);
    gp_model_download(m, x, hidden);
    return 0;
}
