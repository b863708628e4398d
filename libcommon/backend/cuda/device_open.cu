/* device_open.cu: finds a GPU that this build can use, or reports why there is none. */
#include "backend/cuda/device.cuh"
#include "backend/cuda/matmul.cuh"

#include <cstdio>
#include <cstdlib>

/* The runtime reports cudaErrorInsufficientDriver for a missing driver and for one that is too old. */
static int no_device(cudaError_t error)
{
    int driver = 0, runtime = 0;
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    if (!driver)
        return fail("backend cuda: no NVIDIA driver found");
    if (error == cudaErrorInsufficientDriver)
        return fail(
            "backend cuda: the NVIDIA driver supports CUDA %d.%d, this build requires %d.%d; update the driver, "
            "or build with an older toolkit",
            driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (error == cudaErrorNoDevice || error == cudaSuccess)
        return fail("backend cuda: the NVIDIA driver finds no GPU%s%s", visible ? "; CUDA_VISIBLE_DEVICES is " : "",
                    visible ? visible : "");
    return fail("backend cuda: %s", cudaGetErrorString(error));
}

/* Sets be->device and the state. CUDA_VISIBLE_DEVICES selects which GPU is device 0. */
static int query_device(gp_backend *be, CudaState *s, int count)
{
    cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, s->device);
    if (error != cudaSuccess)
        return fail("backend cuda: %s", cudaGetErrorString(error));
    s->sm = 10 * p.major + p.minor;
    s->multiprocessors = p.multiProcessorCount;
    s->shared = p.sharedMemPerBlockOptin;
    s->pageable_access = p.pageableMemoryAccess != 0;
    int length = snprintf(be->device, sizeof be->device, "%.80s, sm_%d", p.name, s->sm);
    if (count > 1)
        snprintf(be->device + length, sizeof be->device - static_cast<size_t>(length), ", GPU %d of %d", s->device + 1,
                 count);
    return 0;
}

static __global__ void empty_kernel(int)
{
}

/* Whether a kernel of this build runs on the device. */
static int try_kernel(gp_backend *be, const CudaState *s)
{
    cudaError_t error = cudaSetDevice(s->device);
    if (error == cudaSuccess) {
        LAUNCH(empty_kernel, 1, 32, 0, nullptr, 0);
        error = cudaDeviceSynchronize();
    }
    if (error == cudaSuccess)
        error = cudaGetLastError();
    if (error == cudaSuccess)
        return 0;
    (void)cudaGetLastError();
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion)
        return fail("backend cuda: this build is for %s, which %s cannot run; build with GPTPIPE_CUDA_ARCHS=%d",
                    gp_cuda_built_for, be->device, s->sm);
    return fail("backend cuda: %s: %s", be->device, cudaGetErrorString(error));
}

/* Whether the code that runs there was compiled for sm_90 or later: code that is compiled at run time from older PTX
 * would not wait in pdl_wait. */
static bool supports_pdl(const CudaState *s)
{
    cudaFuncAttributes a;
    return s->sm >= 90 && cudaFuncGetAttributes(&a, empty_kernel) == cudaSuccess && a.ptxVersion >= 90;
}

int gp_cuda_device_open(gp_backend *be)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || !count) {
        (void)cudaGetLastError();
        return no_device(error);
    }
    CudaState *s = static_cast<CudaState *>(gp_calloc(1, sizeof *s));
    be->state = s;
    if (query_device(be, s, count))
        goto out;
    if ((be->dtype == GP_BF16 || be->tf32) && s->sm < 80) {
        fail("backend cuda: %s does not support %s (sm_80 or later required); use --dtype fp32", be->device,
             be->tf32 ? "tf32" : "bf16");
        goto out;
    }
    if (try_kernel(be, s))
        goto out;
    if (be->dtype == GP_DTYPES)
        be->dtype = s->sm < 80 ? GP_F32 : GP_BF16;
    be->act_dtype = be->dtype;
    be->stores_bf16 = be->dtype == GP_BF16;
    be->threads = 1;
    be->later = true;
    be->device_memory = true;
    s->pdl = supports_pdl(s);
    if (matmul_open(be))
        goto out;
    CUDA_CHECK(cudaStreamCreate(&s->stream));
    s->tickets = static_cast<unsigned *>(gp_cuda_alloc(be, TICKETS * sizeof *s->tickets));
    s->sample_rows = gp_cuda_alloc(be, sample_rows_bytes());
    return 0;
out:
    free(s);
    be->state = nullptr;
    return -1;
}
