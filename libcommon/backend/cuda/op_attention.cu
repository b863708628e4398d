/* op_attention.cu: attention over whole sequences: converts the op to the kernels' arguments, and selects the
 * kernels. */
#include "backend/cuda/attention.cuh"
#include "backend/cuda/attention_cudnn.cuh"

#include <type_traits>

/* Keys and values of this many bytes together are assumed to stay in the L2 cache: 40 MB on an A100, 50 MB on an
 * H100. */
constexpr int64_t HEAD_GROUP_BYTES = 8 << 20;

template <class E> static Attention<E> attention_of(const gp_attention_op *op)
{
    int64_t B = op->qkv->dim[0], T = op->qkv->dim[1], C = op->qkv->dim[2] / 3, H = op->heads, D = C / H;
    BUG_ON(H * D != C || B * T * H > INT32_MAX);
    if (D > ATTENTION_PLAIN_D)
        die("backend cuda: head size is %d, max is %d; use more heads", static_cast<int>(D), ATTENTION_PLAIN_D);
    Attention<E> a = {};
    a.B = static_cast<int>(B);
    a.T = static_cast<int>(T);
    a.H = static_cast<int>(H);
    a.D = static_cast<int>(D);
    a.causal = op->causal;
    a.head_group =
        static_cast<int>(gp_max(1, gp_min(B * H, HEAD_GROUP_BYTES / (2 * T * D * static_cast<int64_t>(sizeof(E))))));
    a.scale = 1 / static_cast<float>(gp_scores_divisor(op->divisor, D));
    a.lengths = op->lengths;
    a.mask = mask_of(op->drop);
    a.qkv = data_of<E>(op->qkv);
    a.out = data_of<E>(op->out);
    a.lse = data_of<float>(op->lse);
    a.dout = data_of<E>(op->dout);
    a.dqkv = data_of<E>(op->dqkv);
    a.aligned = packable<E>(D, a.qkv, a.out, a.dout, a.dqkv);
    BUG_ON(gp_tensor_count(op->out) != B * T * C);
    return a;
}

/* Whether the tensor-core kernels support the shape: heads aligned to 16 bytes, and with dropout rows of whole Philox
 * draws. */
static bool flash_takes(const Attention<bf16> &a)
{
    return a.aligned && a.D <= ATTENTION_FLASH_D && !(a.mask.step && a.T % 4);
}

bool gp_cuda_attention_on_tensor_cores(const gp_backend *be, const gp_attention_op *op)
{
    return be->act_dtype == GP_BF16 && flash_takes(attention_of<bf16>(op));
}

template <class E> static void forward(gp_backend *be, const gp_attention_op *op)
{
    Attention<E> a = attention_of<E>(op);
    if constexpr (std::is_same<E, bf16>::value) {
        if (attention_forward_cudnn(be, a))
            return;
        if (flash_takes(a))
            return attention_forward_flash(be, a);
    }
    attention_forward_plain(be, a);
}

void gp_cuda_attention_forward(gp_backend *be, const gp_attention_op *op)
{
    with_type(be, [&](auto type) { forward<typename decltype(type)::type>(be, op); });
}

/* bytes of Attention::rows */
static size_t backward_bytes(int64_t B, int64_t T, int64_t H)
{
    return static_cast<size_t>(B * T * H) * sizeof(float2);
}

template <class E> static void backward(gp_backend *be, const gp_attention_op *op)
{
    Attention<E> a = attention_of<E>(op);
    BUG_ON(!a.lse || gp_tensor_count(op->dout) != gp_tensor_count(op->out));
    if constexpr (std::is_same<E, bf16>::value)
        if (attention_backward_cudnn(be, a))
            return;
    a.rows = static_cast<float2 *>(cuda_workspace(be, backward_bytes(a.B, a.T, a.H)));
    if constexpr (std::is_same<E, bf16>::value)
        if (flash_takes(a))
            return attention_backward_flash(be, a);
    attention_backward_plain(be, a);
}

void gp_cuda_attention_backward(gp_backend *be, const gp_attention_op *op)
{
    with_type(be, [&](auto type) { backward<typename decltype(type)::type>(be, op); });
}

size_t gp_cuda_attention_workspace(const gp_backend *be, const gp_shape *shape)
{
    size_t own = shape->train ? backward_bytes(shape->B, shape->T, shape->H) : 0;
    size_t library = attention_cudnn_workspace(be, shape);
    return own > library ? own : library;
}

int gp_cuda_attention_by(gp_backend *be, gp_attention_by by, const gp_shape *shape)
{
    return attention_cudnn_use(be, by, shape);
}
