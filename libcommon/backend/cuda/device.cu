/* device.cu: the device: its memory, its stream, and error reports. */
#include "backend/cuda/attention_cudnn.cuh"
#include "backend/cuda/device.cuh"
#include "backend/cuda/matmul.cuh"

#include <cstdio>
#include <cstdlib>
#include <cstring>

/* The last launch, to be named by an error that is reported later: the only device state of the process. */
static const char *last_kernel = "";
static bool last_recorded; /* it was a graph launch, whose kernels have no names here */

/* The name in "cudaFree(p)" and in "(norm_forward<T, 4>)". */
struct Name {
    const char *text;
    int length;
};
static Name name_in(const char *source)
{
    source += strspn(source, "(");
    return {source, static_cast<int>(strcspn(source, "()"))};
}

void cuda_check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    Name reported = name_in(what), last = name_in(last_kernel);
    die("the GPU failed: %s (reported by %.*s%s%.*s)", cudaGetErrorString(error), reported.length, reported.text,
        last_recorded ? "; the last launch was a CUDA graph"
        : last.length ? "; the last kernel was "
                      : "",
        last.length, last.text);
}

void cuda_launched(const gp_backend *be, const char *kernel)
{
    last_kernel = "";
    if (!state_of(be)->capturing)
        cuda_check(cudaPeekAtLastError(), kernel);
    last_kernel = kernel;
    last_recorded = false;
}

void cuda_replayed(void)
{
    last_kernel = "";
    last_recorded = true;
}

void gp_cuda_device_close(gp_backend *be)
{
    CudaState *s = state_of(be);
    gp_cuda_free(be, s->tickets, TICKETS * sizeof *s->tickets);
    gp_cuda_free(be, s->sample_rows, sample_rows_bytes());
    convert_close(be);
    attention_cudnn_close(be);
    matmul_close(be);
    CUDA_CHECK(cudaStreamDestroy(s->stream));
    free(s);
}

void *gp_cuda_alloc(gp_backend *be, size_t bytes)
{
    void *p = nullptr;
    cudaError_t error = cudaMalloc(&p, bytes ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        size_t free = 0, total = 0;
        (void)cudaGetLastError(); /* clears the error, which is not one of the following call */
        gp_cuda_available_memory(be, &free, &total);
        die("out of GPU memory: %.2f GB are needed for %s, %.2f GB of %.2f GB are free; use a smaller batch size",
            1e-9 * static_cast<double>(bytes), be->allocating ? be->allocating : "scratch",
            1e-9 * static_cast<double>(free), 1e-9 * static_cast<double>(total));
    }
    CUDA_CHECK(error);
    gp_cuda_zero(be, p, bytes);
    return p;
}

void gp_cuda_free(gp_backend *be, void *p, size_t bytes)
{
    (void)bytes;
    gp_cuda_sync(be);
    CUDA_CHECK(cudaFree(p));
}

void gp_cuda_zero(gp_backend *be, void *p, size_t bytes)
{
    if (bytes)
        CUDA_CHECK(cudaMemsetAsync(p, 0, bytes, state_of(be)->stream));
}

/* Whether host memory is pinned, from gp_cuda_alloc_host. */
static bool is_pinned(const void *host)
{
    cudaPointerAttributes a;
    CUDA_CHECK(cudaPointerGetAttributes(&a, host));
    return a.type == cudaMemoryTypeHost;
}

/* Pageable memory has been read when this returns: the driver stages it in its own buffer first; but where the device
 * accesses pageable memory directly (HMM, Grace Hopper), this is not documented, hence the sync. */
void gp_cuda_upload(gp_backend *be, void *dst, const void *host, size_t bytes)
{
    CUDA_CHECK(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, state_of(be)->stream));
    if (state_of(be)->pageable_access && !is_pinned(host))
        gp_cuda_sync(be);
}

void gp_cuda_download(gp_backend *be, void *host, const void *src, size_t bytes)
{
    CUDA_CHECK(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, state_of(be)->stream));
    gp_cuda_sync(be);
}

void gp_cuda_copy(gp_backend *be, void *dst, const void *src, size_t bytes)
{
    CUDA_CHECK(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, state_of(be)->stream));
}

void gp_cuda_sync(gp_backend *be)
{
    CUDA_CHECK(cudaStreamSynchronize(state_of(be)->stream));
}

void gp_cuda_available_memory(gp_backend *be, size_t *free, size_t *total)
{
    (void)be;
    CUDA_CHECK(cudaMemGetInfo(free, total));
}

void *gp_cuda_alloc_host(gp_backend *be, size_t bytes)
{
    (void)be;
    void *p = nullptr;
    CUDA_CHECK(cudaMallocHost(&p, bytes ? bytes : 1));
    memset(p, 0, bytes);
    return p;
}

void gp_cuda_free_host(gp_backend *be, void *p, size_t bytes)
{
    (void)bytes;
    gp_cuda_sync(be);
    CUDA_CHECK(cudaFreeHost(p));
}

void gp_cuda_download_later(gp_backend *be, void *host, const void *src, size_t bytes)
{
    CUDA_CHECK(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, state_of(be)->stream));
}
