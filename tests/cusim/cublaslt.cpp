/* cublaslt.cpp: see cublasLt.h. */
#include "cublasLt.h"

#include "bfloat16.h"
#include "gpu.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

struct cublasLtContext {
    int nothing;
};

struct cusim_matmul_desc {
    cublasComputeType_t compute;
    cublasOperation_t transposed[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    void *bias = nullptr, *aux = nullptr;
    int64_t aux_ld = 0;
    int32_t bias_type = -1; /* D's */
};

struct cusim_matrix_layout {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t ld;
};

struct cusim_matmul_preference {
    uint64_t workspace = 0;
    uint32_t reductions = 7;
    uint32_t alignment[4] = {256, 256, 256, 256}; /* A, B, C, D */
};

namespace
{

using Desc = cusim_matmul_desc;
using Layout = cusim_matrix_layout;

constexpr size_t needed_workspace = 4096;
constexpr int UNORDERED = cusim::ALGORITHMS; /* whose parts are added as they come */

/* What is in a cublasLtMatmulAlgo_t. */
enum Word { PROBLEM, ALIGNMENT, ALGORITHM, VERSION };

/* CUSIM_GPU can name an algorithm that is fast. */
double microseconds_of(int algorithm, bool)
{
    return algorithm == cusim::gpu().algorithm ? 5 : 10;
}
double (*microseconds)(int, bool) = microseconds_of;
cusim::Products count;
int until_no_algorithm, until_no_product;

/* Whether this is the call that is refused. */
bool refuses(int *until)
{
    return *until > 0 && --*until == 0;
}

size_t size_of(cudaDataType_t type)
{
    return type == CUDA_R_16BF ? 2 : 4;
}

size_t bytes_of(const Layout &l)
{
    return ((l.columns - 1) * static_cast<size_t>(l.ld) + l.rows) * size_of(l.type);
}

float load(const void *p, cudaDataType_t type, size_t i)
{
    return type == CUDA_R_16BF ? __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i])
                               : static_cast<const float *>(p)[i];
}

void store(void *p, cudaDataType_t type, size_t i, double value)
{
    if (type == CUDA_R_16BF)
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(static_cast<float>(value));
    else
        static_cast<float *>(p)[i] = static_cast<float>(value);
}

/* Ten bits of mantissa, to nearest. */
float tf32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (std::isfinite(x))
        bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

double gelu(double x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

double gelu_slope(double x)
{
    double t = tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.79788456080286535588 * (1 + 3 * 0.044715 * x * x);
}

template <class T> cublasStatus_t set(T *to, const void *value, size_t size)
{
    if (!value || size != sizeof *to)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

/* Everything that an algorithm was found for, in a word (FNV-1a). */
uint64_t fingerprint(const Desc &d, const Layout *const (&layouts)[4])
{
    uint64_t hash = 14695981039346656037u;
    auto add = [&](uint64_t x) { hash = (hash ^ x) * 1099511628211u; };
    add(d.compute), add(d.transposed[0]), add(d.transposed[1]), add(d.epilogue);
    add(static_cast<uint64_t>(d.aux_ld));
    for (const Layout *l : layouts)
        add(l->type), add(l->rows), add(l->columns), add(static_cast<uint64_t>(l->ld));
    return hash;
}

/* One product, its matrices copied so that a captured graph has them. */
struct Call {
    Desc desc;
    float alpha, beta;
    const void *a, *b, *c;
    void *d, *workspace;
    size_t workspace_bytes;
    Layout la, lb, lc, ld;
    uint64_t m, n, k;
    int algorithm;

    /* The sum over k, in parts that are rounded; the first algorithm rounds at the end alone. */
    double sum_of(const float *x, const float *y) const
    {
        static uint64_t runs;
        uint64_t parts = static_cast<uint64_t>(algorithm) + 1, first = algorithm == UNORDERED ? runs++ : 0;
        double sum = 0;
        for (uint64_t part = 0; part < parts; part++) {
            double some = 0;
            for (uint64_t p = (part + first) % parts; p < k; p += parts)
                some += static_cast<double>(x[p]) * static_cast<double>(y[p]);
            sum = parts == 1 ? some : static_cast<double>(static_cast<float>(sum) + static_cast<float>(some));
        }
        return sum;
    }

    /* op(x)(r,c), as the product's arithmetic reads it */
    std::vector<float> operand(const void *x, const Layout &l, cublasOperation_t op, bool k_is_rows) const
    {
        uint64_t outer = k_is_rows ? n : m;
        std::vector<float> packed(outer * k);
        for (uint64_t i = 0; i < outer; i++)
            for (uint64_t j = 0; j < k; j++) {
                uint64_t row = (op == CUBLAS_OP_N) == k_is_rows ? j : i,
                         column = (op == CUBLAS_OP_N) == k_is_rows ? i : j;
                float v = load(x, l.type, column * static_cast<uint64_t>(l.ld) + row);
                packed[i * k + j] = desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? tf32(v) : v;
            }
        return packed;
    }

    double finish(double v, uint64_t i, uint64_t j) const
    {
        uint32_t e = desc.epilogue;
        uint64_t at = j * static_cast<uint64_t>(desc.aux_ld) + i;
        if (e == CUBLASLT_EPILOGUE_DGELU)
            return v * gelu_slope(static_cast<double>(load(desc.aux, ld.type, at)));
        if (e & CUBLASLT_EPILOGUE_BIAS)
            v += static_cast<double>(load(desc.bias, ld.type, i));
        if (!(e & CUBLASLT_EPILOGUE_GELU))
            return v;
        if ((e & CUBLASLT_EPILOGUE_GELU_AUX) == CUBLASLT_EPILOGUE_GELU_AUX)
            store(desc.aux, ld.type, at, v);
        return gelu(v);
    }

    void run() const
    {
        memset(workspace, 0xff, workspace_bytes);
        std::vector<float> x = operand(a, la, desc.transposed[0], false), y = operand(b, lb, desc.transposed[1], true);
        for (uint64_t j = 0; j < n; j++)
            for (uint64_t i = 0; i < m; i++) {
                double v = static_cast<double>(alpha) * sum_of(&x[i * k], &y[j * k]);
                if (beta != 0)
                    v += static_cast<double>(beta) *
                         static_cast<double>(load(c, lc.type, j * static_cast<uint64_t>(lc.ld) + i));
                store(d, ld.type, j * static_cast<uint64_t>(ld.ld) + i, finish(v, i, j));
            }
        if (desc.epilogue == CUBLASLT_EPILOGUE_BGRADA)
            store_sums(x, m);
        if (desc.epilogue == CUBLASLT_EPILOGUE_BGRADB)
            store_sums(y, n);
    }

    void store_sums(const std::vector<float> &x, uint64_t outer) const
    {
        for (uint64_t i = 0; i < outer; i++) {
            double sum = 0;
            for (uint64_t p = 0; p < k; p++)
                sum += static_cast<double>(x[i * k + p]);
            store(desc.bias, ld.type, i, sum);
        }
    }
};

/* Whether the layouts make a product; then its sizes. */
bool fits(const Desc &desc, const Layout &a, const Layout &b, const Layout &c, const Layout &d, Call *call)
{
    bool ta = desc.transposed[0] == CUBLAS_OP_T, tb = desc.transposed[1] == CUBLAS_OP_T;
    call->m = ta ? a.columns : a.rows;
    call->k = ta ? a.rows : a.columns;
    call->n = tb ? b.rows : b.columns;
    return (tb ? b.columns : b.rows) == call->k && d.rows == call->m && d.columns == call->n && c.rows == d.rows &&
           c.columns == d.columns && c.type == d.type && a.type == b.type;
}

/* Elements of the bias or of its gradient. */
uint64_t bias_length(const Call &call)
{
    return call.desc.epilogue == CUBLASLT_EPILOGUE_BGRADB ? call.n : call.m;
}

bool has_bias(uint32_t epilogue)
{
    return epilogue & (CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB);
}

bool has_aux(uint32_t epilogue)
{
    return epilogue & 128;
}

/* All memory that a product reads and writes is the device's, as far as it goes. */
bool on_device(const Call &p)
{
    if (!cusim::on_device(p.a, bytes_of(p.la)) || !cusim::on_device(p.b, bytes_of(p.lb)) ||
        !cusim::on_device(p.d, bytes_of(p.ld)) || !cusim::on_device(p.workspace, p.workspace_bytes))
        return false;
    if (p.beta != 0 && !cusim::on_device(p.c, bytes_of(p.lc)))
        return false;
    size_t size = size_of(p.ld.type), aux = (p.n - 1) * static_cast<size_t>(p.desc.aux_ld) + p.m;
    return (!has_bias(p.desc.epilogue) || cusim::on_device(p.desc.bias, bias_length(p) * size)) &&
           (!has_aux(p.desc.epilogue) || cusim::on_device(p.desc.aux, aux * size));
}

void offer(cublasLtMatmulHeuristicResult_t *result, uint64_t problem, uint32_t alignment, int algorithm)
{
    *result = {};
    result->algo.data[PROBLEM] = problem;
    result->algo.data[ALIGNMENT] = alignment;
    result->algo.data[ALGORITHM] = static_cast<uint64_t>(algorithm);
    result->algo.data[VERSION] = cublasLtGetVersion();
    result->workspaceSize = needed_workspace;
    result->state = CUBLAS_STATUS_SUCCESS;
}

bool valid(const cublasLtMatmulAlgo_t &algo)
{
    return algo.data[ALGORITHM] <= static_cast<uint64_t>(UNORDERED) && algo.data[VERSION] == cublasLtGetVersion();
}

} // namespace

size_t cublasLtGetVersion(void)
{
    return static_cast<size_t>(cusim::gpu().cublaslt);
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = new cublasLtContext();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "not initialized";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "not supported";
    default:
        return "an invalid value";
    }
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType_t scale)
{
    if (scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *desc = new Desc();
    (*desc)->compute = compute;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t size)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&desc->transposed[0], value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&desc->transposed[1], value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&desc->epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&desc->bias, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        return set(&desc->aux, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        return set(&desc->aux_ld, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return set(&desc->bias_type, value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld)
{
    if (!rows || !columns || ld < static_cast<int64_t>(rows))
        return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new Layout{type, rows, columns, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = new cusim_matmul_preference();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t size)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(&preference->workspace, value, size);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return set(&preference->reductions, value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *returned)
{
    const Layout *const layouts[4] = {a, b, c, d};
    Call call = {};
    *returned = 0;
    count.looked_for++;
    if (refuses(&until_no_algorithm))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!handle || requested < 1 || !fits(*desc, *a, *b, *c, *d, &call))
        return CUBLAS_STATUS_INVALID_VALUE;
    uint32_t least = 256;
    for (int i = 0; i < 4; i++) {
        least = preference->alignment[i] < least ? preference->alignment[i] : least;
        if (layouts[i]->type == CUDA_R_16BF && layouts[i]->ld % 8)
            return CUBLAS_STATUS_NOT_SUPPORTED;
        if (layouts[i]->type == CUDA_R_16BF && preference->alignment[i] < 16)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    bool plain = desc->compute == CUBLAS_COMPUTE_32F;
    if ((a->type == CUDA_R_16BF && !plain) || (a->type == CUDA_R_32F && d->type == CUDA_R_16BF) ||
        (has_aux(desc->epilogue) && (desc->aux_ld % 8 || desc->aux_ld < static_cast<int64_t>(d->rows))) ||
        (has_bias(desc->epilogue) && desc->bias_type != static_cast<int32_t>(d->type)) ||
        reinterpret_cast<uintptr_t>(desc->bias) % 16 || reinterpret_cast<uintptr_t>(desc->aux) % 16 ||
        preference->workspace < needed_workspace)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (preference->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE)
        offer(&results[(*returned)++], fingerprint(*desc, layouts), least, UNORDERED);
    for (int i = 0; i < cusim::ALGORITHMS && *returned < requested; i++)
        offer(&results[(*returned)++], fingerprint(*desc, layouts), least, i);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result)
{
    const Layout *const layouts[4] = {a, b, c, d};
    if (!handle || !valid(*algo) || algo->data[PROBLEM] != fingerprint(*desc, layouts))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    offer(result, algo->data[PROBLEM], static_cast<uint32_t>(algo->data[ALIGNMENT]),
          static_cast<int>(algo->data[ALGORITHM]));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void *value,
                                                    size_t size, size_t *written)
{
    int algorithm = static_cast<int>(algo->data[ALGORITHM]);
    uint32_t is = attribute == CUBLASLT_ALGO_CONFIG_ID                 ? static_cast<uint32_t>(algorithm)
                  : attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM       ? static_cast<uint32_t>(algorithm) + 1
                  : attribute != CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME ? 0
                  : algorithm == UNORDERED                             ? CUBLASLT_REDUCTION_SCHEME_INPLACE
                  : algorithm                                          ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                                                                       : CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t bytes = attribute == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID ? 2 : 4;
    if (size != bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &is, bytes);
    *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    const Layout *const layouts[4] = {a_layout, b_layout, c_layout, d_layout};
    Call p = {*desc,
              *static_cast<const float *>(alpha),
              *static_cast<const float *>(beta),
              a,
              b,
              c,
              d,
              workspace,
              workspace_bytes,
              *a_layout,
              *b_layout,
              *c_layout,
              *d_layout,
              0,
              0,
              0,
              0};
    if (!handle || !algo || !valid(*algo) || !fits(*desc, *a_layout, *b_layout, *c_layout, *d_layout, &p) ||
        algo->data[PROBLEM] != fingerprint(*desc, layouts) || workspace_bytes < needed_workspace || !on_device(p))
        return CUBLAS_STATUS_INVALID_VALUE;
    for (const void *x : {a, b, c, static_cast<const void *>(d)})
        if (reinterpret_cast<uintptr_t>(x) % algo->data[ALIGNMENT])
            return CUBLAS_STATUS_INVALID_VALUE;
    if (refuses(&until_no_product) || desc->epilogue == static_cast<uint32_t>(cusim::gpu().refused))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    bool fused = desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT;
    p.algorithm = static_cast<int>(algo->data[ALGORITHM]);
    count.run++;
    count.fused += fused;
    cusim::submit_call([p] { p.run(); }, stream, microseconds(p.algorithm, fused));
    return CUBLAS_STATUS_SUCCESS;
}

cusim::Products cusim::products()
{
    return count;
}

void cusim::time_products(double (*of)(int algorithm, bool fused))
{
    microseconds = of ? of : microseconds_of;
}

void cusim::refuse_algorithm(int n)
{
    until_no_algorithm = n;
}

void cusim::refuse_product(int n)
{
    until_no_product = n;
}
