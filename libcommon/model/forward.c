/* forward.c: a batch through the model, forward and backward: embedding, all blocks (block.c), head and loss. */
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
    if (!gp_config_predicts_tokens(c))
        return fail("the model has no head for tokens");
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
    if (batch->targets)
        ops->upload(m->be, a->targets, batch->targets, ids);
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
                         .wpe = &m->wpe,
                         .wtt = c->types ? &m->wtt : NULL,
                         .dwte = &m->dwte,
                         .dwpe = &m->dwpe,
                         .dwtt = c->types ? &m->dwtt : NULL};
}

/* ---- forward --------------------------------------------------------------------------------------------- */

const gp_tensor *gp_model_forward(gp_model *m, gp_acts *a)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_embed_op embed = embed_op(m, a);
    gp_stream s = {.residual = &gp_acts_site(a, 0)->sum};
    embed.y = &gp_acts_site(a, 0)->sum;
    ops->embed_forward(m->be, &embed);
    for (int64_t layer = 0; layer < m->config.layers; layer++)
        gp_block_forward(m, a, layer, &s);
    gp_site_forward(m, a, 2 * m->config.layers, &s);
    const gp_tensor *x = &gp_acts_site(a, 2 * m->config.layers)->y;
    if (m->config.head == GP_HEAD_LM)
        return x;
    gp_linear_apply(m, a, &m->mlm, x, &a->mlm_h, gp_config_head_activation(&m->config), &a->mlm_pre);
    ops->norm_forward(m->be, &(gp_norm_op){.residual = &a->mlm_h,
                                           .gamma = &m->mlm_norm.gamma,
                                           .beta = &m->mlm_norm.beta,
                                           .eps = (float)m->config.norm_eps,
                                           .y = &a->mlm_norm.y,
                                           .mean = &a->mlm_norm.mean,
                                           .rstd = &a->mlm_norm.rstd});
    gp_trace_output(m, m->mlm.row, &a->mlm_h);
    gp_trace_output(m, gp_params_row(&m->params, GP_MLM_GAMMA, 0), &a->mlm_norm.y);
    return &a->mlm_norm.y;
}

void gp_model_loss(gp_model *m, gp_acts *a, const gp_tensor *x, bool train)
{
    gp_linear *head = &m->head;
    m->be->ops->head_loss(m->be, &(gp_head_op){.x = x,
                                               .w = &head->w,
                                               .bias = head->has_bias ? &head->b : NULL,
                                               .targets = a->targets,
                                               .step = m->step,
                                               .losses = &a->losses,
                                               .train = train,
                                               .dx = train ? &a->dx : NULL,
                                               .dw = train ? &head->dw : NULL,
                                               .dbias = train && head->has_bias ? &head->db : NULL});
}

gp_tensor gp_model_forward_selected(gp_model *m, gp_acts *a, const int32_t *targets, int32_t *selected, float *losses)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_tensor x = *gp_model_forward(m, a);
    int64_t N = a->B * a->T, C = m->config.channels, rows = 0;
    size_t bytes = (size_t)(C * gp_dtype_size(x.dtype));
    for (int64_t i = 0; i < N; i++) { /* rows <= i, so no row is overwritten before it is moved */
        if (targets[i] < 0)
            continue;
        if (i != rows)
            ops->copy(m->be, (char *)x.data + (size_t)rows * bytes, (char *)x.data + (size_t)i * bytes, bytes);
        selected[rows++] = targets[i];
    }
    x.ndim = 2;
    x.dim[0] = a->losses.dim[0] = rows;
    x.dim[1] = C;
    ops->upload(m->be, a->targets, selected, (size_t)rows * sizeof *selected);
    m->host_step = (gp_step){.scale = 1};
    gp_step_upload(m);
    gp_model_loss(m, a, &x, false);
    ops->download(m->be, losses, a->losses.data, (size_t)rows * sizeof *losses);
    return x;
}

void gp_model_head_rows(gp_model *m, const gp_tensor *x, gp_tensor *logits, float *host)
{
    m->be->ops->head_logits(
        m->be, &(gp_head_op){.x = x, .w = &m->head.w, .bias = m->head.has_bias ? &m->head.b : NULL, .logits = logits});
    m->be->ops->download(m->be, host, logits->data, (size_t)gp_tensor_bytes(logits));
}

/* ---- backward -------------------------------------------------------------------------------------------- */

static void finished(gp_model *m, gp_role role)
{
    gp_gradient_finished(m, gp_params_row(&m->params, role, 0));
}

/* Turns a->dx from the gradient of the head's input into that of the last norm site's output. */
static void mlm_backward(gp_model *m, gp_acts *a)
{
    const gp_backend_ops *ops = m->be->ops;
    gp_tensor *dh = &a->dcontext; /* free here */
    ops->norm_backward(m->be, &(gp_norm_op){.residual = &a->mlm_h,
                                            .gamma = &m->mlm_norm.gamma,
                                            .eps = (float)m->config.norm_eps,
                                            .mean = &a->mlm_norm.mean,
                                            .rstd = &a->mlm_norm.rstd,
                                            .dy = &a->dx,
                                            .dsum = dh,
                                            .dgamma = &m->mlm_norm.dgamma,
                                            .dbeta = &m->mlm_norm.dbeta});
    finished(m, GP_MLM_GAMMA);
    finished(m, GP_MLM_BETA);
    ops->act_backward(m->be, gp_config_head_activation(&m->config), &a->dbranch, dh, &a->mlm_pre);
    gp_linear_differentiate(m, &m->mlm, &gp_acts_site(a, 2 * m->config.layers)->y, &a->dbranch, &a->dx, GP_ACT_NONE,
                            NULL);
}

void gp_model_backward(gp_model *m, gp_acts *a)
{
    const gp_backend_ops *ops = m->be->ops;
    finished(m, GP_HEAD_W); /* gp_model_loss has computed the gradients of the head */
    finished(m, GP_HEAD_B);
    if (m->config.head == GP_HEAD_MLM)
        mlm_backward(m, a);
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
                       .dropout = dropout,
                       .types = a->has_types,
                       .lengths = a->has_lengths,
                       .grad_ready = m->grad_ready,
                       .grad_ready_self = m->grad_ready_self};
    const gp_recorded *was = &a->recorded;
    if (was->B != now.B || was->T != now.T || was->dropout != now.dropout || was->types != now.types ||
        was->lengths != now.lengths || was->grad_ready != now.grad_ready || was->grad_ready_self != now.grad_ready_self)
        ops->record_free(m->be, &a->recording);
    a->recorded = now;
    if (ops->record_begin(m->be, &a->recording))
        do
            learn(m, a, dropout);
        while (!ops->record_end(m->be, &a->recording));
}

/* ---- the public passes ----------------------------------------------------------------------------------- */

static int64_t count_targets(const gp_batch *batch)
{
    int64_t n = 0;
    for (int64_t i = 0; i < batch->B * batch->T; i++)
        n += batch->targets[i] != -100;
    return n;
}

static int run(gp_model *m, const gp_batch *batch, bool train, double *loss)
{
    int64_t n = count_targets(batch);
    if (!n)
        return fail("the batch has no target: all are -100");
    if (gp_model_plan(m, batch->B, batch->T) || gp_model_load(m, &m->acts, batch))
        return -1;
    m->host_step = (gp_step){.scale = (float)(1.0 / (double)n)};
    gp_step_upload(m);
    if (train)
        m->be->ops->zero(m->be, m->g, (size_t)m->params.total * sizeof *m->g);
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), train);
    if (train)
        gp_model_backward(m, &m->acts);
    gp_step_download(m);
    *loss = m->host_step.loss;
    return 0;
}

int gp_model_evaluate(gp_model *m, const gp_batch *batch, double *loss, float *losses)
{
    if (run(m, batch, false, loss))
        return -1;
    if (losses)
        m->be->ops->download(m->be, losses, m->acts.losses.data, (size_t)(batch->B * batch->T) * sizeof *losses);
    return 0;
}

int gp_model_gradients(gp_model *m, const gp_batch *batch, double *loss)
{
    BUG_ON(!m->trains);
    return run(m, batch, true, loss);
}

int gp_model_logits(gp_model *m, const gp_batch *batch, float *logits)
{
    int64_t n = batch->B * batch->T, V = m->config.vocab_size;
    if (gp_model_plan(m, batch->B, batch->T) || gp_model_load(m, &m->acts, batch))
        return -1;
    const gp_tensor *x = gp_model_forward(m, &m->acts);
    gp_tensor out = {.dtype = GP_F32, .ndim = 3, .dim = {batch->B, batch->T, V}};
    size_t bytes = (size_t)(n * V) * sizeof *logits;
    out.data = m->be->ops->alloc(m->be, bytes);
    gp_model_head_rows(m, x, &out, logits);
    gp_trace(m, GP_TRACED_LOGITS, 0, &out);
    m->be->ops->free(m->be, out.data, bytes);
    return 0;
}
