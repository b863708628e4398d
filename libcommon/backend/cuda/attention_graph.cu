/* attention_graph.cu: see attention_graph.cuh. */
#ifdef GPTPIPE_CUDNN

#include "backend/cuda/attention_graph.cuh"

/* Queries, keys or values within rows of qkv, and heads within rows of out. */
static Shape part_of_qkv(const AttentionShape &s)
{
    int64_t C = s.H * s.D;
    return {{s.B, s.H, s.T, s.D}, {s.T * 3 * C, s.D, 3 * C, 1}};
}
static Shape heads_of_out(const AttentionShape &s)
{
    int64_t C = s.H * s.D;
    return {{s.B, s.H, s.T, s.D}, {s.T * C, s.D, C, 1}};
}

struct Describing {
    Graph *g;
    const AttentionShape *s;
    Shape scores, rows; /* (B,H,T,T) and (B,H,T,1) */

    Node fp32(const Shape &shape) const
    {
        return graph_between(g, CUDNN_DATA_FLOAT, shape);
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
    /* Scores of keys behind the query become minus infinity. */
    Node masked(Node x) const
    {
        if (!s->causal)
            return x;
        Node row = graph_between(g, CUDNN_DATA_INT32, scores), column = graph_between(g, CUDNN_DATA_INT32, scores);
        Node sees = graph_between(g, CUDNN_DATA_BOOLEAN, scores);
        graph_index(g, x, 2, row);
        graph_index(g, x, 3, column);
        graph_pointwise(g, CUDNN_POINTWISE_CMP_GE, {row, column}, sees);
        return pointwise(CUDNN_POINTWISE_BINARY_SELECT, {x, graph_number(g, HIDDEN), sees}, scores);
    }
    /* (B,H,T,T) turned, in bf16 as the product that reads it wants it */
    Node turned(Node x) const
    {
        Node y = graph_between(g, CUDNN_DATA_BFLOAT16, shape_transposed(scores));
        graph_reshape(g, x, y);
        return y;
    }
};

static Describing begin(Graph *g, const Cudnn *dnn, const AttentionShape &s)
{
    graph_init(g, dnn);
    return {g, &s, shape_dense(s.B, s.H, s.T, s.T), shape_dense(s.B, s.H, s.T, 1)};
}

void attention_graph_forward(Graph *g, const Cudnn *dnn, const AttentionShape &shape)
{
    Describing d = begin(g, dnn, shape);
    Shape part = part_of_qkv(shape);
    Node q = d.stored(part, Q), k = d.stored(shape_transposed(part), K), v = d.stored(part, V);
    Node out = d.stored(heads_of_out(shape), OUT), lse = graph_tensor(g, CUDNN_DATA_FLOAT, d.rows, LSE);
    Node s = d.masked(d.pointwise(CUDNN_POINTWISE_MUL, {d.product(q, k), graph_number(g, SCALE)}, d.scores));
    Node m = d.reduced(CUDNN_REDUCE_TENSOR_MAX, s);
    Node e = d.pointwise(CUDNN_POINTWISE_EXP, {d.pointwise(CUDNN_POINTWISE_SUB, {s, m}, d.scores)}, d.scores);
    Node z = d.reduced(CUDNN_REDUCE_TENSOR_ADD, e);
    graph_pointwise(g, CUDNN_POINTWISE_ADD, {m, d.pointwise(CUDNN_POINTWISE_LOG, {z}, d.rows)}, lse);
    Node p = graph_between(g, CUDNN_DATA_BFLOAT16, d.scores);
    graph_pointwise(g, CUDNN_POINTWISE_DIV, {e, z}, p);
    graph_matmul(g, p, v, out);
}

void attention_graph_backward(Graph *g, const Cudnn *dnn, const AttentionShape &shape)
{
    Describing d = begin(g, dnn, shape);
    Shape part = part_of_qkv(shape), heads = heads_of_out(shape);
    Node q = d.stored(part, Q), k_turned = d.stored(shape_transposed(part), K);
    Node v_turned = d.stored(shape_transposed(part), V), out = d.stored(heads, OUT), dout = d.stored(heads, DOUT);
    Node dq = d.stored(part, DQ), dk = d.stored(part, DK), dv = d.stored(part, DV);
    Node lse = graph_tensor(g, CUDNN_DATA_FLOAT, d.rows, LSE), scale = graph_number(g, SCALE);

    Node delta = graph_tensor(g, CUDNN_DATA_FLOAT, d.rows, DELTA), k = graph_between(g, CUDNN_DATA_BFLOAT16, part);
    Node weighed = d.pointwise(CUDNN_POINTWISE_MUL, {dout, out}, shape_dense(shape.B, shape.H, shape.T, shape.D));
    graph_pointwise(g, CUDNN_POINTWISE_MUL, {d.reduced(CUDNN_REDUCE_TENSOR_ADD, weighed), graph_number(g, ONE)},
                    delta); /* the pattern has dropout's scale here */

    Node s = d.pointwise(CUDNN_POINTWISE_MUL, {d.product(q, k_turned), scale}, d.scores);
    Node less = d.pointwise(CUDNN_POINTWISE_SUB, {s, lse}, d.scores);
    Node p = d.pointwise(CUDNN_POINTWISE_EXP, {d.masked(less)}, d.scores);
    graph_matmul(g, d.turned(p), dout, dv);

    Node dp = d.pointwise(CUDNN_POINTWISE_SUB, {d.product(dout, v_turned), delta}, d.scores);
    Node ds = d.pointwise(CUDNN_POINTWISE_MUL, {dp, p}, d.scores);
    Node scaled = d.pointwise(CUDNN_POINTWISE_MUL, {ds, scale}, d.scores);
    graph_matmul(g, d.turned(scaled), q, dk);
    graph_reshape(g, k_turned, k);
    graph_matmul(g, scaled, k, dq);
}

#endif
