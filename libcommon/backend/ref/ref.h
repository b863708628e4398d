/* ref.h: the ops of ref, so that other backends can use them.
 *
 * backend.h describes them. They compute on host memory in fp32 with be->threads threads, and use scratch from
 * be->workspace: a backend that uses one of them must plan at least gp_ref_plan bytes.
 *
 * With dtype bf16, ref stores fp32 but rounds values that a GPU stores in bf16 (loops.h, and the comments of the ops);
 * bf16 backends are compared with it. */
#ifndef GP_REF_H
#define GP_REF_H

#include "backend/backend.h"

extern const gp_backend_ops gp_ref_ops;

/* host memory */
void *gp_ref_alloc(gp_backend *be, size_t bytes);
void gp_ref_free(gp_backend *be, void *p, size_t bytes);
void gp_ref_zero(gp_backend *be, void *p, size_t bytes);
void gp_ref_copy(gp_backend *be, void *dst, const void *src, size_t bytes);
void gp_ref_sync(gp_backend *be);
void gp_ref_available_memory(gp_backend *be, size_t *free, size_t *total);

/* Marks and recordings of a backend with synchronous ops: they do nothing, and nothing is recorded. */
void gp_ref_mark(gp_backend *be, gp_mark **mark);
bool gp_ref_record(gp_backend *be, gp_recording **r);
void gp_ref_record_free(gp_backend *be, gp_recording **r);
size_t gp_ref_plan(gp_backend *be, const gp_shape *shape);

/* Weights are read in place, without a slot; in bf16 from a rounded slot. */
void gp_ref_weight_open(gp_backend *be, gp_weight *w, int64_t rows);
size_t gp_ref_weight_bytes(gp_backend *be, const gp_weight *w);
void gp_ref_weights_changed(gp_backend *be, gp_weight *const *w, int count);
void gp_ref_weight_close(gp_backend *be, gp_weight *w);

void gp_ref_embed_forward(gp_backend *be, const gp_embed_op *op);
void gp_ref_embed_backward(gp_backend *be, const gp_embed_op *op);
void gp_ref_dropout(gp_backend *be, gp_tensor *x, gp_dropout drop);
void gp_ref_norm_forward(gp_backend *be, const gp_norm_op *op);
void gp_ref_norm_backward(gp_backend *be, const gp_norm_op *op);
void gp_ref_linear_forward(gp_backend *be, const gp_linear_op *op); /* linear_decode too */
void gp_ref_linear_backward(gp_backend *be, const gp_linear_op *op);
void gp_ref_act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre);
void gp_ref_act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre);
void gp_ref_attention_forward(gp_backend *be, const gp_attention_op *op);
void gp_ref_attention_backward(gp_backend *be, const gp_attention_op *op);
void gp_ref_attention_cached(gp_backend *be, const gp_attention_cached_op *op);
void gp_ref_head_loss(gp_backend *be, const gp_head_op *op);
void gp_ref_head_logits(gp_backend *be, const gp_head_op *op); /* head_decode too */
void gp_ref_grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step);
void gp_ref_adamw(gp_backend *be, const gp_adamw_op *op);
void gp_ref_sample(gp_backend *be, const gp_sample_op *op);

/* The system's name of the processor, "AMD EPYC 9654 96-Core Processor", or "unknown processor". */
void gp_ref_processor(char *text, size_t size);

/* The number of threads to use if `requested` are (0: OpenMP's default); -1 if it is out of range. */
int gp_ref_threads(int requested);

#endif
