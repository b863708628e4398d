/* device.cuh: the host side of a launch: the backend's state, error checks, and dispatch on the element type. */
#ifndef GP_CUDA_DEVICE_CUH
#define GP_CUDA_DEVICE_CUH

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/cuda.h"

/* be->state. */
struct CudaState {
    int device, sm; /* sm: 10 x major + minor of the compute capability */
    int multiprocessors;
    size_t shared;        /* max bytes of shared memory of a block (opt-in) */
    bool pdl;             /* programmatic dependent launch works on this device with this build (pdl.cuh) */
    bool pageable_access; /* the device reads pageable host memory directly: a copy from there may be asynchronous */
    bool capturing;       /* a stream capture is in progress, */
    bool refused;         /* and part of the work could not be captured */
    bool remarked;        /* that work could not be recorded was reported */
    cudaStream_t stream;
    struct Matmuls *matmuls;      /* matmul.cu */
    struct CudnnAttention *cudnn; /* attention_cudnn.cu; null until cuDNN is requested */
    int64_t head_rows;            /* op_head.cu: max rows of logits in a chunk; 0: chosen there */
    /* TICKETS arrival counters, by which the last block of a kernel finishes for all; 0 between ops */
    unsigned *tickets;
    void *sample_rows; /* op_sample.cu: sample_rows_bytes() of state, 0 between ops */
    void *staging;     /* convert.cu; null: not needed yet */
};

size_t sample_rows_bytes();
void convert_close(gp_backend *be);

constexpr int64_t TICKETS = 1 << 16;

static inline CudaState *state_of(const gp_backend *be)
{
    return static_cast<CudaState *>(be->state);
}

/* Ends the process with the reason: the device is lost, or this is a bug. */
void cuda_check(cudaError_t error, const char *what);
#define CUDA_CHECK(call) cuda_check(call, #call)

/* Called after each launch. An asynchronous kernel failure is reported by a later call, whose message names this
 * kernel. A launch that cannot be captured ends the capture (record.cu), not the process. */
void cuda_launched(const gp_backend *be, const char *kernel);

/* Called after a graph launch. */
void cuda_replayed(void);

/* Launches a kernel on the backend's stream. */
#define RUN(be, kernel, grid, block, dynamic_shared, ...)                                                              \
    do {                                                                                                               \
        LAUNCH(kernel, grid, block, dynamic_shared, state_of(be)->stream, __VA_ARGS__);                                \
        cuda_launched(be, #kernel);                                                                                    \
    } while (0)

/* The first bytes of the workspace; more than was planned is a bug. */
static inline void *cuda_workspace(const gp_backend *be, size_t bytes)
{
    BUG_ON(bytes > be->workspace_size);
    return be->workspace;
}

/* The data of a tensor of element type T; null for an absent optional tensor. */
template <class T> struct DtypeOf;
template <> struct DtypeOf<float> {
    static constexpr gp_dtype value = GP_F32;
};
template <> struct DtypeOf<__nv_bfloat16> {
    static constexpr gp_dtype value = GP_BF16;
};
template <class T> T *data_of(const gp_tensor *t)
{
    if (!t)
        return nullptr;
    BUG_ON(t->dtype != DtypeOf<T>::value || !t->data);
    return static_cast<T *>(t->data);
}

/* A tensor (...,C) as (N,C); a sample is T of its rows. */
static inline int64_t columns_of(const gp_tensor *t)
{
    return t->dim[t->ndim - 1];
}
static inline int64_t rows_of(const gp_tensor *t)
{
    return gp_tensor_count(t) / columns_of(t);
}
static inline int64_t rows_of_sample(const gp_tensor *t)
{
    return t->dim[t->ndim - 2];
}

template <class T> struct Type {
    using type = T;
};

/* Calls body with Type<float> or Type<__nv_bfloat16>, the type in which activations are stored:
 *     with_type(be, [&](auto type) { using T = typename decltype(type)::type; ... });
 * (nvcc requires a launch to be in a function template rather than in a lambda; so body should only call one.) */
template <class Body> void with_type(const gp_backend *be, Body body)
{
    if (be->act_dtype == GP_BF16)
        body(Type<__nv_bfloat16>());
    else
        body(Type<float>());
}

/* ceil(a / b), as a grid size */
static inline unsigned blocks_for(int64_t a, int64_t b)
{
    return static_cast<unsigned>((a + b - 1) / b);
}

#endif
