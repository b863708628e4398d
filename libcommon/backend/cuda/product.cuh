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

/* be's Matmuls. */
struct Plan;
struct Matmuls {
    Cublaslt lt;
    cublasLtHandle_t handle;
    unsigned ways; /* gp_cuda_products */
    Plan *plans;   /* matmul_lt.cu's: what was found for problems so far */
    int count;
};

/* matmul_plain.cu: by the kernel that takes every shape, epilogue and all but sums. */
void matmul_plain(gp_backend *be, const Product *p);

/* matmul_lt.cu: by cuBLASLt, with the epilogue in the same kernel; false when it has no algorithm for that. With a_sums or
 * b_sums the sums are stored at `sums`, which is fp32. */
bool matmul_lt(gp_backend *be, const Product *p, float *sums);
void matmul_lt_forget(gp_backend *be);

/* The part of matmul's workspace that cuBLASLt gets. */
size_t matmul_lt_workspace(const gp_backend *be);

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
