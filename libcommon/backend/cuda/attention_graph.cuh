/* attention_graph.cuh: attention as cuDNN operation graphs. cuDNN matches them, operation by operation, against its
 * known patterns, and runs one fused kernel.
 *
 *     forward    s = mask(scale q k^T);  m = max s;  e = exp(s - m);  z = sum e;  lse = m + log z;  out = (e / z) v
 *     backward   delta = sum over D of dout out;  p = exp(mask(scale q k^T - lse));  dv = p^T dout;
 *                ds = scale p (dout v^T - delta);  dk = ds^T q;  dq = ds k
 *
 * Of cuDNN's two backward patterns this is the deterministic one: in the other, blocks add to an fp32 dq in the order
 * in which they arrive. This one stores the gradients of all scores, (B,H,T,T) in bf16, in cuDNN's workspace. */
#ifndef GP_CUDA_ATTENTION_GRAPH_CUH
#define GP_CUDA_ATTENTION_GRAPH_CUH

#include "backend/cuda/cudnn.cuh"

/* All that a plan depends on: H heads of size D in rows of qkv (B,T,3C) and out (B,T,C). */
struct AttentionShape {
    int64_t B, T, H, D;
    bool causal;
};

/* Tensors that are bound to a graph: bf16, except LSE and DELTA, fp32 (B,H,T), and the scalars SCALE, ONE and, with a
 * causal mask, MINUS_INFINITY. DELTA is scratch. */
enum AttentionUid : int64_t { Q = 1, K, V, OUT, LSE, DOUT, DQ, DK, DV, DELTA, SCALE, ONE, MINUS_INFINITY };

/* For graph_plan and graph_release. */
void attention_graph_forward(Graph *g, const Cudnn *dnn, const AttentionShape &shape);
void attention_graph_backward(Graph *g, const Cudnn *dnn, const AttentionShape &shape);

#endif
