/* cudnn_run.h: what cudnn.cpp, which is the interface of cudnn_graph.h, and cudnn_run.cpp, which does what a graph
 * says, share. */
#ifndef CUSIM_CUDNN_RUN_H
#define CUSIM_CUDNN_RUN_H

#include "cudnn_graph.h"

#include <array>
#include <map>
#include <memory>
#include <vector>

namespace cusim
{

struct GraphTensor {
    cudnnDataType_t type;
    std::array<int64_t, 4> dim, stride;
    int64_t uid, alignment;
    bool between, number;

    int64_t count() const;
    int64_t extent() const; /* numbers from the first to the last, by strides */
};

struct GraphOp {
    cudnnBackendDescriptorType_t type;
    int how;      /* a pointwise mode, or a reduction */
    int64_t axis; /* -1: none */
    std::vector<GraphTensor> in;
    GraphTensor out;
};

/* "", or what is wrong with it. */
const char *check_op(const GraphOp &op);
const char *check_graph(const std::vector<GraphOp> &ops);

/* A call with all that it reads of the host's memory. */
struct GraphCall {
    std::vector<GraphOp> ops;
    std::map<int64_t, void *> memory;
    std::map<int64_t, float> numbers;
    char *workspace;
    size_t workspace_bytes;
    double error; /* relative, of what it writes */
};
void run_graph(const GraphCall &call);

} // namespace cusim

#endif
