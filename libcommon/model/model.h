/* model.h: the state of a model and its passes, for the modules that use the model. */
#ifndef GP_MODEL_MODEL_H
#define GP_MODEL_MODEL_H

#include "backend/backend.h"
#include "gptpipe/model.h"
#include "model/params.h"

/* Where dropout is applied. Random numbers of a site use stream GP_FIRST_SITE + layer * GP_SITES + which, after all
 * streams of base/rng.h. */
#define GP_FIRST_SITE 0x80000000u
enum { GP_SITE_EMBED, GP_SITE_ATTENTION, GP_SITE_PROJ, GP_SITE_OUT, GP_SITES };
enum { GP_SITE_DENSE_IN, GP_SITE_DENSE_OUT }; /* of a classifier's head, after those of all layers */

/* Activations of one block. F is the MLP's width. */
typedef struct gp_block_acts {
    gp_tensor qkv;     /* (B,T,3C) */
    gp_tensor context; /* (B,T,C) output of attention, before the projection */
    gp_tensor lse;     /* (B,H,T) */
    gp_tensor pre, h;  /* (B,T,F) before and after the activation */
} gp_block_acts;

/* Activations of a norm site: its input (residual + branch), its output, its statistics. */
typedef struct gp_norm_acts {
    gp_tensor sum, y;     /* (B,T,C) */
    gp_tensor mean, rstd; /* (B*T) */
} gp_norm_acts;

/* Called when backward has finished the gradient of a row. It may only issue ops of the backend: they are recorded with
 * the pass and replayed without another call. If a tracer is set, nothing is recorded, and it may do anything. */
typedef void gp_grad_ready_fn(void *self, const gp_param *row);

/* A recorded training pass can be replayed while none of these change. */
typedef struct gp_recorded {
    int64_t B, T, selected;
    bool dropout, types, lengths;
    gp_grad_ready_fn *grad_ready;
    void *grad_ready_self;
} gp_recorded;

/* All activations from tokens to logits for one (B,T). A training pass has separate ones for each layer and site;
 * otherwise one block and two norm sites are reused. With recomputation, some of a training pass share memory too: all
 * h, and the y of every other site; or everything in a block but its input, the sum of its first norm site. */
typedef struct gp_acts {
    gp_arena arena;
    int64_t max_B, max_T;    /* planned for */
    int64_t B, T;            /* of the current batch */
    bool train;              /* stores the activations that backward needs, */
    gp_recompute recompute;  /* but for those that it recomputes */
    bool decode;             /* a few tokens a row, attending to the cache, at given positions */
    gp_norm_op pending_norm; /* decode: the norm that the next product computes itself; y NULL: none */
    int64_t cache_row;       /* the row of the cache for the first sample; -1: no cache */
    int64_t start;           /* position of the first token of a prompt's chunk */
    int32_t *tokens, *positions, *types, *lengths; /* (B,T), lengths (B); in the backend's memory */
    bool has_types, has_lengths;
    bool positions_valid;    /* positions are already 0, 1, 2, ... for this (B,T) */
    gp_recording *recording; /* of a training pass like `recorded`, or of decoding */
    gp_recorded recorded;
    int64_t blocks, sites;
    gp_block_acts *block;
    gp_norm_acts *norm;
    gp_tensor branch;                           /* (B,T,C) what the next norm adds to the residual */
    gp_tensor dresidual, dbranch, dx, dcontext; /* (B,T,C) */
    gp_tensor dqkv, dh;                         /* (B,T,3C), (B,T,F) */

    /* The head, of n rows of the last norm's output (head.c): all B*T, or those selected */
    bool selects;
    int64_t selected; /* n */
    int32_t *rows;    /* (n) rows of (B,T), -1: one of zeros that does not count */
    int32_t *targets; /* (n) of the rows, -100: does not count */
    gp_tensor head_x; /* (n,C) selected rows, in the memory of branch */
    gp_tensor losses; /* (n) */
    gp_tensor head_pre,
        head_h;               /* (n,C) of MLM's transform or a classifier's dense layer, before and after activation */
    gp_norm_acts mlm_norm;    /* (n,C), without sum */
    const gp_tensor *head_in; /* the head's input: head_x or the output of the last norm */
    gp_tensor dhead, dhead2;  /* (n,C) in the memory of dbranch and dcontext; dhead without selection: dx */
} gp_acts;

/* A KV cache: all layers, (L,B,H,P,D) each. */
typedef struct gp_cache {
    gp_arena arena;
    int64_t B;
    int64_t serial; /* unique in the process, to detect that the cache was replaced */
    gp_tensor k, v;
} gp_cache;

/* Maxima of tokens appended through decode's ops: in one pass, and to one row. More are processed as a prompt is. */
enum { GP_APPEND_ROWS = 64, GP_APPEND_FEW = 16 };

/* Prompts of up to this many tokens are one pass: four times GPT-2's context. */
enum { GP_PREFILL_CHUNK = 4096 };

/* Maximum number of draws that the host has not read. */
enum { GP_DRAWS_PENDING = 8 };

/* Rows of the cache that are being decoded by decode_loop.c. */
typedef struct gp_rows {
    gp_arena device, host;
    /* (B) on the device, contiguous: the key of a row's next random number; sample < 0: the row is idle */
    int32_t *samples, *drawn;
    int32_t *ids; /* (B) on the device: output of gp_model_sample */
    /* (B) the values of samples, drawn and positions once all issued steps are done */
    int32_t *host_samples, *host_drawn, *host_places;
    bool changed; /* they have to be uploaded */
    gp_sampling how;
    uint8_t *seen;     /* (B,V), or NULL without a penalty */
    gp_draw *draws;    /* (B,GP_DRAWS_PENDING) in host memory: draw i of a row at i % GP_DRAWS_PENDING */
    gp_candidate *top; /* (B,GP_DRAWS_PENDING,tops) */
    int tops;
    bool log_probabilities;
    gp_mark *mark[GP_DRAWS_PENDING]; /* of step i at i % GP_DRAWS_PENDING */
    int64_t issued;                  /* steps */
    gp_recording *recording;         /* of a step of all rows */
    gp_tensor verified; /* (T,V) logits of T tokens of row 0, of up to GP_APPEND_FEW; data NULL until then */
} gp_rows;

/* A linear layer: weight, bias, and their gradients. */
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
    GP_TRACED_HIDDEN,     /* input of layer 0 to L - 1; at L, the output of the last norm */
    GP_TRACED_ATTENTION,  /* probabilities (B,H,T,T) */
    GP_TRACED_CONTEXT,    /* input of attention's output projection */
    GP_TRACED_ACTIVATION, /* of the MLP */
    GP_TRACED_OUTPUT,     /* of the linear or norm whose weight is `row` */
    GP_TRACED_LENS,       /* logits (B,T,V) of hidden, as if no layer came after; of layers 0 to L - 1 */
    GP_TRACED_LOGITS
} gp_traced_kind;

typedef struct gp_traced {
    gp_traced_kind kind;
    int64_t layer;
    const gp_param *row;
} gp_traced;

/* Called with every intermediate tensor of a forward pass, an fp32 copy on the host that is valid during the call. */
typedef struct gp_tracer {
    void (*fn)(void *self, const gp_traced *what, const gp_tensor *t);
    void *self;
    bool brief; /* without attention's probabilities, (B,H,T,T) */
    bool lens;  /* with GP_TRACED_LENS, where the model predicts tokens */
} gp_tracer;

/* Who owns memory that a model reads, and is told once the model no longer does. */
typedef struct gp_lender {
    void *self;
    void (*release)(void *self);
} gp_lender;

struct gp_model {
    gp_config config;
    gp_backend *be;
    gp_params params;
    gp_arena weights, gradients, slots, step_arena;
    gp_weight **weight; /* every weight that has a slot */
    int weight_count;
    bool slots_open;
    char *p;                /* the parameters, in the backend's memory, a row at row->at: gp_model_parameter */
    const float **borrowed; /* (params.count) of a row that is read elsewhere (gp_model_row_borrow), or NULL */
    int64_t borrowed_bytes;
    gp_lender *lenders;
    int lender_count;
    float *g; /* (params.total) gradients; NULL if it does not train */
    bool trains;
    gp_recompute recompute;
    bool dropping; /* dropout is on: in a training step */
    gp_tensor wte, wpe, wtt, dwte, dwpe, dwtt;
    gp_block *block;      /* (L) */
    gp_norm_params *norm; /* (2L+1) sites */
    /* The head: MLM's transform, or a classifier's dense layer; and the product that gives logits, with MLM's output
     * bias. Those that this head does not have have no row. */
    gp_linear mlm, dense, head;
    gp_norm_params mlm_norm;
    gp_tensor class_weights; /* (V or labels), data NULL: all 1 (gp_model_set_loss) */
    float *host_class_weights;
    gp_arena loss_arena;
    float smoothing;
    gp_acts acts; /* batches */
    gp_acts row;  /* decoding: one token a row */
    gp_acts few;  /* appending up to GP_APPEND_ROWS tokens; planned when first used */
    gp_cache cache;
    int64_t chunk;      /* prompts are divided at multiples of this position: GP_PREFILL_CHUNK */
    gp_tensor logits;   /* (cache.B, V) of the last prefill or decode */
    gp_rows rows;       /* the decoding loop */
    int32_t *positions; /* (positions_max) on the host, for one batch */
    int64_t positions_max;
    gp_step *step;                /* in the backend's memory */
    gp_step host_step;            /* its copy on the host */
    gp_tracer tracer;             /* fn NULL: none */
    gp_grad_ready_fn *grad_ready; /* NULL: none */
    void *grad_ready_self;
    bool first_dw; /* the next backward pass writes the gradients of products, and does not add to them */
};

/* block.c: blocks and norm sites, forward and backward. A block takes (residual, branch) and begins with
 * norm(residual + branch). */
typedef struct gp_stream {
    const gp_tensor *residual, *branch; /* branch is NULL before the first block */
} gp_stream;

void gp_site_forward(gp_model *m, gp_acts *a, int64_t site, gp_stream *s);
/* Takes the pending norm, for the product that reads its output to compute; NULL if there is none. */
const gp_norm_op *gp_site_take(gp_acts *a, gp_norm_op *norm);
void gp_site_backward(gp_model *m, gp_acts *a, int64_t site);
void gp_gradient_finished(gp_model *m, const gp_param *row); /* calls grad_ready, if it is set; row may be NULL */
void gp_block_forward(gp_model *m, gp_acts *a, int64_t layer, gp_stream *s);
void gp_block_backward(gp_model *m, gp_acts *a, int64_t layer);
/* Recomputes the activations of a block that backward reads and forward did not store. */
void gp_block_recompute(gp_model *m, gp_acts *a, int64_t layer);

/* Applies a linear layer; `act` and `pre` as in gp_linear_op. */
void gp_linear_apply(gp_model *m, gp_acts *a, gp_linear *l, const gp_tensor *x, gp_tensor *y, gp_act act,
                     gp_tensor *pre);
/* dx may be NULL; act and pre are those of the activation that produced x. */
void gp_linear_differentiate(gp_model *m, gp_linear *l, const gp_tensor *x, const gp_tensor *dy, gp_tensor *dx,
                             gp_act act, const gp_tensor *pre);
double gp_model_divisor(const gp_model *m, int64_t layer); /* of attention's scores */
gp_dropout gp_model_dropout(gp_model *m, const gp_acts *a, double p, int64_t layer, int which);

/* activations.c: memory for batches up to (B,T), and the shapes of the current batch. */
void gp_acts_plan(gp_acts *a, gp_model *m, int64_t B, int64_t T, bool train);
/* For the backend's workspace: passes over (B,T), and decoding over `cache` positions. */
gp_shape gp_model_shape(const gp_model *m, int64_t B, int64_t T, int64_t cache, bool train);
void gp_model_plan_workspace(gp_model *m, int64_t B, int64_t T, int64_t cache, bool train);
/* Attention of passes over (B,T), before they are planned. -1: the library is not there or does not support them. */
int gp_model_use_attention(gp_model *m, gp_attention_by by, int64_t B, int64_t T, bool train);
void gp_acts_resize(gp_acts *a, const gp_model *m, int64_t B, int64_t T);
void gp_acts_release(gp_acts *a, gp_backend *be);
gp_norm_acts *gp_acts_site(gp_acts *a, int64_t site);
gp_block_acts *gp_acts_block(gp_acts *a, int64_t layer);

/* Sets the shapes of the head's tensors, for n rows. */
void gp_acts_resize_head(gp_acts *a, const gp_model *m, int64_t n);

/* forward.c: uploads a batch, and selects the rows of the head; runs the blocks; and backward. Only load can fail: 0
 * or -1. */
int gp_model_load(gp_model *m, gp_acts *a, const gp_batch *batch);
const gp_tensor *gp_model_encode(gp_model *m, gp_acts *a);  /* returns the output of the last norm (B,T,C) */
const gp_tensor *gp_model_forward(gp_model *m, gp_acts *a); /* that, and gp_head_forward */
void gp_model_backward(gp_model *m, gp_acts *a);

/* head.c: the head. Its rows are those of the batch that have a target (MLM), one a sequence (a classifier), else all;
 * or, after gp_model_load, those that are asked for, rows (n) in host memory. */
void gp_head_load(gp_model *m, gp_acts *a, const gp_batch *batch);
void gp_head_select_rows(gp_model *m, gp_acts *a, const int32_t *rows, int64_t n);
/* From the output of the last norm to the input of the head's product (n,C); the product with the loss, from that; and
 * from there to a->dx, the gradient of the last norm's output. */
const gp_tensor *gp_head_forward(gp_model *m, gp_acts *a, const gp_tensor *x);
void gp_model_loss(gp_model *m, gp_acts *a, const gp_tensor *x, bool train);
void gp_head_backward(gp_model *m, gp_acts *a);

/* What a model computes of a batch, and how many numbers that is: logits, B*T*V or B*labels; or, without a head, hidden
 * states, B*T*C. */
int64_t gp_config_outputs(const gp_config *c, int64_t B, int64_t T);
int gp_model_outputs(gp_model *m, const gp_batch *batch, float *outputs);

/* decode.c: 0 if the model has logits of the next token; -1 with a message that ends in `therefore`. */
int gp_model_check_next(const gp_model *m, const char *therefore);

/* decode.c: blocks and head over the tokens and positions in m->row. */
void gp_model_decode_loaded(gp_model *m);

/* append.c: rows [first, first + count) of a (...,width) tensor, as (count,width). */
gp_tensor gp_rows_of(const gp_tensor *t, int64_t first, int64_t count);
/* append.c: the head, with the pending norm before it. */
void gp_model_head(gp_model *m, gp_acts *a, const gp_tensor *x, gp_tensor *logits);
/* append.c: appends T tokens to a row, as gp_model_append does, up to GP_APPEND_FEW. logits (T,V), in the backend's
 * memory, are those of all. */
int gp_model_append_all(gp_model *m, int64_t row, const int32_t *ids, int32_t position, gp_tensor *logits);
/* append.c: fails if T tokens at this position exceed the context. */
int gp_model_check_position(const gp_model *m, int64_t position, int64_t T);

/* decode_loop.c: decoding in which each sampled token is the next input, without waiting for the host. After
 * gp_model_plan_cache:
 *
 *     gp_rows_plan(m, &how, false, 0);
 *     gp_model_prefill(m, b, ids, T);              // for each row
 *     gp_rows_set(m, b, sample, drawn, T);         // likewise
 *     gp_rows_draw(m, 0, B);                       // a step: the first token of each, from the prompt's logits
 *     gp_rows_step(m);                             // a step: reads the sampled tokens, and samples the next
 *     gp_rows_wait(m, step);                       // steps are numbered from 0; then for each row that is not idle
 *     const gp_draw *d = gp_rows_sampled(m, b, i); // its draw number i, and gp_rows_top
 *
 * At most GP_DRAWS_PENDING steps may be pending. A row must be set before the steps in which it takes part, and made
 * idle after them; it must not exceed the context. */
void gp_rows_plan(gp_model *m, const gp_sampling *how, bool log_probabilities, int64_t tops);
/* `cached` ids of the row are in the cache, and `drawn` tokens of its sample have been sampled. */
void gp_rows_set(gp_model *m, int64_t b, int64_t sample, int64_t drawn, int64_t cached);
void gp_rows_see(gp_model *m, int64_t b, const int32_t *ids,
                 int64_t count); /* ids for the repetition penalty, if any */
void gp_rows_idle(gp_model *m, int64_t b);
void gp_rows_draw(gp_model *m, int64_t first, int64_t count);
void gp_rows_step(gp_model *m);
void gp_rows_wait(gp_model *m, int64_t step);
const gp_draw *gp_rows_sampled(const gp_model *m, int64_t b, int64_t i);
const gp_candidate *gp_rows_top(const gp_model *m, int64_t b, int64_t i);
void gp_rows_release(gp_model *m);
/* Drafts (infer/draft.c): reads T tokens of row 0 at once, the last one sampled and those that may follow it, and draws
 * from the logits of token t, as after a step that has read the tokens up to it. 0 or -1. */
int gp_rows_verify(gp_model *m, const int32_t *ids, int64_t T);
void gp_rows_draw_verified(gp_model *m, int64_t t);

/* A forward pass over the loaded batch, with losses only of the n rows whose target (B,T) is not negative. selected and
 * losses (n), on the host, receive their targets and losses. Returns the input of the head for them (n,C), valid until
 * the next pass. */
gp_tensor gp_model_forward_selected(gp_model *m, gp_acts *a, const int32_t *targets, int32_t *selected, float *losses);

/* Logits (n,V) of rows of that result, in the backend's memory and on the host. */
void gp_model_head_rows(gp_model *m, const gp_tensor *x, gp_tensor *logits, float *host);

/* top.c: sorts the n most likely of the ids `from` (count; NULL: of all V) into top; of equals, the lower id first.
 * log_p is over all V logits. */
void gp_find_top(const float *logits, int64_t V, const int32_t *from, int64_t count, gp_token_logprob *top, int64_t n);

/* flops.c: bytes read by a decoding step, in the dtype of activations: the weights that a token uses, and the keys and
 * values of `read` cached tokens, over all rows. */
double gp_model_decode_bytes(const gp_model *m, int64_t read);

/* A training pass over the loaded batch: forward, loss and backward, recorded if the backend can. */
void gp_model_learn(gp_model *m, gp_acts *a, bool dropout);

/* Before the first backward pass of a step: afterwards the gradients are those of the passes since. */
void gp_model_begin_gradients(gp_model *m);

/* trace.c: these do nothing unless a tracer is set. */
void gp_trace(gp_model *m, gp_traced_kind kind, int64_t layer, const gp_tensor *t);
void gp_trace_hidden(gp_model *m, gp_acts *a, int64_t layer, const gp_tensor *t); /* and the lens */
void gp_trace_output(gp_model *m, const gp_param *weight, const gp_tensor *t);
void gp_trace_attention(gp_model *m, gp_acts *a, int64_t layer);             /* and context */
const char *gp_traced_name(const gp_traced *what, char text[GP_PARAM_NAME]); /* "layer.3.qkv"; returns text */

/* Sets the callbacks for tensors of all passes and for completed gradients; each may be NULL. */
void gp_model_observe(gp_model *m, const gp_tracer *tracer, gp_grad_ready_fn *grad_ready, void *self);

/* gp_model_outputs, traced. */
int gp_model_trace(gp_model *m, const gp_batch *batch, float *logits, const gp_tracer *tracer);

void gp_model_weights_changed(gp_model *m); /* after writing to m->p: refreshes the slots */

/* A parameter in the backend's memory, data NULL if it is in a weight format; and copies of its row->count numbers from
 * and to fp32 on the host, rounded as it is stored. */
gp_tensor gp_model_parameter(const gp_model *m, const gp_param *row);
void gp_model_row_upload(gp_model *m, const gp_param *row, const float *host);
void gp_model_row_download(const gp_model *m, const gp_param *row, float *host);

/* The same for lines [first, first + lines) of its dim[0] lines of dim[1] numbers; in a weight format, both multiples
 * of GP_WEIGHT_BLOCK but at the end. Where gp_model_is_on_host, several threads may upload different lines of rows that
 * are not borrowed. host: aligned, of a dtype that gp_model_takes: fp32 always. */
bool gp_model_takes(const gp_model *m, const gp_param *row, gp_dtype dtype);
void gp_model_lines_upload(gp_model *m, const gp_param *row, int64_t first, int64_t lines, const void *host,
                           gp_dtype dtype);
void gp_model_lines_download(const gp_model *m, const gp_param *row, int64_t first, int64_t lines, float *host);

/* borrow.c: reads a row's numbers where they are instead of copying them: data has the row's shape, row-major, fp32,
 * aligned to 4 bytes, and stays until the lender is told (gp_model_add_lender). false, and nothing happens, where the
 * model trains, its memory is not the host's, or the row is stored otherwise. An upload to the row copies it first. */
bool gp_model_can_borrow(const gp_model *m, const gp_param *row, const void *data);
bool gp_model_row_borrow(gp_model *m, const gp_param *row, const float *data);
const float *gp_model_row_borrowed(const gp_model *m, const gp_param *row); /* data, or NULL */
void gp_model_add_lender(gp_model *m, gp_lender lender);
void gp_model_row_own(gp_model *m, const gp_param *row); /* copies a borrowed row into the model's own memory */
void gp_model_return_rows(gp_model *m);                  /* when the model is freed */

/* Whether the host can write to the backend's memory. */
bool gp_model_is_on_host(const gp_model *m);

/* model.c: points the layers' tensors at their rows. */
void gp_model_bind(gp_model *m);

/* Where line `first` of a row is in the model's own memory, to be written as fp32; NULL: it is not there, and has to be
 * uploaded. */
float *gp_model_lines_place(const gp_model *m, const gp_param *row, int64_t first);

/* A copy of a tensor in the backend's memory, as fp32 on the host. */
void gp_model_download(const gp_model *m, const gp_tensor *t, float *host);

void gp_model_open_slots(gp_model *m, int64_t rows);
void gp_model_reserve_positions(gp_model *m, int64_t count);

/* Copy m->host_step to m->step, and back. */
void gp_step_upload(gp_model *m);
void gp_step_download(gp_model *m);

#endif
