/* flops.c: what a token costs: parameters, FLOPs, bytes read by decoding. */
#include "model/model.h"

int64_t gp_config_parameters(const gp_config *c)
{
    gp_params params;
    gp_params_list(&params, c);
    int64_t n = params.parameters;
    gp_params_release(&params);
    return n;
}

double gp_config_flops(const gp_config *c, int64_t T)
{
    double C = (double)c->channels, inner = (double)c->inner;
    double block = C * 3 * C + C * C + 2 * C * inner; /* qkv, projection, MLP: multiply-adds a token */
    double attention = 2 * C * (double)T;             /* q k^T and p v */
    const double heads[] = {[GP_HEAD_LM] = C * (double)c->vocab_size,
                            [GP_HEAD_MLM] = C * (double)c->vocab_size + C * C,
                            [GP_HEAD_NONE] = 0,
                            /* one row of the T tokens; 0: the least of a long text */
                            [GP_HEAD_CLASSIFY] =
                                T ? (C * (double)c->labels + (c->head_dense ? C * C : 0)) / (double)T : 0};
    return 2 * ((double)c->layers * (block + attention) + heads[c->head]);
}

double gp_config_flops_masked(const gp_config *c, int64_t T, double fraction)
{
    double head = (double)c->channels * (double)(c->vocab_size + c->channels);
    return gp_config_flops(c, T) - (c->head == GP_HEAD_MLM ? 2 * (1 - fraction) * head : 0);
}

/* Of a row as a token reads it: all of it, unless it is a table of which it reads a row. */
static double row_bytes(const gp_model *m, const gp_param *row)
{
    bool matrix = row->ndim == 2, transposed = row->role == GP_WTE || row->role == GP_HEAD_W;
    if (row->role == GP_WPE || (row->role == GP_WTE && !m->config.tied))
        return 0;
    if (!matrix || row->format == GP_WEIGHTS_FP32)
        return (double)row->count * gp_dtype_size(m->be->act_dtype);
    return (double)row->dim[transposed ? 0 : 1] *
           (double)gp_weight_row_bytes(row->format, row->dim[transposed ? 1 : 0]);
}

double gp_model_decode_bytes(const gp_model *m, int64_t read)
{
    const gp_config *c = &m->config;
    double bytes = 2 * (double)(c->layers * c->channels * read) * gp_dtype_size(m->be->cache_dtype); /* keys, values */
    for (int i = 0; i < m->params.count; i++)
        bytes += row_bytes(m, &m->params.rows[i]);
    return bytes;
}
