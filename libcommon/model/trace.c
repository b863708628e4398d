/* trace.c: hands every intermediate tensor to whoever asked, under the names of transformers' modules. */
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void hand_over(gp_model *m, const char *name, gp_tensor t, float *host)
{
    t.data = host;
    t.dtype = GP_F32;
    m->trace(m->trace_self, name, &t);
}

/* A fresh fp32 copy on the host. */
static float *fetch(gp_model *m, const gp_tensor *t)
{
    int64_t n = gp_tensor_count(t);
    void *raw = gp_malloc((size_t)gp_tensor_bytes(t));
    float *host = gp_malloc((size_t)n * sizeof *host);
    m->be->ops->download(m->be, raw, t->data, (size_t)gp_tensor_bytes(t));
    gp_to_f32(host, raw, t->dtype, n);
    free(raw);
    return host;
}

void gp_trace_named(gp_model *m, const char *name, const gp_tensor *t)
{
    if (!m->trace)
        return;
    float *host = fetch(m, t);
    hand_over(m, name, *t, host);
    free(host);
}

void gp_trace_hidden(gp_model *m, int64_t layer, const gp_tensor *t)
{
    char name[32];
    snprintf(name, sizeof name, "hidden.%lld", (long long)layer);
    gp_trace_named(m, name, t);
}

/* The output of the module that a weight belongs to: its name without ".weight". A weight in several pieces
 * (BERT's query, key and value) gives as many outputs. */
void gp_trace_module(gp_model *m, const gp_param *weight, const gp_tensor *t)
{
    if (!m->trace)
        return;
    float *host = fetch(m, t);
    int64_t width = t->dim[t->ndim - 1], rows = gp_tensor_count(t) / width;
    for (int i = 0; i < weight->pieces; i++) {
        const gp_piece *piece = &weight->piece[i];
        char name[sizeof piece->name];
        snprintf(name, sizeof name, "%s", piece->name);
        *strrchr(name, '.') = 0;
        gp_tensor part = *t;
        part.dim[t->ndim - 1] = weight->ndim == 2 ? piece->columns : width;
        int64_t columns = part.dim[t->ndim - 1];
        float *out = gp_malloc((size_t)(rows * columns) * sizeof *out);
        for (int64_t r = 0; r < rows; r++)
            memcpy(out + r * columns, host + r * width + piece->first, (size_t)columns * sizeof *out);
        hand_over(m, name, part, out);
        free(out);
    }
    free(host);
}

void gp_trace_activation(gp_model *m, int64_t layer, const gp_tensor *h)
{
    static const char *const format[] = {"transformer.h.%lld.mlp.act", "bert.encoder.layer.%lld.intermediate",
                                         "roberta.encoder.layer.%lld.intermediate"};
    char name[64];
    snprintf(name, sizeof name, format[m->config.family], (long long)layer);
    gp_trace_named(m, name, h);
}

/* p[q][k] = exp(q.k / divisor - lse[q]): no op keeps the probabilities, so they are made again here. */
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
    char name[32];
    int64_t B = a->B, T = a->T, H = m->config.heads;
    float *qkv = fetch(m, &b->qkv), *lse = fetch(m, &b->lse);
    int32_t *lengths = gp_calloc((size_t)B, sizeof *lengths);
    if (a->has_lengths)
        m->be->ops->download(m->be, lengths, a->lengths, (size_t)B * sizeof *lengths);
    float *p = gp_malloc((size_t)(B * H * T * T) * sizeof *p);
    probabilities(m, qkv, lse, a->has_lengths ? lengths : NULL, B, T, gp_model_divisor(m, layer), p);
    gp_tensor t = {.ndim = 4, .dim = {B, H, T, T}};
    snprintf(name, sizeof name, "attentions.%lld", (long long)layer);
    hand_over(m, name, t, p);
    free(qkv);
    free(lse);
    free(lengths);
    free(p);
}

/* attentions.N: (B,H,T,T) as transformers' output_attentions numbers them; context.N: (B,T,C), what the
 * output projection reads. */
void gp_trace_attention(gp_model *m, const gp_acts *a, int64_t layer)
{
    const gp_block_acts *b = gp_acts_block((gp_acts *)(uintptr_t)a, layer);
    char name[32];
    if (!m->trace || a->decode)
        return;
    if (!m->trace_is_brief)
        trace_probabilities(m, a, b, layer);
    snprintf(name, sizeof name, "context.%lld", (long long)layer);
    gp_trace_named(m, name, &b->context);
}
