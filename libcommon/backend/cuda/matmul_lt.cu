/* matmul_lt.cu: matrix products by cuBLASLt.
 *
 * Its matrices are column-major, so it computes D^T = B^T A^T: a row-major matrix is its own transpose in column-major
 * order, so its first operand is our B, its second our A. For a linear with W (I,O) and N rows it then sees, m x n x k:
 *
 *     y  = x W          O x N x I    op(W) = W,   op(x) = x          NN     the head, W (V,C):   TN
 *     dx = dy W^T       I x N x O    op(W) = W^T, op(dy) = dy        TN                          NN
 *     dW = x^T dy       O x I x N    op(dy) = dy, op(x) = x^T        NT                          NT
 *
 * bf16 tensor cores support all three, on Hopper and before (operands are transposed while they are loaded); they need
 * leading dimensions and addresses that are multiples of 16 bytes, which is why the head pads its rows of logits. */
#include "backend/cuda/product.cuh"

#include <cstring>

/* Cache key: a problem as the library sees it, and the requested algorithm: all zeros for the heuristic's first. */
struct Key {
    Problem problem;
    cublasLtMatmulAlgo_t requested;
};

/* A cache entry: the descriptors, and the algorithm, if there is one. */
struct Plan {
    Key key;
    bool known, works, ran; /* ran: it has run, so that a later failure is an error, not a refusal */
    bool failed;            /* it was refused in a capture, and what is used in its place is not recorded yet */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, d; /* the library's A and B: our B and A */
    cublasLtMatmulAlgo_t algo;
};

/* A training run has about thirty problems; prompts of all lengths add more. A full table is cleared. */
constexpr int PLANS = 1024, MAX_PLANS = PLANS * 3 / 4;

static void check(const Matmuls *m, cublasStatus_t status, const char *what)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        die("the GPU failed in %s: %s; saved files are kept", what, m->lt.GetStatusString(status));
}
#define CHECK(m, name, ...) check(m, (m)->lt.name(__VA_ARGS__), "cublasLt" #name)

static bool is_aligned_16(const void *p)
{
    return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

static uint32_t epilogue_of(const Product *p)
{
    if (p->a_sums || p->b_sums) /* named after the library's operands */
        return p->b_sums ? CUBLASLT_EPILOGUE_BGRADA : CUBLASLT_EPILOGUE_BGRADB;
    switch (p->epilogue) {
    case Epilogue::bias:
        return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::gelu:
        if (p->pre)
            return p->bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
        return p->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    case Epilogue::gelu_slope:
        return CUBLASLT_EPILOGUE_DGELU;
    default:
        return CUBLASLT_EPILOGUE_DEFAULT;
    }
}

Problem matmul_problem(const Product *p)
{
    uint64_t flags = 0;
    for (bool bit : {p->a_transposed, p->b_transposed, p->in == GP_BF16, p->out == GP_BF16, p->add, is_aligned_16(p->a),
                     is_aligned_16(p->b), is_aligned_16(p->d)})
        flags = flags << 1 | bit;
    return {p->M, p->N, p->K, product_lda(p), product_ldd(p), flags << 32 | epilogue_of(p)};
}

/* Hash lookup with linear probing: its entry, or the free one where it belongs. */
static Plan *find(Matmuls *m, const Key &key)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a, by words */
    uint64_t words[sizeof key / sizeof(uint64_t)];
    memcpy(words, &key, sizeof words);
    for (uint64_t word : words)
        hash = (hash ^ word) * 1099511628211u;
    for (uint64_t i = hash >> 20;; i++) {
        Plan *plan = &m->plans[i % PLANS];
        if (!plan->known || !memcmp(&plan->key, &key, sizeof key))
            return plan;
    }
}

static void release(const Matmuls *m, Plan *plan)
{
    if (plan->desc)
        CHECK(m, MatmulDescDestroy, plan->desc);
    for (cublasLtMatrixLayout_t layout : {plan->a, plan->b, plan->d})
        if (layout)
            CHECK(m, MatrixLayoutDestroy, layout);
    memset(plan, 0, sizeof *plan);
}

void matmul_lt_forget(gp_backend *be)
{
    Matmuls *m = matmuls_of(be);
    for (int i = 0; i < PLANS && m->plans; i++)
        release(m, &m->plans[i]);
    free(m->plans);
    m->plans = nullptr;
    m->count = 0;
}

/* ---- describing a problem -------------------------------------------------------------------------------- */

template <class T>
static void describe(const Matmuls *m, const Plan *plan, cublasLtMatmulDescAttributes_t attribute, T value)
{
    CHECK(m, MatmulDescSetAttribute, plan->desc, attribute, &value, sizeof value);
}

template <class T>
static void prefer(const Matmuls *m, cublasLtMatmulPreference_t preference,
                   cublasLtMatmulPreferenceAttributes_t attribute, T value)
{
    CHECK(m, MatmulPreferenceSetAttribute, preference, attribute, &value, sizeof value);
}

static cudaDataType_t type_of(gp_dtype dtype)
{
    return dtype == GP_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Row-major (rows,columns) is column-major (columns,rows). */
static void layout(const Matmuls *m, cublasLtMatrixLayout_t *made, gp_dtype dtype, int64_t rows, int64_t columns,
                   int64_t ld)
{
    CHECK(m, MatrixLayoutCreate, made, type_of(dtype), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), ld);
}

/* Sets the addresses that change from call to call. The library only looks at their alignment until a product runs. */
static void set_pointers(const Matmuls *m, const Plan *plan, const Product *p, const float *sums)
{
    const void *bias = p->a_sums || p->b_sums ? sums : p->bias;
    if (bias)
        describe(m, plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    if (p->pre)
        describe(m, plan, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<const void *>(p->pre));
}

static void describe_problem(gp_backend *be, Plan *plan, const Product *p)
{
    const Matmuls *m = matmuls_of(be);
    cublasComputeType_t compute = be->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    CHECK(m, MatmulDescCreate, &plan->desc, compute, CUDA_R_32F);
    describe(m, plan, CUBLASLT_MATMUL_DESC_TRANSA, p->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(m, plan, CUBLASLT_MATMUL_DESC_TRANSB, p->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(m, plan, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(p));
    if (p->pre)
        describe(m, plan, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p->N);
    if (p->bias || p->a_sums || p->b_sums) /* versions have different defaults */
        describe(m, plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                 static_cast<int32_t>(p->bias ? type_of(p->in) : CUDA_R_32F));
    layout(m, &plan->a, p->in, p->b_transposed ? p->N : p->K, p->b_transposed ? p->K : p->N, product_ldb(p));
    layout(m, &plan->b, p->in, p->a_transposed ? p->K : p->M, p->a_transposed ? p->M : p->K, product_lda(p));
    layout(m, &plan->d, p->out, p->M, p->N, product_ldd(p));
}

/* The constraints of the heuristic. Of the split-K reduction schemes it allows those that store the partial sums in the
 * workspace and add them in a separate step: in fp32, in an order that does not depend on which block finishes
 * first. */
static cublasLtMatmulPreference_t preference_of(gp_backend *be, const Product *p)
{
    const Matmuls *m = matmuls_of(be);
    cublasLtMatmulPreference_t preference;
    uint32_t in = p->in == GP_BF16 ? 2 : 4, out = p->out == GP_BF16 ? 2 : 4;
    CHECK(m, MatmulPreferenceCreate, &preference);
    prefer(m, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(matmul_lt_workspace(be)));
    prefer(m, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    prefer(m, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, is_aligned_16(p->b) ? 16 : in);
    prefer(m, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, is_aligned_16(p->a) ? 16 : in);
    prefer(m, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, is_aligned_16(p->d) ? 16 : out);
    prefer(m, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, is_aligned_16(p->d) ? 16 : out);
    return preference;
}

/* The first algorithms of the heuristic, max max_count. */
static int query_heuristic(gp_backend *be, const Plan *plan, const Product *p, int max_count,
                           cublasLtMatmulHeuristicResult_t *results)
{
    const Matmuls *m = matmuls_of(be);
    cublasLtMatmulPreference_t preference = preference_of(be, p);
    int found = 0;
    cublasStatus_t status = m->lt.MatmulAlgoGetHeuristic(m->handle, plan->desc, plan->a, plan->b, plan->d, plan->d,
                                                         preference, max_count, results, &found);
    CHECK(m, MatmulPreferenceDestroy, preference);
    return status == CUBLAS_STATUS_SUCCESS ? found : 0;
}

/* Whether its sums are always added in the same order: no split-K, or partial sums that are added in order. */
static bool is_deterministic(const Matmuls *m, const cublasLtMatmulAlgo_t *algorithm)
{
    uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t written;
    if (m->lt.MatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme, sizeof scheme,
                                           &written) != CUBLAS_STATUS_SUCCESS)
        return false;
    return scheme == CUBLASLT_REDUCTION_SCHEME_NONE || scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
}

/* Whether the algorithm is supported here: one of another version, or of another GPU, may not be. */
static bool is_supported(gp_backend *be, const Plan *plan, const cublasLtMatmulAlgo_t *algorithm)
{
    const Matmuls *m = matmuls_of(be);
    cublasLtMatmulHeuristicResult_t result;
    return m->lt.MatmulAlgoCheck(m->handle, plan->desc, plan->a, plan->b, plan->d, plan->d, algorithm, &result) ==
               CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= matmul_lt_workspace(be) && is_deterministic(m, algorithm);
}

static void find_algorithm(gp_backend *be, Plan *plan, const Product *p, const cublasLtMatmulAlgo_t *requested)
{
    cublasLtMatmulHeuristicResult_t first = {};
    if (requested) {
        plan->works = is_supported(be, plan, requested);
        plan->algo = *requested;
    } else {
        plan->works = query_heuristic(be, plan, p, 1, &first) == 1 && first.state == CUBLAS_STATUS_SUCCESS;
        plan->algo = first.algo;
    }
}

static Plan *plan_of(gp_backend *be, const Product *p, const float *sums, const cublasLtMatmulAlgo_t *requested)
{
    Matmuls *m = matmuls_of(be);
    if (m->count == MAX_PLANS)
        matmul_lt_forget(be);
    if (!m->plans)
        m->plans = static_cast<Plan *>(gp_calloc(PLANS, sizeof *m->plans));
    Key key = {matmul_problem(p), {}};
    if (requested)
        key.requested = *requested;
    Plan *plan = find(m, key);
    if (plan->known)
        return plan;
    describe_problem(be, plan, p);
    set_pointers(m, plan, p, sums);
    find_algorithm(be, plan, p, requested);
    plan->key = key;
    plan->known = true;
    m->count++;
    return plan;
}

/* The first run may refuse what the heuristic returned, and a capture what ran before: then the plan does not work.
 * During a stream capture there is no fallback: the capture is abandoned, and the pass is issued again without. */
static bool run(gp_backend *be, Plan *plan, const Product *p)
{
    Matmuls *m = matmuls_of(be);
    CudaState *s = state_of(be);
    const float alpha = 1, beta = p->add ? 1 : 0;
    size_t bytes = matmul_lt_workspace(be);
    cublasStatus_t status =
        m->lt.Matmul(m->handle, plan->desc, &alpha, p->b, plan->a, p->a, plan->b, &beta, p->d, plan->d, p->d, plan->d,
                     &plan->algo, cuda_workspace(be, bytes), bytes, s->stream);
    if (status == CUBLAS_STATUS_SUCCESS) {
        plan->ran = true;
        return true;
    }
    if (plan->ran && !s->capturing)
        check(m, status, "cublasLtMatmul");
    (void)cudaGetLastError(); /* clears the error, which is not one of the following call */
    plan->works = false;
    if (s->capturing)
        s->refused = plan->failed = true;
    else
        m->refused = true;
    return s->capturing;
}

/* What the library requires of addresses and rows: 16-byte alignment, whole packs, and a bias of D's type. */
static bool describable(const Product *p)
{
    return is_aligned_16(p->bias) && is_aligned_16(p->pre) && (!p->pre || p->N % 8 == 0) &&
           (!p->bias || p->in == p->out);
}

bool matmul_lt(gp_backend *be, const Product *p, float *sums, const cublasLtMatmulAlgo_t *algorithm)
{
    if (!describable(p))
        return false;
    if (state_of(be)->capturing && state_of(be)->refused)
        return true; /* what follows in an abandoned capture is not looked at */
    Plan *plan = plan_of(be, p, sums, algorithm);
    if (plan->failed)
        matmuls_of(be)->refused = true, plan->failed = false;
    if (!plan->works)
        return false;
    set_pointers(matmuls_of(be), plan, p, sums);
    return run(be, plan, p);
}

bool matmul_lt_has(gp_backend *be, const Product *p, const cublasLtMatmulAlgo_t *algorithm)
{
    const float *sums = p->a_sums || p->b_sums ? matmul_sums(be) : nullptr;
    return describable(p) && plan_of(be, p, sums, algorithm)->works;
}

int matmul_lt_algorithms(gp_backend *be, const Product *p, int max_count, cublasLtMatmulAlgo_t *algorithms)
{
    constexpr int MAX = 16;
    const Matmuls *m = matmuls_of(be);
    cublasLtMatmulHeuristicResult_t results[MAX];
    Plan requested = {};
    int count = 0;
    if (!describable(p))
        return 0;
    describe_problem(be, &requested, p);
    set_pointers(m, &requested, p, p->a_sums || p->b_sums ? matmul_sums(be) : nullptr);
    int found = query_heuristic(be, &requested, p, max_count < MAX ? max_count : MAX, results);
    for (int i = 0; i < found; i++)
        if (results[i].state == CUBLAS_STATUS_SUCCESS && is_deterministic(m, &results[i].algo))
            algorithms[count++] = results[i].algo;
    release(m, &requested);
    return count;
}
