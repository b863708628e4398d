/* product.cuh: what the files that make up matmul() share. */
#ifndef GP_CUDA_PRODUCT_CUH
#define GP_CUDA_PRODUCT_CUH

#include "backend/cuda/cublaslt.cuh"
#include "backend/cuda/matmul.cuh"

/* Elements from a row to the next, as stored. */
static inline int64_t product_lda(const Product *p)
{
    return p->lda ? p->lda : (p->a_transposed ? p->M : p->K);
}
static inline int64_t product_ldb(const Product *p)
{
    return p->b_transposed ? p->K : p->N;
}
static inline int64_t product_ldd(const Product *p)
{
    return p->ldd ? p->ldd : p->N;
}

/* All that the choice of an algorithm hangs on. */
struct Problem {
    int64_t M, N, K, lda, ldd;
    uint64_t bits;
};

/* One way to make a product: with what of it in the library's own kernel (gp_cuda_products; 0: by the plain kernel),
 * and by which of its algorithms (null: what the heuristic names first). */
struct Way {
    unsigned parts;
    const cublasLtMatmulAlgo_t *algorithm;
};

/* be's Matmuls. */
struct Plan;
struct AlgorithmChoice;
struct Matmuls {
    Cublaslt lt;
    cublasLtHandle_t handle;
    unsigned ways;            /* gp_cuda_products */
    Plan *plans;              /* matmul_lt.cu's: what was found for problems so far */
    int count;                /* of plans */
    bool refused;             /* a plan was, as it ran first, since this was last looked at */
    AlgorithmChoice *choices; /* matmul_choice.cu's, beside be->choices */
    int choice_count;
};

static inline Matmuls *matmuls_of(const gp_backend *be)
{
    return state_of(be)->matmuls;
}

/* matmul.cu: makes it in one way; false where that cannot be had. */
bool matmul_by(gp_backend *be, const Product *p, Way way);

/* The ways for a product from those in `allowed`, the one with most in it first, the plain kernel last. Gives how
 * many. */
constexpr int MAX_WAYS = 4;
int matmul_ways(const Product *p, unsigned allowed, unsigned ways[MAX_WAYS]);

/* What the library makes of a product in a way. */
Product matmul_part(const Product *p, unsigned parts);

/* matmul_choice.cu: the way that was chosen for a product, or is now; false where none was. */
bool matmul_chosen(gp_backend *be, const Product *p, Way *way);
/* It was made in this way because the library refused another: what is chosen for it from now on. */
void matmul_fell_back(gp_backend *be, const Product *p, unsigned parts);
void matmul_forget_choices(gp_backend *be);

/* matmul_plain.cu: by the kernel that takes every shape, epilogue and all but sums. */
void matmul_plain(gp_backend *be, const Product *p);

/* matmul_lt.cu: by cuBLASLt, with the epilogue in the same kernel; false when it has no algorithm for that, or not that
 * one (null: its heuristic's first). With a_sums or b_sums the sums are stored at `sums`, which is fp32. */
bool matmul_lt(gp_backend *be, const Product *p, float *sums, const cublasLtMatmulAlgo_t *algorithm);
void matmul_lt_forget(gp_backend *be);

/* Whether it has that algorithm for it. */
bool matmul_lt_has(gp_backend *be, const Product *p, const cublasLtMatmulAlgo_t *algorithm);

/* The first that its heuristic names, `most` or fewer, all of which add in one order. Gives how many. */
int matmul_lt_algorithms(gp_backend *be, const Product *p, int most, cublasLtMatmulAlgo_t *algorithms);

Problem matmul_problem(const Product *p);

/* The part of matmul's workspace that cuBLASLt gets, and behind it the sums that it stores. */
size_t matmul_lt_workspace(const gp_backend *be);
float *matmul_sums(const gp_backend *be);

/* W numbers of T, moved at once; at a multiple of their size. */
template <class T, int W> struct alignas(W * sizeof(T)) Some {
    T v[W];
};
template <int W, class T> __device__ __forceinline__ Some<T, W> load_some(const T *p)
{
    return *reinterpret_cast<const Some<T, W> *>(p);
}
template <int W, class T> __device__ __forceinline__ void store_some(T *p, const Some<T, W> &v)
{
    *reinterpret_cast<Some<T, W> *>(p) = v;
}

/* column_sums.cu: sums(i) += from(i) */
void add_sums(gp_backend *be, const float *from, int64_t count, float *sums);

#endif
