/* device_open.cu: finding a GPU that this build can use, and saying why there is none. */
#include "backend/cuda/device.cuh"
#include "backend/cuda/matmul.cuh"

#include <cstdio>
#include <cstdlib>

/* The runtime says "insufficient" of a driver that is missing and of one that is too old. */
static int no_device(cudaError_t error)
{
    int driver = 0, runtime = 0;
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    if (!driver)
        return fail("backend cuda: there is no NVIDIA driver here");
    if (error == cudaErrorInsufficientDriver)
        return fail("backend cuda: the NVIDIA driver is for CUDA %d.%d and this build needs %d.%d: bring the driver up "
                    "to date, or build with an older toolkit",
                    driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (error == cudaErrorNoDevice || error == cudaSuccess)
        return fail("backend cuda: the driver shows no GPU%s%s", visible ? "; CUDA_VISIBLE_DEVICES is " : "",
                    visible ? visible : "");
    return fail("backend cuda: %s", cudaGetErrorString(error));
}

/* Fills in be->device and the state. CUDA_VISIBLE_DEVICES says which GPU is the first. */
static int look_at(gp_backend *be, CudaState *s, int count)
{
    cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, s->device);
    if (error != cudaSuccess)
        return fail("backend cuda: %s", cudaGetErrorString(error));
    s->sm = 10 * p.major + p.minor;
    s->processors = p.multiProcessorCount;
    s->shared = p.sharedMemPerBlockOptin;
    s->reads_pages = p.pageableMemoryAccess != 0;
    int length = snprintf(be->device, sizeof be->device, "%.80s, sm_%d", p.name, s->sm);
    if (count > 1)
        snprintf(be->device + length, sizeof be->device - static_cast<size_t>(length), ", GPU %d of %d", s->device + 1,
                 count);
    return 0;
}

static __global__ void nothing(int)
{
}

/* Whether a kernel of this build runs there at all. */
static int try_kernel(gp_backend *be, const CudaState *s)
{
    cudaError_t error = cudaSetDevice(s->device);
    if (error == cudaSuccess) {
        LAUNCH(nothing, 1, 32, 0, nullptr, 0);
        error = cudaDeviceSynchronize();
    }
    if (error == cudaSuccess)
        error = cudaGetLastError();
    if (error == cudaSuccess)
        return 0;
    (void)cudaGetLastError();
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion)
        return fail("backend cuda: this build has code for %s, which %s does not run: build with GPTPIPE_CUDA_ARCHS=%d",
                    gp_cuda_built_for, be->device, s->sm);
    return fail("backend cuda: %s: %s", be->device, cudaGetErrorString(error));
}

/* What runs there is made for sm_90 or later, rather than of older PTX, whose kernels would not wait. */
static bool can_begin_pdl(const CudaState *s)
{
    cudaFuncAttributes a;
    return s->sm >= 90 && cudaFuncGetAttributes(&a, nothing) == cudaSuccess && a.ptxVersion >= 90;
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
    if (look_at(be, s, count))
        goto out;
    if ((be->dtype == GP_BF16 || be->tf32) && s->sm < 80) {
        fail("backend cuda: %s has no %s (sm_80 and later have it); use --dtype fp32", be->device,
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
    s->early = can_begin_pdl(s);
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
