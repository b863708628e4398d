/* pdl.cuh: programmatic dependent launch (PDL), sm_90 and later: a kernel may start before the preceding one in the
 * stream has ended. Decoding is a chain of kernels that last a microsecond or two, most of it launch latency; so a
 * kernel calls
 *
 *     pdl_launch_dependents();      // all blocks of this kernel have started: the next kernel may start beside them
 *     prefetch_l2_slice(...);       // and loads of what no preceding op writes; nothing yet of what they write
 *     pdl_wait();                   // all preceding ops have ended, and their writes are visible
 *
 * and is launched by RUN_PDL. A kernel that RUN launches waits for the preceding one as usual; and a kernel that does
 * not call pdl_launch_dependents makes all that follow it wait for its end. The kernels that write parameters, their
 * bf16 copies, the keys and values of a prompt, and all copies are of these two sorts: so these data may be loaded
 * before pdl_wait. */
#ifndef GP_CUDA_PDL_CUH
#define GP_CUDA_PDL_CUH

#include "backend/cuda/device.cuh"

#if !defined(GP_CUSIM) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define GP_HAS_PDL
#endif

static __device__ __forceinline__ void pdl_launch_dependents()
{
#ifdef GP_HAS_PDL
    asm volatile("griddepcontrol.launch_dependents;\n");
#endif
}

/* Must be called by every thread of every block before it reads or writes data that other ops write or read: then the
 * end of a kernel implies the end of all preceding ones. */
static __device__ __forceinline__ void pdl_wait()
{
#ifdef GP_HAS_PDL
    asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

/* Prefetches into the L2 cache the slice of `bytes` bytes that belongs to this block, one of `blocks`. It is only a
 * hint, and all multiprocessors share the L2 cache: so it may come before pdl_wait, even where other kernels write. */
static __device__ __forceinline__ void prefetch_l2_slice(const void *from, int64_t bytes, unsigned block,
                                                         unsigned blocks)
{
#ifdef GP_HAS_PDL
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

#define RUN_PDL RUN /* kernels run one at a time: no overlap */

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
    config.numAttrs = state_of(be)->pdl ? 1 : 0;
    cudaLaunchKernelEx(&config, kernel, static_cast<Arguments &&>(arguments)...);
}

#define RUN_PDL(be, kernel, grid, block, dynamic_shared, ...)                                                          \
    do {                                                                                                               \
        launch_pdl(be, kernel, grid, block, dynamic_shared, __VA_ARGS__);                                              \
        cuda_launched(be, #kernel);                                                                                    \
    } while (0)

#endif

#endif
