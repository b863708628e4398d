/* pdl.cuh: kernels that begin before the one in front of them has ended: "programmatic dependent launch", sm_90 and
 * later. Decoding is a chain of kernels that last a microsecond or two, of which starting is the larger part; so
 *
 *     let_next_begin();       // this kernel's blocks have begun: the next kernel's may, beside them
 *     prefetch_share(...);    // ...and loads of what no op in front of this writes; of what it writes, nothing yet
 *     await_ops_before();     // all that was issued before this has ended, and what it wrote is there
 *
 * and a launch by RUN_PDL. A kernel that RUN launches waits by itself, as ever; and where it does not call
 * let_next_begin all that comes behind it waits for its end. So are written: parameters, their bf16 forms, keys and
 * values of a prompt, and whatever is copied. These may be loaded before await_ops_before. */
#ifndef GP_CUDA_PDL_CUH
#define GP_CUDA_PDL_CUH

#include "backend/cuda/device.cuh"

#if !defined(GP_CUSIM) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define GP_BEGINS_PDL
#endif

static __device__ __forceinline__ void let_next_begin()
{
#ifdef GP_BEGINS_PDL
    asm volatile("griddepcontrol.launch_dependents;\n");
#endif
}

/* By every thread of every block, before it reads or writes what ops read and write: so a kernel that has ended has
 * seen all in front of it end. */
static __device__ __forceinline__ void await_ops_before()
{
#ifdef GP_BEGINS_PDL
    asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

/* Asks for this block's share of `bytes` bytes, divided among `blocks`, to be brought into the L2 cache. It is a
 * hint, and the cache is where all processors meet: so it may come before await_ops_before, whoever writes there. */
static __device__ __forceinline__ void prefetch_share(const void *from, int64_t bytes, unsigned block, unsigned blocks)
{
#ifdef GP_BEGINS_PDL
    int64_t share = (bytes / blocks + 16) / 16 * 16, begin = share * block;
    if (threadIdx.x != 0 || begin >= bytes)
        return;
    share = (begin + share < bytes ? share : bytes - begin) / 16 * 16;
    if (share > 0)
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;\n" ::"l"(static_cast<const char *>(from) + begin),
                     "r"(static_cast<uint32_t>(share))
                     : "memory");
#else
    (void)from, (void)bytes, (void)block, (void)blocks;
#endif
}

#ifdef GP_CUSIM

#define RUN_PDL RUN /* one kernel at a time: nothing can begin early */

#else

template <class... Parameters, class... Arguments>
void launch_pdl(const gp_backend *be, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t dynamic_shared,
                Arguments &&...arguments)
{
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = dynamic_shared;
    config.stream = state_of(be)->stream;
    config.attrs = &attribute;
    config.numAttrs = state_of(be)->early ? 1 : 0;
    cudaLaunchKernelEx(&config, kernel, static_cast<Arguments &&>(arguments)...);
}

#define RUN_PDL(be, kernel, grid, block, dynamic_shared, ...)                                                          \
    do {                                                                                                               \
        launch_pdl(be, kernel, grid, block, dynamic_shared, __VA_ARGS__);                                              \
        cuda_launched(be, #kernel);                                                                                    \
    } while (0)

#endif

#endif
