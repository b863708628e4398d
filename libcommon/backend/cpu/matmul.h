/* matmul.h: matrix products, by one of two implementations that CMake selects: oneDNN (matmul_dnnl.c, the only file
 * that uses the library), which is faster and supports bf16, or the kernels of simd/matmul.c (matmul_own.c). Where the
 * processor has AMX, larger products in fp32 are those of amx_product.c instead (weight.c).
 *
 *     gp_matmul *mm = gp_matmul_open(kernels, threads);
 *     gp_product p = {.M = 768, .N = 384, .K = 128, .dtype = GP_F32, .bias = true, .threads = threads};
 *     gp_matmul_run(mm, &p, x, w, bias, y);          // y = x w + bias
 *
 * The first run of a description may allocate; what it creates is cached for the following runs. */
#ifndef GP_CPU_MATMUL_H
#define GP_CPU_MATMUL_H

#include "base/base.h"
#include "gptpipe/tensor.h"

/* c (M,N) = a (M,K) b (K,N) [+ bias (N)] [+ c]. All are row-major; a transposed one is stored column-major. c and bias
 * are fp32. */
typedef struct gp_product {
    int64_t M, N, K;
    bool a_transposed, b_transposed;
    bool bias, add;
    gp_dtype dtype; /* of a and b: GP_F32 or GP_BF16; the sums are fp32 */
    int64_t packed; /* 0: b is plain; else b is packed for products with this M */
    /* Elements from one line of b (a column, if it is transposed) or row of c to the next; 0: dense */
    int64_t b_stride, c_stride;
    int threads; /* that compute it; packing uses all */
} gp_product;

typedef struct gp_matmul gp_matmul;
typedef struct gp_kernels gp_kernels;

gp_matmul *gp_matmul_open(const gp_kernels *k, int threads);
void gp_matmul_close(gp_matmul *mm);

/* bias is NULL unless p->bias. */
void gp_matmul_run(gp_matmul *mm, const gp_product *p, const void *a, const void *b, const float *bias, float *c);

/* Bytes of b in the layout for p (p->packed is set), and conversion of plain b, fp32 or bf16, to it; only for products
 * in bf16. */
size_t gp_matmul_packed_bytes(gp_matmul *mm, const gp_product *p);
void gp_matmul_pack(gp_matmul *mm, const gp_product *p, gp_dtype from, const void *b, void *packed);

/* matmul_parts.c: products in fp32, not packed, by a kernel, each thread a part of them. The kernel gets scratch of
 * GP_MATMUL_SCRATCH floats. */
typedef void gp_product_kernel(const gp_product *p, const float *a, const float *b, const float *bias, float *c,
                               int part, int parts, float *scratch);
typedef struct gp_matmul_parts {
    gp_product_kernel *kernel;
    int threads;
    float *scratch; /* for each thread */
} gp_matmul_parts;
gp_matmul_parts *gp_matmul_parts_open(gp_product_kernel *kernel, int threads);
void gp_matmul_parts_close(gp_matmul_parts *mp);
void gp_matmul_parts_run(gp_matmul_parts *mp, const gp_product *p, const float *a, const float *b, const float *bias,
                         float *c);

/* The implementation and its version, on which the bits depend: "oneDNN 2.6.3". */
void gp_matmul_describe(char *text, size_t size);

/* The support of bf16 products: missing from this build, missing from this processor, AVX-512 BF16, or AMX. */
typedef enum gp_bf16_unit { GP_BF16_NOT_BUILT, GP_BF16_NONE, GP_BF16_AVX512, GP_BF16_AMX } gp_bf16_unit;
gp_bf16_unit gp_matmul_bf16(void);

#endif
