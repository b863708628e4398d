/* cudnn_run.cpp: graphs of cuDNN's operations, in plain loops. */
#include "cudnn_run.h"

#include "bfloat16.h"

#include <cmath>
#include <cstring>
#include <set>

namespace cusim
{

namespace
{

using Tensor = GraphTensor;
using Place = std::array<int64_t, 4>;
using Values = std::vector<double>; /* dense, in the order of a tensor's dimensions */

template <class Body> void for_each(const Tensor &t, Body body)
{
    Place at;
    int64_t i = 0;
    for (at[0] = 0; at[0] < t.dim[0]; at[0]++)
        for (at[1] = 0; at[1] < t.dim[1]; at[1]++)
            for (at[2] = 0; at[2] < t.dim[2]; at[2]++)
                for (at[3] = 0; at[3] < t.dim[3]; at[3]++)
                    body(at, static_cast<size_t>(i++));
}

size_t offset(const Tensor &t, const Place &at)
{
    int64_t sum = 0;
    for (size_t k = 0; k < 4; k++)
        sum += at[k] * t.stride[k];
    return static_cast<size_t>(sum);
}

/* Where it is in a dense tensor, of which dimensions of 1 stand for all places. */
size_t index(const Tensor &t, const Place &at)
{
    int64_t i = 0;
    for (size_t k = 0; k < 4; k++)
        i = i * t.dim[k] + (t.dim[k] == 1 ? 0 : at[k]);
    return static_cast<size_t>(i);
}

double rounded(double x, cudnnDataType_t type)
{
    float f = static_cast<float>(x);
    return static_cast<double>(type == CUDNN_DATA_BFLOAT16 ? __bfloat162float(__float2bfloat16_rn(f)) : f);
}

double load(const void *p, cudnnDataType_t type, size_t i)
{
    return static_cast<double>(type == CUDNN_DATA_BFLOAT16 ? __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i])
                                                           : static_cast<const float *>(p)[i]);
}

void store(void *p, cudnnDataType_t type, size_t i, double x)
{
    if (type == CUDNN_DATA_BFLOAT16)
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(static_cast<float>(x));
    else
        static_cast<float *>(p)[i] = static_cast<float>(x);
}

double apply(int mode, double x, double b, double t)
{
    switch (mode) {
    case CUDNN_POINTWISE_ADD:
        return x + b;
    case CUDNN_POINTWISE_MUL:
        return x * b;
    case CUDNN_POINTWISE_DIV:
        return x / b;
    case CUDNN_POINTWISE_SUB:
        return x - b;
    case CUDNN_POINTWISE_EXP:
        return exp(x);
    case CUDNN_POINTWISE_LOG:
        return log(x);
    case CUDNN_POINTWISE_CMP_EQ:
        return x == b;
    case CUDNN_POINTWISE_CMP_GE:
        return x >= b;
    case CUDNN_POINTWISE_CMP_LE:
        return x <= b;
    default: /* CUDNN_POINTWISE_BINARY_SELECT */
        return t != 0 ? x : b;
    }
}

Values matmul(const GraphOp &op, const Values &a, const Values &b)
{
    Values c(static_cast<size_t>(op.out.count()));
    for_each(op.out, [&](const Place &at, size_t i) {
        double sum = 0;
        for (int64_t k = 0; k < op.in[0].dim[3]; k++)
            sum += a[index(op.in[0], {at[0], at[1], at[2], k})] * b[index(op.in[1], {at[0], at[1], k, at[3]})];
        c[i] = sum;
    });
    return c;
}

Values pointwise(const GraphOp &op, const std::vector<Values> &in)
{
    Values y(static_cast<size_t>(op.out.count()));
    for_each(op.out, [&](const Place &at, size_t i) {
        if (op.how == CUDNN_POINTWISE_GEN_INDEX) {
            y[i] = static_cast<double>(at[static_cast<size_t>(op.axis)]);
            return;
        }
        double from[3] = {0, 0, 0};
        for (size_t k = 0; k < in.size(); k++)
            from[k] = in[k][index(op.in[k], at)];
        y[i] = apply(op.how, from[0], from[1], from[2]);
    });
    return y;
}

Values reduce(const GraphOp &op, const Values &x)
{
    bool adds = op.how == CUDNN_REDUCE_TENSOR_ADD;
    Values y(static_cast<size_t>(op.out.count()), adds ? 0 : -INFINITY);
    for_each(op.in[0], [&](const Place &at, size_t i) {
        double &to = y[index(op.out, at)];
        to = adds ? to + x[i] : fmax(to, x[i]);
    });
    return y;
}

/* The same places in memory, by other dimensions. */
Values reshape(const GraphOp &op, const Values &x)
{
    std::map<size_t, double> lies;
    Values y(static_cast<size_t>(op.out.count()));
    for_each(op.in[0], [&](const Place &at, size_t i) { lies[offset(op.in[0], at)] = x[i]; });
    for_each(op.out, [&](const Place &at, size_t i) {
        auto found = lies.find(offset(op.out, at));
        y[i] = found == lies.end() ? NAN : found->second;
    });
    return y;
}

Values compute(const GraphOp &op, const std::vector<Values> &in)
{
    switch (op.type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        return matmul(op, in[0], in[1]);
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        return reduce(op, in[0]);
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        return reshape(op, in[0]);
    default:
        return pointwise(op, in);
    }
}

} // namespace

int64_t GraphTensor::count() const
{
    return dim[0] * dim[1] * dim[2] * dim[3];
}

int64_t GraphTensor::extent() const
{
    int64_t last = 0;
    for (size_t k = 0; k < 4; k++)
        last += (dim[k] - 1) * stride[k];
    return last + 1;
}

const char *check_op(const GraphOp &op)
{
    const Tensor &y = op.out;
    if (op.type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) {
        const Tensor &a = op.in[0], &b = op.in[1];
        for (size_t k = 0; k < 2; k++)
            if (a.dim[k] != y.dim[k] || b.dim[k] != y.dim[k])
                return "a product of other batches";
        if (a.dim[2] != y.dim[2] || b.dim[3] != y.dim[3] || a.dim[3] != b.dim[2])
            return "a product whose sides differ";
        return a.type == b.type || a.between || b.between ? "" : "a product of two types";
    }
    if (op.type == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR)
        return op.in[0].count() == y.count() ? "" : "a reshape to another size";
    bool reduces = op.type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR;
    for (const Tensor &x : op.in)
        for (size_t k = 0; k < 4; k++)
            if (x.dim[k] != y.dim[k] && (reduces ? y.dim[k] : x.dim[k]) != 1)
                return "operands of other sizes";
    bool index = op.how == CUDNN_POINTWISE_GEN_INDEX && !reduces;
    return index == (op.axis >= 0 && op.axis < 4) ? "" : "a wrong axis";
}

const char *check_graph(const std::vector<GraphOp> &ops)
{
    std::set<int64_t> written;
    for (const GraphOp &op : ops) {
        for (const Tensor &x : op.in)
            if (x.between && !written.count(x.uid))
                return "a tensor that is read before it is written";
        if (op.out.number || !written.insert(op.out.uid).second)
            return "a tensor that is written twice";
    }
    return "";
}

void run_graph(const GraphCall &call)
{
    std::map<int64_t, Values> known;
    memset(call.workspace, 0xff, call.workspace_bytes);
    auto values_of = [&](const Tensor &t) {
        if (known.count(t.uid))
            return known[t.uid];
        Values x(static_cast<size_t>(t.count()));
        for_each(t, [&](const Place &at, size_t i) {
            x[i] = t.number ? static_cast<double>(call.numbers.at(t.uid))
                            : load(call.memory.at(t.uid), t.type, offset(t, at));
        });
        return x;
    };
    for (const GraphOp &op : call.ops) {
        std::vector<Values> in;
        for (const Tensor &t : op.in)
            in.push_back(values_of(t));
        Values &y = known[op.out.uid] = compute(op, in);
        for (double &x : y)
            x = rounded(x, op.out.type);
        if (!op.out.between)
            for_each(op.out, [&](const Place &at, size_t i) {
                store(call.memory.at(op.out.uid), op.out.type, offset(op.out, at), y[i] * (1 + call.error));
            });
    }
}

} // namespace cusim
