/* attention_cudnn.cuh: attention by cuDNN, for the shapes that were requested. Other shapes use this backend's own
 * kernels, whose log-sum-exp is the same: forward may be cuDNN's and backward not. */
#ifndef GP_CUDA_ATTENTION_CUDNN_CUH
#define GP_CUDA_ATTENTION_CUDNN_CUH

#include "backend/cuda/attention.cuh"

/* Sets be->attention = by and builds the plans for ops of this shape: here, never in the loop. 0; or -1, where cuDNN is
 * missing or does not support the shape, and then be->attention is GP_ATTENTION_OWN. */
int attention_cudnn_use(gp_backend *be, gp_attention_by by, const gp_shape *shape);
void attention_cudnn_close(gp_backend *be);

/* false: no plan for this op; nothing was launched */
bool attention_forward_cudnn(gp_backend *be, const Attention<bf16> &a);
bool attention_backward_cudnn(gp_backend *be, const Attention<bf16> &a);

/* Bytes. For a batch size without a plan, in proportion to a plan for the same shape with another batch size. */
size_t attention_cudnn_workspace(const gp_backend *be, const gp_shape *shape);

#endif
