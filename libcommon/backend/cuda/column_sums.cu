/* column_sums.cu: the gradient of a bias. */
#include "backend/cuda/kernel.cuh"
#include "backend/cuda/product.cuh"

constexpr int SUM_WARPS = 8;
constexpr int64_t MAX_PARTS = 64, LEAST_ROWS = 64;

/* The rows are cut into parts of as many rows; into how many hangs on the shape alone, so that every device adds in the
 * same order. The sums of the parts have to fit into `bytes`. */
static int64_t rows_of_part(int64_t rows, int64_t columns, size_t bytes)
{
    int64_t most = static_cast<int64_t>(bytes / sizeof(float)) / columns;
    BUG_ON(most < 1);
    int64_t each = blocks_for(rows, gp_min(most, MAX_PARTS));
    return gp_max(each, LEAST_ROWS);
}

/* partial(p,c) = sum of x(r,c) over the rows r of part p, `each` of them          x (rows,columns), partial
 * (parts,columns) Block (i,p): WARP * W columns of part p. A lane owns W columns, a warp every eighth row; the warps'
 * sums are added in order. */
template <class T, int W>
__global__ void __launch_bounds__(SUM_WARPS *WARP)
    sum_part(const T *x, int64_t rows, int64_t columns, int64_t pitch, int64_t each, float *partial)
{
    SHARED(float, sums, [SUM_WARPS][WARP * W]);
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64_t c = (static_cast<int64_t>(blockIdx.x) * WARP + lane) * W, r0 = blockIdx.y * each;
    int64_t end = r0 + each < rows ? r0 + each : rows;
    float sum[W] = {};
    if (c < columns) {
#pragma unroll 4
        for (int64_t r = r0 + warp; r < end; r += SUM_WARPS) {
            Some<T, W> v = load_some<W>(x + r * pitch + c);
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

/* sums(c) += partial(0,c) + partial(1,c) + ...          One thread a column. */
static __global__ void add_parts(const float *partial, int64_t parts, int64_t columns, float *sums)
{
    int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= columns)
        return;
    float sum = 0;
#pragma unroll 8
    for (int64_t p = 0; p < parts; p++)
        sum += partial[p * columns + c];
    sums[c] += sum;
}

template <class T>
static void run(gp_backend *be, const T *x, int64_t rows, int64_t columns, int64_t pitch, float *sums)
{
    size_t bytes = matmul_workspace(be);
    float *partial = static_cast<float *>(cuda_workspace(be, bytes));
    int64_t each = rows_of_part(rows, columns, bytes);
    unsigned parts = blocks_for(rows, each);
    constexpr int W = Pack<T>::size;
    if (packable<T>(columns, x) && pitch % W == 0)
        RUN(be, (sum_part<T, W>), dim3(blocks_for(columns, WARP * W), parts), SUM_WARPS * WARP, 0, x, rows, columns,
            pitch, each, partial);
    else
        RUN(be, (sum_part<T, 1>), dim3(blocks_for(columns, WARP), parts), SUM_WARPS * WARP, 0, x, rows, columns, pitch,
            each, partial);
    RUN(be, add_parts, blocks_for(columns, 128), 128, 0, partial, static_cast<int64_t>(parts), columns, sums);
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
    RUN(be, add_parts, blocks_for(count, 128), 128, 0, from, static_cast<int64_t>(1), count, sums);
}
