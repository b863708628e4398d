/* attention_cudnn.cu: see attention_cudnn.cuh. */
#include "backend/cuda/attention_cudnn.cuh"

#ifdef GPTPIPE_CUDNN

#include "backend/cuda/attention_graph.cuh"

#include <cmath>
#include <cstdio>
#include <cstdlib>

struct AttentionPlans {
    AttentionShape shape;
    Graph forward, backward; /* planned only for the requested directions */
};

/* CUDA graphs use the plans' kernels; so plans live until the backend is closed. */
constexpr int MAX_SHAPES = 64;

struct CudnnAttention {
    Cudnn dnn;
    cudnnHandle_t handle;
    AttentionPlans *plans[MAX_SHAPES];
    int count;
};

/* ---- plans ----------------------------------------------------------------------------------------------- */

static CudnnAttention *open_library(gp_backend *be)
{
    CudaState *s = state_of(be);
    if (s->cudnn)
        return s->cudnn;
    CudnnAttention *c = static_cast<CudnnAttention *>(gp_calloc(1, sizeof *c));
    if (cudnn_open(&c->dnn)) {
        free(c);
        return nullptr;
    }
    cudnnStatus_t status = c->dnn.Create(&c->handle);
    if (status == CUDNN_STATUS_SUCCESS)
        status = c->dnn.SetStream(c->handle, s->stream);
    if (status != CUDNN_STATUS_SUCCESS) {
        fail("backend cuda: cannot initialize cuDNN: %s", c->dnn.GetErrorString(status));
        if (c->handle)
            c->dnn.Destroy(c->handle);
        cudnn_close(&c->dnn);
        free(c);
        return nullptr;
    }
    snprintf(be->attention_library, sizeof be->attention_library, "cuDNN %zu.%zu.%zu", c->dnn.version / 10000,
             c->dnn.version / 100 % 100, c->dnn.version % 100);
    s->cudnn = c;
    return c;
}

void attention_cudnn_close(gp_backend *be)
{
    CudnnAttention *c = state_of(be)->cudnn;
    if (!c)
        return;
    for (int i = 0; i < c->count; i++) {
        graph_release(&c->plans[i]->forward);
        graph_release(&c->plans[i]->backward);
        free(c->plans[i]);
    }
    c->dnn.Destroy(c->handle);
    cudnn_close(&c->dnn);
    free(c);
    state_of(be)->cudnn = nullptr;
}

static bool same(const AttentionShape &a, const AttentionShape &b)
{
    return a.B == b.B && a.T == b.T && a.H == b.H && a.D == b.D && a.causal == b.causal;
}

static AttentionPlans *find(const CudnnAttention *c, const AttentionShape &shape)
{
    for (int i = 0; i < c->count; i++)
        if (same(c->plans[i]->shape, shape))
            return c->plans[i];
    return nullptr;
}

static AttentionPlans *add(CudnnAttention *c, const AttentionShape &shape)
{
    if (c->count == MAX_SHAPES)
        return fail("backend cuda: too many shapes for cuDNN's attention (max %d)", MAX_SHAPES), nullptr;
    AttentionPlans *p = static_cast<AttentionPlans *>(gp_calloc(1, sizeof *p));
    p->shape = shape;
    return c->plans[c->count++] = p;
}

static int plan(gp_backend *be, Graph *g, void (*describe)(Graph *, const Cudnn *, const AttentionShape &),
                const AttentionShape &shape)
{
    CudnnAttention *c = state_of(be)->cudnn;
    if (g->plan)
        return 0;
    describe(g, &c->dnn, shape);
    if (!graph_plan(g, {c->handle, nullptr}))
        return 0;
    graph_release(g);
    return -1;
}

static AttentionShape shape_key(const gp_shape *s)
{
    return {s->B, s->T, s->H, s->C / s->H, s->causal};
}

/* Rejects what cuDNN would compute differently, or more slowly than the own kernels. */
static int check_supported(const gp_backend *be, const gp_shape *s)
{
    int D = s->C / s->H;
    if (be->act_dtype != GP_BF16)
        return fail("cuDNN's attention needs bf16; use --dtype bf16 or --attention own");
    if (s->drops)
        return fail("cuDNN's attention cannot generate this dropout mask; use --dropout 0 or --attention own");
    if (D % 8 || D > ATTENTION_FLASH_D)
        return fail(
            "cuDNN's attention needs a head size that is a multiple of 8, max %d (found %d); use --attention own",
            ATTENTION_FLASH_D, D);
    return 0;
}

int attention_cudnn_use(gp_backend *be, gp_attention_by by, const gp_shape *shape)
{
    be->attention = GP_ATTENTION_OWN;
    if (by == GP_ATTENTION_OWN)
        return 0;
    CudnnAttention *c = check_supported(be, shape) ? nullptr : open_library(be);
    if (!c)
        return -1;
    AttentionShape key = shape_key(shape);
    AttentionPlans *p = find(c, key);
    if (!p && !(p = add(c, key)))
        return -1;
    if ((by & GP_ATTENTION_CUDNN_FORWARD) && plan(be, &p->forward, attention_graph_forward, key))
        return -1;
    if ((by & GP_ATTENTION_CUDNN_BACKWARD) && shape->train && plan(be, &p->backward, attention_graph_backward, key))
        return -1;
    be->attention = by;
    return 0;
}

/* ---- the ops --------------------------------------------------------------------------------------------- */

constexpr size_t at_256(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* One float per row, before cuDNN's own workspace: an lse that the op does not request, or delta. */
static size_t row_bytes(int64_t B, int64_t T, int64_t H)
{
    return at_256(static_cast<size_t>(B * T * H) * sizeof(float));
}

static const Graph *graph_for(const gp_backend *be, const Attention<bf16> &a, gp_attention_by direction)
{
    const CudnnAttention *c = state_of(be)->cudnn;
    if (!(be->attention & direction) || !c || a.lengths || a.mask.step || !a.aligned)
        return nullptr;
    const AttentionPlans *p = find(c, {a.B, a.T, a.H, a.D, a.causal});
    const Graph *g = !p ? nullptr : direction == GP_ATTENTION_CUDNN_FORWARD ? &p->forward : &p->backward;
    return g && g->plan ? g : nullptr;
}

static char *workspace_of(const gp_backend *be, const Graph *g, const Attention<bf16> &a)
{
    return static_cast<char *>(cuda_workspace(be, row_bytes(a.B, a.T, a.H) + static_cast<size_t>(g->workspace)));
}

static const float minus_infinity = -INFINITY, one = 1;

bool attention_forward_cudnn(gp_backend *be, const Attention<bf16> &a)
{
    const Graph *g = graph_for(be, a, GP_ATTENTION_CUDNN_FORWARD);
    if (!g)
        return false;
    const bf16 *keys = a.qkv + a.out_stride(), *values = keys + a.out_stride();
    char *workspace = workspace_of(be, g, a);
    const Binding bindings[] = {{Q, a.qkv},
                                {K, keys},
                                {V, values},
                                {OUT, a.out},
                                {LSE, a.lse ? static_cast<void *>(a.lse) : workspace},
                                {SCALE, &a.scale},
                                {MINUS_INFINITY, &minus_infinity}};
    int count = static_cast<int>(ARRAY_LEN(bindings)) - !a.causal;
    graph_run(g, state_of(be)->cudnn->handle, bindings, count, workspace + row_bytes(a.B, a.T, a.H));
    cuda_launched(be, "cuDNN's attention");
    return true;
}

bool attention_backward_cudnn(gp_backend *be, const Attention<bf16> &a)
{
    const Graph *g = graph_for(be, a, GP_ATTENTION_CUDNN_BACKWARD);
    if (!g)
        return false;
    int64_t C = a.out_stride();
    char *workspace = workspace_of(be, g, a);
    const Binding bindings[] = {{Q, a.qkv},
                                {K, a.qkv + C},
                                {V, a.qkv + 2 * C},
                                {OUT, a.out},
                                {LSE, a.lse},
                                {DOUT, a.dout},
                                {DQ, a.dqkv},
                                {DK, a.dqkv + C},
                                {DV, a.dqkv + 2 * C},
                                {DELTA, workspace},
                                {SCALE, &a.scale},
                                {ONE, &one},
                                {MINUS_INFINITY, &minus_infinity}};
    int count = static_cast<int>(ARRAY_LEN(bindings)) - !a.causal;
    graph_run(g, state_of(be)->cudnn->handle, bindings, count, workspace + row_bytes(a.B, a.T, a.H));
    cuda_launched(be, "cuDNN's attention backward");
    return true;
}

size_t attention_cudnn_workspace(const gp_backend *be, const gp_shape *shape)
{
    const CudnnAttention *c = state_of(be)->cudnn;
    if (!c || be->attention == GP_ATTENTION_OWN)
        return 0;
    size_t max_bytes = 0;
    AttentionShape key = shape_key(shape);
    for (int i = 0; i < c->count; i++) {
        const AttentionPlans *p = c->plans[i];
        AttentionShape known = p->shape;
        known.B = key.B;
        if (!same(known, key))
            continue;
        int64_t bytes = p->forward.workspace;
        if (shape->train && (be->attention & GP_ATTENTION_CUDNN_BACKWARD))
            bytes = gp_max(bytes, p->backward.workspace);
        bytes = (bytes * key.B + p->shape.B - 1) / p->shape.B;
        max_bytes = static_cast<size_t>(gp_max(static_cast<int64_t>(max_bytes), bytes));
        if (p->shape.B == key.B)
            return row_bytes(key.B, key.T, key.H) + static_cast<size_t>(bytes);
    }
    return max_bytes ? row_bytes(key.B, key.T, key.H) + max_bytes : 0;
}

#else /* built without cuDNN's header */

int attention_cudnn_use(gp_backend *be, gp_attention_by by, const gp_shape *)
{
    be->attention = GP_ATTENTION_OWN;
    return by == GP_ATTENTION_OWN
               ? 0
               : fail("backend cuda: built without cuDNN; build with WITH_CUDNN or use --attention own");
}

void attention_cudnn_close(gp_backend *)
{
}

bool attention_forward_cudnn(gp_backend *, const Attention<bf16> &)
{
    return false;
}

bool attention_backward_cudnn(gp_backend *, const Attention<bf16> &)
{
    return false;
}

size_t attention_cudnn_workspace(const gp_backend *, const gp_shape *)
{
    return 0;
}

#endif
