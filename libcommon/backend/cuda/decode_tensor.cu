/* decode_tensor.cu: matrix products with few rows, on the tensor cores. With one row a GPU only streams the weights,
 * and the tensor cores are idle: so one kernel serves 1 to 64 rows (and more, 64 at a time) with the same arithmetic.
 *
 * What matters is the number of bytes in flight. An H200 reads 4.8 TB/s with a latency of about 0.7 us: by Little's law
 * it needs 3.4 MB of loads in flight, 25 KB on each of 132 multiprocessors. A block keeps up to 96 KB of cp.async in
 * flight; registers would hold a third of that. GPT-2's smallest product, (768,768), is 48 blocks, which have all of
 * its 1.2 MB in flight at once; no sum is split among blocks (split-K), as combining the parts would take longer than
 * that. */
#include "backend/cuda/decode.cuh"
#include "backend/cuda/pdl.cuh"
#include "backend/cuda/rows.cuh"
#include "backend/cuda/tensor_core.cuh"

#include <type_traits>

namespace
{

/* The inputs are read in chunks of DEPTH. Chunk c belongs to warp c % WARPS, which adds its chunks in order; then the
 * sums of the warps are added in order. This is the complete order of a sum, whatever MT and NT are. */
constexpr int WARPS = 8, THREADS = WARPS * 32, DEPTH = 32;

/* A block computes 16 MT outputs of 8 NT rows. For each chunk, each of its warps has in shared memory first the
 * weights, then x, in units of 16 bytes; and a ring buffer of chunks in flight. Where the block computes x itself
 * (norms), all of x is stored after the rings. */
template <int MT, int NT, bool norms = false> struct Tile {
    static constexpr int outputs = 16 * MT, rows = 8 * NT;
    static constexpr int w_units = outputs * DEPTH / 8, units = w_units + (norms ? 0 : rows * DEPTH / 8);
    static constexpr int bytes = 16 * units;

    static constexpr int wanted = (96 << 10) / (WARPS * bytes);
    static constexpr int ring = wanted < 2 ? 2 : wanted > 8 ? 8 : wanted;

    /* The sums of the warps are combined in the memory of the rings, NP tiles of rows at a time. A row of sums is
     * padded, so that the writes of a warp fall into different banks. */
    static constexpr int NP = NT < 4 ? NT : 4, pitch = outputs + 4;
    static constexpr int sums_bytes = WARPS * 8 * NP * pitch * static_cast<int>(sizeof(float));

    /* Bytes for I inputs: a ring is no longer than the number of chunks of a warp. */
    static __host__ __device__ int64_t rings_bytes(int64_t I)
    {
        int64_t chunks = (I + DEPTH * WARPS - 1) / (DEPTH * WARPS);
        int64_t bytes_of_rings = WARPS * bytes * (chunks < ring ? chunks : ring);
        return bytes_of_rings > sums_bytes ? bytes_of_rings : sums_bytes;
    }
    static size_t shared(int64_t I, int64_t rows_of_x)
    {
        return static_cast<size_t>(rings_bytes(I) + (norms ? 16 * rows_of_x * x_pitch(I) : 0));
    }

    /* Units per row of x after the rings: whole chunks, padded so that two rows fall into different banks. */
    static __host__ __device__ int64_t x_pitch(int64_t I)
    {
        return (I + DEPTH - 1) / DEPTH * (DEPTH / 8) / 8 * 8 + 12;
    }
};

/* Within a chunk the order of the inputs is free, if it is the same for W and x. This order gives lane t = lane % 4 the
 * inputs 8t .. 8t + 7, 16 bytes of a row of x or of W stored (O,I): its two pairs of the first mma (step 0) are 8t,
 * 8t+1 | 8t+2, 8t+3, of the second 8t+4, 8t+5 | 8t+6, 8t+7.
 *
 * W (I,O) is stored by input; ldmatrix.trans transposes 8 inputs x 8 outputs. Its rows are in the order that ldmatrix
 * needs: at place 16 step + 8 half + 2t + i is input 8t + 4 step + 2 half + i. */
__device__ __forceinline__ int input_at(int place)
{
    return (place & 6) << 2 | (place & 16) >> 2 | (place & 8) >> 2 | (place & 1);
}

/* Such a row has U units of 16 bytes (8 outputs). Swizzle: unit u is stored at u ^ (place % 8 / (8 / U)), so that the
 * eight rows that ldmatrix reads at once fall into different banks. */
template <int U> __device__ __forceinline__ int unit_at(int place, int u)
{
    return place * U + (u ^ (place % 8 / (8 / U)));
}

using Words = Pack<uint32_t>; /* eight bf16 */

/* A warp's pointers into W and x, and its ring buffer. */
template <bool by_output, int MT, int NT, bool norms> struct Warp {
    using tile = Tile<MT, NT, norms>;
    static constexpr int U = tile::outputs / 8;
    const bf16 *w, *x;  /* x: of the block's first row */
    int I, O, o0, rows; /* rows: number of rows of x in the tile */
    int lane;
    Words *ring;

    /* Issues cp.async loads of chunk `chunk` to `to`: its weights; below, its x. Zeros past I, O and the rows. */
    __device__ __forceinline__ void load_weights(Words *to, int chunk) const
    {
        int k0 = chunk * DEPTH;
#pragma unroll
        for (int i = 0; i < tile::w_units / 32; i++) {
            int unit = 32 * i + lane;
            int k = k0 + (by_output ? unit % 4 * 8 : input_at(unit / U));
            int o = o0 + (by_output ? unit / 4 : unit % U * 8);
            bool there = k < I && o < O;
            int64_t at = by_output ? static_cast<int64_t>(o) * I + k : static_cast<int64_t>(k) * O + o;
            cp_async_16(to + (by_output ? unit : unit_at<U>(unit / U, unit % U)), w + (there ? at : 0), there);
        }
    }

    __device__ __forceinline__ void load_x(Words *to, int chunk) const
    {
        int k = chunk * DEPTH + lane % 4 * 8;
#pragma unroll
        for (int n = 0; n < NT; n++) {
            int row = 8 * n + lane / 4;
            bool there = k < I && row < rows;
            cp_async_16(to + tile::w_units + 32 * n + lane, x + (there ? row * I + k : 0), there);
        }
    }

    /* Fragments of the weights of outputs 16m .. 16m + 15 for steps 0 and 1: A operands of mma. */
    __device__ __forceinline__ void weights(const Words *from, int m, uint32_t (&a)[2][4]) const
    {
        if (by_output) {
            Words low = from[64 * m + lane], high = from[64 * m + 32 + lane]; /* outputs g and g + 8 */
#pragma unroll
            for (int step = 0; step < 2; step++) {
                a[step][0] = low.v[2 * step];
                a[step][1] = high.v[2 * step];
                a[step][2] = low.v[2 * step + 1];
                a[step][3] = high.v[2 * step + 1];
            }
        } else {
            int matrix = lane / 8, place = matrix / 2 * 8 + lane % 8;
#pragma unroll
            for (int step = 0; step < 2; step++)
                ldmatrix_x4_trans(a[step], from + unit_at<U>(16 * step + place, 2 * m + matrix % 2));
        }
    }

    /* x_at: this lane's eight elements of the chunk, where x is not in the ring; null: zeros. */
    __device__ __forceinline__ void multiply(const Words *from, const Words *x_at, float (&sum)[MT][NT][4]) const
    {
        Words b[NT];
#pragma unroll
        for (int n = 0; n < NT; n++)
            b[n] = !norms ? from[tile::w_units + 32 * n + lane] : x_at ? *x_at : Words();
#pragma unroll
        for (int m = 0; m < MT; m++) {
            uint32_t a[2][4];
            weights(from, m, a);
#pragma unroll
            for (int step = 0; step < 2; step++)
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    uint32_t pair[2] = {b[n].v[2 * step], b[n].v[2 * step + 1]};
                    mma_m16n8k16(sum[m][n], a[step], pair);
                }
        }
    }
};

/* Adds the sums of the warps through shared memory, NP tiles of rows at a time, and writes y. bias: of the thread's
 * output. */
template <int MT, int NT, bool norms>
__device__ __forceinline__ void add_warps(const Decode &d, float *shared, const float (&sum)[MT][NT][4], int64_t o0,
                                          int64_t row0, float bias)
{
    using tile = Tile<MT, NT, norms>;
    static_assert(THREADS % tile::outputs == 0, "a thread's numbers are all of one output");
    constexpr int NP = tile::NP, warp_stride = 8 * NP * tile::pitch;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
    for (int n0 = 0; n0 < NT; n0 += NP) {
        __syncthreads();
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int n = 0; n < NP; n++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    int row = 8 * n + 2 * (lane % 4) + e % 2, o = 16 * m + lane / 4 + 8 * (e / 2);
                    shared[warp * warp_stride + row * tile::pitch + o] = sum[m][n0 + n][e];
                }
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.x); i < 8 * NP * tile::outputs; i += THREADS) {
            int row = i / tile::outputs, o = i % tile::outputs;
            if (row0 + 8 * n0 + row >= d.rows || o0 + o >= d.O)
                continue;
            float total = 0;
#pragma unroll
            for (int w = 0; w < WARPS; w++)
                total += shared[w * warp_stride + row * tile::pitch + o];
            decode_finish<bf16>(d, row0 + 8 * n0 + row, o0 + o, total, bias);
        }
    }
}

/* x of the block: the norms of all rows, max 8, by as many teams as the block has warps for. Parameters are loaded
 * before pdl_wait. y: d.rows rows of `pitch` units. */
template <class Team> struct NormTeam {
    static constexpr int teams = WARPS / Team::warps, W = 8;
    float gamma[Team::packs][W], beta[Team::packs][W];
    int first, team;

    __device__ __forceinline__ void load(const Decode &d)
    {
        first = static_cast<int>(threadIdx.x) % Team::threads * W;
        team = static_cast<int>(threadIdx.x) / Team::threads;
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
#pragma unroll
            for (int i = 0; i < W; i++)
                gamma[k][i] = beta[k][i] = 0;
            if (c < d.I)
                load_columns(d.gamma + c, gamma[k]);
            if (c < d.I && d.beta)
                load_columns(d.beta + c, beta[k]);
        }
    }

    __device__ __forceinline__ void norm(const Decode &d, int64_t n, bf16 *y, float *scratch) const
    {
        bool there = n < d.rows;
        int C = static_cast<int>(d.I);
        Pack<bf16> x[Team::packs] = {}, branch[Team::packs] = {};
        float mean, rstd;
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
            if (!there || c >= C)
                continue;
            x[k] = load_pack(static_cast<const bf16 *>(d.residual) + n * C + c);
            if (d.branch)
                branch[k] = load_pack(static_cast<const bf16 *>(d.branch) + n * C + c);
        }
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
            if (!there || c >= C || !d.branch)
                continue;
            for (int i = 0; i < W; i++)
                x[k].v[i] = from_float<bf16>(to_float(x[k].v[i]) + to_float(branch[k].v[i]));
            if (blockIdx.x == 0)
                store_pack(static_cast<bf16 *>(d.sum) + n * C + c, x[k]);
        }
        row_statistics<bf16, Team>(x, first, C, d.eps, scratch, &mean, &rstd);
#pragma unroll
        for (int k = 0; k < Team::packs; k++) {
            int c = first + k * Team::threads * W;
            float out[W];
            if (!there || c >= C)
                continue;
            for (int i = 0; i < W; i++)
                out[i] = normed(to_float(x[k].v[i]), mean, rstd, gamma[k][i], beta[k][i]);
            store_columns(y + c, out);
        }
    }

    __device__ __forceinline__ void norm_rows(const Decode &d, int64_t row0, Words *y, int64_t pitch) const
    {
        SHARED(float, scratch, [WARPS]);
        for (int r = 0; r < 8 && row0 + r < d.rows; r += teams)
            norm(d, row0 + r + team, reinterpret_cast<bf16 *>(y + (r + team) * pitch), scratch);
        __syncthreads();
    }
};

struct NoTeam {
};

/* Min resident blocks per multiprocessor: the head's blocks are several per multiprocessor, and one computes norms
 * while another multiplies. */
template <class Team> constexpr int blocks_of = std::is_same<Team, NoTeam>::value ? 1 : 2;

/* y = act(x W + bias)      x (rows,I), or the norm that gives it; W (I,O) or stored (O,I); y (rows,O)
 * A operand of mma: 16 outputs x 16 inputs of W; B operand: 16 inputs x 8 rows of x. Grid: (outputs / 16 MT, rows / 8
 * NT). Block: 16 MT outputs of 8 NT rows; each of its warps adds every WARPS-th chunk of the inputs. */
template <bool by_output, int MT, int NT, class Team>
__global__ void __launch_bounds__(THREADS, blocks_of<Team>) decode_products(const __grid_constant__ Decode d)
{
    constexpr bool norms = !std::is_same<Team, NoTeam>::value;
    using tile = Tile<MT, NT, norms>;
    DYNAMIC_SHARED(Words, shared);
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    int64_t o0 = static_cast<int64_t>(blockIdx.x) * tile::outputs, row0 = static_cast<int64_t>(blockIdx.y) * tile::rows,
            pitch = norms ? tile::x_pitch(d.I) : 0;
    int chunks = static_cast<int>((d.I + DEPTH - 1) / DEPTH), mine = (chunks + WARPS - 1 - warp) / WARPS;
    int longest = (chunks + WARPS - 1) / WARPS, slots = longest < tile::ring ? longest : tile::ring;
    Warp<by_output, MT, NT, norms> self = {static_cast<const bf16 *>(d.w),
                                           static_cast<const bf16 *>(d.x) + row0 * d.I,
                                           static_cast<int>(d.I),
                                           static_cast<int>(d.O),
                                           static_cast<int>(o0),
                                           static_cast<int>(min(d.rows - row0, int64_t{tile::rows})),
                                           lane,
                                           shared + warp * slots * tile::units};
    Words *all_x = norms ? shared + tile::rings_bytes(d.I) / 16 : nullptr; /* (d.rows, pitch) */
    Words *own_x = norms && lane / 4 < d.rows ? all_x + lane / 4 * pitch + lane % 4 : nullptr;
    float sum[MT][NT][4] = {};
    pdl_launch_dependents();
    if (blockIdx.y == 0)
        prefetch_l2_slice(d.w, 2 * d.I * d.O, blockIdx.x, gridDim.x);
#pragma unroll
    for (int i = 0; i < tile::ring; i++) { /* no op that calls pdl_launch_dependents writes weights */
        if (i < mine)
            self.load_weights(self.ring + i * tile::units, warp + i * WARPS);
        if (norms)
            cp_async_commit();
    }
    int64_t own = o0 + threadIdx.x % tile::outputs;
    float bias = d.bias && own < d.O ? d.bias[own] : 0;
    if constexpr (norms) {
        NormTeam<Team> team;
        team.load(d);
        for (int64_t i = threadIdx.x; i < d.rows * pitch; i += THREADS)
            all_x[i] = {};
        __syncthreads();
        pdl_wait();
        team.norm_rows(d, row0, all_x, pitch);
    } else {
        pdl_wait();
#pragma unroll
        for (int i = 0; i < tile::ring; i++) { /* the first group includes all of these weights */
            if (i < mine)
                self.load_x(self.ring + i * tile::units, warp + i * WARPS);
            cp_async_commit();
        }
    }
    Words *at = self.ring;
    for (int i = 0; i < mine; i++) {
        /* each iteration commits one group, even an empty one: so chunk i has arrived */
        cp_async_wait(tile::ring - 1);
        __syncwarp();
        self.multiply(at, own_x ? own_x + (warp + i * WARPS) * (DEPTH / 8) : nullptr, sum);
        __syncwarp();
        if (i + tile::ring < mine) {
            self.load_weights(at, warp + (i + tile::ring) * WARPS);
            if (!norms)
                self.load_x(at, warp + (i + tile::ring) * WARPS);
        }
        cp_async_commit();
        at = at + tile::units == self.ring + slots * tile::units ? self.ring : at + tile::units;
    }
    add_warps<MT, NT, norms>(d, reinterpret_cast<float *>(shared), sum, o0, row0, bias);
}

/* ---- the host's side ------------------------------------------------------------------------------------- */

template <bool by_output, int MT, int NT, class Team> void run_team(gp_backend *be, const Decode *d)
{
    using tile = Tile<MT, NT, !std::is_same<Team, NoTeam>::value>;
    size_t shared = tile::shared(d->I, d->rows);
    dim3 grid(blocks_for(d->O, tile::outputs), blocks_for(d->rows, tile::rows));
    if (shared > 48 << 10)
        CUDA_CHECK(cudaFuncSetAttribute(decode_products<by_output, MT, NT, Team>,
                                        cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
    RUN_PDL(be, (decode_products<by_output, MT, NT, Team>), grid, THREADS, shared, *d);
}

template <bool by_output, int MT, int NT> void run(gp_backend *be, const Decode *d)
{
    run_team<by_output, MT, NT, NoTeam>(be, d);
}

template <bool by_output, int MT> void run_norm(gp_backend *be, const Decode *d)
{
    bool done = with_team<bf16>(d->I, [&](auto team) { run_team<by_output, MT, 1, decltype(team)>(be, d); });
    BUG_ON(!done);
}

struct TileChoice {
    int outputs, rows;
    size_t (*shared)(int64_t I, int64_t rows_of_x);
    void (*run[2])(gp_backend *be, const Decode *d); /* W (I,O); W stored (O,I) */
};

#define CHOICE(MT, NT)                                                                                                 \
    {                                                                                                                  \
        16 * MT, 8 * NT, Tile<MT, NT>::shared,                                                                         \
        {                                                                                                              \
            run<false, MT, NT>, run<true, MT, NT>                                                                      \
        }                                                                                                              \
    }

#define CHOICE_OF_NORM(MT)                                                                                             \
    {                                                                                                                  \
        16 * MT, 8, Tile<MT, 1, true>::shared,                                                                         \
        {                                                                                                              \
            run_norm<false, MT>, run_norm<true, MT>                                                                    \
        }                                                                                                              \
    }

const TileChoice choices[] = {
    CHOICE(1, 1), CHOICE(1, 2), CHOICE(1, 4), CHOICE(1, 8), CHOICE(2, 1), CHOICE(2, 2),
    CHOICE(2, 4), CHOICE(2, 8), CHOICE(4, 1), CHOICE(4, 2), CHOICE(4, 4), CHOICE(4, 8),
};

const TileChoice choices_of_norm[] = {CHOICE_OF_NORM(1), CHOICE_OF_NORM(2), CHOICE_OF_NORM(4)};

/* Cost model: what the busiest multiprocessor reads, in rows of I elements: a block reads the weights of its outputs
 * and its rows of x. Large tiles read less in total, small ones use more multiprocessors. */
double cost(const gp_backend *be, const Decode *d, const TileChoice *c)
{
    double blocks = static_cast<double>(blocks_for(d->O, c->outputs)) * blocks_for(d->rows, c->rows);
    double each = blocks / state_of(be)->multiprocessors;
    return (each < 1 ? 1 : each) * (c->outputs + static_cast<double>(d->rows < c->rows ? d->rows : c->rows));
}

} // namespace

static const TileChoice *cheapest(const gp_backend *be, const Decode *d, const TileChoice *all, size_t count)
{
    const TileChoice *best = nullptr;
    for (const TileChoice *c = all; c < all + count; c++)
        if (c->shared(d->I, d->rows) <= state_of(be)->shared && (!best || cost(be, d, c) < cost(be, d, best)))
            best = c;
    return best;
}

void decode_tensor(gp_backend *be, const Decode *d)
{
    const TileChoice *best = d->residual ? cheapest(be, d, choices_of_norm, ARRAY_LEN(choices_of_norm))
                                         : cheapest(be, d, choices, ARRAY_LEN(choices));
    BUG_ON(!best);
    best->run[d->by_output](be, d);
}

bool decode_fits_tensor(const gp_backend *be, const Decode *d)
{
    return be->dtype == GP_BF16 && packable<bf16>(d->I, d->x, d->w) && (d->by_output || d->O % Pack<bf16>::size == 0);
}

/* Each block recomputes the norms of its 8 rows: for more rows that costs more than a separate kernel. */
bool decode_fits_norm(const gp_backend *be, const Decode *d)
{
    return d->rows <= GP_NORM_IN_PRODUCT_ROWS && d->I <= GP_NORM_IN_PRODUCT_CHANNELS && decode_fits_tensor(be, d) &&
           packable<bf16>(d->I, d->residual, d->branch, d->sum) && packable<float>(d->I, d->gamma, d->beta) &&
           cheapest(be, d, choices_of_norm, ARRAY_LEN(choices_of_norm));
}
