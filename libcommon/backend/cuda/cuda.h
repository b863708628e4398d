/* cuda.h: the interface between the C table of the CUDA backend (cuda.c) and the files that nvcc compiles; it contains
 * no CUDA. Each op is one file, op_NAME.cu; device.cu has memory, the stream and errors, record.cu graphs and
 * events. */
#ifndef GP_CUDA_CUDA_H
#define GP_CUDA_CUDA_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The GPU architectures in this build: "sm_90, PTX of 80". */
extern const char gp_cuda_built_for[];

/* device_open.cu: 0, or -1 when there is no device or driver that this build can use. */
int gp_cuda_device_open(gp_backend *be);

/* device.cu */
void gp_cuda_device_close(gp_backend *be);
void *gp_cuda_alloc(gp_backend *be, size_t bytes);
void gp_cuda_free(gp_backend *be, void *p, size_t bytes);
void gp_cuda_zero(gp_backend *be, void *p, size_t bytes);
void gp_cuda_upload(gp_backend *be, void *dst, const void *host, size_t bytes);
void gp_cuda_upload_as(gp_backend *be, void *dst, gp_dtype to, const void *host, gp_dtype from, int64_t count);
void gp_cuda_download(gp_backend *be, void *host, const void *src, size_t bytes);
void gp_cuda_copy(gp_backend *be, void *dst, const void *src, size_t bytes);
void gp_cuda_sync(gp_backend *be);
void gp_cuda_available_memory(gp_backend *be, size_t *free, size_t *total);
void *gp_cuda_alloc_host(gp_backend *be, size_t bytes);
void gp_cuda_free_host(gp_backend *be, void *p, size_t bytes);
void gp_cuda_download_later(gp_backend *be, void *host, const void *src, size_t bytes);

/* record.cu */
void gp_cuda_mark_set(gp_backend *be, gp_mark **mark);
void gp_cuda_mark_wait(gp_backend *be, gp_mark **mark);
void gp_cuda_mark_free(gp_backend *be, gp_mark **mark);
double gp_cuda_mark_seconds(gp_backend *be, const gp_mark *from, const gp_mark *to);
bool gp_cuda_record_begin(gp_backend *be, gp_recording **recording);
bool gp_cuda_record_end(gp_backend *be, gp_recording **recording);
void gp_cuda_record_free(gp_backend *be, gp_recording **recording);

/* Bytes of workspace that the ops of each file need; plan (cuda.c) takes the largest. */
size_t gp_cuda_norm_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_embed_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_linear_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_attention_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_head_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_update_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_decode_workspace(const gp_backend *be, const gp_shape *shape);
size_t gp_cuda_sample_workspace(const gp_backend *be, const gp_shape *shape);

/* Max rows of logits in a chunk of head_loss; 0: its own choice, thousands. For tests; call it before plan. */
void gp_cuda_head_rows(gp_backend *be, int64_t max_rows);

/* weight.cu: in bf16 a weight's slot is its bf16 copy, then that of its bias; in fp32 there is no slot. */
void gp_cuda_weight_open(gp_backend *be, gp_weight *w, int64_t rows);
size_t gp_cuda_weight_bytes(gp_backend *be, const gp_weight *w);
void gp_cuda_weights_changed(gp_backend *be, gp_weight *const *w, int count);
void gp_cuda_weight_close(gp_backend *be, gp_weight *w);

/* matmul.cu: what matrix products may use. A newly opened backend has what is fast on its device; tests try the
 * rest. */
enum gp_cuda_products {
    GP_CUDA_LT = 1,        /* cuBLASLt; without it, the plain kernel */
    GP_CUDA_FUSE_BIAS = 2, /* its epilogues instead of separate kernels */
    GP_CUDA_FUSE_GELU = 4,
    GP_CUDA_FUSE_SUMS = 8 /* BGRADA, BGRADB: the bias gradient in the kernel of the weight gradient */
};
void gp_cuda_allow_products(gp_backend *be, unsigned ways);

/* matmul_choice.cu: see gp_backend_choose_product */
int gp_cuda_choose_product(gp_backend *be, const gp_product_choice *choice);

/* The ops; see backend.h. */
#define GP_PROTOTYPE(name, parameters) void gp_cuda_##name parameters;
GP_OPS(GP_PROTOTYPE)
#undef GP_PROTOTYPE
int gp_cuda_attention_by(gp_backend *be, gp_attention_by by, const gp_shape *shape);
bool gp_cuda_attention_on_tensor_cores(const gp_backend *be, const gp_attention_op *op); /* for tests */

#ifdef __cplusplus
}
#endif
#endif
