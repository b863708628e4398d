/* matmul_parts.c: products in fp32 by kernels of this backend, on several threads. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"

#include <stdlib.h>

gp_matmul_parts *gp_matmul_parts_open(gp_product_kernel *kernel, int threads)
{
    enum { ALIGN = 64 };
    gp_matmul_parts *mp = gp_calloc(1, sizeof *mp);
    size_t bytes = (size_t)threads * GP_MATMUL_SCRATCH * sizeof(float);
    void *scratch = NULL;
    mp->kernel = kernel;
    mp->threads = threads;
    if (posix_memalign(&scratch, ALIGN, bytes))
        die("out of memory (%zu bytes)", bytes);
    mp->scratch = scratch;
    return mp;
}

void gp_matmul_parts_close(gp_matmul_parts *mp)
{
    if (!mp)
        return;
    free(mp->scratch);
    free(mp);
}

/* A single parallel region: the parts of a product do not wait for each other. */
void gp_matmul_parts_run(gp_matmul_parts *mp, const gp_product *p, const float *a, const float *b, const float *bias,
                         float *c)
{
    BUG_ON(p->bias != (bias != NULL) || p->dtype != GP_F32 || p->packed || p->b_stride || p->threads > mp->threads);
    if (p->threads == 1) {
        mp->kernel(p, a, b, bias, c, 0, 1, mp->scratch);
        return;
    }
#pragma omp parallel for schedule(static, 1) num_threads(p->threads)
    for (int part = 0; part < p->threads; part++)
        mp->kernel(p, a, b, bias, c, part, p->threads, mp->scratch + (size_t)part * GP_MATMUL_SCRATCH);
}
