/* op_decode.cu: the linear and the head for decoding: on the tensor cores where the shape allows it, else by plain
 * kernels. */
#include "backend/cuda/decode.cuh"
#include "backend/cuda/matmul.cuh"

namespace
{

/* A block has WARPS warps, which split the inputs, or the outputs where the lanes of a warp split the inputs. */
constexpr int WARPS = 16, PLAIN_THREADS = WARPS * 32, PLAIN_OUTPUTS = 32;

/* y = act(x W + bias)      x (rows,I), W (I,O), y (rows,O); any shape
 * Grid: (O / 32, rows / R). Block: 32 outputs of R rows; lane i owns output i, and warp w adds inputs w, w + WARPS,
 * ...; then the sums of the warps are added in order of w. */
template <class T, int R> __global__ void __launch_bounds__(PLAIN_THREADS) decode_by_input(Decode d)
{
    SHARED(float, sums, [WARPS][R][32]);
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t o = static_cast<int64_t>(blockIdx.x) * PLAIN_OUTPUTS + lane, row0 = static_cast<int64_t>(blockIdx.y) * R;
    const T *x = static_cast<const T *>(d.x) + row0 * d.I, *w = static_cast<const T *>(d.w) + o;
    float sum[R] = {};
    if (o < d.O)
#pragma unroll 8
        for (int64_t k = warp; k < d.I; k += WARPS) {
            float weight = to_float(w[k * d.O]);
#pragma unroll
            for (int r = 0; r < R; r++)
                if (row0 + r < d.rows)
                    sum[r] = fmaf(to_float(x[r * d.I + k]), weight, sum[r]);
        }
#pragma unroll
    for (int r = 0; r < R; r++)
        sums[warp][r][lane] = sum[r];
    __syncthreads();
    for (int64_t r = warp; r < R && o < d.O && row0 + r < d.rows; r += WARPS) {
        float total = 0;
        for (int p = 0; p < WARPS; p++)
            total += sums[p][r][lane];
        decode_finish<T>(d, row0 + r, o, total, d.bias ? d.bias[o] : 0);
    }
}

/* y = act(x W + bias)      x (rows,I), W stored (O,I), y (rows,O); any shape
 * Grid: (O / 32, rows / R). Block: 32 outputs of R rows; a warp owns two of the outputs, lane i adds inputs i, i + 32,
 * ... One block per multiprocessor is enough: without the bound ptxas takes 64 registers for sm_100, and spills. */
template <class T, int R> __global__ void __launch_bounds__(PLAIN_THREADS, 1) decode_by_output(Decode d)
{
    unsigned lane = threadIdx.x % 32;
    int64_t row0 = static_cast<int64_t>(blockIdx.y) * R, begin = static_cast<int64_t>(blockIdx.x) * PLAIN_OUTPUTS;
    const T *x = static_cast<const T *>(d.x) + row0 * d.I;
    for (int64_t o = begin + threadIdx.x / 32; o < d.O && o < begin + PLAIN_OUTPUTS; o += WARPS) {
        const T *w = static_cast<const T *>(d.w) + o * d.I;
        float sum[R] = {};
#pragma unroll 8
        for (int64_t k = lane; k < d.I; k += 32) {
            float weight = to_float(w[k]);
#pragma unroll
            for (int r = 0; r < R; r++)
                if (row0 + r < d.rows)
                    sum[r] = fmaf(to_float(x[r * d.I + k]), weight, sum[r]);
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            float total = warp_sum(sum[r]);
            if (lane == 0 && row0 + r < d.rows)
                decode_finish<T>(d, row0 + r, o, total, d.bias ? d.bias[o] : 0);
        }
    }
}

template <class T, int R> void plain(gp_backend *be, const Decode *d)
{
    dim3 grid(blocks_for(d->O, PLAIN_OUTPUTS), blocks_for(d->rows, R));
    if (d->by_output)
        RUN(be, (decode_by_output<T, R>), grid, PLAIN_THREADS, 0, *d);
    else
        RUN(be, (decode_by_input<T, R>), grid, PLAIN_THREADS, 0, *d);
}

void decode(gp_backend *be, const Decode *d)
{
    if (decode_fits_tensor(be, d))
        decode_tensor(be, d);
    else
        with_type(be, [&](auto type) {
            using T = typename decltype(type)::type;
            d->rows == 1 ? plain<T, 1>(be, d) : plain<T, 8>(be, d);
        });
}

/* The norm that gives x: in the kernel of the product where that is possible, else in a kernel before it. A row's bits
 * are the same. */
void add_norm(gp_backend *be, Decode *d, const gp_norm_op *norm)
{
    Decode both = *d;
    if (!norm)
        return;
    BUG_ON(norm->y->data != d->x || norm->drop.p > 0);
    if (be->act_dtype == GP_BF16) {
        both.residual = norm->residual->data;
        both.branch = norm->branch ? norm->branch->data : nullptr;
        both.gamma = data_of<float>(norm->gamma);
        both.beta = data_of<float>(norm->beta);
        both.sum = norm->sum ? norm->sum->data : nullptr;
        both.eps = norm->eps;
    }
    if (both.residual && decode_fits_norm(be, &both))
        *d = both;
    else
        gp_cuda_norm_forward(be, norm);
}

/* The arguments that both ops share; the caller sets y. */
Decode product_of(const gp_backend *be, const gp_tensor *x, const gp_weight *w, const gp_tensor *bias)
{
    Decode d = {};
    BUG_ON(x->dtype != be->act_dtype || columns_of(x) != weight_inputs(w));
    d.x = x->data;
    d.w = weight_data(be, w);
    d.by_output = w->transposed;
    d.bias = data_of<float>(bias);
    d.rows = rows_of(x);
    d.I = weight_inputs(w);
    d.O = weight_outputs(w);
    return d;
}

} // namespace

void gp_cuda_linear_decode(gp_backend *be, const gp_linear_op *op)
{
    Decode d = product_of(be, op->x, op->w, op->bias);
    BUG_ON(op->y->dtype != be->act_dtype || gp_tensor_count(op->y) != d.rows * d.O);
    BUG_ON(op->pre && (op->pre->dtype != be->act_dtype || gp_tensor_count(op->pre) != d.rows * d.O));
    d.y = op->y->data;
    d.pre = op->pre ? op->pre->data : nullptr;
    d.act = op->act;
    add_norm(be, &d, op->norm);
    decode(be, &d);
}

/* logits (rows,V) in fp32 */
void gp_cuda_head_decode(gp_backend *be, const gp_head_op *op)
{
    Decode d = product_of(be, op->x, op->w, op->bias);
    d.y = data_of<float>(op->logits);
    BUG_ON(gp_tensor_count(op->logits) != d.rows * d.O);
    d.fp32_out = true;
    add_norm(be, &d, op->norm);
    decode(be, &d);
}
