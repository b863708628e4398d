/* cudnn_graph.cu: see cudnn.cuh. */
#ifdef GPTPIPE_CUDNN

#include "backend/cuda/cudnn.cuh"
#include "base/base.h"

#include <cstdio>
#include <cstring>

/* Stores the first failure; true while there is none. */
static bool check(Graph *g, cudnnStatus_t status, const char *what)
{
    if (status == CUDNN_STATUS_SUCCESS || *g->error)
        return !*g->error;
    char reason[160] = "";
    g->dnn->GetLastErrorString(reason, sizeof reason);
    reason[strcspn(reason, "\n")] = 0;
    snprintf(g->error, sizeof g->error, "cuDNN refuses %s: %s%s%s", what, g->dnn->GetErrorString(status),
             *reason ? ": " : "", reason);
    return false;
}

static Node make(Graph *g, cudnnBackendDescriptorType_t type)
{
    Node node = nullptr;
    if (*g->error || !check(g, g->dnn->BackendCreateDescriptor(type, &node), "a descriptor"))
        return nullptr;
    BUG_ON(g->made_count == static_cast<int>(ARRAY_LEN(g->made)));
    g->made[g->made_count++] = node;
    return node;
}

static void set(Graph *g, Node node, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                const void *values)
{
    if (!*g->error)
        check(g, g->dnn->BackendSetAttribute(node, name, type, count, values), "an attribute");
}

static void set_node(Graph *g, Node node, cudnnBackendAttributeName_t name, Node value)
{
    if (value)
        set(g, node, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static int64_t get(Graph *g, Node node, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   int64_t max_count, void *values)
{
    int64_t count = 0;
    if (!*g->error)
        check(g, g->dnn->BackendGetAttribute(node, name, type, max_count, &count, values), "a query");
    return *g->error ? 0 : gp_min(count, max_count);
}

static bool finalize(Graph *g, Node node, const char *what)
{
    return !*g->error && check(g, g->dnn->BackendFinalize(node), what);
}

static void finish_op(Graph *g, Node op, const char *what)
{
    if (!finalize(g, op, what))
        return;
    BUG_ON(g->op_count == static_cast<int>(ARRAY_LEN(g->op)));
    g->op[g->op_count++] = op;
}

void graph_init(Graph *g, const Cudnn *dnn)
{
    memset(g, 0, sizeof *g);
    g->dnn = dnn;
    g->next_uid = 1000;
}

void graph_release(Graph *g)
{
    while (g->made_count)
        g->dnn->BackendDestroyDescriptor(g->made[--g->made_count]);
    g->op_count = 0;
    g->plan = nullptr;
}

/* ---- tensors --------------------------------------------------------------------------------------------- */

Shape shape_dense(int64_t B, int64_t H, int64_t rows, int64_t columns)
{
    return {{B, H, rows, columns}, {H * rows * columns, rows * columns, columns, 1}};
}

Shape shape_transposed(const Shape &s)
{
    return {{s.dim[0], s.dim[1], s.dim[3], s.dim[2]}, {s.stride[0], s.stride[1], s.stride[3], s.stride[2]}};
}

enum class Kind { memory, scalar, virtual_tensor };

static Node tensor(Graph *g, cudnnDataType_t type, const Shape &shape, int64_t uid, Kind kind)
{
    const int64_t alignment = 16;
    const bool yes = true;
    Node t = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, shape.dim);
    set(g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, shape.stride);
    set(g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (kind == Kind::scalar)
        set(g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    if (kind == Kind::virtual_tensor)
        set(g, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    finalize(g, t, "a tensor");
    return t;
}

Node graph_tensor(Graph *g, cudnnDataType_t type, const Shape &shape, int64_t uid)
{
    return tensor(g, type, shape, uid, Kind::memory);
}

Node graph_scalar(Graph *g, int64_t uid)
{
    return tensor(g, CUDNN_DATA_FLOAT, shape_dense(1, 1, 1, 1), uid, Kind::scalar);
}

Node graph_virtual(Graph *g, cudnnDataType_t type, const Shape &shape)
{
    return tensor(g, type, shape, g->next_uid++, Kind::virtual_tensor);
}

/* ---- operations ------------------------------------------------------------------------------------------ */

void graph_matmul(Graph *g, Node a, Node b, Node c)
{
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    Node how = make(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    finalize(g, how, "a product");
    Node op = make(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_node(g, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_node(g, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_node(g, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_node(g, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    finish_op(g, op, "a product");
}

/* axis: -1 if the mode has none */
static void pointwise(Graph *g, cudnnPointwiseMode_t mode, int64_t axis, const Operands &from, Node y)
{
    const bool compares = mode >= CUDNN_POINTWISE_CMP_EQ && mode <= CUDNN_POINTWISE_CMP_LE;
    const cudnnDataType_t type = compares ? CUDNN_DATA_BOOLEAN : CUDNN_DATA_FLOAT;
    Node how = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (axis >= 0)
        set(g, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
    finalize(g, how, "a pointwise operation");
    Node op = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_node(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_node(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, from.x);
    set_node(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, from.b);
    set_node(g, op, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, from.t);
    set_node(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    finish_op(g, op, "a pointwise operation");
}

void graph_pointwise(Graph *g, cudnnPointwiseMode_t mode, const Operands &from, Node y)
{
    pointwise(g, mode, -1, from, y);
}

void graph_index(Graph *g, Node x, int64_t axis, Node y)
{
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, axis, {x, nullptr, nullptr}, y);
}

void graph_reduce(Graph *g, cudnnReduceTensorOp_t how, Node x, Node y)
{
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    Node reduction = make(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    set(g, reduction, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &how);
    set(g, reduction, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    finalize(g, reduction, "a reduction");
    Node op = make(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_node(g, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_node(g, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_node(g, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, reduction);
    finish_op(g, op, "a reduction");
}

void graph_reshape(Graph *g, Node x, Node y)
{
    Node op = make(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_node(g, op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_node(g, op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    finish_op(g, op, "a reshape");
}

/* ---- plans ----------------------------------------------------------------------------------------------- */

constexpr int MAX_CONFIGS = 8;

/* Queries the heuristics for engine configurations; returns their number. */
static int64_t query_heuristics(Graph *g, const GraphTarget &target, Node (&configs)[MAX_CONFIGS])
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    Node all = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (target.handle)
        set(g, all, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
    set(g, all, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->op_count, g->op);
    finalize(g, all, "the graph");
    Node heuristics = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_node(g, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, all);
    set(g, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    set_node(g, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target.description);
    finalize(g, heuristics, "the choice of an engine");
    for (Node &config : configs)
        config = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    return get(g, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_CONFIGS, configs);
}

/* Whether the engine is deterministic, according to its numerical notes. */
static bool is_deterministic(Graph *g, Node config)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    Node engine = make(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    get(g, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
    int64_t count = get(g, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, notes);
    for (int64_t i = 0; i < count; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
            return false;
    return !*g->error;
}

/* Null where the library cannot build the configuration it returned: then the next one may work. */
static Node plan_of(Graph *g, const GraphTarget &target, Node config)
{
    Node plan = make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (target.handle)
        set(g, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
    set_node(g, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, target.description);
    set_node(g, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    if (*g->error || g->dnn->BackendFinalize(plan) != CUDNN_STATUS_SUCCESS)
        return nullptr;
    get(g, plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &g->workspace);
    return plan;
}

int graph_plan(Graph *g, const GraphTarget &target)
{
    Node configs[MAX_CONFIGS];
    int64_t count = query_heuristics(g, target, configs);
    for (int64_t i = 0; i < count && !g->plan; i++)
        if (is_deterministic(g, configs[i]))
            g->plan = plan_of(g, target, configs[i]);
    if (*g->error)
        return fail("%s", g->error);
    if (!g->plan)
        return fail("cuDNN %zu.%zu.%zu has no deterministic kernel for this shape on this GPU", g->dnn->version / 10000,
                    g->dnn->version / 100 % 100, g->dnn->version % 100);
    return 0;
}

void graph_run(const Graph *g, cudnnHandle_t handle, const Binding *bindings, int count, void *workspace)
{
    constexpr int MAX = 16;
    int64_t uids[MAX];
    const void *pointers[MAX];
    Graph pack; /* owns the variant pack, which cannot be changed after it is finalized */
    BUG_ON(!g->plan || count > MAX);
    for (int i = 0; i < count; i++) {
        uids[i] = bindings[i].uid;
        pointers[i] = bindings[i].at;
    }
    graph_init(&pack, g->dnn);
    Node node = make(&pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(&pack, node, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uids);
    set(&pack, node, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers);
    set(&pack, node, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finalize(&pack, node, "its operands");
    if (!*pack.error)
        check(&pack, g->dnn->BackendExecute(handle, g->plan, node), "to run");
    if (*pack.error)
        die("the GPU failed: %s; saved files are kept", pack.error);
    graph_release(&pack);
}

#endif
