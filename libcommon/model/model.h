/* model.h: what a model is made of, for the rooms above (io, train). */
#ifndef GP_MODEL_MODEL_H
#define GP_MODEL_MODEL_H

#include "backend/backend.h"
#include "gptpipe/model.h"
#include "model/params.h"

/* Where dropout happens; a site's number is GP_FIRST_SITE + layer * GP_SITES + which. The first is past every stream
 * of base/rng.h. */
#define GP_FIRST_SITE 0x80000000u
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

/* Called as backward finishes a row's gradient. It issues ops of the backend alone: they are recorded with the pass,
 * and issued again with it without another call. Only where a tracer is set, nothing is recorded, and it may do as it
 * likes. */
typedef void gp_grad_ready_fn(void *self, const gp_param *row);

/* What makes one training pass another sequence of ops than the last. */
typedef struct gp_recorded {
    int64_t B, T;
    bool dropout, types, lengths;
    gp_grad_ready_fn *grad_ready;
    void *grad_ready_self;
} gp_recorded;

/* Everything between tokens and logits for one (B,T). While training there is one of each per layer and
 * site; otherwise two norm sites and one block are used over and over. With recompute some of training's share memory
 * too: all h, and the y of every other site; or all of a block but its input, the sum of its first norm site. */
typedef struct gp_acts {
    gp_arena arena;
    int64_t most_B, most_T; /* planned for */
    int64_t B, T;           /* now */
    bool train;             /* keeps what backward needs */
    gp_recompute recompute; /* or makes it again */
    bool decode;            /* few tokens a row, against the cache, at positions that come with them */
    gp_norm_op norm_ahead;  /* decode: of the product that comes, which makes it; y NULL: none */
    int64_t cache_row;      /* the row of the cache that the first sample continues; -1: no cache */
    int64_t start;          /* a prompt's piece: the position of its first token */
    int32_t *tokens, *positions, *types, *lengths, *targets; /* (B,T), lengths (B); the backend's memory */
    bool has_types, has_lengths;
    bool counted;            /* positions are 0, 1, 2, ... of this (B,T) already */
    gp_recording *recording; /* of a training pass like `recorded`, or of decoding */
    gp_recorded recorded;
    int64_t blocks, sites;
    gp_block_acts *block;
    gp_norm_acts *norm;
    gp_tensor branch;         /* (B,T,C) what the next norm adds to the residual */
    gp_tensor mlm_pre, mlm_h; /* (B,T,C) MLM head's transform */
    gp_norm_acts mlm_norm;
    gp_tensor losses;                           /* (B*T) */
    gp_tensor dresidual, dbranch, dx, dcontext; /* (B,T,C) */
    gp_tensor dqkv, dh;                         /* (B,T,3C), (B,T,F) */
} gp_acts;

/* A KV cache: all layers, (L,B,H,P,D) each. */
typedef struct gp_cache {
    gp_arena arena;
    int64_t B;
    int64_t serial; /* no other cache of the process has it: what one holds the next does not */
    gp_tensor k, v;
} gp_cache;

/* Tokens that are appended at once through decode's ops: in a pass, and of a row; more are read as a prompt is. */
enum { GP_APPEND_ROWS = 64, GP_APPEND_FEW = 16 };

/* Whole prompts of up to so many tokens are one pass: four times GPT-2's context. */
enum { GP_PREFILL_CHUNK = 4096 };

/* Rows of the cache that continue themselves (continue.c): as many draws as the host may be behind. */
enum { GP_DRAWS_PENDING = 8 };

typedef struct gp_rows {
    gp_arena device, host;
    int32_t *samples,
        *drawn;   /* (B) each, one after the other: the key of a row's next random number; sample < 0: idle */
    int32_t *ids; /* (B) what was drawn, for gp_model_sample */
    int32_t *host_samples, *host_drawn,
        *host_places; /* (B) what the device's will be once all that is issued is done */
    bool changed;     /* by the host, and the device does not know yet */
    gp_sampling how;
    uint8_t *seen;     /* (B,V), or NULL without a penalty */
    gp_draw *draws;    /* (B,GP_DRAWS_PENDING) the host's memory: a row's draw i at i % GP_DRAWS_PENDING */
    gp_candidate *top; /* (B,GP_DRAWS_PENDING,tops) */
    int tops;
    bool log_probabilities;
    gp_mark *mark[GP_DRAWS_PENDING]; /* of step i at i % GP_DRAWS_PENDING */
    int64_t issued;                  /* steps */
    gp_recording *recording;         /* of a step of all rows */
} gp_rows;

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

/* Intermediate tensors, by role. */
typedef enum gp_traced_kind {
    GP_TRACED_HIDDEN,     /* of layer 0 to L: what goes into it, the last behind the last norm */
    GP_TRACED_ATTENTION,  /* probabilities (B,H,T,T) */
    GP_TRACED_CONTEXT,    /* what the output projection reads */
    GP_TRACED_ACTIVATION, /* of the MLP */
    GP_TRACED_OUTPUT,     /* of the linear or norm whose weight is `row` */
    GP_TRACED_LOGITS
} gp_traced_kind;

typedef struct gp_traced {
    gp_traced_kind kind;
    int64_t layer;
    const gp_param *row;
} gp_traced;

/* Called with every intermediate tensor of a forward pass, an fp32 copy of the host's that is good during the call. */
typedef struct gp_tracer {
    void (*fn)(void *self, const gp_traced *what, const gp_tensor *t);
    void *self;
    bool brief; /* without attention's probabilities, which take (B,H,T,T) */
} gp_tracer;

struct gp_model {
    gp_config config;
    gp_backend *be;
    gp_params params;
    gp_arena weights, gradients, slots, step_arena;
    gp_weight **weight; /* every weight that has a slot */
    int weight_count;
    bool slots_open;
    char *p;  /* the parameters, a row at row->at: gp_model_parameter */
    float *g; /* the flat vector; NULL when not training */
    bool trains;
    gp_recompute recompute;
    bool dropping; /* a training step is under way: dropout is on */
    gp_tensor wte, wpe, wtt, dwte, dwpe, dwtt;
    gp_block *block;      /* (L) */
    gp_norm_params *norm; /* (2L+1) sites */
    gp_linear mlm, head;  /* head.b is MLM's output bias */
    gp_norm_params mlm_norm;
    gp_acts acts; /* batches */
    gp_acts row;  /* one token a sample: decoding */
    gp_acts few;  /* up to GP_APPEND_ROWS tokens that are appended; planned by the first */
    gp_cache cache;
    int64_t chunk;      /* prompts are read in pieces that begin at multiples of it: GP_PREFILL_CHUNK */
    gp_tensor logits;   /* (cache.B, V): of the last prefill or decode */
    gp_rows rows;       /* that are being continued */
    int32_t *positions; /* the host's, for one batch */
    int64_t positions_most;
    gp_step *step;                /* the backend's memory */
    gp_step host_step;            /* what the host writes there, and reads back */
    gp_tracer tracer;             /* fn NULL: none */
    gp_grad_ready_fn *grad_ready; /* NULL: none */
    void *grad_ready_self;
};

/* block.c: the blocks and the norm sites, forward and backward. (residual, branch) is what one block hands to
 * the next: a block begins with norm(residual + branch). */
typedef struct gp_stream {
    const gp_tensor *residual, *branch; /* branch NULL: nothing to add yet */
} gp_stream;

void gp_site_forward(gp_model *m, gp_acts *a, int64_t site, gp_stream *s);
/* The norm that the product which reads its output is to make; NULL where it is there. */
const gp_norm_op *gp_site_take(gp_acts *a, gp_norm_op *norm);
void gp_site_backward(gp_model *m, gp_acts *a, int64_t site);
void gp_gradient_finished(gp_model *m, const gp_param *row); /* tells grad_ready, where there is one; row may be NULL */
void gp_block_forward(gp_model *m, gp_acts *a, int64_t layer, gp_stream *s);
void gp_block_backward(gp_model *m, gp_acts *a, int64_t layer);
/* What backward reads of a block, as far as it was not kept. */
void gp_block_recompute(gp_model *m, gp_acts *a, int64_t layer);

/* One linear of the table, forward; `act` and `pre` as in gp_linear_op. */
void gp_linear_apply(gp_model *m, gp_acts *a, gp_linear *l, const gp_tensor *x, gp_tensor *y, gp_act act,
                     gp_tensor *pre);
/* dx may be NULL; its act and pre differentiate what made x. */
void gp_linear_differentiate(gp_model *m, gp_linear *l, const gp_tensor *x, const gp_tensor *dy, gp_tensor *dx,
                             gp_act act, const gp_tensor *pre);
double gp_model_divisor(const gp_model *m, int64_t layer); /* of attention's scores */
gp_dropout gp_model_dropout(gp_model *m, const gp_acts *a, double p, int64_t layer, int which);

/* acts.c: planning, and the shapes of the batch at hand. */
void gp_acts_plan(gp_acts *a, gp_model *m, int64_t B, int64_t T, bool train);
/* The backend's scratch for passes over (B,T), and for decoding over `cache` positions. */
gp_shape gp_model_shape(const gp_model *m, int64_t B, int64_t T, int64_t cache, bool train);
void gp_model_plan_workspace(gp_model *m, int64_t B, int64_t T, int64_t cache, bool train);
void gp_acts_resize(gp_acts *a, const gp_model *m, int64_t B, int64_t T);
void gp_acts_release(gp_acts *a, gp_backend *be);
gp_norm_acts *gp_acts_site(gp_acts *a, int64_t site);
gp_block_acts *gp_acts_block(gp_acts *a, int64_t layer);

/* forward.c: a batch onto the device; through the blocks; the head; and back. 0 or -1 from load alone. */
int gp_model_load(gp_model *m, gp_acts *a, const gp_batch *batch);
const gp_tensor *gp_model_forward(gp_model *m, gp_acts *a); /* what the head reads (B,T,C) */
void gp_model_loss(gp_model *m, gp_acts *a, const gp_tensor *x, bool train);
void gp_model_backward(gp_model *m, gp_acts *a);

/* decode.c: blocks and head over the tokens and positions in m->row, which the device has. */
void gp_model_decode_loaded(gp_model *m);

/* append.c: rows of a (...,width) tensor, as (count,width); the head over x, with the norm before it; 0 where T tokens
 * at this position are within the context. */
gp_tensor gp_rows_of(const gp_tensor *t, int64_t first, int64_t count);
void gp_model_head(gp_model *m, gp_acts *a, const gp_tensor *x, gp_tensor *logits);
int gp_model_check_position(const gp_model *m, int64_t position, int64_t T);

/* continue.c: decoding that feeds itself. After gp_model_plan_cache:
 *
 *     gp_rows_plan(m, &how, false, 0);
 *     gp_model_prefill(m, b, ids, T);              // for each row
 *     gp_rows_set(m, b, sample, drawn, T);         // and
 *     gp_rows_draw(m, 0, B);                       // the first draw of each, from the prompt's logits: a step
 *     gp_rows_step(m);                             // reads what was drawn, and draws again: a step
 *     gp_rows_wait(m, step);                       // steps are counted from 0; then for each row that was not idle
 *     const gp_draw *d = gp_rows_sampled(m, b, i);   // its draw number i, and gp_rows_top
 *
 * The host may be GP_DRAWS_PENDING steps behind, no more. A row has to be set before, and idle behind, the steps in
 * which it takes part; none may go past the context. */
void gp_rows_plan(gp_model *m, const gp_sampling *how, bool log_probabilities, int64_t tops);
void gp_rows_set(gp_model *m, int64_t b, int64_t sample, int64_t drawn, int64_t cached);
void gp_rows_see(gp_model *m, int64_t b, const int32_t *ids, int64_t count); /* where the penalty asks for it */
void gp_rows_idle(gp_model *m, int64_t b);
void gp_rows_draw(gp_model *m, int64_t first, int64_t count);
void gp_rows_step(gp_model *m);
void gp_rows_wait(gp_model *m, int64_t step);
const gp_draw *gp_rows_sampled(const gp_model *m, int64_t b, int64_t i);
const gp_candidate *gp_rows_top(const gp_model *m, int64_t b, int64_t i);
void gp_rows_release(gp_model *m);

/* A forward pass over what is loaded, with losses of chosen rows alone: the n rows of targets (B T) that are not
 * negative. selected and losses (n, both the caller's, on the host) receive their targets and losses; the result (n,C)
 * is what the head reads for them. Good until the next pass. */
gp_tensor gp_model_forward_selected(gp_model *m, gp_acts *a, const int32_t *targets, int32_t *selected, float *losses);

/* logits (n,V), in the backend's memory and on the host, of rows of that result. */
void gp_model_head_rows(gp_model *m, const gp_tensor *x, gp_tensor *logits, float *host);

/* Bytes that a decoding step reads, in the dtype of activations: the weights that a token passes, and the keys and
 * values of `read` cached tokens, over all rows. */
double gp_model_decode_bytes(const gp_model *m, int64_t read);

/* A training pass over what is loaded: gp_model_loss and gp_model_backward, recorded where the backend does that. */
void gp_model_learn(gp_model *m, gp_acts *a, bool dropout);

/* trace.c: do nothing unless a tracer is set. */
void gp_trace(gp_model *m, gp_traced_kind kind, int64_t layer, const gp_tensor *t);
void gp_trace_output(gp_model *m, const gp_param *weight, const gp_tensor *t);
void gp_trace_attention(gp_model *m, gp_acts *a, int64_t layer);             /* and context */
const char *gp_traced_name(const gp_traced *what, char text[GP_PARAM_NAME]); /* the model's own; returns text */

/* From now on `tracer` sees the passes' tensors and grad_ready each gradient that is complete; NULL: neither. */
void gp_model_observe(gp_model *m, const gp_tracer *tracer, gp_grad_ready_fn *grad_ready, void *self);

/* gp_model_logits, traced. */
int gp_model_trace(gp_model *m, const gp_batch *batch, float *logits, const gp_tracer *tracer);

void gp_model_weights_changed(gp_model *m); /* after writing to m->p: refreshes the slots */

/* A row of the table where it lies in the backend's memory, and its numbers in fp32 (row->count of them) to and from
 * the host; what is stored in bf16 is rounded to nearest. */
gp_tensor gp_model_parameter(const gp_model *m, const gp_param *row);
void gp_model_row_upload(const gp_model *m, const gp_param *row, const float *host);
void gp_model_row_download(const gp_model *m, const gp_param *row, float *host);

/* The same for lines [first, first + lines) of it (of dim[0] that have dim[1] numbers each). */
void gp_model_lines_upload(const gp_model *m, const gp_param *row, int64_t first, int64_t lines, const float *host);
void gp_model_lines_download(const gp_model *m, const gp_param *row, int64_t first, int64_t lines, float *host);

void gp_model_open_slots(gp_model *m, int64_t rows);
void gp_model_reserve_positions(gp_model *m, int64_t count);

/* The device's copy of m->host_step. */
void gp_step_upload(gp_model *m);
void gp_step_download(gp_model *m);

#endif
