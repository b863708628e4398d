/* ref.h: the ops of ref, one by one, so that another backend can borrow those that are not worth its own
 * code.
 *
 * What they are is said in backend.h. They compute on host memory in fp32 with be->threads threads, and take
 * scratch from be->workspace: a backend that borrows one plans at least gp_ref_plan bytes.
 *
 * Opened in bf16, ref stays in fp32 memory and rounds where a GPU stores bf16 (loops.h, and each op's head): what a
 * bf16 backend is compared with. */
#ifndef GP_REF_H
#define GP_REF_H

#include "backend/backend.h"

extern const gp_backend_ops gp_ref_ops;

/* memory: the host's */
void *gp_ref_alloc(gp_backend *be, size_t bytes);
void gp_ref_free(gp_backend *be, void *p, size_t bytes);
void gp_ref_zero(gp_backend *be, void *p, size_t bytes);
void gp_ref_copy(gp_backend *be, void *dst, const void *src, size_t bytes);
void gp_ref_sync(gp_backend *be);
void gp_ref_available_memory(gp_backend *be, size_t *free, size_t *total);

/* Marks and recordings of a backend whose ops are done when they return: there is nothing to wait for, and nothing is
 * recorded. */
void gp_ref_mark(gp_backend *be, gp_mark **mark);
bool gp_ref_record(gp_backend *be, gp_recording **r);
void gp_ref_record_free(gp_backend *be, gp_recording **r);
size_t gp_ref_plan(gp_backend *be, const gp_shape *shape);

/* weights: used as they are, without a slot; in bf16 from a rounded one */
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

/* "AMD EPYC 9654 96-Core Processor" as the system names it, or "unknown processor". */
void gp_ref_processor(char *text, size_t size);

/* The threads to use when `asked` for that many (0: as many as OpenMP would take); -1 with a message. */
int gp_ref_threads(int asked);

#endif
