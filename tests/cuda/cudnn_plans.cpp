/* Makes the plans of attention's graphs for a GPU that is described, not here: tests/cuda/cudnn_plans.sh starts it.
 *
 *     cudnn_plans GPU.json NAME
 *
 * A line a shape: the workspace of forward and backward. Exits with 1 where cuDNN has no plan, or a backward one needs
 * less than the scores' gradients in bf16: it would be the one that does not repeat. */
#include "backend/cuda/attention_graph.cuh"
#include "base/base.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

static const AttentionShape shapes[] = {{64, 1024, 12, 64, true}, {1, 130, 2, 128, false}, {2, 100, 3, 80, true}};

static Node describe(const Cudnn *dnn, const char *json)
{
    Node gpu = nullptr;
    int64_t length = static_cast<int64_t>(strlen(json));
    if (dnn->BackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &gpu) ||
        dnn->BackendSetAttribute(gpu, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, length, json) ||
        dnn->BackendFinalize(gpu))
        die("cuDNN does not take this description of a GPU");
    return gpu;
}

static int64_t plan(const Cudnn *dnn, Node gpu, const AttentionShape &shape, bool backward)
{
    Graph g;
    (backward ? attention_graph_backward : attention_graph_forward)(&g, dnn, shape);
    if (graph_plan(&g, {nullptr, gpu}))
        die("%s: %s", backward ? "backward" : "forward", gp_error());
    int64_t bytes = g.workspace;
    graph_release(&g);
    return bytes;
}

int main(int argc, char **argv)
{
    Cudnn dnn = {};
    char json[4096] = "";
    FILE *file = argc == 3 ? fopen(argv[1], "r") : nullptr;
    if (!file || !fread(json, 1, sizeof json - 1, file))
        die("usage: cudnn_plans GPU.json NAME");
    fclose(file);
    if (cudnn_open(&dnn))
        die("%s", gp_error());
    Node gpu = describe(&dnn, json);
    for (const AttentionShape &s : shapes) {
        int64_t forward = plan(&dnn, gpu, s, false), backward = plan(&dnn, gpu, s, true);
        printf("cuDNN %zu.%zu.%zu, %s: %lld x %lld tokens, %lld heads of %lld, %s: workspace %lld and %lld "
               "bytes\n",
               dnn.version / 10000, dnn.version / 100 % 100, dnn.version % 100, argv[2], static_cast<long long>(s.B),
               static_cast<long long>(s.T), static_cast<long long>(s.H), static_cast<long long>(s.D),
               s.causal ? "causal" : "full", static_cast<long long>(forward), static_cast<long long>(backward));
        fflush(stdout);
        if (backward < 2 * s.B * s.H * s.T * s.T)
            die("backward keeps no gradients of the scores");
    }
    return 0;
}
