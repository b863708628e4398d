/* device.cuh: the host's side of a launch: the backend's state, how a failure ends, and the choice of a type. */
#ifndef GP_CUDA_DEVICE_CUH
#define GP_CUDA_DEVICE_CUH

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/cuda.h"

/* be->state. */
struct CudaState {
    int device, sm;   /* sm: 10 x major + minor compute capability */
    int processors;   /* streaming multiprocessors */
    size_t shared;    /* bytes of shared memory that a block may ask for */
    bool early;       /* kernels of this build can begin before the one in front has ended (pdl.cuh) */
    bool reads_pages; /* the host's, by itself: a copy from there need not be made at once */
    bool capturing;   /* what is issued becomes a recording, */
    bool refused;     /* of which a part could not be issued */
    cudaStream_t stream;
    struct Matmuls *matmuls;      /* matmul.cu's */
    struct CudnnAttention *cudnn; /* attention_cudnn.cu's, once it was asked for; null before */
    int64_t head_rows;            /* op_head.cu: rows of logits at once, at most; 0: its own choice */
    unsigned *tickets; /* TICKETS counters for kernels whose last block ends the work of all: 0 between ops */
    void *sample_rows; /* op_sample.cu: sample_rows_bytes() of state, 0 between ops */
};

size_t sample_rows_bytes();

constexpr int64_t TICKETS = 1 << 16;

static inline CudaState *state_of(const gp_backend *be)
{
    return static_cast<CudaState *>(be->state);
}

/* A lost device, or our own mistake on it: ends the process with the reason. */
void cuda_check(cudaError_t error, const char *what);
#define CUDA_CHECK(call) cuda_check(call, #call)

/* Behind each launch. A kernel's own failure is found by a later call, which then names it. One that cannot be captured
 * ends the recording (record.cu), not the process. */
void cuda_launched(const gp_backend *be, const char *kernel);

/* Behind a recorded pass that was issued again. */
void cuda_replayed(void);

/* A kernel on the backend's stream. */
#define RUN(be, kernel, grid, block, dynamic_shared, ...)                                                              \
    do {                                                                                                               \
        LAUNCH(kernel, grid, block, dynamic_shared, state_of(be)->stream, __VA_ARGS__);                                \
        cuda_launched(be, #kernel);                                                                                    \
    } while (0)

/* The workspace's first bytes; asking for more than was planned is a bug. */
static inline void *cuda_workspace(const gp_backend *be, size_t bytes)
{
    BUG_ON(bytes > be->workspace_size);
    return be->workspace;
}

/* The numbers of a tensor of T; null for an optional one that is not there. */
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

/* (...,C) seen as (N,C); a sample is T rows of it. */
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

/* Calls body with Type<float> or Type<__nv_bfloat16>, whichever activations are stored in:
 *     with_type(be, [&](auto type) { using T = typename decltype(type)::type; ... });
 * (nvcc wants a launch inside a function template rather than a lambda; so body should only call one.) */
template <class Body> void with_type(const gp_backend *be, Body body)
{
    if (be->act_dtype == GP_BF16)
        body(Type<__nv_bfloat16>());
    else
        body(Type<float>());
}

/* ceil(a / b) as a launch's size */
static inline unsigned blocks_for(int64_t a, int64_t b)
{
    return static_cast<unsigned>((a + b - 1) / b);
}

#endif
