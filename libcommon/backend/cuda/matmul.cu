/* matmul.cu: dispatch of a product: to cuBLASLt with a fused epilogue; or, where it has no algorithm for that or
 * another way is faster, to cuBLASLt and a second kernel for the epilogue; or to the plain kernel. */
#include "backend/cuda/activation.cuh"
#include "backend/cuda/product.cuh"

#include <cstdio>

/* cuBLASLt's recommendation for Hopper: 32 MiB, for split-K. It is followed by the sums of a bias gradient, max SUMS of
 * them. */
#ifdef GP_CUSIM
constexpr size_t WORKSPACE = 256 << 10;
constexpr int64_t SUMS = 1 << 10;
#else
constexpr size_t WORKSPACE = 32 << 20;
constexpr int64_t SUMS = 1 << 16;
#endif

size_t matmul_lt_workspace(const gp_backend *be)
{
    (void)be;
    return WORKSPACE;
}

size_t matmul_workspace(const gp_backend *be)
{
    (void)be;
    return WORKSPACE + SUMS * sizeof(float);
}

float *matmul_sums(const gp_backend *be)
{
    char *workspace = static_cast<char *>(cuda_workspace(be, matmul_workspace(be)));
    return reinterpret_cast<float *>(workspace + WORKSPACE);
}

/* Defaults as measured. GELU fused into the product is faster on Hopper, where other warps multiply meanwhile: on an
 * H200 `fc` of GPT-2 124M took 0.58 ms with it and 0.79 ms without. On sm_120 it is reported to cost a fifth, so later
 * GPUs have to be measured first. A bias gradient fused into the weight gradient is slower than a kernel of its own:
 * 1.66 ms a layer against 1.59. */
int matmul_open(gp_backend *be)
{
    CudaState *s = state_of(be);
    Matmuls *m = static_cast<Matmuls *>(gp_calloc(1, sizeof *m));
    if (cublaslt_open(&m->lt)) {
        free(m);
        return -1;
    }
    cublasStatus_t status = m->lt.Create(&m->handle);
    if (status != CUBLAS_STATUS_SUCCESS) {
        fail("backend cuda: cublasLtCreate: %s", m->lt.GetStatusString(status));
        free(m);
        return -1;
    }
    size_t version = m->lt.GetVersion(); /* 130101 is 13.1.1 */
    snprintf(be->products_library, sizeof be->products_library, "cuBLASLt %zu.%zu.%zu", version / 10000,
             version / 100 % 100, version % 100);
    m->ways = GP_CUDA_LT | GP_CUDA_FUSE_BIAS;
    if (s->sm >= 90 && s->sm < 120)
        m->ways |= GP_CUDA_FUSE_GELU;
    s->matmuls = m;
    return 0;
}

void matmul_close(gp_backend *be)
{
    Matmuls *m = state_of(be)->matmuls;
    matmul_lt_forget(be);
    matmul_forget_choices(be);
    m->lt.Destroy(m->handle);
    free(m);
}

void gp_cuda_allow_products(gp_backend *be, unsigned ways)
{
    state_of(be)->matmuls->ways = ways;
}

/* ---- the epilogue as a separate kernel ------------------------------------------------------------------- */

constexpr int FINISH_THREADS = 128;

template <class In, class Out> struct Finish {
    const Out *ab; /* the product; null: d = bias */
    const In *bias;
    Out *d;
    const Out *pre; /* null: d = gelu(ab) */
    int64_t N, ldab, ldd;
};

/* d = bias in every row;  d = gelu(ab);  d = ab gelu'(pre)          ab, d (M,N) with row strides; pre (M,N); bias (N)
 * Grid: (M, N / (FINISH_THREADS W)). Block (m,j): FINISH_THREADS W columns of row m, W per thread. d may be ab. Writes
 * (=). */
template <class In, class Out, int W>
__global__ void __launch_bounds__(FINISH_THREADS) finish(const __grid_constant__ Finish<In, Out> f)
{
    int64_t m = blockIdx.x, n = (static_cast<int64_t>(blockIdx.y) * FINISH_THREADS + threadIdx.x) * W;
    if (n >= f.N)
        return;
    Vec<Out, W> out;
    if (!f.ab) {
        Vec<In, W> bias = load_vec<W>(f.bias + n);
#pragma unroll
        for (int i = 0; i < W; i++)
            out.v[i] = from_float<Out>(to_float(bias.v[i]));
    } else if (f.pre) {
        Vec<Out, W> ab = load_vec<W>(f.ab + m * f.ldab + n), pre = load_vec<W>(f.pre + m * f.N + n);
#pragma unroll
        for (int i = 0; i < W; i++)
            out.v[i] = from_float<Out>(to_float(ab.v[i]) * act_slope(GP_ACT_GELU_TANH, to_float(pre.v[i])));
    } else {
        Vec<Out, W> ab = load_vec<W>(f.ab + m * f.ldab + n);
#pragma unroll
        for (int i = 0; i < W; i++)
            out.v[i] = from_float<Out>(act_value(GP_ACT_GELU_TANH, to_float(ab.v[i])));
    }
    store_vec<W>(f.d + m * f.ldd + n, out);
}

template <class In, class Out>
static void run_finish(gp_backend *be, const Product *p, const void *ab, int64_t ldab, bool slope)
{
    Finish<In, Out> f = {static_cast<const Out *>(ab),
                         static_cast<const In *>(p->bias),
                         static_cast<Out *>(p->d),
                         slope ? static_cast<const Out *>(p->pre) : nullptr,
                         p->N,
                         ldab,
                         product_ldd(p)};
    constexpr int W = Pack<Out>::size;
    unsigned rows = static_cast<unsigned>(p->M);
    if (packable<Out>(p->N, f.ab, f.d, f.pre, f.bias) && f.ldd % W == 0)
        RUN(be, (finish<In, Out, W>), dim3(rows, blocks_for(p->N, FINISH_THREADS * W)), FINISH_THREADS, 0, f);
    else
        RUN(be, (finish<In, Out, 1>), dim3(rows, blocks_for(p->N, FINISH_THREADS)), FINISH_THREADS, 0, f);
}

/* Launches `finish` for the product's types: ab null: bias; `slope`: GELU's derivative; else GELU. */
static void finish_apart(gp_backend *be, const Product *p, const void *ab, int64_t ldab, bool slope)
{
    if (p->in == GP_F32)
        run_finish<float, float>(be, p, ab, ldab, slope);
    else if (p->out == GP_F32)
        run_finish<bf16, float>(be, p, ab, ldab, slope);
    else
        run_finish<bf16, bf16>(be, p, ab, ldab, slope);
}

/* ---- the ways -------------------------------------------------------------------------------------------- */

static bool has_gelu(const Product *p)
{
    return p->epilogue == Epilogue::gelu || p->epilogue == Epilogue::gelu_slope;
}

/* In fp32 GELU is our own kernel: the library's uses an approximate tanh, 2e-5 off, which does not show in bf16. With a
 * bias and nothing fused, the bias is written to every row first and the product adds to it, so that the sum is rounded
 * once, as in a fused epilogue. */
int matmul_ways(const Product *p, unsigned allowed, unsigned ways[MAX_WAYS])
{
    const int64_t sums = p->a_sums ? p->M : p->b_sums ? p->N : 0;
    const struct {
        unsigned parts;
        bool here;
    } all[] = {
        {GP_CUDA_LT | GP_CUDA_FUSE_SUMS, sums && sums <= SUMS && p->out == GP_F32},
        {GP_CUDA_LT | GP_CUDA_FUSE_GELU, has_gelu(p) && p->out == GP_BF16},
        {GP_CUDA_LT | GP_CUDA_FUSE_BIAS, p->bias != nullptr},
        {GP_CUDA_LT, !p->bias || !p->add},
    };
    int n = 0;
    for (const auto &way : all)
        if (way.here && (allowed & way.parts) == way.parts && n < MAX_WAYS - 1)
            ways[n++] = way.parts;
    ways[n++] = 0;
    return n;
}

Product matmul_part(const Product *p, unsigned parts)
{
    Product part = *p;
    if (!(parts & GP_CUDA_FUSE_SUMS))
        part.a_sums = part.b_sums = nullptr;
    if (has_gelu(p) && !(parts & GP_CUDA_FUSE_GELU)) {
        part.epilogue = p->bias ? Epilogue::bias : Epilogue::none;
        part.pre = nullptr;
        if (p->epilogue == Epilogue::gelu && p->pre)
            part.d = p->pre, part.ldd = 0;
    }
    if (p->bias && !(parts & (GP_CUDA_FUSE_BIAS | GP_CUDA_FUSE_GELU))) {
        part.epilogue = Epilogue::none;
        part.bias = nullptr;
        part.add = true;
    }
    return part;
}

static bool by_library(gp_backend *be, const Product *p, Way way)
{
    Product part = matmul_part(p, way.parts);
    float *sums = part.a_sums || part.b_sums ? matmul_sums(be) : nullptr;
    if (p->bias && !part.bias) {
        Product first = part;
        first.bias = p->bias;
        finish_apart(be, &first, nullptr, 0, false);
    }
    if (!matmul_lt(be, &part, sums, way.algorithm))
        return false;
    if (has_gelu(p) && !has_gelu(&part))
        finish_apart(be, p, part.d, product_ldd(&part), p->epilogue == Epilogue::gelu_slope);
    if (sums)
        add_sums(be, sums, p->a_sums ? p->M : p->N, p->a_sums ? p->a_sums : p->b_sums);
    return true;
}

bool matmul_by(gp_backend *be, const Product *p, Way way)
{
    Product alone = *p;
    alone.a_sums = alone.b_sums = nullptr;
    if (!way.parts)
        matmul_plain(be, &alone);
    else if (!by_library(be, p, way))
        return false;
    if (way.parts & GP_CUDA_FUSE_SUMS)
        return true;
    if (p->a_sums)
        column_sums(be, p->a, p->K, p->M, p->a_sums, product_lda(p));
    if (p->b_sums)
        column_sums(be, p->b, p->K, p->N, p->b_sums);
    return true;
}

static void check_product(const Product *p)
{
    bool gelu = p->epilogue == Epilogue::gelu, slope = p->epilogue == Epilogue::gelu_slope;
    BUG_ON(p->M < 1 || p->N < 1 || p->K < 1 || product_ldd(p) < p->N);
    BUG_ON(p->in == GP_F32 ? p->out != GP_F32 : p->in != GP_BF16 || (p->out != GP_F32 && p->out != GP_BF16));
    BUG_ON(p->bias ? p->epilogue != Epilogue::bias && !gelu : p->epilogue == Epilogue::bias);
    BUG_ON(p->pre ? !gelu && !slope : slope);
    BUG_ON(p->add && (gelu || slope));
    BUG_ON(p->a_sums && (!p->a_transposed || p->b_sums || p->epilogue != Epilogue::none));
    BUG_ON(p->b_sums && (p->b_transposed || p->epilogue != Epilogue::none));
}

/* Uses the way that was chosen for the product, if any; else the first that is available. */
void matmul(gp_backend *be, const Product *p)
{
    Matmuls *m = matmuls_of(be);
    unsigned ways[MAX_WAYS];
    Way chosen;
    check_product(p);
    m->refused = false;
    if (matmul_chosen(be, p, &chosen) && matmul_by(be, p, chosen))
        return;
    int count = matmul_ways(p, m->ways, ways), i = 0;
    while (i < count - 1 && !matmul_by(be, p, {ways[i], nullptr}))
        i++;
    if (i == count - 1)
        matmul_by(be, p, {0, nullptr});
    if (m->refused)
        matmul_fell_back(be, p, ways[i]);
}
