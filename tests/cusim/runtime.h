/* runtime.h: the part of CUDA's runtime that the backend uses. Device memory is on the heap between guard bytes, all
 * NaNs when it is new, and with AddressSanitizer nobody's but a kernel's or a copy's; a stream does its work at once,
 * unless it is being captured into a graph, or a copy from or to memory of cudaMallocHost is among it: such a copy, and
 * what was issued behind it, is done when somebody waits for it and no sooner, so that memory which is used too early
 * shows as wrong numbers. So are copies from any memory where the device reads the host's pages (gpu.h).
 *
 * A stream has a clock, of what was issued: a kernel or a memset takes a microsecond, a library's call what the library
 * says, all else no time. Events are read from it. */
#ifndef CUSIM_RUNTIME_H
#define CUSIM_RUNTIME_H

#include "block.h"
#include "types.h"

#include <functional>
#include <tuple>
#include <utility>

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorUnsupportedPtxVersion = 222,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorLaunchFailure = 719
} cudaError_t;

typedef enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
} cudaMemcpyKind;

typedef struct cudaFuncAttributes {
    int ptxVersion; /* 10 x major + minor of the architecture that a kernel was compiled for */
} cudaFuncAttributes;
typedef enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 } cudaFuncAttribute;
typedef enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal
} cudaStreamCaptureMode;

enum { cudaEventDefault = 0, cudaEventDisableTiming = 2 };

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

/* The device that is simulated: it has what an H100 has, or what CUSIM_GPU says (gpu.h). */
typedef struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
    size_t sharedMemPerBlockOptin, totalGlobalMem;
    int pageableMemoryAccess, pageableMemoryAccessUsesHostPageTables;
} cudaDeviceProp;

typedef enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice } cudaMemoryType;
typedef struct cudaPointerAttributes {
    cudaMemoryType type;
} cudaPointerAttributes;

cudaError_t cudaDriverGetVersion(int *version); /* 13000 is 13.0; 0 without a driver */
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaSetDevice(int device);

cudaError_t cudaMalloc(void **pointer, size_t bytes);
cudaError_t cudaFree(void *pointer);
cudaError_t cudaMallocHost(void **pointer, size_t bytes);
cudaError_t cudaFreeHost(void *pointer);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer);
cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);

cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaDeviceSynchronize(void);

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

/* The first failure is kept, as a lost device keeps it, until it is asked for. */
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorString(cudaError_t error);

/* The next graph cannot be instantiated, and the next launch not be captured; also for tests in C. */
extern "C" void cusim_refuse_next_graph(void);
extern "C" void cusim_refuse_next_captured(void);

/* Of the graph that was launched last: kernels, copies and calls of libraries. */
extern "C" size_t cusim_launched_nodes(void);

namespace cusim
{

/* What the last fault said; "" where there was none since the last call of cudaGetLastError. */
const char *last_fault();

/* Allocations that are still there. */
size_t allocations();

void submit(Launch launch, cudaStream_t stream);

/* For libraries on top of the runtime: what the stream does in its turn, and whether memory is the device's. */
void submit_call(std::function<void()> call, cudaStream_t stream, double microseconds = 1);
bool on_device(const void *p, size_t bytes);
cudaError_t allow_shared(const void *kernel, size_t bytes);
void check_shared(const char *name, const void *kernel, size_t bytes, Launch *launch);

/* The arguments are copied, so that a captured launch has those that it was made with. */
template <class... Parameters, class... Arguments>
void launch(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t dynamic_shared,
            cudaStream_t stream, Arguments &&...arguments)
{
    std::tuple<Parameters...> copy(std::forward<Arguments>(arguments)...);
    Launch l = {name, grid, block, dynamic_shared, [kernel, copy] { std::apply(kernel, copy); }};
    check_shared(name, reinterpret_cast<const void *>(kernel), dynamic_shared, &l);
    submit(std::move(l), stream);
}

} // namespace cusim

/* kernel<<<grid, block, dynamic_shared, stream>>>(...) */
#define LAUNCH(kernel, grid, block, dynamic_shared, stream, ...)                                                       \
    cusim::launch(#kernel, kernel, grid, block, dynamic_shared, stream, __VA_ARGS__)

/* More than 48 KiB of dynamic shared memory has to be asked for. */
template <class Kernel> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, Kernel)
{
    attributes->ptxVersion = 90;
    return cudaSuccess;
}
template <class Kernel> cudaError_t cudaFuncSetAttribute(Kernel kernel, cudaFuncAttribute, int value)
{
    return cusim::allow_shared(reinterpret_cast<const void *>(kernel), static_cast<size_t>(value));
}

#endif
