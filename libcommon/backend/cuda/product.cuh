/* product.cuh: internals of matmul(), shared by its files. */
#ifndef GP_CUDA_PRODUCT_CUH
#define GP_CUDA_PRODUCT_CUH

#include "backend/cuda/cublaslt.cuh"
#include "backend/cuda/matmul.cuh"

/* Row strides as stored, in elements. */
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

/* All that the selection of an algorithm depends on. */
struct Problem {
    int64_t M, N, K, lda, ldd;
    uint64_t bits;
};

/* One implementation of a product: which epilogues are fused into the library's kernel (gp_cuda_products; 0: the plain
 * kernel), and which of the library's algorithms (null: the first of its heuristic). */
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
    Plan *plans;              /* matmul_lt.cu: cache of problems and their algorithms */
    int count;                /* number of plans */
    bool refused;             /* a plan was refused by its first run since this was last cleared */
    AlgorithmChoice *choices; /* matmul_choice.cu; parallel to be->choices */
    int choice_count;
};

static inline Matmuls *matmuls_of(const gp_backend *be)
{
    return state_of(be)->matmuls;
}

/* matmul.cu: computes the product in that way; false where it is not available. */
bool matmul_by(gp_backend *be, const Product *p, Way way);

/* Lists the ways for a product among those in `allowed`, the most fused first, the plain kernel last; returns their
 * number. */
constexpr int MAX_WAYS = 4;
int matmul_ways(const Product *p, unsigned allowed, unsigned ways[MAX_WAYS]);

/* The product that the library's kernel computes in that way, without the epilogues that are not fused. */
Product matmul_part(const Product *p, unsigned parts);

/* matmul_choice.cu: the way that was chosen for a product, or is chosen now; false where none was. */
bool matmul_chosen(gp_backend *be, const Product *p, Way *way);
/* Records that the library refused another way and this one was used: it is chosen from now on. */
void matmul_fell_back(gp_backend *be, const Product *p, unsigned parts);
void matmul_forget_choices(gp_backend *be);

/* matmul_plain.cu: the kernel that supports every shape and epilogue, but not a_sums and b_sums. */
void matmul_plain(gp_backend *be, const Product *p);

/* matmul_lt.cu: by cuBLASLt, with a fused epilogue; false where it has no algorithm for that, or not the given one
 * (null: the first of its heuristic). With a_sums or b_sums the sums are stored (=) at `sums`, in fp32. */
bool matmul_lt(gp_backend *be, const Product *p, float *sums, const cublasLtMatmulAlgo_t *algorithm);
void matmul_lt_forget(gp_backend *be);

/* Whether cuBLASLt supports that algorithm for the product. */
bool matmul_lt_has(gp_backend *be, const Product *p, const cublasLtMatmulAlgo_t *algorithm);

/* The first algorithms of its heuristic, max max_count, all deterministic; returns their number. */
int matmul_lt_algorithms(gp_backend *be, const Product *p, int max_count, cublasLtMatmulAlgo_t *algorithms);

Problem matmul_problem(const Product *p);

/* The part of matmul's workspace that cuBLASLt uses; the sums that it stores follow. */
size_t matmul_lt_workspace(const gp_backend *be);
float *matmul_sums(const gp_backend *be);

/* column_sums.cu: sums(i) += from(i) */
void add_sums(gp_backend *be, const float *from, int64_t count, float *sums);

#endif
