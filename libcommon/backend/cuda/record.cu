/* record.cu: recordings, which are CUDA graphs; and marks, which are events. */
#include "backend/cuda/device.cuh"

#include <cstdio>
#include <cstdlib>

/* The first time, work is issued without capture: libraries select their kernels then, and kernel attributes are set.
 * The second time it is captured. */
enum class Recorded { nothing, seen, capturing, whole, refused };

struct gp_recording {
    Recorded state;
    cudaGraphExec_t exec;
    const void *workspace; /* the workspace that the captured work uses */
    bool again;            /* a library refused part of a capture, and will not be asked for it in the next */
};

static void forget(gp_recording *r)
{
    if (r->state == Recorded::whole)
        CUDA_CHECK(cudaGraphExecDestroy(r->exec));
    r->state = Recorded::nothing;
}

static void issue(gp_backend *be, gp_recording *r)
{
    CUDA_CHECK(cudaGraphLaunch(r->exec, state_of(be)->stream));
    cuda_replayed();
}

bool gp_cuda_record_begin(gp_backend *be, gp_recording **recording)
{
    if (!*recording)
        *recording = static_cast<gp_recording *>(gp_calloc(1, sizeof **recording));
    gp_recording *r = *recording;
    BUG_ON(r->state == Recorded::capturing);
    if (r->state == Recorded::whole && r->workspace != be->workspace)
        forget(r);
    if (r->state == Recorded::whole) {
        issue(be, r);
        return false;
    }
    if (r->state == Recorded::seen) {
        CUDA_CHECK(cudaStreamBeginCapture(state_of(be)->stream, cudaStreamCaptureModeThreadLocal));
        r->workspace = be->workspace;
        r->state = Recorded::capturing;
        state_of(be)->capturing = true;
        state_of(be)->refused = false;
    }
    return true;
}

/* error: cudaSuccess where a library refused part of the work. */
static void remark_refusal(gp_backend *be, cudaError_t error)
{
    int driver = 0;
    (void)cudaDriverGetVersion(&driver);
    if (!state_of(be)->remarked)
        snprintf(be->remark, sizeof be->remark,
                 "work cannot be recorded as a CUDA graph with this driver, for CUDA %d.%d (%.80s): each kernel is "
                 "launched by itself, which is slower",
                 driver / 1000, driver % 1000 / 10,
                 error == cudaSuccess ? "part of it was refused" : cudaGetErrorString(error));
    state_of(be)->remarked = true;
}

/* Work that cannot be captured is issued without a graph from then on: slower, not wrong. Where a library refused part
 * of it, that part is made another way, without capture this time, and the work is captured once more. */
bool gp_cuda_record_end(gp_backend *be, gp_recording **recording)
{
    gp_recording *r = *recording;
    cudaGraph_t graph = nullptr;
    if (r->state == Recorded::nothing)
        r->state = Recorded::seen;
    if (r->state != Recorded::capturing)
        return true;
    state_of(be)->capturing = false;
    cudaError_t error = cudaPeekAtLastError(); /* cudaSuccess: all launches were captured */
    cudaError_t ended = cudaStreamEndCapture(state_of(be)->stream, &graph);
    error = error == cudaSuccess ? ended : error;
    bool whole = error == cudaSuccess && !state_of(be)->refused;
    if (whole)
        error = cudaGraphInstantiate(&r->exec, graph, 0);
    if (graph)
        CUDA_CHECK(cudaGraphDestroy(graph));
    whole = whole && error == cudaSuccess;
    r->state = whole ? Recorded::whole : Recorded::refused;
    if (whole) {
        issue(be, r);
    } else if (error == cudaSuccess && !r->again) {
        r->again = true;
        r->state = Recorded::nothing;
    } else {
        remark_refusal(be, error);
        (void)cudaGetLastError(); /* clears the error, which is not one of the following call */
    }
    return whole;
}

void gp_cuda_record_free(gp_backend *be, gp_recording **recording)
{
    if (!*recording)
        return;
    gp_cuda_sync(be);
    forget(*recording);
    free(*recording);
    *recording = nullptr;
}

struct gp_mark {
    cudaEvent_t event;
};

void gp_cuda_mark_set(gp_backend *be, gp_mark **mark)
{
    if (!*mark) {
        *mark = static_cast<gp_mark *>(gp_calloc(1, sizeof **mark));
        CUDA_CHECK(cudaEventCreateWithFlags(&(*mark)->event, cudaEventDefault));
    }
    CUDA_CHECK(cudaEventRecord((*mark)->event, state_of(be)->stream));
}

void gp_cuda_mark_wait(gp_backend *be, gp_mark **mark)
{
    (void)be;
    if (*mark)
        CUDA_CHECK(cudaEventSynchronize((*mark)->event));
}

void gp_cuda_mark_free(gp_backend *be, gp_mark **mark)
{
    (void)be;
    if (!*mark)
        return;
    CUDA_CHECK(cudaEventDestroy((*mark)->event));
    free(*mark);
    *mark = nullptr;
}

double gp_cuda_mark_seconds(gp_backend *be, const gp_mark *from, const gp_mark *to)
{
    float milliseconds;
    (void)be;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, from->event, to->event));
    return 1e-3 * static_cast<double>(milliseconds);
}
