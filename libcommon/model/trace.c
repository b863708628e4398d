/* trace.c: passes every intermediate tensor to the model's tracer. */
#include "model/config.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void call_tracer(gp_model *m, const gp_traced *what, gp_tensor t, float *host)
{
    t.data = host;
    t.dtype = GP_F32;
    m->tracer.fn(m->tracer.self, what, &t);
}

/* An fp32 copy on the host. The caller frees. */
static float *fetch(gp_model *m, const gp_tensor *t)
{
    float *host = gp_malloc((size_t)gp_tensor_count(t) * sizeof *host);
    gp_model_download(m, t, host);
    return host;
}

static void trace(gp_model *m, const gp_traced *what, const gp_tensor *t)
{
    if (!m->tracer.fn)
        return;
    float *host = fetch(m, t);
    call_tracer(m, what, *t, host);
    free(host);
}

void gp_trace(gp_model *m, gp_traced_kind kind, int64_t layer, const gp_tensor *t)
{
    trace(m, &(gp_traced){.kind = kind, .layer = layer}, t);
}

void gp_trace_output(gp_model *m, const gp_param *weight, const gp_tensor *t)
{
    trace(m, &(gp_traced){.kind = GP_TRACED_OUTPUT, .row = weight}, t);
}

const char *gp_traced_name(const gp_traced *what, char text[GP_PARAM_NAME])
{
    static const char *const patterns[] = {
        [GP_TRACED_HIDDEN] = "hidden.%lld",   [GP_TRACED_ATTENTION] = "attentions.%lld",
        [GP_TRACED_CONTEXT] = "context.%lld", [GP_TRACED_ACTIVATION] = "layer.%lld.activation",
        [GP_TRACED_LENS] = "lens.%lld",       [GP_TRACED_LOGITS] = "logits",
    };
    if (what->kind == GP_TRACED_OUTPUT)
        *strrchr(gp_param_name(what->row, text), '.') = 0; /* .weight */
    else
        snprintf(text, GP_PARAM_NAME, patterns[what->kind], (long long)what->layer);
    return text;
}

/* logits = head(norm(hidden)), the last norm of a pre-norm model; a post-norm model has no such norm. This is the logit
 * lens of nostalgebraist (2020). */
static void trace_lens(gp_model *m, gp_acts *a, int64_t layer, const gp_tensor *hidden)
{
    const gp_backend_ops *ops = m->be->ops;
    const gp_norm_params *p = &m->norm[2 * m->config.layers];
    gp_tracer tracer = m->tracer;
    int64_t N = a->B * a->T, V = m->head.w.w.dim[0];
    gp_tensor y = *hidden, mean = {.dtype = GP_F32, .ndim = 1, .dim = {N}}, rstd = mean;
    gp_tensor logits = {.dtype = GP_F32, .ndim = 3, .dim = {a->B, a->T, V}};
    gp_tensor *all[] = {&y, &mean, &rstd, &logits};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        all[i]->data = ops->alloc(m->be, (size_t)gp_tensor_bytes(all[i]));
    float *host = gp_malloc((size_t)gp_tensor_bytes(&logits));
    if (!m->config.post_norm)
        ops->norm_forward(m->be, &(gp_norm_op){.residual = hidden,
                                               .gamma = &p->gamma,
                                               .beta = p->has_beta ? &p->beta : NULL,
                                               .eps = (float)m->config.norm_eps,
                                               .y = &y,
                                               .mean = &mean,
                                               .rstd = &rstd});
    m->tracer = (gp_tracer){0}; /* the head's own tensors are those of the last layer */
    gp_model_head_rows(m, gp_head_forward(m, a, m->config.post_norm ? hidden : &y), &logits, host);
    m->tracer = tracer;
    call_tracer(m, &(gp_traced){.kind = GP_TRACED_LENS, .layer = layer}, logits, host);
    free(host);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ops->free(m->be, all[i]->data, (size_t)gp_tensor_bytes(all[i]));
}

void gp_trace_hidden(gp_model *m, gp_acts *a, int64_t layer, const gp_tensor *t)
{
    gp_trace(m, GP_TRACED_HIDDEN, layer, t);
    if (m->tracer.fn && m->tracer.lens && layer < m->config.layers && gp_config_predicts_tokens(&m->config))
        trace_lens(m, a, layer, t);
}

/* p[q][k] = exp(q.k / divisor - lse[q]), computed here because no op stores the probabilities. */
static void probabilities(const gp_model *m, const float *qkv, const float *lse, const int32_t *lengths, int64_t B,
                          int64_t T, double divisor, float *p)
{
    int64_t H = m->config.heads, C = m->config.channels, D = C / H;
    double scale = 1 / gp_scores_divisor(divisor, D);
    for (int64_t row = 0; row < B * H * T; row++) {
        int64_t b = row / (H * T), h = row / T % H, q = row % T;
        const float *query = qkv + (b * T + q) * 3 * C + h * D;
        for (int64_t k = 0; k < T; k++) {
            const float *key = qkv + (b * T + k) * 3 * C + C + h * D;
            bool masked = (m->config.causal && k > q) || (lengths && k >= lengths[b]);
            double dot = 0;
            for (int64_t i = 0; i < D; i++)
                dot += (double)query[i] * key[i];
            p[row * T + k] = masked ? 0 : (float)exp(scale * dot - lse[row]);
        }
    }
}

static void trace_probabilities(gp_model *m, const gp_acts *a, const gp_block_acts *b, int64_t layer)
{
    int64_t B = a->B, T = a->T, H = m->config.heads;
    float *qkv = fetch(m, &b->qkv), *lse = fetch(m, &b->lse);
    int32_t *lengths = gp_calloc((size_t)B, sizeof *lengths);
    if (a->has_lengths)
        m->be->ops->download(m->be, lengths, a->lengths, (size_t)B * sizeof *lengths);
    float *p = gp_malloc((size_t)(B * H * T * T) * sizeof *p);
    probabilities(m, qkv, lse, a->has_lengths ? lengths : NULL, B, T, gp_model_divisor(m, layer), p);
    gp_tensor t = {.ndim = 4, .dim = {B, H, T, T}};
    call_tracer(m, &(gp_traced){.kind = GP_TRACED_ATTENTION, .layer = layer}, t, p);
    free(qkv);
    free(lse);
    free(lengths);
    free(p);
}

void gp_trace_attention(gp_model *m, gp_acts *a, int64_t layer)
{
    const gp_block_acts *b = gp_acts_block(a, layer);
    if (!m->tracer.fn || a->cache_row >= 0)
        return;
    if (!m->tracer.brief)
        trace_probabilities(m, a, b, layer);
    gp_trace(m, GP_TRACED_CONTEXT, layer, &b->context);
}

void gp_model_observe(gp_model *m, const gp_tracer *tracer, gp_grad_ready_fn *grad_ready, void *self)
{
    m->tracer = tracer ? *tracer : (gp_tracer){0};
    m->grad_ready = grad_ready;
    m->grad_ready_self = self;
}

int gp_model_trace(gp_model *m, const gp_batch *batch, float *logits, const gp_tracer *tracer)
{
    m->tracer = *tracer;
    int rc = gp_model_outputs(m, batch, logits);
    m->tracer = (gp_tracer){0};
    return rc;
}
