/* cuda.cuh: CUDA as this module's kernels see it: the toolkit under nvcc, the simulator under GP_CUSIM. Kernels are
 * written once; CUDA's own syntax is wrapped in macros here. */
#ifndef GP_CUDA_CUDA_CUH
#define GP_CUDA_CUDA_CUH

#ifdef GP_CUSIM
#include "cusim.h"
#else

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#define LAUNCH(kernel, grid, block, dynamic_shared, stream, ...)                                                       \
    kernel<<<grid, block, dynamic_shared, stream>>>(__VA_ARGS__)
#define SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(128) unsigned char gp_dynamic_shared[];                                                \
    type *name = reinterpret_cast<type *>(gp_dynamic_shared)

#endif

#endif
