/* matmul.cu: how a product is made: by cuBLASLt in one kernel, epilogue and all; or, where it has none for that or another
 * is faster, by cuBLASLt and a second kernel for the epilogue; or by the plain kernel. */
#include "backend/cuda/activation.cuh"
#include "backend/cuda/product.cuh"

#include <cstdio>

/* Hopper wants 32 MiB to split k. Behind what cuBLASLt gets is room for a bias's gradient, of up to so many numbers. */
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

/* GELU in the product's own kernel pays on Hopper, where other warps multiply meanwhile: on an H200 `fc` of GPT-2 124M took
 * 0.58 ms with it and 0.79 ms without. On sm_120 it is said to cost a fifth, so later GPUs have to be measured first. A bias's
 * gradient beside its weight's costs more than in a kernel of its own: 1.66 ms a layer against 1.59. */
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
    m->lt.Destroy(m->handle);
    free(m);
}

void gp_cuda_allow_products(gp_backend *be, unsigned ways)
{
    state_of(be)->matmuls->ways = ways;
}

/* ---- the epilogue by itself ---------------------------------------------------------------------- */

constexpr int FINISH_THREADS = 128;

template <class In, class Out> struct Finish {
    const Out *ab; /* the product; null: d = bias */
    const In *bias;
    Out *d;
    const Out *pre; /* null: d = gelu(ab) */
    int64_t N, ldab, ldd;
};

/* d = bias in every row;  d = gelu(ab);  d = ab gelu'(pre)
 * ab, d (M,N) with row pitches; pre (M,N); bias (N). Block (m,j): a piece of row m, a pack of W numbers a thread. d may be
 * ab. Writes (=). */
template <class In, class Out, int W>
__global__ void __launch_bounds__(FINISH_THREADS) finish(const __grid_constant__ Finish<In, Out> f)
{
    int64_t m = blockIdx.x, n = (static_cast<int64_t>(blockIdx.y) * FINISH_THREADS + threadIdx.x) * W;
    if (n >= f.N)
        return;
    Some<Out, W> out;
    if (!f.ab) {
        Some<In, W> bias = load_some<W>(f.bias + n);
#pragma unroll
        for (int i = 0; i < W; i++)
            out.v[i] = from_float<Out>(to_float(bias.v[i]));
    } else if (f.pre) {
        Some<Out, W> ab = load_some<W>(f.ab + m * f.ldab + n), pre = load_some<W>(f.pre + m * f.N + n);
#pragma unroll
        for (int i = 0; i < W; i++)
            out.v[i] = from_float<Out>(to_float(ab.v[i]) * act_slope(GP_ACT_GELU_TANH, to_float(pre.v[i])));
    } else {
        Some<Out, W> ab = load_some<W>(f.ab + m * f.ldab + n);
#pragma unroll
        for (int i = 0; i < W; i++)
            out.v[i] = from_float<Out>(act_value(GP_ACT_GELU_TANH, to_float(ab.v[i])));
    }
    store_some<W>(f.d + m * f.ldd + n, out);
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

/* What `finish` does, in the product's types: with ab null the bias, with `slope` the slope, else GELU. */
static void finish_apart(gp_backend *be, const Product *p, const void *ab, int64_t ldab, bool slope)
{
    if (p->in == GP_F32)
        run_finish<float, float>(be, p, ab, ldab, slope);
    else if (p->out == GP_F32)
        run_finish<bf16, float>(be, p, ab, ldab, slope);
    else
        run_finish<bf16, bf16>(be, p, ab, ldab, slope);
}

/* ---- the choice ---------------------------------------------------------------------------------- */

/* GELU in fp32 is our own: the library's is made of an approximate tanh, 2e-5 off, which bf16 does not show. */
static bool multiply_with_epilogue(gp_backend *be, const Product *p, unsigned ways)
{
    unsigned needs = GP_CUDA_LT;
    if (p->epilogue == Epilogue::bias)
        needs |= GP_CUDA_FUSE_BIAS;
    else if (p->epilogue != Epilogue::none)
        needs |= GP_CUDA_FUSE_GELU;
    if (needs & GP_CUDA_FUSE_GELU && p->out != GP_BF16)
        return false;
    return (ways & needs) == needs && matmul_lt(be, p, nullptr);
}

/* The bias goes into every row first and the product adds to it, so that the sum is rounded once, as in an epilogue. */
static bool multiply_onto_bias(gp_backend *be, const Product *p, unsigned ways)
{
    Product alone = *p;
    if (p->add || !(ways & GP_CUDA_LT))
        return false;
    alone.epilogue = Epilogue::none;
    alone.bias = nullptr;
    alone.add = true;
    finish_apart(be, p, nullptr, 0, false);
    return matmul_lt(be, &alone, nullptr);
}

/* bias, in the product's kernel or before it; gelu behind it, of what is stored as pre; its slope behind it. */
static bool multiply_then_finish(gp_backend *be, const Product *p, unsigned ways)
{
    Product first = *p;
    bool slope = p->epilogue == Epilogue::gelu_slope;
    first.epilogue = p->bias ? Epilogue::bias : Epilogue::none;
    first.pre = nullptr;
    if (!slope && p->pre)
        first.d = p->pre, first.ldd = 0;
    if (p->epilogue == Epilogue::bias || !multiply_with_epilogue(be, &first, ways)) {
        if (!p->bias || !multiply_onto_bias(be, &first, ways))
            return false;
    }
    if (p->epilogue != Epilogue::bias)
        finish_apart(be, p, first.d, product_ldd(&first), slope);
    return true;
}

static bool multiply_with_sums(gp_backend *be, const Product *p, unsigned ways)
{
    constexpr unsigned needs = GP_CUDA_LT | GP_CUDA_FUSE_SUMS;
    int64_t count = p->a_sums ? p->M : p->N;
    if ((ways & needs) != needs || count > SUMS || p->out != GP_F32)
        return false;
    char *workspace = static_cast<char *>(cuda_workspace(be, matmul_workspace(be)));
    float *stored = reinterpret_cast<float *>(workspace + WORKSPACE);
    if (!matmul_lt(be, p, stored))
        return false;
    add_sums(be, stored, count, p->a_sums ? p->a_sums : p->b_sums);
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

void matmul(gp_backend *be, const Product *p)
{
    unsigned ways = state_of(be)->matmuls->ways;
    check_product(p);
    if (!p->a_sums && !p->b_sums) {
        if (!multiply_with_epilogue(be, p, ways) &&
            (p->epilogue == Epilogue::none || !multiply_then_finish(be, p, ways)))
            matmul_plain(be, p);
        return;
    }
    if (multiply_with_sums(be, p, ways))
        return;
    Product alone = *p;
    alone.a_sums = alone.b_sums = nullptr;
    if (!multiply_with_epilogue(be, &alone, ways))
        matmul_plain(be, &alone);
    if (p->a_sums)
        column_sums(be, p->a, p->K, p->M, p->a_sums, product_lda(p));
    else
        column_sums(be, p->b, p->K, p->N, p->b_sums);
}
