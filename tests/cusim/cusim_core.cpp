/* cusim_core: the simulator itself. What is right gives the right numbers in any order of the threads; what is wrong,
 * a broken barrier, an index out of bounds, a wrong mask, is caught and told with its place. */
#include "cusim.h"

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

#include "fiber.h"

namespace
{

constexpr int seeds = 20;

/* ---- kernels that are right ------------------------------------------------------------------------------ */

__global__ void scale(float *x, float by, int n)
{
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        x[i] *= by;
}

/* out[block] = the sum of the block's part of x: shuffles within a warp, shared memory between warps. */
__global__ void sum(const float *x, float *out, int n)
{
    SHARED(float, partial, [32]);
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float v = i < n ? x[i] : 0;
    for (int offset = 16; offset; offset /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, offset);
    if (lane == 0)
        partial[warp] = v;
    __syncthreads();
    if (warp)
        return;
    v = lane < blockDim.x / 32 ? partial[lane] : 0;
    for (int offset = 16; offset; offset /= 2)
        v += __shfl_down_sync(0xffffffffu, v, offset);
    if (lane == 0)
        out[blockIdx.x] = v;
}

/* The sum of all blocks' shares, by the block that is the last to draw a ticket. A block writes its share, and adds to
 * a number nobody looks at yet; with or without a fence behind them. */
__global__ void gather(float *shares, unsigned *added, unsigned *tickets, float *out, bool fences)
{
    SHARED(bool, last, [1]);
    shares[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<float>(blockIdx.x + 1);
    atomicAdd(added, 1u);
    if (fences)
        __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last[0] = atomicAdd(tickets, 1u) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (!last[0] || threadIdx.x)
        return;
    out[0] = 0;
    for (unsigned i = 0; i < gridDim.x * blockDim.x; i++)
        out[0] += shares[i];
    out[1] = static_cast<float>(atomicAdd(added, 0u));
}

/* Turns a tile about in dynamic shared memory. */
__global__ void transpose(const int *x, int *y, int side)
{
    DYNAMIC_SHARED(int, tile);
    int row = static_cast<int>(threadIdx.y), column = static_cast<int>(threadIdx.x);
    tile[row * side + column] = x[row * side + column];
    __syncthreads();
    y[row * side + column] = tile[column * side + row];
}

__global__ void forms(int *up, int *down, int *index, unsigned *ballot)
{
    int lane = static_cast<int>(threadIdx.x);
    up[lane] = __shfl_up_sync(0xffffffffu, lane, 3);
    down[lane] = __shfl_down_sync(0xffffffffu, lane, 5, 8);
    index[lane] = __shfl_sync(0xffffffffu, lane, 9, 16);
    if (lane % 2) /* the odd lanes among themselves */
        ballot[lane] = __ballot_sync(0xaaaaaaaau, lane > 15);
}

/* ---- kernels that are wrong ------------------------------------------------------------------------------ */

/* The sum without the barrier between writing and reading. */
__global__ void no_barrier(const int *x, int *y, int n)
{
    SHARED(int, all, [256]);
    int i = static_cast<int>(threadIdx.x);
    all[i] = x[i];
    y[i] = all[(i + 37) % n];
}

__global__ void barrier_of_some(int *x)
{
    if (threadIdx.x < 40)
        __syncthreads();
    x[threadIdx.x] = 1;
}

__global__ void two_barriers(int *x)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    x[threadIdx.x] = 1;
}

__global__ void lane_outside(int *x)
{
    int v = static_cast<int>(threadIdx.x);
    if (threadIdx.x < 16)
        v = __shfl_xor_sync(0xffffu, v, 16);
    x[threadIdx.x] = v;
}

__global__ void mask_of_all(int *x)
{
    int v = static_cast<int>(threadIdx.x);
    if (threadIdx.x < 16)
        v = __shfl_xor_sync(0xffffffffu, v, 1);
    __syncthreads();
    x[threadIdx.x] = v;
}

__global__ void masks_differ(int *x)
{
    unsigned mask = threadIdx.x == 5 ? 0xffffu : 0xffffffffu;
    x[threadIdx.x] = __shfl_sync(mask, static_cast<int>(threadIdx.x), 0);
}

__global__ void not_in_mask(int *x)
{
    __syncwarp(0xfffffffeu);
    x[threadIdx.x] = 1;
}

__global__ void past_the_end(float *x, int n)
{
    x[threadIdx.x + 1] = static_cast<float>(n);
}

__global__ void past_shared(int *x)
{
    SHARED(int, all, [32]);
    all[threadIdx.x + 1] = 1;
    x[threadIdx.x] = all[threadIdx.x];
}

__global__ void unwritten(float *x)
{
    SHARED(float, some, [32]);
    if (threadIdx.x < 31)
        some[threadIdx.x] = 1;
    __syncthreads();
    x[threadIdx.x] = some[threadIdx.x];
}

/* ---- helpers --------------------------------------------------------------------------------------------- */

template <class T> T *device(size_t count)
{
    void *p;
    assert_int_equal(cudaMalloc(&p, count * sizeof(T)), cudaSuccess);
    return static_cast<T *>(p);
}

template <class T> T *device(const T *values, size_t count)
{
    T *p = device<T>(count);
    assert_int_equal(cudaMemcpy(p, values, count * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    return p;
}

template <class T> void fetch(T *to, const T *from, size_t count)
{
    assert_int_equal(cudaMemcpy(to, from, count * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
}

void assert_no_error()
{
    if (cudaGetLastError() != cudaSuccess)
        fail_msg("%s", cusim::last_fault());
}

void assert_fault(std::initializer_list<const char *> words)
{
    if (cudaGetLastError() == cudaSuccess)
        fail_msg("no fault was found");
    for (const char *word : words)
        if (!strstr(cusim::last_fault(), word))
            fail_msg("the fault is \"%s\", without \"%s\"", cusim::last_fault(), word);
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

void right_kernels_give_the_same_in_any_order(void **)
{
    constexpr int n = 1000, blocks = 4, threads = 256;
    float x[n], got[blocks], want[blocks] = {};
    for (int i = 0; i < n; i++) {
        x[i] = static_cast<float>(i % 17);
        want[i / threads] += 2 * x[i]; /* whole numbers: exact in any order */
    }
    for (int seed = 0; seed < seeds; seed++) {
        cusim::set_seed(static_cast<uint64_t>(seed));
        float *dx = device(x, n), *out = device<float>(blocks);
        LAUNCH(scale, (n + 127) / 128, 128, 0, nullptr, dx, 2.0f, n);
        LAUNCH(sum, blocks, threads, 0, nullptr, dx, out, n);
        fetch(got, out, blocks);
        assert_no_error();
        for (int i = 0; i < blocks; i++)
            assert_true(got[i] == want[i]);
        cudaFree(dx);
        cudaFree(out);
    }
    assert_int_equal(cusim::allocations(), 0);
}

void dynamic_shared_memory_and_two_dimensions(void **)
{
    constexpr int side = 20;
    int x[side * side], y[side * side];
    for (int i = 0; i < side * side; i++)
        x[i] = i;
    for (int seed = 0; seed < seeds; seed++) {
        cusim::set_seed(static_cast<uint64_t>(seed));
        int *dx = device(x, side * side), *dy = device<int>(side * side);
        LAUNCH(transpose, 1, dim3(side, side), side * side * sizeof(int), nullptr, dx, dy, side);
        fetch(y, dy, side * side);
        assert_no_error();
        for (int i = 0; i < side * side; i++)
            assert_int_equal(y[i], x[i % side * side + i / side]);
        cudaFree(dx);
        cudaFree(dy);
    }
}

/* Where each form reads, and what stays where there is nobody to read, as the PTX manual has it. */
void every_form_of_shuffle(void **)
{
    int up[32], down[32], index[32];
    unsigned ballot[32];
    int *u = device<int>(32), *d = device<int>(32), *x = device<int>(32);
    unsigned *b = device<unsigned>(32);
    LAUNCH(forms, 1, 32, 0, nullptr, u, d, x, b);
    assert_no_error();
    fetch(up, u, 32);
    fetch(down, d, 32);
    fetch(index, x, 32);
    fetch(ballot, b, 32);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(up[i], i < 3 ? i : i - 3);
        assert_int_equal(down[i], i % 8 < 3 ? i + 5 : i);
        assert_int_equal(index[i], i / 16 * 16 + 9);
        if (i % 2)
            assert_int_equal(ballot[i], 0xaaaa0000u);
    }
    cudaFree(u);
    cudaFree(d);
    cudaFree(x);
    cudaFree(b);
}

void a_missing_barrier_shows_as_wrong_numbers(void **)
{
    constexpr int n = 256;
    int x[n], y[n], wrong = 0;
    for (int i = 0; i < n; i++)
        x[i] = i;
    for (int seed = 0; seed < seeds; seed++) {
        cusim::set_seed(static_cast<uint64_t>(seed));
        int *dx = device(x, n), *dy = device<int>(n);
        LAUNCH(no_barrier, 1, n, 0, nullptr, dx, dy, n);
        fetch(y, dy, n);
        assert_no_error();
        bool right = true;
        for (int i = 0; i < n; i++)
            right = right && y[i] == (i + 37) % n;
        wrong += !right;
        cudaFree(dx);
        cudaFree(dy);
    }
    assert_int_equal(wrong, seeds);
}

template <class Kernel>
void expect_fault(const char *name, Kernel kernel, unsigned threads, std::initializer_list<const char *> words)
{
    for (int seed = 0; seed < seeds; seed++) {
        cusim::set_seed(static_cast<uint64_t>(seed));
        int *x = device<int>(threads);
        cusim::launch(name, kernel, 1, threads, 0, nullptr, x);
        assert_fault(words);
        cudaFree(x);
    }
    cusim::set_seed(0);
}

void a_barrier_that_some_do_not_reach_is_told(void **)
{
    expect_fault("barrier_of_some", barrier_of_some, 64,
                 {"barrier_of_some: ", "has ended, while", "__syncthreads at cusim_core.cpp:"});
}

void two_barriers_at_once_are_told(void **)
{
    expect_fault("two_barriers", two_barriers, 64, {"must come to one barrier", "cusim_core.cpp:"});
}

void a_lane_outside_of_the_mask_is_told(void **)
{
    expect_fault("lane_outside", lane_outside, 32, {"__shfl_xor_sync at cusim_core.cpp:", "which does not take part"});
}

void a_mask_of_lanes_that_do_not_come_is_told(void **)
{
    expect_fault("mask_of_all", mask_of_all, 32,
                 {"no thread can go on", "16 wait in __shfl_xor_sync", "16 wait in __syncthreads",
                  "mask is 0xffffffff, lanes 0x0000ffff have come"});
}

void masks_that_differ_are_told(void **)
{
    expect_fault("masks_differ", masks_differ, 32, {"__shfl_sync at cusim_core.cpp:", "0xffffffff", "0x0000ffff"});
}

void a_lane_not_in_its_own_mask_is_told(void **)
{
    expect_fault("not_in_mask", not_in_mask, 32, {"thread (0,0,0)", "lane 0 is not in its own mask 0xfffffffe"});
}

void memory_that_nobody_wrote_is_not_a_number(void **)
{
    float y[32];
    float *x = device<float>(32);
    LAUNCH(unwritten, 1, 32, 0, nullptr, x);
    assert_no_error();
    fetch(y, x, 32);
    assert_true(y[30] == 1);
    assert_true(y[31] != y[31]);
    cudaFree(x);
}

/* Runs what AddressSanitizer ends the process for in one of its own: whether it came to a bad end. */
template <class Body> bool ends_badly(Body body)
{
    int status;
    fflush(nullptr);
    pid_t child = fork();
    if (!child) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(0);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status);
}

void an_index_out_of_bounds_is_told(void **)
{
    auto body = [] {
        float *x = device<float>(32);
        LAUNCH(past_the_end, 1, 32, 0, nullptr, x, 1);
        cudaFree(x);
    };
    if (CUSIM_ASAN) {
        assert_true(ends_badly(body));
        return;
    }
    body();
    assert_fault({"past_the_end: wrote", "behind device memory of 128 bytes"});
}

/* The host has no business in the device's memory, not even where it is the same machine's. */
void a_host_that_touches_device_memory_is_told(void **)
{
    if (!CUSIM_ASAN) {
        print_message("skipped: the host in device memory, which only AddressSanitizer sees\n");
        return;
    }
    float *x = device<float>(3);
    LAUNCH(scale, 1, 32, 0, nullptr, x, 2.0f, 3);
    assert_true(ends_badly([x] { x[2] = 1; }));
    assert_true(ends_badly([x] { memcpy(x, "abc", 3); }));
    assert_true(ends_badly([x] {
        volatile float read = x[0];
        (void)read;
    }));
    assert_false(ends_badly([x] {
        float y[3];
        LAUNCH(scale, 1, 32, 0, nullptr, x, 2.0f, 3);
        cudaMemsetAsync(x, 0, sizeof y, nullptr);
        cudaMemcpy(y, x, sizeof y, cudaMemcpyDeviceToHost);
        cudaFree(x);
    }));
    cudaFree(x);
}

void an_index_out_of_shared_memory_is_told(void **)
{
    auto body = [] {
        int *x = device<int>(32);
        LAUNCH(past_shared, 1, 32, 0, nullptr, x);
        cudaFree(x);
    };
    if (CUSIM_ASAN) {
        assert_true(ends_badly(body));
        return;
    }
    body();
    assert_fault({"past_shared: block (0,0,0) wrote behind all at cusim_core.cpp:"});
}

void what_cannot_be_launched_is_told(void **)
{
    float *x = device<float>(32);
    LAUNCH(scale, 1, 1025, 0, nullptr, x, 1.0f, 32);
    assert_fault({"blocks of 1025 threads"});
    LAUNCH(scale, dim3(1, 70000), 32, 0, nullptr, x, 1.0f, 32);
    assert_fault({"a grid of (1,70000,1) blocks"});
    LAUNCH(scale, 1, 32, 50000, nullptr, x, 1.0f, 32);
    assert_fault({"50000 bytes of shared memory", "allowed 49152"});
    cudaFuncSetAttribute(scale, cudaFuncAttributeMaxDynamicSharedMemorySize, 60000);
    LAUNCH(scale, 1, 32, 50000, nullptr, x, 1.0f, 32);
    assert_no_error();
    cudaFree(x);
}

/* A captured launch is done when the graph is launched, and with the arguments that it was captured with. */
/* 4 blocks of 32 threads: shares of 1, 2, 3 and 4 are 320, and 128 were added. Weakly, and without the fence, the last
 * block has nothing but its own; when the launch has ended all is there. */
void what_no_fence_stands_behind_is_not_seen_by_other_blocks(void **)
{
    constexpr int blocks = 4, threads = 32;
    const bool was = cusim::weak;
    for (unsigned seed = 0; seed < seeds; seed++)
        for (int way = 0; way < 4; way++) {
            float zeros[blocks * threads] = {0}, out[2], shares[blocks * threads];
            unsigned none = 0, added;
            float *s = device(zeros, blocks * threads), *o = device(zeros, 2);
            unsigned *a = device(&none, 1), *tickets = device(&none, 1);
            bool weak = way & 1, fences = way & 2;
            cusim::weak = weak;
            cusim::set_seed(seed);
            LAUNCH(gather, blocks, threads, 0, nullptr, s, a, tickets, o, fences);
            fetch(out, o, 2);
            fetch(shares, s, blocks * threads);
            fetch(&added, a, 1);
            assert_no_error();
            if (weak && !fences) {
                assert_true(out[0] == 32 || out[0] == 64 || out[0] == 96 || out[0] == 128);
                assert_true(out[1] == threads);
            } else {
                assert_true(out[0] == 320 && out[1] == blocks * threads);
            }
            assert_int_equal(added, blocks * threads);
            for (int i = 0; i < blocks * threads; i++)
                assert_true(shares[i] == static_cast<float>(i / threads + 1));
            cudaFree(s), cudaFree(o), cudaFree(a), cudaFree(tickets);
        }
    cusim::weak = was;
    cusim::set_seed(0);
}

void a_graph_is_captured_and_replayed(void **)
{
    float x[4] = {1, 2, 3, 4}, y[4], by = 2;
    float *d = device(x, 4);
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    LAUNCH(scale, 1, 32, 0, stream, d, by, 4);
    by = 1000;
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    fetch(y, d, 4);
    assert_true(y[0] == 1); /* nothing was done yet */
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph); /* exec goes on without it */
    for (int i = 0; i < 3; i++)
        cudaGraphLaunch(exec, stream);
    cudaStreamSynchronize(stream);
    fetch(y, d, 4);
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == 8 * x[i]);
    assert_no_error();
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    assert_int_not_equal(cudaStreamSynchronize(stream), cudaSuccess);
    assert_fault({"waiting for a stream that is being captured"});
    cudaStreamEndCapture(stream, &graph);
    cudaGraphExecDestroy(exec);
    cudaStreamDestroy(stream);
    cudaFree(d);
    cudaGraphDestroy(graph);
}

/* Whoever writes to pinned memory before the copy from it was waited for, or reads before the copy to it was, sees
 * it. */
void a_copy_from_pinned_memory_is_done_when_it_is_waited_for(void **)
{
    float *from, *to, y[4], *d = device<float>(4);
    cudaStream_t stream;
    cudaEvent_t event;
    cudaStreamCreate(&stream);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMallocHost(reinterpret_cast<void **>(&from), sizeof y);
    cudaMallocHost(reinterpret_cast<void **>(&to), sizeof y);
    from[0] = 1, to[0] = 0;
    cudaMemcpyAsync(d, from, sizeof y, cudaMemcpyHostToDevice, stream);
    LAUNCH(scale, 1, 32, 0, stream, d, 2.0f, 4);
    cudaMemcpyAsync(to, d, sizeof y, cudaMemcpyDeviceToHost, stream);
    cudaEventRecord(event, stream);
    LAUNCH(scale, 1, 32, 0, stream, d, 2.0f, 4);
    from[0] = 10;
    assert_true(to[0] == 0);
    cudaEventSynchronize(event);
    assert_true(to[0] == 20);
    cudaMemcpyAsync(y, d, sizeof y, cudaMemcpyDeviceToHost, stream); /* other memory is waited for */
    assert_true(y[0] == 40);
    cudaMemcpyAsync(d, from, sizeof y, cudaMemcpyHostToDevice, stream);
    y[0] = 3;
    cudaMemcpyAsync(d, y, sizeof y, cudaMemcpyHostToDevice, stream); /* or is read at once, behind what is late */
    y[0] = from[0] = 7;
    cudaStreamSynchronize(stream);
    fetch(y, d, 4);
    assert_true(y[0] == 3);
    assert_no_error();
    cudaFreeHost(from);
    cudaFreeHost(to);
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    cudaFree(d);
}

void copies_must_fit_their_allocations(void **)
{
    float x[4] = {};
    float *d = device<float>(4);
    assert_int_not_equal(cudaMemcpy(d, x, 5 * sizeof *x, cudaMemcpyHostToDevice), cudaSuccess);
    assert_fault({"leaves an allocation"});
    assert_int_not_equal(cudaMemcpy(x, d, sizeof *x, cudaMemcpyHostToDevice), cudaSuccess);
    assert_fault({"does not fit its pointers"});
    assert_int_not_equal(cudaFree(x), cudaSuccess);
    assert_fault({"cudaMalloc did not give"});
    cudaFree(d);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_kernels_give_the_same_in_any_order),
        cmocka_unit_test(dynamic_shared_memory_and_two_dimensions),
        cmocka_unit_test(every_form_of_shuffle),
        cmocka_unit_test(a_missing_barrier_shows_as_wrong_numbers),
        cmocka_unit_test(a_barrier_that_some_do_not_reach_is_told),
        cmocka_unit_test(two_barriers_at_once_are_told),
        cmocka_unit_test(a_lane_outside_of_the_mask_is_told),
        cmocka_unit_test(a_mask_of_lanes_that_do_not_come_is_told),
        cmocka_unit_test(masks_that_differ_are_told),
        cmocka_unit_test(a_lane_not_in_its_own_mask_is_told),
        cmocka_unit_test(memory_that_nobody_wrote_is_not_a_number),
        cmocka_unit_test(an_index_out_of_bounds_is_told),
        cmocka_unit_test(a_host_that_touches_device_memory_is_told),
        cmocka_unit_test(an_index_out_of_shared_memory_is_told),
        cmocka_unit_test(what_cannot_be_launched_is_told),
        cmocka_unit_test(what_no_fence_stands_behind_is_not_seen_by_other_blocks),
        cmocka_unit_test(a_graph_is_captured_and_replayed),
        cmocka_unit_test(a_copy_from_pinned_memory_is_done_when_it_is_waited_for),
        cmocka_unit_test(copies_must_fit_their_allocations),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
