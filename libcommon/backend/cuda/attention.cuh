/* attention.cuh: the arguments of attention's forward and backward kernels, their block mapping, and their launchers.
 * op_attention.cu selects: attention_cudnn.cu where it was requested, flash_forward.cu and flash_backward.cu where the
 * tensor cores support the shape, else, and in fp32, attention_plain.cu. */
#ifndef GP_CUDA_ATTENTION_CUH
#define GP_CUDA_ATTENTION_CUH

#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"

/* E: element type of qkv, out and their gradients, that of stored activations. */
template <class E> struct Attention {
    int B, T, H, D;
    bool causal;
    bool aligned;       /* all heads start at multiples of 16 bytes */
    int head_group;     /* heads that are scheduled together: see work_tile_of */
    float scale;        /* 1 / sqrt(D), or 1 / divisor */
    const int *lengths; /* (B) or null */
    Mask mask;
    const E *qkv; /* (B,T,3C) */
    E *out;       /* (B,T,C) */
    float *lse;   /* (B,H,T) or null */
    const E *dout;
    E *dqkv;
    float2 *rows; /* (B,H,T) of {lse log2(e), delta}; delta = dout . out, the row constant of softmax's gradient */

    /* Row strides, in elements, of qkv and dqkv, and of out and dout. */
    __host__ __device__ int64_t qkv_stride() const
    {
        return int64_t{3} * H * D;
    }
    __host__ __device__ int64_t out_stride() const
    {
        return int64_t{H} * D;
    }
    /* Offset of row 0 of sample b: head h's queries (which = 0), keys (1) or values (2); below, in out. */
    __device__ int64_t qkv_at(int b, int h, int which) const
    {
        return b * (T * qkv_stride()) + (static_cast<int64_t>(which) * H + h) * D;
    }
    __device__ int64_t out_at(int b, int h) const
    {
        return b * (T * out_stride()) + static_cast<int64_t>(h) * D;
    }
    /* Offset of query 0 in lse and rows. */
    __device__ int64_t row_at(int b, int h) const
    {
        return (static_cast<int64_t>(b) * H + h) * T;
    }
    /* Number of unmasked keys of sample b; query q sees the first visible(q, keys) of them. */
    __device__ int keys_of(int b) const
    {
        return lengths ? max(0, min(T, lengths[b])) : T;
    }
    __device__ int visible(int q, int keys) const
    {
        return causal ? min(q + 1, keys) : keys;
    }
};

/* A block's work: a tile of rows (queries or keys) of head h of sample b. Blocks are scheduled in the order of
 * blockIdx. With a causal mask late queries see the most keys, and early keys are seen by the most queries: the longest
 * tiles come first, so that short ones fill the tail of the grid. But not over all heads at once: over `head_group`
 * heads at a time, so that the keys and values that the tiles of a head share are still in the L2 cache when its next
 * tile reads them. */
struct WorkTile {
    int b, h, tile;
};

template <class E> __device__ __forceinline__ WorkTile work_tile_of(const Attention<E> &a, int tiles, bool late_first)
{
    int i = static_cast<int>(blockIdx.x), heads = a.B * a.H, base = i / (a.head_group * tiles) * a.head_group;
    int width = min(a.head_group, heads - base), in_group = i - base * tiles;
    int head = base + in_group % width, tile = in_group / width;
    return {head / a.H, head % a.H, late_first ? tiles - 1 - tile : tile};
}

template <class E> static inline unsigned attention_blocks(const Attention<E> &a, int tile)
{
    return blocks_for(a.T, tile) * static_cast<unsigned>(a.B * a.H);
}

constexpr float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

/* More than 48 KiB of dynamic shared memory needs an opt-in per kernel. */
template <class Kernel> void allow_shared(const gp_backend *be, Kernel kernel, size_t bytes)
{
    if (bytes > state_of(be)->shared)
        die("backend cuda: attention with this head size needs %zu bytes of shared memory per block, %s has %zu", bytes,
            be->device, state_of(be)->shared);
    cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
               "cudaFuncSetAttribute");
}

/* attention_plain.cu: D <= ATTENTION_PLAIN_D, fp32 and bf16 */
constexpr int ATTENTION_PLAIN_D = 256;
template <class E> void attention_forward_plain(gp_backend *be, const Attention<E> &a);
template <class E> void attention_backward_plain(gp_backend *be, const Attention<E> &a);

/* flash_forward.cu, flash_backward.cu: bf16, for shapes that flash_takes accepts */
constexpr int ATTENTION_FLASH_D = 128;
void attention_forward_flash(gp_backend *be, const Attention<bf16> &a);
void attention_backward_flash(gp_backend *be, const Attention<bf16> &a);

#endif
