/* tensor_core.cuh: tensor-core and asynchronous-copy instructions: inline PTX on the device, and the same in plain C++
 * for the simulator (tests/cusim), by the layouts in the PTX manual.
 *
 * The instruction is mma.m16n8k16 on bfloat16 (PTX ISA 7.0, sm_80): D = A B + C with A (16,16), B (16,8), C and D
 * (16,8) in fp32. With g = lane / 4 and t = lane % 4, the fragments of a lane are
 *
 *     a[0] = A[g][2t, 2t+1]      a[1] = A[g+8][2t, 2t+1]      a[2] = A[g][2t+8, 2t+9]    a[3] = A[g+8][2t+8, 2t+9]
 *     b[0] = B[2t, 2t+1][g]      b[1] = B[2t+8, 2t+9][g]
 *     c[0], c[1] = C[g][2t, 2t+1]                             c[2], c[3] = C[g+8][2t, 2t+1]
 *
 * where the element named first is in the low half of the 32-bit register. */
#ifndef GP_CUDA_TENSOR_CORE_CUH
#define GP_CUDA_TENSOR_CORE_CUH

#include "backend/cuda/cuda.cuh"

/* bf16 kernels are compiled for devices before sm_80 too, where they are never launched, and trap if they are. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define SM_80_ASM(...) __trap()
#else
#define SM_80_ASM(...) asm volatile(__VA_ARGS__)
#endif

/* ---- products -------------------------------------------------------------------------------------------- */

#ifdef GP_CUSIM

namespace cusim
{

struct Mma {
    float *c;
    const uint32_t *a, *b;
};

static inline float half_of(uint32_t word, unsigned high)
{
    return __bfloat162float(__nv_bfloat16(static_cast<uint16_t>(high ? word >> 16 : word & 0xffff)));
}

static inline void finish_mma(Lanes lanes, Place place)
{
    float a[16][16], b[16][8];
    for (unsigned i = 0; i < 32; i++) {
        const Mma *m = static_cast<Mma *>(peer(lanes, i, i, place));
        unsigned g = i / 4, t = i % 4;
        for (unsigned r = 0; r < 4; r++)
            for (unsigned k = 0; k < 2; k++)
                a[g + 8 * (r % 2)][2 * t + 8 * (r / 2) + k] = half_of(m->a[r], k);
        for (unsigned r = 0; r < 2; r++)
            for (unsigned k = 0; k < 2; k++)
                b[2 * t + 8 * r + k][g] = half_of(m->b[r], k);
    }
    for (unsigned i = 0; i < 32; i++)
        for (unsigned e = 0; e < 4; e++) {
            float *c = static_cast<Mma *>(lanes[i])->c;
            double sum = 0;
            for (unsigned k = 0; k < 16; k++)
                sum += static_cast<double>(a[i / 4 + 8 * (e / 2)][k]) * static_cast<double>(b[k][2 * (i % 4) + e % 2]);
            c[e] = static_cast<float>(static_cast<double>(c[e]) + sum);
        }
}

static inline void mma_m16n8k16(Place place, float *c, const uint32_t *a, const uint32_t *b)
{
    Mma m = {c, a, b};
    warp_collective(place, 0xffffffffu, &m, finish_mma);
}

} // namespace cusim

#define mma_m16n8k16(c, a, b) cusim::mma_m16n8k16(CUSIM_PLACE("mma"), c, a, b)

#else

/* c += a b, by the whole warp. */
static __device__ __forceinline__ void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    SM_80_ASM("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
              "{%0,%1,%2,%3};\n"
              : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
              : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif

/* ---- fragments from shared memory: ldmatrix -------------------------------------------------------------- */

/* Loads four 8x8 matrices of 16-bit elements. Lanes 8i .. 8i+7 give the addresses of the rows of matrix i, 16 bytes
 * each, at multiples of 16; r[i] of a lane is elements [g][2t, 2t+1] of matrix i, or, transposed, [2t, 2t+1][g]. */
#ifdef GP_CUSIM

namespace cusim
{

struct LoadMatrix {
    uint32_t *r;
    const void *row;
    bool transposed;
};

static inline void finish_ldmatrix(Lanes lanes, Place place)
{
    uint16_t m[4][8][8];
    for (unsigned i = 0; i < 32; i++) {
        const void *row = static_cast<LoadMatrix *>(peer(lanes, i, i, place))->row;
        if (reinterpret_cast<uintptr_t>(row) % 16)
            fault(place, "lane %u's row is not at a multiple of 16 bytes", i);
        __builtin_memcpy(m[i / 8][i % 8], row, 16);
    }
    for (unsigned i = 0; i < 32; i++) {
        const LoadMatrix *l = static_cast<LoadMatrix *>(lanes[i]);
        unsigned g = i / 4, t = 2 * (i % 4);
        for (unsigned k = 0; k < 4; k++)
            l->r[k] = l->transposed ? m[k][t][g] | static_cast<uint32_t>(m[k][t + 1][g]) << 16
                                    : m[k][g][t] | static_cast<uint32_t>(m[k][g][t + 1]) << 16;
    }
}

static inline void ldmatrix(Place place, uint32_t *r, const void *row, bool transposed)
{
    LoadMatrix l = {r, row, transposed};
    warp_collective(place, 0xffffffffu, &l, finish_ldmatrix);
}

} // namespace cusim

#define ldmatrix_x4(r, row)       cusim::ldmatrix(CUSIM_PLACE("ldmatrix"), r, row, false)
#define ldmatrix_x4_trans(r, row) cusim::ldmatrix(CUSIM_PLACE("ldmatrix.trans"), r, row, true)

#else

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

static __device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

#endif

/* ---- asynchronous copies from global to shared memory: cp.async ------------------------------------------ */

/* Copies 16 bytes; zero-fills where `there` is false (rows past the end). Both addresses are multiples of 16. The data
 * is visible to this thread after the wait that covers its group, to others after a barrier that follows. */
#ifdef GP_CUSIM

#define cp_async_16(to, from, there) cusim::copy_async(CUSIM_PLACE("cp.async"), to, from, 16, there)
#define cp_async_8(to, from, there)  cusim::copy_async(CUSIM_PLACE("cp.async"), to, from, 8, there)
#define cp_async_commit()            cusim::copy_commit()
#define cp_async_wait(groups)        cusim::copy_wait(groups)

#else

static __device__ __forceinline__ void cp_async_16(void *to, const void *from, bool there)
{
    SM_80_ASM("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from),
              "r"(there ? 16 : 0)
              : "memory");
}

/* 8 bytes, at multiples of 8; through the L1 cache. */
static __device__ __forceinline__ void cp_async_8(void *to, const void *from, bool there)
{
    SM_80_ASM("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(there ? 8 : 0)
              : "memory");
}

static __device__ __forceinline__ void cp_async_commit()
{
    SM_80_ASM("cp.async.commit_group;\n" ::: "memory");
}

/* Waits until max `groups` of the newest groups are pending. A macro, because PTX needs an immediate operand. */
#define cp_async_wait(groups) SM_80_ASM("cp.async.wait_group %0;\n" ::"n"(groups) : "memory")

#endif

#endif
