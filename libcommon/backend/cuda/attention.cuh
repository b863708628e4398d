/* attention.cuh: what the kernels of attention's forward and backward are given, how they divide the work, and who
 * launches them. op_attention.cu chooses: attention_cudnn.cu where that was asked for, flash_forward.cu and
 * flash_backward.cu where the tensor cores can do it, attention_plain.cu elsewhere and in fp32. */
#ifndef GP_CUDA_ATTENTION_CUH
#define GP_CUDA_ATTENTION_CUH

#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"

/* E: an element of qkv, out and their gradients, as activations are stored. */
template <class E> struct Attention {
    int B, T, H, D;
    bool causal;
    bool packs;         /* heads begin at multiples of 16 bytes */
    int flock;          /* see share_of */
    float scale;        /* 1 / sqrt(D), or 1 / divisor */
    const int *lengths; /* (B) or null */
    Mask mask;
    const E *qkv; /* (B,T,3C) */
    E *out;       /* (B,T,C) */
    float *lse;   /* (B,H,T) or null */
    const E *dout;
    E *dqkv;
    float2 *rows; /* (B,H,T) of {lse log2(e), delta}; delta = dout . out is what softmax's gradient takes off a row */

    /* Numbers from a row of qkv (and dqkv) to the next, and of out (and dout). */
    __host__ __device__ int64_t qkv_stride() const
    {
        return int64_t{3} * H * D;
    }
    __host__ __device__ int64_t out_stride() const
    {
        return int64_t{H} * D;
    }
    /* Row 0 of sample b: head h's queries (which 0), keys (1) or values (2); of out. */
    __device__ int64_t qkv_at(int b, int h, int which) const
    {
        return b * (T * qkv_stride()) + (static_cast<int64_t>(which) * H + h) * D;
    }
    __device__ int64_t out_at(int b, int h) const
    {
        return b * (T * out_stride()) + static_cast<int64_t>(h) * D;
    }
    /* Query 0 of lse and rows. */
    __device__ int64_t row_at(int b, int h) const
    {
        return (static_cast<int64_t>(b) * H + h) * T;
    }
    /* Keys of sample b that count; of these query q sees visible(q, keys), the first ones. */
    __device__ int keys_of(int b) const
    {
        return lengths ? max(0, min(T, lengths[b])) : T;
    }
    __device__ int visible(int q, int keys) const
    {
        return causal ? min(q + 1, keys) : keys;
    }
};

/* A block's share: a tile of rows (queries, or keys) of head h of sample b. Blocks begin in the order of their number.
 * With a causal mask late queries see the most keys, and early keys are seen by the most queries: the longest tiles
 * begin first, so that short ones fill the end. But not over all heads at once: flock by flock, so that the keys and
 * values which the tiles of a head share are still in the L2 cache when its next tile reads them. */
struct Share {
    int b, h, tile;
};

template <class E> __device__ __forceinline__ Share share_of(const Attention<E> &a, int tiles, bool late_first)
{
    int i = static_cast<int>(blockIdx.x), heads = a.B * a.H, base = i / (a.flock * tiles) * a.flock;
    int width = min(a.flock, heads - base), in_flock = i - base * tiles;
    int head = base + in_flock % width, tile = in_flock / width;
    return {head / a.H, head % a.H, late_first ? tiles - 1 - tile : tile};
}

template <class E> static inline unsigned attention_blocks(const Attention<E> &a, int tile)
{
    return blocks_for(a.T, tile) * static_cast<unsigned>(a.B * a.H);
}

constexpr float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

/* A kernel gets more than 48 KiB of shared memory only where it was asked for. */
template <class Kernel> void allow_shared(const gp_backend *be, Kernel kernel, size_t bytes)
{
    if (bytes > state_of(be)->shared)
        die("backend cuda: attention on heads this wide needs %zu bytes of shared memory, and %s has %zu", bytes,
            be->device, state_of(be)->shared);
    cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
               "cudaFuncSetAttribute");
}

/* attention_plain.cu: D up to ATTENTION_PLAIN_D, fp32 and bf16 */
constexpr int ATTENTION_PLAIN_D = 256;
template <class E> void attention_forward_plain(gp_backend *be, const Attention<E> &a);
template <class E> void attention_backward_plain(gp_backend *be, const Attention<E> &a);

/* flash_forward.cu, flash_backward.cu: bf16, where flash_takes says so */
constexpr int ATTENTION_FLASH_D = 128;
void attention_forward_flash(gp_backend *be, const Attention<bf16> &a);
void attention_backward_flash(gp_backend *be, const Attention<bf16> &a);

#endif
