/* matmul_own.c: products in fp32 by the kernels of simd/matmul.c. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"

#include <stdio.h>
#include <stdlib.h>

struct gp_matmul {
    gp_matmul_parts *parts;
};

gp_matmul *gp_matmul_open(const gp_kernels *k, int threads)
{
    gp_matmul *mm = gp_calloc(1, sizeof *mm);
    mm->parts = gp_matmul_parts_open(k->matmul, threads);
    return mm;
}

void gp_matmul_close(gp_matmul *mm)
{
    gp_matmul_parts_close(mm->parts);
    free(mm);
}

void gp_matmul_run(gp_matmul *mm, const gp_product *p, const void *a, const void *b, const float *bias, float *c)
{
    gp_matmul_parts_run(mm->parts, p, a, b, bias, c);
}

/* Packing is only called for bf16, which these kernels do not support. */
size_t gp_matmul_packed_bytes(gp_matmul *mm, const gp_product *p)
{
    (void)mm, (void)p;
    BUG_ON(true);
    return 0;
}

void gp_matmul_pack(gp_matmul *mm, const gp_product *p, gp_dtype from, const void *b, void *packed)
{
    (void)mm, (void)p, (void)from, (void)b, (void)packed;
    BUG_ON(true);
}

void gp_matmul_describe(char *text, size_t size)
{
    snprintf(text, size, "own kernels");
}

gp_bf16_unit gp_matmul_bf16(void)
{
    return GP_BF16_NOT_BUILT;
}
