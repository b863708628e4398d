/* op_embed.cu: token, position and type embeddings, and their gradients; dropout alone. */
#include "backend/cuda/pdl.cuh"
#include "backend/cuda/order.cuh"
#include "backend/cuda/rows.cuh"

/* Blocks of embed_forward per multiprocessor: max 64 registers per thread. Left to choose, CUDA 12.4's ptxas takes 48,
 * and spills. */
[[maybe_unused]] constexpr int EMBED_BLOCKS = 8;

template <class T, class Row> struct EmbedForward {
    const int32_t *tokens, *positions, *types;
    const Row *wte, *wpe, *wtt; /* fp32, or bf16 without master weights */
    T *y;
    Mask mask;
    int64_t N, T_rows, C;
    int64_t V, P, type_count; /* rows of wte, wpe and wtt */
};

/* y = dropout(wte[token] + wpe[position] + wtt[type])      y (N,C); wte (V,C), wpe (P,C), wtt (type_count,C) or null
 * One warp per row n, ROW_WARPS per block; a lane takes W columns, every 32 W. An id that is out of range traps. Writes
 * (=). */
template <class T, class Row, int W>
__global__ void __launch_bounds__(ROW_THREADS, EMBED_BLOCKS) embed_forward(EmbedForward<T, Row> a)
{
    pdl_launch_dependents();
    pdl_wait();
    int64_t n = static_cast<int64_t>(blockIdx.x) * ROW_WARPS + threadIdx.x / WARP;
    if (n >= a.N)
        return;
    int64_t token = a.tokens[n], position = a.positions[n], type = a.types ? a.types[n] : 0;
    if (token < 0 || token >= a.V || position < 0 || position >= a.P || type < 0 || (a.wtt && type >= a.type_count))
        __trap();
    RowPlace at = a.mask.step ? place_of(n, a.T_rows, a.C) : RowPlace();
#pragma unroll 4
    for (int64_t c = threadIdx.x % WARP * W; c < a.C; c += WARP * W) {
        float sum[W], other[W], factor[W];
        load_columns(a.wte + token * a.C + c, sum);
        load_columns(a.wpe + position * a.C + c, other);
#pragma unroll
        for (int i = 0; i < W; i++)
            sum[i] += other[i];
        if (a.wtt) {
            load_columns(a.wtt + type * a.C + c, other);
#pragma unroll
            for (int i = 0; i < W; i++)
                sum[i] += other[i];
        }
        mask_columns(a.mask, at.sample, at.first + c, factor);
#pragma unroll
        for (int i = 0; i < W; i++)
            sum[i] *= factor[i];
        store_columns(a.y + n * a.C + c, sum);
    }
}

template <class T, class Row> static void forward(gp_backend *be, const gp_embed_op *op)
{
    EmbedForward<T, Row> a = {op->tokens,
                              op->positions,
                              op->types,
                              data_of<Row>(op->wte),
                              data_of<Row>(op->wpe),
                              data_of<Row>(op->wtt),
                              data_of<T>(op->y),
                              mask_of(op->drop),
                              rows_of(op->y),
                              rows_of_sample(op->y),
                              columns_of(op->y),
                              op->wte->dim[0],
                              op->wpe->dim[0],
                              op->wtt ? op->wtt->dim[0] : 0};
    unsigned blocks = blocks_for(a.N, ROW_WARPS);
    if (packable<T>(a.C, a.wte, a.wpe, a.wtt, a.y))
        RUN_PDL(be, (embed_forward<T, Row, Pack<T>::size>), blocks, ROW_THREADS, 0, a);
    else
        RUN_PDL(be, (embed_forward<T, Row, 1>), blocks, ROW_THREADS, 0, a);
}

void gp_cuda_embed_forward(gp_backend *be, const gp_embed_op *op)
{
    if (op->wte->dtype == GP_BF16)
        forward<bf16, bf16>(be, op);
    else
        with_type(be, [&](auto type) { forward<typename decltype(type)::type, float>(be, op); });
}

/* ---- dropout --------------------------------------------------------------------------------------------- */

/* x = dropout(x) in place      x (B, T C): `count` elements, `elements` per sample
 * A thread owns W of them, of one sample. The grid is one-dimensional: gridDim.y is limited to 65535, too few for
 * samples. */
template <class T, int W>
__global__ void __launch_bounds__(ROW_THREADS) dropout_in_place(T *x, int64_t count, int64_t elements, Mask mask)
{
    int64_t i = (static_cast<int64_t>(blockIdx.x) * ROW_THREADS + threadIdx.x) * W;
    if (i >= count)
        return;
    float v[W], factor[W];
    load_columns(x + i, v);
    mask_columns(mask, i / elements, i % elements, factor);
#pragma unroll
    for (int k = 0; k < W; k++)
        v[k] *= factor[k];
    store_columns(x + i, v);
}

template <class T> static void dropout(gp_backend *be, gp_tensor *x, const Mask &mask)
{
    int64_t elements = rows_of_sample(x) * columns_of(x), count = gp_tensor_count(x);
    constexpr int W = Pack<T>::size;
    if (packable<T>(elements, x->data))
        RUN(be, (dropout_in_place<T, W>), blocks_for(count, ROW_THREADS * W), ROW_THREADS, 0, data_of<T>(x), count,
            elements, mask);
    else
        RUN(be, (dropout_in_place<T, 1>), blocks_for(count, ROW_THREADS), ROW_THREADS, 0, data_of<T>(x), count,
            elements, mask);
}

void gp_cuda_dropout(gp_backend *be, gp_tensor *x, gp_dropout drop)
{
    Mask mask = mask_of(drop);
    if (mask.step)
        with_type(be, [&](auto type) { dropout<typename decltype(type)::type>(be, x, mask); });
}

/* ---- backward -------------------------------------------------------------------------------------------- */

constexpr int CHUNK = 32, AHEAD = 8, SUM_THREADS = 256;

/* The gradient of one table, from the rows of dy sorted by id. */
template <class T> struct AddRows {
    const T *dy;                /* (N,C) */
    const int32_t *ids, *order; /* (N): see order.cuh */
    int32_t pad;
    float *grad; /* (ids,C) += */
    /* (chunks,2,C): partial sums of a run of one id that continues from the preceding chunk; of one that continues in
     * the following chunk */
    float *partial;
    Mask mask;
    int64_t N, T_rows, C;
};

/* grad[id] += dropout'(dy[n]) for a chunk of CHUNK consecutive sorted rows          dy (N,C), grad (ids,C)
 * Grid: (chunks, C / (W threads)). Block (k,s): chunk k, W columns per thread. A run of one id within the chunk is
 * added to grad at once: no other block has that id. A run that continues from the preceding chunk or in the following
 * one is stored in `partial`. */
template <class T, int W> __global__ void __launch_bounds__(SUM_THREADS) add_chunk(AddRows<T> a)
{
    SHARED(int32_t, row, [CHUNK]);
    SHARED(int32_t, id, [CHUNK + 2]); /* with the neighbours at both ends; -1: none */
    int64_t begin = static_cast<int64_t>(blockIdx.x) * CHUNK;
    for (int i = threadIdx.x; i < CHUNK + 2; i += blockDim.x) {
        int64_t at = begin + i - 1;
        int32_t n = at >= 0 && at < a.N ? a.order[at] : -1;
        id[i] = n >= 0 ? id_of(a.ids, n) : -1;
        if (i > 0 && i <= CHUNK)
            row[i - 1] = n;
    }
    __syncthreads();
    int64_t c = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * W;
    if (c >= a.C)
        return;
    float *partial = a.partial + 2 * static_cast<int64_t>(blockIdx.x) * a.C + c, sum[W] = {};
    bool began = id[0] != id[1]; /* the run began in this chunk */
    for (int i0 = 0; i0 < CHUNK; i0 += AHEAD) {
        Vec<T, W> x[AHEAD] = {};
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (row[i0 + k] >= 0)
                x[k] = load_vec<W>(a.dy + row[i0 + k] * a.C + c);
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            int i = i0 + k;
            if (row[i] < 0)
                continue;
            RowPlace at = a.mask.step ? place_of(row[i], a.T_rows, a.C) : RowPlace();
            float factor[W];
            mask_columns(a.mask, at.sample, at.first + c, factor);
#pragma unroll
            for (int j = 0; j < W; j++)
                sum[j] += to_float(x[k].v[j]) * factor[j];
            bool ends = id[i + 2] != id[i + 1];
            if (!ends && i < CHUNK - 1)
                continue;
            if (!began || !ends) {
                store_columns(partial + (began ? a.C : 0), sum);
            } else if (id[i + 1] != a.pad) {
                float *grad = a.grad + id[i + 1] * a.C + c, before[W];
                load_columns(grad, before);
#pragma unroll
                for (int j = 0; j < W; j++)
                    sum[j] += before[j];
                store_columns(grad, sum);
            }
            began = true;
#pragma unroll
            for (int j = 0; j < W; j++)
                sum[j] = 0;
        }
    }
}

/* The id at a sorted position. */
template <class T> __device__ __forceinline__ int32_t id_at(const AddRows<T> &a, int64_t at)
{
    return id_of(a.ids, a.order[at]);
}

/* grad[id] += the partial sums, in order, of a run of one id that began in chunk k and continues after it          grad
 * (ids,C)
 * Grid and block (k,s) as in add_chunk; most blocks exit at once. */
template <class T, int W> __global__ void __launch_bounds__(SUM_THREADS) add_run(AddRows<T> a)
{
    int64_t k = blockIdx.x, begin = k * CHUNK, next = begin + CHUNK;
    if (next >= a.N)
        return;
    int32_t id = id_at(a, next);
    if (id == a.pad || id_at(a, next - 1) != id || (k && id_at(a, begin - 1) == id))
        return;
    int64_t last = k; /* the chunk where the run ends: the next one does not begin with its id */
    for (unsigned matching = ALL_LANES; matching == ALL_LANES;) {
        int64_t at = (last + 1 + threadIdx.x % WARP) * CHUNK;
        matching = __ballot_sync(ALL_LANES, at < a.N && id_at(a, at) == id);
        last += matching == ALL_LANES ? static_cast<int>(WARP) : __ffs(static_cast<int>(~matching)) - 1;
    }
    int64_t c = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * W;
    if (c >= a.C)
        return;
    const float *partial = a.partial + c;
    float sum[W], more[W];
    load_columns(partial + (2 * k + 1) * a.C, sum);
#pragma unroll 4
    for (int64_t i = k + 1; i <= last; i++) {
        load_columns(partial + 2 * i * a.C, more);
#pragma unroll
        for (int j = 0; j < W; j++)
            sum[j] += more[j];
    }
    float *grad = a.grad + id * a.C + c;
    load_columns(grad, more);
#pragma unroll
    for (int j = 0; j < W; j++)
        sum[j] += more[j];
    store_columns(grad, sum);
}

template <class T, int W> static void add_rows(gp_backend *be, const AddRows<T> &a)
{
    unsigned threads = WARP * blocks_for(a.C, W * WARP);
    threads = threads < SUM_THREADS ? threads : SUM_THREADS;
    dim3 grid(blocks_for(a.N, CHUNK), blocks_for(a.C, W * threads));
    RUN(be, (add_chunk<T, W>), grid, threads, 0, a);
    RUN(be, (add_run<T, W>), grid, threads, 0, a);
}

/* Workspace of the backward pass: (chunks,2,C) partial sums, (LISTS,N) sorted rows, the workspace of order_rows. */
static size_t partial_bytes(int64_t N, int64_t C)
{
    return static_cast<size_t>(blocks_for(N, CHUNK) * 2 * C) * sizeof(float);
}
static size_t backward_bytes(int64_t N, int64_t C)
{
    return partial_bytes(N, C) + static_cast<size_t>(LISTS * N) * sizeof(int32_t) + order_workspace(N);
}

template <class T> static void backward(gp_backend *be, const gp_embed_op *op)
{
    int64_t N = rows_of(op->dy), C = columns_of(op->dy);
    char *workspace = static_cast<char *>(cuda_workspace(be, backward_bytes(N, C)));
    int32_t *rows = reinterpret_cast<int32_t *>(workspace + partial_bytes(N, C));
    const gp_tensor *tables[LISTS] = {op->dwte, op->dwpe, op->dwtt};
    const int32_t pads[LISTS] = {op->pad_token, op->pad_position, -1};
    Lists lists = {op->dwtt ? 3 : 2, N, 0, {op->tokens, op->positions, op->types}, {}};
    BUG_ON(N > INT32_MAX);
    for (int i = 0; i < lists.count; i++) {
        lists.rows[i] = rows + i * N;
        int32_t max_id = static_cast<int32_t>(tables[i]->dim[0] - 1);
        lists.max_id = max_id > lists.max_id ? max_id : lists.max_id;
    }
    order_rows(be, &lists, rows + LISTS * N);
    for (int i = 0; i < lists.count; i++) {
        AddRows<T> a = {data_of<T>(op->dy),
                        lists.ids[i],
                        lists.rows[i],
                        pads[i],
                        data_of<float>(tables[i]),
                        reinterpret_cast<float *>(workspace),
                        mask_of(op->drop),
                        N,
                        rows_of_sample(op->dy),
                        C};
        if (packable<T>(C, a.dy, a.grad, a.partial))
            add_rows<T, Pack<T>::size>(be, a);
        else
            add_rows<T, 1>(be, a);
    }
}

void gp_cuda_embed_backward(gp_backend *be, const gp_embed_op *op)
{
    with_type(be, [&](auto type) { backward<typename decltype(type)::type>(be, op); });
}

size_t gp_cuda_embed_workspace(const gp_backend *be, const gp_shape *shape)
{
    (void)be;
    return shape->train ? backward_bytes(static_cast<int64_t>(shape->B) * shape->T, shape->C) : 0;
}
