/* matmul.cuh: the matrix products of this backend, by cuBLASLt or, where it has no algorithm for a shape, by a plain
 * kernel.
 *
 *     D (M,N) = epilogue(A (M,K) B (K,N) + beta D)          all row-major; sums in fp32
 *
 * Either operand may be stored transposed: a product with W stored (I,O), and with the head's (V,C), are the same call;
 * nothing is ever transposed in memory. */
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
    int64_t lda, ldd; /* row strides, in elements, of A and D as stored; 0: dense */
    float *a_sums;    /* (M) += the sums of A over k, or null; needs a_transposed */
    /* (N) += the sums of B over k, or null; needs !b_transposed. Not both, and no epilogue with them */
    float *b_sums;
};

/* Input fp32: output fp32; input bf16: output fp32 or bf16. */
void matmul(gp_backend *be, const Product *p);

/* The first bytes of the workspace are matmul's (and column_sums'); an op that calls it places its own after them:
 *     char *mine = static_cast<char *>(cuda_workspace(be, matmul_workspace(be) + bytes)) + matmul_workspace(be); */
size_t matmul_workspace(const gp_backend *be);

/* Called when the device is opened and closed: 0, or -1 if cuBLASLt is missing. */
int matmul_open(gp_backend *be);
void matmul_close(gp_backend *be);

/* A weight's data as the products read it: the weight itself where it has their dtype, else the bf16 copy in its
 * slot. */
const void *weight_data(const gp_backend *be, const gp_weight *w);
/* Its bias in the same dtype; null where it has none. */
const void *weight_bias(const gp_backend *be, const gp_weight *w);
int64_t weight_inputs(const gp_weight *w);
int64_t weight_outputs(const gp_weight *w);
/* Number of outputs as stored: O, and for the head in bf16 padded with zeros to a multiple of GP_PAD_ROWS. */
int64_t weight_outputs_padded(const gp_backend *be, const gp_weight *w);

/* sums(c) += sum over r of x(r,c)          x (rows,columns) in the type of stored activations, row stride `pitch` (0:
 * dense)
 * Sums in fp32, deterministic. */
void column_sums(gp_backend *be, const void *x, int64_t rows, int64_t columns, float *sums, int64_t pitch = 0);

#endif
