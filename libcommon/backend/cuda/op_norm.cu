/* op_norm.cu: residual, dropout and layer norm in one op. A row is read once, stays in registers, and is written
 * once. */
#include "backend/cuda/pdl.cuh"
#include "backend/cuda/rows.cuh"

constexpr int NORM_BLOCKS = 3; /* blocks of norm_backward per multiprocessor: max 168 registers per thread */

template <class T> struct NormForward {
    const T *residual, *branch;
    const float *gamma, *beta;
    T *sum, *y;
    float *mean, *rstd;
    Mask mask;
    int64_t N, T_rows, C;
    float eps;
};

/* sum = residual + dropout(branch)                       residual, branch, sum, y (N,C)
 * y = (sum - mean) * rstd * gamma + beta                 gamma, beta (C); mean, rstd (N)
 * mean and rstd are those of the sum as it is stored. One team per row n, ROW_WARPS / warps of them per block; a thread
 * has its packs of the sum in registers, so that the variance is computed from the deviations (two passes). Writes
 * (=). */
template <class T, class Team> __global__ void __launch_bounds__(ROW_THREADS) norm_forward(NormForward<T> a)
{
    constexpr int W = Pack<T>::size;
    SHARED(float, scratch, [ROW_WARPS]);
    pdl_launch_dependents();
    int64_t n = static_cast<int64_t>(blockIdx.x) * (ROW_WARPS / Team::warps) + threadIdx.x / Team::threads;
    int first = threadIdx.x % Team::threads * W, C = static_cast<int>(a.C);
    if (blockIdx.x == 0) { /* no op that calls pdl_launch_dependents writes parameters */
        prefetch_l2_slice(a.gamma, a.C * static_cast<int64_t>(sizeof(float)), 0, 1);
        if (a.beta)
            prefetch_l2_slice(a.beta, a.C * static_cast<int64_t>(sizeof(float)), 0, 1);
    }
    pdl_wait();
    if (n >= a.N)
        return;
    Pack<T> x[Team::packs] = {}, branch[Team::packs] = {};
#pragma unroll
    for (int k = 0; k < Team::packs; k++) {
        int c = first + k * Team::threads * W;
        if (c >= C)
            continue;
        x[k] = load_pack(a.residual + n * a.C + c);
        if (a.branch)
            branch[k] = load_pack(a.branch + n * a.C + c);
    }
    RowPlace at = a.mask.step ? place_of(n, a.T_rows, a.C) : RowPlace();
    float mean, rstd;
#pragma unroll
    for (int k = 0; k < Team::packs; k++) {
        int c = first + k * Team::threads * W;
        if (c >= C)
            continue;
        if (a.branch) {
            float factor[W];
            mask_columns(a.mask, at.sample, at.first + c, factor);
            for (int i = 0; i < W; i++)
                x[k].v[i] = from_float<T>(to_float(x[k].v[i]) + to_float(branch[k].v[i]) * factor[i]);
        }
        if (a.sum)
            store_pack(a.sum + n * a.C + c, x[k]);
    }
    row_statistics<T, Team>(x, first, C, a.eps, scratch, &mean, &rstd);
#pragma unroll
    for (int k = 0; k < Team::packs; k++) {
        int c = first + k * Team::threads * W;
        if (c >= C)
            continue;
        float gamma[W], beta[W] = {}, y[W];
        load_columns(a.gamma + c, gamma);
        if (a.beta)
            load_columns(a.beta + c, beta);
        for (int i = 0; i < W; i++)
            y[i] = normed(to_float(x[k].v[i]), mean, rstd, gamma[i], beta[i]);
        store_columns(a.y + n * a.C + c, y);
    }
    if (first == 0) {
        a.mean[n] = mean;
        a.rstd[n] = rstd;
    }
}

/* The same for any C: one warp per row n, ROW_WARPS per block; lane i takes columns i, i+32, ... */
template <class T> __global__ void norm_forward_any(NormForward<T> a)
{
    pdl_launch_dependents();
    pdl_wait();
    int64_t n = static_cast<int64_t>(blockIdx.x) * ROW_WARPS + threadIdx.x / WARP;
    unsigned lane = threadIdx.x % WARP;
    if (n >= a.N)
        return;
    const T *x = a.residual + n * a.C;
    RowPlace at = place_of(n, a.T_rows, a.C);
    float mean = 0, square = 0;
    for (int64_t c = lane; c < a.C; c += WARP) {
        float v = to_float(x[c]);
        if (a.branch)
            v += to_float(a.branch[n * a.C + c]) * mask_factor(a.mask, at.sample, at.first + c);
        if (a.sum)
            a.sum[n * a.C + c] = from_float<T>(v);
        mean += to_float(from_float<T>(v));
    }
    if (a.sum)
        x = a.sum + n * a.C;
    mean = warp_sum(mean) / static_cast<float>(a.C);
    for (int64_t c = lane; c < a.C; c += WARP)
        square += (to_float(x[c]) - mean) * (to_float(x[c]) - mean);
    float rstd = rsqrtf(warp_sum(square) / static_cast<float>(a.C) + a.eps);
    for (int64_t c = lane; c < a.C; c += WARP)
        a.y[n * a.C + c] = from_float<T>((to_float(x[c]) - mean) * rstd * a.gamma[c] + (a.beta ? a.beta[c] : 0));
    if (lane == 0) {
        a.mean[n] = mean;
        a.rstd[n] = rstd;
    }
}

template <class T, class Team> static void run_forward(gp_backend *be, const NormForward<T> &a)
{
    RUN_PDL(be, (norm_forward<T, Team>), blocks_for(a.N, ROW_WARPS / Team::warps), ROW_THREADS, 0, a);
}

template <class T> static void forward(gp_backend *be, const gp_norm_op *op)
{
    NormForward<T> a = {data_of<T>(op->residual),
                        data_of<T>(op->branch),
                        data_of<float>(op->gamma),
                        data_of<float>(op->beta),
                        data_of<T>(op->sum),
                        data_of<T>(op->y),
                        data_of<float>(op->mean),
                        data_of<float>(op->rstd),
                        mask_of(op->drop),
                        rows_of(op->residual),
                        rows_of_sample(op->residual),
                        columns_of(op->residual),
                        op->eps};
    BUG_ON(a.branch && !a.sum);
    if (packable<T>(a.C, a.residual, a.branch, a.sum, a.y) && packable<T>(a.C, a.gamma, a.beta) &&
        with_team<T>(a.C, [&](auto team) { run_forward<T, decltype(team)>(be, a); }))
        return;
    RUN_PDL(be, norm_forward_any<T>, blocks_for(a.N, ROW_WARPS), ROW_THREADS, 0, a);
}

void gp_cuda_norm_forward(gp_backend *be, const gp_norm_op *op)
{
    with_type(be, [&](auto type) { forward<typename decltype(type)::type>(be, op); });
}

/* ---- backward -------------------------------------------------------------------------------------------- */

template <class T> struct NormBackward {
    const T *x, *dy, *dy2, *dcarry;
    const float *gamma, *mean, *rstd;
    T *dsum, *dbranch; /* dbranch is null where it is dsum */
    float *partial;    /* (blocks,2,C): partial sums of dgamma and dbeta, one row per block */
    Mask mask;
    int64_t N, T_rows, C;
};

/* Writes dsum, and dbranch = dropout'(dsum), of dsum as it is stored. */
template <class T, int W>
__device__ __forceinline__ void write_gradients(const NormBackward<T> &a, int64_t n, int64_t c, const float (&d)[W])
{
    int64_t i = n * a.C + c;
    store_columns(a.dsum + i, d);
    if (!a.dbranch)
        return;
    RowPlace at = a.mask.step ? place_of(n, a.T_rows, a.C) : RowPlace();
    float factor[W], dropped[W];
    mask_columns(a.mask, at.sample, at.first + c, factor);
#pragma unroll
    for (int k = 0; k < W; k++)
        dropped[k] = to_float(from_float<T>(d[k])) * factor[k];
    store_columns(a.dbranch + i, dropped);
}

/* Adds the threads' sums over the teams of the block, in order, into the block's row of `partial`. */
template <class Team, int W>
__device__ __forceinline__ void write_partial(float *partial, int64_t C, const float (&mine)[Team::packs][W])
{
    constexpr int TEAMS = ROW_WARPS / Team::warps;
    SHARED(float, sums, [TEAMS][Team::threads * W]);
    int thread = threadIdx.x % Team::threads, team = threadIdx.x / Team::threads;
#pragma unroll
    for (int k = 0; k < Team::packs; k++) {
        for (int i = 0; i < W; i++)
            sums[team][thread * W + i] = mine[k][i];
        __syncthreads();
        for (int i = threadIdx.x; i < Team::threads * W; i += ROW_THREADS) {
            int64_t c = k * Team::threads * W + i;
            float sum = 0;
            for (int t = 0; t < TEAMS; t++)
                sum += sums[t][i];
            if (c < C)
                partial[c] = sum;
        }
        __syncthreads();
    }
}

/* g = dy + dy2, h = g gamma, x^ = (x - mean) * rstd      dy, dy2, dcarry, x, dsum, dbranch (N,C); gamma (C)
 * dsum = dcarry + rstd * (h - average(h) - x^ * average(h x^)),  dbranch = dropout'(dsum)
 * partial(block) = sums over the block's rows of g x^ and of g
 * One team per row n, n + teams of the grid, ...: as many blocks as are resident on the device, so that there are few
 * partial sums. A thread has the same columns of every row, and sums them in registers. Writes (=); dsum may alias
 * dcarry or dy2, which the same thread has read before. */
template <class T, class Team>
__global__ void __launch_bounds__(ROW_THREADS, NORM_BLOCKS) norm_backward(NormBackward<T> a)
{
    constexpr int W = Pack<T>::size, TEAMS = ROW_WARPS / Team::warps;
    SHARED(float, scratch, [2 * ROW_WARPS]);
    int first = threadIdx.x % Team::threads * W, C = static_cast<int>(a.C);
    int64_t step = static_cast<int64_t>(gridDim.x) * TEAMS;
    float to_gamma[Team::packs][W] = {}, to_beta[Team::packs][W] = {};
    float over_C = 1 / static_cast<float>(a.C);
    for (int64_t n = static_cast<int64_t>(blockIdx.x) * TEAMS + threadIdx.x / Team::threads; n < a.N; n += step) {
        Pack<T> x[Team::packs] = {}, dy[Team::packs] = {}, carry[Team::packs] = {};
        float mean = a.mean[n], rstd = a.rstd[n], sums[2] = {0, 0};
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
            if (c >= C)
                continue;
            dy[k] = load_pack(a.dy + n * a.C + c);
            x[k] = load_pack(a.x + n * a.C + c);
            if (a.dcarry)
                carry[k] = load_pack(a.dcarry + n * a.C + c);
        }
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
            if (c >= C)
                continue;
            float gamma[W], dy2[W] = {};
            load_columns(a.gamma + c, gamma);
            if (a.dy2)
                load_columns(a.dy2 + n * a.C + c, dy2);
            for (int i = 0; i < W; i++) {
                float g = to_float(dy[k].v[i]) + dy2[i], along = (to_float(x[k].v[i]) - mean) * rstd;
                sums[0] += g * gamma[i];
                sums[1] += g * gamma[i] * along;
                to_gamma[k][i] += g * along;
                to_beta[k][i] += g;
            }
        }
        team_sums<Team>(sums, scratch);
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
            if (c >= C)
                continue;
            float gamma[W], dy2[W] = {}, d[W];
            load_columns(a.gamma + c, gamma);
            if (a.dy2)
                load_columns(a.dy2 + n * a.C + c, dy2); /* read again: it is rare, and in the cache */
            for (int i = 0; i < W; i++) {
                float h = (to_float(dy[k].v[i]) + dy2[i]) * gamma[i], along = (to_float(x[k].v[i]) - mean) * rstd;
                d[i] = rstd * (h - sums[0] * over_C - along * sums[1] * over_C);
                if (a.dcarry)
                    d[i] += to_float(carry[k].v[i]);
            }
            write_gradients(a, n, c, d);
        }
    }
    float *partial = a.partial + static_cast<int64_t>(blockIdx.x) * 2 * a.C;
    write_partial<Team>(partial, a.C, to_gamma);
    write_partial<Team>(partial + a.C, a.C, to_beta);
}

/* The same for any C, in two kernels, of which the second overwrites what the first must have read.
 * partial(r) = sums over rows r, r + gridDim.y, ...          Grid: (C / ROW_THREADS, partial rows). One thread per
 * column. */
template <class T> __global__ void norm_partials_any(NormBackward<T> a)
{
    int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= a.C)
        return;
    float to_gamma = 0, to_beta = 0;
    for (int64_t n = blockIdx.y; n < a.N; n += gridDim.y) {
        int64_t i = n * a.C + c;
        float g = to_float(a.dy[i]) + (a.dy2 ? to_float(a.dy2[i]) : 0);
        to_gamma += g * (to_float(a.x[i]) - a.mean[n]) * a.rstd[n];
        to_beta += g;
    }
    float *partial = a.partial + static_cast<int64_t>(blockIdx.y) * 2 * a.C;
    partial[c] = to_gamma;
    partial[a.C + c] = to_beta;
}

/* dsum and dbranch of norm_backward, for any C. One warp per row n, ROW_WARPS per block; lane i takes columns i, i+32,
 * ... */
template <class T> __global__ void norm_backward_any(NormBackward<T> a)
{
    int64_t n = static_cast<int64_t>(blockIdx.x) * ROW_WARPS + threadIdx.x / WARP;
    unsigned lane = threadIdx.x % WARP;
    if (n >= a.N)
        return;
    float mean = a.mean[n], rstd = a.rstd[n], average = 0, across = 0;
    for (int64_t c = lane; c < a.C; c += WARP) {
        int64_t i = n * a.C + c;
        float h = (to_float(a.dy[i]) + (a.dy2 ? to_float(a.dy2[i]) : 0)) * a.gamma[c];
        average += h;
        across += h * (to_float(a.x[i]) - mean) * rstd;
    }
    average = warp_sum(average) / static_cast<float>(a.C);
    across = warp_sum(across) / static_cast<float>(a.C);
    for (int64_t c = lane; c < a.C; c += WARP) {
        int64_t i = n * a.C + c;
        float h = (to_float(a.dy[i]) + (a.dy2 ? to_float(a.dy2[i]) : 0)) * a.gamma[c];
        float d[1] = {rstd * (h - average - (to_float(a.x[i]) - mean) * rstd * across) +
                      (a.dcarry ? to_float(a.dcarry[i]) : 0)};
        write_gradients(a, n, c, d);
    }
}

/* dgamma += sum over rows r of partial(r,0), dbeta that of partial(r,1)      partial (rows,2,C); dbeta may be null
 * Grid: 2C / 32. Block: 32 of the 2C columns, one per lane; warp w adds rows w, w + 32, ...; then warp 0 adds the sums
 * of warps 0 to 31 in order. */
static __global__ void norm_add_partials(const float *partial, int64_t rows, int64_t C, float *dgamma, float *dbeta)
{
    SHARED(float, sums, [WARP][WARP]);
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64_t c = static_cast<int64_t>(blockIdx.x) * WARP + lane;
    float sum = 0;
    if (c < 2 * C)
#pragma unroll 4
        for (int64_t r = warp; r < rows; r += WARP)
            sum += partial[r * 2 * C + c];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp || c >= 2 * C)
        return;
    for (unsigned w = 1; w < WARP; w++)
        sum += sums[w][lane];
    if (c < C)
        dgamma[c] += sum;
    else if (dbeta)
        dbeta[c - C] += sum;
}

/* Rows of partial sums: the number of blocks that are resident on the device, max `groups`. */
static int64_t partial_rows(const gp_backend *be, int64_t groups)
{
    int64_t resident = static_cast<int64_t>(state_of(be)->multiprocessors) * NORM_BLOCKS;
    return groups < resident ? groups : resident;
}

static size_t partial_bytes(const gp_backend *be, int64_t rows, int64_t C)
{
    return static_cast<size_t>(partial_rows(be, rows) * 2 * C) * sizeof(float);
}

template <class T, class Team> static void run_backward(gp_backend *be, const NormBackward<T> &a, int64_t *rows)
{
    *rows = partial_rows(be, blocks_for(a.N, ROW_WARPS / Team::warps));
    RUN(be, (norm_backward<T, Team>), static_cast<unsigned>(*rows), ROW_THREADS, 0, a);
}

template <class T> static void run_backward_any(gp_backend *be, const NormBackward<T> &a, int64_t *rows)
{
    *rows = partial_rows(be, blocks_for(a.N, ROW_WARPS));
    RUN(be, norm_partials_any<T>, dim3(blocks_for(a.C, ROW_THREADS), static_cast<unsigned>(*rows)), ROW_THREADS, 0, a);
    RUN(be, norm_backward_any<T>, blocks_for(a.N, ROW_WARPS), ROW_THREADS, 0, a);
}

template <class T> static void backward(gp_backend *be, const gp_norm_op *op)
{
    int64_t N = rows_of(op->dy), C = columns_of(op->dy), rows;
    T *dsum = data_of<T>(op->dsum), *dbranch = data_of<T>(op->dbranch);
    BUG_ON(dbranch == dsum && op->drop.step && op->drop.p > 0);
    NormBackward<T> a = {data_of<T>(op->sum ? op->sum : op->residual),
                         data_of<T>(op->dy),
                         data_of<T>(op->dy2),
                         data_of<T>(op->dcarry),
                         data_of<float>(op->gamma),
                         data_of<float>(op->mean),
                         data_of<float>(op->rstd),
                         dsum,
                         dbranch == dsum ? nullptr : dbranch,
                         static_cast<float *>(cuda_workspace(be, partial_bytes(be, N, C))),
                         mask_of(op->drop),
                         N,
                         rows_of_sample(op->dy),
                         C};
    if (!packable<T>(C, a.x, a.dy, a.dy2, a.dcarry) || !packable<T>(C, a.gamma, a.dsum, a.dbranch) ||
        !with_team<T>(C, [&](auto team) { run_backward<T, decltype(team)>(be, a, &rows); }))
        run_backward_any(be, a, &rows);
    RUN(be, norm_add_partials, blocks_for(2 * C, WARP), WARP * WARP, 0, a.partial, rows, C, data_of<float>(op->dgamma),
        data_of<float>(op->dbeta));
}

void gp_cuda_norm_backward(gp_backend *be, const gp_norm_op *op)
{
    with_type(be, [&](auto type) { backward<typename decltype(type)::type>(be, op); });
}

size_t gp_cuda_norm_workspace(const gp_backend *be, const gp_shape *shape)
{
    return shape->train ? partial_bytes(be, static_cast<int64_t>(shape->B) * shape->T, shape->C) : 0;
}
