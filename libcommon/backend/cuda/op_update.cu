/* op_update.cu: the norm of all gradients, and AdamW; many segments per launch.
 *
 * The list of segments is in host memory and the same every step, so it is passed as kernel parameters: nothing is
 * copied or allocated, and a captured step keeps it. A segment is divided into chunks; block b takes chunks b, b +
 * grid, ... of all segments of the launch, in order. */
#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"
#include "backend/rounding.h"

#include <cfloat>
#include <cmath>

constexpr unsigned UPDATE_THREADS = 256;
/* Blocks per launch. Independent of the device: the norm's partial sums, and so its bits, depend on it. Four per
 * multiprocessor on an H100, which is more loads in flight than its memory needs. */
constexpr unsigned UPDATE_BLOCKS = 512;
constexpr int PACKS = 4; /* packs per thread of a chunk */
/* Blocks of adamw per multiprocessor: max 48 registers per thread. Left to choose, ptxas takes 40 for sm_86 and sm_89,
 * and spills; for sm_75, with max 1024 threads per multiprocessor, it rejects more than four blocks. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int ADAMW_BLOCKS = 4;
#else
[[maybe_unused]] constexpr int ADAMW_BLOCKS = 5;
#endif
constexpr int CHUNK = UPDATE_THREADS * PACKS * Pack<float>::size;

/* Kernel parameters are limited to 4 KiB. */
constexpr int SEGMENTS = (4096 - 128) / (sizeof(gp_segment) + sizeof(unsigned));

struct Segments {
    gp_segment at[SEGMENTS];
    unsigned end[SEGMENTS]; /* number of chunks of all segments up to and including this one */
    int count;
};

/* Chunks begin at addresses of g that are multiples of 16 bytes; the first chunk of a segment may begin before the
 * segment, by this many elements. */
static __host__ __device__ __forceinline__ int elements_before(const gp_segment &s)
{
    return static_cast<int>(reinterpret_cast<uintptr_t>(s.g) % 16 / sizeof(float));
}

/* Takes as many segments from *from on as fit into a launch; advances *from. */
static Segments take_batch(const gp_segment *segments, int count, int *from)
{
    Segments batch = {};
    int64_t chunks = 0;
    while (*from < count && batch.count < SEGMENTS) {
        const gp_segment &s = segments[(*from)++];
        if (s.count == 0)
            continue;
        chunks += blocks_for(elements_before(s) + s.count, CHUNK);
        batch.at[batch.count] = s;
        batch.end[batch.count++] = static_cast<unsigned>(chunks);
    }
    BUG_ON(chunks > INT32_MAX);
    return batch;
}

static unsigned grid_of(const Segments &s)
{
    return s.end[s.count - 1] < UPDATE_BLOCKS ? s.end[s.count - 1] : UPDATE_BLOCKS;
}

/* Calls body(segment, first) for each chunk of this block: elements first .. first + CHUNK - 1 that are in the segment;
 * for its first chunk `first` may be negative. */
template <class Body> __device__ __forceinline__ void for_each_chunk(const Segments &s, Body body)
{
    unsigned chunks = s.end[s.count - 1];
    int i = 0;
    for (unsigned chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
        while (chunk >= s.end[i])
            i++;
        int64_t before = i ? s.end[i - 1] : 0;
        body(s.at[i], (chunk - before) * CHUNK - elements_before(s.at[i]));
    }
}

/* The first element of this thread's k-th pack of a chunk. */
static __device__ __forceinline__ int64_t pack_of_chunk(int64_t first, int k)
{
    return first + (k * UPDATE_THREADS + threadIdx.x) * Pack<float>::size;
}

/* ---- the norm -------------------------------------------------------------------------------------------- */

static __device__ __forceinline__ float squares(const Pack<float> &x)
{
    return x.v[0] * x.v[0] + x.v[1] * x.v[1] + x.v[2] * x.v[2] + x.v[3] * x.v[3];
}

/* Elements i .. i + 3 of count; zeros for those out of range. */
static __device__ __forceinline__ Pack<float> load_bounded(const float *p, int64_t i, int64_t count)
{
    if (i >= 0 && i + Pack<float>::size <= count)
        return load_pack(p + i);
    Pack<float> x = {};
#pragma unroll
    for (int j = 0; j < Pack<float>::size; j++)
        if (i + j >= 0 && i + j < count)
            x.v[j] = p[i + j];
    return x;
}

/* partial(b) += sum of g^2 over the chunks of block b                  g: the segments; partial (UPDATE_BLOCKS)
 * A thread owns PACKS packs of a chunk. The squares of a pack are added in fp32, packs in double: |g| beyond 1e19
 * counts as not finite; otherwise it is precise enough for any count. */
static __global__ void __launch_bounds__(UPDATE_THREADS)
    sum_squares(const __grid_constant__ Segments segments, double *partial)
{
    SHARED(double, scratch, [UPDATE_THREADS / WARP]);
    double sum = 0;
    for_each_chunk(segments, [&](const gp_segment &s, int64_t first) {
        Pack<float> x[PACKS];
#pragma unroll
        for (int k = 0; k < PACKS; k++)
            x[k] = load_bounded(s.g, pack_of_chunk(first, k), s.count);
#pragma unroll
        for (int k = 0; k < PACKS; k++)
            sum += squares(x[k]);
    });
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0)
        partial[blockIdx.x] += sum;
}

/* step->grad_norm = sqrt(sum of partial), and from it skip and clip_scale. One block, one partial sum per thread. */
static __global__ void __launch_bounds__(UPDATE_BLOCKS) finish_norm(const double *partial, gp_step *step)
{
    SHARED(double, scratch, [UPDATE_BLOCKS / WARP]);
    double norm = sqrt(block_sum(partial[threadIdx.x], scratch));
    if (threadIdx.x)
        return;
    step->grad_norm = static_cast<float>(norm);
    step->skip |= !(norm <= FLT_MAX && fabs(step->loss) <= DBL_MAX);
    step->clip_scale = step->max_norm > 0 ? static_cast<float>(fmin(1.0, step->max_norm / (norm + 1e-6))) : 1.0f;
}

size_t gp_cuda_update_workspace(const gp_backend *be, const gp_shape *shape)
{
    (void)be, (void)shape;
    return UPDATE_BLOCKS * sizeof(double);
}

void gp_cuda_grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step)
{
    size_t bytes = UPDATE_BLOCKS * sizeof(double);
    double *partial = static_cast<double *>(cuda_workspace(be, bytes));
    gp_cuda_zero(be, partial, bytes);
    for (int from = 0; from < count;) {
        Segments batch = take_batch(segments, count, &from);
        if (batch.count)
            RUN(be, sum_squares, grid_of(batch), UPDATE_THREADS, 0, batch, partial);
    }
    RUN(be, finish_norm, 1, UPDATE_BLOCKS, 0, partial, step);
}

/* ---- AdamW ----------------------------------------------------------------------------------------------- */

struct AdamW {
    float beta1, beta2, one_minus_beta1, one_minus_beta2, eps;
    const gp_step *step;
};

/* Factors that are the same for all elements of a segment in one step. */
struct Rates {
    float clip, decay; /* lr * weight_decay */
    float rate, root;  /* lr / bias1, 1 / bias2 */
};

static __device__ __forceinline__ Rates rates_of(const gp_step &step, const gp_segment &s)
{
    float lr = step.lr * s.lr_scale;
    return {step.clip_scale, lr * s.weight_decay, lr / step.bias1, 1 / step.bias2};
}

/* AdamW (Loshchilov & Hutter 2019) for one element; g' = clip g:
 *   m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g'^2
 *   p = p - lr weight_decay p - lr (m / bias1) / (sqrt(v / bias2) + eps)
 * p is returned in fp32; where it is stored in bf16 it is then rounded stochastically. */
static __device__ __forceinline__ void update(const AdamW &a, const Rates &r, float g, float &p, float &m, float &v)
{
    g *= r.clip;
    m = a.beta1 * m + a.one_minus_beta1 * g;
    v = a.beta2 * v + a.one_minus_beta2 * g * g;
    p = p - r.decay * p - r.rate * m / (sqrtf(v * r.root) + a.eps);
}

/* x as stored in a parameter of type P; word: the random bits of stochastic rounding. */
template <class P> __device__ __forceinline__ P to_stored(float x, uint32_t word);
template <> __device__ __forceinline__ float to_stored<float>(float x, uint32_t)
{
    return x;
}
template <> __device__ __forceinline__ bf16 to_stored<bf16>(float x, uint32_t word)
{
    return __ushort_as_bfloat16(gp_round_by_chance(x, word));
}

template <class P>
static __device__ __forceinline__ void update_pack(const AdamW &a, const Rates &r, const gp_segment &s, int64_t i)
{
    Vec<P, 4> *at = reinterpret_cast<Vec<P, 4> *>(static_cast<P *>(s.p) + i), p = *at;
    Pack<float> g = load_pack(s.g + i), m = load_pack(s.m + i), v = load_pack(s.v + i);
    gp_philox drawn = {};
    if (sizeof(P) < sizeof(float))
        drawn = gp_rounding_words(a.step->seed, a.step->step, s.first + i);
#pragma unroll
    for (int j = 0; j < Pack<float>::size; j++) {
        float x = to_float(p.v[j]);
        update(a, r, g.v[j], x, m.v[j], v.v[j]);
        p.v[j] = to_stored<P>(x, drawn.v[j]);
    }
    *at = p;
    store_pack(s.m + i, m);
    store_pack(s.v + i, v);
}

template <class P>
static __device__ __forceinline__ void update_one(const AdamW &a, const Rates &r, const gp_segment &s, int64_t i)
{
    P *p = static_cast<P *>(s.p) + i;
    float x = to_float(*p);
    uint32_t word = 0;
    if (sizeof(P) < sizeof(float))
        word = gp_rounding_word(a.step->seed, a.step->step, s.first + i);
    update(a, r, s.g[i], x, s.m[i], s.v[i]);
    *p = to_stored<P>(x, word);
}

/* The offset of p from a multiple of four elements. */
template <class P> static __device__ __forceinline__ unsigned phase(const P *p)
{
    return static_cast<unsigned>(reinterpret_cast<uintptr_t>(p) / sizeof(P) % 4);
}

/* Whether p, m, v and the Philox draws have the same alignment to four elements as g. */
template <class P> static __device__ __forceinline__ bool same_phase(const gp_segment &s)
{
    unsigned g = phase(s.g);
    bool drawn = sizeof(P) == sizeof(float) || s.first % 4 == g;
    return phase(static_cast<P *>(s.p)) == g && phase(s.m) == g && phase(s.v) == g && drawn;
}

/* Updates one chunk; a thread owns PACKS packs of it. */
template <class P>
static __device__ __forceinline__ void update_chunk(const AdamW &a, const gp_segment &s, int64_t first)
{
    Rates r = rates_of(*a.step, s);
    bool packs = same_phase<P>(s);
#pragma unroll 1 /* four loads in flight per thread are enough, and fewer registers allow more blocks */
    for (int k = 0; k < PACKS; k++) {
        int64_t i = pack_of_chunk(first, k);
        if (packs && i >= 0 && i + Pack<float>::size <= s.count) {
            update_pack<P>(a, r, s, i);
            continue;
        }
        int64_t end = i + Pack<float>::size < s.count ? i + Pack<float>::size : s.count;
        for (i = i > 0 ? i : 0; i < end; i++)
            update_one<P>(a, r, s, i);
    }
}

/* AdamW of the segments: p, m, v (=) from g, as above `update`. Block b: chunks b, b + grid, ...
 * any_bf16: some segments are bf16. In a skipped step nothing is written. */
template <bool any_bf16>
static __global__ void __launch_bounds__(UPDATE_THREADS, ADAMW_BLOCKS)
    adamw(const __grid_constant__ Segments segments, AdamW a)
{
    if (a.step->skip)
        return;
    for_each_chunk(segments, [&](const gp_segment &s, int64_t first) {
        if (any_bf16 && s.dtype == GP_BF16)
            update_chunk<bf16>(a, s, first);
        else
            update_chunk<float>(a, s, first);
    });
}

static bool has_bf16(const Segments &s)
{
    bool any = false;
    for (int i = 0; i < s.count; i++)
        any |= s.at[i].dtype == GP_BF16;
    return any;
}

void gp_cuda_adamw(gp_backend *be, const gp_adamw_op *op)
{
    AdamW a = {op->beta1, op->beta2, static_cast<float>(1.0 - op->beta1), static_cast<float>(1.0 - op->beta2),
               op->eps,   op->step};
    for (int from = 0; from < op->count;) {
        Segments batch = take_batch(op->segments, op->count, &from);
        if (batch.count && has_bf16(batch))
            RUN(be, adamw<true>, grid_of(batch), UPDATE_THREADS, 0, batch, a);
        else if (batch.count)
            RUN(be, adamw<false>, grid_of(batch), UPDATE_THREADS, 0, batch, a);
    }
}
