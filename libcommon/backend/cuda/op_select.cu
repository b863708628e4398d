/* op_select.cu: some rows of a tensor: those whose logits are needed. */
#include "backend/cuda/rows.cuh"

template <class T> struct Select {
    const T *from;
    const int32_t *rows; /* (n) */
    T *to;
    int64_t n, N, C; /* N: rows of the other tensor */
};

/* forward: to[n] = from[rows[n]], zeros where rows[n] is -1          to (n,C), from (N,C)
 * else     to[rows[n]] = from[n] where rows[n] is not -1             to (N,C), from (n,C)
 * One warp per n, ROW_WARPS per block; a lane takes W columns, every 32 W. A row that is out of range traps. Writes
 * (=). */
template <class T, int W, bool forward> __global__ void __launch_bounds__(ROW_THREADS) copy_rows(Select<T> a)
{
    int64_t n = static_cast<int64_t>(blockIdx.x) * ROW_WARPS + threadIdx.x / WARP;
    if (n >= a.n)
        return;
    int64_t row = a.rows[n];
    if (row < -1 || row >= a.N)
        __trap();
    if (row < 0 && !forward)
        return;
    const T *from = a.from + (forward ? row : n) * a.C;
    T *to = a.to + (forward ? n : row) * a.C;
#pragma unroll 4
    for (int64_t c = threadIdx.x % WARP * W; c < a.C; c += WARP * W) {
        Vec<T, W> x = {};
        if (row >= 0)
            x = load_vec<W>(from + c);
        store_vec(to + c, x);
    }
}

template <bool forward, class T>
static void select_rows(gp_backend *be, const gp_tensor *from, const int32_t *rows, const gp_tensor *to)
{
    const gp_tensor *selected = forward ? to : from, *all = forward ? from : to;
    Select<T> a = {data_of<T>(from), rows, data_of<T>(to), rows_of(selected), rows_of(all), columns_of(all)};
    BUG_ON(columns_of(selected) != a.C);
    unsigned blocks = blocks_for(a.n, ROW_WARPS);
    if (packable<T>(a.C, a.from, a.to))
        RUN(be, (copy_rows<T, Pack<T>::size, forward>), blocks, ROW_THREADS, 0, a);
    else
        RUN(be, (copy_rows<T, 1, forward>), blocks, ROW_THREADS, 0, a);
}

void gp_cuda_select_forward(gp_backend *be, const gp_select_op *op)
{
    with_type(be, [&](auto type) { select_rows<true, typename decltype(type)::type>(be, op->x, op->rows, op->y); });
}

void gp_cuda_select_backward(gp_backend *be, const gp_select_op *op)
{
    gp_cuda_zero(be, op->dx->data, static_cast<size_t>(gp_tensor_bytes(op->dx)));
    with_type(be, [&](auto type) { select_rows<false, typename decltype(type)::type>(be, op->dy, op->rows, op->dx); });
}
