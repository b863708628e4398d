/* backend.h: the table of functions through which the model uses a backend.
 *
 * Every op takes one struct of named fields, which serves its forward and its backward and documents which fields each
 * reads and writes. Rules for all ops:
 *
 *   - Activation gradients are written (=); parameter gradients are fp32 and accumulate (+=), but for dw with first_dw.
 *   - Optional tensors are NULL. Shapes are in the comments of the fields; an op may BUG_ON a wrong one.
 *   - An op allocates nothing. Scratch memory comes from be->workspace, whose size the backend returned from `plan`.
 *   - Deterministic: the same inputs and thread count give the same bits. No atomics on floats, partial sums are added
 *     in a fixed order.
 *   - What changes from step to step is read through `const gp_step *`, so that a step can be recorded once.
 *   - Ops may be asynchronous, and run in the order in which they were issued. The host waits by download, sync, or a
 *     mark.
 *
 * Letters: B batch, T sequence, C channels, H heads, D = C/H, V vocabulary, P positions, N = B*T rows, I, O in, out. */
#ifndef GP_BACKEND_BACKEND_H
#define GP_BACKEND_BACKEND_H

#include <math.h>
#include <stddef.h>

#include "backend/product_choice.h"
#include "backend/weight.h"
#include "base/arena.h"
#include "base/base.h"
#include "gptpipe/activation.h"
#include "gptpipe/backend.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All that changes every step, in the backend's memory. The host writes the first group before a step and reads the
 * rest after it, possibly after later steps were issued: so `skip` is sticky until the host clears it, and after a step
 * with non-finite numbers nothing is updated. */
typedef struct gp_step {
    uint64_t seed;      /* dropout's key */
    uint32_t step;      /* dropout's counter: the optimizer step, from 0 */
    uint32_t sample0;   /* index in the global batch of this micro-batch's first row */
    float lr;           /* this step's learning rate */
    float bias1, bias2; /* 1 - beta1^t, 1 - beta2^t, t from 1 */
    /* 1 / number (or sum of class weights) of counted targets in the whole step, over micro-batches and ranks */
    float scale;
    float max_norm; /* clip gradients to this global norm; <= 0: no clipping */

    double loss; /* += scale * sum of counted losses, by head_loss; the host zeroes it before a step */

    float grad_norm;  /* = by grad_norm: ||g|| over all gradients */
    float clip_scale; /* = by grad_norm: min(1, max_norm / (grad_norm + 1e-6)), or 1 */
    int32_t skip;     /* set to 1 by grad_norm if loss or norm is not finite; adamw then changes nothing */
} gp_step;

/* Bytes of the first group. */
#define GP_STEP_REQUESTED offsetof(gp_step, grad_norm)

/* Dropout by Philox: key = step->seed; counter = (element / 4, sample, site, step), where element counts
 * within one sample (t * C + c; in attention (h * T + q) * T + k) and picks word element % 4;
 * kept if gp_uniform(word) >= p, then scaled by 1 / (1 - p). step NULL or p 0: no dropout.
 *
 * The counter's words have 32 bits: a mask repeats within a sample from element 2^34 on (attention's where H T T
 * reaches it, T = 26,000 with 25 heads), and from sample to sample of a step after 2^32 of them. */
typedef struct gp_dropout {
    float p;
    uint32_t site; /* layer * GP_SITES + which, unique in the model */
    const gp_step *step;
} gp_dropout;

static inline bool gp_drops(const gp_dropout *d)
{
    return d->step && d->p > 0;
}

/* y = dropout(wte[token] + wpe[position] + wtt[type])
 * backward: the three gradients += dropout'(dy), without the rows pad_token and pad_position
 * (transformers' padding_idx). Deterministic: a row's contributions are added in order of n. */
typedef struct gp_embed_op {
    const int32_t *tokens;           /* (B,T) */
    const int32_t *positions;        /* (B,T) rows of wpe */
    const int32_t *types;            /* (B,T) rows of wtt; NULL: all 0 */
    int32_t pad_token, pad_position; /* -1: none */
    gp_dropout drop;
    const gp_tensor *wte, *wpe, *wtt; /* (V,C), (P,C), (types,C) or NULL */
    const gp_weight *table;           /* wte, where that is stored in a weight format; NULL: it is not */
    gp_tensor *y;                     /* (B,T,C) forward; the tables in fp32, or all in bf16 (be->stores_bf16) */
    const gp_tensor *dy;              /* (B,T,C) backward */
    gp_tensor *dwte, *dwpe, *dwtt;    /* += */
} gp_embed_op;

/* y[n] = x[rows[n]], zeros where rows[n] is -1
 * backward: dx[rows[n]] = dy[n], zeros in rows that are not selected; no row may then be selected twice. */
typedef struct gp_select_op {
    const gp_tensor *x;  /* (...,C), seen as (N,C): activations */
    const int32_t *rows; /* (n) rows of x, or -1 */
    gp_tensor *y;        /* (n,C) = forward */
    const gp_tensor *dy; /* (n,C) backward */
    gp_tensor *dx;       /* = (...,C), seen as (N,C) */
} gp_select_op;

/* sum = residual + dropout(branch);  y = (sum - mean) * rstd * gamma + beta
 * Ba, Kiros & Hinton 2016; rstd = 1 / sqrt(var + eps), var the mean square deviation.
 * backward: dsum = dcarry + norm'(dy + dy2);  dbranch = dropout'(dsum).
 * dcarry is the gradient of `sum` from later readers (pre-norm's residual stream), dy2 a second gradient of
 * y (post-norm's residual stream); both may be NULL. dsum may be the same memory as dcarry or dy2; dbranch
 * may be NULL when there is no branch, and may be the same memory as dsum when there is no dropout. */
typedef struct gp_norm_op {
    const gp_tensor *residual, *branch; /* (B,T,C); branch may be NULL */
    const gp_tensor *gamma, *beta;      /* (C); beta may be NULL */
    float eps;
    gp_dropout drop;
    gp_tensor *sum, *y;                 /* (B,T,C) forward: written. sum may be NULL when branch is (it is residual) */
    gp_tensor *mean, *rstd;             /* (N) forward: written; backward: read */
    const gp_tensor *dy, *dy2, *dcarry; /* backward; it reads `sum` (or residual when sum is NULL) too */
    gp_tensor *dsum, *dbranch;          /* = */
    gp_tensor *dgamma, *dbeta;          /* += ; dbeta may be NULL */
} gp_norm_op;

/* Up to this many rows and channels, cuda computes a norm that decoding reads in the kernel of the product; count.c
 * counts kernels by it. */
enum { GP_NORM_IN_PRODUCT_ROWS = 8, GP_NORM_IN_PRODUCT_CHANNELS = 2048 };

/* y = act(x W + bias)
 * forward: `pre` receives x W + bias when it is not NULL (training needs it to differentiate act).
 * backward, given dy = the gradient of x W + bias (act is the next linear's business, see below):
 *   dx = dy W^T, times in_act'(in_pre) when in_act is not NONE: x was in_act(in_pre);  dW += x^T dy;
 *   dbias += column sums of dy. dx may be NULL, and so may dw with dbias. */
typedef struct gp_linear_op {
    const gp_tensor *x; /* (...,I), seen as (N,I) */
    /* linear_decode: x is its y, computed first, without mean and rstd, and need not be stored; NULL: x is given */
    const gp_norm_op *norm;
    gp_weight *w;          /* (I,O) */
    const gp_tensor *bias; /* (O) or NULL */
    gp_act act;
    gp_tensor *y, *pre;  /* (...,O) forward */
    const gp_tensor *dy; /* (...,O) backward */
    gp_tensor *dx;       /* = (...,I) */
    gp_act in_act;
    const gp_tensor *in_pre; /* (...,I) */
    gp_tensor *dw, *dbias;   /* += */
    bool first_dw;           /* dw =, whatever it was */
} gp_linear_op;

/* A KV cache of one layer: k and v (B,H,P,D), row b filled up to some position. */
typedef struct gp_kv {
    gp_tensor k, v;
} gp_kv;

/* The divisor of attention scores: sqrt(D), or the model's own. */
static inline double gp_scores_divisor(double divisor, int64_t D)
{
    return divisor > 0 ? divisor : sqrt((double)D);
}

/* out = softmax(q k^T / divisor + mask) v, head by head; qkv rows are [q | k | v], each H x D.
 * (Vaswani et al. 2017; computed and differentiated without a T x T matrix in memory, Dao et al. 2022.)
 * Dropout acts on the probabilities. lse = log sum exp of each row of scores, natural logarithm.
 * backward: dqkv from dout, qkv, out, lse. */
typedef struct gp_attention_op {
    int heads;
    bool causal;
    const int32_t *lengths; /* (B) keys at t >= length are masked; NULL: all T count */
    gp_dropout drop;
    const gp_tensor *qkv;  /* (B,T,3C) */
    gp_tensor *out;        /* (B,T,C) = forward, read by backward */
    gp_tensor *lse;        /* (B,H,T) = forward, read by backward; NULL when only inferring */
    const gp_tensor *dout; /* (B,T,C) */
    gp_tensor *dqkv;       /* = (B,T,3C) */
    double divisor;        /* of the scores; 0: sqrt(D) */
} gp_attention_op;

/* T >= 1 new tokens per row against its cache: a prompt, the continuation of one, drafted tokens, the next token.
 * Stores k and v of qkv[b,t] at positions[b,t] of row b; query t attends over the cache's 0..positions[b,t].
 *
 * With positions, the order of a query's sums depends on its position alone, not on T, on t or on other rows: a text
 * has the same bits however it was divided into calls. A prompt (positions NULL) has the order of attention_forward,
 * which is faster over many tokens and differs in the last bits. */
typedef struct gp_attention_cached_op {
    int heads;
    const int32_t *positions; /* (B,T), consecutive in each row; NULL: 0..T-1, a prompt */
    const gp_tensor *qkv;     /* (B,T,3C) */
    const gp_kv *kv;          /* (B,H,P,D), in be->cache_dtype */
    gp_tensor *out;           /* (B,T,C) = */
    double divisor;           /* as in gp_attention_op */
} gp_attention_cached_op;

/* Head and cross-entropy in one op, chunk by chunk over rows, so that no (N,V) tensor exists:
 *   losses[n] = log sum exp(logits_n) - logits_n[target_n],  logits = x W^T + bias;  0 where target is -100
 *   step->loss += step->scale * sum of losses, added in order of n, in double
 * and with `train`, in the same pass, d = step->scale * (softmax - onehot):
 *   dx = d W,  dW += d^T x,  dbias += column sums of d.
 *
 * With class weights w (NULL: all 1) and label smoothing s, as in PyTorch's CrossEntropyLoss(weight, label_smoothing)
 * without its reduction, p = softmax(logits_n), y = target_n:
 *   losses[n] = (1 - s) w[y] (-log p[y]) + s/V (sum over c of w[c] (-log p[c]))
 *   d = step->scale * (((1 - s) w[y] + s/V sum w) p - (1 - s) w[y] onehot - s/V w) */
typedef struct gp_head_op {
    const gp_tensor *x;             /* (...,C), seen as (N,C) */
    gp_weight *w;                   /* transposed: stored (V,C) */
    const gp_tensor *bias;          /* (V) or NULL */
    const int32_t *targets;         /* (N), -100 = not counted */
    const gp_tensor *class_weights; /* (V) fp32, or NULL */
    float smoothing;                /* 0 <= s < 1 */
    gp_step *step;
    gp_tensor *losses; /* (N) = */
    bool train;
    gp_tensor *dx;          /* = (...,C) */
    gp_tensor *dw, *dbias;  /* += */
    bool first_dw;          /* dw = */
    gp_tensor *logits;      /* head_logits: (...,V) = */
    const gp_norm_op *norm; /* head_decode: as in gp_linear_op */
} gp_head_op;

/* A segment: consecutive parameters with the same weight decay. In bf16, adamw computes in fp32 and rounds
 * stochastically: rounding.h. */
typedef struct gp_segment {
    void *p;
    float *g, *m, *v;
    int64_t count;
    float weight_decay;
    gp_dtype dtype; /* of p: GP_F32, or GP_BF16 where be->stores_bf16 */
    int64_t first;  /* index of p[0] in the flat vector of parameters, the counter of its rounding */
    float lr_scale; /* of the learning rate; 1: as it is */
} gp_segment;

typedef struct gp_adamw_op {
    const gp_segment *segments; /* in the host's memory */
    int count;
    float beta1, beta2, eps;
    gp_step *step;
} gp_adamw_op;

/* One draw. With log-probabilities, of the logits as the model gave them: the drawn id's, the largest, and the sum of
 * exp(logit - max) over all V. */
typedef struct gp_draw {
    int32_t id; /* -1: see below */
    float logit, max;
    double sum;
} gp_draw;

typedef struct gp_candidate {
    int32_t id;
    float logit;
} gp_candidate;

/* ids[b] drawn from logits row b: the repetition penalty, temperature (0: the largest, lowest id on ties), then top_k
 * (0: all), top_p (1: all), min_p (0: all), in transformers' order; ids >= vocab are never drawn, and a logit of -inf
 * is not either. -1 where the logit of an id below vocab is NaN or inf, or all are -inf. The random number is Philox at
 * (seed; samples[b], positions[b]): a sample is the same alone and among others.
 *
 * With draws the rows are continued: the draw goes to the host, and all is ready for decoding ids[b] and drawing again:
 * ids[b] is 0 in the place of -1, positions[b] and places[b] are one more, seen has the id. A row whose sample is
 * negative is idle: nothing of it changes. */
typedef struct gp_sample_op {
    const gp_tensor *logits; /* (B,V) */
    int vocab;
    float temperature, top_p, min_p;
    int top_k;
    uint64_t seed;
    const int32_t *samples; /* (B) */
    int32_t *positions;     /* (B) how many were drawn before */
    int32_t *ids;           /* (B) = */
    /* (B,V), 0 or 1, or NULL. A logit whose id was seen is divided by penalty where it is positive, multiplied where it
     * is negative, in double, and rounded to float (Keskar et al. 2019) */
    uint8_t *seen;
    double penalty;
    gp_draw *draws; /* (B,ring) = at [b, positions[b] % ring], memory of alloc_host's; or NULL: ids alone are written */
    int ring;
    int32_t *places; /* (B) the row's position in the cache, */
    int last_place;  /* which stays where it is the last one */
    bool log_probabilities;
    gp_candidate *top; /* (B,ring,tops) = the likeliest ids below vocab, in any order; beside draws */
    int tops;
} gp_sample_op;

/* Max shapes, by which workspaces are planned. */
typedef struct gp_shape {
    int B, T, C, H, V; /* C: the widest activation's model width; linears are up to (4C, 4C) */
    int inner;         /* the MLP's width */
    int cache;         /* positions of the KV cache that decoding reads, or 0 */
    bool train;
    bool causal, drops; /* attention's mask, and whether it drops probabilities while training */
} gp_shape;

/* Opaque: a recording of ops (a CUDA graph), and a mark in the stream of ops (an event); NULL before first use. */
typedef struct gp_recording gp_recording;
typedef struct gp_mark gp_mark;

/* The ops, as X(name, parameters): each is a member of the table, and a function of each backend, gp_cpu_embed_forward
 * and so on. dropout: in place (B,T,C); its own backward. act_forward: y = act(pre); act_backward: dx = dy act'(pre),
 * where dx may be dy. From linear_decode on, for decoding: batch-invariant; the order of a row's sums depends on I
 * (attention: its position) alone, never on the other rows, whether these are samples or tokens of one. */
#define GP_OPS(X)                                                                                                      \
    X(embed_forward, (gp_backend * be, const gp_embed_op *op))                                                         \
    X(embed_backward, (gp_backend * be, const gp_embed_op *op))                                                        \
    X(select_forward, (gp_backend * be, const gp_select_op *op))                                                       \
    X(select_backward, (gp_backend * be, const gp_select_op *op))                                                      \
    X(dropout, (gp_backend * be, gp_tensor * x, gp_dropout drop))                                                      \
    X(norm_forward, (gp_backend * be, const gp_norm_op *op))                                                           \
    X(norm_backward, (gp_backend * be, const gp_norm_op *op))                                                          \
    X(linear_forward, (gp_backend * be, const gp_linear_op *op))                                                       \
    X(linear_backward, (gp_backend * be, const gp_linear_op *op))                                                      \
    X(act_forward, (gp_backend * be, gp_act act, gp_tensor * y, const gp_tensor *pre))                                 \
    X(act_backward, (gp_backend * be, gp_act act, gp_tensor * dx, const gp_tensor *dy, const gp_tensor *pre))          \
    X(attention_forward, (gp_backend * be, const gp_attention_op *op))                                                 \
    X(attention_backward, (gp_backend * be, const gp_attention_op *op))                                                \
    X(head_loss, (gp_backend * be, const gp_head_op *op))                                                              \
    X(head_logits, (gp_backend * be, const gp_head_op *op))                                                            \
    X(grad_norm, (gp_backend * be, const gp_segment *segments, int count, gp_step *step))                              \
    X(adamw, (gp_backend * be, const gp_adamw_op *op))                                                                 \
    X(linear_decode, (gp_backend * be, const gp_linear_op *op))                                                        \
    X(head_decode, (gp_backend * be, const gp_head_op *op))                                                            \
    X(attention_cached, (gp_backend * be, const gp_attention_cached_op *op))                                           \
    X(sample, (gp_backend * be, const gp_sample_op *op))

typedef struct gp_backend_ops {
    const char *name;
    void (*close)(gp_backend *be);

    /* memory */
    void *(*alloc)(gp_backend *be, size_t bytes); /* zeroed, 64-byte aligned; dies when there is none */
    void (*free)(gp_backend *be, void *p, size_t bytes);
    void (*zero)(gp_backend *be, void *p, size_t bytes);
    void (*upload)(gp_backend *be, void *dst, const void *host, size_t bytes);
    /* `count` finite numbers of the host, in F32, BF16 or F16, into memory of another dtype, F32 or BF16, rounded to
     * nearest; NULL: the host has to convert them. host is aligned to its dtype. */
    void (*upload_as)(gp_backend *be, void *dst, gp_dtype to, const void *host, gp_dtype from, int64_t count);
    void (*download)(gp_backend *be, void *host, const void *src, size_t bytes);
    void (*copy)(gp_backend *be, void *dst, const void *src, size_t bytes);
    void (*sync)(gp_backend *be);
    void (*available_memory)(gp_backend *be, size_t *free, size_t *total); /* bytes of the memory that alloc uses */

    /* Pinned host memory, which the device accesses directly: an upload from it, and a download_later to it, are
     * complete when a mark that was set after them is; until then the host must not touch it. Other host memory may be
     * reused when upload returns. */
    void *(*alloc_host)(gp_backend *be, size_t bytes); /* zeroed, 64-byte aligned; dies when there is none */
    void (*free_host)(gp_backend *be, void *p, size_t bytes);
    void (*download_later)(gp_backend *be, void *host, const void *src, size_t bytes);
    void (*mark_set)(gp_backend *be, gp_mark **mark);  /* after all ops issued so far; creates the mark on first use */
    void (*mark_wait)(gp_backend *be, gp_mark **mark); /* until all before it is complete; NULL: does not wait */
    void (*mark_free)(gp_backend *be, gp_mark **mark);
    /* Seconds of the device from one mark to a later one that was waited for; NULL where ops are synchronous. */
    double (*mark_seconds)(gp_backend *be, const gp_mark *from, const gp_mark *to);

    /* Ops that are issued repeatedly with the same arguments:
     *     if (ops->record_begin(be, &r))        // false: a recording exists, and this call has issued it
     *         do {
     *             ...ops, zero and copy only; no host access...
     *         } while (!ops->record_end(be, &r)); // false: recording failed and nothing ran; repeat without recording
     * A recording contains addresses: free it before the memory they point to. The backend checks that its workspace
     * has not moved. Backends without recordings return true from both. */
    bool (*record_begin)(gp_backend *be, gp_recording **r);
    bool (*record_end)(gp_backend *be, gp_recording **r);
    void (*record_free)(gp_backend *be, gp_recording **r);

    size_t (*plan)(gp_backend *be, const gp_shape *shape); /* workspace bytes for these shapes */
    /* gp_backend_attention; NULL if the backend has only its own kernels */
    int (*attention_by)(gp_backend *be, gp_attention_by by, const gp_shape *shape);
    /* gp_backend_choose_product; NULL if the backend has a single implementation */
    int (*choose_product)(gp_backend *be, const gp_product_choice *choice);

    /* weights: weight_open (w->w, transposed, trains are set; rows: N of the usual product), then allocate a slot of
     * weight_bytes, then call weights_changed after every change */
    void (*weight_open)(gp_backend *be, gp_weight *w, int64_t rows);
    size_t (*weight_bytes)(gp_backend *be, const gp_weight *w);
    void (*weights_changed)(gp_backend *be, gp_weight *const *w, int count);
    void (*weight_close)(gp_backend *be, gp_weight *w);
    /* A weight in a format other than fp32: lines [first, first + lines) of dim[0] lines of dim[1] numbers, from and to
     * fp32 on the host; stored (I,O), both are multiples of GP_WEIGHT_BLOCK but at the end. Several threads may fill
     * different lines. NULL: the backend has no such formats. */
    void (*weight_fill)(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, const float *host);
    void (*weight_lines)(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, float *host);

    /* ops */
#define GP_MEMBER(name, parameters) void(*name) parameters;
    GP_OPS(GP_MEMBER)
#undef GP_MEMBER
} gp_backend_ops;

struct gp_backend {
    const gp_backend_ops *ops;
    struct gp_profile *profile;     /* while ops are profiled: profile.h */
    gp_dtype dtype;                 /* of matrix products: GP_F32 or GP_BF16 */
    gp_dtype act_dtype;             /* of stored activations */
    gp_dtype cache_dtype;           /* of cached keys and values: act_dtype, or on a CPU GP_BF16 */
    gp_dtype matrix_dtype;          /* of matrices that train: fp32, or bf16 without fp32 masters */
    gp_weight_format weight_format; /* of the matrices of models that are created and do not train */
    bool chooses_format;            /* dtype auto: weight_format is chosen for each checkpoint */
    bool stores_bf16;               /* matrices may be bf16: ops read bf16, and adamw rounds */
    bool tf32;                      /* fp32 products may use TF32: operands with 10 bits of mantissa */
    bool first_dw;                  /* writing a matrix's gradient is faster than zeroing it and adding */
    bool later;                     /* ops are asynchronous: the host should not wait for each step */
    bool device_memory;             /* the host cannot read or write the backend's memory */
    bool rounds, rounds_cache;      /* ref in bf16: activations, or cached ones, are rounded, but stored as fp32 */
    int threads;
    gp_attention_by attention;
    char attention_library[32]; /* "cuDNN 9.19.0", after it was opened */
    char products_library[32];  /* "cuBLASLt 13.1.1": results are bitwise reproducible with the same version only */
    gp_product_choice *choices; /* (choice_count) in the order in which products first occurred */
    int choice_count;
    bool measures_products; /* products without a choice are timed in each way, and the fastest is selected */
    char device[128];
    char warning[200];      /* why `auto` did not use a faster backend that is here; "": it did */
    char remark[240];       /* what gp_backend_remark returns next; "": nothing */
    char remarked[320];     /* what it returned last */
    const char *allocating; /* what the memory is for, in error messages; or NULL */
    void *state;            /* private to the backend */
    char *workspace;        /* set by gp_backend_plan */
    size_t workspace_size;
};

/* Opens a backend: sets be; -1 if it cannot run here. */
int gp_ref_open(gp_backend *be);
int gp_cpu_open(gp_backend *be);
int gp_cuda_open(gp_backend *be);

/* Makes the workspace large enough for `shape` (never smaller); called before the loop, not inside it. */
void gp_backend_plan(gp_backend *be, const gp_shape *shape);

/* Frees the workspace: the next plan allocates it again, as large as needed then. */
void gp_backend_forget_plan(gp_backend *be);

/* Attention of this shape is computed by that library from now on; each call adds a shape. Call it before
 * gp_backend_plan, since it needs workspace. -1: the library cannot, and the own kernels are used, as for others. */
int gp_backend_attention(gp_backend *be, gp_attention_by by, const gp_shape *shape);

/* "own", "cudnn", "cudnn-forward", "cudnn-backward"; false where it is none of them. */
bool gp_attention_parse(const char *name, gp_attention_by *by);
const char *gp_attention_name(gp_attention_by by);

/* Selects a product's implementation, chosen on the same device by the same library. 0; or -1 where this backend has no
 * such way. If the library refuses it when the product first runs, the choice is `lost`, and another is made. */
int gp_backend_choose_product(gp_backend *be, const gp_product_choice *choice);

/* Appends a choice to the list. */
gp_product_choice *gp_backend_add_choice(gp_backend *be);

/* With dtype auto, models that do not train are created in this format from now on, if the backend has formats; their
 * products are in fp32. */
void gp_backend_choose_format(gp_backend *be, gp_weight_format format);

/* Allocators for arenas: the backend's memory (huge pages on the host, unless much of it may stay untouched), and
 * pinned host memory. */
gp_memory gp_backend_memory(gp_backend *be);
gp_memory gp_backend_sparse_memory(gp_backend *be);
gp_memory gp_backend_host_memory(gp_backend *be);

#ifdef __cplusplus
}
#endif
#endif
