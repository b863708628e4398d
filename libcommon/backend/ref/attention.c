/* attention.c: softmax(q k^T / divisor + mask) v, a row of scores at a time. */
#include "backend/ref/dropout.h"
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <math.h>
#include <string.h>

/* Scratch of a thread in forward and over the cache: a row of T scores, and one output. */
static size_t row_bytes(int64_t T, int64_t D)
{
    return (size_t)(T + D) * sizeof(double);
}

/* In backward: three such rows, the gradient of one query, and those of all keys and values of a head. */
static size_t head_grads_bytes(int64_t T, int64_t D)
{
    return (size_t)(3 * T + D + 2 * T * D) * sizeof(double);
}

size_t gp_ref_attention_scratch(const gp_shape *shape)
{
    int64_t T = shape->T, D = shape->C / shape->H;
    size_t row = row_bytes(gp_max(T, shape->cache), D);
    return shape->train ? larger_size(row, head_grads_bytes(T, D)) : row;
}

/* p[k] = exp(s[k] - max) for the scores s[k] = (q . key k) / divisor, k = 0..count-1; key k is the D numbers at keys +
 * k * stride. Returns their sum, by which they are divided to give probabilities; *lse = log sum exp of the scores. */
static double exp_row(const real *q, const real *keys, int64_t stride, int64_t count, int64_t D, double divisor,
                      double *p, double *lse)
{
    double scale = 1 / divisor, max = -INFINITY, sum = 0;
    for (int64_t k = 0; k < count; k++) {
        p[k] = scale * dot(q, keys + k * stride, D);
        max = fmax(max, p[k]);
    }
    for (int64_t k = 0; k < count; k++)
        sum += p[k] = exp(p[k] - max);
    *lse = count ? max + log(sum) : -INFINITY;
    return sum;
}

/* out = (sum over k of p[k] value k) / total, or 0 if no key is visible; `sum` (D) is scratch. */
static void weigh_values(const gp_backend *be, const double *p, double total, const real *values, int64_t stride,
                         int64_t count, int64_t D, double *sum, real *out)
{
    memset(sum, 0, (size_t)D * sizeof *sum);
    for (int64_t k = 0; k < count; k++)
        for (int64_t d = 0; d < D; d++)
            sum[d] += p[k] * values[k * stride + d];
    for (int64_t d = 0; d < D; d++)
        out[d] = count ? (real)stored(be, sum[d] / total) : 0;
}

/* The number of keys visible to query q of row b. */
static int64_t visible(const gp_attention_op *op, int64_t b, int64_t q, int64_t T)
{
    int64_t count = op->causal ? q + 1 : T;
    return op->lengths ? gp_min(count, op->lengths[b]) : count;
}

/* out[b,q,h] = sum over visible k of dropout(p[k]) v[b,k,h],  p = softmax(q . k / divisor)
 * qkv (B,T,3C) of rows [q | k | v], each H x D; out (B,T,C); lse (B,H,T)
 * bf16: exp(s - max), times dropout's factor, is rounded where it multiplies values, but not in the sum for the
 * division and lse; out is rounded. */
void gp_ref_attention_forward(gp_backend *be, const gp_attention_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], C = op->qkv->dim[2] / 3, H = op->heads, D = C / H;
    const real *qkv = reals(op->qkv);
    real *out = reals(op->out), *lse = reals(op->lse);
    BUG_ON(H * D != C || gp_tensor_count(op->out) != B * T * C);
#pragma omp parallel for schedule(static, 1) num_threads(be->threads)
    for (int64_t i = 0; i < B * H * T; i++) { /* dealt to threads in turn, because causal rows grow longer */
        int64_t b = i / (H * T), h = i / T % H, q = i % T, count = visible(op, b, q, T);
        const real *row = qkv + b * T * 3 * C + h * D;
        double *p = thread_scratch(be, row_bytes(T, D)), l;
        double divisor = gp_scores_divisor(op->divisor, D);
        double total = exp_row(row + q * 3 * C, row + C, 3 * C, count, D, divisor, p, &l);
        gp_mask mask = gp_mask_open(&op->drop, b);
        for (int64_t k = 0; k < count; k++)
            p[k] = stored(be, p[k] * gp_mask_at(&mask, (h * T + q) * T + k));
        weigh_values(be, p, total, row + 2 * C, 3 * C, count, D, p + T, out + (b * T + q) * C + h * D);
        if (lse)
            lse[i] = (real)l;
    }
}

/* A thread's scratch in backward, for one head of one sample. */
typedef struct head_grads {
    double *p, *m, *dp; /* (T) probabilities, dropout factors, gradients of probabilities, of one query */
    double *dq;         /* (D) of that query */
    double *dk, *dv;    /* (T,D) summed over queries */
} head_grads;

/* The contributions of one query. With s = q . k / divisor, p = exp(s - lse), out = sum m p v:
 *   dv[k] += m p dout,  dp[k] = m (dout . v[k]),  ds[k] = p (dp[k] - dout . out),      dout . out = sum of p dp
 *   dq = sum ds k / divisor,  dk[k] += ds q / divisor
 * bf16: m p and ds are rounded before they multiply dout, keys and queries. */
static void backward_row(const gp_backend *be, const gp_attention_op *op, head_grads *g, int64_t b, int64_t h,
                         int64_t q)
{
    int64_t T = op->qkv->dim[1], C = op->qkv->dim[2] / 3, D = C / op->heads, count = visible(op, b, q, T);
    const real *query = reals(op->qkv) + (b * T + q) * 3 * C + h * D;
    const real *keys = reals(op->qkv) + b * T * 3 * C + C + h * D, *values = keys + C;
    const real *dout = reals(op->dout) + (b * T + q) * C + h * D, *out = reals(op->out) + (b * T + q) * C + h * D;
    double scale = 1 / gp_scores_divisor(op->divisor, D), lse = reals(op->lse)[(b * op->heads + h) * T + q];
    double along = dot(dout, out, D);
    gp_mask mask = gp_mask_open(&op->drop, b);
    for (int64_t k = 0; k < count; k++) {
        /* at most 1: lse is stored in fp32, which is inexact for scores of a million */
        g->p[k] = fmin(1, exp(scale * dot(query, keys + k * 3 * C, D) - lse));
        g->m[k] = gp_mask_at(&mask, (h * T + q) * T + k);
        g->dp[k] = g->m[k] * dot(dout, values + k * 3 * C, D);
    }
    memset(g->dq, 0, (size_t)D * sizeof *g->dq);
    for (int64_t k = 0; k < count; k++) {
        double ds = scale * stored(be, g->p[k] * (g->dp[k] - along)), mp = stored(be, g->m[k] * g->p[k]);
        for (int64_t d = 0; d < D; d++) {
            g->dq[d] += ds * keys[k * 3 * C + d];
            g->dk[k * D + d] += ds * query[d];
            g->dv[k * D + d] += mp * dout[d];
        }
    }
    real *dquery = reals(op->dqkv) + (b * T + q) * 3 * C + h * D;
    for (int64_t d = 0; d < D; d++)
        dquery[d] = (real)stored(be, g->dq[d]);
}

/* dqkv (B,T,3C) from dout and out (B,T,C), qkv and lse. A thread computes a whole head of a sample, query after query.
 * bf16: dqkv is rounded. */
void gp_ref_attention_backward(gp_backend *be, const gp_attention_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], C = op->qkv->dim[2] / 3, H = op->heads, D = C / H;
    real *dqkv = reals(op->dqkv);
    BUG_ON(H * D != C || gp_tensor_count(op->dout) != B * T * C || !op->lse);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < B * H; i++) {
        int64_t b = i / H, h = i % H;
        double *s = thread_scratch(be, head_grads_bytes(T, D));
        head_grads g = {s, s + T, s + 2 * T, s + 3 * T, s + 3 * T + D, s + 3 * T + D + T * D};
        memset(g.dk, 0, (size_t)(2 * T * D) * sizeof *s);
        for (int64_t q = 0; q < T; q++)
            backward_row(be, op, &g, b, h, q);
        for (int64_t t = 0; t < T; t++) {
            real *dk = dqkv + (b * T + t) * 3 * C + C + h * D, *dv = dk + C;
            for (int64_t d = 0; d < D; d++) {
                dk[d] = (real)stored(be, g.dk[t * D + d]);
                dv[d] = (real)stored(be, g.dv[t * D + d]);
            }
        }
    }
}

static void cache_numbers(const gp_backend *be, const real *from, int64_t D, real *to)
{
    for (int64_t d = 0; d < D; d++)
        to[d] = be->rounds_cache ? (real)rounded(from[d]) : from[d];
}

/* Stores k and v of qkv's T rows in the cache, each at its position. */
static void fill_cache(gp_backend *be, const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], C = columns_of(op->qkv) / 3, H = op->heads, D = C / H;
    int64_t P = op->kv->k.dim[2];
    const real *qkv = reals(op->qkv);
    real *k = reals(&op->kv->k), *v = reals(&op->kv->v);
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t n = 0; n < B * T; n++) {
        int64_t position = op->positions ? op->positions[n] : n % T;
        BUG_ON(position < 0 || position >= P);
        for (int64_t h = 0; h < H; h++) {
            int64_t to = ((n / T * H + h) * P + position) * D;
            cache_numbers(be, qkv + n * 3 * C + C + h * D, D, k + to);
            cache_numbers(be, qkv + n * 3 * C + 2 * C + h * D, D, v + to);
        }
    }
}

/* out[b,t,h] = softmax(q . k / divisor) v over k = 0..positions[b,t] of the cache, which has the new keys and values.
 * The sums are in the same order as in forward, and have the same bits.
 * bf16: out is rounded; with positions nothing else is, because a GPU does not use tensor cores there. */
void gp_ref_attention_cached(gp_backend *be, const gp_attention_cached_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], C = columns_of(op->qkv) / 3, H = op->heads, D = C / H;
    int64_t P = op->kv->k.dim[2];
    const real *qkv = reals(op->qkv), *k = reals(&op->kv->k), *v = reals(&op->kv->v);
    real *out = reals(op->out);
    BUG_ON(H * D != C || op->kv->k.dim[1] != H || op->kv->k.dim[3] != D || op->kv->k.dim[0] < B);
    fill_cache(be, op);
    if (!op->positions) {
        gp_ref_attention_forward(
            be, &(gp_attention_op){
                    .heads = op->heads, .causal = true, .qkv = op->qkv, .out = op->out, .divisor = op->divisor});
        return;
    }
#pragma omp parallel for schedule(static) num_threads(be->threads)
    for (int64_t i = 0; i < B * T * H; i++) {
        int64_t n = i / H, h = i % H, count = op->positions[n] + 1, head = (n / T * H + h) * P * D;
        double *p = thread_scratch(be, row_bytes(P, D)), lse;
        double total =
            exp_row(qkv + n * 3 * C + h * D, k + head, D, count, D, gp_scores_divisor(op->divisor, D), p, &lse);
        weigh_values(be, p, total, v + head, D, count, D, p + P, out + n * C + h * D);
    }
}
