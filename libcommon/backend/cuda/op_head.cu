/* op_head.cu: logits, cross-entropy and their gradients, one chunk of rows at a time. */
#include "backend/cuda/kernel.cuh"
#include "backend/cuda/matmul.cuh"

#include <cfloat>
#include <cmath>

constexpr int32_t NOT_COUNTED = -100; /* ignored target */

/* ---- chunks ---------------------------------------------------------------------------------------------- */

/* Rows of logits per chunk; their gradient overwrites them. Larger chunks make the products faster: each chunk reads
 * and writes all of dW, 8 bytes per element for 2 x rows operations, which on an H100 adds a tenth to that product at
 * 8192 rows and a fifth at 4096; and dx, C columns wide, then has tiles for all multiprocessors. Beyond 8192 there is
 * little to gain; with 50257 ids in bf16 they are 0.8 GB. */
constexpr int64_t CHUNK_ROWS = 8192, CHUNK_BYTES = int64_t{1} << 30;

/* Row stride of logits, in elements: rows start at multiples of 128 bytes, as products and packs need. */
static int64_t stride_of(int64_t V)
{
    return (V + 63) / 64 * 64;
}

static int64_t max_chunk_rows(const gp_backend *be, int64_t N, int64_t V)
{
    int64_t row = stride_of(V) * gp_dtype_size(be->act_dtype), max_rows = state_of(be)->head_rows;
    if (!max_rows)
        max_rows = gp_max(gp_min(CHUNK_ROWS, CHUNK_BYTES / row), 1);
    return gp_min(max_rows, N);
}

/* Rows of each chunk: as few chunks as possible, of equal size up to whole tiles; by the shape alone, so that sums are
 * the same in every run. */
static int64_t chunk_rows(const gp_backend *be, int64_t N, int64_t V)
{
    int64_t max_rows = max_chunk_rows(be, N, V), chunks = (N + max_rows - 1) / max_rows,
            rows = (N + chunks - 1) / chunks;
    return gp_min((rows + 127) / 128 * 128, max_rows);
}

size_t gp_cuda_head_workspace(const gp_backend *be, const gp_shape *shape)
{
    int64_t N = static_cast<int64_t>(shape->B) * shape->T;
    int64_t logits = max_chunk_rows(be, N, shape->V) * stride_of(shape->V) * gp_dtype_size(be->act_dtype);
    return matmul_workspace(be) + static_cast<size_t>(logits);
}

void gp_cuda_head_rows(gp_backend *be, int64_t max_rows)
{
    state_of(be)->head_rows = max_rows;
}

/* ---- cross-entropy --------------------------------------------------------------------------------------- */

template <class T> struct CrossEntropy {
    T *logits;              /* (rows,stride), of which the first V columns are logits */
    const int32_t *targets; /* (rows) */
    float *losses;          /* (rows) = */
    const gp_step *step;
    int V, stride;
    bool train;
    const float *weights; /* (V) of the classes; null: all 1 */
    float smoothing;
};

/* Online softmax: the maximum of some numbers, and the sum of exp(x - max) over them. */
struct Softmax {
    float max = -FLT_MAX, sum = 0;
};

template <class T> static __device__ __forceinline__ void accumulate(Softmax &s, const Pack<T> &x)
{
    float max = s.max;
#pragma unroll
    for (int i = 0; i < Pack<T>::size; i++)
        max = fmaxf(max, to_float(x.v[i]));
    s.sum *= __expf(s.max - max);
#pragma unroll
    for (int i = 0; i < Pack<T>::size; i++)
        s.sum += __expf(to_float(x.v[i]) - max);
    s.max = max;
}

/* Combines the Softmax of all threads of the block. scratch: shared, one float per warp. */
static __device__ __forceinline__ Softmax reduce_block(Softmax s, float *scratch)
{
    Softmax all;
    float max = warp_max(s.max);
    if (threadIdx.x % WARP == 0)
        scratch[threadIdx.x / WARP] = max;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / WARP; w++)
        all.max = fmaxf(all.max, scratch[w]);
    __syncthreads();
    all.sum = block_sum(s.sum * __expf(s.max - all.max), scratch);
    return all;
}

/* A pack of a row from column c on; columns from V on are -inf. */
template <class T> static __device__ __forceinline__ Pack<T> load_masked(const T *row, int c, int V)
{
    Pack<T> x = load_pack(row + c);
#pragma unroll
    for (int i = 0; i < Pack<T>::size; i++)
        if (c + i >= V)
            x.v[i] = from_float<T>(-INFINITY);
    return x;
}

/* Softmax of a thread's packs of a row, four loads in flight; if `cached`, a copy goes to `cache` (shared memory). */
template <class T, bool cached>
static __device__ __forceinline__ Softmax read_row(const CrossEntropy<T> &a, const T *row, T *cache)
{
    constexpr int size = Pack<T>::size, batch = 4;
    int c = static_cast<int>(threadIdx.x) * size, next = static_cast<int>(blockDim.x) * size;
    Softmax s;
    for (; c + (batch - 1) * next + size <= a.V; c += batch * next) {
        Pack<T> x[batch];
#pragma unroll
        for (int k = 0; k < batch; k++)
            x[k] = load_pack(row + c + k * next);
#pragma unroll
        for (int k = 0; k < batch; k++) {
            if (cached)
                store_pack(cache + c + k * next, x[k]);
            accumulate(s, x[k]);
        }
    }
    for (; c < a.stride; c += next) {
        Pack<T> x = load_masked(row, c, a.V);
        if (cached)
            store_pack(cache + c, x);
        accumulate(s, x);
    }
    return s;
}

/* The loss is own (-log p[target]) + each (sum of w (-log p)), and these are the sums of w, and of w (max - row). */
struct Weights {
    float own = 1, each = 0, sum = 0, distance = 0;
};

/* own = (1 - smoothing) w[target], each = smoothing / V, and the sums over a thread's columns of a row. `from` is the
 * row's cached copy. A target that is out of range makes `own` NaN. */
template <class T, bool cached>
static __device__ __forceinline__ Weights read_weights(const CrossEntropy<T> &a, const T *row, const T *from, float max,
                                                       int target)
{
    int next = static_cast<int>(blockDim.x) * Pack<T>::size;
    Weights w;
    w.own = target < 0 || target >= a.V ? NAN : (1 - a.smoothing) * (a.weights ? a.weights[target] : 1);
    w.each = a.smoothing / static_cast<float>(a.V);
    for (int c = static_cast<int>(threadIdx.x) * Pack<T>::size; w.each > 0 && c < a.V; c += next) {
        Pack<T> x = cached ? load_pack(from + c) : load_pack(row + c);
#pragma unroll
        for (int i = 0; i < Pack<T>::size; i++) {
            float weight = c + i >= a.V ? 0 : a.weights ? a.weights[c + i] : 1;
            w.sum += weight;
            w.distance += c + i >= a.V ? 0 : weight * (max - to_float(x.v[i]));
        }
    }
    return w;
}

/* row = scale ((own + each sum w) softmax - own onehot(target) - each w); zeros from column V on. `from` is the row, or
 * its cached copy. */
template <class T, bool cached, bool weighted>
static __device__ __forceinline__ void write_gradient(const CrossEntropy<T> &a, T *row, const T *from, Softmax s,
                                                      Weights w, int target)
{
    int next = static_cast<int>(blockDim.x) * Pack<T>::size;
    float scale = a.step->scale, own = scale * w.own, each = scale * w.each;
    float factor = (own + each * w.sum) / s.sum;
    for (int c = static_cast<int>(threadIdx.x) * Pack<T>::size; c < a.stride; c += next) {
        Pack<T> x = cached ? load_pack(from + c) : load_masked(row, c, a.V), d;
#pragma unroll
        for (int i = 0; i < Pack<T>::size; i++) {
            float v = __expf(to_float(x.v[i]) - s.max) * factor - (c + i == target ? own : 0);
            if (weighted && c + i < a.V)
                v -= each * (a.weights ? a.weights[c + i] : 1);
            d.v[i] = from_float<T>(v);
        }
        store_pack(row + c, d);
    }
}

template <class T> static __device__ __forceinline__ void write_zeros(const CrossEntropy<T> &a, T *row)
{
    for (int c = static_cast<int>(threadIdx.x) * Pack<T>::size; c < a.stride;
         c += static_cast<int>(blockDim.x) * Pack<T>::size)
        store_pack(row + c, Pack<T>{});
}

/* loss = log sum exp(row) - row[target], 0 where the target is ignored;  if train
 * row = scale (softmax(row) - onehot(target)), zeros where the target is ignored          row (V), stride columns apart
 * If `weighted`, with class weights and label smoothing: see gp_head_op.
 * One block per row, a thread takes every blockDim-th pack. If `cached` the row is read once and stays in shared memory
 * until its gradient is computed; each thread reads there only what it wrote. A target that is out of range makes the
 * loss NaN. */
template <class T, bool cached, bool weighted>
__global__ void __launch_bounds__(1024, 1) cross_entropy(CrossEntropy<T> a)
{
    SHARED(float, scratch, [WARP]);
    T *row = a.logits + static_cast<int64_t>(blockIdx.x) * a.stride, *cache = nullptr;
    int target = a.targets[blockIdx.x];
    if constexpr (cached) {
        DYNAMIC_SHARED(T, shared);
        cache = shared;
    }
    if (target == NOT_COUNTED) {
        if (threadIdx.x == 0)
            a.losses[blockIdx.x] = 0;
        if (a.train)
            write_zeros(a, row);
        return;
    }
    float at = target >= 0 && target < a.V ? to_float(row[target]) : NAN;
    Softmax s = reduce_block(read_row<T, cached>(a, row, cache), scratch);
    Weights w;
    if constexpr (weighted) {
        w = read_weights<T, cached>(a, row, cache, s.max, target);
        w.sum = block_sum(w.sum, scratch);
        w.distance = block_sum(w.distance, scratch);
    }
    if (threadIdx.x == 0) {
        float log_sum = logf(s.sum), loss = s.max + log_sum - at;
        a.losses[blockIdx.x] = weighted ? w.own * loss + w.each * (w.distance + w.sum * log_sum) : loss;
    }
    if (a.train)
        write_gradient<T, cached, weighted>(a, row, cache, s, w, target);
}

/* step->loss += scale * sum of losses (N), in double. A single block, so that the order of summation is fixed. */
static __global__ void __launch_bounds__(1024) add_losses(const float *losses, int64_t N, gp_step *step)
{
    SHARED(double, scratch, [WARP]);
    double sum = 0;
#pragma unroll 8
    for (int64_t n = threadIdx.x; n < N; n += blockDim.x)
        sum += losses[n];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0)
        step->loss += step->scale * sum;
}

/* The losses of some rows and, in place, their gradients. If the cached rows of two blocks fit into a multiprocessor, a
 * block has 512 threads, so that one reads while the other writes; else a single block has 1024. */
template <class T, bool weighted> static void run_cross_entropy(gp_backend *be, const CrossEntropy<T> &a, int64_t rows)
{
    size_t row = static_cast<size_t>(a.stride) * sizeof(T), max_shared = state_of(be)->shared;
    constexpr size_t own = 1024; /* per block: scratch, and the system's reserved shared memory */
    unsigned grid = static_cast<unsigned>(rows), threads = 2 * (row + own) <= max_shared ? 512 : 1024;
    if (!a.train || row + own > max_shared) {
        RUN(be, (cross_entropy<T, false, weighted>), grid, 512, 0, a);
        return;
    }
    CUDA_CHECK(cudaFuncSetAttribute(cross_entropy<T, true, weighted>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(row)));
    RUN(be, (cross_entropy<T, true, weighted>), grid, threads, row, a);
}

/* ---- the op ---------------------------------------------------------------------------------------------- */

/* out (rows,outputs) = x W^T + bias          x (rows,C), W (V,C), bias (V)
 * outputs: V, or V padded as the weight is stored. */
static void multiply(gp_backend *be, const gp_head_op *op, const void *x, int64_t rows, void *out, gp_dtype dtype,
                     int64_t outputs, int64_t stride)
{
    int64_t C = columns_of(op->x);
    BUG_ON(!op->w->transposed || C != weight_inputs(op->w));
    /* its bf16 copy is in the weight's slot */
    BUG_ON(op->bias && (!op->w->bias || op->bias->data != op->w->bias->data));
    Product p = {};
    p.M = rows, p.N = outputs, p.K = C;
    p.a = x;
    p.b = weight_data(be, op->w);
    p.b_transposed = true;
    p.d = out;
    p.ldd = stride;
    p.in = be->dtype, p.out = dtype;
    if (op->bias) {
        p.bias = weight_bias(be, op->w);
        p.epilogue = Epilogue::bias;
    }
    matmul(be, &p);
}

/* dx = d W          d (rows,V), W (V,C), dx (rows,C); d has zeros in the padding columns */
static void input_gradient(gp_backend *be, const gp_head_op *op, const void *d, void *dx, int64_t rows, int64_t stride)
{
    Product p = {};
    p.M = rows, p.N = columns_of(op->x), p.K = weight_outputs_padded(be, op->w);
    p.a = d;
    p.lda = stride;
    p.b = weight_data(be, op->w);
    p.d = dx;
    p.in = be->dtype, p.out = be->act_dtype;
    matmul(be, &p);
}

/* dW += d^T x,  dbias += column sums of d, for ids v0 .. v1 - 1          d (rows,V), x (rows,C), dW (V,C) */
template <class T>
static void weight_gradient(gp_backend *be, const gp_head_op *op, const T *d, const T *x, int64_t rows, int64_t stride,
                            int64_t v0, int64_t v1)
{
    int64_t C = columns_of(op->x);
    if (v0 == v1)
        return;
    Product p = {};
    p.M = v1 - v0, p.N = C, p.K = rows;
    p.a = d + v0;
    p.a_transposed = true;
    p.lda = stride;
    p.b = x;
    p.d = data_of<float>(op->dw) + v0 * C;
    p.in = be->dtype, p.out = GP_F32;
    p.add = true;
    p.a_sums = op->dbias ? data_of<float>(op->dbias) + v0 : nullptr;
    matmul(be, &p);
}

template <class T> static void loss(gp_backend *be, const gp_head_op *op)
{
    int64_t N = rows_of(op->x), C = columns_of(op->x), V = weight_outputs(op->w), stride = stride_of(V);
    int64_t max_rows = chunk_rows(be, N, V);
    int64_t even = V / 8 * 8; /* tensor cores need multiples of 8; the remaining ids of dW are a separate product */
    size_t before = matmul_workspace(be), bytes = static_cast<size_t>(max_rows * stride) * sizeof(T);
    void *at = static_cast<char *>(cuda_workspace(be, before + bytes)) + before;
    T *logits = static_cast<T *>(at), *dx = data_of<T>(op->train ? op->dx : nullptr);
    const T *x = data_of<T>(op->x);
    float *losses = data_of<float>(op->losses), *weights = data_of<float>(op->class_weights);
    BUG_ON(weights && gp_tensor_count(op->class_weights) != V);
    BUG_ON(gp_tensor_count(op->losses) != N || stride > INT32_MAX / 2);
    if (op->train && op->first_dw)
        gp_cuda_zero(be, op->dw->data, static_cast<size_t>(gp_tensor_bytes(op->dw)));
    for (int64_t n = 0; n < N; n += max_rows) {
        int64_t rows = gp_min(max_rows, N - n);
        multiply(be, op, x + n * C, rows, logits, be->act_dtype, weight_outputs_padded(be, op->w), stride);
        CrossEntropy<T> a = {
            logits,    op->targets + n, losses + n,   op->step, static_cast<int>(V), static_cast<int>(stride),
            op->train, weights,         op->smoothing};
        if (weights || op->smoothing > 0)
            run_cross_entropy<T, true>(be, a, rows);
        else
            run_cross_entropy<T, false>(be, a, rows);
        if (!op->train)
            continue;
        input_gradient(be, op, logits, dx + n * C, rows, stride);
        weight_gradient(be, op, logits, x + n * C, rows, stride, 0, even);
        weight_gradient(be, op, logits, x + n * C, rows, stride, even, V);
    }
    RUN(be, add_losses, 1, 1024, 0, losses, N, op->step);
}

void gp_cuda_head_loss(gp_backend *be, const gp_head_op *op)
{
    with_type(be, [&](auto type) { loss<typename decltype(type)::type>(be, op); });
}

/* Logits in fp32, for all rows at once. */
void gp_cuda_head_logits(gp_backend *be, const gp_head_op *op)
{
    int64_t rows = rows_of(op->x), V = weight_outputs(op->w);
    BUG_ON(op->x->dtype != be->act_dtype || gp_tensor_count(op->logits) != rows * V);
    multiply(be, op, op->x->data, rows, data_of<float>(op->logits), GP_F32, V, V);
}
