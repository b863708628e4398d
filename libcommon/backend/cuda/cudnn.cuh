/* cudnn.cuh: cuDNN's graph library by its C backend API, loaded by dlopen when its attention is requested, so that
 * programs start without it; and operation graphs, which it compiles to kernels.
 *
 *     Graph g;
 *     graph_init(&g, dnn);
 *     Node x = graph_tensor(&g, CUDNN_DATA_FLOAT, shape, 1), y = graph_tensor(&g, CUDNN_DATA_FLOAT, shape, 2);
 *     graph_pointwise(&g, CUDNN_POINTWISE_EXP, {x}, y);
 *     if (graph_plan(&g, {handle}))
 *         ...gp_error()...
 *     graph_run(&g, handle, (Binding[]){{1, from}, {2, to}}, 2, workspace);     // of g.workspace bytes
 *     graph_release(&g);
 *
 * Under GP_CUSIM the library is the simulator's. */
#ifndef GP_CUDA_CUDNN_CUH
#define GP_CUDA_CUDNN_CUH

#include "backend/cuda/cuda.cuh"

#include <cudnn_graph.h>

#define CUDNN_FUNCTIONS(X)                                                                                             \
    X(Create)                                                                                                          \
    X(Destroy)                                                                                                         \
    X(SetStream)                                                                                                       \
    X(GetVersion)                                                                                                      \
    X(GetErrorString)                                                                                                  \
    X(GetLastErrorString)                                                                                              \
    X(BackendCreateDescriptor)                                                                                         \
    X(BackendDestroyDescriptor)                                                                                        \
    X(BackendFinalize)                                                                                                 \
    X(BackendSetAttribute)                                                                                             \
    X(BackendGetAttribute)                                                                                             \
    X(BackendExecute)

/* dnn.Create is cudnnCreate, and so on. */
struct Cudnn {
    void *library;
    size_t version; /* 91900 is 9.19.0 */
#define CUDNN_POINTER(name) decltype(&cudnn##name) name;
    CUDNN_FUNCTIONS(CUDNN_POINTER)
#undef CUDNN_POINTER
};

/* 0; or -1, with an error that names the library. */
int cudnn_open(Cudnn *dnn);
void cudnn_close(Cudnn *dnn);

/* ---- graphs ---------------------------------------------------------------------------------------------- */

using Node = cudnnBackendDescriptor_t; /* a tensor of a graph */

/* Dimensions (B,H,rows,columns) and their strides, in elements. */
struct Shape {
    int64_t dim[4], stride[4];
};
Shape shape_dense(int64_t B, int64_t H, int64_t rows, int64_t columns);
Shape shape_transposed(const Shape &s); /* rows and columns exchanged, same data */

/* Owns its descriptors until graph_release. The first failure is stored in `error`, and later calls do nothing; so
 * graph_plan reports it, and the calls before it need no checks. */
struct Graph {
    const Cudnn *dnn;
    Node made[128], op[32]; /* all descriptors; those of operations */
    int made_count, op_count;
    int64_t next_uid;
    char error[256]; /* the first failure; "": none */
    Node plan;
    int64_t workspace; /* bytes */
};

void graph_init(Graph *g, const Cudnn *dnn);
void graph_release(Graph *g);

/* A tensor in device memory; an fp32 scalar passed by value from the host; a virtual tensor, written by one operation
 * for the following ones and never stored. Uids are 1 to 999. */
Node graph_tensor(Graph *g, cudnnDataType_t type, const Shape &shape, int64_t uid);
Node graph_scalar(Graph *g, int64_t uid);
Node graph_virtual(Graph *g, cudnnDataType_t type, const Shape &shape);

struct Operands {
    Node x, b = nullptr, t = nullptr;
};
/* c = a b */
void graph_matmul(Graph *g, Node a, Node b, Node c);
/* y = mode(x, b), with broadcast; CUDNN_POINTWISE_BINARY_SELECT: t ? x : b. */
void graph_pointwise(Graph *g, cudnnPointwiseMode_t mode, const Operands &from, Node y);
/* y[..., i, ...] = i along that axis; y has the shape of x, whose values are not read */
void graph_index(Graph *g, Node x, int64_t axis, Node y);
/* reduces over the dimensions in which y is 1 */
void graph_reduce(Graph *g, cudnnReduceTensorOp_t how, Node x, Node y);
/* the same elements, as laid out by the strides of both */
void graph_reshape(Graph *g, Node x, Node y);

/* The GPU that a plan is compiled for: the one of the handle; or, for tests, one that is described. */
struct GraphTarget {
    cudnnHandle_t handle;
    Node description;
};

/* Compiles the first deterministic engine configuration that the heuristics return. It takes seconds. 0 or -1. */
int graph_plan(Graph *g, const GraphTarget &target);

struct Binding {
    int64_t uid;
    const void *at; /* device memory; of a scalar: host memory, read before this returns */
};

/* Runs on the handle's stream; dies on failure. */
void graph_run(const Graph *g, cudnnHandle_t handle, const Binding *bindings, int count, void *workspace);

#endif
