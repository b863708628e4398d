/* attention_cudnn.cuh: attention by cuDNN, for the shapes that it was asked for. What it does not take is left to this
 * backend's own kernels, which understand each other's log-sum-exp: forward may be cuDNN's and backward not. */
#ifndef GP_CUDA_ATTENTION_CUDNN_CUH
#define GP_CUDA_ATTENTION_CUDNN_CUH

#include "backend/cuda/attention.cuh"

/* be->attention = by, and what is needed for ops of this shape: plans are made here, never in the loop. 0; or -1, where
 * cuDNN is not here or does not take the shape, and then be->attention is the own kernels'. */
int attention_cudnn_use(gp_backend *be, gp_attention_by by, const gp_shape *shape);
void attention_cudnn_close(gp_backend *be);

/* false: not this one */
bool attention_forward_cudnn(gp_backend *be, const Attention<bf16> &a);
bool attention_backward_cudnn(gp_backend *be, const Attention<bf16> &a);

/* Bytes; of a batch that no plan was made for, in proportion to one that has the rest of its shape. */
size_t attention_cudnn_workspace(const gp_backend *be, const gp_shape *shape);

#endif
