/* weight.cu: weights as the products read them. In fp32 they are read in place, and so is a weight that is stored in
 * bf16 without a master; else in bf16 the slot has a copy of the weight, in the same layout. A copy of its bias
 * follows, or is alone in the slot. A transposed weight, the head, is padded with rows of zeros after its vocabulary,
 * which is an odd number: tensor cores need multiples of 8. The slot is zeroed when it is allocated, and nothing writes
 * to the padding; a weight that is read in place has its own padding. */
#include "backend/cuda/kernel.cuh"
#include "backend/cuda/matmul.cuh"

int64_t weight_inputs(const gp_weight *w)
{
    return w->w.dim[w->transposed ? 1 : 0];
}

int64_t weight_outputs(const gp_weight *w)
{
    return w->w.dim[w->transposed ? 0 : 1];
}

int64_t weight_outputs_padded(const gp_backend *be, const gp_weight *w)
{
    int64_t outputs = weight_outputs(w);
    return be->dtype == GP_BF16 && w->transposed ? (outputs + GP_PAD_ROWS - 1) / GP_PAD_ROWS * GP_PAD_ROWS : outputs;
}

static bool in_place(const gp_backend *be, const gp_weight *w)
{
    return w->w.dtype == be->dtype;
}

/* Offset of the bias in the slot. */
static size_t bias_at(const gp_backend *be, const gp_weight *w)
{
    if (in_place(be, w))
        return 0;
    return gp_round_up(static_cast<size_t>(weight_outputs_padded(be, w) * weight_inputs(w)) * sizeof(bf16), 64);
}

void gp_cuda_weight_open(gp_backend *be, gp_weight *w, int64_t rows)
{
    (void)rows;
    BUG_ON(w->w.ndim != 2 || (w->w.dtype != GP_F32 && !in_place(be, w)));
    BUG_ON(w->bias && gp_tensor_count(w->bias) != weight_outputs(w));
    w->form = nullptr;
}

size_t gp_cuda_weight_bytes(gp_backend *be, const gp_weight *w)
{
    if (be->dtype != GP_BF16)
        return 0;
    size_t bias = w->bias ? static_cast<size_t>(weight_outputs_padded(be, w)) * sizeof(bf16) : 0;
    return bias_at(be, w) + gp_round_up(bias, 64);
}

void gp_cuda_weight_close(gp_backend *be, gp_weight *w)
{
    (void)be, (void)w;
}

const void *weight_data(const gp_backend *be, const gp_weight *w)
{
    BUG_ON(!in_place(be, w) && !w->slot);
    return in_place(be, w) ? w->w.data : w->slot;
}

const void *weight_bias(const gp_backend *be, const gp_weight *w)
{
    if (!w->bias)
        return nullptr;
    BUG_ON(be->dtype == GP_BF16 && !w->slot);
    return be->dtype == GP_BF16 ? static_cast<char *>(w->slot) + bias_at(be, w) : w->bias->data;
}

/* ---- the copies ------------------------------------------------------------------------------------------ */

/* Tensors per launch: as many as fit into the kernel parameters (4 KiB): GPT-2 in one launch, gpt2-xl in four. */
constexpr int TENSORS = 120, CONVERT_THREADS = 256, PACKS = 4;
constexpr int64_t BLOCK_ELEMENTS = CONVERT_THREADS * PACKS * Pack<bf16>::size; /* elements per block */

struct ToBf16 {
    const float *from[TENSORS];
    bf16 *to[TENSORS];
    int64_t size[TENSORS];
    uint32_t first[TENSORS + 1]; /* first block of each tensor; last: the number of blocks */
    int count;
};

/* to = bf16(from), rounded to nearest, for `count` tensors of size[] elements
 * Block: BLOCK_ELEMENTS elements of one tensor; a thread owns PACKS times 8 of them, or, at the end and where `from` is
 * not aligned to 16 bytes, single elements. Writes (=). */
static __global__ void __launch_bounds__(CONVERT_THREADS) convert_to_bf16(const __grid_constant__ ToBf16 n)
{
    int lo = 0, hi = n.count;
    while (hi - lo > 1) {
        int middle = (lo + hi) / 2;
        (n.first[middle] <= blockIdx.x ? lo : hi) = middle;
    }
    int64_t begin = (blockIdx.x - n.first[lo]) * BLOCK_ELEMENTS, left = n.size[lo] - begin;
    const float *from = n.from[lo] + begin;
    bf16 *to = n.to[lo] + begin;
    if (left >= BLOCK_ELEMENTS && reinterpret_cast<uintptr_t>(from) % 16 == 0) {
        Pack<float> x[PACKS][2];
#pragma unroll
        for (int i = 0; i < PACKS; i++) {
            const float *p = from + (i * CONVERT_THREADS + threadIdx.x) * Pack<bf16>::size;
            x[i][0] = load_pack(p);
            x[i][1] = load_pack(p + 4);
        }
#pragma unroll
        for (int i = 0; i < PACKS; i++) {
            Pack<bf16> y;
#pragma unroll
            for (int j = 0; j < Pack<bf16>::size; j++)
                y.v[j] = from_float<bf16>(x[i][j / 4].v[j % 4]);
            store_pack(to + (i * CONVERT_THREADS + threadIdx.x) * Pack<bf16>::size, y);
        }
        return;
    }
    for (int64_t i = threadIdx.x; i < (left < BLOCK_ELEMENTS ? left : BLOCK_ELEMENTS); i += CONVERT_THREADS)
        to[i] = from_float<bf16>(from[i]);
}

static void flush(gp_backend *be, ToBf16 *n)
{
    if (n->count)
        RUN(be, convert_to_bf16, n->first[n->count], CONVERT_THREADS, 0, *n);
    n->count = 0;
}

static void add(gp_backend *be, ToBf16 *n, const gp_tensor *from, const void *to)
{
    if (n->count == TENSORS)
        flush(be, n);
    int i = n->count++;
    n->from[i] = data_of<float>(from);
    n->to[i] = static_cast<bf16 *>(const_cast<void *>(to));
    n->size[i] = gp_tensor_count(from);
    if (i == 0)
        n->first[0] = 0;
    n->first[i + 1] = n->first[i] + blocks_for(n->size[i], BLOCK_ELEMENTS);
}

void gp_cuda_weights_changed(gp_backend *be, gp_weight *const *w, int count)
{
    if (be->dtype != GP_BF16)
        return;
    ToBf16 n = {};
    for (int i = 0; i < count; i++) {
        if (!in_place(be, w[i]))
            add(be, &n, &w[i]->w, weight_data(be, w[i]));
        if (w[i]->bias)
            add(be, &n, w[i]->bias, weight_bias(be, w[i]));
    }
    flush(be, &n);
}
