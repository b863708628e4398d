/* embed.c: token, position and type embeddings; dropout as a separate op. */
#include "backend/ref/dropout.h"
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <string.h>

/* Element c of the token's row. */
static double token_at(const gp_embed_op *op, int64_t token, int64_t c)
{
    float block[GP_WEIGHT_BLOCK];
    int64_t C = op->wte->dim[1], first = c - c % GP_WEIGHT_BLOCK;
    if (!op->table)
        return parameter_at(op->wte, token * C + c);
    gp_weight_decode_part(op->table->format, gp_weight_row_at(op->table, token), C, first,
                          gp_min(GP_WEIGHT_BLOCK, C - first), block);
    return block[c - first];
}

/* y = dropout(wte[token] + wpe[position] + wtt[type])
 * y (B,T,C); wte (V,C), wpe (P,C), wtt (types,C). bf16: y is rounded; the tables are the parameters, in fp32 or,
 * without masters, in bf16. */
void gp_ref_embed_forward(gp_backend *be, const gp_embed_op *op)
{
    int64_t N = rows_of(op->y), T = rows_of_sample(op->y), C = columns_of(op->y);
    real *y = reals(op->y);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < N; n++) {
        int64_t token = op->tokens[n], position = op->positions[n], type = op->types ? op->types[n] : 0;
        BUG_ON(token < 0 || token >= op->wte->dim[0] || position < 0 || position >= op->wpe->dim[0]);
        BUG_ON(op->wtt && (type < 0 || type >= op->wtt->dim[0]));
        gp_mask mask = gp_mask_open(&op->drop, n / T);
        for (int64_t c = 0; c < C; c++) {
            double sum = token_at(op, token, c) + parameter_at(op->wpe, position * C + c);
            if (op->wtt)
                sum += parameter_at(op->wtt, type * C + c);
            y[n * C + c] = (real)stored(be, sum * gp_mask_at(&mask, n % T * C + c));
        }
    }
}

/* grad[ids[n]] += dropout'(dy[n]) for every n in order, without row `pad`; ids NULL: all 0.
 *
 * The first n with a given id sums all contributions to that row, so that no two threads write to the same row. The
 * search compares up to N^2 integers, which is negligible compared with a step's products. */
static void add_rows_by_id(gp_backend *be, const gp_embed_op *op, const int32_t *ids, int32_t pad, gp_tensor *grad)
{
    int64_t N = rows_of(op->dy), T = rows_of_sample(op->dy), C = columns_of(op->dy);
    const real *dy = reals(op->dy);
    real *g = reals(grad);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t first = 0; first < N; first++) {
        int32_t id = ids ? ids[first] : 0;
        int64_t n = 0;
        while (n < first && (ids ? ids[n] : 0) != id)
            n++;
        if (n < first || id == pad)
            continue;
        BUG_ON(id < 0 || id >= grad->dim[0]);
        double *sum = thread_scratch(be, (size_t)C * sizeof *sum);
        memset(sum, 0, (size_t)C * sizeof *sum);
        for (; n < N; n++) {
            if ((ids ? ids[n] : 0) != id)
                continue;
            gp_mask mask = gp_mask_open(&op->drop, n / T);
            for (int64_t c = 0; c < C; c++)
                sum[c] += (double)dy[n * C + c] * gp_mask_at(&mask, n % T * C + c);
        }
        for (int64_t c = 0; c < C; c++)
            g[id * C + c] = (real)(g[id * C + c] + sum[c]);
    }
}

size_t gp_ref_embed_scratch(const gp_shape *shape)
{
    return shape->train ? (size_t)shape->C * sizeof(double) : 0;
}

/* dwte, dwpe, dwtt += dropout'(dy), row by row; dy (B,T,C) */
void gp_ref_embed_backward(gp_backend *be, const gp_embed_op *op)
{
    add_rows_by_id(be, op, op->tokens, op->pad_token, op->dwte);
    add_rows_by_id(be, op, op->positions, op->pad_position, op->dwpe);
    if (op->dwtt)
        add_rows_by_id(be, op, op->types, -1, op->dwtt);
}

/* x = dropout(x) in place; x (B,T,C). Applied to a gradient it is its own backward. bf16: x is rounded. */
void gp_ref_dropout(gp_backend *be, gp_tensor *x, gp_dropout drop)
{
    int64_t N = rows_of(x), T = rows_of_sample(x), C = columns_of(x);
    real *v = reals(x);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < N; n++) {
        gp_mask mask = gp_mask_open(&drop, n / T);
        for (int64_t c = 0; c < C; c++)
            v[n * C + c] = (real)stored(be, v[n * C + c] * gp_mask_at(&mask, n % T * C + c));
    }
}
