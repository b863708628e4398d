/* matmul_own.c: products in fp32 by the kernels of simd/matmul.c, on several threads. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"

#include <stdio.h>
#include <stdlib.h>

struct gp_matmul {
    const gp_kernels *k;
    int threads;
    float *scratch; /* GP_MATMUL_SCRATCH floats for each thread */
};

gp_matmul *gp_matmul_open(const gp_kernels *k, int threads)
{
    enum { ALIGN = 64 };
    gp_matmul *mm = gp_calloc(1, sizeof *mm);
    size_t bytes = (size_t)threads * GP_MATMUL_SCRATCH * sizeof(float);
    void *scratch = NULL;
    mm->k = k;
    mm->threads = threads;
    if (posix_memalign(&scratch, ALIGN, bytes))
        die("out of memory (%zu bytes)", bytes);
    mm->scratch = scratch;
    return mm;
}

void gp_matmul_close(gp_matmul *mm)
{
    free(mm->scratch);
    free(mm);
}

/* A single parallel region: the parts of a product do not wait for each other. */
void gp_matmul_run(gp_matmul *mm, const gp_product *p, const void *a, const void *b, const float *bias, float *c)
{
    BUG_ON(p->bias != (bias != NULL) || p->dtype != GP_F32 || p->packed || p->b_stride || p->threads > mm->threads);
    if (p->threads == 1) {
        mm->k->matmul(p, a, b, bias, c, 0, 1, mm->scratch);
        return;
    }
#pragma omp parallel for schedule(static, 1) num_threads(p->threads)
    for (int part = 0; part < p->threads; part++)
        mm->k->matmul(p, a, b, bias, c, part, p->threads, mm->scratch + (size_t)part * GP_MATMUL_SCRATCH);
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
