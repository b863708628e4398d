/* matmul.cuh: the matrix products of this backend, by cuBLASLt or, where it has none for a shape, by a plain kernel.
 *
 *     D (M,N) = epilogue(A (M,K) B (K,N) + beta D)          all row-major; sums in fp32
 *
 * Row-major with either operand stored transposed: a product with W stored (I,O), and with the head's (V,C), are the
 * same call; nothing is ever transposed in memory. */
#ifndef GP_CUDA_MATMUL_CUH
#define GP_CUDA_MATMUL_CUH

#include "backend/cuda/device.cuh"

enum class Epilogue {
    none,
    bias,      /* d = a b + bias */
    gelu,      /* pre = a b [+ bias], d = gelu(pre); GELU by tanh */
    gelu_slope /* d = (a b) gelu'(pre) */
};

struct Product {
    int64_t M, N, K;
    const void *a, *b; /* of type `in`: A (M,K), or stored (K,M) with a_transposed; B (K,N), or (N,K) */
    bool a_transposed, b_transposed;
    void *d; /* (M,N) of type `out` */
    gp_dtype in, out;
    bool add; /* beta = 1: d += */
    Epilogue epilogue;
    const void *bias; /* (N) of type `in`, or null */
    void *pre;        /* (M,N) of type `out`, dense: written by gelu (unless null), read by gelu_slope */
    int64_t lda, ldd; /* elements from a row of A, or D, as stored to the next; 0: dense */
    float *a_sums;    /* (M) += the sums of A over k, or null; A is stored transposed then */
    float *b_sums;    /* (N) += the sums of B over k, or null; B is not then. Not both, and no epilogue with them */
};

/* fp32 gives fp32, bf16 gives either. */
void matmul(gp_backend *be, const Product *p);

/* The first bytes of the workspace are matmul's (and column_sums'); an op that calls it has its own behind them:
 *     char *mine = static_cast<char *>(cuda_workspace(be, matmul_workspace(be) + bytes)) + matmul_workspace(be); */
size_t matmul_workspace(const gp_backend *be);

/* For the device's opening and closing: 0, or -1 when cuBLASLt is missing. */
int matmul_open(gp_backend *be);
void matmul_close(gp_backend *be);

/* A weight's numbers as the products read them: the weight itself where it has their dtype, or the slot's bf16. */
const void *weight_data(const gp_backend *be, const gp_weight *w);
/* Its bias in the same dtype; null where it has none. */
const void *weight_bias(const gp_backend *be, const gp_weight *w);
int64_t weight_inputs(const gp_weight *w);
int64_t weight_outputs(const gp_weight *w);
/* Outputs that these two hold: all, and for the head in bf16 zeros up to a multiple of 64. */
int64_t weight_outputs_held(const gp_backend *be, const gp_weight *w);

/* sums(c) += sum over r of x(r,c); x (rows,columns) as activations are stored, with `pitch` elements from a row to the
 * next (0: dense); sums in fp32, deterministic. */
void column_sums(gp_backend *be, const void *x, int64_t rows, int64_t columns, float *sums, int64_t pitch = 0);

#endif
