/* matmul.h: products of matrices, in one of two ways that CMake chooses between: by oneDNN (matmul_dnnl.c, the only
 * file that knows the library), which is faster and multiplies in bf16, or by the kernels of simd/matmul.c
 * (matmul_own.c).
 *
 *     gp_matmul *mm = gp_matmul_open(kernels, threads);
 *     gp_product p = {.M = 768, .N = 384, .K = 128, .dtype = GP_F32, .bias = true, .threads = threads};
 *     gp_matmul_run(mm, &p, x, w, bias, y);          // y = x w + bias
 *
 * What a description needs is made the first time that it is seen, then kept; the second run of the same description
 * allocates nothing here. */
#ifndef GP_CPU_MATMUL_H
#define GP_CPU_MATMUL_H

#include "base/base.h"
#include "gptpipe/tensor.h"

/* c (M,N) = a (M,K) b (K,N), + bias (N), + c. All row-major and dense; a `transposed` one is stored the other
 * way round. c and bias are fp32. */
typedef struct gp_product {
    int64_t M, N, K;
    bool a_transposed, b_transposed;
    bool bias, add;
    gp_dtype dtype; /* of a and b: GP_F32 or GP_BF16; the sums are fp32 */
    int64_t packed; /* 0: b is plain; else b was packed, for products of this M */
    int threads;    /* that run it; packing takes all */
} gp_product;

typedef struct gp_matmul gp_matmul;
typedef struct gp_kernels gp_kernels;

gp_matmul *gp_matmul_open(const gp_kernels *k, int threads);
void gp_matmul_close(gp_matmul *mm);

/* bias is NULL unless p->bias. */
void gp_matmul_run(gp_matmul *mm, const gp_product *p, const void *a, const void *b, const float *bias, float *c);

/* Bytes of b in the layout for p (p->packed set), and b put into it from plain fp32; for products in bf16 alone. */
size_t gp_matmul_packed_bytes(gp_matmul *mm, const gp_product *p);
void gp_matmul_pack(gp_matmul *mm, const gp_product *p, const float *b, void *packed);

/* Whose products these are, since another's have other bits: "oneDNN 2.6.3". */
void gp_matmul_describe(char *text, size_t size);

/* What multiplies in bf16: nothing in this build, nothing in this processor, AVX-512 BF16, or AMX. */
typedef enum gp_bf16_unit { GP_BF16_NOT_BUILT, GP_BF16_NONE, GP_BF16_AVX512, GP_BF16_AMX } gp_bf16_unit;
gp_bf16_unit gp_matmul_bf16(void);

#endif
