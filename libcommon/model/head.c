/* head.c: from the output of the last norm, x (B,T,C), to logits and losses, and back.
 *
 *     GP_HEAD_LM        logits = x W^T                                                        of all rows
 *     GP_HEAD_MLM       logits = norm(act(x W1 + b1)) W^T + b                                 of rows with a target
 *     GP_HEAD_CLASSIFY  logits = drop(tanh(drop(x) W1 + b1)) W^T + b, or x W^T without dense  of one row a sequence
 *
 * The rows that a head computes are selected first: (B,T,C) -> (n,C). So a masked-language head costs what its masked
 * tokens do. Without targets it computes all rows. */
#include "model/config.h"
#include "model/model.h"

#include <stdlib.h>

/* Selected rows of a batch with targets are padded to a multiple of this many: masking selects nearly as many in every
 * batch, and a recorded pass serves as long as their number is the same. */
enum { GP_SELECT_ROWS = 64 };

int64_t gp_config_outputs(const gp_config *c, int64_t B, int64_t T)
{
    const int64_t counts[] = {[GP_HEAD_LM] = B * T * c->vocab_size,
                              [GP_HEAD_MLM] = B * T * c->vocab_size,
                              [GP_HEAD_NONE] = B * T * c->channels,
                              [GP_HEAD_CLASSIFY] = B * c->labels};
    return counts[c->head];
}

int gp_model_outputs(gp_model *m, const gp_batch *batch, float *outputs)
{
    return (m->config.head == GP_HEAD_NONE ? gp_model_hidden : gp_model_logits)(m, batch, outputs);
}

/* ---- the rows -------------------------------------------------------------------------------------------- */

static void upload_ids(gp_model *m, int32_t *to, const int32_t *ids, int64_t n)
{
    m->be->ops->upload(m->be, to, ids, (size_t)n * sizeof *ids);
}

void gp_head_select_rows(gp_model *m, gp_acts *a, const int32_t *rows, int64_t n)
{
    a->selects = true;
    gp_acts_resize_head(a, m, n);
    upload_ids(m, a->rows, rows, n);
}

/* The rows with a target, and their targets. */
static void select_targets(gp_model *m, gp_acts *a, const int32_t *targets)
{
    int64_t N = a->B * a->T, count = 0;
    int32_t *ids = m->positions;
    for (int64_t i = 0; i < N; i++)
        if (targets[i] != -100)
            ids[count++] = (int32_t)i;
    int64_t n = gp_min(N, (int64_t)gp_round_up((size_t)gp_max(count, 1), GP_SELECT_ROWS));
    for (int64_t i = count; i < n; i++)
        ids[i] = -1;
    gp_head_select_rows(m, a, ids, n);
    for (int64_t i = 0; i < n; i++)
        ids[i] = ids[i] < 0 ? -100 : targets[ids[i]];
    upload_ids(m, a->targets, ids, n);
}

/* The first row of each sequence, or that of its last token, and the labels; one that is -1 does not count. */
static void select_sequences(gp_model *m, gp_acts *a, const gp_batch *batch)
{
    int32_t *ids = m->positions;
    for (int64_t b = 0; b < a->B; b++) {
        int64_t last = (batch->lengths ? batch->lengths[b] : a->T) - 1;
        ids[b] = (int32_t)(b * a->T + (m->config.head_last ? last : 0));
    }
    gp_head_select_rows(m, a, ids, a->B);
    if (!batch->labels)
        return;
    for (int64_t b = 0; b < a->B; b++)
        ids[b] = batch->labels[b] < 0 ? -100 : batch->labels[b];
    upload_ids(m, a->targets, ids, a->B);
}

void gp_head_load(gp_model *m, gp_acts *a, const gp_batch *batch)
{
    gp_head head = m->config.head;
    if (head == GP_HEAD_CLASSIFY) {
        select_sequences(m, a, batch);
    } else if (head == GP_HEAD_MLM && batch->targets) {
        select_targets(m, a, batch->targets);
    } else {
        a->selects = false;
        gp_acts_resize_head(a, m, a->B * a->T);
        if (batch->targets)
            upload_ids(m, a->targets, batch->targets, a->B * a->T);
    }
}

/* ---- forward --------------------------------------------------------------------------------------------- */

/* Dropout of a classifier, before its dense layer or after it: each row is a sample of its own. */
static void drop(gp_model *m, gp_acts *a, const gp_tensor *x, int which)
{
    const gp_config *c = &m->config;
    gp_tensor rows = {.data = x->data, .dtype = x->dtype, .ndim = 3, .dim = {a->selected, 1, c->channels}};
    double p = which == GP_SITE_DENSE_IN && !c->head_dense_drops ? 0 : c->dropout_head;
    m->be->ops->dropout(m->be, &rows, gp_model_dropout(m, a, p, c->layers, which));
}

static const gp_tensor *mlm_forward(gp_model *m, gp_acts *a, const gp_tensor *x)
{
    gp_linear_apply(m, a, &m->mlm, x, &a->head_h, gp_config_head_activation(&m->config), &a->head_pre);
    m->be->ops->norm_forward(m->be, &(gp_norm_op){.residual = &a->head_h,
                                                  .gamma = &m->mlm_norm.gamma,
                                                  .beta = &m->mlm_norm.beta,
                                                  .eps = (float)m->config.norm_eps,
                                                  .y = &a->mlm_norm.y,
                                                  .mean = &a->mlm_norm.mean,
                                                  .rstd = &a->mlm_norm.rstd});
    gp_trace_output(m, m->mlm.row, &a->head_h);
    gp_trace_output(m, gp_params_row(&m->params, GP_MLM_GAMMA, 0), &a->mlm_norm.y);
    return &a->mlm_norm.y;
}

static const gp_tensor *dense_forward(gp_model *m, gp_acts *a, const gp_tensor *x)
{
    drop(m, a, x, GP_SITE_DENSE_IN);
    gp_linear_apply(m, a, &m->dense, x, &a->head_h, GP_ACT_TANH, &a->head_pre);
    gp_trace_output(m, m->dense.row, &a->head_h);
    drop(m, a, &a->head_h, GP_SITE_DENSE_OUT);
    return &a->head_h;
}

const gp_tensor *gp_head_forward(gp_model *m, gp_acts *a, const gp_tensor *x)
{
    if (a->selects) {
        m->be->ops->select_forward(m->be, &(gp_select_op){.x = x, .rows = a->rows, .y = &a->head_x});
        x = &a->head_x;
    }
    a->head_in = x;
    return m->mlm.row ? mlm_forward(m, a, x) : m->dense.row ? dense_forward(m, a, x) : x;
}

void gp_model_head_rows(gp_model *m, const gp_tensor *x, gp_tensor *logits, float *host)
{
    m->be->ops->head_logits(
        m->be, &(gp_head_op){.x = x, .w = &m->head.w, .bias = m->head.has_bias ? &m->head.b : NULL, .logits = logits});
    m->be->ops->download(m->be, host, logits->data, (size_t)gp_tensor_bytes(logits));
}

/* ---- loss and backward ----------------------------------------------------------------------------------- */

void gp_model_loss(gp_model *m, gp_acts *a, const gp_tensor *x, bool train)
{
    gp_linear *head = &m->head;
    m->be->ops->head_loss(m->be, &(gp_head_op){.x = x,
                                               .w = &head->w,
                                               .bias = head->has_bias ? &head->b : NULL,
                                               .targets = a->targets,
                                               .class_weights = m->class_weights.data ? &m->class_weights : NULL,
                                               .smoothing = m->smoothing,
                                               .step = m->step,
                                               .losses = &a->losses,
                                               .train = train,
                                               .dx = train ? &a->dhead : NULL,
                                               .dw = train ? &head->dw : NULL,
                                               .first_dw = m->first_dw,
                                               .dbias = train && head->has_bias ? &head->db : NULL});
}

/* The gradient of the transform's input, from a->dhead, through norm, activation and product. */
static const gp_tensor *mlm_backward(gp_model *m, gp_acts *a)
{
    gp_tensor *d = &a->dhead2;
    m->be->ops->norm_backward(m->be, &(gp_norm_op){.residual = &a->head_h,
                                                   .gamma = &m->mlm_norm.gamma,
                                                   .eps = (float)m->config.norm_eps,
                                                   .mean = &a->mlm_norm.mean,
                                                   .rstd = &a->mlm_norm.rstd,
                                                   .dy = &a->dhead,
                                                   .dsum = d,
                                                   .dgamma = &m->mlm_norm.dgamma,
                                                   .dbeta = &m->mlm_norm.dbeta});
    gp_gradient_finished(m, gp_params_row(&m->params, GP_MLM_GAMMA, 0));
    gp_gradient_finished(m, gp_params_row(&m->params, GP_MLM_BETA, 0));
    m->be->ops->act_backward(m->be, gp_config_head_activation(&m->config), &a->dhead, d, &a->head_pre);
    gp_linear_differentiate(m, &m->mlm, a->head_in, &a->dhead, d, GP_ACT_NONE, NULL);
    return d;
}

/* Likewise, through dropout, tanh, the dense layer and dropout. */
static const gp_tensor *dense_backward(gp_model *m, gp_acts *a)
{
    drop(m, a, &a->dhead, GP_SITE_DENSE_OUT);
    m->be->ops->act_backward(m->be, GP_ACT_TANH, &a->dhead2, &a->dhead, &a->head_pre);
    gp_linear_differentiate(m, &m->dense, a->head_in, &a->dhead2, &a->dhead, GP_ACT_NONE, NULL);
    drop(m, a, &a->dhead, GP_SITE_DENSE_IN);
    return &a->dhead;
}

void gp_head_backward(gp_model *m, gp_acts *a)
{
    if (m->head.row->role != GP_WTE) /* a tied one is finished by the embedding */
        gp_gradient_finished(m, m->head.row);
    gp_gradient_finished(m, m->head.bias_row); /* gp_model_loss has computed both */
    const gp_tensor *dx = m->mlm.row ? mlm_backward(m, a) : m->dense.row ? dense_backward(m, a) : &a->dhead;
    if (a->selects)
        m->be->ops->select_backward(m->be, &(gp_select_op){.rows = a->rows, .dy = dx, .dx = &a->dx});
}
