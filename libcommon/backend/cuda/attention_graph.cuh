/* attention_graph.cuh: attention as graphs of cuDNN's operations. It looks for their pattern, operation by operation,
 * and has a kernel for the whole.
 *
 *     forward    s = mask(scale q k^T);  m = max s;  e = exp(s - m);  z = sum e;  lse = m + log z;  out = (e / z) v
 *     backward   delta = sum over D of dout out;  p = exp(mask(scale q k^T - lse));  dv = p^T dout;
 *                ds = scale p (dout v^T - delta);  dk = ds^T q;  dq = ds k
 *
 * Backward is the one of two patterns whose kernels give the same bits each time: in the other, blocks add to an fp32
 * dq as they come. This one keeps the gradients of all scores, (B,H,T,T) in bf16, in cuDNN's workspace. */
#ifndef GP_CUDA_ATTENTION_GRAPH_CUH
#define GP_CUDA_ATTENTION_GRAPH_CUH

#include "backend/cuda/cudnn.cuh"

/* All that a plan hangs on: heads of D within rows of qkv (B,T,3C) and out (B,T,C). */
struct AttentionShape {
    int64_t B, T, H, D;
    bool causal;
};

/* What is bound to a graph: bf16 but LSE and DELTA, fp32 (B,H,T), and the numbers SCALE, ONE and, of a causal one,
 * HIDDEN, which is minus infinity. DELTA is scratch. */
enum AttentionUid : int64_t { Q = 1, K, V, OUT, LSE, DOUT, DQ, DK, DV, DELTA, SCALE, ONE, HIDDEN };

/* For graph_plan and graph_release. */
void attention_graph_forward(Graph *g, const Cudnn *dnn, const AttentionShape &shape);
void attention_graph_backward(Graph *g, const Cudnn *dnn, const AttentionShape &shape);

#endif
