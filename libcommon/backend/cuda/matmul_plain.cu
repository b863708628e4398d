/* matmul_plain.cu: matrix products of any shape, without tensor cores. */
#include "backend/cuda/activation.cuh"
#include "backend/cuda/product.cuh"

constexpr int TILE = 64, DEPTH = 32, ACROSS = 16, OWN = TILE / ACROSS, PLAIN_THREADS = ACROSS * ACROSS;
/* row stride of a tile in shared memory: a multiple of 16 bytes, padded against bank conflicts */
constexpr int PITCH = TILE + 4;

template <class In, class Out> struct Plain {
    const In *a, *b, *bias;
    Out *d, *pre;
    int64_t M, N, K;
    int64_t lda, ldb, ldd; /* as stored */
    bool a_transposed, b_transposed, add;
    Epilogue epilogue;
};

/* Loads a tile of TILE rows r0.. and DEPTH columns k0.. of a matrix (R,K) into shared memory as fp32, transposed; zeros
 * past its edges. Coalesced: neighbouring threads read neighbouring columns, or, where it is stored (K,R), rows. */
template <class In>
static __device__ __forceinline__ void load_tile(float (*tile)[PITCH], const In *x, int64_t ld, bool transposed,
                                                 int64_t r0, int64_t R, int64_t k0, int64_t K)
{
#pragma unroll
    for (int i = 0; i < TILE * DEPTH / PLAIN_THREADS; i++) {
        int at = i * PLAIN_THREADS + static_cast<int>(threadIdx.x);
        int r = transposed ? at % TILE : at / DEPTH, k = transposed ? at / TILE : at % DEPTH;
        int64_t row = r0 + r, column = k0 + k;
        bool there = row < R && column < K;
        tile[k][r] = there ? to_float(x[transposed ? column * ld + row : row * ld + column]) : 0;
    }
}

/* Epilogue of element (m,n). */
template <class In, class Out>
static __device__ __forceinline__ void finish(const Plain<In, Out> &p, int64_t m, int64_t n, float v)
{
    Out *d = p.d + m * p.ldd + n;
    if (p.add)
        v += to_float(*d);
    if (p.bias)
        v += to_float(p.bias[n]);
    if (p.epilogue == Epilogue::gelu) {
        if (p.pre)
            p.pre[m * p.N + n] = from_float<Out>(v);
        v = act_value(GP_ACT_GELU_TANH, v);
    } else if (p.epilogue == Epilogue::gelu_slope) {
        v *= act_slope(GP_ACT_GELU_TANH, to_float(p.pre[m * p.N + n]));
    }
    *d = from_float<Out>(v);
}

/* D = epilogue(A B + beta D)          A (M,K), B (K,N), D (M,N); see matmul.cuh
 * Grid: (M / TILE, N / TILE). Block: a tile of TILE x TILE of D; a thread owns OWN x OWN elements, and adds each over k
 * in order. */
template <class In, class Out>
__global__ void __launch_bounds__(PLAIN_THREADS) multiply(const __grid_constant__ Plain<In, Out> p)
{
    /* fully unrolled, bf16 would spill on sm_75 */
    [[maybe_unused]] constexpr int AHEAD = sizeof(In) == 2 ? 8 : DEPTH;
    SHARED(float, a, [DEPTH][PITCH]);
    SHARED(float, b, [DEPTH][PITCH]);
    int64_t m0 = static_cast<int64_t>(blockIdx.x) * TILE, n0 = static_cast<int64_t>(blockIdx.y) * TILE;
    int i0 = static_cast<int>(threadIdx.x) / ACROSS * OWN, j0 = static_cast<int>(threadIdx.x) % ACROSS * OWN;
    float sum[OWN][OWN] = {};
    for (int64_t k0 = 0; k0 < p.K; k0 += DEPTH) {
        load_tile(a, p.a, p.lda, p.a_transposed, m0, p.M, k0, p.K);
        load_tile(b, p.b, p.ldb, !p.b_transposed, n0, p.N, k0, p.K);
        __syncthreads();
#pragma unroll AHEAD
        for (int k = 0; k < DEPTH; k++) {
            Pack<float> x = load_pack(&a[k][i0]), y = load_pack(&b[k][j0]);
#pragma unroll
            for (int i = 0; i < OWN; i++)
#pragma unroll
                for (int j = 0; j < OWN; j++)
                    sum[i][j] += x.v[i] * y.v[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < OWN; i++)
#pragma unroll
        for (int j = 0; j < OWN; j++)
            if (m0 + i0 + i < p.M && n0 + j0 + j < p.N)
                finish(p, m0 + i0 + i, n0 + j0 + j, sum[i][j]);
}

template <class In, class Out> static void run(gp_backend *be, const Product *p)
{
    static_assert(OWN == Pack<float>::size, "a thread's rows and columns are read as one pack each");
    Plain<In, Out> k = {static_cast<const In *>(p->a),
                        static_cast<const In *>(p->b),
                        static_cast<const In *>(p->bias),
                        static_cast<Out *>(p->d),
                        static_cast<Out *>(p->pre),
                        p->M,
                        p->N,
                        p->K,
                        product_lda(p),
                        product_ldb(p),
                        product_ldd(p),
                        p->a_transposed,
                        p->b_transposed,
                        p->add,
                        p->epilogue};
    RUN(be, (multiply<In, Out>), dim3(blocks_for(p->M, TILE), blocks_for(p->N, TILE)), PLAIN_THREADS, 0, k);
}

void matmul_plain(gp_backend *be, const Product *p)
{
    BUG_ON(p->N > 65535 * static_cast<int64_t>(TILE));
    if (p->in == GP_F32 && p->out == GP_F32)
        run<float, float>(be, p);
    else if (p->in == GP_BF16 && p->out == GP_F32)
        run<bf16, float>(be, p);
    else if (p->in == GP_BF16 && p->out == GP_BF16)
        run<bf16, bf16>(be, p);
    else
        BUG_ON("a product of these types");
}
