/* order.cu: a stable radix sort of rows by id, eight bits per pass, from the lowest. A unit is a range of rows that one
 * warp owns. Each pass is three launches: each unit's histogram of digits; prefix sums, which give where each unit's
 * rows of each digit begin; and the scatter of the rows, in order. Where a row goes depends on the ids alone. */
#include "backend/cuda/kernel.cuh"
#include "backend/cuda/order.cuh"

constexpr int DIGITS = 256, UNITS = 128, MIN_ROWS = 512, ORDER_WARPS = 4;

/* Rows per unit, a multiple of WARP. */
static int64_t rows_of_unit(int64_t N)
{
    int64_t each = (N + UNITS - 1) / UNITS;
    each = each < MIN_ROWS ? MIN_ROWS : each;
    return (each + WARP - 1) / WARP * WARP;
}

static int64_t units_of(int64_t N)
{
    return (N + rows_of_unit(N) - 1) / rows_of_unit(N);
}

struct Pass {
    const int32_t *ids[LISTS], *from[LISTS]; /* from null: 0..N-1 */
    int32_t *to[LISTS];
    int32_t *counts; /* (lists,units,DIGITS) */
    int64_t N, each, units;
    int shift;
};

/* The element for this block's list (blockIdx.y): selected by comparisons, since an index would move the kernel
 * parameters to local memory. */
template <class T> __device__ __forceinline__ T of_list(T const (&each)[LISTS])
{
    return blockIdx.y == 0 ? each[0] : blockIdx.y == 1 ? each[1] : each[2];
}

static __device__ __forceinline__ int32_t row_at(const Pass &p, int64_t i)
{
    const int32_t *from = of_list(p.from);
    return from ? from[i] : static_cast<int32_t>(i);
}

static __device__ __forceinline__ unsigned digit_of(const Pass &p, int32_t row)
{
    return static_cast<unsigned>(id_of(of_list(p.ids), row)) >> p.shift & (DIGITS - 1);
}

/* counts(list,unit,d) = number of rows of the unit whose digit is d
 * Grid: (units / ORDER_WARPS, lists). One warp per unit. */
static __global__ void __launch_bounds__(ORDER_WARPS *WARP) order_count(Pass p)
{
    SHARED(int32_t, count, [ORDER_WARPS][DIGITS]);
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64_t unit = static_cast<int64_t>(blockIdx.x) * ORDER_WARPS + warp;
    if (unit >= p.units)
        return;
    for (unsigned d = lane; d < DIGITS; d += WARP)
        count[warp][d] = 0;
    __syncwarp();
    for (int64_t i = unit * p.each + lane; i < (unit + 1) * p.each && i < p.N; i += WARP)
        atomicAdd(&count[warp][digit_of(p, row_at(p, i))], 1);
    __syncwarp();
    int32_t *counts = p.counts + (blockIdx.y * p.units + unit) * DIGITS;
    for (unsigned d = lane; d < DIGITS; d += WARP)
        counts[d] = count[warp][d];
}

/* counts(list,unit,d) = where the unit's rows of digit d begin: after all rows of smaller digits and those of digit d
 * in preceding units
 * Grid: lists. One thread per digit. */
static __global__ void __launch_bounds__(DIGITS) order_places(int32_t *counts, int64_t units)
{
    SHARED(int32_t, total, [DIGITS]);
    unsigned d = threadIdx.x;
    int32_t *mine = counts + blockIdx.x * units * DIGITS + d, sum = 0, place = 0;
#pragma unroll 8
    for (int64_t u = 0; u < units; u++)
        sum += mine[u * DIGITS];
    total[d] = sum;
    __syncthreads();
#pragma unroll 8
    for (unsigned i = 0; i < DIGITS; i++)
        place += i < d ? total[i] : 0;
#pragma unroll 8
    for (int64_t u = 0; u < units; u++) {
        int32_t count = mine[u * DIGITS];
        mine[u * DIGITS] = place;
        place += count;
    }
}

/* to(place) = row, 32 rows at a time: a row's place is the next one of its digit, after those of lower lanes with the
 * same digit
 * Grid: (units / ORDER_WARPS, lists). One warp per unit. */
static __global__ void __launch_bounds__(ORDER_WARPS *WARP) order_move(Pass p)
{
    SHARED(int32_t, next, [ORDER_WARPS][DIGITS]);
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64_t unit = static_cast<int64_t>(blockIdx.x) * ORDER_WARPS + warp;
    if (unit >= p.units)
        return;
    const int32_t *places = p.counts + (blockIdx.y * p.units + unit) * DIGITS;
    for (unsigned d = lane; d < DIGITS; d += WARP)
        next[warp][d] = places[d];
    __syncwarp();
    int32_t *to = of_list(p.to);
    for (int64_t i0 = unit * p.each; i0 < (unit + 1) * p.each && i0 < p.N; i0 += WARP) {
        bool there = i0 + lane < p.N;
        int32_t row = there ? row_at(p, i0 + lane) : 0;
        unsigned digit = digit_of(p, row), matching = __ballot_sync(ALL_LANES, there);
#pragma unroll
        for (unsigned bit = 1; bit < DIGITS; bit *= 2) {
            unsigned set = __ballot_sync(ALL_LANES, (digit & bit) != 0);
            matching &= digit & bit ? set : ~set;
        }
        int before = __popc(matching & ((1u << lane) - 1));
        if (there)
            to[next[warp][digit] + before] = row;
        __syncwarp();
        if (there && before == 0)
            next[warp][digit] += __popc(matching);
        __syncwarp();
    }
}

size_t order_workspace(int64_t N)
{
    return static_cast<size_t>(LISTS * (N + units_of(N) * DIGITS)) * sizeof(int32_t);
}

void order_rows(gp_backend *be, const Lists *lists, void *workspace)
{
    int passes = 1;
    while (passes < 4 && lists->max_id >> (8 * passes))
        passes++;
    int32_t *spare = static_cast<int32_t *>(workspace);
    Pass p = {};
    p.N = lists->N;
    p.each = rows_of_unit(p.N);
    p.units = units_of(p.N);
    p.counts = spare + LISTS * p.N;
    for (int k = 0; k < passes; k++) {
        p.shift = 8 * k;
        for (int i = 0; i < lists->count; i++) {
            p.ids[i] = lists->ids[i];
            p.from[i] = p.to[i];
            p.to[i] = (passes - k) % 2 ? lists->rows[i] : spare + i * p.N; /* the last pass writes rows */
        }
        unsigned count = static_cast<unsigned>(lists->count);
        dim3 grid(blocks_for(p.units, ORDER_WARPS), count);
        RUN(be, order_count, grid, ORDER_WARPS * WARP, 0, p);
        RUN(be, order_places, count, DIGITS, 0, p.counts, p.units);
        RUN(be, order_move, grid, ORDER_WARPS * WARP, 0, p);
    }
}
