/* cudnn.cpp: see cudnn_graph.h. */
#include "cudnn_run.h"

#include "gpu.h"

#include <cstring>
#include <string>

struct cudnnContext {
    cudaStream_t stream;
};

namespace
{

using namespace cusim;

constexpr int ENGINES = 3, WANDERS = 0, REFUSES = 1;

struct Value {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::string bytes;
};

struct Descriptor {
    cudnnBackendDescriptorType_t type;
    bool finalized = false;
    std::map<int, Value> values;
    std::vector<GraphOp> ops; /* of a graph, and of what is made of it */
    int engine = -1;
    std::shared_ptr<bool> there = std::make_shared<bool>(true);
};

/* What a kind of descriptor has to be told, and what it may be told. */
struct Attribute {
    cudnnBackendDescriptorType_t of;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    bool needed;
};
const Attribute attributes[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, false},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, false},
    {CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, true},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_CDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, true},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, true},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, true},
    {CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, true},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, true},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, true},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR,
     true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, true},
};

std::string last_error;
int plans, runs;

cudnnStatus_t refuse(const char *why)
{
    last_error = why;
    return CUDNN_STATUS_BAD_PARAM;
}

size_t size_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    default:
        return sizeof(int); /* enums */
    }
}

template <class T> T value_of(const Descriptor *d, int name, size_t i = 0)
{
    T value = {};
    auto found = d->values.find(name);
    if (found != d->values.end())
        memcpy(&value, found->second.bytes.data() + i * sizeof value, sizeof value);
    return value;
}

const Descriptor *node_of(const Descriptor *d, int name, size_t i = 0)
{
    return value_of<const Descriptor *>(d, name, i);
}

int64_t count_of(const Descriptor *d, int name)
{
    auto found = d->values.find(name);
    return found == d->values.end() ? 0 : found->second.count;
}

GraphTensor tensor_of(const Descriptor *d)
{
    GraphTensor t = {value_of<cudnnDataType_t>(d, CUDNN_ATTR_TENSOR_DATA_TYPE),
                     {},
                     {},
                     value_of<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID),
                     value_of<int64_t>(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT),
                     value_of<bool>(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL),
                     value_of<bool>(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE)};
    for (size_t k = 0; k < 4; k++) {
        t.dim[k] = value_of<int64_t>(d, CUDNN_ATTR_TENSOR_DIMENSIONS, k);
        t.stride[k] = value_of<int64_t>(d, CUDNN_ATTR_TENSOR_STRIDES, k);
    }
    return t;
}

/* An operation's tensors, and what says how; false where it is of another kind. */
bool op_of(const Descriptor *d, GraphOp *op)
{
    static const struct {
        cudnnBackendDescriptorType_t type;
        int in[3], out, how, mode;
    } kinds[] = {
        {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR,
         {CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_ATTR_OPERATION_MATMUL_BDESC, -1},
         CUDNN_ATTR_OPERATION_MATMUL_CDESC,
         CUDNN_ATTR_OPERATION_MATMUL_DESC,
         -1},
        {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
         {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
          CUDNN_ATTR_OPERATION_POINTWISE_TDESC},
         CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
         CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
         CUDNN_ATTR_POINTWISE_MODE},
        {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR,
         {CUDNN_ATTR_OPERATION_REDUCTION_XDESC, -1, -1},
         CUDNN_ATTR_OPERATION_REDUCTION_YDESC,
         CUDNN_ATTR_OPERATION_REDUCTION_DESC,
         CUDNN_ATTR_REDUCTION_OPERATOR},
        {CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR,
         {CUDNN_ATTR_OPERATION_RESHAPE_XDESC, -1, -1},
         CUDNN_ATTR_OPERATION_RESHAPE_YDESC,
         -1,
         -1},
    };
    for (const auto &kind : kinds) {
        if (kind.type != d->type)
            continue;
        *op = {d->type, -1, -1, {}, tensor_of(node_of(d, kind.out))};
        for (int in : kind.in)
            if (node_of(d, in))
                op->in.push_back(tensor_of(node_of(d, in)));
        const Descriptor *how = kind.how < 0 ? nullptr : node_of(d, kind.how);
        if (how && kind.mode >= 0)
            op->how = value_of<int>(how, kind.mode);
        if (how && how->values.count(CUDNN_ATTR_POINTWISE_AXIS) &&
            d->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
            op->axis = value_of<int64_t>(how, CUDNN_ATTR_POINTWISE_AXIS);
        return true;
    }
    return false;
}

/* Scores are kept by what transposes them: as the library's deterministic backward does. */
size_t workspace_of(const std::vector<GraphOp> &ops)
{
    size_t bytes = 256;
    for (const GraphOp &op : ops)
        if (op.type == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR && op.out.dim[2] == op.out.dim[3])
            bytes = 256 + 2 * static_cast<size_t>(op.out.count());
    return bytes;
}

const char *check_tensor(const GraphTensor &t)
{
    if (t.uid < 1 || t.count() < 1 || (t.between && t.number))
        return "a tensor without a name, or of no size";
    return !t.number || t.count() == 1 ? "" : "a number that is many";
}

const char *finish_graph(Descriptor *d)
{
    for (int64_t i = 0; i < count_of(d, CUDNN_ATTR_OPERATIONGRAPH_OPS); i++) {
        GraphOp op;
        if (!op_of(node_of(d, CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i)), &op))
            return "what is no operation";
        d->ops.push_back(op);
    }
    return check_graph(d->ops);
}

/* What its kind has to hold beyond its attributes. */
cudnnStatus_t finish(Descriptor *d)
{
    GraphOp op;
    const char *wrong = "";
    if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        wrong = check_tensor(tensor_of(d));
    else if (op_of(d, &op))
        wrong = check_op(op);
    else if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        wrong = finish_graph(d);
    else if (d->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
        d->ops = node_of(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->ops;
    else if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const Descriptor *offer = node_of(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
        if (offer->engine == REFUSES)
            return CUDNN_STATUS_NOT_SUPPORTED;
        d->ops = offer->ops;
        d->engine = offer->engine;
        plans++;
    }
    return *wrong ? refuse(wrong) : CUDNN_STATUS_SUCCESS;
}

/* All that a call reads: "", or what is wrong with it. */
const char *bind(const Descriptor *plan, const Descriptor *pack, GraphCall *call)
{
    std::map<int64_t, void *> given;
    int64_t count = count_of(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (count != count_of(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS))
        return "as many names as pointers";
    for (size_t i = 0; i < static_cast<size_t>(count); i++)
        given[value_of<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i)] =
            value_of<void *>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
    for (const GraphOp &op : plan->ops) {
        std::vector<GraphTensor> all = op.in;
        all.push_back(op.out);
        for (const GraphTensor &t : all) {
            if (t.between)
                continue;
            void *p = given.count(t.uid) ? given[t.uid] : nullptr;
            size_t bytes = static_cast<size_t>(t.extent()) * (t.type == CUDNN_DATA_BFLOAT16 ? 2 : 4);
            if (!p)
                return "a tensor that has no memory";
            if (t.number)
                call->numbers[t.uid] = *static_cast<const float *>(p);
            else if (!on_device(p, bytes) || reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(t.alignment))
                return "memory that is not the device's, or not aligned";
            else
                call->memory[t.uid] = p;
        }
    }
    if (call->memory.size() + call->numbers.size() != given.size())
        return "memory for a tensor that is not in the graph";
    call->ops = plan->ops;
    call->workspace = static_cast<char *>(value_of<void *>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE));
    call->workspace_bytes = workspace_of(plan->ops);
    return on_device(call->workspace, call->workspace_bytes) ? "" : "a workspace that is too small";
}

} // namespace

bool cusim::has_cudnn()
{
    return gpu().cudnn != 0;
}

void cusim_cudnn_count(int *plans_made, int *graphs_run)
{
    *plans_made = plans;
    *graphs_run = runs;
}

size_t cudnnGetVersion(void)
{
    return static_cast<size_t>(gpu().cudnn);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = new cudnnContext{};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_BAD_PARAM ? "a bad parameter" : "not supported";
}

void cudnnGetLastErrorString(char *message, size_t most)
{
    snprintf(message, most, "%s", last_error.c_str());
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor)
{
    Descriptor *d = new Descriptor;
    d->type = type;
    *descriptor = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    Descriptor *d = static_cast<Descriptor *>(descriptor);
    *d->there = false;
    delete d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    Descriptor *d = static_cast<Descriptor *>(descriptor);
    if (d->finalized)
        return refuse("an attribute of what is finalized");
    for (const Attribute &a : attributes) {
        if (a.of != d->type || a.name != name || a.type != type)
            continue;
        const char *bytes = static_cast<const char *>(values);
        if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
            for (int64_t i = 0; i < count; i++)
                if (!static_cast<Descriptor *const *>(values)[i]->finalized)
                    return refuse("what is not finalized");
        d->values[name] = {type, count, std::string(bytes, static_cast<size_t>(count) * size_of(type))};
        return CUDNN_STATUS_SUCCESS;
    }
    return refuse("an attribute that it does not have");
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    Descriptor *d = static_cast<Descriptor *>(descriptor);
    if (d->finalized)
        return refuse("what is finalized");
    for (const Attribute &a : attributes)
        if (a.of == d->type && a.needed && !d->values.count(a.name))
            return refuse("an attribute is missing");
    cudnnStatus_t status = finish(d);
    d->finalized = status == CUDNN_STATUS_SUCCESS;
    return status;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t requested, int64_t *count, void *values)
{
    Descriptor *d = static_cast<Descriptor *>(descriptor);
    *count = 1;
    if (!d->finalized)
        return refuse("a question to what is not finalized");
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        *count = ENGINES;
        for (int i = 0; i < ENGINES && i < requested; i++) {
            Descriptor *offer = static_cast<Descriptor *const *>(values)[i];
            offer->ops = d->ops;
            offer->engine = i;
            offer->finalized = true;
        }
    } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE) {
        Descriptor *engine = *static_cast<Descriptor *const *>(values);
        engine->engine = d->engine;
        engine->finalized = true;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) {
        cudnnBackendNumericalNote_t *notes = static_cast<cudnnBackendNumericalNote_t *>(values);
        notes[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        notes[1] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        *count = d->engine == WANDERS ? 2 : 1;
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        *static_cast<int64_t *>(values) = static_cast<int64_t>(workspace_of(d->ops));
    } else {
        return refuse("a question that it does not answer");
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
    Descriptor *d = static_cast<Descriptor *>(plan), *p = static_cast<Descriptor *>(pack);
    GraphCall call = {};
    if (!d->finalized || !p->finalized)
        return refuse("what is not finalized");
    const char *wrong = bind(d, p, &call);
    if (*wrong)
        return refuse(wrong);
    runs++;
    if (d->engine == WANDERS)
        call.error = 1e-3 * (runs % 7);
    submit_call(
        [call, there = d->there] {
            if (*there) /* a graph's kernels are its plan's */
                run_graph(call);
        },
        handle->stream);
    return CUDNN_STATUS_SUCCESS;
}
