/* op_linear.cu: y = act(x W + bias), its gradients, and activations as separate ops. */
#include "backend/cuda/activation.cuh"
#include "backend/cuda/matmul.cuh"

constexpr int ACT_THREADS = 256;

/* ---- activations ----------------------------------------------------------------------------------------- */

template <class T> struct Activation {
    gp_act act;
    T *out;
    const T *dy, *pre; /* dy: null forward */
    int64_t count;
};

/* out = act(pre), or out = dy act'(pre)          all (count)
 * One thread per pack (or, with unaligned addresses and at the end, per element); out may be dy or pre. Writes (=). */
template <class T, bool packed> __global__ void __launch_bounds__(ACT_THREADS) activate(Activation<T> a)
{
    constexpr int W = packed ? Pack<T>::size : 1;
    int64_t i = (static_cast<int64_t>(blockIdx.x) * ACT_THREADS + threadIdx.x) * W;
    if (packed && i + W <= a.count) {
        Pack<T> pre = load_pack(a.pre + i), dy = {}, out;
        if (a.dy)
            dy = load_pack(a.dy + i);
#pragma unroll
        for (int k = 0; k < W; k++)
            out.v[k] = from_float<T>(a.dy ? to_float(dy.v[k]) * act_slope(a.act, to_float(pre.v[k]))
                                          : act_value(a.act, to_float(pre.v[k])));
        store_pack(a.out + i, out);
        return;
    }
    for (int64_t end = i + W < a.count ? i + W : a.count; i < end; i++)
        a.out[i] = from_float<T>(a.dy ? to_float(a.dy[i]) * act_slope(a.act, to_float(a.pre[i]))
                                      : act_value(a.act, to_float(a.pre[i])));
}

template <class T> static void run_activation(gp_backend *be, const Activation<T> &a)
{
    if (packable<T>(0, a.out, a.dy, a.pre))
        RUN(be, (activate<T, true>), blocks_for(a.count, ACT_THREADS * Pack<T>::size), ACT_THREADS, 0, a);
    else
        RUN(be, (activate<T, false>), blocks_for(a.count, ACT_THREADS), ACT_THREADS, 0, a);
}

static void activation(gp_backend *be, gp_act act, const gp_tensor *out, const gp_tensor *dy, const gp_tensor *pre)
{
    int64_t count = gp_tensor_count(out);
    BUG_ON(gp_tensor_count(pre) != count || (dy && gp_tensor_count(dy) != count));
    with_type(be, [&](auto type) {
        using T = typename decltype(type)::type;
        run_activation<T>(be, {act, data_of<T>(out), data_of<T>(dy), data_of<T>(pre), count});
    });
}

void gp_cuda_act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre)
{
    activation(be, act, y, nullptr, pre);
}

void gp_cuda_act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre)
{
    activation(be, act, dx, dy, pre);
}

/* ---- the products ---------------------------------------------------------------------------------------- */

size_t gp_cuda_linear_workspace(const gp_backend *be, const gp_shape *shape)
{
    (void)shape;
    return matmul_workspace(be);
}

void gp_cuda_linear_forward(gp_backend *be, const gp_linear_op *op)
{
    int64_t rows = rows_of(op->x), I = columns_of(op->x), O = columns_of(op->y);
    BUG_ON(I != weight_inputs(op->w) || O != weight_outputs(op->w) || rows_of(op->y) != rows);
    BUG_ON(op->bias && (!op->w->bias || op->bias->data != op->w->bias->data)); /* its copy is the weight's */
    const gp_tensor *pre = op->pre ? op->pre : op->y;
    Product p = {};
    p.M = rows, p.N = O, p.K = I;
    p.a = op->x->data;
    p.b = weight_data(be, op->w);
    p.b_transposed = op->w->transposed;
    p.d = pre->data;
    p.in = be->dtype, p.out = be->act_dtype;
    if (op->bias) {
        p.bias = weight_bias(be, op->w);
        p.epilogue = Epilogue::bias;
    }
    bool fused = op->act == GP_ACT_GELU_TANH;
    if (fused) {
        p.epilogue = Epilogue::gelu;
        p.d = op->y->data;
        p.pre = op->pre ? op->pre->data : nullptr;
    }
    matmul(be, &p);
    if (!fused && (op->act != GP_ACT_NONE || pre != op->y))
        activation(be, op->act, op->y, nullptr, pre);
}

/* dx = (dy W^T) in_act'(in_pre) */
static void input_gradient(gp_backend *be, const gp_linear_op *op, int64_t rows)
{
    int64_t I = weight_inputs(op->w), O = weight_outputs(op->w);
    BUG_ON(gp_tensor_count(op->dx) != rows * I);
    Product p = {};
    p.M = rows, p.N = I, p.K = O;
    p.a = op->dy->data;
    p.b = weight_data(be, op->w);
    p.b_transposed = !op->w->transposed;
    p.d = op->dx->data;
    p.in = be->dtype, p.out = be->act_dtype;
    bool fused = op->in_act == GP_ACT_GELU_TANH;
    if (fused) {
        p.epilogue = Epilogue::gelu_slope;
        p.pre = op->in_pre->data;
    }
    matmul(be, &p);
    if (!fused && op->in_act != GP_ACT_NONE)
        activation(be, op->in_act, op->dx, op->dx, op->in_pre);
}

/* dW += x^T dy, or, stored (O,I), dy^T x; dbias += column sums of dy */
static void weight_gradient(gp_backend *be, const gp_linear_op *op, int64_t rows)
{
    const gp_tensor *left = op->w->transposed ? op->dy : op->x, *right = op->w->transposed ? op->x : op->dy;
    BUG_ON(gp_tensor_count(op->x) != rows * weight_inputs(op->w));
    BUG_ON(gp_tensor_count(op->dw) != gp_tensor_count(&op->w->w));
    Product p = {};
    p.M = op->w->w.dim[0], p.N = op->w->w.dim[1], p.K = rows;
    p.a = left->data;
    p.a_transposed = true;
    p.b = right->data;
    p.d = data_of<float>(op->dw);
    p.in = be->dtype, p.out = GP_F32;
    p.add = true;
    if (op->first_dw)
        gp_cuda_zero(be, p.d, static_cast<size_t>(gp_tensor_bytes(op->dw)));
    if (op->dbias)
        (op->w->transposed ? p.a_sums : p.b_sums) = data_of<float>(op->dbias);
    matmul(be, &p);
}

void gp_cuda_linear_backward(gp_backend *be, const gp_linear_op *op)
{
    int64_t rows = rows_of(op->dy), O = columns_of(op->dy);
    BUG_ON(O != weight_outputs(op->w));
    if (op->dx)
        input_gradient(be, op, rows);
    if (op->dw)
        weight_gradient(be, op, rows);
    else if (op->dbias)
        column_sums(be, op->dy->data, rows, O, data_of<float>(op->dbias));
}
