/* block.c: one transformer block, forward and backward, for every variant.
 *
 * A block takes (residual, branch) and returns (residual, branch); in between,
 *
 *     x = norm(residual + branch)        site 2l
 *     branch = proj(attention(qkv(x)))
 *     x = norm(residual + branch)        site 2l + 1
 *     branch = out(act(fc(x)))
 *
 * Pre-norm (GPT-2) and post-norm (BERT) differ in one thing: the residual continues as the norm's input (the sum) or as
 * its output. Site 0 of a post-norm model is the norm after the embedding, site 2L of a pre-norm model the final norm;
 * so both have sites 0 .. 2L, and only the roles of their parameters differ (gp_params_norm).
 */
#include "model/model.h"

double gp_model_divisor(const gp_model *m, int64_t layer)
{
    const gp_config *c = &m->config;
    int64_t head_size = c->channels / c->heads;
    double divisor = c->scores_unscaled ? 1 : sqrt((double)head_size);
    return c->scores_by_layer ? divisor * (double)(layer + 1) : divisor;
}

gp_dropout gp_model_dropout(gp_model *m, const gp_acts *a, double p, int64_t layer, int which)
{
    bool on = a->train && m->dropping;
    uint32_t site = GP_FIRST_SITE + (uint32_t)(layer * GP_SITES + which);
    return (gp_dropout){.p = on ? (float)p : 0, .site = site, .step = m->step};
}

/* The dropout on the branch that a norm site adds: of attention's projection, or of the MLP's output. */
static gp_dropout branch_dropout(gp_model *m, const gp_acts *a, int64_t site)
{
    return gp_model_dropout(m, a, site ? m->config.dropout_resid : 0, site ? (site - 1) / 2 : 0,
                            site % 2 ? GP_SITE_PROJ : GP_SITE_OUT);
}

/* Post-norm models apply dropout after the embedding's norm, pre-norm models in the embedding itself (forward.c). */
static gp_dropout embedding_dropout(gp_model *m, const gp_acts *a)
{
    return gp_model_dropout(m, a, m->config.post_norm ? m->config.dropout_embd : 0, 0, GP_SITE_EMBED);
}

static bool last_site(const gp_model *m, int64_t site)
{
    return site == 2 * m->config.layers;
}

void gp_gradient_finished(gp_model *m, const gp_param *row)
{
    if (m->grad_ready && row)
        m->grad_ready(m->grad_ready_self, row);
}

void gp_linear_apply(gp_model *m, gp_acts *a, gp_linear *l, const gp_tensor *x, gp_tensor *y, gp_act act,
                     gp_tensor *pre)
{
    gp_norm_op norm;
    gp_linear_op op = {.x = x, .w = &l->w, .bias = l->has_bias ? &l->b : NULL, .act = act, .y = y, .pre = pre};
    op.norm = gp_site_take(a, &norm);
    if (a->decode)
        m->be->ops->linear_decode(m->be, &op);
    else
        m->be->ops->linear_forward(m->be, &op);
}

void gp_linear_differentiate(gp_model *m, gp_linear *l, const gp_tensor *x, const gp_tensor *dy, gp_tensor *dx,
                             gp_act act, const gp_tensor *pre)
{
    m->be->ops->linear_backward(m->be, &(gp_linear_op){.x = x,
                                                       .w = &l->w,
                                                       .dy = dy,
                                                       .dx = dx,
                                                       .in_act = act,
                                                       .in_pre = pre,
                                                       .dw = &l->dw,
                                                       .first_dw = m->first_dw,
                                                       .dbias = l->has_bias ? &l->db : NULL});
    gp_gradient_finished(m, l->row);
    gp_gradient_finished(m, l->bias_row);
}

const gp_norm_op *gp_site_take(gp_acts *a, gp_norm_op *norm)
{
    *norm = a->pending_norm;
    a->pending_norm = (gp_norm_op){0};
    return norm->y ? norm : NULL;
}

/* In decoding, if the next product is the only reader of the norm's output, that product computes the norm. */
static void apply_site(gp_model *m, gp_acts *a, int64_t site, gp_stream *s)
{
    gp_norm_acts *n = gp_acts_site(a, site);
    gp_norm_params *p = &m->norm[site];
    gp_norm_op op = {.residual = s->residual,
                     .branch = s->branch,
                     .gamma = &p->gamma,
                     .beta = p->has_beta ? &p->beta : NULL,
                     .eps = (float)m->config.norm_eps,
                     .drop = branch_dropout(m, a, site),
                     .sum = s->branch ? &n->sum : NULL,
                     .y = &n->y,
                     .mean = &n->mean,
                     .rstd = &n->rstd};
    if (a->decode && !m->config.post_norm && !m->tracer.fn)
        a->pending_norm = op;
    else
        m->be->ops->norm_forward(m->be, &op);
    if (!site && !a->decode)
        m->be->ops->dropout(m->be, &n->y, embedding_dropout(m, a));
    if (m->config.post_norm)
        s->residual = &n->y;
    else if (s->branch)
        s->residual = &n->sum;
}

void gp_site_forward(gp_model *m, gp_acts *a, int64_t site, gp_stream *s)
{
    apply_site(m, a, site, s);
    if (site % 2 == 0)
        gp_trace_hidden(m, a, site / 2,
                        m->config.post_norm || last_site(m, site) ? &gp_acts_site(a, site)->y : s->residual);
}

/* The gradient of the last added branch. Without dropout it is that of the residual. */
static gp_tensor *branch_gradient(gp_model *m, gp_acts *a)
{
    return m->dropping && m->config.dropout_resid > 0 ? &a->dbranch : &a->dresidual;
}

/* From a->dx, the gradient of the site's output, and a->dresidual, that of the residual stream after it, which the last
 * site does not have. */
void gp_site_backward(gp_model *m, gp_acts *a, int64_t site)
{
    gp_norm_acts *n = gp_acts_site(a, site);
    gp_norm_params *p = &m->norm[site];
    bool last = last_site(m, site), post = m->config.post_norm;
    if (!site) { /* dropout is linear: of the sum of gradients, apply it to each */
        m->be->ops->dropout(m->be, &a->dx, embedding_dropout(m, a));
        if (post)
            m->be->ops->dropout(m->be, &a->dresidual, embedding_dropout(m, a));
    }
    m->be->ops->norm_backward(m->be, &(gp_norm_op){.residual = &n->sum,
                                                   .sum = site ? &n->sum : NULL,
                                                   .gamma = &p->gamma,
                                                   .eps = (float)m->config.norm_eps,
                                                   .drop = branch_dropout(m, a, site),
                                                   .mean = &n->mean,
                                                   .rstd = &n->rstd,
                                                   .dy = &a->dx,
                                                   .dy2 = !last && post ? &a->dresidual : NULL,
                                                   .dcarry = !last && !post ? &a->dresidual : NULL,
                                                   .dsum = &a->dresidual,
                                                   .dbranch = site ? branch_gradient(m, a) : NULL,
                                                   .dgamma = &p->dgamma,
                                                   .dbeta = p->has_beta ? &p->dbeta : NULL});
    gp_gradient_finished(m, gp_params_norm(&m->params, site, false));
    gp_gradient_finished(m, gp_params_norm(&m->params, site, true));
}

/* Rows [row, row + B) of one layer of the cache: (B,H,P,D). */
static gp_kv cache_layer(gp_model *m, int64_t layer, int64_t row, int64_t B)
{
    gp_kv kv = {m->cache.k, m->cache.v};
    gp_tensor *both[] = {&kv.k, &kv.v};
    for (int i = 0; i < 2; i++) {
        gp_tensor *t = both[i]; /* (L,B,H,P,D) */
        int64_t row_size = t->dim[2] * t->dim[3] * t->dim[4];
        int64_t at = (layer * t->dim[1] + row) * row_size;
        t->data = (char *)t->data + at * gp_dtype_size(t->dtype);
        t->ndim = 4;
        t->dim[0] = B;
        t->dim[1] = t->dim[2];
        t->dim[2] = t->dim[3];
        t->dim[3] = t->dim[4];
    }
    return kv;
}

/* The members that forward and backward have in common. */
static gp_attention_op attention_op(gp_model *m, gp_acts *a, gp_block_acts *b, int64_t layer)
{
    return (gp_attention_op){.heads = (int)m->config.heads,
                             .causal = m->config.causal,
                             .lengths = a->has_lengths ? a->lengths : NULL,
                             .drop = gp_model_dropout(m, a, m->config.dropout_attn, layer, GP_SITE_ATTENTION),
                             .qkv = &b->qkv,
                             .out = &b->context,
                             .lse = &b->lse,
                             .divisor = gp_model_divisor(m, layer)};
}

static void attend(gp_model *m, gp_acts *a, gp_block_acts *b, int64_t layer)
{
    if (a->cache_row >= 0) {
        gp_kv kv = cache_layer(m, layer, a->cache_row, a->B);
        m->be->ops->attention_cached(m->be,
                                     &(gp_attention_cached_op){.heads = (int)m->config.heads,
                                                               .positions = a->decode || a->start ? a->positions : NULL,
                                                               .qkv = &b->qkv,
                                                               .kv = &kv,
                                                               .out = &b->context,
                                                               .divisor = gp_model_divisor(m, layer)});
        return;
    }
    gp_attention_op op = attention_op(m, a, b, layer);
    m->be->ops->attention_forward(m->be, &op);
}

/* From the block's first norm to the last activation that backward reads: all but the MLP's second product. */
static void fill_block(gp_model *m, gp_acts *a, int64_t layer, gp_stream *s)
{
    gp_block *p = &m->block[layer];
    gp_block_acts *b = gp_acts_block(a, layer);

    gp_linear_apply(m, a, &p->qkv, &gp_acts_site(a, 2 * layer)->y, &b->qkv, GP_ACT_NONE, NULL);
    attend(m, a, b, layer);
    gp_linear_apply(m, a, &p->proj, &b->context, &a->branch, GP_ACT_NONE, NULL);
    s->branch = &a->branch;

    apply_site(m, a, 2 * layer + 1, s);
    gp_linear_apply(m, a, &p->fc, &gp_acts_site(a, 2 * layer + 1)->y, &b->h, m->config.activation,
                    a->train || m->tracer.fn ? &b->pre : NULL);
}

static void trace_norm(gp_model *m, gp_acts *a, int64_t site)
{
    gp_trace_output(m, gp_params_norm(&m->params, site, false), &gp_acts_site(a, site)->y);
}

void gp_block_forward(gp_model *m, gp_acts *a, int64_t layer, gp_stream *s)
{
    gp_block *p = &m->block[layer];
    gp_block_acts *b = gp_acts_block(a, layer);

    gp_site_forward(m, a, 2 * layer, s);
    fill_block(m, a, layer, s);
    if (m->tracer.fn) { /* branch is still the output of the projection */
        trace_norm(m, a, 2 * layer);
        gp_trace_output(m, p->qkv.row, &b->qkv);
        gp_trace_attention(m, a, layer);
        gp_trace_output(m, p->proj.row, &a->branch);
        trace_norm(m, a, 2 * layer + 1);
        gp_trace_output(m, p->fc.row, &b->pre);
        gp_trace(m, GP_TRACED_ACTIVATION, layer, &b->h);
    }
    gp_linear_apply(m, a, &p->out, &b->h, &a->branch, GP_ACT_NONE, NULL);
    if (m->tracer.fn)
        gp_trace_output(m, p->out.row, &a->branch);
}

/* The site's stored sum is residual + branch of the forward pass. From it everything is recomputed bit for bit: the ops
 * are the same, and dropout masks are a function of step, sample, layer and element. */
static gp_stream recompute_site(gp_model *m, gp_acts *a, int64_t site)
{
    gp_stream s = {.residual = &gp_acts_site(a, site)->sum};
    apply_site(m, a, site, &s);
    return s;
}

void gp_block_recompute(gp_model *m, gp_acts *a, int64_t layer)
{
    gp_block_acts *b = gp_acts_block(a, layer);
    if (a->recompute == GP_RECOMPUTE_NORMS) {
        recompute_site(m, a, 2 * layer);
        recompute_site(m, a, 2 * layer + 1);
        m->be->ops->act_forward(m->be, m->config.activation, &b->h, &b->pre);
    } else if (a->recompute == GP_RECOMPUTE_BLOCK && layer < m->config.layers - 1) { /* the last is still in memory */
        gp_stream s = recompute_site(m, a, 2 * layer);
        fill_block(m, a, layer, &s);
    }
}

void gp_block_backward(gp_model *m, gp_acts *a, int64_t layer)
{
    gp_block *p = &m->block[layer];
    gp_block_acts *b = gp_acts_block(a, layer);

    const gp_tensor *dbranch = branch_gradient(m, a);
    gp_linear_differentiate(m, &p->out, &b->h, dbranch, &a->dh, m->config.activation, &b->pre);
    gp_linear_differentiate(m, &p->fc, &gp_acts_site(a, 2 * layer + 1)->y, &a->dh, &a->dx, GP_ACT_NONE, NULL);
    gp_site_backward(m, a, 2 * layer + 1);

    gp_linear_differentiate(m, &p->proj, &b->context, dbranch, &a->dcontext, GP_ACT_NONE, NULL);
    gp_attention_op attention = attention_op(m, a, b, layer);
    attention.dout = &a->dcontext;
    attention.dqkv = &a->dqkv;
    m->be->ops->attention_backward(m->be, &attention);
    gp_linear_differentiate(m, &p->qkv, &gp_acts_site(a, 2 * layer)->y, &a->dqkv, &a->dx, GP_ACT_NONE, NULL);
    gp_site_backward(m, a, 2 * layer);
}
