/* column_sums.cu: column sums, the gradient of a bias. */
#include "backend/cuda/kernel.cuh"
#include "backend/cuda/product.cuh"

constexpr int SUM_WARPS = 8;
constexpr int64_t MAX_SPLITS = 64, MIN_ROWS = 64;

/* The rows are divided into splits of split_rows each. Their number depends on the shape alone, so that every device
 * adds in the same order. The sums of the splits have to fit into `bytes`. */
static int64_t rows_per_split(int64_t rows, int64_t columns, size_t bytes)
{
    int64_t max_splits = static_cast<int64_t>(bytes / sizeof(float)) / columns;
    BUG_ON(max_splits < 1);
    int64_t split_rows = blocks_for(rows, gp_min(max_splits, MAX_SPLITS));
    return gp_max(split_rows, MIN_ROWS);
}

/* partial(p,c) = sum of x(r,c) over the rows r of split p          x (rows,columns), partial (splits,columns)
 * Grid: (columns / (WARP W), splits). Block (i,p): WARP * W columns of split p. A lane owns W columns, a warp adds
 * every eighth row; the sums of the warps are added in order. */
template <class T, int W>
__global__ void __launch_bounds__(SUM_WARPS *WARP)
    sum_split(const T *x, int64_t rows, int64_t columns, int64_t pitch, int64_t split_rows, float *partial)
{
    SHARED(float, sums, [SUM_WARPS][WARP * W]);
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64_t c = (static_cast<int64_t>(blockIdx.x) * WARP + lane) * W, r0 = blockIdx.y * split_rows;
    int64_t end = r0 + split_rows < rows ? r0 + split_rows : rows;
    float sum[W] = {};
    if (c < columns) {
#pragma unroll 4
        for (int64_t r = r0 + warp; r < end; r += SUM_WARPS) {
            Vec<T, W> v = load_vec<W>(x + r * pitch + c);
#pragma unroll
            for (int i = 0; i < W; i++)
                sum[i] += to_float(v.v[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < W; i++)
        sums[warp][i * WARP + lane] = sum[i];
    __syncthreads();
    for (unsigned i = threadIdx.x; i < WARP * W; i += SUM_WARPS * WARP) {
        int64_t column = (static_cast<int64_t>(blockIdx.x) * WARP + i / W) * W + i % W;
        float all = 0;
        for (int w = 0; w < SUM_WARPS; w++)
            all += sums[w][i % W * WARP + i / W];
        if (column < columns)
            partial[blockIdx.y * columns + column] = all;
    }
}

/* sums(c) += partial(0,c) + partial(1,c) + ...          One thread per column. */
static __global__ void add_splits(const float *partial, int64_t splits, int64_t columns, float *sums)
{
    int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= columns)
        return;
    float sum = 0;
#pragma unroll 8
    for (int64_t p = 0; p < splits; p++)
        sum += partial[p * columns + c];
    sums[c] += sum;
}

template <class T>
static void run(gp_backend *be, const T *x, int64_t rows, int64_t columns, int64_t pitch, float *sums)
{
    size_t bytes = matmul_workspace(be);
    float *partial = static_cast<float *>(cuda_workspace(be, bytes));
    int64_t split_rows = rows_per_split(rows, columns, bytes);
    unsigned splits = blocks_for(rows, split_rows);
    constexpr int W = Pack<T>::size;
    if (packable<T>(columns, x) && pitch % W == 0)
        RUN(be, (sum_split<T, W>), dim3(blocks_for(columns, WARP * W), splits), SUM_WARPS * WARP, 0, x, rows, columns,
            pitch, split_rows, partial);
    else
        RUN(be, (sum_split<T, 1>), dim3(blocks_for(columns, WARP), splits), SUM_WARPS * WARP, 0, x, rows, columns,
            pitch, split_rows, partial);
    RUN(be, add_splits, blocks_for(columns, 128), 128, 0, partial, static_cast<int64_t>(splits), columns, sums);
}

void column_sums(gp_backend *be, const void *x, int64_t rows, int64_t columns, float *sums, int64_t pitch)
{
    pitch = pitch ? pitch : columns;
    if (be->act_dtype == GP_BF16)
        run(be, static_cast<const bf16 *>(x), rows, columns, pitch, sums);
    else
        run(be, static_cast<const float *>(x), rows, columns, pitch, sums);
}

void add_sums(gp_backend *be, const float *from, int64_t count, float *sums)
{
    RUN(be, add_splits, blocks_for(count, 128), 128, 0, from, static_cast<int64_t>(1), count, sums);
}
