/* attention_graph.cu: see attention_graph.cuh. */
#ifdef GPTPIPE_CUDNN

#include "backend/cuda/attention_graph.cuh"

/* Queries, keys or values in rows of qkv, and heads in rows of out. */
static Shape heads_of_qkv(const AttentionShape &s)
{
    int64_t C = s.H * s.D;
    return {{s.B, s.H, s.T, s.D}, {s.T * 3 * C, s.D, 3 * C, 1}};
}
static Shape heads_of_out(const AttentionShape &s)
{
    int64_t C = s.H * s.D;
    return {{s.B, s.H, s.T, s.D}, {s.T * C, s.D, C, 1}};
}

struct AttentionBuilder {
    Graph *g;
    const AttentionShape *s;
    Shape scores, rows; /* (B,H,T,T) and (B,H,T,1) */

    Node fp32(const Shape &shape) const
    {
        return graph_virtual(g, CUDNN_DATA_FLOAT, shape);
    }
    Node stored(const Shape &shape, int64_t uid) const
    {
        return graph_tensor(g, CUDNN_DATA_BFLOAT16, shape, uid);
    }
    Node pointwise(cudnnPointwiseMode_t mode, const Operands &from, const Shape &shape) const
    {
        Node y = fp32(shape);
        graph_pointwise(g, mode, from, y);
        return y;
    }
    Node product(Node a, Node b) const
    {
        Node c = fp32(scores);
        graph_matmul(g, a, b, c);
        return c;
    }
    Node reduced(cudnnReduceTensorOp_t how, Node x) const
    {
        Node y = fp32(rows);
        graph_reduce(g, how, x, y);
        return y;
    }
    /* Causal mask: scores of keys after the query become minus infinity. */
    Node masked(Node x) const
    {
        if (!s->causal)
            return x;
        Node row = graph_virtual(g, CUDNN_DATA_INT32, scores), column = graph_virtual(g, CUDNN_DATA_INT32, scores);
        Node sees = graph_virtual(g, CUDNN_DATA_BOOLEAN, scores);
        graph_index(g, x, 2, row);
        graph_index(g, x, 3, column);
        graph_pointwise(g, CUDNN_POINTWISE_CMP_GE, {row, column}, sees);
        return pointwise(CUDNN_POINTWISE_BINARY_SELECT, {x, graph_scalar(g, MINUS_INFINITY), sees}, scores);
    }
    /* (B,H,T,T) transposed and in bf16, as the following product needs it */
    Node transposed(Node x) const
    {
        Node y = graph_virtual(g, CUDNN_DATA_BFLOAT16, shape_transposed(scores));
        graph_reshape(g, x, y);
        return y;
    }
};

static AttentionBuilder begin(Graph *g, const Cudnn *dnn, const AttentionShape &s)
{
    graph_init(g, dnn);
    return {g, &s, shape_dense(s.B, s.H, s.T, s.T), shape_dense(s.B, s.H, s.T, 1)};
}

void attention_graph_forward(Graph *g, const Cudnn *dnn, const AttentionShape &shape)
{
    AttentionBuilder d = begin(g, dnn, shape);
    Shape qkv_heads = heads_of_qkv(shape);
    Node q = d.stored(qkv_heads, Q), k = d.stored(shape_transposed(qkv_heads), K), v = d.stored(qkv_heads, V);
    Node out = d.stored(heads_of_out(shape), OUT), lse = graph_tensor(g, CUDNN_DATA_FLOAT, d.rows, LSE);
    Node s = d.masked(d.pointwise(CUDNN_POINTWISE_MUL, {d.product(q, k), graph_scalar(g, SCALE)}, d.scores));
    Node m = d.reduced(CUDNN_REDUCE_TENSOR_MAX, s);
    Node e = d.pointwise(CUDNN_POINTWISE_EXP, {d.pointwise(CUDNN_POINTWISE_SUB, {s, m}, d.scores)}, d.scores);
    Node z = d.reduced(CUDNN_REDUCE_TENSOR_ADD, e);
    graph_pointwise(g, CUDNN_POINTWISE_ADD, {m, d.pointwise(CUDNN_POINTWISE_LOG, {z}, d.rows)}, lse);
    Node p = graph_virtual(g, CUDNN_DATA_BFLOAT16, d.scores);
    graph_pointwise(g, CUDNN_POINTWISE_DIV, {e, z}, p);
    graph_matmul(g, p, v, out);
}

void attention_graph_backward(Graph *g, const Cudnn *dnn, const AttentionShape &shape)
{
    AttentionBuilder d = begin(g, dnn, shape);
    Shape qkv_heads = heads_of_qkv(shape), heads = heads_of_out(shape);
    Node q = d.stored(qkv_heads, Q), k_transposed = d.stored(shape_transposed(qkv_heads), K);
    Node v_transposed = d.stored(shape_transposed(qkv_heads), V), out = d.stored(heads, OUT),
         dout = d.stored(heads, DOUT);
    Node dq = d.stored(qkv_heads, DQ), dk = d.stored(qkv_heads, DK), dv = d.stored(qkv_heads, DV);
    Node lse = graph_tensor(g, CUDNN_DATA_FLOAT, d.rows, LSE), scale = graph_scalar(g, SCALE);

    Node delta = graph_tensor(g, CUDNN_DATA_FLOAT, d.rows, DELTA), k = graph_virtual(g, CUDNN_DATA_BFLOAT16, qkv_heads);
    Node weighed = d.pointwise(CUDNN_POINTWISE_MUL, {dout, out}, shape_dense(shape.B, shape.H, shape.T, shape.D));
    graph_pointwise(g, CUDNN_POINTWISE_MUL, {d.reduced(CUDNN_REDUCE_TENSOR_ADD, weighed), graph_scalar(g, ONE)},
                    delta); /* cuDNN's pattern has dropout's scale here */

    Node s = d.pointwise(CUDNN_POINTWISE_MUL, {d.product(q, k_transposed), scale}, d.scores);
    Node less = d.pointwise(CUDNN_POINTWISE_SUB, {s, lse}, d.scores);
    Node p = d.pointwise(CUDNN_POINTWISE_EXP, {d.masked(less)}, d.scores);
    graph_matmul(g, d.transposed(p), dout, dv);

    Node dp = d.pointwise(CUDNN_POINTWISE_SUB, {d.product(dout, v_transposed), delta}, d.scores);
    Node ds = d.pointwise(CUDNN_POINTWISE_MUL, {dp, p}, d.scores);
    Node scaled = d.pointwise(CUDNN_POINTWISE_MUL, {ds, scale}, d.scores);
    graph_matmul(g, d.transposed(scaled), q, dk);
    graph_reshape(g, k_transposed, k);
    graph_matmul(g, scaled, k, dq);
}

#endif
