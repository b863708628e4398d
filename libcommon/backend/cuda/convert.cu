/* convert.cu: numbers of the host into memory of another dtype. The host's bytes are uploaded as they are, a piece at a
 * time, and converted on the device: a checkpoint's 16 bits cross the bus as 16 bits, and no thread of the host rounds
 * weights one by one. */
#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"

#ifdef GP_CUSIM
constexpr size_t STAGING = 1 << 10;
#else
constexpr size_t STAGING = 4 << 20;
#endif
constexpr int CONVERT_THREADS = 256;

/* IEEE's half precision as a file has it. */
struct Half {
    uint16_t bits;
};

/* Exact. Exponent and mantissa are moved to where fp32 has them, which makes the number, subnormal or not, 2^112 times
 * smaller. Finite numbers alone: others are refused before they are uploaded. */
static __device__ __forceinline__ float to_float(Half x)
{
    float size = __uint_as_float(static_cast<uint32_t>(x.bits & 0x7fffu) << 13) * 0x1p112f;
    return x.bits & 0x8000u ? -size : size;
}

/* to[i] = from[i], rounded to nearest          (count)
 * A thread per number. Writes (=). */
template <class To, class From>
static __global__ void __launch_bounds__(CONVERT_THREADS) convert(To *to, const From *from, int64_t count)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * CONVERT_THREADS + threadIdx.x;
    if (i < count)
        to[i] = from_float<To>(to_float(from[i]));
}

template <class To, class From> static void upload_pieces(gp_backend *be, void *dst, const void *host, int64_t count)
{
    constexpr int64_t MAX = STAGING / sizeof(From);
    From *staging = static_cast<From *>(state_of(be)->staging);
    for (int64_t at = 0; at < count; at += MAX) {
        int64_t n = count - at < MAX ? count - at : MAX;
        gp_cuda_upload(be, staging, static_cast<const From *>(host) + at, static_cast<size_t>(n) * sizeof(From));
        RUN(be, (convert<To, From>), blocks_for(n, CONVERT_THREADS), CONVERT_THREADS, 0, static_cast<To *>(dst) + at,
            staging, n);
    }
}

void gp_cuda_upload_as(gp_backend *be, void *dst, gp_dtype to, const void *host, gp_dtype from, int64_t count)
{
    CudaState *s = state_of(be);
    if (!s->staging)
        s->staging = gp_cuda_alloc(be, STAGING);
    if (to == GP_BF16 && from == GP_F32)
        upload_pieces<bf16, float>(be, dst, host, count);
    else if (to == GP_BF16 && from == GP_F16)
        upload_pieces<bf16, Half>(be, dst, host, count);
    else if (to == GP_F32 && from == GP_BF16)
        upload_pieces<float, bf16>(be, dst, host, count);
    else if (to == GP_F32 && from == GP_F16)
        upload_pieces<float, Half>(be, dst, host, count);
    else
        BUG_ON(true);
}

void convert_close(gp_backend *be)
{
    if (state_of(be)->staging)
        gp_cuda_free(be, state_of(be)->staging, STAGING);
}
