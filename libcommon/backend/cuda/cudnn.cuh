/* cudnn.cuh: cuDNN's graph library by its C backend API, looked for when its attention is asked for, so that programs
 * start without it; and graphs of its operations, of which it makes kernels.
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

/* 0; or -1, with where it was looked for. */
int cudnn_open(Cudnn *dnn);
void cudnn_close(Cudnn *dnn);

/* ---- graphs ---------------------------------------------------------------------------------------------- */

using Node = cudnnBackendDescriptor_t; /* a tensor of a graph */

/* (B,H,rows,columns), and how many numbers it is from one to the next of each. */
struct Shape {
    int64_t dim[4], stride[4];
};
Shape shape_dense(int64_t B, int64_t H, int64_t rows, int64_t columns);
Shape shape_transposed(const Shape &s); /* rows and columns, at the same place */

/* What is made stays until graph_release. The first failure is kept, and what comes behind it does nothing; so
 * graph_plan tells of it, and the calls before need not be looked at one by one. */
struct Graph {
    const Cudnn *dnn;
    Node made[128], op[32]; /* all descriptors; of them the operations */
    int made_count, op_count;
    int64_t next_uid;
    char why[256]; /* "" while all is well */
    Node plan;
    int64_t workspace; /* bytes */
};

void graph_init(Graph *g, const Cudnn *dnn);
void graph_release(Graph *g);

/* In the device's memory; one number in the host's, an fp32; or nowhere, written by one operation for the next ones.
 * Uids are from 1 to 999. */
Node graph_tensor(Graph *g, cudnnDataType_t type, const Shape &shape, int64_t uid);
Node graph_number(Graph *g, int64_t uid);
Node graph_between(Graph *g, cudnnDataType_t type, const Shape &shape);

struct Operands {
    Node x, b = nullptr, t = nullptr;
};
/* c = a b */
void graph_matmul(Graph *g, Node a, Node b, Node c);
/* y = mode(x, b), where one number stands for all; CUDNN_POINTWISE_BINARY_SELECT: t ? x : b. */
void graph_pointwise(Graph *g, cudnnPointwiseMode_t mode, const Operands &from, Node y);
/* y[..., i, ...] = i in that dimension; as large as x, of which nothing else is read */
void graph_index(Graph *g, Node x, int64_t axis, Node y);
/* over the dimensions in which y is 1 */
void graph_reduce(Graph *g, cudnnReduceTensorOp_t how, Node x, Node y);
/* the same numbers, where the strides of both say that they lie */
void graph_reshape(Graph *g, Node x, Node y);

/* The GPU that a plan is for: the one that is here; or, for tests, one that is described. */
struct GraphTarget {
    cudnnHandle_t handle;
    Node description;
};

/* Takes the first of the library's offers that gives the same bits each time. It compiles: that takes seconds. 0 or
 * -1. */
int graph_plan(Graph *g, const GraphTarget &target);

struct Binding {
    int64_t uid;
    const void *at; /* the device's memory; of a number the host's, which is read before this returns */
};

/* On the handle's stream; dies where it fails. */
void graph_run(const Graph *g, cudnnHandle_t handle, const Binding *bindings, int count, void *workspace);

#endif
