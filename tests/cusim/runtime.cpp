/* runtime.cpp: see runtime.h. */
#include "runtime.h"

#include "fiber.h"
#include "gpu.h"
#include "weak.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#if CUSIM_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes)   ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

struct CUgraph_st {
    std::vector<std::function<void()>> work;
    double microseconds = 0;
};
struct CUgraphExec_st {
    std::shared_ptr<const std::vector<std::function<void()>>> work;
    double microseconds;
};
struct CUstream_st {
    CUgraph_st *captured = nullptr;
    std::deque<std::function<void()>> late; /* the newest that was issued; empty: work is done at once */
    uint64_t issued = 0;                    /* late or not */
    double microseconds = 0;                /* that it takes */
};
struct CUevent_st {
    CUstream_st *stream = nullptr;
    uint64_t issued = 0; /* in the stream when it was recorded */
    double microseconds = 0;
    bool timed = true;
};

namespace
{

constexpr size_t guard = 256, shared_without_asking = 48 << 10;
constexpr size_t edge = CUSIM_ASAN ? 0 : guard; /* AddressSanitizer has its own right behind the last byte */
constexpr unsigned char fresh = 0xff, fence = 0xa5;

CUstream_st default_stream;
cudaError_t error;
std::string fault;
std::map<char *, size_t> memory;           /* device allocations and their bytes */
std::map<char *, size_t> pinned;           /* the host's, by cudaMallocHost */
std::map<const void *, size_t> shared_max; /* what kernels were allowed */
std::set<CUstream_st *> streams = {&default_stream};
bool graph_refused, captured_refused;
size_t launched_nodes; /* of the last graph */

cudaError_t fail(cudaError_t e, const std::string &what)
{
    if (error == cudaSuccess) {
        error = e;
        fault = what;
    }
    return e;
}

CUstream_st *stream_of(cudaStream_t stream)
{
    return stream ? stream : &default_stream;
}

/* Does it now or, where `late` or behind what is, later; or puts it into the graph that is being captured. */
void enqueue(cudaStream_t stream, std::function<void()> work, bool late = false, double microseconds = 0)
{
    CUstream_st *s = stream_of(stream);
    if (s->captured) {
        s->captured->work.push_back(std::move(work));
        s->captured->microseconds += microseconds;
        return;
    }
    s->issued++;
    s->microseconds += microseconds;
    if (late || !s->late.empty())
        s->late.push_back(std::move(work));
    else
        work();
}

/* Does what is late of the first `issued` works of a stream. */
void finish(CUstream_st *s, uint64_t issued)
{
    while (!s->late.empty() && s->issued - s->late.size() < issued) {
        std::function<void()> work = std::move(s->late.front());
        s->late.pop_front();
        work();
    }
}

void finish_all()
{
    for (CUstream_st *s : streams)
        finish(s, s->issued);
}

/* While one of these lives the device is at work. Otherwise its memory is poisoned: AddressSanitizer tells of a host
 * that touches it, as no host can where there is a device. */
struct AtWork {
    AtWork()
    {
        for (const auto &m : memory)
            ASAN_UNPOISON_MEMORY_REGION(m.first, m.second);
    }
    ~AtWork()
    {
        for (const auto &m : memory)
            ASAN_POISON_MEMORY_REGION(m.first, m.second);
    }
};

/* A write outside of an allocation, found after it was done. AddressSanitizer finds reads too, and the place. */
void check_fences(const char *after)
{
    for (const auto &m : memory)
        for (size_t i = 0; i < edge; i++) {
            bool before = static_cast<unsigned char>(m.first[-1 - static_cast<ptrdiff_t>(i)]) != fence;
            if (before || static_cast<unsigned char>(m.first[m.second + i]) != fence) {
                char text[200];
                snprintf(text, sizeof text, "%s: wrote %zu bytes %s device memory of %zu bytes", after, i + 1,
                         before ? "before" : "behind", m.second);
                fail(cudaErrorLaunchFailure, text);
                return;
            }
        }
}

bool holds(const void *p, size_t bytes, const std::map<char *, size_t> &allocations = memory)
{
    auto m = allocations.upper_bound(static_cast<char *>(const_cast<void *>(p)));
    if (m == allocations.begin())
        return false;
    --m;
    size_t offset = static_cast<size_t>(static_cast<const char *>(p) - m->first);
    return offset <= m->second && bytes <= m->second - offset;
}

void copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
         from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (error != cudaSuccess)
        return;
    if (kind != cudaMemcpyDefault && (holds(to, bytes) != to_device || holds(from, bytes) != from_device)) {
        fail(cudaErrorInvalidValue, "a copy whose kind does not fit its pointers, or that leaves an allocation");
        return;
    }
    AtWork device;
    memmove(to, from, bytes);
}

} // namespace

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = cusim::gpu().driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = cusim::runtime_version;
    return cudaSuccess;
}

/* As the runtime does: a driver that is missing is one that is too old. */
cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    if (cusim::gpu().driver < cusim::runtime_version)
        return cudaErrorInsufficientDriver;
    if (!cusim::gpu().count)
        return cudaErrorNoDevice;
    *count = cusim::gpu().count;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    const cusim::Gpu &g = cusim::gpu();
    if (device >= g.count)
        return cudaErrorInvalidValue;
    *properties = {"simulated", g.sm / 10, g.sm % 10, 4, g.shared(), g.memory, g.pages != 0, g.pages == 2};
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return device >= cusim::gpu().count ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    void *p = nullptr;
    size_t available, total;
    cudaMemGetInfo(&available, &total);
    if (bytes > available || posix_memalign(&p, 256, bytes + 2 * edge))
        return fail(cudaErrorMemoryAllocation, "out of memory");
    char *start = static_cast<char *>(p) + edge;
    memset(p, fence, edge);
    memset(start, fresh, bytes);
    memset(start + bytes, fence, edge);
    memory[start] = bytes;
    cusim::weak_allocated(start, bytes);
    ASAN_POISON_MEMORY_REGION(start, bytes);
    *pointer = start;
    return cudaSuccess;
}

cudaError_t cudaFree(void *pointer)
{
    if (!pointer)
        return cudaSuccess;
    finish_all();
    auto m = memory.find(static_cast<char *>(pointer));
    if (m == memory.end())
        return fail(cudaErrorInvalidValue, "cudaFree of a pointer that cudaMalloc did not give");
    ASAN_UNPOISON_MEMORY_REGION(m->first, m->second);
    cusim::weak_freed(m->first);
    memory.erase(m);
    free(static_cast<char *>(pointer) - edge);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes)
{
    if (posix_memalign(pointer, 4096, bytes ? bytes : 1))
        return fail(cudaErrorMemoryAllocation, "out of memory");
    pinned[static_cast<char *>(*pointer)] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *pointer)
{
    if (!pointer)
        return cudaSuccess;
    finish_all();
    if (!pinned.erase(static_cast<char *>(pointer)))
        return fail(cudaErrorInvalidValue, "cudaFreeHost of a pointer that cudaMallocHost did not give");
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer)
{
    attributes->type = holds(pointer, 1)           ? cudaMemoryTypeDevice
                       : holds(pointer, 1, pinned) ? cudaMemoryTypeHost
                                                   : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    *free = *total = cusim::gpu().memory;
    for (const auto &m : memory)
        *free -= m.second < *free ? m.second : *free;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    CUstream_st *s = stream_of(stream);
    bool late = holds(from, bytes, pinned) || holds(to, bytes, pinned) ||
                (cusim::gpu().pages && kind == cudaMemcpyHostToDevice);
    if (s->captured || late || kind == cudaMemcpyDeviceToDevice) {
        enqueue(
            stream, [=] { copy(to, from, bytes, kind); }, late);
    } else if (kind == cudaMemcpyHostToDevice && !s->late.empty()) { /* other memory is read at once */
        auto now = std::make_shared<std::vector<char>>(static_cast<const char *>(from),
                                                       static_cast<const char *>(from) + bytes);
        enqueue(stream, [=] { copy(to, now->data(), bytes, kind); });
    } else { /* and written before this returns */
        finish(s, s->issued);
        copy(to, from, bytes, kind);
    }
    return error;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    if (default_stream.captured)
        return fail(cudaErrorStreamCaptureUnsupported, "a copy that waits, while a stream is captured");
    finish_all();
    copy(to, from, bytes, kind);
    return error;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    auto work = [=] {
        if (error != cudaSuccess)
            return;
        AtWork device;
        if (holds(to, bytes))
            memset(to, value, bytes);
        else
            fail(cudaErrorInvalidValue, "cudaMemsetAsync outside of an allocation");
    };
    enqueue(stream, work, false, 1);
    return error;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    *stream = new CUstream_st;
    streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    finish(stream, stream->issued);
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (stream && stream->captured)
        return fail(cudaErrorStreamCaptureUnsupported, "waiting for a stream that is being captured");
    CUstream_st *s = stream_of(stream);
    finish(s, s->issued);
    return error;
}

cudaError_t cudaDeviceSynchronize(void)
{
    finish_all();
    return error;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    *event = new CUevent_st;
    (*event)->timed = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    CUstream_st *s = stream_of(stream);
    if (s->captured)
        return fail(cudaErrorStreamCaptureUnsupported, "an event in a stream that is being captured");
    *event = {s, s->issued, s->microseconds, event->timed};
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->stream || from->stream != to->stream || !from->timed || !to->timed)
        return fail(cudaErrorInvalidValue, "the time between events of which one was not recorded, or without");
    *milliseconds = static_cast<float>(1e-3 * (to->microseconds - from->microseconds));
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->stream)
        finish(event->stream, event->issued);
    return error;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    if (!stream || stream->captured)
        return fail(cudaErrorStreamCaptureUnsupported, "a capture of the default stream, or in a capture");
    stream->captured = new CUgraph_st;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    if (!stream || !stream->captured)
        return fail(cudaErrorStreamCaptureUnsupported, "the end of a capture that was not begun");
    *graph = stream->captured;
    stream->captured = nullptr;
    return error;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    if (graph_refused || !cusim::gpu().graphs) {
        graph_refused = false;
        return fail(cudaErrorStreamCaptureUnsupported, "a graph that the test refuses");
    }
    *exec = new CUgraphExec_st{std::make_shared<const std::vector<std::function<void()>>>(graph->work),
                               graph->microseconds};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    launched_nodes = exec->work->size();
    enqueue(
        stream,
        [work = exec->work] {
            for (const auto &one : *work)
                one();
        },
        false, exec->microseconds);
    return error;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaPeekAtLastError(void)
{
    return error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = error;
    error = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaSuccess ? "no error" : fault.empty() ? "unknown error" : fault.c_str();
}

void cusim_refuse_next_graph(void)
{
    graph_refused = true;
}

void cusim_refuse_next_captured(void)
{
    captured_refused = true;
}

size_t cusim_launched_nodes(void)
{
    return launched_nodes;
}

namespace cusim
{

const char *last_fault()
{
    return fault.c_str();
}

size_t allocations()
{
    return memory.size();
}

cudaError_t allow_shared(const void *kernel, size_t bytes)
{
    if (bytes > gpu().shared())
        return ::fail(cudaErrorInvalidValue, "more shared memory than a block of this GPU can have");
    shared_max[kernel] = bytes;
    return cudaSuccess;
}

void check_shared(const char *name, const void *kernel, size_t bytes, Launch *launch)
{
    auto allowed = shared_max.find(kernel);
    size_t most = allowed == shared_max.end() ? shared_without_asking : allowed->second;
    if (bytes <= most)
        return;
    char text[200];
    snprintf(text, sizeof text, "%s: %zu bytes of shared memory; cudaFuncSetAttribute allowed %zu", name, bytes, most);
    fail(cudaErrorInvalidConfiguration, text);
    launch->body = nullptr;
}

/* Whether the GPU that CUSIM_GPU describes fails before this launch. */
static bool lost(const char *kernel)
{
    if (!gpu().image)
        return ::fail(cudaErrorNoKernelImageForDevice, std::string(kernel) + ": no kernel image is available"), true;
    return gpu().lost >= 0 && gpu().lost-- == 0 && ::fail(cudaErrorLaunchFailure, "unspecified launch failure");
}

void submit(Launch launch, cudaStream_t stream)
{
    if (!launch.body)
        return;
    if (captured_refused && stream_of(stream)->captured) {
        captured_refused = false;
        ::fail(cudaErrorStreamCaptureUnsupported, "a launch that cannot be captured");
        return;
    }
    auto shared = std::make_shared<Launch>(std::move(launch));
    auto work = [shared] {
        if (error != cudaSuccess || lost(shared->kernel))
            return;
        fault.clear();
        AtWork device;
        std::string wrong = run(*shared);
        if (!wrong.empty())
            fail(cudaErrorLaunchFailure, wrong);
        else if (edge)
            check_fences(shared->kernel);
    };
    enqueue(stream, work, false, 1);
}

void submit_call(std::function<void()> call, cudaStream_t stream, double microseconds)
{
    auto work = [call = std::move(call)] {
        if (error == cudaSuccess) {
            AtWork device;
            call();
        }
        if (error == cudaSuccess && edge)
            check_fences("a library's kernel");
    };
    enqueue(stream, work, false, microseconds);
}

bool on_device(const void *p, size_t bytes)
{
    return holds(p, bytes);
}

} // namespace cusim
