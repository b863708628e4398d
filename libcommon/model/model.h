/* model.h: what a model is made of, for the rooms above (io, train). */
#ifndef GP_MODEL_MODEL_H
#define GP_MODEL_MODEL_H

#include "backend/backend.h"
#include "gptpipe/model.h"
#include "model/params.h"

/* Where dropout happens; a site's number is layer * GP_SITES + which. */
enum { GP_SITE_EMBED, GP_SITE_ATTENTION, GP_SITE_PROJ, GP_SITE_OUT, GP_SITES };

/* What one block keeps of a forward pass. B, T, C, H as ever; F the MLP's width. */
typedef struct gp_block_acts {
    gp_tensor qkv;     /* (B,T,3C) */
    gp_tensor context; /* (B,T,C) attention's output */
    gp_tensor lse;     /* (B,H,T) */
    gp_tensor pre, h;  /* (B,T,F) before and after the activation */
} gp_block_acts;

/* A norm site's share: what went in (residual + branch), what came out, its statistics. */
typedef struct gp_norm_acts {
    gp_tensor sum, y;     /* (B,T,C) */
    gp_tensor mean, rstd; /* (B*T) */
} gp_norm_acts;

/* Everything between tokens and logits for one (B,T). While training there is one of each per layer and
 * site; otherwise two norm sites and one block are used over and over. */
typedef struct gp_acts {
    gp_arena arena;
    int64_t B, T;
    bool train;
    int32_t *tokens, *positions, *types, *lengths, *targets; /* (B,T), lengths (B); the backend's memory */
    bool has_types, has_lengths;
    int64_t blocks, sites;
    gp_block_acts *block;
    gp_norm_acts *norm;
    gp_tensor branch;          /* (B,T,C) what the next norm adds to the residual */
    gp_tensor mlm_pre, mlm_h;  /* (B,T,C) MLM head's transform */
    gp_norm_acts mlm_norm;
    gp_tensor losses;          /* (B*T) */
    gp_tensor dresidual, dbranch, dx, dcontext; /* (B,T,C) */
    gp_tensor dqkv, dh;        /* (B,T,3C), (B,T,F) */
} gp_acts;

/* A KV cache: all layers, (L,B,H,P,D) each. */
typedef struct gp_cache {
    gp_arena arena;
    int64_t B;
    gp_tensor k, v;
} gp_cache;

/* A linear's weight, its bias, and where their gradients go. */
typedef struct gp_linear {
    gp_weight w;
    gp_tensor b, dw, db;
    bool has_bias;
    const gp_param *row, *bias_row;
} gp_linear;

typedef struct gp_norm_params {
    gp_tensor gamma, beta, dgamma, dbeta;
    bool has_beta;
} gp_norm_params;

typedef struct gp_block {
    gp_linear qkv, proj, fc, out;
} gp_block;

struct gp_model {
    gp_config config;
    gp_backend *be;
    gp_params params;
    gp_arena weights, gradients, slots, io;
    float *p, *g;  /* the flat vectors; g NULL when not training */
    bool trains;
    gp_tensor wte, wpe, wtt, dwte, dwpe, dwtt;
    gp_block *block;        /* (L) */
    gp_norm_params *norm;   /* (2L+1) sites */
    gp_linear mlm, head;    /* head.b is MLM's output bias */
    gp_norm_params mlm_norm;
    gp_acts acts;           /* batches */
    gp_acts row;            /* one token a sample: decoding */
    gp_cache cache;
    gp_tensor logits;       /* (cache.B, V): of the last prefill or decode */
    int32_t *samples, *ids; /* (cache.B) the backend's memory, for sampling */
    gp_step *step;          /* the backend's memory */
    gp_step host_step;      /* what the host writes there, and reads back */
    gp_trace_fn *trace;
    void *trace_self;
    void (*grad_ready)(void *self, const gp_param *row); /* as backward finishes it; NULL */
    void *grad_ready_self;
};

/* block.c: the blocks, forward and backward. `residual` is carried in m->acts through the norm sites. */
void gp_norm_site_forward(gp_model *m, gp_acts *a, int64_t site, const gp_tensor **residual,
                          const gp_tensor *branch);
void gp_norm_site_backward(gp_model *m, gp_acts *a, int64_t site, bool first);
void gp_block_forward(gp_model *m, gp_acts *a, int64_t layer, const gp_tensor **residual,
                      const gp_tensor **branch, int64_t cache_row);
void gp_block_backward(gp_model *m, gp_acts *a, int64_t layer);

/* acts.c */
void gp_acts_plan(gp_acts *a, gp_model *m, int64_t B, int64_t T, bool train);
void gp_acts_release(gp_acts *a, gp_model *m);
void gp_cache_plan(gp_cache *c, gp_model *m, int64_t B);

/* A linear or norm of the table; which layer or site. */
gp_dropout gp_model_dropout(gp_model *m, double p, int64_t layer, int which);
void gp_model_trace(gp_model *m, const char *name, const gp_tensor *t);
void gp_model_trace_at(gp_model *m, const gp_param *row, const char *suffix, const gp_tensor *t);

/* The device's copy of m->host_step. */
void gp_step_upload(gp_model *m);
void gp_step_download(gp_model *m);

#endif
